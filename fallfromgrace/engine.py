"""The engine: a configuration and what a look saw in, verdicts out. It reads no clock and touches no process.

One sweep: `look(table, now)` says which processes the monitors are about; the caller reads what `wants(look)` asks for,
until nothing is; `sweep(look, ...)` gives verdicts. For each that fires the caller asks `due_at`, since one before it
may have used the limit that they share, acts, and tells with `record` what came of it. Then `next_look` says when
something is due again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isinf

from fallfromgrace import lifecycle
from fallfromgrace.coverage import Coverage
from fallfromgrace.expression import NOTHING, undecided, value_and_limit
from fallfromgrace.history import History, Key
from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.looks import Case, Look
from fallfromgrace.protection import Bar, Self
from fallfromgrace.readings import Subject, Want
from fallfromgrace.rules import SIGNALS, Adjust, Config, Exec, Item, Log, Monitor, Notify, Rule, Signal, Target
from fallfromgrace.table import Descent, ProcessId, ProcessTable
from fallfromgrace.targets import targets, wants_largest
from fallfromgrace.verdict import Cause, Kind, Outcome, Result, Verdict

# A rule across reloads: its monitor's name and its trigger's normal form.
RuleKey = tuple[str, str]
# A rule for one process, or for all that its monitor covers.
InstanceKey = tuple[RuleKey, ProcessId | None]
# An action's limit across reloads: monitor, action, and the process or the owner where there is a limit for each.
LimitKey = tuple[str, str, ProcessId | int | None]

# A process's running clock; what is only observed has its own, for nobody was stopped.
ClockKey = tuple[ProcessId, bool]

_STRENGTH = {word: rank for rank, word in enumerate(SIGNALS)}


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
            (monitor.name, rule.key): rule for monitor in config.monitors for rule in monitor.rules
        }
        self._monitors = {monitor.name: monitor for monitor in config.monitors}
        self._coverage = Coverage(config.monitors)
        self._history = History(config.settings.interval)
        self._instances: dict[InstanceKey, Instance] = {}
        self._limits: dict[LimitKey, float] = {}
        self._clocks: dict[ClockKey, RunningClock] = {}
        self._retries: dict[tuple[InstanceKey, str, ProcessId | None], float] = {}
        self._next_age = inf
        self._shortest_growth = inf

    # --- what to read ---

    def look(self, table: ProcessTable, own_groups: Collection[int], now: float) -> Look:
        """What is seen at this moment, before anything is read of anybody; `own_groups` are our commands'."""
        self._forget(table, now)
        bar = Bar(self.config.settings, self._myself, frozenset(own_groups))
        return Look(table, self._coverage.of(table), bar, self._history, now)

    def wants(self, look: Look) -> frozenset[Want]:
        """The readings that are still needed."""
        return look.judge(lambda case: self._instance(case).firing) or self._wants_for_targets(look)

    def _wants_for_targets(self, look: Look) -> frozenset[Want]:
        choosing = (case for case in look.cases if self._chooses(case, look))
        return NOTHING.union(*(wants_largest(case, look) for case in choosing))

    def _chooses(self, case: Case, look: Look) -> bool:
        """Whether an action of a rule is for the largest, and is about to be."""
        if not any(_for_largest(item) for item in case.rule.items):
            return False
        instance = self._advanced(case, look)
        items = lifecycle.due_items(instance, case.rule)
        return any(_for_largest(each) and (each.action.limit or each.own not in instance.owed) for each in items)

    def _forget(self, table: ProcessTable, now: float) -> None:
        """Drop what belongs to processes that ended, and see which stopped ones run again."""
        self._limits = {key: at for key, at in self._limits.items() if _remains(key[2], table)}
        self._retries = {key: at for key, at in self._retries.items() if _remains(key[2], table)}
        self._clocks = {
            key: lifecycle.observe(clock, process.stopped, now)
            for key, clock in self._clocks.items()
            if (process := table.get(key[0]))
        }
        self._history.forget(lambda key: _is_over(key, table))

    def _instance(self, case: Case) -> Instance:
        return self._instances.get(_instance_key(case), _NEW)

    # --- what to do ---

    def sweep(self, look: Look) -> tuple[Verdict, ...]:
        """What is to be done."""
        cases = [case for case in look.cases if _lives(case, look)]
        after = {_instance_key(case): self._advanced(case, look) for case in cases}
        fresh = {key for key, instance in after.items() if instance.firing and not self._was_firing(key)}
        after = {_instance_key(case): lifecycle.settled(after[_instance_key(case)], case.rule) for case in cases}
        self._instances = {key: instance for key, instance in after.items() if not instance.idle}
        judged = [verdict for case in cases for verdict in self._verdicts(case, look, fresh)]
        look.remember()
        self._next_age = min(look.next_ages(), default=inf)
        self._shortest_growth = min((growth.window for case in cases for growth in case.rule.growths), default=inf)
        return tuple(self._arbitrate(judged))

    def _was_firing(self, key: InstanceKey) -> bool:
        return self._instances.get(key, _NEW).firing

    def _advanced(self, case: Case, look: Look) -> Instance:
        instance = lifecycle.advance(self._instance(case), case.rule.trigger, look.truth(case), look.now)
        return lifecycle.climb(instance, case.rule, look.now)

    def _verdicts(self, case: Case, look: Look, fresh: Collection[InstanceKey]) -> Iterator[Verdict]:
        """What one rule comes to for one process: every action in force, for everybody whom it is for."""
        instance = self._instance(case)
        items = lifecycle.due_items(instance, case.rule)
        told = self._told(case, look, instance)
        if not items and not told:
            return
        cause = self._cause(case, look, instance, _instance_key(case) in fresh)
        yield from (Verdict(kind, cause, None, case.descent, reason) for kind, reason in told)
        for item in items:
            yield from self._for_targets(item, case, look, cause)

    def _cause(self, case: Case, look: Look, instance: Instance, fresh: bool) -> Cause:
        sight = look.sight(case)
        value, limit = value_and_limit(case.rule.trigger.condition, sight)
        recovered = not instance.firing
        return Cause(
            self.config.settings, case.covered.monitor, case.rule, case.descent, sight, value, limit, fresh, recovered
        )

    def _told(self, case: Case, look: Look, instance: Instance) -> list[tuple[Kind, str]]:
        """Why nothing is done, where that is not simply because the condition is false."""
        if None in look.truth(case):
            return list(dict.fromkeys(_unknown(case, look)))
        return [(Kind.PENDING, "its condition has to hold for longer")] if instance.phase is Phase.PENDING else []

    def _for_targets(self, item: Item, case: Case, look: Look, cause: Cause) -> Iterator[Verdict]:
        key, instance = _instance_key(case), self._instance(case)
        found = targets(item, case, instance, look)
        verdicts = [_for_target(item, case, descent, look.bar, cause) for descent in found]
        if item.action.limit is None or not instance.firing:
            whom = [_identity(each.target) for each in verdicts if _is_owed(each, instance)]
            self._instances[key] = lifecycle.begun(instance, item, whom)
        yield from (self._limited(verdict, look.now) for verdict in verdicts)

    def _limited(self, verdict: Verdict, now: float) -> Verdict:
        if verdict.kind is not Kind.FIRE or (due := self.due_at(verdict)) <= now:
            return verdict
        return replace(verdict, kind=Kind.LIMITED, reason="it is done" if due == inf else "its limit has not run out")

    def due_at(self, verdict: Verdict) -> float:
        """When an action in force is due, by what was recorded so far; -inf at once."""
        assert verdict.item
        identity = _identity(verdict.target)
        due = lifecycle.due_at(
            verdict.item,
            self._instances.get(_key_of(verdict), _NEW),
            identity,
            self._limits.get(_limit_key(verdict)),
            self._clocks.get((identity, verdict.monitor.observe)) if identity else None,
            bool(verdict.process and verdict.process.stopped),
        )
        return max(due, self._retries.get((_key_of(verdict), verdict.item.key, identity), due))

    def _arbitrate(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """First what is no signal; then for each process the strongest signal asked for, while the others wait.

        The deepest processes come first.
        """
        by_process: dict[tuple[ProcessId | None, bool], list[Verdict]] = {}
        for verdict in verdicts:
            if verdict.wants_signal:  # what is only observed stands in nobody's way
                by_process.setdefault((_identity(verdict.target), verdict.monitor.observe), []).append(verdict)
            else:
                yield verdict
        for (identity, observed), asked in sorted(by_process.items(), key=lambda found: -_depth(found[1])):
            yield from _one_of(asked, identity in self._told_to_end(observed))

    def _told_to_end(self, observed: bool) -> frozenset[ProcessId]:
        """Who was sent a signal that ends a process, by a rule that fires."""
        found = self._instances.items()
        told = (each.told_to_end for ((name, _), _), each in found if self._monitors[name].observe is observed)
        return frozenset().union(*told)

    # --- what came of it ---

    def record(self, outcome: Outcome, now: float) -> None:
        """Remember what was done: a delivered action uses its limit, a failed one is due again after an interval."""
        verdict, item = outcome.verdict, outcome.verdict.item
        assert item
        key, identity = _key_of(verdict), _identity(verdict.target)
        if outcome.result in (Result.DENIED, Result.FAILED):
            self._retries[key, item.key, identity] = now + self.config.settings.interval
        if not outcome.result.delivered:
            self._reconsider(outcome)
            return
        for each in (key, *self._others_owing(key, item, identity)):
            instance = lifecycle.delivered(self._instances.get(each, _NEW), item, identity)
            self._instances[each] = lifecycle.settled(instance, verdict.rule)
        if lifecycle.is_stop(item.action) and identity:
            clock = RunningClock(now, (verdict.monitor.name, item.key))
            self._clocks[identity, verdict.monitor.observe] = clock
        elif item.action.limit is not None:
            self._limits[_limit_key(verdict)] = now

    def _others_owing(self, key: InstanceKey, item: Item, target: ProcessId | None) -> list[InstanceKey]:
        """The same rule, firing for others, that is to do the same to a process: once is enough."""
        if isinstance(item.action, (Exec, Notify, Log)):
            return []
        same = ((each, instance) for each, instance in self._instances.items() if each[0] == key[0] and each != key)
        return [each for each, instance in same if target in instance.owed.get(item.own, ())]

    def _reconsider(self, outcome: Outcome) -> None:
        """After something needless: a rule that would not have begun to fire has not, another may be the largest."""
        key, cause, item = _key_of(outcome.verdict), outcome.verdict.cause, outcome.verdict.item
        instance = self._instances.get(key, _NEW)
        if outcome.result is Result.REFUTED and cause.fresh and instance.firing and not instance.acted:
            del self._instances[key]
        elif outcome.result is Result.GONE and item and _for_largest(item):
            self._instances[key] = lifecycle.not_begun(instance, item)

    def next_look(self, verdicts: Iterable[Verdict], now: float) -> float:
        """When to look again: at the interval, or when something changes by the mere passing of time."""
        due = [self.due_at(verdict) for verdict in verdicts if verdict.kind in (Kind.FIRE, Kind.LIMITED)]
        for (rule, _), instance in self._instances.items():
            due += lifecycle.next_at(instance, self._rules[rule])
        ticks = (_tick(at, _TICK_SECONDS) for at in due)
        later = (at for at in (*ticks, _tick(self._next_age, _AGE_TICK_SECONDS)) if at > now)
        return min([now + min(self.config.settings.interval, self._shortest_growth), *later])

    # --- reload ---

    def adopt(self, previous: Engine, now: float) -> Adoption:
        """Take over what a previous configuration's engine remembers of rules and actions that are still there."""
        actions = {
            (monitor.name, item.key): item.action for monitor in self.config.monitors for item in _items(monitor)
        }
        self._instances = {
            (key, identity): lifecycle.carried(instance, previous._rules[key], self._rules[key], now)
            for (key, identity), instance in previous._instances.items()
            if key in self._rules and self._acts_as_before(key[0], previous)
        }
        self._limits = {
            key: at
            for key, at in previous._limits.items()
            if key[:2] in actions and self._acts_as_before(key[0], previous)
        }
        self._clocks = dict(previous._clocks)
        self._history.adopt(previous._history)
        grown = {
            (monitor.name, found) for monitor in self.config.monitors for r in monitor.rules for found in r.growths
        }
        self._history.forget(lambda key: isinstance(key[0], Subject) and (key[0].monitor, key[1]) not in grown)
        stopping = {key: actions.get(clock.stopped_by) for key, clock in self._clocks.items()}
        used = [(at, actions[key[:2]]) for key, at in self._limits.items()]
        running = {key: now if clock.since is None else clock.since for key, clock in self._clocks.items()}
        used += [(running[key], action) for key, action in stopping.items() if action]
        return Adoption(
            added=len(self._rules.keys() - previous._rules.keys()),
            removed=len(previous._rules.keys() - self._rules.keys()),
            changed=sum(self._is_changed(rule, previous) for rule in self._rules.keys() & previous._rules.keys()),
            timers_kept=sum(at + (action.limit or 0) > now for at, action in used),
            left_behind=tuple(key[0] for key, action in stopping.items() if action is None and not key[1]),
        )

    def _acts_as_before(self, name: str, previous: Engine) -> bool:
        """Whether what a monitor has done was done as it would be now: what was only observed was not."""
        return self._monitors[name].observe is previous._monitors[name].observe

    def _is_changed(self, key: RuleKey, previous: Engine) -> bool:
        """Whether a rule that stays does something else, or for other processes."""
        ours, theirs = self._rules[key], previous._rules[key]
        return ours.ladder != theirs.ladder or self._monitors[key[0]].selection != previous._monitors[key[0]].selection

    def ever_stopped(self) -> tuple[ProcessId, ...]:
        """The processes that a rule has stopped, and that had not ended at the last look."""
        return tuple(identity for identity, observed in self._clocks if not observed)


_NEW = Instance()
_NOT_STOPPED = "it was told to end, and could not while stopped"
_STRONGER_SENT = "a stronger signal is sent"
_SAME_SENT = "another rule sends the same signal"
# Looks are aligned, so that much that is due at almost the same time costs one of them. Nobody means an age exactly.
_TICK_SECONDS = 0.05
_AGE_TICK_SECONDS = 0.25


def _tick(at: float, seconds: float) -> float:
    """The first tick that is not before a time."""
    return at if isinf(at) else round(ceil(at / seconds - 1e-6) * seconds, 6)


def _unknown(case: Case, look: Look) -> Iterator[tuple[Kind, str]]:
    """What is not known of what a rule looks at, one by one, and whether that is only for a while."""
    trigger, sight, truth = case.rule.trigger, look.sight(case), look.truth(case)
    asked = [trigger.condition] if truth.holds is None else []
    asked += [trigger.until.condition] if trigger.until and truth.until is None else []
    missing = [each for condition in asked for each in undecided(condition, sight)]
    if not missing:
        yield Kind.UNKNOWN, "what it calculates is not known: it divides by nothing, or the machine cannot be read"
    for found in missing:
        if sight.early(found):
            yield Kind.EARLY, f"{found} was not watched for long enough, or is stopped"
        else:
            yield Kind.UNKNOWN, f"{found} cannot be read"


def _items(monitor: Monitor) -> Iterator[Item]:
    return (item for rule in monitor.rules for item in rule.items)


def _instance_key(case: Case) -> InstanceKey:
    return (case.covered.monitor.name, case.rule.key), _identity(case.descent)


def _key_of(verdict: Verdict) -> InstanceKey:
    return (verdict.monitor.name, verdict.rule.key), verdict.cause.key.identity


def _identity(descent: Descent | None) -> ProcessId | None:
    return descent.process.id if descent else None


def _limit_key(verdict: Verdict) -> LimitKey:
    """A signal's limit is for each process, that of a command for the rule, so that a decoy cannot shield a hog."""
    assert verdict.item
    whom: ProcessId | int | None = None
    if isinstance(verdict.item.action, Notify):
        whom = verdict.process.image.uid if verdict.process else None
    elif not isinstance(verdict.item.action, (Exec, Log)):
        whom = _identity(verdict.target)
    return verdict.monitor.name, verdict.item.key, whom


def _for_target(item: Item, case: Case, target: Descent | None, bar: Bar, cause: Cause) -> Verdict:
    """The verdict for one of those whom an action is for, its limit not yet asked."""
    verdict = Verdict(Kind.FIRE, cause, item, target)
    if target is None or verdict.only_tells:
        return verdict
    if spared := case.covered.spared.get(target.process.id):
        return replace(verdict, kind=Kind.SPARED, reason=spared)
    reason = bar(target)
    return replace(verdict, kind=Kind.PROTECTED, reason=reason) if reason else verdict


def _is_owed(verdict: Verdict, instance: Instance) -> bool:
    """Whether a once-only action is to reach somebody: also who is protected now, and may not be at another look."""
    waits = verdict.kind is Kind.PROTECTED and instance.firing and verdict.item and not _for_largest(verdict.item)
    return verdict.kind is Kind.FIRE or bool(waits)


def _for_largest(item: Item) -> bool:
    return isinstance(item.action, (Signal, Adjust)) and item.action.target is Target.LARGEST


def _lives(case: Case, look: Look) -> bool:
    return case.descent is None or look.readings.lives(case.descent.process.id)


def _remains(whom: object, table: ProcessTable) -> bool:
    return not isinstance(whom, ProcessId) or whom in table


def _is_over(key: Key, table: ProcessTable) -> bool:
    """Whether a series of the history is of a process that has ended, or a rate of one that is stopped."""
    about = key[0]
    if isinstance(about, Subject):
        return about.identity is not None and about.identity not in table
    process = table.get(about) if isinstance(about, ProcessId) else None
    return process is None or process.stopped


def _stops(verdict: Verdict) -> bool:
    return verdict.item is not None and lifecycle.is_stop(verdict.item.action)


def _one_of(asked: Sequence[Verdict], told_to_end: bool) -> Iterator[Verdict]:
    """The strongest of the signals to one process, and the others with the reason why they are not sent."""
    useless = [each for each in asked if told_to_end and _stops(each)]
    useful = sorted((each for each in asked if not (told_to_end and _stops(each))), key=_strength)
    yield from useful[:1]
    for each in useful[1:]:
        yield _shadowed(each, _SAME_SENT if _strength(each) == _strength(useful[0]) else _STRONGER_SENT)
    yield from (_shadowed(each, _NOT_STOPPED) for each in useless)


def _shadowed(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, kind=Kind.SHADOWED, reason=reason)


def _depth(verdicts: Iterable[Verdict]) -> int:
    return max(verdict.target.depth for verdict in verdicts if verdict.target)


def _strength(verdict: Verdict) -> int:
    assert verdict.item
    assert isinstance(verdict.item.action, Signal)
    return _STRENGTH[verdict.item.action.word]
