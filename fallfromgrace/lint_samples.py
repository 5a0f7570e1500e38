"""Conditions tried out on points around their constants: what they have in common, and what follows from what.

Only comparisons of one thing measured with a constant are understood; of others, and of too many, nothing is said.
What a percentage is a part of is not known either: what is said holds whatever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise, product
from math import floor
from typing import NamedTuple

from fallfromgrace.expression import (
    NOTHING,
    Comparison,
    Condition,
    Growth,
    Measured,
    Not,
    Operand,
    Or,
    Quantity,
    Share,
    Trigger,
    Want,
    Whole,
    bounds,
    comparisons,
    evaluate,
    measured,
    parts_of,
)
from fallfromgrace.intervals import UNKNOWN, Interval, exactly
from fallfromgrace.units import Dimension, human

_MOST_POINTS = 500
# A whole that nothing but percentages is compared with may be anything.
_SOME_WHOLE = float(1 << 34)


class Point(NamedTuple):
    """A View of numbers that were made up."""

    numbers: Mapping[Measured, float]
    wholes: Mapping[Whole, float]

    def interval(self, found: Measured) -> Interval:
        """See View."""
        return exactly(self.numbers[found]) if found in self.numbers else UNKNOWN

    def whole(self, whole: Whole) -> Interval:
        """See View."""
        return exactly(self.wholes[whole]) if whole in self.wholes else UNKNOWN

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """See View."""
        return NOTHING

    def __str__(self) -> str:
        """The numbers for people, as far as they are the same whatever the wholes are."""
        if self.wholes:
            return ""
        return " and ".join(f"{found} {human(number, found.dimension)}" for found, number in self.numbers.items())


# Points that belong to the same wholes.
Space = tuple[Point, ...]


# --- what can be told ---


def impossible(condition: Condition) -> bool:
    """Whether a condition is certainly never true."""
    spaces = _spaces(condition, exact=True)
    return bool(spaces) and not any(_holds(condition, point) for space in spaces for point in space)


def follows(given: Condition, then: Trigger) -> bool:
    """Whether wherever the one condition is true the trigger's is too, and its `until` is not."""
    until = [then.until.condition] if then.until else []
    if not {each for part in (then.condition, *until) for each in measured(part)} <= set(measured(given)):
        return False
    points = [point for space in _spaces(given, then.condition, *until, exact=True) for point in space]
    true = [point for point in points if _holds(given, point)]
    return bool(true) and all(
        _holds(then.condition, point) and not any(_holds(part, point) for part in until) for point in true
    )


class Clash(NamedTuple):
    """A part of an `until` that is true together with the condition, and where, for people."""

    part: Condition
    example: str


def clash(trigger: Trigger) -> Clash | None:
    """Where an `until` that points the other way than the condition keeps the rule from firing while that is true.

    One that points the same way, `age > 10m until age > 1h`, may be meant to.
    """
    until = trigger.until
    if until is None or until.seconds > trigger.fires.seconds:
        return None
    parts = until.condition.parts if isinstance(until.condition, Or) else (until.condition,)
    found = ((part, _overlap(trigger.condition, part)) for part in parts)
    return next((Clash(part, str(point)) for part, point in found if point), None)


def _overlap(condition: Condition, until: Condition) -> Point | None:
    ways, other_ways = set(_ways(condition)), set(_ways(until))
    opposed = {(found, -way) for found, way in ways} & other_ways
    if not opposed or not {found for found, _ in other_ways} <= {found for found, _ in ways}:
        return None
    spaces = _spaces(condition, until, exact=False)
    both = [
        next((point for point in space if _holds(condition, point) and _holds(until, point)), None) for space in spaces
    ]
    return both[0] if both and None not in both else None


def _holds(condition: Condition, point: Point) -> bool:
    return evaluate(condition, point).truth is True


def _ways(condition: Condition, sign: int = 1) -> Iterator[tuple[Measured, int]]:
    """What is compared, and whether the more of it (1) or the less (-1) the truer."""
    if isinstance(condition, Comparison):
        for found, way in ((condition.left, sign), (condition.right, -sign)):
            for each in measured(found):
                yield from ((each, one) for one in _WAYS[condition.operator](way))
    for part in parts_of(condition) if not isinstance(condition, Comparison) else ():
        yield from _ways(part, -sign if isinstance(condition, Not) else sign)


_WAYS: Mapping[str, Callable[[int], tuple[int, ...]]] = {
    **dict.fromkeys((">", ">="), lambda way: (way,)),
    **dict.fromkeys(("<", "<="), lambda way: (-way,)),
    **dict.fromkeys(("==", "!="), lambda way: (way, -way)),
}


# --- points ---


def _spaces(*conditions: Condition, exact: bool) -> tuple[Space, ...]:
    """Points around the constants, and `exact` on them, for each order that these can be in; none where it is unclear.

    On a constant two comparisons may meet that do so only there: where something as fine as a byte is measured, never.
    """
    limits = [_limit(comparison) for condition in conditions for comparison in comparisons(condition)]
    known = [limit for limit in limits if limit]
    if len(known) < len(limits):
        return ()
    spaces = [_space(known, wholes, exact) for wholes in _wholes(known)]
    return tuple(spaces) if all(spaces) else ()


_Limit = tuple[Measured, Operand]


def _limit(comparison: Comparison) -> _Limit | None:
    """What is compared, and the constant."""
    for found, constant in ((comparison.left, comparison.right), (comparison.right, comparison.left)):
        if isinstance(found, Measured) and not any(measured(constant)) and _is_clear(constant):
            return found, constant
    return None


def _is_clear(constant: Operand) -> bool:
    """Whether it is a percentage or has none in it."""
    return isinstance(constant, Share) or not any(isinstance(part, Share) for part in _leaves(constant))


def _leaves(operand: Operand) -> Iterator[Operand]:
    parts = parts_of(operand)
    for part in parts:
        yield from _leaves(part)
    if not parts:
        yield operand


def _wholes(limits: Iterable[_Limit]) -> list[dict[Whole, float]]:
    """Wholes with which the constants come in each order that they can have."""
    limits = list(limits)
    choices: dict[Whole, set[float]] = {}
    for found, share in limits:
        if isinstance(share, Share):
            same = (bounds(other, Point({}, {})).low for what, other in limits if what == found and _is_fixed(other))
            at = choices.setdefault(share.whole, set())
            at |= {100 * number / share.percent for number in same if share.percent and number / share.percent > 0}
    names, values = list(choices), [_between(sorted(at), 0) or [_SOME_WHOLE] for at in choices.values()]
    return [dict(zip(names, chosen, strict=True)) for chosen in product(*values)]


def _is_fixed(operand: Operand) -> bool:
    return all(isinstance(leaf, Quantity) for leaf in _leaves(operand))


def _space(limits: Iterable[_Limit], wholes: Mapping[Whole, float], exact: bool) -> Space:
    constants: dict[Measured, set[float]] = {}
    for found, constant in limits:
        constants.setdefault(found, set()).add(bounds(constant, Point({}, wholes)).low)
    axes = {found: _axis(found, at, exact) for found, at in constants.items()}
    count = 1
    for axis in axes.values():
        count *= len(axis)
    if count > _MOST_POINTS:
        return ()
    return tuple(Point(dict(zip(axes, chosen, strict=True)), wholes) for chosen in product(*axes.values()))


def _axis(found: Measured, constants: Iterable[float], exact: bool) -> list[float]:
    """Numbers that something measured can have."""
    lowest = float("-inf") if isinstance(found, Growth) else 0.0
    constants = sorted({max(constant, lowest) for constant in constants})
    if found.dimension is Dimension.COUNT:
        steps = {float(floor(constant) + step) for constant in constants for step in (-1, 0, 1)}
        return sorted(step for step in steps if step >= lowest)
    return sorted({*_between(constants, lowest), *((*constants, 0.0) if exact else ())})


def _between(numbers: list[float], lowest: float) -> list[float]:
    """One number between each two, one below all and one above; `lowest` is what is below none."""
    if not numbers:
        return []
    first, last = numbers[0], numbers[-1]
    below = first / 2 if first > 0 else first - max(1.0, abs(first))
    inner = [(one + other) / 2 for one, other in pairwise(numbers)]
    return [each for each in (below, *inner, max(2 * last, 1.0)) if each > lowest]
