"""From what a look saw, and the rules say to it, to a picture of that: monitors, processes, and how near limits are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import nlargest
from math import inf
from typing import Any, NamedTuple

from fallfromgrace import timers
from fallfromgrace.docket import Case
from fallfromgrace.engine import Engine
from fallfromgrace.expression import And, Comparison, Condition, Not, Or, View, comparisons
from fallfromgrace.insight import Measure, Story, measures, share, story
from fallfromgrace.lifecycle import Phase
from fallfromgrace.looks import Look
from fallfromgrace.picture import Gauge, Level, Row, Section
from fallfromgrace.readings import Subject
from fallfromgrace.rules import counted
from fallfromgrace.table import Descent, ProcessId
from fallfromgrace.units import human_duration, human_size
from fallfromgrace.verdict import Kind, Verdict

# From so much of its limit on a process is worth a second look.
_NEAR = 0.8
_NOT_KNOWN = {Kind.UNKNOWN: "not known", Kind.EARLY: "not known yet"}
_SHORTER = (("at most ", "<="), ("at least ", ">="))


class Texts(NamedTuple):
    """The name of a user, and what may be shown of a text that anybody may have chosen."""

    owner: Callable[[int], str]
    legible: Callable[[str], str]


class Turns:
    """How much of a core everybody used, from one look to the next."""

    def __init__(self) -> None:
        self._before: tuple[float, Mapping[ProcessId, float]] = (-inf, {})
        self._share: Mapping[ProcessId, float] = {}

    def take(self, look: Look) -> None:
        """See what was used up to this look."""
        used = {each: look.readings.sample(each).get("cputime") for each in look.readings.identities}
        known = {identity: seconds for identity, seconds in used.items() if seconds is not None}
        then, before = self._before
        passed = look.now - then
        self._share = {
            identity: 100 * max(0.0, seconds - before[identity]) / passed
            for identity, seconds in known.items()
            if identity in before and passed > 0
        }
        self._before = look.now, known

    def of(self, identity: ProcessId) -> str:
        """For people; nothing where that is not known."""
        share = self._share.get(identity)
        return "" if share is None else f"{share:.0f}%"


class Portrait:
    """Pictures monitors, processes and rules; `acts` is whether there is a daemon that does what the rules say."""

    def __init__(
        self, engine: Engine, look: Look, verdicts: Sequence[Verdict], texts: Texts, turns: Turns, acts: bool
    ) -> None:
        self._engine, self._look, self._now = engine, look, look.now
        self._texts = texts
        self._turns = turns
        self._acts = acts
        self._verdicts: dict[Subject, list[Verdict]] = {}
        for verdict in verdicts:
            self._verdicts.setdefault(verdict.cause.key, []).append(verdict)
        self._cases: dict[Subject, list[Case]] = {}
        for case in look.cases:
            self._cases.setdefault(case.subject, []).append(case)

    def sections(self, most: int | None = None) -> Iterator[Section]:
        """Every monitor, in the order of the file, and of all processes the `most` urgent ones."""
        chosen = self._chosen(most)
        for covered in self._look.covered:
            monitor = covered.monitor
            living = [descent for descent in covered.descents if self._lives(descent)]
            subjects = [(Subject(monitor.name, descent.process.id), descent) for descent in living]
            note = counted(len(living), "process") if living else "nobody"
            yield Section(
                self._texts.legible(monitor.name),
                f"{note}, observed only" if monitor.observe else note,
                self._gauges(Subject(monitor.name, None)),
                tuple(self._row(each, descent) for each, descent in subjects if chosen is None or each in chosen),
                len(living),
            )

    def _chosen(self, most: int | None) -> Collection[Subject] | None:
        """Whom there may be room for; None for everybody. What is said of the others is never made."""
        subjects = [Subject(each.monitor.name, who) for each in self._look.covered for who in each.identities]
        if most is None or len(subjects) <= most:
            return None
        return set(nlargest(most, subjects, key=self._urgency))

    def _urgency(self, subject: Subject) -> tuple[int, float]:
        return max(map(self._rank, self._cases.get(subject, ())), default=(-1, 0.0))

    def _rank(self, case: Case) -> tuple[int, float]:
        """As `urgency` of the gauge."""
        near = nearness(case.rule.trigger.condition, self._look.sight(case))
        return int(_level(self._phase(case), near)), near or 0.0

    def _phase(self, case: Case) -> Phase:
        return self._engine.memory.instance(case.key).phase

    def _lives(self, descent: Descent) -> bool:
        return self._look.readings.lives(descent.process.id)

    def _row(self, subject: Subject, descent: Descent) -> Row:
        process, readings = descent.process, self._look.readings
        rmem = readings.sample(process.id).get("rmem")
        notes = [f"below {descent.root.id.pid}"] if descent.depth else []
        notes += ["stopped"] if readings.stopped(process.id) else []
        return Row(
            pid=process.id.pid,
            owner=self._texts.owner(process.image.uid),
            rmem="" if rmem is None else human_size(rmem),
            cpu=self._turns.of(process.id),
            command=self._texts.legible(process.image.shown),
            note=", ".join(notes),
            gauges=self._gauges(subject),
        )

    # --- rules ---

    def _gauges(self, subject: Subject) -> tuple[Gauge, ...]:
        return tuple(map(self._gauge, self._cases.get(subject, ())))

    def _gauge(self, case: Case) -> Gauge:
        trigger = case.rule.trigger
        told = _telling(trigger.condition, measures(trigger.fires, self._look.sight(case)))
        level = _level(self._phase(case), told.share)
        rule = self._texts.legible(case.rule.text)
        return Gauge(rule, told.share, _shorter(told.value), _shorter(told.limit), self._state(case), level)

    def _state(self, case: Case) -> str:
        """What has become of a rule; most often nothing, which is found out at little cost."""
        verdicts, phase = self._verdicts.get(case.subject, ()), self._phase(case)
        kinds = {verdict.kind for verdict in verdicts if verdict.rule is case.rule}
        if phase is Phase.INACTIVE:
            return next((text for kind, text in _NOT_KNOWN.items() if kind in kinds), "")
        found = story(self._engine, self._look, verdicts, case)
        return self._pending(found) if phase is Phase.PENDING else self._firing(found, case, kinds)

    def _pending(self, found: Story) -> str:
        wanted = found.rule.trigger.fires.seconds
        held = f" {_time(self._now - found.since)} of {_time(wanted)}" if wanted and found.since is not None else ""
        return f"pending{held}"

    def _firing(self, found: Story, case: Case, kinds: Collection[Kind]) -> str:
        rungs = len(found.rule.rungs)
        step = f" {found.rung + 1}/{rungs}" if rungs > 1 else ""
        if not found.known:
            return f"firing{step}, not known"
        if not self._acts:
            return f"would fire{step}"
        if Kind.PROTECTED in kinds and all(due.at == inf for due in found.due):
            return f"firing{step}, protected"
        return f"firing{step}, {self._next(found, case)}"

    def _next(self, found: Story, case: Case) -> str:
        """What is done next, and when."""
        instance, rungs = self._engine.memory.instance(case.key), found.rule.rungs
        in_force = {str(item.action) for item in rungs[found.rung].items}
        coming = [(due.at, timers.verb(due.action)) for due in found.due if due.at < inf and due.action in in_force]
        if found.rung + 1 < len(rungs):
            coming.append((instance.reached + rungs[found.rung + 1].after, f"step {found.rung + 2}"))
        if not coming:
            return "done"
        at, what = min(coming)
        return f"{what} in {_time(at - self._now)}" if at > self._now else f"{what} now"


def _level(phase: Phase, share: float | None) -> Level:
    if phase is not Phase.INACTIVE:
        return Level.FIRING if phase is Phase.FIRING else Level.PENDING
    return Level.NEAR if share is not None and share >= _NEAR else Level.CALM


def nearness(node: Condition, view: View, opposite: bool = False) -> float | None:
    """How much of its limit is reached, without the words for it: the share of the measure that is told."""
    if isinstance(node, Comparison):
        return share(node, view, opposite=opposite)
    if isinstance(node, Not):
        return nearness(node.part, view, not opposite)
    known = [each for part in node.parts if (each := nearness(part, view, opposite)) is not None]
    decisive: float | None = _decisive(node, opposite)(known, default=None)
    return decisive


def _decisive(node: And | Or, opposite: bool) -> Callable[..., Any]:
    """Of several that may hold the nearest decides, of several that have to the farthest."""
    return max if isinstance(node, Or) is not opposite else min


def _telling(condition: Condition, found: Sequence[Measure]) -> Measure:
    """Of the comparisons of a condition the one that decides."""
    return _hinge(condition, dict(zip(comparisons(condition), found, strict=True)), False)


def _hinge(node: Condition, found: Mapping[Comparison, Measure], opposite: bool) -> Measure:
    if isinstance(node, Comparison):
        return found[node]
    if isinstance(node, Not):
        return _hinge(node.part, found, not opposite)
    parts = [_hinge(part, found, opposite) for part in node.parts]
    known = [part for part in parts if part.share is not None] or parts
    told: Measure = _decisive(node, opposite)(known, key=lambda part: part.share or 0.0)
    return told


def _shorter(text: str) -> str:
    for long, short in _SHORTER:
        text = text.replace(long, short)
    return text


def _time(seconds: float) -> str:
    return human_duration(max(0, round(seconds)))
