"""What the daemon did since it was started, as it is published: actions, counts, and what it all cost. Times are the
monotonic clock's until they are written down.

To publish is never worth more than to act: for want of memory something may be missing here, and nothing else comes of
it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from fallfromgrace.coverage import Covered
from fallfromgrace.rules import Config, Monitor, Rule
from fallfromgrace.state import Moment
from fallfromgrace.table import Process
from fallfromgrace.verdict import Outcome

MOST_ACTIONS = 100
MOST_LOOKS = 100
MOST_PROCESSES = 1000
MOST_PROBLEMS = 20
# Of a command line; the processes that are there can be asked for theirs.
MOST_CHARACTERS = 200
# The upper bounds of classes, in seconds. Most looks take less than a thousandth of one; an action is to be done within
# the twentieth that is between two looks.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Spread:
    """How long something took: how often, how long in all, and how many times fell into each class."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.seconds += seconds
        self.counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def plain(self) -> dict[str, object]:
        return {"count": sum(self.counts), "seconds": self.seconds, "bounds": BOUNDS, "counts": self.counts}


class _Time(NamedTuple):
    """When something was, and for how long the machine had slept until then, which that clock does not count."""

    at: float
    slept: float


class _Act(NamedTuple):
    """What is said of an action; `at` is when it was done."""

    at: _Time
    monitor: str
    rule: str
    action: str
    pid: int | None
    cmdline: str
    value: str
    limit: str
    result: str
    detail: str
    recovered: bool
    seconds: float

    @property
    def repeats(self) -> tuple[object, ...]:
        """What is the same when the same fails in the same way once more."""
        return self.monitor, self.rule, self.action, self.pid, self.result, self.detail


class Ledger:
    """Keeps account. `start` is that of our own process, `cpu` the seconds of it that we have used, `slept` those that
    the machine was suspended for."""

    def __init__(
        self,
        start: int = 0,
        cpu: Callable[[], float] = lambda: 0.0,
        slept: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._start = start
        self._cpu = cpu
        self._slept = slept
        self._acts: deque[_Act] = deque(maxlen=MOST_ACTIONS)
        self._counts: Counter[tuple[str, str, str, str]] = Counter()
        self._looks = Spread()
        self._last: deque[float] = deque(maxlen=MOST_LOOKS)
        self._reactions = Spread()
        self._loaded_at = _Time(0.0, 0.0)
        self._reloads = Counter(taken=0, refused=0)
        self._reload: tuple[_Time, bool, Sequence[str]] | None = None
        self._covered: Sequence[Covered] = ()
        self._shown: dict[str, object] = {}

    # --- what happened ---

    def looked(self, seconds: float) -> None:
        """A look was over after so long."""
        self._looks.add(seconds)
        self._last.append(seconds)

    def acted(self, outcome: Outcome, seen: float, done: float) -> None:
        """Something was tried that a look at a time, `seen`, found to be due."""
        with suppress(MemoryError):
            act = _act(outcome, seen, self._time(done))
            self._counts[act.monitor, act.rule, act.action, act.result] += 1
            if outcome.result.delivered:
                self._reactions.add(act.seconds)
            elif any(act.pid == before.pid and act.repeats == before.repeats for before in self._acts):
                return  # what fails at each interval is listed once
            self._acts.append(act)

    def started(self, now: float) -> None:
        """The first configuration is in force."""
        self._loaded_at = self._time(now)

    def reloaded(self, config: Config, now: float) -> None:
        """Another one is; what is no longer in it is no longer counted."""
        with suppress(MemoryError):
            self._loaded_at = self._time(now)
            self._settle(now, True, ())
            kept = {(monitor.name, rule.text) for monitor in config.monitors for rule in monitor.rules}
            self._counts = Counter({key: count for key, count in self._counts.items() if key[:2] in kept})

    def refused(self, problems: Iterable[str], now: float) -> None:
        """A new configuration could not be used."""
        with suppress(MemoryError):
            self._settle(now, False, list(problems)[:MOST_PROBLEMS])

    def _settle(self, now: float, taken: bool, problems: Sequence[str]) -> None:
        self._reload = self._time(now), taken, problems
        self._reloads["taken" if taken else "refused"] += 1

    def _time(self, at: float) -> _Time:
        return _Time(at, self._slept())

    # --- as it is published ---

    def status(self, config: Config, covered: Sequence[Covered], written: Moment) -> dict[str, object]:
        """All of it, as plain values."""
        if not covered:  # before the first look, or after one that failed
            covered = [Covered(monitor, (), (), {}) for monitor in config.monitors]
        if covered is not self._covered:
            watched = len({identity for each in covered for identity in each.identities})
            self._shown = {"monitors": list(_monitors(covered)), "watched": watched}
            self._covered = covered
        return {
            "start": self._start,
            "interval": config.settings.interval,
            "configuration": self._configuration(config, written),
            **self._shown,
            "actions": [{**act._asdict(), "at": self._moment(act.at, written)} for act in self._acts],
            "counters": [
                dict(zip(("monitor", "rule", "action", "result", "count"), (*key, count), strict=True))
                for key, count in self._counts.items()
            ],
            "looks": {**self._looks.plain, "last": list(self._last)},
            "reactions": self._reactions.plain,
            "cpu": self._cpu(),
        }

    def _configuration(self, config: Config, written: Moment) -> dict[str, object]:
        last = None
        if self._reload:
            at, taken, problems = self._reload
            last = {"at": self._moment(at, written), "taken": taken, "problems": list(problems)}
        rules = sum(len(monitor.rules) for monitor in config.monitors)
        loaded = self._moment(self._loaded_at, written)
        return {"monitors": len(config.monitors), "rules": rules, "loaded": loaded, **self._reloads, "last": last}

    def _moment(self, then: _Time, written: Moment) -> dict[str, float]:
        """A time by both clocks; that for people as if it had never been set since."""
        passed = written.monotonic - then.at + self._slept() - then.slept
        return {"wall": max(0.0, written.wall - passed), "monotonic": then.at}


def _act(outcome: Outcome, seen: float, done: _Time) -> _Act:
    verdict, process = outcome.verdict, outcome.verdict.process
    assert verdict.item
    return _Act(
        at=done,
        monitor=verdict.monitor.name,
        rule=verdict.rule.text,
        action=verdict.item.action.verb,
        pid=process.id.pid if process else None,
        cmdline=_cmdline(process) if process else "",
        value=verdict.cause.value,
        limit=verdict.cause.limit,
        result=outcome.result.value,
        detail=outcome.detail,
        recovered=verdict.cause.recovered,
        seconds=max(0.0, done.at - seen),
    )


def _cmdline(process: Process) -> str:
    return process.image.shown[:MOST_CHARACTERS]


def _monitors(covered: Sequence[Covered]) -> Iterator[dict[str, object]]:
    room = MOST_PROCESSES
    for each in covered:
        processes = list(_processes(each, room))
        room -= len(processes)
        yield {**_monitor(each.monitor), "covered": len(each.descents), "processes": processes}


def _monitor(monitor: Monitor) -> dict[str, object]:
    return {"name": monitor.name, "observe": monitor.observe, "rules": [_rule(rule) for rule in monitor.rules]}


def _rule(rule: Rule) -> dict[str, object]:
    return {"trigger": rule.key, "text": rule.text, "actions": [str(item.action) for item in rule.items]}


def _processes(covered: Covered, most: int) -> Iterator[dict[str, object]]:
    for process, root, depth in covered.descents[:most]:
        below = root.id.pid if depth else None
        yield {"pid": process.id.pid, "start": process.id.start, "below": below, "cmdline": _cmdline(process)}
