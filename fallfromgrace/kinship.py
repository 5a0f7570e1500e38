"""Who descends from whom, asked of the kernel at this moment: what we have started, and all below it, is our own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container

from fallfromgrace import procfs
from fallfromgrace.table import Process

# Whoever wants a longer chain of parents read, at each action, is not a command of ours.
_MOST_PARENTS = 256
_TICKS = os.sysconf("SC_CLK_TCK")


class Kin:
    """A process, what it forks from now on, its `commands`, by their pids, and all that these have started.

    Who outlives their parent is the kernel's to give away, and no kin any more: also not of who gets them, such as the
    first process of a container. Nor is what a process had started before it executed what it is now.
    """

    def __init__(self, pid: int, commands: Callable[[], Container[int]] = frozenset) -> None:
        self._pid = pid
        self._commands = commands
        self._since = int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)
        self._group = os.getpgid(0)

    def __contains__(self, process: object) -> bool:
        assert isinstance(process, Process)
        pid, parent = process.id.pid, process.ppid
        if pid == self._pid or pid in self._commands():
            return True
        if parent == self._pid:
            return process.pgid == self._group and process.id.start >= self._since
        return self._is_below_a_command(parent)

    def _is_below_a_command(self, parent: int | None) -> bool:
        for _ in range(_MOST_PARENTS):
            if not parent or parent == self._pid:
                return False
            if parent in self._commands():
                return True
            parent = procfs.read_parent(parent)
        return False
