"""The engine: a configuration and what a look saw in, verdicts out. It reads no clock and touches no process.

One sweep: `see(table, now)` takes in who is there; `watched(now)` says whose size is to be read, `watch(sizes, now)`
finds who has come to a limit. These, and who is `due` for another reason, are judged: `look(...)` at them; the caller
reads what `wants(look)` asks for, until nothing is; `sweep(look)` gives verdicts. For each that fires the caller asks
`due_at`, since one before it may have used the limit that they share, acts, and tells with `record` what came of it.
`arm(look, verdicts)` puts down when each is looked at again; `next_look` is the first of these times.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from math import inf

from fallfromgrace import lifecycle
from fallfromgrace.adoption import Adoption, Inheritance, Rulebook, adoption, inherit, take_over
from fallfromgrace.agenda import TICK_SECONDS, Agenda
from fallfromgrace.arbitration import arbitrate
from fallfromgrace.arming import Arming
from fallfromgrace.coverage import Coverage, Covered
from fallfromgrace.docket import Case, Docket, InstanceKey
from fallfromgrace.expression import undecided, value_and_limit
from fallfromgrace.history import History, Key
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.looks import Look
from fallfromgrace.memory import Memory, identity_of, key_of
from fallfromgrace.protection import Bar, Self
from fallfromgrace.readings import Facet, Subject, Want, facets_of
from fallfromgrace.records import replace
from fallfromgrace.rules import Adjust, Config, Item, Signal, Target
from fallfromgrace.table import Descent, Process, ProcessId, ProcessTable, Runs, Size
from fallfromgrace.targets import targets, wants_largest
from fallfromgrace.verdict import NO_LONGER, Cause, Kind, Outcome, Result, Verdict

# What was read just before acting was not what was known before: it is soon, or the next look at the processes tells.
_DOUBT_SECONDS = 1.0


class Engine:
    """The rules of one configuration with everything that they remember."""

    def __init__(self, config: Config, myself: Self) -> None:
        self.config = config
        self._myself = myself
        self._book = Rulebook(config)
        self._coverage = Coverage(config.monitors)
        self._history = History(config.settings.interval)
        self._memory = Memory(self._book.ways)
        self.doubt()

    def doubt(self) -> None:
        """Know nobody any more, and what is due when: all of it is found out anew. What rules did is not forgotten.

        For after a look that was cut short, wherever that was.
        """
        self._docket = Docket(ProcessTable(()), ())
        self._agenda = Agenda(self.config.settings.interval)
        self._arming = Arming(self._agenda, self._memory, self.config.settings.interval)

    # --- who is there, and who is to be looked at ---

    def selects(self, image: Runs) -> bool:
        """Whether any monitor is about processes that run this; those below them matter too."""
        return self._coverage.selects(image)

    @property
    def facets(self) -> frozenset[Facet]:
        """All that may have to be read."""
        triggers = [rule.trigger for rule in self._book.rules.values()]
        parts = [part for trigger in triggers for part in (trigger.fires, trigger.until) if part]
        return frozenset().union(*(facets_of(part.condition) for part in parts))

    def see(self, table: ProcessTable, now: float) -> bool:
        """Take in who is there, and whether that is news; the same table as before costs nothing."""
        if table is self._docket.table:
            return False
        before, self._docket = self._docket, Docket(table, self._coverage.of(table))
        self._memory.forget(table, {case.key for cases in self._docket.cases.values() for case in cases})
        self._history.forget(lambda key: _is_over(key, table))
        self._agenda.keep(self._docket.cases.keys())
        for subject in self._docket.news(before):
            self._agenda.judge(subject, now)
        return True

    def watched(self, now: float) -> set[ProcessId]:
        """Those whose size is to be read now."""
        return self._agenda.watched(now)

    def watch(self, sizes: Mapping[ProcessId, Size], now: float) -> None:
        """Take in these sizes: who has come to a limit is judged now. Who is not among them could not be read."""
        self._agenda.watch(sizes, now)

    def stir(self, now: float) -> None:
        """Have everybody judged now, as if each had come to a limit."""
        for subject in self._docket.cases:
            self._agenda.judge(subject, now)

    def rest(self, until: float) -> None:
        """Whose size was just read is not read again before a time, for all are known to stay as they are."""
        self._agenda.rest(until)

    def due(self, now: float) -> list[Subject]:
        """Those who are to be judged now."""
        return self._agenda.due(now)

    @property
    def next_look(self) -> float:
        """When somebody is to be looked at again; inf for never."""
        return self._agenda.next

    # --- what to read ---

    @property
    def covered(self) -> Sequence[Covered]:
        """What each monitor is about, as of the last table; the same object as long as that is."""
        return self._docket.covered

    def look(
        self,
        table: ProcessTable,
        own_groups: Collection[int],
        now: float,
        subjects: Collection[Subject] | None = None,
        kin: Container[Process] = (),
    ) -> Look:
        """What is seen at this moment of some, or of all, before anything is read; `own_groups` are our commands'."""
        self.see(table, now)
        bar = Bar(self.config.settings, self._myself, frozenset(own_groups), kin)
        return Look(self._docket, bar, self._history, now, subjects)

    def wants(self, look: Look) -> frozenset[Want]:
        """The readings that are still needed."""
        return look.judge(lambda case: self._instance(case).firing) or self._wants_for_targets(look)

    def _wants_for_targets(self, look: Look) -> frozenset[Want]:
        """What has to be known of those whom actions in force are for."""
        wants = set(self._wants_for_clocks(look))
        for case in look.cases:
            instance = self._advanced(case, look)
            for item in lifecycle.due_items(instance, case.rule):
                if _for_largest(item) and (item.action.limit or item.own not in instance.owed):
                    wants |= wants_largest(case, look)
                elif lifecycle.is_stop(item.action):
                    found = (each.process.id for each in targets(item, case, instance, look) if each)
                    wants.update(*(look.readings.missing(each, Facet.STAT) for each in found))
        return frozenset(wants)

    def _wants_for_clocks(self, look: Look) -> Iterator[Want]:
        """Whether those whom we stopped run again."""
        for identity, _ in self._memory.clocks if look.cases else ():
            if look.readings.lives(identity):
                yield from look.readings.missing(identity, Facet.STAT)

    def _instance(self, case: Case) -> Instance:
        return self._memory.instance(case.key)

    # --- what to do ---

    def sweep(self, look: Look) -> tuple[Verdict, ...]:
        """What is to be done. One that is cut short is none at all."""
        before = dict(self._memory.instances)
        try:
            return self._sweep(look)
        except BaseException:
            self._memory.instances = before
            raise

    def _sweep(self, look: Look) -> tuple[Verdict, ...]:
        cases = [case for case in look.cases if _lives(case, look)]
        after = {case.key: self._advanced(case, look) for case in cases}
        fresh = {key for key, instance in after.items() if instance.firing and not self._memory.instance(key).firing}
        self._memory.observe(look)
        for case in look.cases:
            self._memory.instances.pop(case.key, None)
        for case in cases:
            self._memory.keep(case.key, lifecycle.settled(after[case.key], case.rule))
        judged = [verdict for case in cases for verdict in self._verdicts(case, look, fresh)]
        look.remember()
        return tuple(arbitrate(judged, self._told_to_end))

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
        cause = self._cause(case, look, instance, case.key in fresh)
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
        key, instance = case.key, self._instance(case)
        found = targets(item, case, instance, look)
        verdicts = [_for_target(item, case, _as_seen(descent, look), look.bar, cause) for descent in found]
        if item.action.limit is None or not instance.firing:
            whom = [identity_of(each.target) for each in verdicts if _is_owed(each, instance)]
            self._memory.instances[key] = lifecycle.begun(instance, item, whom)
        yield from (self._limited(verdict, look.now) for verdict in verdicts)

    def _limited(self, verdict: Verdict, now: float) -> Verdict:
        if verdict.kind is not Kind.FIRE or (due := self.due_at(verdict)) <= now:
            return verdict
        return replace(verdict, kind=Kind.LIMITED, reason="it is done" if due == inf else "its limit has not run out")

    def due_at(self, verdict: Verdict) -> float:
        """When an action in force is due, by what was recorded so far; -inf at once."""
        return self._memory.due_at(verdict)

    def _told_to_end(self, observed: bool) -> frozenset[ProcessId]:
        """Who was sent a signal that ends a process, by a rule that fires."""
        names = {name for name, monitor in self._book.monitors.items() if monitor.observe is observed}
        return self._memory.told_to_end(names)

    # --- what came of it ---

    def record(self, outcome: Outcome, now: float) -> None:
        """Remember what was done."""
        self._memory.record(outcome, now, self.config.settings.interval)
        if not outcome.result.delivered:
            self._reconsider(outcome)

    def _reconsider(self, outcome: Outcome) -> None:
        """After something needless: a rule that would not have begun to fire has not, another may be the largest."""
        key, cause, item = key_of(outcome.verdict), outcome.verdict.cause, outcome.verdict.item
        instance = self._memory.instance(key)
        if outcome.result is Result.REFUTED and cause.fresh and instance.firing and not instance.acted:
            del self._memory.instances[key]
            self._arming.doubt(cause.key, TICK_SECONDS if outcome.detail == NO_LONGER else _DOUBT_SECONDS)
        elif outcome.result is Result.GONE and item and _for_largest(item):
            self._memory.instances[key] = lifecycle.not_begun(instance, item)
            self._arming.doubt(cause.key, TICK_SECONDS)
        elif outcome.result is Result.REFUTED:
            self._arming.doubt(cause.key, _DOUBT_SECONDS)

    # --- when to look again ---

    def arm(self, look: Look, verdicts: Iterable[Verdict]) -> None:
        """Put down when those who were judged are to be looked at again, after all that was to be done was."""
        self._arming.arm(look, verdicts)

    # --- reload and restart ---

    def adopt(self, previous: Engine, now: float) -> Adoption:
        """Take over what a previous configuration's engine remembers of rules and actions that are still there."""
        take_over(self._memory, previous._memory, self._book, now, self.config.settings.interval)
        self._history.adopt(previous._history)
        grown = set(self._book.growths)
        self._history.forget(lambda key: isinstance(key[0], Subject) and (key[0].monitor, key[1]) not in grown)
        return adoption(self._memory, previous._book, self._book, now)

    @property
    def memory(self) -> Memory:
        """What is remembered, to be kept for a daemon that comes after this one."""
        return self._memory

    def inherit(self, memory: Memory, last: float, now: float) -> Inheritance:
        """Take over what a daemon remembered that has ended; it looked up to `last`. Before the first look."""
        return inherit(self._memory, memory, self._book, last, now, self.config.settings.interval)

    def assume(self, memory: Memory, now: float) -> None:
        """Take for ours what a daemon remembers that still runs, as far as it is about our rules."""
        take_over(self._memory, memory, self._book, now, self.config.settings.interval)

    def ever_stopped(self) -> tuple[ProcessId, ...]:
        """The processes that a rule has stopped, and that had not ended at the last look."""
        return self._memory.ever_stopped()


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


def _for_target(item: Item, case: Case, target: Descent | None, bar: Bar, cause: Cause) -> Verdict:
    """The verdict for one of those whom an action is for, its limit not yet asked."""
    verdict = Verdict(Kind.FIRE, cause, item, target)
    if target is None or verdict.only_tells:
        return verdict
    if spared := case.covered.spared.get(target.process.id):
        return replace(verdict, kind=Kind.SPARED, reason=spared)
    reason = bar(target)
    return replace(verdict, kind=Kind.PROTECTED, reason=reason) if reason else verdict


def _as_seen(target: Descent | None, look: Look) -> Descent | None:
    """A target, stopped or not as it was in this look."""
    if target is None or target.process.stopped is (stopped := look.readings.stopped(target.process.id)):
        return target
    return target._replace(process=target.process._replace(state="T" if stopped else "S"))


def _is_owed(verdict: Verdict, instance: Instance) -> bool:
    """Whether a once-only action is to reach somebody: also who is protected now, and may not be at another look."""
    waits = verdict.kind is Kind.PROTECTED and instance.firing and verdict.item and not _for_largest(verdict.item)
    return verdict.kind is Kind.FIRE or bool(waits)


def _for_largest(item: Item) -> bool:
    return isinstance(item.action, (Signal, Adjust)) and item.action.target is Target.LARGEST


def _lives(case: Case, look: Look) -> bool:
    return case.descent is None or look.readings.lives(case.descent.process.id)


def _is_over(key: Key, table: ProcessTable) -> bool:
    """Whether a series of the history is of a process that has ended."""
    identity = key[0].identity if isinstance(key[0], Subject) else key[0]
    return isinstance(identity, ProcessId) and identity not in table
