"""The life of a rule for one process: when it fires, and when each of its actions is due.

Everything here is a pure function of values; times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import NamedTuple

from fallfromgrace.rules import TERMINATING, Action, Item, Signal


class Phase(Enum):
    """Whether the condition of a rule holds."""

    INACTIVE = "inactive"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Instance:
    """One rule's life for one process. `done` has the keys of what was delivered since it began to fire."""

    phase: Phase = Phase.INACTIVE
    done: frozenset[str] = frozenset()
    terminating: bool = False  # it has sent a signal that ends the process

    @property
    def firing(self) -> bool:
        return self.phase is Phase.FIRING


def advance(instance: Instance, holds: bool | None) -> Instance:
    """The instance after a look; what could not be read starts nothing and ends nothing."""
    if holds is None or holds is instance.firing:
        return instance
    return Instance(Phase.FIRING if holds else Phase.INACTIVE)


def delivered(instance: Instance, item: Item) -> Instance:
    """The instance after one of its actions was carried out."""
    return replace(instance, done=instance.done | {item.key}, terminating=instance.terminating or ends(item))


def ends(item: Item) -> bool:
    """Whether an action is a signal that ends a process."""
    return isinstance(item.action, Signal) and item.action.word in TERMINATING


def carried(instance: Instance, items: Iterable[Item]) -> Instance:
    """The instance under a new configuration of its rule: what it has done of what is still to be done."""
    kept = [item for item in items if item.key in instance.done]
    return replace(instance, done=frozenset(item.key for item in kept), terminating=any(map(ends, kept)))


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


def due_at(item: Item, instance: Instance, last: float | None, clock: RunningClock | None, stopped: bool) -> float:
    """When a firing instance's action is due: -inf at once, inf not as long as things stay as they are.

    `last` is when its limit was last used, `clock` the process's running clock if it was ever stopped by us.
    """
    limit = item.action.limit
    if is_stop(item.action):
        return _stop_due_at(limit or 0.0, clock, stopped)
    if limit is None:
        return inf if item.key in instance.done else -inf
    return -inf if last is None else last + limit


def _stop_due_at(limit: float, clock: RunningClock | None, stopped: bool) -> float:
    if stopped:
        return inf
    return -inf if clock is None or clock.since is None else clock.since + limit
