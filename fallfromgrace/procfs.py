"""What the kernel says of a process in /proc, read without a library where psutil's answer is not safe enough.

Its creation time is wall clock time, which moves when the clock is stepped; it takes `Uid:` from wherever a process's
name imitates it; it reads command lines whole, which may be 2 MB, and leaves NULs in one that was made to end oddly.
"""

from __future__ import annotations

import errno
import os
import re
from typing import NamedTuple

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h


class Stat(NamedTuple):
    """Fields of /proc/PID/stat, proc(5).

    `start` counts clock ticks since boot. `arguments` is where the command line is in memory, which changes with every
    exec; 0 where we may not know. `ticks` are those of CPU time that it has used.
    """

    comm: str
    state: str
    ppid: int
    pgid: int
    start: int
    kernel_thread: bool
    arguments: int = 0
    ticks: int = 0
    threads: int = 1


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
        arguments=int(fields[45]) if len(fields) > 45 else 0,  # since Linux 3.5
        ticks=int(fields[11]) + int(fields[12]),
        threads=int(fields[17]),
    )


def read_stat(pid: int, root: str = "/proc") -> Stat | None:
    """A process's stat; None where there is no such process, or none that we may see."""
    line = _read(f"{root}/{pid}/stat", 4096)
    return parse_stat(line) if line else None


def read_cmdline(pid: int, limit: int, root: str = "/proc") -> str | None:
    """The arguments joined by single spaces, trailing blanks removed, of at most `limit` bytes."""
    arguments = _read(f"{root}/{pid}/cmdline", limit)
    if arguments is None:
        return None
    text = arguments.decode(errors="surrogateescape").replace("\0", " ")
    return text if len(arguments) == limit else text.rstrip()  # blanks at a cut are not trailing


# At the beginning of a line: the first is the name, in which the kernel escapes newlines.
_UIDS = re.compile(rb"^Uid:\t\d+\t(\d+)", re.MULTILINE)


def read_euid(pid: int, root: str = "/proc") -> int | None:
    """Whose process it is: the effective uid."""
    uids = _UIDS.search(_read(f"{root}/{pid}/status", 4096) or b"")
    return int(uids[1]) if uids else None


def read_exe(pid: int, root: str = "/proc") -> str:
    """The path of what a process executes, also where that file is gone; empty where we may not know."""
    try:
        return os.readlink(f"{root}/{pid}/exe").removesuffix(" (deleted)")
    except OSError as error:
        if error.errno in _OUR_OWN_WANT:
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
    found = dict(_ROLLUP.findall(_read(f"{root}/{pid}/smaps_rollup", 4096) or b""))
    if b"Pss" not in found:
        return None
    unique = sum(int(size) for name, size in found.items() if name.startswith(b"Private"))
    return Rollup(int(found[b"Pss"]) << 10, unique << 10, int(found.get(b"Swap", 0)) << 10)


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


_OUR_OWN_WANT = (errno.EMFILE, errno.ENFILE)


def _read(path: str, limit: int) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(limit)
    except OSError as error:
        if error.errno in _OUR_OWN_WANT:
            raise
        return None  # gone, hidden, or unreadable for a reason of its own, which must not cost us the others
