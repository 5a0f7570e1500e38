"""The life of a rule for one process: when it fires, which rung is in force, and when each of its actions is due.

Everything here is a pure function of values; times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from math import inf
from types import MappingProxyType
from typing import NamedTuple

from fallfromgrace.expression import Trigger
from fallfromgrace.records import dataclass, field, replace
from fallfromgrace.rules import TERMINATING, Action, Item, Rule, Signal
from fallfromgrace.table import ProcessId, ProcessTable

# All that a rule does and when; see Rule.
Ladder = tuple[object, ...]

# Whom an action that was begun is still owed to. None stands for an action that is for no process.
Targets = frozenset[ProcessId | None]


class Phase(Enum):
    """Whether the condition of a rule holds, and has for long enough."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Truth(NamedTuple):
    """What a look says of a trigger's condition, and of its `until`, which is False where there is none."""

    holds: bool | None
    until: bool | None = False


@dataclass(frozen=True, slots=True)
class Instance:
    """One rule's life for one process, or for all that a monitor covers.

    `owed` has, by key, of each action that is done once those targets that it has still to reach; nobody once it is
    done. `told_to_end` are those who were sent a signal that ends a process.
    """

    phase: Phase = Phase.INACTIVE
    since: float = 0.0  # when the phase began
    rung: int = 0
    reached: float = 0.0  # when the rung was
    ending: float | None = None  # since when `until` has held
    known: bool = True  # whether the last look could tell; nothing is done while it cannot
    acted: bool = False
    owed: Mapping[str, Targets] = field(default_factory=lambda: MappingProxyType({}))
    told_to_end: frozenset[ProcessId] = frozenset()

    @property
    def firing(self) -> bool:
        return self.phase is Phase.FIRING

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember."""
        return self.phase is Phase.INACTIVE and self.ending is None and not self.acted


def advance(instance: Instance, trigger: Trigger, truth: Truth, now: float) -> Instance:
    """The instance after a look; what is not known starts nothing and ends nothing."""
    if instance.phase is Phase.INACTIVE and instance.ending is None and truth == (False, False):
        return instance  # as most are at most looks
    instance = replace(instance, ending=_ending(instance, truth.until, now))
    if trigger.until and instance.ending is not None and now >= instance.ending + trigger.until.seconds:
        return _inactive(instance, now)
    if instance.firing:
        return _still_firing(instance, trigger, truth, now)
    if not truth.holds:
        return _inactive(instance, now)
    if instance.phase is Phase.INACTIVE:
        instance = replace(instance, phase=Phase.PENDING, since=now)
    if now < instance.since + trigger.fires.seconds or truth.until is None:
        return instance
    return Instance(Phase.FIRING, now, reached=now, ending=instance.ending)


def _ending(instance: Instance, until: bool | None, now: float) -> float | None:
    if not until:
        return None
    return now if instance.ending is None else instance.ending


def _still_firing(instance: Instance, trigger: Trigger, truth: Truth, now: float) -> Instance:
    if not trigger.until and truth.holds is False:
        return _inactive(instance, now)
    decides = truth.until if trigger.until else truth.holds
    return replace(instance, known=decides is not None)


def _inactive(instance: Instance, now: float) -> Instance:
    """What is no longer firing, or pending; it remembers that it has acted until it has told of its recovery."""
    if instance.firing:
        return Instance(since=now, ending=instance.ending, acted=instance.acted)
    return replace(instance, phase=Phase.INACTIVE)


def forgetting(instance: Instance, table: ProcessTable) -> Instance:
    """The instance without those who have ended since they were told to: a rule may fire for weeks."""
    ended = {each for each in instance.told_to_end if each not in table}
    return replace(instance, told_to_end=instance.told_to_end - ended) if ended else instance


def climb(instance: Instance, rule: Rule, now: float) -> Instance:
    """The instance on the highest rung that it has reached by now, one at a time."""
    if not instance.firing or not instance.known or instance.rung + 1 >= len(rule.rungs):
        return instance
    if now < instance.reached + rule.rungs[instance.rung + 1].after:
        return instance
    return replace(instance, rung=instance.rung + 1, reached=now)


def due_items(instance: Instance, rule: Rule) -> tuple[Item, ...]:
    """The actions that are in force: those of the rung, or when a rule that has acted fires no more `recovered`."""
    if instance.firing:
        return rule.rungs[instance.rung].items if instance.known else ()
    return rule.recovered if instance.phase is Phase.INACTIVE and instance.acted else ()


def settled(instance: Instance, rule: Rule) -> Instance:
    """The instance after something was done: once all that is due at its recovery was, it is as if it never fired."""
    if instance.firing or not instance.acted or any(instance.owed.get(item.own) != NOBODY for item in rule.recovered):
        return instance
    return replace(instance, acted=False)


NOBODY: Targets = frozenset()


def begun(instance: Instance, item: Item, targets: Collection[ProcessId | None]) -> Instance:
    """The instance with a once-only action owed to these, if it was not begun before; who has ended is owed nothing.

    With nobody to begin with it is not begun, unless it is for a recovery, which nobody waits for.
    """
    if not targets and instance.firing and item.own not in instance.owed:
        return instance
    return _owing(instance, item, instance.owed.get(item.own, frozenset(targets)) & frozenset(targets))


def not_begun(instance: Instance, item: Item) -> Instance:
    """The instance with an action to be begun again, for somebody else."""
    return replace(
        instance, owed=MappingProxyType({own: left for own, left in instance.owed.items() if own != item.own})
    )


def delivered(instance: Instance, item: Item, target: ProcessId | None) -> Instance:
    """The instance after one of its actions reached a target."""
    left = instance.owed.get(item.own, NOBODY) - {target}
    told = {target} if ends(item) and target else set()
    instance = replace(instance, acted=True, told_to_end=instance.told_to_end | told)
    return _owing(instance, item, left) if item.action.limit is None or not instance.firing else instance


def _owing(instance: Instance, item: Item, left: Targets) -> Instance:
    return replace(instance, owed=MappingProxyType({**instance.owed, item.own: left}))


def ends(item: Item) -> bool:
    """Whether an action is a signal that ends a process."""
    return isinstance(item.action, Signal) and item.action.word in TERMINATING


def carried(instance: Instance, before: Ladder, after: Rule, now: float) -> Instance:
    """The instance under a new configuration of its rule; with other actions it begins on the first rung again."""
    if before == after.ladder:
        return instance
    keys = {item.own for item in after.items}
    owed = {key: left for key, left in instance.owed.items() if key in keys}
    told = instance.told_to_end if any(map(ends, after.items)) else frozenset()
    return replace(instance, rung=0, reached=now, owed=MappingProxyType(owed), told_to_end=told)


def next_at(instance: Instance, rule: Rule) -> Iterable[float]:
    """When something of an instance changes by the mere passing of time."""
    if instance.phase is Phase.PENDING:
        yield instance.since + rule.trigger.fires.seconds
    if instance.firing and instance.rung + 1 < len(rule.rungs):
        yield instance.reached + rule.rungs[instance.rung + 1].after
    if instance.firing and instance.ending is not None and rule.trigger.until:
        yield instance.ending + rule.trigger.until.seconds


class RunningClock(NamedTuple):
    """Since when a process that we stopped is running again; None while it is stopped.

    `stopped_by` is the monitor's name and the action's key.
    """

    since: float | None
    stopped_by: tuple[str, str]


def observe(clock: RunningClock, stopped: bool, now: float) -> RunningClock:
    """The clock after a look; a process never seen stopped counts from the stop itself."""
    if stopped:
        return clock._replace(since=None)
    return clock._replace(since=now) if clock.since is None else clock


def is_stop(action: Action) -> bool:
    return isinstance(action, Signal) and action.word == "stop"


def due_at(
    item: Item,
    instance: Instance,
    target: ProcessId | None,
    last: float | None,
    clock: RunningClock | None,
    stopped: bool,
) -> float:
    """When an action that is in force is due for a target: -inf at once, inf not as long as things stay as they are.

    `last` is when its limit was last used, `clock` the target's running clock if it was ever stopped by us.
    """
    limit = item.action.limit
    if is_stop(item.action):
        return _stop_due_at(limit or 0.0, clock, stopped)
    if (limit is None or not instance.firing) and target not in instance.owed.get(item.own, {target}):
        return inf
    return -inf if last is None or limit is None else last + limit


def _stop_due_at(limit: float, clock: RunningClock | None, stopped: bool) -> float:
    if stopped:
        return inf
    return -inf if clock is None or clock.since is None else clock.since + limit
