"""Why something that a test expects was not done, as far as that can be told."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fallfromgrace.comparison import SAME_SECONDS, Done
from fallfromgrace.coverage import Coverage
from fallfromgrace.errors import did_you_mean
from fallfromgrace.expectation import Deed, Expectation, format_time
from fallfromgrace.expression import Metric, Sample, Scope, measured
from fallfromgrace.frames import Frame
from fallfromgrace.rules import Config, Monitor, Rule
from fallfromgrace.table import ProcessId, ProcessTable
from fallfromgrace.units import human
from fallfromgrace.verdict import Kind, Verdict


class Told(NamedTuple):
    """What a rule said of these processes from a look on to another; about one action, or where that is None all."""

    at: float
    last: float
    kind: Kind
    reason: str
    monitor: str
    rule: str
    deed: Deed | None
    whose: frozenset[ProcessId]


class Hearing:
    """What rules said, kept for as long as they say the same at each look, or there would be no end of it."""

    def __init__(self, times: Sequence[float]) -> None:
        """`times` are those at which everybody was looked at."""
        self.told: list[Told] = []
        self._times = times
        self._latest: dict[Hashable, int] = {}

    def hear(self, at: float, verdict: Verdict) -> None:
        """What a rule says at a time."""
        said = _told(at, verdict)
        key = said._replace(at=0.0, last=0.0)
        place = self._latest.get(key)
        if place is None or said.kind is Kind.FIRE or self._was_silent(self.told[place].last, at):
            self._latest[key] = len(self.told)
            self.told.append(said)
        else:
            self.told[place] = self.told[place]._replace(last=at)

    def _was_silent(self, last: float, at: float) -> bool:
        """Whether there was a look in between, at which it could have said the same."""
        return bisect_right(self._times, last) < bisect_left(self._times, at)


def _told(at: float, verdict: Verdict) -> Told:
    cause, item = verdict.cause, verdict.item
    deed = Deed(item.action, cause.recovered, verdict.monitor.observe) if item else None
    whose = frozenset(descent.process.id for descent in (verdict.target, cause.subject) if descent)
    return Told(at, at, verdict.kind, verdict.reason, verdict.monitor.name, verdict.rule.key, deed, whose)


class Evidence(NamedTuple):
    """What is known of a test that was played: what rules said, and what was done that was not expected.

    `asked` are the monitors that it is about, empty for all.
    """

    config: Config
    asked: Collection[str]
    names: Mapping[ProcessId, str]
    told: Sequence[Told]
    unexpected: Sequence[Done]


def excuse(missed: Expectation, evidence: Evidence, frame: Frame) -> str:
    """Why it was not done at its time, at which `frame` was seen."""
    reasons = (ask(missed, evidence, frame) for ask in _REASONS)
    return next(reason for reason in reasons if reason)


def _at_another_time(missed: Expectation, evidence: Evidence, _: Frame) -> str:
    times = [format_time(each.at) for each in evidence.unexpected if missed.means(each.process, each.deed)]
    return f"it was done at {times[0]}" if times else ""


# --- the rules that would do it -----------------------------------------------------------------------------------


def _deeds(evidence: Evidence) -> Iterator[tuple[Monitor, Rule, Deed]]:
    for monitor in (each for each in evidence.config.monitors if not evidence.asked or each.name in evidence.asked):
        for rule in monitor.rules:
            for rung in rule.rungs:
                yield from ((monitor, rule, Deed(item.action, False, monitor.observe)) for item in rung.items)
            yield from ((monitor, rule, Deed(item.action, True, monitor.observe)) for item in rule.recovered)


def _rules(missed: Expectation, evidence: Evidence) -> list[tuple[Monitor, Rule]]:
    return [(monitor, rule) for monitor, rule, deed in _deeds(evidence) if missed.means(missed.process, deed)]


def _no_such_action(missed: Expectation, evidence: Evidence, _: Frame) -> str:
    if _rules(missed, evidence):
        return ""
    other = missed._replace(deed=missed.deed._replace(observed=not missed.deed.observed))
    if found := _rules(other, evidence):
        does = "only says what it would do" if other.deed.observed else "does it, and not only says so"
        return f"monitor '{found[0][0].name}' {does}; write {other.shown}"
    known = [deed.verb if missed.any_text else str(deed) for _, _, deed in _deeds(evidence)]
    return f"no rule has this action{did_you_mean(missed.shown, known)}"


# --- whom they are about ------------------------------------------------------------------------------------------


def _identity(missed: Expectation, evidence: Evidence) -> ProcessId | None:
    return next((each for each, name in evidence.names.items() if name == missed.process), None)


def _not_there(missed: Expectation, evidence: Evidence, frame: Frame) -> str:
    identity = _identity(missed, evidence)
    if identity is None or identity in {process.id for process in frame.processes}:
        return ""
    return "it is not there at that time"


def _not_covered(missed: Expectation, evidence: Evidence, frame: Frame) -> str:
    identity = _identity(missed, evidence)
    found = Coverage(evidence.config.monitors).of(ProcessTable(frame.processes))
    named = {monitor.name for monitor, _ in _rules(missed, evidence)}
    asked = [covered for covered in found if covered.monitor.name in named]
    if identity is None or any(identity in covered.identities for covered in asked):
        return ""
    image = next(process.image for process in frame.processes if process.id == identity)
    left_out = ((each.monitor, each.spared.get(identity, "")) for each in asked)
    why = ((monitor.name, spared or _misses(monitor.selector.misses(image))) for monitor, spared in left_out)
    return "; ".join(f"'{name}' is not about it, for {reason}" for name, reason in why)


def _misses(key: str) -> str:
    return f"its {key} does not match" if key else "it is not selected"


# --- what they said -----------------------------------------------------------------------------------------------


def _as_told(missed: Expectation, evidence: Evidence, _: Frame) -> str:
    """What was said last, and since when nothing else."""
    said = list(_said(missed, evidence))
    if not said:
        return ""
    end = max(each.last for each in said)
    latest = [each for each in said if each.last == end]
    own = [each for each in latest if each.deed is None or missed.means(missed.process, each.deed)]
    others = [each for each in said if each.kind is Kind.FIRE]
    last = (own or others or latest)[-1]
    if last.kind is Kind.FIRE:
        return f"what its rule did last, at {format_time(last.at)}, was '{last.deed}'"
    return f"{last.kind.value} {'at' if last.at == last.last else 'since'} {format_time(last.at)}: {last.reason}"


def _said(missed: Expectation, evidence: Evidence) -> Iterator[Told]:
    """What rules that would do it said by then of the same process."""
    rules = {(monitor.name, rule.key) for monitor, rule in _rules(missed, evidence)}
    identity = _identity(missed, evidence)
    for each in evidence.told:
        about = not each.whose or identity is None or identity in each.whose
        if each.at <= missed.at + SAME_SECONDS and about and (each.monitor, each.rule) in rules:
            yield each._replace(last=max(each.at, min(each.last, missed.at)))


# --- what was seen ------------------------------------------------------------------------------------------------


def _not_true(missed: Expectation, evidence: Evidence, frame: Frame) -> str:
    identity = _identity(missed, evidence)
    texts = []
    for _, rule in _rules(missed, evidence):
        seen = ", ".join(_seen(rule, frame.samples.get(identity, {}), frame.samples.get(None, {})))
        texts.append(f"'{rule.text}' does not begin to fire then" + (f", for {seen}" if seen else ""))
    return "; ".join(texts)


def _seen(rule: Rule, process: Sample, machine: Sample) -> Iterator[str]:
    """What can be looked up of what a rule looks at."""
    for found in dict.fromkeys(measured(rule.trigger.condition)):
        sample = machine if isinstance(found, Metric) and found.scope is Scope.SYSTEM else process
        if isinstance(found, Metric) and found.scope in (Scope.SYSTEM, Scope.OWN) and found.name in sample:
            yield f"{found} is {human(sample[found.name], found.dimension)}"


# The last one always knows something.
_REASONS = (_at_another_time, _no_such_action, _not_there, _not_covered, _as_told, _not_true)
