"""Proportional memory, not read too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from fallfromgrace import procfs
from fallfromgrace.expression import Sample
from fallfromgrace.table import ProcessId


class _Rolled(NamedTuple):
    """What a rollup said, when, and how many seconds it took."""

    sample: Sample
    at: float
    took: float


class Rollups:
    """The kernel walks every page of the process, which has to wait if it maps memory meanwhile: 17 ms for each
    resident GiB were measured."""

    SHORTEST_SECONDS = 1.0
    SHARE = 50  # of the time at most a fiftieth is spent in it

    def __init__(self, root: str = "/proc", clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._kept: dict[ProcessId, _Rolled] = {}

    def measure(self, identity: ProcessId, now: float) -> Sample:
        """What it says, or said a moment ago; nothing where it may not be read."""
        kept = self._kept.get(identity)
        if kept and now - kept.at < max(self.SHORTEST_SECONDS, self.SHARE * kept.took):
            return self._no_more_than_resident(kept.sample, identity.pid)
        began = self._clock()
        rollup = procfs.read_rollup(identity.pid, self._root)
        sample = {"pmem": rollup.pss, "umem": rollup.uss, "swap": rollup.swap} if rollup else {}
        self._kept[identity] = _Rolled(sample, now, self._clock() - began)
        return sample

    def drop(self, identity: ProcessId) -> None:
        """Forget what was said of a process that runs something else now, or has ended."""
        self._kept.pop(identity, None)

    def _no_more_than_resident(self, sample: Sample, pid: int) -> Sample:
        """What was read a while ago, of a process that may have become smaller since."""
        size = procfs.read_size(pid, self._root)
        resident = size.rmem if size else inf
        return {name: value if name == "swap" else min(value, resident) for name, value in sample.items()}
