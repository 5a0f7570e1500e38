"""A reload: what a new configuration takes over from the one before it, and what that changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from fallfromgrace import lifecycle
from fallfromgrace.docket import RuleKey
from fallfromgrace.expression import Growth
from fallfromgrace.memory import Memory
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Action, Config, Monitor, Rule
from fallfromgrace.table import ProcessId


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a reload changed; `left_behind` are processes that were stopped by a rule which is gone."""

    added: int
    removed: int
    changed: int
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

    def acts_as(self, before: Rulebook, name: str) -> bool:
        """Whether what a monitor has done was done as it would be now: what was only observed was not."""
        return self.monitors[name].observe is before.monitors[name].observe

    def differs_from(self, before: Rulebook, key: RuleKey) -> bool:
        """Whether a rule that stays does something else, or for other processes."""
        changed = self.rules[key].ladder != before.rules[key].ladder
        return changed or self.monitors[key[0]].selection != before.monitors[key[0]].selection


def take_over(kept: Memory, memory: Memory, before: Rulebook, after: Rulebook, now: float) -> None:
    """Keep what is remembered of rules and actions that are still there."""
    kept.instances = {
        (key, identity): lifecycle.carried(instance, before.rules[key], after.rules[key], now)
        for (key, identity), instance in memory.instances.items()
        if key in after.rules and after.acts_as(before, key[0])
    }
    kept.limits = {
        key: at for key, at in memory.limits.items() if key[:2] in after.actions and after.acts_as(before, key[0])
    }
    kept.clocks = dict(memory.clocks)


def adoption(kept: Memory, before: Rulebook, after: Rulebook, now: float) -> Adoption:
    """What a reload changed, and whom it left stopped."""
    stopping = {key: after.actions.get(clock.stopped_by) for key, clock in kept.clocks.items()}
    running = {key: now if clock.since is None else clock.since for key, clock in kept.clocks.items()}
    used = [(at, after.actions[key[:2]]) for key, at in kept.limits.items()]
    used += [(running[key], action) for key, action in stopping.items() if action]
    return Adoption(
        added=len(after.rules.keys() - before.rules.keys()),
        removed=len(before.rules.keys() - after.rules.keys()),
        changed=sum(after.differs_from(before, key) for key in after.rules.keys() & before.rules.keys()),
        timers_kept=sum(at + (action.limit or 0) > now for at, action in used),
        left_behind=tuple(key[0] for key, action in stopping.items() if action is None and not key[1]),
    )
