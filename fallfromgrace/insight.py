"""What a rule makes of what is there, as values to be shown: each comparison with its numbers, how far the rule has
come, what it may do when, and in a sentence what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from fallfromgrace.docket import Case
from fallfromgrace.engine import Engine
from fallfromgrace.expression import (
    And,
    Comparison,
    Condition,
    Lasting,
    Not,
    Or,
    View,
    bounds,
    evaluate,
    measured,
    value_and_limit,
)
from fallfromgrace.foresight import sentence
from fallfromgrace.lifecycle import Phase
from fallfromgrace.looks import Look
from fallfromgrace.outlook import Outlook, outlook
from fallfromgrace.readings import Subject
from fallfromgrace.rules import Monitor, Rule
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import Verdict


class Measure(NamedTuple):
    """A comparison of a condition. `share` is how much of the way the value has come to the limit, 1 at the limit;
    None where that is no question of more or less, or not known."""

    text: str
    holds: bool | None
    value: str
    limit: str
    share: float | None


class Due(NamedTuple):
    """When an action may be done, by the monotonic clock: -inf at once, inf not as things are."""

    action: str
    at: float


class Story(NamedTuple):
    """A rule, and whom it is about: None for all that its monitor covers.

    `holds` and `until` are what was seen; `until` is False where there is none. `since` is when the phase began, if
    that is known. `due` has the actions that are in force, and of the others those whose limit has not run out. `known`
    is False of a rule that fires and does nothing, since nobody can tell whether it still should.
    """

    monitor: Monitor
    rule: Rule
    identity: ProcessId | None
    holds: bool | None
    until: bool | None
    measures: tuple[Measure, ...]
    until_measures: tuple[Measure, ...]
    phase: Phase
    since: float | None
    rung: int
    due: tuple[Due, ...]
    known: bool
    next: str


def stories(engine: Engine, look: Look, verdicts: Iterable[Verdict], cases: Iterable[Case]) -> Iterator[Story]:
    """What is to be told of many cases of a look."""
    told: dict[Subject, list[Verdict]] = {}
    for verdict in verdicts:
        told.setdefault(verdict.cause.key, []).append(verdict)
    return (story(engine, look, told.get(case.subject, ()), case) for case in cases)


def story(engine: Engine, look: Look, verdicts: Sequence[Verdict], case: Case) -> Story:
    """What is to be told of a case of a look, after the sweep that gave these verdicts."""
    rule, sight, found = case.rule, look.sight(case), outlook(engine, look, verdicts, case)
    instance = found.instance
    until = rule.trigger.until
    begun = instance.phase is not Phase.INACTIVE or instance.acted
    return Story(
        monitor=case.covered.monitor,
        rule=rule,
        identity=case.subject.identity,
        holds=evaluate(rule.trigger.condition, sight).truth,
        until=evaluate(until.condition, sight).truth if until else False,
        measures=measures(rule.trigger.fires, sight),
        until_measures=measures(until, sight),
        phase=instance.phase,
        since=instance.since if begun else None,
        rung=instance.rung,
        due=tuple(_dues(found)),
        known=instance.known,
        next=sentence(found),
    )


def _dues(found: Outlook) -> Iterator[Due]:
    yield from (Due(str(chance.item.action), chance.at) for chance in found.chances)
    yield from (Due(str(item.action), at) for item, at in found.limits.items())


# --- comparisons ---


def measures(part: Lasting | None, view: View) -> tuple[Measure, ...]:
    """The comparisons of a condition, in the order they are written."""
    return tuple(_measure(each, opposite, view) for each, opposite in _oriented(part.condition)) if part else ()


def _measure(comparison: Comparison, opposite: bool, view: View) -> Measure:
    value, limit = value_and_limit(comparison, view)
    return Measure(
        str(comparison), evaluate(comparison, view).truth, value, limit, share(comparison, view, opposite=opposite)
    )


def _oriented(condition: Condition, opposite: bool = False) -> Iterator[tuple[Comparison, bool]]:
    """Each comparison, and whether it is the opposite of it that brings the condition nearer."""
    if isinstance(condition, Comparison):
        yield condition, opposite
    elif isinstance(condition, Not):
        yield from _oriented(condition.part, not opposite)
    elif isinstance(condition, (And, Or)):
        for part in condition.parts:
            yield from _oriented(part, opposite)


_RISES: Mapping[str, bool] = {">": True, ">=": True, "<": False, "<=": False}


def share(comparison: Comparison, view: View, *, opposite: bool) -> float | None:
    """How much of its limit is reached, or of that of its `opposite`; see Measure."""
    rises = _RISES.get(comparison.operator)
    if rises is None:
        return None
    value, limit = bounds(comparison.left, view), bounds(comparison.right, view)
    swapped = not any(measured(comparison.left))
    if swapped:
        value, limit = limit, value
    if not value.known or not limit.known or not 0 < limit.low < inf:
        return None
    if rises is not (swapped is not opposite):
        return max(0.0, value.low) / limit.low
    return limit.low / value.low if value.low > 0 else None
