"""What would have to become of numbers for a condition to hold, or not to, in words; and when its age alone brings it
about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fallfromgrace.expression import (
    NOTHING,
    And,
    Comparison,
    Condition,
    Lasting,
    Measured,
    Metric,
    Not,
    Quantity,
    Trigger,
    View,
    Want,
    Whole,
    comparisons,
    evaluate,
    measured,
    value_and_limit,
)
from fallfromgrace.intervals import Interval, exactly, negated
from fallfromgrace.units import format_duration

# Of a condition with more comparisons it is not said what each would have to come to.
_MOST_COMPARISONS = 4
_OPPOSITE: Mapping[str, str] = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
_MIRRORED: Mapping[str, str] = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_CHANGES: Mapping[str, str] = {
    ">": "rises above",
    ">=": "rises to",
    "<": "falls below",
    "<=": "falls to",
    "==": "comes to",
    "!=": "comes to something else than",
}


def change(condition: Condition, view: View, wanted: bool) -> str:
    """What has to become of numbers for a condition to hold, or not to."""
    if sum(1 for _ in comparisons(condition)) > _MOST_COMPARISONS:
        return "its condition holds" if wanted else "its condition holds no more"
    return _changed(condition, view, wanted)


def _changed(condition: Condition, view: View, wanted: bool) -> str:
    if isinstance(condition, Comparison):
        return _shift(condition, view, wanted)
    if isinstance(condition, Not):
        return _changed(condition.part, view, not wanted)
    all_of_them = isinstance(condition, And) is wanted
    lacking = [part for part in condition.parts if evaluate(part, view).truth is not wanted] or condition.parts
    texts = [_changed(part, view, wanted) for part in lacking]
    other = " or " if all_of_them else " and "
    grouped = [f"({text})" if other in text and len(texts) > 1 else text for text in texts]
    return (" and " if all_of_them else " or ").join(grouped)


def _shift(comparison: Comparison, view: View, wanted: bool) -> str:
    operator = comparison.operator if wanted else _OPPOSITE[comparison.operator]
    value, limit = comparison.left, comparison.right
    if not any(measured(value)):
        value, limit, operator = limit, value, _MIRRORED[operator]
    now, bound = value_and_limit(comparison, view)
    which = "" if isinstance(limit, Quantity) else f", which is {bound}"
    return f"{value} {_CHANGES[operator]} {limit}{which} (it is {now})"


def lasting(part: Lasting) -> str:
    return f" for {format_duration(part.seconds)}" if part.seconds else ""


# --- by its age ---


class _Older:
    """What would be seen of the same process so many seconds later, if nothing else changed."""

    def __init__(self, sight: View, seconds: float) -> None:
        self._sight = sight
        self._seconds = seconds

    def interval(self, found: Measured) -> Interval:
        """See View."""
        known = self._sight.interval(found)
        return exactly(known.low + self._seconds) if found == _AGE and known.known else known

    def whole(self, whole: Whole) -> Interval:
        """See View."""
        return self._sight.whole(whole)

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """See View."""
        return NOTHING


_AGE = Metric("age")


def by_age(trigger: Trigger, sight: View, waits: Iterable[float], fires: bool) -> float | None:
    """After how many of some seconds its age alone makes a rule fire, or makes one that fires recover; and holds on for
    as long as that takes."""
    part = trigger.fires if fires else trigger.until or Lasting(trigger.condition)
    changes = [(each, _would_fire(trigger, _Older(sight, each), not fires)) for each in sorted(waits)]
    for place, (seconds, would) in enumerate(changes):
        if would is fires and all(then is fires for at, then in changes[place:] if at < seconds + part.seconds):
            return seconds
    return None


def _would_fire(trigger: Trigger, view: View, firing: bool) -> bool | None:
    holds = evaluate(trigger.condition, view).truth
    if not trigger.until:
        return holds
    recovered = evaluate(trigger.until.condition, view).truth
    if recovered is None or firing:
        return negated(recovered)
    return holds and not recovered
