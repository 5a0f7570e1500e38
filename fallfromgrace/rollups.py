"""Proportional memory, not read too often, and not waited for if that takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from fallfromgrace import procfs
from fallfromgrace.errand import ROLLUP, Errand
from fallfromgrace.errands import Errands
from fallfromgrace.expression import Sample
from fallfromgrace.table import ProcessId

# How long it may take before it is given up: of that for each resident GiB much more than what was ever measured. Who
# was given up is asked again after so long.
_PATIENCE_SECONDS, _PATIENCE_SECONDS_EACH_GIB, _AGAIN_SECONDS = 0.1, 0.2, 60.0
# What is waited for at one look; for longer ones it is asked at later looks whether they are ready.
_LOOK_SECONDS = 0.5
_MOST_UNDERWAY = 8


class _Rolled(NamedTuple):
    """What a rollup said, when, and after how many seconds it is read again."""

    sample: Sample
    at: float
    good_for: float


class _Underway(NamedTuple):
    """One that is not ready, and until when that is put up with."""

    errand: Errand
    until: float


class Rollups:
    """The kernel walks every page of the process, which has to wait if it maps memory meanwhile: 17 ms for each
    resident GiB were measured. If somebody holds up the process it takes for ever.

    So it is read by `errands`, where there are any, unless one that `hangs` is known to be held up.
    """

    SHORTEST_SECONDS = 1.0
    SHARE = 50  # of the time at most a fiftieth is spent in it

    def __init__(
        self,
        root: str = "/proc",
        errands: Errands | None = None,
        hangs: Callable[[ProcessId], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._errands = errands
        self._hangs = hangs
        self._clock = clock
        self._kept: dict[ProcessId, _Rolled] = {}
        self._underway: dict[ProcessId, _Underway] = {}
        self._now, self._left = -inf, 0.0

    def measure(self, identity: ProcessId, now: float) -> Sample:
        """What it says, or said a moment ago; nothing where it may not or cannot be read."""
        kept = self._kept.get(identity)
        if kept and now - kept.at < kept.good_for:
            return self._no_more_than_resident(kept.sample, identity.pid)
        if self._errands is None:
            began = self._clock()
            return self._keep(identity, procfs.read_rollup(identity.pid, self._root), now, self._clock() - began)
        if self._hangs(identity):
            return {}
        if self._fetch(self._errands, identity, now):
            return self._kept[identity].sample
        return self._no_more_than_resident(kept.sample, identity.pid) if kept else {}

    def drop(self, identity: ProcessId) -> None:
        """Forget what was said of a process that runs something else now, or has ended."""
        self._kept.pop(identity, None)
        if self._errands and (underway := self._underway.pop(identity, None)):
            self._errands.give_back(underway.errand)

    def close(self) -> None:
        """Give up what is underway."""
        for identity in list(self._underway):
            self.drop(identity)

    def _keep(self, identity: ProcessId, rollup: procfs.Rollup | None, now: float, took: float) -> Sample:
        sample: Sample = {"pmem": rollup.pss, "umem": rollup.uss, "swap": rollup.swap} if rollup else {}
        self._kept[identity] = _Rolled(sample, now, max(self.SHORTEST_SECONDS, self.SHARE * took))
        return sample

    def _fetch(self, errands: Errands, identity: ProcessId, now: float) -> bool:
        """Have it read, or go on with that; whether that came to something by now."""
        if now != self._now:
            self._now, self._left = now, _LOOK_SECONDS
        underway = self._underway.pop(identity, None)
        if underway is None:
            if self._left <= 0 or len(self._underway) >= _MOST_UNDERWAY:
                return False
            underway = self._set_out(errands, identity)
        errand, began = underway.errand, self._clock()
        try:
            over = errand.wait(min(self._left, underway.until - began))
            self._left -= self._clock() - began
            if not over and self._clock() < underway.until:
                self._underway[identity] = underway
                return False
            self._take(errand, identity, now)
        finally:
            if identity not in self._underway:
                errands.give_back(errand)
        return identity in self._kept

    def _set_out(self, errands: Errands, identity: ProcessId) -> _Underway:
        size, errand = procfs.read_size(identity.pid, self._root), errands.take()
        errand.ask(ROLLUP, [identity.pid])
        gib = size.rmem / (1 << 30) if size else 0.0
        return _Underway(errand, self._clock() + _PATIENCE_SECONDS + _PATIENCE_SECONDS_EACH_GIB * gib)

    def _take(self, errand: Errand, identity: ProcessId, now: float) -> None:
        """What it has brought; nothing for a minute, if it does not come back."""
        for _, answer in errand.answers():
            if isinstance(answer, OSError):
                raise answer
            rollup = procfs.parse_rollup(answer.content) if answer else None
            self._keep(identity, rollup, now, answer.took if answer else 0.0)
            return
        if errand.is_held:
            self._kept[identity] = _Rolled({}, now, _AGAIN_SECONDS)

    def _no_more_than_resident(self, sample: Sample, pid: int) -> Sample:
        """What was read a while ago, of a process that may have become smaller since."""
        size = procfs.read_size(pid, self._root)
        resident = size.rmem if size else inf
        return {name: value if name == "swap" else min(value, resident) for name, value in sample.items()}
