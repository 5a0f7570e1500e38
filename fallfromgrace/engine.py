"""The engine: a configuration and what a look saw in, verdicts out. It reads no clock and touches no process.

One sweep: `cover(table)` says which processes the monitors are about, the caller measures those, and `sweep(...)`
gives verdicts. For each that fires the caller asks `due_at`, since one before it may have used the limit that they
share, acts, and tells with `record` what came of it. Then `next_look` says when something is due again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

from fallfromgrace import lifecycle
from fallfromgrace.coverage import Coverage, Covered
from fallfromgrace.expression import Sample, evaluate, value_and_limit
from fallfromgrace.lifecycle import Instance, RunningClock
from fallfromgrace.rules import SIGNALS, Config, Exec, Item, Monitor, Rule, Signal
from fallfromgrace.table import Process, ProcessId, ProcessTable
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict

# A rule across reloads: its monitor's name and its trigger's normal form.
RuleKey = tuple[str, str]
# An action's limit across reloads: monitor, action, and the process where the limit is for each process.
LimitKey = tuple[str, str, ProcessId | None]

_STRENGTH = {word: rank for rank, word in enumerate(SIGNALS)}


class Self(NamedTuple):
    """Who we are: our pid, and our uid where we may act on that user's processes only (None: on anybody's)."""

    pid: int
    only_uid: int | None = None


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a reload changed; `left_behind` are processes that were stopped by a rule which is gone."""

    added: int
    removed: int
    changed: int
    timers_kept: int
    left_behind: tuple[ProcessId, ...]


class Engine:
    """The rules of one configuration with everything that they remember."""

    def __init__(self, config: Config, myself: Self) -> None:
        self.config = config
        self._myself = myself
        self._rules: dict[RuleKey, Rule] = {
            (monitor.name, str(rule.trigger)): rule for monitor in config.monitors for rule in monitor.rules
        }
        self._monitors = {monitor.name: monitor for monitor in config.monitors}
        self.cover = Coverage(config.monitors).of
        self._instances: dict[tuple[RuleKey, ProcessId], Instance] = {}
        self._limits: dict[LimitKey, float] = {}
        self._clocks: dict[ProcessId, RunningClock] = {}
        self._retries: dict[tuple[RuleKey, str, ProcessId], float] = {}

    # --- what to do ---

    def sweep(
        self,
        table: ProcessTable,
        covered: Iterable[Covered],
        samples: Mapping[ProcessId, Sample],
        own_groups: Collection[int],
        now: float,
    ) -> tuple[Verdict, ...]:
        """What is to be done; `samples` has no entry for a process that ended, `own_groups` are our commands'."""
        self._forget(table, now)
        looks = [each for each in covered if each.process.id in samples]
        before, self._instances = self._instances, {}
        judged = [
            verdict for each in looks for verdict in self._judge(each, samples[each.process.id], before, own_groups)
        ]
        return tuple(self._arbitrate([self._limited(verdict, now) for verdict in judged]))

    def next_look(self, verdicts: Iterable[Verdict], now: float) -> float:
        """When to look again: at the interval, or when the limit of something that fires runs out."""
        due = (self.due_at(verdict) for verdict in verdicts if verdict.kind in (Kind.FIRE, Kind.LIMITED))
        return min([now + self.config.settings.interval, *(at for at in due if at > now)])

    def _forget(self, table: ProcessTable, now: float) -> None:
        """Drop what belongs to processes that ended, and see which stopped ones run again."""
        self._limits = {key: at for key, at in self._limits.items() if key[2] is None or key[2] in table}
        self._retries = {key: at for key, at in self._retries.items() if key[2] in table}
        self._clocks = {
            process.id: lifecycle.observe(clock, process.stopped, now)
            for identity, clock in self._clocks.items()
            if (process := table.get(identity))
        }

    def _judge(
        self,
        covered: Covered,
        sample: Sample,
        before: Mapping[tuple[RuleKey, ProcessId], Instance],
        own_groups: Collection[int],
    ) -> Iterator[Verdict]:
        """Advance each rule's instance for one process; every action of those that fire, limits not yet asked."""
        monitor, process = covered.monitor, covered.process
        protection = self._protection(process, own_groups)
        for rule in monitor.rules:
            key = (monitor.name, str(rule.trigger)), process.id
            holds = evaluate(rule.trigger.condition, sample)
            instance = self._instances[key] = lifecycle.advance(before.get(key, Instance()), holds)
            if holds is None:
                kind, reason = Kind.UNKNOWN, "what it measures cannot be read"
            elif instance.firing:
                kind, reason = (Kind.PROTECTED if protection else Kind.FIRE), protection
            else:
                continue
            value, limit = value_and_limit(rule.trigger.condition, sample)
            for item in rule.items:
                yield Verdict(kind, monitor, rule, item, covered.descent, sample, value, limit, reason)

    def _protection(self, process: Process, own_groups: Collection[int]) -> str:
        """Why a process is never acted upon; empty where it may be."""
        if process.id.pid == 1:
            return "pid 1 is never acted upon"
        if process.id.pid == self._myself.pid:
            return "this is fall-from-grace itself"
        if process.pgid in own_groups:
            return "this is a command of fall-from-grace"
        if self._myself.only_uid is not None and process.image.uid != self._myself.only_uid:
            return "it belongs to another user"
        return ""

    def _limited(self, verdict: Verdict, now: float) -> Verdict:
        if verdict.kind is not Kind.FIRE or (due := self.due_at(verdict)) <= now:
            return verdict
        return replace(verdict, kind=Kind.LIMITED, reason="it is done" if due == inf else "its limit has not run out")

    def due_at(self, verdict: Verdict) -> float:
        """When the action of a rule that fires is due, by what was recorded so far; -inf at once."""
        identity = verdict.process.id
        due = lifecycle.due_at(
            verdict.item,
            self._instances[_rule_key(verdict), identity],
            self._limits.get(_limit_key(verdict)),
            self._clocks.get(identity),
            verdict.process.stopped,
        )
        return max(due, self._retries.get((_rule_key(verdict), verdict.item.key, identity), due))

    def _arbitrate(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """First what is no signal; then for each process the strongest signal asked for, while the others wait.

        The deepest processes come first.
        """
        by_process: dict[ProcessId, list[Verdict]] = {}
        for verdict in verdicts:
            if verdict.wants_signal:
                by_process.setdefault(verdict.process.id, []).append(verdict)
            else:
                yield verdict
        told_to_end = {identity for (_, identity), instance in self._instances.items() if instance.terminating}
        for identity, asked in sorted(by_process.items(), key=lambda found: -_depth(found[1])):
            strongest, *others = sorted(asked, key=_strength)
            if lifecycle.is_stop(strongest.item.action) and identity in told_to_end:
                yield _shadowed(strongest, "it was told to end, and could not while stopped")
            else:
                yield strongest
            yield from (_shadowed(verdict, "a stronger signal is sent") for verdict in others)

    # --- what came of it ---

    def record(self, outcome: Outcome, now: float) -> None:
        """Remember what was done: a delivered action uses its limit, a failed one is due again after an interval."""
        verdict, identity = outcome.verdict, outcome.verdict.process.id
        rule_key, item = _rule_key(verdict), verdict.item
        if outcome.result in (Result.DENIED, Result.FAILED):
            self._retries[rule_key, item.key, identity] = now + self.config.settings.interval
        if not outcome.result.delivered:
            return
        instance = self._instances.get((rule_key, identity), Instance())
        self._instances[rule_key, identity] = lifecycle.delivered(instance, item)
        if lifecycle.is_stop(item.action):
            self._clocks[identity] = RunningClock(now, (verdict.monitor.name, item.key))
        elif item.action.limit is not None:
            self._limits[_limit_key(verdict)] = now

    # --- reload ---

    def adopt(self, previous: Engine, now: float) -> Adoption:
        """Take over what a previous configuration's engine remembers of rules and actions that are still there."""
        actions = {
            (monitor.name, item.key): item.action for monitor in self.config.monitors for item in _items(monitor)
        }
        self._instances = {
            (rule, identity): lifecycle.carried(instance, self._rules[rule].items)
            for (rule, identity), instance in previous._instances.items()
            if rule in self._rules
        }
        self._limits = {key: at for key, at in previous._limits.items() if key[:2] in actions}
        self._clocks = dict(previous._clocks)
        stopping = {identity: actions.get(clock.stopped_by) for identity, clock in self._clocks.items()}
        used = [(at, actions[key[:2]]) for key, at in self._limits.items()]
        running = {identity: now if clock.since is None else clock.since for identity, clock in self._clocks.items()}
        used += [(running[identity], action) for identity, action in stopping.items() if action]
        return Adoption(
            added=len(self._rules.keys() - previous._rules.keys()),
            removed=len(previous._rules.keys() - self._rules.keys()),
            changed=sum(self._is_changed(rule, previous) for rule in self._rules.keys() & previous._rules.keys()),
            timers_kept=sum(at + (action.limit or 0) > now for at, action in used),
            left_behind=tuple(identity for identity, action in stopping.items() if action is None),
        )

    def _is_changed(self, rule: RuleKey, previous: Engine) -> bool:
        """Whether a rule that stays does something else, or for other processes."""
        ours, theirs = self._monitors[rule[0]], previous._monitors[rule[0]]
        return (self._rules[rule].items, ours.selection) != (previous._rules[rule].items, theirs.selection)

    def ever_stopped(self) -> tuple[ProcessId, ...]:
        """The processes that a rule has stopped, and that had not ended at the last look."""
        return tuple(self._clocks)


def _items(monitor: Monitor) -> Iterator[Item]:
    return (item for rule in monitor.rules for item in rule.items)


def _rule_key(verdict: Verdict) -> RuleKey:
    return verdict.monitor.name, str(verdict.rule.trigger)


def _limit_key(verdict: Verdict) -> LimitKey:
    """A signal's limit is for each process, that of a command for the rule, so that a decoy cannot shield a hog."""
    everyone = isinstance(verdict.item.action, Exec)
    return verdict.monitor.name, verdict.item.key, None if everyone else verdict.process.id


def _shadowed(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, kind=Kind.SHADOWED, reason=reason)


def _depth(verdicts: Iterable[Verdict]) -> int:
    return max(verdict.descent.depth for verdict in verdicts)


def _strength(verdict: Verdict) -> int:
    assert isinstance(verdict.item.action, Signal)
    return _STRENGTH[verdict.item.action.word]
