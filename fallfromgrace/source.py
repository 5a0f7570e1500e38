"""Where process tables come from: the port the loop reads through, and how a process is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Protocol

from fallfromgrace import procfs
from fallfromgrace.expression import Sample
from fallfromgrace.readings import Facet, Want
from fallfromgrace.table import UNREADABLE, Image, Process, ProcessId, ProcessTable, Runs, Size

# A command line may be 2 MB long and is chosen by whoever runs the process; nobody's regex needs more than this.
LONGEST_CMDLINE = 8192
# Stands for what was cut off, so that a `$` does not match at the cut.
CUT = "..."
# A character may take four bytes; one byte more tells that there was more.
LONGEST_ARGUMENTS = 4 * LONGEST_CMDLINE + 1


class Source(Protocol):
    """What the loop needs to know of the machine's processes.

    A table has those whom the monitors are about, the selected, and everybody below them; no zombies and no kernel
    threads. The state of a process in it is what it was when that was last read, perhaps long ago.
    """

    @property
    def wakes(self) -> frozenset[int]:
        """Signals that tell that there is something new to look at; empty where nothing does."""

    def configure(self, selects: Callable[[Runs], bool], process_events: bool) -> None:
        """Which images the monitors are about from now on, and whether to use the kernel's process events.

        At the next look everybody is read anew.
        """

    def prepare(self, facets: Collection[Facet]) -> None:
        """What will be measured: whatever that needs is loaded now, and not in the middle of a look."""

    def look(self, now: float) -> ProcessTable:
        """Who is selected, and everybody below; the same object as the last time if nothing about it has changed.

        Raises Unready as long as not everybody was read once.
        """

    def next_look(self) -> float:
        """When to look again at the latest, by the clock that `now` is of."""

    def sizes(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """How large processes are this moment; who has ended, or cannot be read, is not in it."""

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """What is asked for; who has ended is not in it, what may not be read is not in the sample."""

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """Everything about one pid as it is this moment, nothing remembered; None where it has ended."""


class Unready(Exception):
    """Nobody can say yet who is there, for want of something of our own, which was told. Nothing is to be decided."""


class Gone(Exception):
    """A process has ended while it was read."""


class Glimpse:
    """A process, its arguments as the kernel has them, and the rest of its image as soon as that is asked for.

    Few monitors ask for the owner or the program of what has another command line, and these are half of the reading.
    `digest` is the same for the same arguments. These are None where they cannot be read. `remembered` is one of whom
    nothing can, not even who has the pid.
    """

    def __init__(
        self, pid: int, stat: procfs.Stat, arguments: bytes | None, root: str, exe: str = "", remembered: bool = False
    ) -> None:
        self.pid = pid
        self.stat = stat
        self.arguments = arguments
        self.digest = hash(arguments)
        self.asked = False  # for more than the command line
        self.remembered = remembered
        self._exe = exe
        self._root = root

    @cached_property
    def cmdline(self) -> str:
        """The arguments joined by single spaces."""
        return UNREADABLE if self.arguments is None else _shown(self.arguments)

    def recall(self, digest: int, cmdline: str, exe: str) -> None:
        """Its arguments cannot be read, and are taken for what they were before; so is what it executes, if given."""
        self.digest, self.cmdline, self._exe = digest, cmdline, exe or self._exe

    @cached_property
    def uid(self) -> int:
        """Whose it is. Raises Gone."""
        self.asked = True
        euid = procfs.read_euid(self.pid, self._root)
        if euid is None:
            raise Gone
        return euid

    @property
    def exe(self) -> str:
        """What it executes; empty where nobody can say."""
        self.asked = True
        return self._exe

    @property
    def process(self) -> Process:
        """Everything. Raises Gone."""
        stat, image = self.stat, Image(self.cmdline, self.uid, self.exe)
        return Process(ProcessId(self.pid, stat.start), stat.ppid, stat.pgid, stat.state, image)


def glimpse(pid: int, root: str = "/proc") -> Glimpse | None:
    """None where it has ended, may not be looked at, or is a kernel thread."""
    stat = procfs.read_stat(pid, root)
    if stat is None or stat.ended or stat.kernel_thread:
        return None
    arguments = procfs.read_arguments(pid, LONGEST_ARGUMENTS, root, stat.survivor)
    return None if arguments is None else Glimpse(pid, stat, arguments, root, procfs.read_exe(pid, root))


def glimpsed(pid: int, line: bytes, arguments: bytes | None, exe: str, root: str) -> Glimpse | None:
    """The same of what somebody else has read: a stat line, the arguments if they could be, and the program."""
    stat = procfs.resolve(procfs.parse_stat(line), f"{root}/{pid}")
    return None if stat.ended or stat.kernel_thread else Glimpse(pid, stat, arguments, root, exe)


def read_process(pid: int, root: str = "/proc") -> Process | None:
    """A process whole; None as for a glimpse."""
    return whole(glimpse(pid, root))


def whole(seen: Glimpse | None) -> Process | None:
    """All of a process; None as for a glimpse."""
    try:
        return seen.process if seen else None
    except Gone:
        return None


def _shown(arguments: bytes) -> str:
    cmdline = procfs.join_arguments(arguments, LONGEST_ARGUMENTS)
    return cmdline if len(cmdline) <= LONGEST_CMDLINE else cmdline[:LONGEST_CMDLINE] + CUT


def reread(pid: int, root: str = "/proc") -> tuple[Process, Sample] | None:
    """See Source."""
    return with_size(glimpse(pid, root), pid, root)


def with_size(seen: Glimpse | None, pid: int, root: str) -> tuple[Process, Sample] | None:
    """All of a process, and how large it is; None as for a glimpse."""
    process, size = whole(seen), procfs.read_size(pid, root)
    return (process, size._asdict()) if process and size else None


def alike(one: Process, other: Process) -> bool:
    """Whether two readings say the same of a process, but for its state, which changes all the time."""
    return one[:3] == other[:3] and one.image == other.image
