"""What is remembered from look to look: lives of rules, what they have done, and when. Pure; times are arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from fallfromgrace import lifecycle
from fallfromgrace.docket import InstanceKey, RuleKey
from fallfromgrace.lifecycle import Instance, Ladder, RunningClock
from fallfromgrace.looks import Look
from fallfromgrace.rules import Exec, Item, Log, Notify
from fallfromgrace.table import Descent, ProcessId, ProcessTable
from fallfromgrace.verdict import Outcome, Result, Verdict

# An action's limit across reloads: monitor, action, and the process or the owner where there is a limit for each.
LimitKey = tuple[str, str, ProcessId | int | None]

# When what failed is tried again: the rule's life, the action's key, and whom it is for.
RetryKey = tuple[InstanceKey, str, ProcessId | None]

# A process's running clock; what is only observed has its own, for nobody was stopped.
ClockKey = tuple[ProcessId, bool]

NEW = Instance()


class Ways(NamedTuple):
    """How what is remembered was done: what each rule does and when, and which monitors only observe."""

    ladders: Mapping[RuleKey, Ladder] = MappingProxyType({})
    observing: frozenset[str] = frozenset()


_NO_WAYS = Ways()


class Memory:
    """Everything that an engine remembers of rules, but for numbers."""

    def __init__(self, ways: Ways = _NO_WAYS) -> None:
        self.ways = ways
        self.instances: dict[InstanceKey, Instance] = {}
        self.limits: dict[LimitKey, float] = {}
        self.clocks: dict[ClockKey, RunningClock] = {}
        self.retries: dict[RetryKey, float] = {}

    def instance(self, key: InstanceKey) -> Instance:
        """The life of a rule for somebody."""
        return self.instances.get(key, NEW)

    def keep(self, key: InstanceKey, instance: Instance) -> None:
        """Remember a life, if there is something to remember."""
        if not instance.idle:
            self.instances[key] = instance

    def forget(self, table: ProcessTable, kept: Collection[InstanceKey]) -> None:
        """Drop what belongs to processes that have ended, or are no longer covered."""
        self.instances = {key: lifecycle.forgetting(each, table) for key, each in self.instances.items() if key in kept}
        self.limits = {key: at for key, at in self.limits.items() if _remains(key[2], table)}
        self.retries = {key: at for key, at in self.retries.items() if _remains(key[2], table)}
        self.clocks = {key: clock for key, clock in self.clocks.items() if key[0] in table}

    def observe(self, look: Look) -> None:
        """See who of those that were stopped runs again."""
        for key, clock in self.clocks.items():
            self.clocks[key] = lifecycle.observe(clock, look.readings.stopped(key[0]), look.now)

    def told_to_end(self, monitors: Collection[str]) -> frozenset[ProcessId]:
        """Who was sent a signal that ends a process, by a rule of these monitors that fires."""
        told = (each.told_to_end for ((name, _), _), each in self.instances.items() if name in monitors)
        return frozenset().union(*told)

    def ever_stopped(self) -> tuple[ProcessId, ...]:
        """The processes that a rule has stopped, and that had not ended at the last look."""
        return tuple(identity for identity, observed in self.clocks if not observed)

    def due_at(self, verdict: Verdict) -> float:
        """When an action in force is due, by what was recorded so far; -inf at once."""
        assert verdict.item
        identity = identity_of(verdict.target)
        due = lifecycle.due_at(
            verdict.item,
            self.instance(key_of(verdict)),
            identity,
            self.limits.get(_limit_key(verdict)),
            self.clocks.get((identity, verdict.monitor.observe)) if identity else None,
            bool(verdict.process and verdict.process.stopped),
        )
        return max(due, self.retries.get((key_of(verdict), verdict.item.key, identity), due))

    def record(self, outcome: Outcome, now: float, interval: float) -> None:
        """Remember what was done: a delivered action uses its limit, a failed one is due again after an interval."""
        verdict, item = outcome.verdict, outcome.verdict.item
        assert item
        key, identity = key_of(verdict), identity_of(verdict.target)
        if outcome.result in (Result.DENIED, Result.FAILED):
            self.retries[key, item.key, identity] = now + interval
        if not outcome.result.delivered:
            return
        for each in (key, *self._others_owing(key, item, identity)):
            self.instances[each] = lifecycle.settled(
                lifecycle.delivered(self.instance(each), item, identity), verdict.rule
            )
        if lifecycle.is_stop(item.action) and identity:
            self.clocks[identity, verdict.monitor.observe] = RunningClock(now, (verdict.monitor.name, item.key))
        elif item.action.limit is not None:
            self.limits[_limit_key(verdict)] = now

    def _others_owing(self, key: InstanceKey, item: Item, target: ProcessId | None) -> list[InstanceKey]:
        """The same rule, firing for others, that is to do the same to a process: once is enough."""
        if isinstance(item.action, (Exec, Notify, Log)):
            return []
        same = ((each, instance) for each, instance in self.instances.items() if each[0] == key[0] and each != key)
        return [each for each, instance in same if target in instance.owed.get(item.own, ())]


def identity_of(descent: Descent | None) -> ProcessId | None:
    """Whom a descent is about."""
    return descent.process.id if descent else None


def key_of(verdict: Verdict) -> InstanceKey:
    """The life that a verdict comes of."""
    return (verdict.monitor.name, verdict.rule.key), verdict.cause.key.identity


def _limit_key(verdict: Verdict) -> LimitKey:
    """A signal's limit is for each process, that of a command for the rule, so that a decoy cannot shield a hog."""
    assert verdict.item
    whom: ProcessId | int | None = None
    if isinstance(verdict.item.action, Notify):
        whom = verdict.process.image.uid if verdict.process else None
    elif not isinstance(verdict.item.action, (Exec, Log)):
        whom = identity_of(verdict.target)
    return verdict.monitor.name, verdict.item.key, whom


def _remains(whom: object, table: ProcessTable) -> bool:
    return not isinstance(whom, ProcessId) or whom in table
