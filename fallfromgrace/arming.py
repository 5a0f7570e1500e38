"""When to look again at those who were judged, after all that was to be done was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from fallfromgrace import headroom, lifecycle
from fallfromgrace.agenda import AGE_TICK_SECONDS, TICK_SECONDS, UNREAD_SECONDS, Agenda, Part, next_of, tick
from fallfromgrace.arbitration import NOT_STOPPED
from fallfromgrace.docket import Case
from fallfromgrace.expression import Metric, wholes
from fallfromgrace.looks import Look
from fallfromgrace.memory import Memory
from fallfromgrace.readings import Facet, Subject
from fallfromgrace.rules import Rule
from fallfromgrace.verdict import Kind, Verdict


class Arming:
    """Puts down in an agenda when each subject of a look is judged again, and how it is watched until then."""

    def __init__(self, agenda: Agenda, memory: Memory, interval: float) -> None:
        self._agenda = agenda
        self._memory = memory
        self._interval = interval
        self._doubted: dict[Subject, float] = {}

    def doubt(self, subject: Subject, seconds: float) -> None:
        """Have a subject judged again so soon, since what was found was not so a moment later."""
        self._doubted[subject] = seconds

    def arm(self, look: Look, verdicts: Iterable[Verdict]) -> None:
        """Do so for all who were judged."""
        due: dict[Subject, list[float]] = {}
        for verdict in verdicts:
            if verdict.kind in (Kind.FIRE, Kind.LIMITED):
                due.setdefault(verdict.cause.key, []).append(tick(self._memory.due_at(verdict)))
            elif verdict.kind is Kind.SHADOWED and verdict.reason != NOT_STOPPED:
                due.setdefault(verdict.cause.key, []).append(next_of(TICK_SECONDS, look.now))
        for subject in look.subjects:
            self._arm(subject, look, due.get(subject, []))
        self._doubted.clear()

    def _arm(self, subject: Subject, look: Look, due: list[float]) -> None:
        cases = look.of(subject)
        found = [self._ceilings(case, look) for case in cases]
        due += [at for case in cases for at in self._changes(case, look)]
        if None in found or any(self._is_followed(case) for case in cases):
            due.append(next_of(self._interval, look.now))
        if self._is_unread(cases[0], look):
            due.append(next_of(min(UNREAD_SECONDS, self._interval), look.now))
        if subject in self._doubted:
            due.append(next_of(self._doubted[subject], look.now))
        again = min((at for at in due if at > look.now), default=inf)
        least = headroom.least(each for each in found if each is not None)
        room = headroom.room(least, look.sight(cases[0]))
        self._agenda.judged(subject, again, _parts(least, cases[0], look), room, look.now)

    def _is_unread(self, case: Case, look: Look) -> bool:
        """Whether memory, which everybody may read, could not be read of one who lives: for want of descriptors."""
        identity = case.subject.identity
        if identity is None or "rmem" in look.readings.sample(identity):
            return False
        return look.readings.lives(identity) and not look.readings.missing(identity, Facet.MEMORY)

    def _is_followed(self, case: Case) -> bool:
        """Whether it is read at each interval, however small it is.

        For rates, to see who runs again, and since what the machine has may become less.
        """
        clock = case.subject.identity, case.covered.monitor.observe
        stops = self._memory.clocks and any(lifecycle.is_stop(item.action) for item in case.rule.items)
        return bool(case.rule.remembered or stops or _of_the_machine(case.rule)) or clock in self._memory.clocks

    def _ceilings(self, case: Case, look: Look) -> headroom.Ceilings | None:
        """Until what sizes there is nothing to do; None where more has to be looked at."""
        return headroom.ceilings_of(case.rule, self._memory.instance(case.key), look.truth(case), look.sight(case))

    def _changes(self, case: Case, look: Look) -> Iterator[float]:
        """When something changes by the mere passing of time."""
        yield from map(tick, lifecycle.next_at(self._memory.instance(case.key), case.rule))
        yield from (tick(at, AGE_TICK_SECONDS) for at in look.next_ages(case))
        yield from (look.now + growth.window for growth in case.rule.growths)


def _of_the_machine(rule: Rule) -> bool:
    """Whether a rule compares with a part of the machine's memory or swap."""
    return any(True for _ in wholes(rule.trigger.condition))


def _parts(least: headroom.Ceilings, case: Case, look: Look) -> list[Part]:
    """Whose sizes are added up, and how large the sums may be."""
    return [
        Part(
            look.members(case, scope),
            least.get(Metric("rmem", scope), inf),
            least.get(Metric("vmem", scope), inf),
        )
        for scope in dict.fromkeys(metric.scope for metric in least)
    ]
