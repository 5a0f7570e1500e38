"""What is known of a number: that it lies between two bounds, which are the same where it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf, isinf
from typing import NamedTuple


class Interval(NamedTuple):
    """All that a number may be, both ends included."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        return self.low == self.high


UNKNOWN = Interval(-inf, inf)


def exactly(number: float) -> Interval:
    """A number that was read."""
    return Interval(number, number)


def total(parts: Iterable[Interval]) -> Interval:
    """The sum of what cannot be below zero: a part that is not known adds nothing to the lower bound."""
    low: float = 0
    high: float = 0
    for part in parts:
        low += max(part.low, 0)
        high += max(part.high, 0)
    return Interval(low, high)


def _between(*ends: float) -> Interval:
    """The interval of these; of what is beyond all numbers nothing is known."""
    low, high = min(ends), max(ends)
    return Interval(low, high) if low < inf and high > -inf else UNKNOWN


def _product(a: float, b: float) -> float:
    return a * b if a and b else 0  # nothing of something without bounds is nothing


def _multiplied(a: Interval, b: Interval) -> Interval:
    return _between(*(_product(x, y) for x in a for y in b))


def _divided(a: Interval, b: Interval) -> Interval:
    if b.low <= 0 <= b.high:  # a part of nothing is no number
        return UNKNOWN
    return _between(*(0 if isinf(y) else x / y for x in a for y in b))


ARITHMETIC: Mapping[str, Callable[[Interval, Interval], Interval]] = {
    "+": lambda a, b: _between(a.low + b.low, a.high + b.high),
    "-": lambda a, b: _between(a.low - b.high, a.high - b.low),
    "*": _multiplied,
    "/": _divided,
}


def _less(a: Interval, b: Interval) -> bool | None:
    if a.high < b.low:
        return True
    return False if a.low >= b.high else None


def _at_most(a: Interval, b: Interval) -> bool | None:
    if a.high <= b.low:
        return True
    return False if a.low > b.high else None


def _equal(a: Interval, b: Interval) -> bool | None:
    if a.known and a == b:
        return True
    return False if a.high < b.low or b.high < a.low else None


def negated(truth: bool | None) -> bool | None:
    """Kleene's `not`: of what is not known the opposite is not known either."""
    return None if truth is None else not truth


COMPARISONS: Mapping[str, Callable[[Interval, Interval], bool | None]] = {
    "<": _less,
    "<=": _at_most,
    ">": lambda a, b: _less(b, a),
    ">=": lambda a, b: _at_most(b, a),
    "==": _equal,
    "!=": lambda a, b: negated(_equal(a, b)),
}
