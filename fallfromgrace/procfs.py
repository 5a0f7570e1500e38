"""What the kernel says of a process in /proc, read without a library where psutil's answer is not safe enough.

Its creation time is wall clock time, which moves when the clock is stepped; it takes `Uid:` from wherever a process's
name imitates it; it reads command lines whole, which may be 2 MB, and leaves NULs in one that was made to end oddly.

Whoever reads `stat`, `exe`, `cmdline`, `io`, `smaps_rollup` or `wchan` of a process may hang for ever: these are for
children to read (see `errand`). `status`, `statm`, `comm`, `limits`, `fd` and those of threads in `task` take no lock
that others can keep.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from fallfromgrace.table import Size

PAGE = os.sysconf("SC_PAGESIZE")

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h
ENDED = "ZX"
_STATM = 128  # bytes of a statm line that are enough for its first two numbers


class Stat(NamedTuple):
    """Fields of /proc/PID/stat, proc(5).

    `start` counts clock ticks since boot, `ticks` those of CPU time that it has used. `survivor` is a living thread of
    a process whose first one has ended, for which the kernel shows a zombie that uses nothing; the state is then its.
    `place` is made of where its stack and arguments are: another one after each exec, and a process cannot call itself
    otherwise there. 0 where we may not know.
    """

    comm: str
    state: str
    ppid: int
    pgid: int
    start: int
    kernel_thread: bool
    ticks: int = 0
    threads: int = 1
    survivor: int = 0
    place: int = 0

    @property
    def ended(self) -> bool:
        """Whether it only waits for its parent to take note."""
        return self.state in ENDED


def read_pids(root: str = "/proc") -> set[int]:
    """The pids of all whom we may see, zombies and kernel threads too: 0.4 us each."""
    return set(map(int, filter(str.isdigit, os.listdir(root))))


def read_newest_pid(root: str = "/proc") -> int | None:
    """The pid that was given last: as long as it stays the same, nobody was born.

    None on a kernel without CONFIG_CHECKPOINT_RESTORE, and in a container that sees others' /proc: it is of our own
    PID namespace. A machine that gives out all pids and ends at the same one, within a second, is not reckoned with.
    """
    try:
        if os.readlink(f"{root}/self") != str(os.getpid()):
            return None
    except OSError:
        return None
    line = _read(f"{root}/sys/kernel/ns_last_pid", 32)
    return int(line) if line else None


def parse_stat(line: bytes) -> Stat:
    """The fields of a stat line; the name in it may hold anything, `)` and newlines too, so the last `)` ends it."""
    head, _, tail = line.rpartition(b")")
    fields = tail.split()
    return Stat(
        comm=head.partition(b"(")[2].decode(errors="surrogateescape"),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        start=int(fields[19]),
        kernel_thread=bool(int(fields[6]) & _KERNEL_THREAD),
        ticks=int(fields[11]) + int(fields[12]),
        threads=int(fields[17]),
        place=hash((fields[25], fields[45])) if len(fields) > 45 and fields[45] != b"0" else 0,
    )


def read_stat(pid: int, root: str = "/proc") -> Stat | None:
    """A process's stat; None where there is no such process, or none that we may see."""
    line = read_stat_line(pid, root)
    return resolve(parse_stat(line), f"{root}/{pid}") if line else None


def read_stat_line(pid: int, root: str = "/proc") -> bytes | None:
    """The same as the kernel has it."""
    return _read(f"{root}/{pid}/stat", 4096)


def resolve(stat: Stat, home: str) -> Stat:
    """What a stat line says of the process with that directory, whichever of its threads are left."""
    if stat.state in ENDED and stat.threads > 1:
        for thread in _living_threads(home):
            if (state := read_state(f"{home}/task/{thread}")) and state not in ENDED:
                return stat._replace(state=state, survivor=thread)
    return stat


_STATE = re.compile(rb"^State:\t(\w)", re.MULTILINE)


def read_state(home: str) -> str:
    """The letter of the state of the process, or thread, with that directory; empty where there is none."""
    found = _STATE.search(_read(f"{home}/status", 4096) or b"")
    return found[1].decode() if found else ""


# Behind the groups of a process, which may be many.
_LONGEST_STATUS = 1 << 16
_FAMILY = re.compile(rb"^(PPid|NSpgid):\t(\d+)", re.MULTILINE)


def read_family(pid: int, root: str = "/proc") -> tuple[int, int] | None:
    """The parent and the group of a process, without `stat`."""
    found = dict(_FAMILY.findall(_read(f"{root}/{pid}/status", _LONGEST_STATUS) or b""))
    return (int(found[b"PPid"]), int(found[b"NSpgid"])) if len(found) == 2 else None


def read_comm(pid: int, root: str = "/proc") -> str | None:
    """The name of a process, as in its stat line."""
    name = _read(f"{root}/{pid}/comm", 64)
    return None if name is None else name.removesuffix(b"\n").decode(errors="surrogateescape")


def _living_threads(home: str) -> Iterator[int]:
    """Those that still have an address space: of a process that was killed none has, though it takes a while to end."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"{home}/task") as threads:
        for thread in threads:
            line = _read(f"{thread.path}/statm", _STATM)
            if line and parse_statm(line):
                yield int(thread.name)


def of_survivor(pid: int, root: str = "/proc") -> str:
    """Where to read of a process if only other threads than its first one are left of it; else empty."""
    home = f"{root}/{pid}"
    if (state := read_state(home)) and state in ENDED:
        for thread in _living_threads(home):
            if (state := read_state(f"{home}/task/{thread}")) and state not in ENDED:
                return f"{home}/task/{thread}"
    return ""


def read_arguments(pid: int, limit: int, root: str = "/proc", survivor: int = 0) -> bytes | None:
    """The arguments as the kernel has them, a NUL after each, of at most `limit` bytes; None where there are none."""
    return _read(f"{root}/{pid}/task/{survivor}/cmdline" if survivor else f"{root}/{pid}/cmdline", limit)


def join_arguments(arguments: bytes, limit: int) -> str:
    """Arguments that were read with that limit, joined by single spaces, trailing blanks removed."""
    text = arguments.decode(errors="surrogateescape").replace("\0", " ")
    return text if len(arguments) == limit else text.rstrip()  # blanks at a cut are not trailing


def parse_statm(line: bytes) -> Size | None:
    """The first two numbers of a statm line, in pages; None where they are zero: it has ended, or is about to.

    Zeros would be less than any limit.
    """
    vmem, rmem, _ = line.split(b" ", 2)
    return Size(int(rmem) * PAGE, int(vmem) * PAGE) if vmem != b"0" else None


def read_size(pid: int, root: str = "/proc") -> Size | None:
    """How large a process is; None where it has ended, or may not be looked at."""
    line = _read(f"{root}/{pid}/statm", _STATM)
    size = parse_statm(line) if line else None
    if line and not size and (survivor := of_survivor(pid, root)):
        line = _read(f"{survivor}/statm", _STATM)
        return parse_statm(line) if line else None
    return size


# At the beginning of a line: the first is the name, in which the kernel escapes newlines.
_UIDS = re.compile(rb"^Uid:\t\d+\t(\d+)", re.MULTILINE)


def read_euid(pid: int, root: str = "/proc") -> int | None:
    """Whose process it is: the effective uid."""
    uids = _UIDS.search(_read(f"{root}/{pid}/status", 4096) or b"")
    return int(uids[1]) if uids else None


_PARENT = re.compile(rb"^PPid:\t(\d+)", re.MULTILINE)


def read_parent(pid: int, root: str = "/proc") -> int | None:
    """The pid of a process's parent; unlike that in `stat`, nobody can make reading it hang."""
    parent = _PARENT.search(_read(f"{root}/{pid}/status", 4096) or b"")
    return int(parent[1]) if parent else None


def read_exe(pid: int, root: str = "/proc") -> str:
    """The path of what a process executes, also where that file is gone; empty where we may not know."""
    exe = _read_link(f"{root}/{pid}/exe")
    if not exe and (survivor := of_survivor(pid, root)):
        exe = _read_link(f"{survivor}/exe")
    return exe.removesuffix(" (deleted)")


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in OUR_OWN_WANT:
            raise
        return ""


# Without huge pages of hugetlbfs, which the kernel counts neither as resident nor as proportional memory.
_ROLLUP = re.compile(rb"^(Pss|Private_Clean|Private_Dirty|Swap): +(\d+) kB", re.MULTILINE)


class Rollup(NamedTuple):
    """Bytes of /proc/PID/smaps_rollup: proportional and unique set, and what is swapped out."""

    pss: int
    uss: int
    swap: int


def read_rollup(pid: int, root: str = "/proc") -> Rollup | None:
    """A process's memory as shared with others; None where it may not be read, or the kernel is older than 4.14."""
    text = _read(f"{root}/{pid}/smaps_rollup", 4096)
    if not text and (survivor := of_survivor(pid, root)):
        text = _read(f"{survivor}/smaps_rollup", 4096)
    return parse_rollup(text or b"")


def parse_rollup(text: bytes) -> Rollup | None:
    """What a smaps_rollup says."""
    found = dict(_ROLLUP.findall(text))
    if b"Pss" not in found:
        return None
    unique = sum(int(size) for name, size in found.items() if name.startswith(b"Private"))
    return Rollup(int(found[b"Pss"]) << 10, unique << 10, int(found.get(b"Swap", 0)) << 10)


_IO = re.compile(rb"^(read_bytes|write_bytes): (\d+)", re.MULTILINE)


def parse_io(text: bytes) -> dict[str, float]:
    """Bytes that were read from storage and written there; nothing where the kernel does not count, or tell us."""
    return {name.decode(): int(count) for name, count in _IO.findall(text)}


_OPEN_FILES = re.compile(rb"^Max open files +(\d+|unlimited)", re.MULTILINE)


def read_descriptor_limit(pid: int, root: str = "/proc") -> float | None:
    """How many descriptors a process may have open: the soft limit, infinity for none."""
    found = _OPEN_FILES.search(_read(f"{root}/{pid}/limits", 4096) or b"")
    return float(found[1].replace(b"unlimited", b"inf")) if found else None


_SOME = re.compile(rb"^some avg10=(\d+\.\d+)", re.MULTILINE)


def read_pressure(root: str = "/proc") -> float | None:
    """The share of the last ten seconds, in percent, in which something waited for memory; None before Linux 4.20."""
    found = _SOME.search(_read(f"{root}/pressure/memory", 4096) or b"")
    return float(found[1]) if found else None


# What is no reason to take somebody for gone.
OUR_OWN_WANT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def _read(path: str, limit: int) -> bytes | None:
    """With `open` it would take 1 us more, of 3 to 5."""
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.read(file, limit)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in OUR_OWN_WANT:
            raise
        return None  # gone, hidden, or unreadable for a reason of its own, which must not cost us the others
