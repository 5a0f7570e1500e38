"""What a new configuration takes over from the one before it, or from a daemon that has ended; and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from fallfromgrace import lifecycle
from fallfromgrace.docket import RuleKey
from fallfromgrace.expression import Growth
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.memory import Memory, RetryKey, Ways
from fallfromgrace.records import dataclass, replace
from fallfromgrace.rules import Action, Config, Monitor, Rule
from fallfromgrace.table import ProcessId

# So many intervals without a look are no longer taken for looks that came late.
_UNWATCHED = 2


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a reload changed; `left_behind` are processes that were stopped by a rule which is gone."""

    added: int
    removed: int
    changed: int
    timers_kept: int
    left_behind: tuple[ProcessId, ...]


class Inheritance(NamedTuple):
    """What is left of a daemon that has ended; `left_behind` as at a reload."""

    timers_kept: int
    left_behind: tuple[ProcessId, ...]


class Rulebook:
    """A configuration's rules and monitors by what names them across reloads."""

    def __init__(self, config: Config) -> None:
        self.monitors: Mapping[str, Monitor] = {monitor.name: monitor for monitor in config.monitors}
        self.rules: Mapping[RuleKey, Rule] = {
            (monitor.name, rule.key): rule for monitor in config.monitors for rule in monitor.rules
        }

    @cached_property
    def actions(self) -> Mapping[tuple[str, str], Action]:
        """By monitor, and the action's key in it."""
        return {(name, item.key): item.action for (name, _), rule in self.rules.items() for item in rule.items}

    @property
    def growths(self) -> Iterator[tuple[str, Growth]]:
        """What is compared with some time ago, by monitor."""
        return ((name, growth) for (name, _), rule in self.rules.items() for growth in rule.growths)

    @property
    def ways(self) -> Ways:
        """How what is done from now on is done."""
        ladders = {key: rule.ladder for key, rule in self.rules.items()}
        return Ways(ladders, frozenset(name for name, monitor in self.monitors.items() if monitor.observe))

    def acts_as(self, before: Ways, name: str) -> bool:
        """Whether what a monitor has done was done as it would be now: what was only observed was not."""
        return self.monitors[name].observe is (name in before.observing)

    def differs_from(self, before: Rulebook, key: RuleKey) -> bool:
        """Whether a rule that stays does something else, or for other processes."""
        changed = self.rules[key].ladder != before.rules[key].ladder
        return changed or self.monitors[key[0]].selection != before.monitors[key[0]].selection


def take_over(kept: Memory, memory: Memory, after: Rulebook, now: float, interval: float) -> None:
    """Keep what is remembered of rules and actions that are still there."""
    before = memory.ways
    kept.instances = {
        (key, identity): lifecycle.carried(instance, before.ladders[key], after.rules[key], now)
        for (key, identity), instance in memory.instances.items()
        if key in after.rules and after.acts_as(before, key[0])
    }
    kept.limits = {
        key: at for key, at in memory.limits.items() if key[:2] in after.actions and after.acts_as(before, key[0])
    }
    kept.retries = {
        key: min(at, now + interval) for key, at in memory.retries.items() if _is_tried_again(key, before, after)
    }
    kept.clocks = dict(memory.clocks)


def _is_tried_again(key: RetryKey, before: Ways, after: Rulebook) -> bool:
    (rule, _), action, _ = key
    return rule in after.rules and (rule[0], action) in after.actions and after.acts_as(before, rule[0])


def inherit(kept: Memory, memory: Memory, after: Rulebook, last: float, now: float, interval: float) -> Inheritance:
    """As at a reload, but that nobody has looked since `last`, which may be long ago."""
    take_over(kept, memory, after, now, interval)
    if now - last > _UNWATCHED * interval:
        anew = {key: _anew(instance, after.rules[key[0]], now) for key, instance in kept.instances.items()}
        kept.instances = {key: instance for key, instance in anew.items() if not instance.idle}
    return Inheritance(_armed(kept, after, now), _left_behind(kept, after))


def _anew(instance: Instance, rule: Rule, now: float) -> Instance:
    """What has to hold for some time may not have held all the while, and is waited for from the start."""
    if not instance.firing:
        return replace(instance, phase=Phase.INACTIVE, ending=None)
    lasts = rule.trigger.fires.seconds > 0 and not rule.trigger.until
    phase = Phase.PENDING if lasts else Phase.FIRING
    return replace(instance, phase=phase, since=now, rung=0, reached=now, ending=None)


def adoption(kept: Memory, before: Rulebook, after: Rulebook, now: float) -> Adoption:
    """What a reload changed, and whom it left stopped."""
    return Adoption(
        added=len(after.rules.keys() - before.rules.keys()),
        removed=len(before.rules.keys() - after.rules.keys()),
        changed=sum(after.differs_from(before, key) for key in after.rules.keys() & before.rules.keys()),
        timers_kept=_armed(kept, after, now),
        left_behind=_left_behind(kept, after),
    )


def _armed(kept: Memory, after: Rulebook, now: float) -> int:
    """How many limits have not run out."""
    used = [(at, after.actions.get(key[:2])) for key, at in kept.limits.items()]
    used += [
        (now if clock.since is None else clock.since, after.actions.get(clock.stopped_by))
        for clock in kept.clocks.values()
    ]
    return sum(at + (action.limit or 0) > now for at, action in used if action)


def _left_behind(kept: Memory, after: Rulebook) -> tuple[ProcessId, ...]:
    """Whom a rule has stopped that is gone."""
    stopped = ((identity, clock.stopped_by) for (identity, observed), clock in kept.clocks.items() if not observed)
    return tuple(identity for identity, action in stopped if action not in after.actions)
