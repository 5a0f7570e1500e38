"""What was read in one look, and what a condition sees of it: a process, its tree, a group, the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from math import inf
from typing import Any, NamedTuple, TypeVar

from fallfromgrace.expression import (
    NOTHING,
    Condition,
    Growth,
    Measured,
    Metric,
    Sample,
    Scope,
    View,
    Whole,
    measured,
    wholes,
)
from fallfromgrace.history import History
from fallfromgrace.intervals import ARITHMETIC, UNKNOWN, Interval, exactly, total
from fallfromgrace.table import ProcessId, ProcessTable


class Facet(IntEnum):
    """What can be read at one go, the cheapest first."""

    MACHINE = 0
    STAT = 1  # cputime, threads, age, stopped
    MEMORY = 2  # rmem, vmem
    IO = 3  # read_bytes, write_bytes: what was read and written since the process started
    DESCRIPTORS = 4  # fds, fdlimit
    ROLLUP = 5  # pmem, umem, swap: 17 ms for each resident GiB, during which the process itself may have to wait


FACETS: Mapping[str, Facet] = {
    **dict.fromkeys(("cputime", "threads", "age", "stopped", "cpu"), Facet.STAT),
    **dict.fromkeys(("rmem", "vmem"), Facet.MEMORY),
    **dict.fromkeys(("read", "write", "read_bytes", "write_bytes"), Facet.IO),
    **dict.fromkeys(("fds", "fdlimit"), Facet.DESCRIPTORS),
    **dict.fromkeys(("pmem", "umem", "swap"), Facet.ROLLUP),
}
# Of what a rate is the change, and how much of it in a second is one: a second of CPU time is 100 % of a core.
COUNTERS: Mapping[str, tuple[str, float]] = {
    "cpu": ("cputime", 100.0),
    "read": ("read_bytes", 1.0),
    "write": ("write_bytes", 1.0),
}
# What a process cannot have more of than of this: unique is a part of proportional, that of resident memory.
_AT_MOST = {"pmem": "rmem", "umem": "pmem", "swap": "vmem"}


_Found = TypeVar("_Found")


class Want(NamedTuple):
    """A reading to be made of a process, or of the machine where there is none."""

    identity: ProcessId | None
    facet: Facet


class Readings:
    """What was read in one look so far."""

    def __init__(self, table: ProcessTable) -> None:
        self.table = table
        self._samples: dict[ProcessId | None, dict[str, float]] = {}
        self._made: set[Want] = set()
        self._ended: set[ProcessId] = set()
        # What was found out of these readings about several processes, by what it is; gone when more is read.
        self.memo: dict[object, Any] = {}

    def add(self, wants: Iterable[Want], found: Mapping[ProcessId | None, Sample]) -> None:
        """What came of readings; a process that is not among what was found has ended."""
        self.memo.clear()
        for want in wants:
            self._made.add(want)
            if want.identity is not None and want.identity not in found:
                self._ended.add(want.identity)
        for identity, sample in found.items():
            self._samples.setdefault(identity, {}).update(sample)

    def lives(self, identity: ProcessId) -> bool:
        """Whether a process had not ended when it was last read."""
        return identity not in self._ended

    def stopped(self, identity: ProcessId) -> bool:
        """Whether a process is stopped, by what was read in this look, else by what was known before."""
        read, process = self.sample(identity).get("stopped"), self.table.get(identity)
        return bool(read) if read is not None else bool(process and process.stopped)

    def sample(self, identity: ProcessId | None) -> dict[str, float]:
        """What was read of a process, or of the machine."""
        return self._samples.get(identity, {})

    @property
    def identities(self) -> tuple[ProcessId, ...]:
        """Of whom something was read."""
        return tuple(identity for identity in self._samples if identity is not None)

    def missing(self, identity: ProcessId | None, facet: Facet) -> frozenset[Want]:
        """The reading, if it was not made yet."""
        want = Want(identity, facet)
        return NOTHING if want in self._made else frozenset({want})

    def known(self, identity: ProcessId | None, name: str) -> Interval:
        """What is known of a number: itself, or what it cannot exceed."""
        value = self.sample(identity).get(name)
        if value is not None:
            return exactly(value)
        if name in _AT_MOST:
            return Interval(0, self.known(identity, _AT_MOST[name]).high)
        return UNKNOWN


class Subject(NamedTuple):
    """Whom a rule is judged for: the monitor's name, and the process, or None for all that it covers."""

    monitor: str
    identity: ProcessId | None


class Sight:
    """What a condition sees for one subject; a View of `expression`."""

    def __init__(
        self,
        readings: Readings,
        history: History,
        subject: Subject,
        tree: Callable[[], Sequence[ProcessId]],
        group: Sequence[ProcessId],
        now: float,
    ) -> None:
        self._readings = readings
        self._history = history
        self._subject = subject
        self._tree = tree
        self._group = group
        self._now = now

    def interval(self, found: Measured) -> Interval:
        """See View."""
        if isinstance(found, Growth):
            return self._growth(found)
        if found.scope is Scope.SYSTEM:
            return self._readings.known(None, found.name)
        if found.name == "count":
            return exactly(len(self._living(self._group)))
        if found.name == "children":
            return exactly(len(self._living(self._tree())) - 1)
        if found.scope is Scope.OWN:
            return self._of(self._members(found.scope)[0], found.name)
        members = self._members(found.scope)
        return self._once(found, lambda: total(self._of(identity, found.name) for identity in members))

    def whole(self, whole: Whole) -> Interval:
        """See View."""
        return self._readings.known(self._whose(whole), whole.value)

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """See View."""
        if isinstance(found, Whole):
            facet = Facet.DESCRIPTORS if found is Whole.DESCRIPTORS else Facet.MACHINE
            return self._readings.missing(self._whose(found), facet)
        metric = found.metric if isinstance(found, Growth) else found
        if metric.scope is Scope.SYSTEM:
            return self._readings.missing(None, Facet.MACHINE)
        facets = {FACETS[name] for name in needed(metric.name)}
        members = self._members(metric.scope) if facets else ()
        missing = self._readings.missing

        def find() -> frozenset[Want]:
            return NOTHING.union(*(missing(each, facet) for each in members for facet in facets))

        return find() if metric.scope is Scope.OWN else self._once((metric, "wants"), find)

    def always(self, found: Measured) -> frozenset[Want]:
        """The readings that are made whatever the condition comes to: what was not remembered cannot be compared."""
        if isinstance(found, Growth):
            return self.wants(found) if self._history.due((self._subject, found), self._now) else NOTHING
        return self.wants(found) if found.name in COUNTERS else NOTHING

    def early(self, found: Measured) -> bool:
        """Whether something is not known only because it was not watched for long enough."""
        if isinstance(found, Growth):
            return self.interval(found.metric).known
        return found.name in COUNTERS and all(map(self._counted(found.name), self._members(found.scope)))

    def remember(self, growth: Growth) -> None:
        """Keep what a metric is now, for what it will have grown by."""
        now = self.interval(growth.metric)
        if now.known:
            self._history.add((self._subject, growth), self._now, now.low, growth.window)

    def _once(self, what: Metric | tuple[Metric, str], find: Callable[[], _Found]) -> _Found:
        """What is the same for all who ask: of a group that is everybody whom the monitor covers."""
        metric = what if isinstance(what, Metric) else what[0]
        about = (self._subject.monitor, None if metric.scope is Scope.GROUP else self._subject.identity, what)
        memo = self._readings.memo
        if about not in memo:
            memo[about] = find()
        found: _Found = memo[about]
        return found

    def _members(self, scope: Scope) -> Sequence[ProcessId]:
        if scope is Scope.OWN:
            return (self._subject.identity,) if self._subject.identity else ()
        identities = self._tree() if scope is Scope.TREE else self._group
        return self._once((Metric("count", scope), "living"), lambda: self._living(identities))

    def _living(self, identities: Sequence[ProcessId]) -> list[ProcessId]:
        return [identity for identity in identities if self._readings.lives(identity)]

    def _whose(self, whole: Whole) -> ProcessId | None:
        return self._subject.identity if whole is Whole.DESCRIPTORS else None

    def _of(self, identity: ProcessId, name: str) -> Interval:
        return self._rate(identity, name) if name in COUNTERS else self._readings.known(identity, name)

    def _rate(self, identity: ProcessId, name: str) -> Interval:
        counter, factor = COUNTERS[name]
        sample = self._readings.sample(identity)
        if counter not in sample or self._readings.stopped(identity):
            return UNKNOWN
        window = self._history.rate_window
        if sample.get("age", inf) < window:  # it had used nothing when it was not there yet
            return exactly(factor * sample[counter] / window)
        change = self._history.change((identity, counter), self._now, sample[counter], 1.5 * self._history.interval)
        return exactly(factor * max(0, change[0]) / change[1]) if change else UNKNOWN

    def _counted(self, name: str) -> Callable[[ProcessId], bool]:
        return lambda identity: COUNTERS[name][0] in self._readings.sample(identity)

    def _growth(self, growth: Growth) -> Interval:
        now = self.interval(growth.metric)
        key = self._subject, growth
        change = self._history.change(key, self._now, 0, growth.window / 2) if now != UNKNOWN else None
        return ARITHMETIC["+"](now, exactly(change[0])) if change else UNKNOWN


def needed(name: str) -> tuple[str, ...]:
    """What has to be read for a metric: a bound as well, which may save the reading, and for a rate the age."""
    if name in COUNTERS:
        return COUNTERS[name][0], "age"
    if name in _AT_MOST:
        return name, *needed(_AT_MOST[name])
    return (name,) if name in FACETS else ()


def facets_of(condition: Condition) -> frozenset[Facet]:
    """All that may have to be read for a condition."""
    parts = {Facet.DESCRIPTORS if whole is Whole.DESCRIPTORS else Facet.MACHINE for whole in wholes(condition)}
    metrics = {found.metric if isinstance(found, Growth) else found for found in measured(condition)}
    machine = {Facet.MACHINE for metric in metrics if metric.scope is Scope.SYSTEM}
    names = {name for metric in metrics if metric.scope is not Scope.SYSTEM for name in needed(metric.name)}
    return frozenset(parts | machine | {FACETS[name] for name in names})


class Ageless:
    """What is seen by somebody who cannot tell a process's age: what they know does not depend on it."""

    def __init__(self, sight: View) -> None:
        self._sight = sight

    def interval(self, found: Measured) -> Interval:
        """See View."""
        return UNKNOWN if found == Metric("age") else self._sight.interval(found)

    def whole(self, whole: Whole) -> Interval:
        """See View."""
        return self._sight.whole(whole)

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """See View."""
        return NOTHING


class Again:
    """What is seen with some numbers of the process itself read once more; sums and rates are as they were."""

    def __init__(self, sight: View, sample: Sample) -> None:
        self._sight = sight
        self._sample = sample

    def interval(self, found: Measured) -> Interval:
        """See View."""
        if isinstance(found, Metric) and found.scope is Scope.OWN and FACETS.get(found.name) is Facet.MEMORY:
            return exactly(self._sample[found.name]) if found.name in self._sample else UNKNOWN
        return self._sight.interval(found)

    def whole(self, whole: Whole) -> Interval:
        """See View."""
        return self._sight.whole(whole)

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """See View."""
        return NOTHING
