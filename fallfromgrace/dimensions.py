"""What the numbers of a comparison mean: `5m` is a size beside `rmem` and a time beside `age`.

In goes what the grammar read, out come typed operands; what does not fit together is a RuleSyntaxError in the user's
words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from fallfromgrace import units
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import (
    And,
    Calculation,
    Comparison,
    Growth,
    Measured,
    Metric,
    Operand,
    Quantity,
    Scope,
    Share,
    Whole,
)
from fallfromgrace.units import Dimension


class Span(NamedTuple):
    """Where something stands in the text: its first character, and the one after its last."""

    start: int
    end: int


class Literal(NamedTuple):
    """A number with its unit, as written."""

    text: str
    span: Span
    negative: bool = False

    @property
    def shown(self) -> str:
        return f"-{self.text}" if self.negative else self.text

    @property
    def plain(self) -> bool:
        """Whether it has no unit."""
        return bool(_PLAIN.fullmatch(self.text))


class Reading(NamedTuple):
    """Something measured."""

    operand: Measured
    span: Span


class Step(NamedTuple):
    """Two operands and the sign between them."""

    left: Raw
    operator: str
    right: Raw
    span: Span

    @property
    def depth(self) -> int:
        """How many calculations are inside one another."""
        return 1 + max(side.depth if isinstance(side, Step) else 0 for side in (self.left, self.right))


Raw = Literal | Reading | Step

_PLAIN = re.compile(r"\d+(\.\d+)?", re.ASCII)
_ZERO = re.compile(r"0+(\.0+)?")
_NO_TIME = re.compile(r"0+(\.0+)?[smhd]", re.IGNORECASE | re.ASCII)
# What a number with a unit may be beside other things; a plain one may be any of these.
_FORMS: Mapping[Dimension, Callable[[str], float]] = {
    Dimension.SIZE: units.parse_size,
    Dimension.DURATION: units.parse_duration,
    Dimension.RATE: units.parse_rate,
    Dimension.PERCENT: units.parse_percentage,
}
# What is meant by a unit that has no place.
_READ_AS = (Dimension.RATE, Dimension.PERCENT, Dimension.DURATION, Dimension.SIZE)
_EXAMPLES = {
    Dimension.SIZE: "500m",
    Dimension.DURATION: "10m",
    Dimension.RATE: "10m/s",
    Dimension.COUNT: "4",
    Dimension.PERCENT: "90%",
    Dimension.RATIO: "0.5 or 50%",
    Dimension.LOAD: "4",
}


def comparison(left: Raw, operator: str, right: Raw) -> Comparison:
    """The typed comparison. Raises RuleSyntaxError where its sides cannot be compared."""
    span = Span(left.span.start, right.span.end)
    dimension = _common(left, right, span, "compared")
    if dimension is None:
        raise _error("this compares two constants; one side has to be measured, such as rmem", span)
    context = _context(dimension, left, right)
    return Comparison(context.typed(left), operator, context.typed(right))


def between(left: Raw, first: str, middle: Raw, second: str, right: Raw) -> And:
    """The two comparisons of `1g < rmem < 2g`. Raises RuleSyntaxError where the three do not go together."""
    _common(left, right, Span(left.span.start, right.span.end), "compared")
    return And((comparison(left, first, middle), comparison(middle, second, right)))


def _error(text: str, span: Span) -> RuleSyntaxError:
    return RuleSyntaxError(text, *span)


# --- what a part is, before its numbers are known ---


def _dimension(raw: Raw) -> Dimension | None:
    """What a part measures; None for a constant, which becomes what it is compared with."""
    if isinstance(raw, Reading):
        return raw.operand.dimension
    if isinstance(raw, Literal):
        return None
    if raw.operator in "+-":
        return _common(raw.left, raw.right, raw.span, "added" if raw.operator == "+" else "subtracted")
    return _of_product(raw) if raw.operator == "*" else _of_quotient(raw)


def _common(left: Raw, right: Raw, span: Span, done: str) -> Dimension | None:
    found = {dimension for side in (left, right) if (dimension := _dimension(side))}
    if len(found) == 2:
        text = f"{_told(left)} and {_told(right)}; they cannot be {done}"
        raise _error(text, span)
    return found.pop() if found else None


def _of_product(step: Step) -> Dimension | None:
    sides = [(side, _dimension(side)) for side in (step.left, step.right)]
    found = [dimension for _, dimension in sides if dimension]
    counted = [dimension for dimension in found if dimension is not Dimension.RATIO]
    united = any(dimension is None and not _is_number(side) for side, dimension in sides)
    if len(counted) == 2 or (found == [Dimension.RATIO] and united):
        raise _error(f"{_told(step.left)} and {_told(step.right)}; '*' takes a plain number on one side", step.span)
    return counted[0] if counted else found[0] if found else None


def _of_quotient(step: Step) -> Dimension | None:
    left, right = _dimension(step.left), _dimension(step.right)
    if right is None:
        return left if _is_number(step.right) else left and Dimension.RATIO
    if right is Dimension.RATIO and (left or _is_number(step.left)):
        return left or Dimension.RATIO
    if right is not Dimension.RATIO and ((left is None and not _is_number(step.left)) or left is right):
        return Dimension.RATIO
    text = f"{_told(step.left)} and {_told(step.right)}; '/' takes a plain number on its right, or divides like by like"
    raise _error(text, step.span)


def _is_number(raw: Raw) -> bool:
    """Whether a constant has no unit anywhere."""
    if isinstance(raw, Literal):
        return raw.plain
    return isinstance(raw, Step) and _is_number(raw.left) and _is_number(raw.right)


def _told(raw: Raw) -> str:
    """`rmem is a size`."""
    dimension = _dimension(raw)
    if dimension is None:
        dimension = None if _is_number(raw) or not isinstance(raw, Literal) else _read_as(raw.text)
    return f"{_subject(raw)} is {dimension.value if dimension else 'a number'}"


def _subject(raw: Raw) -> str:
    """A part as people know it."""
    if isinstance(raw, Reading):
        return str(raw.operand)
    if isinstance(raw, Literal):
        return raw.shown
    left, right = _subject(raw.left), _subject(raw.right)
    if raw.operator in "*/" and isinstance(raw.left, Step) and raw.left.operator in "+-":
        left = f"({left})"
    return f"{left} {raw.operator} {f'({right})' if isinstance(raw.right, Step) else right}"


def _read_as(text: str) -> Dimension | None:
    """What a number with a unit is by itself."""
    return next((dimension for dimension in _READ_AS if _fits(text, dimension)), None)


def _fits(text: str, dimension: Dimension) -> bool:
    try:
        _FORMS[dimension](text)
    except ValueError:
        return False
    return True


def _readings(*raws: Raw) -> Iterator[Reading]:
    for raw in raws:
        if isinstance(raw, Reading):
            yield raw
        elif isinstance(raw, Step):
            yield from _readings(raw.left, raw.right)


def _metrics(*raws: Raw) -> Iterator[Metric]:
    for reading in _readings(*raws):
        yield reading.operand.metric if isinstance(reading.operand, Growth) else reading.operand


# --- what it becomes ---


def _context(dimension: Dimension, *raws: Raw) -> _Context:
    alike = (reading for reading in _readings(*raws) if reading.operand.dimension is dimension)
    giver = next(alike, raws[0])
    return _Context(dimension, _subject(giver), tuple(_metrics(*raws)))


class _Context(NamedTuple):
    """What constants become: the comparison's dimension, what gave it, and what that measures."""

    dimension: Dimension
    subject: str
    metrics: tuple[Metric, ...]

    def typed(self, raw: Raw) -> Operand:
        if isinstance(raw, Reading):
            return raw.operand
        if isinstance(raw, Literal):
            return self._constant(raw)
        if raw.operator in "+-":
            return _calculated(self.typed(raw.left), raw.operator, self.typed(raw.right), self.dimension, raw.span)
        return self._product(raw) if raw.operator == "*" else self._quotient(raw)

    def _product(self, step: Step) -> Operand:
        number = step.left if self._is_factor(step.left) else step.right
        if not self._is_factor(number):
            raise _error(self._no_factor(step), step.span)
        left, right = (_factor(side) if side is number else self.typed(side) for side in (step.left, step.right))
        return _calculated(left, "*", right, self.dimension, step.span)

    @staticmethod
    def _no_factor(step: Step) -> str:
        for side in (step.left, step.right):
            if isinstance(side, Literal) and _fits(side.text, Dimension.PERCENT):
                number = units.format_number(_hundredth(side.text))
                return f"'*' takes a plain number on one side; write {number} for {side.text}"
        return "'*' takes a plain number on one side, such as 2 * 500m"

    def _is_factor(self, raw: Raw) -> bool:
        return _is_number(raw) or (self.dimension is not Dimension.RATIO and _dimension(raw) is Dimension.RATIO)

    def _quotient(self, step: Step) -> Operand:
        divisor = _dimension(step.right)
        if divisor is Dimension.RATIO or (divisor is None and _is_number(step.right)):
            return self._quotient_of(step, self.typed(step.left), _factor(step.right), self.dimension)
        like = divisor or _dimension(step.left)
        if like is None:
            raise _error("this divides two constants; write the number that it comes to", step.span)
        inner = _context(like, step)
        return self._quotient_of(step, inner.typed(step.left), inner.typed(step.right), Dimension.RATIO)

    def _quotient_of(self, step: Step, left: Operand, right: Operand, dimension: Dimension) -> Operand:
        if isinstance(right, Quantity) and not right.value:
            raise _error("this divides by zero", step.right.span)
        return _calculated(left, "/", right, dimension, step.span)

    def _constant(self, literal: Literal) -> Operand:
        sign = -1 if literal.negative else 1
        if literal.text.endswith("%") and self.dimension not in (Dimension.PERCENT, Dimension.RATIO):
            return Share(sign * _number(literal, units.parse_percentage), self._whole(literal))
        return Quantity(sign * _number(literal, self._value), self.dimension)

    def _value(self, text: str) -> float:
        """A literal's number, as a size, a time or whatever is asked for. ValueError."""
        if _ZERO.fullmatch(text) or (self.dimension is Dimension.DURATION and _NO_TIME.fullmatch(text)):
            return 0
        if self.dimension is Dimension.RATIO:
            return _hundredth(text) if text.endswith("%") else self._plain(text)
        if self.dimension in (Dimension.COUNT, Dimension.LOAD):
            return self._plain(text)
        if _PLAIN.fullmatch(text) and self.dimension is not Dimension.SIZE:
            raise ValueError(self._asked(text))
        form = _FORMS[self.dimension]
        if not _fits(text, self.dimension) and (other := _read_as(text)):
            raise ValueError(self._clash(text, other))
        return form(text)

    def _plain(self, text: str) -> float:
        if not _PLAIN.fullmatch(text) and (other := _read_as(text)):
            raise ValueError(self._clash(text, other))
        return units.parse_number(text)

    def _asked(self, text: str) -> str:
        """For a number without a unit where there are several. ValueError where it is too long to be asked about."""
        units.parse_number(text)
        if self.dimension is Dimension.PERCENT:
            return f"{text}% or {units.format_number(float(Decimal(text) * 100))}%? write one with its '%'"
        if self.dimension is Dimension.RATE:
            return f"{self.subject} is a rate; {text} of what? write {text}k/s or {text}m/s"
        return f"{self.subject} is a time; {text} of what? write {text}s, {text}m or {text}h"

    def _clash(self, text: str, other: Dimension) -> str:
        cure = ""
        if self.dimension is Dimension.RATE and other in (Dimension.SIZE, Dimension.DURATION) and _is_size(text):
            other, cure = Dimension.SIZE, f"; write {text}/s"
        elif self.dimension in (Dimension.COUNT, Dimension.LOAD, Dimension.RATIO, Dimension.PERCENT):
            other = Dimension.SIZE if _is_size(text) else other
            cure = f"; write one such as {_EXAMPLES[self.dimension]}"
        return f"{self.subject} is {self.dimension.value} and {text} is {other.value}{cure}"

    def _whole(self, literal: Literal) -> Whole:
        alike = [metric for metric in self.metrics if metric.dimension is self.dimension]
        wholes = {metric.meaning.whole for metric in alike}
        whole = wholes.pop() if len(wholes) == 1 else None
        if whole is None or (whole is Whole.DESCRIPTORS and any(metric.scope is not Scope.OWN for metric in alike)):
            raise _error(self._no_whole(literal.shown, whole, alike), literal.span)
        return whole

    def _no_whole(self, text: str, whole: Whole | None, alike: list[Metric]) -> str:
        if whole:
            return "every process has a limit of its own; write a number, or fds > 80% with children: yes"
        if self.dimension is Dimension.SIZE:
            return f"{text} of what? memory and swap are both in this comparison; write a size such as 500m"
        subject = next((metric for metric in alike if metric.meaning.whole is None), self.subject)
        words = f"{subject} is {self.dimension.value} and {text} is a percentage"
        return f"{words}; write one such as {_EXAMPLES[self.dimension]}"


def _hundredth(text: str) -> float:
    """0.007 of `0.7%`, and not 0.006999999999999999. ValueError if it is no percentage."""
    return float(Decimal(str(units.parse_percentage(text))) / 100)


def _is_size(text: str) -> bool:
    return _fits(text, Dimension.SIZE)


def _number(literal: Literal, parse: Callable[[str], float]) -> float:
    try:
        return parse(literal.text)
    except ValueError as error:
        raise _error(str(error), literal.span) from None


def _factor(raw: Raw) -> Operand:
    """A plain number, or a part that comes to one."""
    return _context(Dimension.RATIO, raw).typed(raw)


_FOLDED: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
_WHOLE_NUMBERS = (Dimension.SIZE, Dimension.RATE)
# What lies outside is no one's number, and would not read back from its text.
_SMALLEST = Decimal("1e-6")
_LARGEST = {**dict.fromkeys(_WHOLE_NUMBERS, Decimal(1 << 61)), Dimension.DURATION: Decimal(units.LONGEST)}


def _calculated(left: Operand, operator: str, right: Operand, dimension: Dimension, span: Span) -> Operand:
    """A calculation, or what it comes to if both sides are constants; a fraction of a byte is rounded half up."""
    if not (isinstance(left, Quantity) and isinstance(right, Quantity)):
        return Calculation(left, operator, right, dimension)
    value = _FOLDED[operator](Decimal(str(left.value)), Decimal(str(right.value)))
    if dimension in _WHOLE_NUMBERS or value == value.to_integral_value():
        value = value.to_integral_value(ROUND_HALF_UP)
    if value and not _SMALLEST <= abs(value) <= _LARGEST.get(dimension, units.LARGEST_NUMBER):
        raise _error("this comes to more than anything has, or to next to nothing", span)
    return Quantity(int(value) if value == value.to_integral_value() else float(value), dimension)
