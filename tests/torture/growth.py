"""A day's worth of looks, at a crowd that changes all the time, by a clock that is turned on by ten seconds each time.

The crowd is of real processes, in a PID namespace of their own: a tree that was recorded would never have a process end
while it is read. Everything of the daemon that remembers is there, in one process, that does nothing else; its rules
are of every kind, and only say what they would do. Each hour the configuration is taken up anew.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
from collections import deque
from typing import Any, NamedTuple

from fallfromgrace import procfs
from fallfromgrace.actions import Performer
from fallfromgrace.engine import Engine
from fallfromgrace.linux import LinuxSource
from fallfromgrace.loop import Loop
from fallfromgrace.protection import Self
from tests.builders import Lines, config, monitor
from tests.torture import Figure, _namespace

TITLE = "8,640 sweeps under churn (a day's worth)"
GOAL = "resident growth under 512 KiB after the first 1,000"
FULL = {"sweeps": 8640, "first": 1000, "most": 512}
# Too short for what Python's memory comes to by itself; blocks tell what is kept for each process or sweep.
SHORT = {"sweeps": 140, "first": 70, "most": 2048}

needs = _namespace.needs

_SECONDS = 10.0
_CROWD, _BORN = 4, 2
_RELOAD = 360
_MARK = "in-a-crowd"
_RULES = {
    "rmem > 1k": ["log $NAME $PID", "exec @ 1m true", "nice 5", "after 30s term", "after 20s kill"],
    "vmem > 1k for 20s": ["stop @ 1m", "recovered notify back"],
    "rmem > 1k until rmem < 1k": "notify @ 1m $NAME $CMDLINE",
    "growth(rmem, 5m) > 0": "log @ 1m grows",
    "tree.rmem > 1k and children >= 0": "usr1 tree @ 1m",
    "pmem > 1k or umem > 1k or swap > 1k": "oom 500",
    "cpu > 0 or read + write > 0": "log @ 10s busy",
    "cputime > 1h or age > 1m": "hup @ 1m",
    "threads > 0 and fds > 0": "int",
    "group.rmem > 1k": "term largest @ 1m",
    "count > 2 and growth(group.rmem, 5m) >= 0": "kill group @ 1h",
    "system.available > 1k and system.load >= 0": "notify @ 1m x",
    "fds > 99%": "log never",
}


_FEW = dict([*_RULES.items()][:3])
_WATCHED = config(monitor(_RULES, "crowd", _MARK, children=True), monitor(_FEW, "same", _MARK, exclude="-1$"))
_MYSELF = Self(os.getpid())


class Silent(Lines):
    """A log that is not kept, but for what is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0
        self.faults: list[str] = []

    def write(self, priority: int, text: str) -> None:
        self.lines += 1
        if "report" in text or "Error" in text:
            self.faults = [*self.faults, text][:20]


def run(sweeps: int, first: int, most: int) -> Figure:
    found = _namespace.run(__name__, sweeps=sweeps, first=first, most=most)
    said = (
        "{growth:+} KiB of its own memory, {blocks:+} blocks, after the first {first} of {sweeps} sweeps; {born} "
        "processes were born, {lines} lines told"
    ).format(**found)
    return Figure(said, not found["faults"], tuple(found["faults"]))


def inside(sweeps: int, first: int, most: int) -> dict[str, Any]:
    """What is found, by the first process of a namespace."""
    crowd, log = Crowd(), Silent()
    loop = _loop(log)
    before = None
    for sweep in range(sweeps):
        if sweep % _RELOAD == 0:
            _reload(loop, sweep * _SECONDS)
        crowd.change()
        loop._look(sweep * _SECONDS)
        if sweep == first:
            before, born = _used(), crowd.born
    after = _used()
    assert before
    growth, blocks = (after.memory - before.memory) >> 10, after.blocks - before.blocks
    faults = log.faults + ([f"{growth} KiB more"] if growth >= most else [])
    faults += [f"{blocks} blocks more"] if blocks > 500 + (crowd.born - born) / 2 else []
    faults += ["nothing was told"] if log.lines < sweeps else []
    return {
        "growth": growth, "blocks": blocks, "first": first, "sweeps": sweeps, "born": crowd.born, "lines": log.lines,
        "faults": faults,
    }  # fmt: skip


class Used(NamedTuple):
    """Memory that is this process's alone, in bytes, and how many blocks of it Python has given out."""

    memory: int
    blocks: int


def _used() -> Used:
    gc.collect()
    rollup = procfs.read_rollup(os.getpid())
    assert rollup
    return Used(rollup.uss, sys.getallocatedblocks())


def _loop(log: Silent) -> Loop:
    source = LinuxSource(lambda text: None)
    performer = Performer(source, dry_run=True, log=log, myself=0)
    return Loop(_WATCHED, read=_never, source=source, performer=performer, log=log, myself=_MYSELF)


def _reload(loop: Loop, now: float) -> None:
    """What the rules remember is taken over."""
    engine = Engine(_WATCHED, _MYSELF)
    engine.adopt(loop._engine, now)
    loop._engine = engine
    loop._set_up_source()


def _never(now: float) -> Any:
    raise AssertionError("nothing is read here")


class Crowd:
    """Shells that wait, the oldest of which end all the time; some stay for good."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._input, self._never_told = os.pipe()
        self._pids: deque[int] = deque()
        self.born = 0
        for _ in range(2):
            self._bear()
        self._stay, self._pids = self._pids, deque()

    def change(self) -> None:
        """Some are born, and so many end."""
        for _ in range(_BORN):
            self._bear()
        while len(self._pids) > _CROWD:
            pid = self._pids.popleft()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _bear(self) -> None:
        self.born += 1
        words = ["sh", "-c", "read x", f"{_MARK}-{self.born}", "x" * self._random.randrange(100), f"-{self.born % 7}"]
        actions = [(os.POSIX_SPAWN_DUP2, self._input, 0)]
        self._pids.append(os.posix_spawn("/bin/sh", words, {}, file_actions=actions, setsigmask=[]))
