"""A trigger's condition as a tree of typed values, and what it says about a sample.

Truth is three-valued (Kleene): None means that what would decide could not be read.
`str(tree)` is the normal form: parsing it again gives an equal tree.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fallfromgrace.units import Dimension, format_size, human_size

# What was read of one process, by the metric's name; what could not be read is not in it.
Sample = Mapping[str, float]

# The words of the language that name something measured.
METRICS: Mapping[str, Dimension] = {"rmem": Dimension.SIZE, "vmem": Dimension.SIZE}

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """Something measured, by its name in `METRICS`."""

    name: str

    @property
    def dimension(self) -> Dimension:
        return METRICS[self.name]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Quantity:
    """A constant: bytes for a size."""

    value: int
    dimension: Dimension

    def __str__(self) -> str:
        return format_size(self.value)


Operand = Metric | Quantity


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`; at least one side is a metric."""

    left: Operand
    operator: str
    right: Operand

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class Not:
    """True where its part is false."""

    part: Condition

    def __str__(self) -> str:
        return f"not {_grouped(self.part, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """True where all its parts are."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(_grouped(part, And, Or) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """True where any of its parts is."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(_grouped(part, Or) for part in self.parts)


Condition = Comparison | Not | And | Or


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule fires."""

    condition: Condition

    def __str__(self) -> str:
        return str(self.condition)


def depth(condition: Condition) -> int:
    """How many levels of `not`, `and` and `or` a condition has."""
    if isinstance(condition, Comparison):
        return 0
    return 1 + max(map(depth, _parts(condition)))


def _parts(condition: Not | And | Or) -> tuple[Condition, ...]:
    return (condition.part,) if isinstance(condition, Not) else condition.parts


def _grouped(part: Condition, *loose: type) -> str:
    return f"({part})" if isinstance(part, loose) else str(part)


def evaluate(condition: Condition, sample: Sample) -> bool | None:
    """Whether the condition holds; None where what was read does not decide it."""
    if isinstance(condition, Comparison):
        return _compare(condition, sample)
    if isinstance(condition, Not):
        truth = evaluate(condition.part, sample)
        return None if truth is None else not truth
    truths = [evaluate(part, sample) for part in condition.parts]
    decisive = isinstance(condition, Or)  # one true part decides an `or`, one false part an `and`
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def _compare(comparison: Comparison, sample: Sample) -> bool | None:
    left, right = value_of(comparison.left, sample), value_of(comparison.right, sample)
    if left is None or right is None:
        return None
    return OPERATORS[comparison.operator](left, right)


def value_of(operand: Operand, sample: Sample) -> float | None:
    """An operand's number; None where it was not read."""
    return operand.value if isinstance(operand, Quantity) else sample.get(operand.name)


def value_and_limit(condition: Condition, sample: Sample) -> tuple[str, str]:
    """What to tell people: the value and the limit of the comparison that decides, such as `912m`, `900m`."""
    told = _deciding(condition, sample, evaluate(condition, sample) is not False)
    sides = (told.left, told.right) if isinstance(told.left, Metric) else (told.right, told.left)
    value, limit = (value_of(side, sample) for side in sides)
    return _human(value), _human(limit)


def _deciding(condition: Condition, sample: Sample, truth: bool) -> Comparison:
    """The first comparison that makes a condition what it is."""
    if isinstance(condition, Comparison):
        return condition
    if isinstance(condition, Not):
        return _deciding(condition.part, sample, not truth)
    parts = [part for part in condition.parts if evaluate(part, sample) is truth] or condition.parts
    return _deciding(parts[0], sample, truth)


def _human(size: float | None) -> str:
    return "unknown" if size is None else human_size(size)
