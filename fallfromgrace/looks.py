"""One look: who is covered, what was read of them, and what every rule says of every process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from math import inf
from typing import NamedTuple

from fallfromgrace.coverage import Covered
from fallfromgrace.docket import Case, Docket
from fallfromgrace.expression import NOTHING, Metric, Scope, Trigger, evaluate
from fallfromgrace.history import History
from fallfromgrace.lifecycle import Truth
from fallfromgrace.protection import Bar
from fallfromgrace.readings import COUNTERS, FACETS, Ageless, Facet, Readings, Sight, Subject, Want, needed
from fallfromgrace.rules import Rule
from fallfromgrace.table import Descent, ProcessId

# The start time of a process is known to a hundredth of a second.
_TICK_SECONDS = 0.01


class Judged(NamedTuple):
    """What a look says of a case, and the readings that would say more."""

    truth: Truth
    wants: frozenset[Want]


class Look:
    """What is seen at one moment of some subjects, or of all.

    `judge` asks for readings until there are none left that would decide anything.
    """

    def __init__(
        self, docket: Docket, bar: Bar, history: History, now: float, subjects: Collection[Subject] | None = None
    ) -> None:
        self.table = docket.table
        self.covered = docket.covered
        self.subjects = tuple(docket.cases if subjects is None else docket.in_order(subjects))
        self.cases = tuple(case for subject in self.subjects for case in docket.cases[subject])
        self.bar = bar
        self.now = now
        self.readings = Readings(docket.table)
        self.tree = docket.tree
        self._docket = docket
        self._history = history
        self._sights: dict[Subject, Sight] = {}
        self._judged: dict[tuple[Subject, str], Judged] = {}
        self._primed = False

    def judge(self, firing: Callable[[Case], bool]) -> frozenset[Want]:
        """Judge what is not decided yet; the readings that would decide more, of each case the cheapest.

        What is cheap and looked at by some rule is asked for first, without a judgement that could not know anything.
        """
        primed, self._primed = self._primed, True
        if not primed and (first := frozenset(self._cheap())):
            return first
        wants: set[Want] = set()
        for case in self.cases:
            known = self._judged.get((case.subject, case.rule.key))
            if known is None or known.wants:
                judged = self._judge(case, firing(case))
                self._judged[case.subject, case.rule.key] = judged
                wants |= judged.wants
        return frozenset(wants)

    def _cheap(self) -> Iterator[Want]:
        for case in self.cases:
            if case.descent:
                yield from (Want(case.descent.process.id, facet) for facet in _cheap_facets(case.rule))

    def _judge(self, case: Case, firing: bool) -> Judged:
        sight = self.sight(case)
        always = NOTHING.union(*(sight.always(found) for found in case.rule.remembered))
        truth, wants = _truth(case.rule.trigger, sight, firing)
        return Judged(truth, always or cheapest(wants))

    def truth(self, case: Case) -> Truth:
        """What `judge` found."""
        return self._judged[case.subject, case.rule.key].truth

    def of(self, subject: Subject) -> Sequence[Case]:
        """The cases of a subject."""
        return self._docket.cases[subject]

    def members(self, case: Case, scope: Scope) -> Sequence[ProcessId]:
        """Whose metrics a scope adds up."""
        if scope is Scope.TREE and case.descent:
            return tuple(each.process.id for each in self.tree(case.descent))
        return (case.descent.process.id,) if scope is Scope.OWN and case.descent else case.covered.identities

    def sight(self, case: Case) -> Sight:
        """What a rule sees."""
        return self.sight_of(case.covered, case.descent)

    def sight_of(self, covered: Covered, descent: Descent | None) -> Sight:
        """What is seen of a process that is covered, or of all that are."""
        subject = Subject(covered.monitor.name, descent.process.id if descent else None)
        if subject not in self._sights:

            def tree() -> list[ProcessId]:
                return [each.process.id for each in self.tree(descent)] if descent else []

            group = covered.identities
            self._sights[subject] = Sight(self.readings, self._history, subject, tree, group, self.now)
        return self._sights[subject]

    def remember(self) -> None:
        """Keep what later looks compare with."""
        for case in self.cases:
            for growth in case.rule.growths:
                self.sight(case).remember(growth)
        for identity in self.readings.identities if self._counters else ():
            sample = self.readings.sample(identity)
            for counter in self._counters & sample.keys():
                if self.readings.stopped(identity):
                    self._history.drop((identity, counter))  # what comes after is no rate of now
                else:
                    self._remember((identity, counter), sample[counter], sample.get("age", inf))

    def _remember(self, key: tuple[ProcessId, str], counted: float, age: float) -> None:
        """Keep a counter; of a young process also that it was nothing when the process began."""
        window = self._history.rate_window
        if age < window and not self._history.knows(key):
            self._history.add(key, self.now - age, 0, window)
        self._history.add(key, self.now, counted, window)

    @cached_property
    def _counters(self) -> frozenset[str]:
        """What rates are asked for, by what they are the change of."""
        metrics = {found.name for case in self.cases for found in case.rule.remembered if isinstance(found, Metric)}
        return frozenset(COUNTERS[name][0] for name in metrics)

    def next_ages(self, case: Case) -> Iterator[float]:
        """When a process reaches an age that decides a rule of it."""
        if case.rule.ages and _depends_on_age(case.rule, self.sight(case)):
            age = self.sight(case).interval(Metric("age"))
            if age.known:
                yield from (self.now + limit - age.low + _TICK_SECONDS for limit in case.rule.ages if limit >= age.low)


def _cheap_facets(rule: Rule) -> set[Facet]:
    names = {found.name for found in rule.trigger.measured if isinstance(found, Metric)}
    return {FACETS[each] for name in names for each in needed(name) if FACETS[each] <= Facet.MEMORY}


def _depends_on_age(rule: Rule, sight: Sight) -> bool:
    """Whether it would be decided otherwise of an older process; most often something else is false already."""
    parts = (rule.trigger.fires, rule.trigger.until)
    return any(part and evaluate(part.condition, Ageless(sight)).truth is None for part in parts)


def _truth(trigger: Trigger, sight: Sight, firing: bool) -> Judged:
    """What matters is judged: of a rule that fires its `until`, of another one the condition first."""
    if trigger.until and firing:
        until = evaluate(trigger.until.condition, sight)
        return Judged(Truth(True, until.truth), until.wants)
    holds = evaluate(trigger.condition, sight)
    if not trigger.until or holds.truth is False:
        return Judged(Truth(holds.truth), holds.wants)
    until = evaluate(trigger.until.condition, sight)
    return Judged(Truth(holds.truth, until.truth), holds.wants | until.wants)


def cheapest(wants: frozenset[Want]) -> frozenset[Want]:
    """Those of the least cost: what they tell may make the others needless."""
    least = min((want.facet for want in wants), default=Facet.MACHINE)
    return frozenset(want for want in wants if want.facet is least)
