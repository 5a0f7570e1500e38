"""What the kernel says of a process in /proc, read without a library.

Identity comes from here and not from psutil: its creation time is wall clock time, which moves when the clock is
stepped, and it does not tell kernel threads.
"""

from __future__ import annotations

from typing import NamedTuple

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h


class Stat(NamedTuple):
    """Fields of /proc/PID/stat, proc(5); `start` counts clock ticks since boot."""

    comm: str
    state: str
    ppid: int
    pgid: int
    start: int
    kernel_thread: bool


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
    )


def read_stat(pid: int, root: str = "/proc") -> Stat | None:
    """A process's stat; None where there is no such process, or none that we may see."""
    try:
        with open(f"{root}/{pid}/stat", "rb", buffering=0) as stat:
            return parse_stat(stat.read())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
