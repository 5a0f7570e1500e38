"""Who descends from whom, asked of the kernel at this moment: what we have started, and all below it, is our own."""

from __future__ import annotations

from math import inf

from fallfromgrace import procfs
from fallfromgrace.table import Process

# Whoever wants a longer chain of parents read, at each action, is not a command of ours.
_MOST_PARENTS = 256


class Kin:
    """A process, all that it has started, what that has started, and so on.

    Who outlives their parent is the kernel's to give away, and no kin any more.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        stat = procfs.read_stat(pid)
        self._start = stat.start if stat else inf

    def __contains__(self, process: Process) -> bool:
        pid, parent, start = process.id.pid, process.ppid, process.id.start
        for _ in range(_MOST_PARENTS):
            if pid == self._pid:
                return True
            stat = procfs.read_stat(parent) if start >= self._start else None  # nobody is older than their parent
            if stat is None:
                return False
            pid, parent, start = parent, stat.ppid, stat.start
        return False
