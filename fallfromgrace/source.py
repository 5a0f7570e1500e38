"""Where process tables come from: the port the loop reads through, and the portable source behind it, psutil."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import psutil

from fallfromgrace import procfs
from fallfromgrace.expression import Sample
from fallfromgrace.table import Image, Process, ProcessId, ProcessTable

# A command line may be 2 MB long and is chosen by whoever runs the process; nobody's regex needs more than this.
LONGEST_CMDLINE = 8192
# Stands for what was cut off, so that a `$` does not match at the cut.
CUT = "..."

# A process between fork and exec shows its parent's command line: a new one is read again until seen for so long.
_YOUNG_SECONDS = 5.0
# Others are read again at an exec, and after this and up to ten seconds more, spread by pid: with the default interval
# arguments that were overwritten are noticed within a minute.
_REREAD_SECONDS = 40.0


class Source(Protocol):
    """What the loop needs to know of the machine's processes."""

    def look(self, now: float) -> ProcessTable:
        """Everybody who is running, kernel threads left out."""

    def measure(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Sample]:
        """What these use; who has ended is not in it, what may not be read is not in the sample."""

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """Everything about one pid as it is this moment, nothing remembered; None where it has ended."""


class _Known(NamedTuple):
    """An image with what tells whether to read it again."""

    image: Image
    comm: str
    arguments: int
    first_seen: float
    read_at: float


class PsutilSource:
    """Reads `stat` of everybody at each look, command lines once for each image, and memory of who is asked for."""

    def __init__(self) -> None:
        self._known: dict[ProcessId, _Known] = {}

    def look(self, now: float) -> ProcessTable:
        """See Source."""
        known, self._known = self._known, {}
        return ProcessTable(process for pid in psutil.pids() if (process := self._process(pid, known, now)))

    def _process(self, pid: int, before: dict[ProcessId, _Known], now: float) -> Process | None:
        stat = procfs.read_stat(pid)
        if stat is None or stat.kernel_thread:
            return None
        identity = ProcessId(pid, stat.start)
        known = before.get(identity)
        if known is None or _stale(known, stat, pid, now):
            image = _read_image(pid)
            if image is None:
                return None
            known = _Known(image, stat.comm, stat.arguments, known.first_seen if known else now, now)
        self._known[identity] = known
        return Process(identity, stat.ppid, stat.pgid, stat.state, known.image)

    def measure(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Sample]:
        """See Source."""
        samples = ((identity, _read_sample(identity.pid)) for identity in identities)
        return {identity: sample for identity, sample in samples if sample is not None}

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """See Source."""
        stat, image, sample = procfs.read_stat(pid), _read_image(pid), _read_sample(pid)
        if stat is None or image is None or sample is None:
            return None
        return Process(ProcessId(pid, stat.start), stat.ppid, stat.pgid, stat.state, image), sample


def _stale(known: _Known, stat: procfs.Stat, pid: int, now: float) -> bool:
    """Whether to read an image again: it is new, it was in the middle of an exec, it is another one, or it is time."""
    young = known.read_at - known.first_seen < _YOUNG_SECONDS
    another = (stat.comm, stat.arguments) != (known.comm, known.arguments)
    return young or another or not known.image.cmdline or now - known.read_at >= _REREAD_SECONDS + pid % 10


def _read_image(pid: int) -> Image | None:
    """None where the process has ended, or may not be looked at."""
    # A character may take four bytes; one byte more tells that there was more.
    cmdline, euid = procfs.read_cmdline(pid, 4 * LONGEST_CMDLINE + 1), procfs.read_euid(pid)
    if cmdline is None or euid is None:
        return None
    return Image(cmdline if len(cmdline) <= LONGEST_CMDLINE else cmdline[:LONGEST_CMDLINE] + CUT, euid)


def _read_sample(pid: int) -> Sample | None:
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.AccessDenied:
        return {}
    except psutil.NoSuchProcess:
        return None
    # Without an address space it has just ended; zeros would be less than any limit.
    return {"rmem": memory.rss, "vmem": memory.vms} if memory.vms else None
