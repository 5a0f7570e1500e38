"""A trigger as a tree of typed values, and what it says about what was read.

Truth is three-valued (Kleene): None means that what is known does not decide. `str(tree)` is the normal form: parsing
it again gives an equal tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

from fallfromgrace.intervals import ARITHMETIC, COMPARISONS, UNKNOWN, Interval, exactly, negated
from fallfromgrace.records import dataclass
from fallfromgrace.units import Dimension, exact, exact_with_unit, format_duration, format_number, human

# What was read of one process, or of the machine, by name; what could not be read is not in it.
Sample = Mapping[str, float]


class Scope(Enum):
    """Whose a metric is; the value is how it is written."""

    OWN = ""
    TREE = "tree."
    GROUP = "group."
    SYSTEM = "system."


class Whole(Enum):
    """What `%` is a part of; the value is the name in a sample."""

    MEMORY = "memory"
    SWAP = "swaptotal"
    DESCRIPTORS = "fdlimit"


class Meaning(NamedTuple):
    """What a metric measures. `summed` is whether it makes sense for a tree and a group."""

    dimension: Dimension
    summed: bool = True
    whole: Whole | None = None


_MEMORY = Meaning(Dimension.SIZE, whole=Whole.MEMORY)
# The words of the language for what is measured of processes, and with `system.` in front of the machine.
PROCESS_METRICS: Mapping[str, Meaning] = {
    "rmem": _MEMORY,
    "vmem": _MEMORY,
    "pmem": _MEMORY,
    "umem": _MEMORY,
    "swap": Meaning(Dimension.SIZE, whole=Whole.SWAP),
    "cpu": Meaning(Dimension.PERCENT),
    "cputime": Meaning(Dimension.DURATION),
    "age": Meaning(Dimension.DURATION, summed=False),
    "threads": Meaning(Dimension.COUNT),
    "children": Meaning(Dimension.COUNT, summed=False),
    "fds": Meaning(Dimension.COUNT, whole=Whole.DESCRIPTORS),
    "read": Meaning(Dimension.RATE),
    "write": Meaning(Dimension.RATE),
    "count": Meaning(Dimension.COUNT, summed=False),
}
# How fast something goes on, taken over some time; the others are read as they are.
RATES = frozenset({"cpu", "read", "write"})
SYSTEM_METRICS: Mapping[str, Meaning] = {
    "available": _MEMORY,
    "swapfree": Meaning(Dimension.SIZE, whole=Whole.SWAP),
    "load": Meaning(Dimension.LOAD),
    "pressure": Meaning(Dimension.PERCENT),
}


def _words() -> Iterator[tuple[str, tuple[str, Scope]]]:
    for name, meaning in PROCESS_METRICS.items():
        yield name, (name, Scope.OWN)
        if meaning.summed:
            yield f"tree.{name}", (name, Scope.TREE)
            yield f"group.{name}", (name, Scope.GROUP)
    for name in SYSTEM_METRICS:
        yield f"system.{name}", (name, Scope.SYSTEM)


# Everything that can be written for something measured.
METRICS: Mapping[str, tuple[str, Scope]] = dict(_words())


# --- operands ---


@dataclass(frozen=True, slots=True)
class Metric:
    """Something measured, by its name, of a process, of several or of the machine."""

    name: str
    scope: Scope = Scope.OWN

    @property
    def meaning(self) -> Meaning:
        return (SYSTEM_METRICS if self.scope is Scope.SYSTEM else PROCESS_METRICS)[self.name]

    @property
    def dimension(self) -> Dimension:
        return self.meaning.dimension

    @property
    def shared(self) -> bool:
        """Whether it is the same for every process that a monitor covers."""
        return self.name == "count" or self.scope in (Scope.GROUP, Scope.SYSTEM)

    def __str__(self) -> str:
        return f"{self.scope.value}{self.name}"


@dataclass(frozen=True, slots=True)
class Growth:
    """What a metric is now less what it was `window` seconds ago."""

    metric: Metric
    window: float

    @property
    def dimension(self) -> Dimension:
        return self.metric.dimension

    def __str__(self) -> str:
        return f"growth({self.metric}, {format_duration(self.window)})"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A constant: bytes, seconds, bytes a second, percent or a plain number, as its dimension has it."""

    value: float
    dimension: Dimension

    def __str__(self) -> str:
        return exact(self.value, self.dimension)


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of the machine's memory or swap, or of the descriptors that a process may have."""

    percent: float
    whole: Whole

    @property
    def dimension(self) -> Dimension:
        return Dimension.COUNT if self.whole is Whole.DESCRIPTORS else Dimension.SIZE

    def __str__(self) -> str:
        return f"{format_number(self.percent)}%"


@dataclass(frozen=True, slots=True)
class Calculation:
    """`left operator right`; of a `*` the plain number may stand on either side."""

    left: Operand
    operator: str
    right: Operand
    dimension: Dimension

    def __str__(self) -> str:
        if self.operator == "/":
            return f"{_divided(self.left, _is_sum(self.left))} / {_divided(self.right, True)}"
        tight = self.operator == "*"
        left = _enclosed(self.left, tight and _is_sum(self.left))
        return f"{left} {self.operator} {_enclosed(self.right, tight or _is_sum(self.right))}"


def _is_sum(operand: Operand) -> bool:
    return isinstance(operand, Calculation) and operand.operator in "+-"


def _enclosed(operand: Operand, tight: bool) -> str:
    return f"({operand})" if tight and isinstance(operand, Calculation) else str(operand)


def _divided(operand: Operand, tight: bool) -> str:
    """One side of a '/', where 2253 would be a number and no size."""
    if isinstance(operand, Quantity):
        return exact_with_unit(operand.value, operand.dimension)
    return _enclosed(operand, tight)


Measured = Metric | Growth
Operand = Metric | Growth | Quantity | Share | Calculation


# --- conditions ---


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`; something on at least one side is measured."""

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


def _grouped(part: Condition, *loose: type) -> str:
    return f"({part})" if isinstance(part, loose) else str(part)


class Lasting(NamedTuple):
    """A condition, and for how many seconds it has to hold, at every look, before it counts."""

    condition: Condition
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.condition} for {format_duration(self.seconds)}" if self.seconds else str(self.condition)


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule begins to fire, and with `until` when it ceases; without, when what made it fire is false."""

    fires: Lasting
    until: Lasting | None = None

    @property
    def condition(self) -> Condition:
        return self.fires.condition

    @property
    def measured(self) -> frozenset[Measured]:
        """Everything that it looks at."""
        both = [self.fires, self.until] if self.until else [self.fires]
        return frozenset(each for part in both for each in measured(part.condition))

    @property
    def ages(self) -> Iterator[float]:
        """The constants that it compares a process's age with."""
        for part in (self.fires, *([self.until] if self.until else [])):
            for comparison in comparisons(part.condition):
                sides = comparison.left, comparison.right
                if Metric("age") in sides:
                    yield from (side.value for side in sides if isinstance(side, Quantity))

    @property
    def shared(self) -> bool:
        """Whether it is about what a monitor covers as a whole, not about each process."""
        return all(_metric(each).shared for each in self.measured)

    def __str__(self) -> str:
        return f"{self.fires} until {self.until}" if self.until else str(self.fires)


def _metric(found: Measured) -> Metric:
    return found.metric if isinstance(found, Growth) else found


def parts_of(node: Condition | Operand) -> tuple[Any, ...]:
    """What a node of the tree is made of; nothing for a leaf."""
    if isinstance(node, (And, Or)):
        return node.parts
    if isinstance(node, Not):
        return (node.part,)
    return (node.left, node.right) if isinstance(node, (Comparison, Calculation)) else ()


def measured(node: Condition | Operand) -> Iterator[Measured]:
    """The leaves of a tree that have to be read."""
    if isinstance(node, (Metric, Growth)):
        yield node
    for part in parts_of(node):
        yield from measured(part)


def wholes(node: Condition | Operand) -> Iterator[Whole]:
    """What the percentages of a tree are parts of."""
    if isinstance(node, Share):
        yield node.whole
    for part in parts_of(node):
        yield from wholes(part)


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """The comparisons of a condition, in the order they are written."""
    if isinstance(condition, Comparison):
        yield condition
        return
    for part in parts_of(condition):
        yield from comparisons(part)


def depth(node: Condition | Operand) -> int:
    """How many levels a tree has above its leaves; a comparison of two leaves has one."""
    return 1 + max(map(depth, parts)) if (parts := parts_of(node)) else 0


# --- what it says ---


# A reading that has not been made yet; what it is only the caller knows.
Want = Any
NOTHING: frozenset[Want] = frozenset()


class View(Protocol):
    """What is known, and could be, of what a condition looks at, for one process or for what a monitor covers."""

    def interval(self, found: Measured) -> Interval:
        """What is known of something measured."""

    def whole(self, whole: Whole) -> Interval:
        """What is known of what a percentage is a part of."""

    def wants(self, found: Measured | Whole) -> frozenset[Want]:
        """The readings that were not made yet and would tell more."""


class Answer(NamedTuple):
    """Whether a condition holds; where that is not decided, the readings that may decide it."""

    truth: bool | None
    wants: frozenset[Want] = NOTHING


def evaluate(condition: Condition, view: View) -> Answer:
    """Whether the condition holds, as far as the view knows."""
    if isinstance(condition, Comparison):
        truth = COMPARISONS[condition.operator](bounds(condition.left, view), bounds(condition.right, view))
        return Answer(truth) if truth is not None else Answer(None, _wants(condition, view))
    if isinstance(condition, Not):
        truth, wants = evaluate(condition.part, view)
        return Answer(negated(truth), wants)
    decisive = isinstance(condition, Or)  # one true part decides an `or`, one false part an `and`
    unknown = []
    for part in condition.parts:
        answer = evaluate(part, view)
        if answer.truth is decisive:
            return Answer(decisive)
        unknown += [answer.wants] if answer.truth is None else []
    return Answer(None, NOTHING.union(*unknown)) if unknown else Answer(not decisive)


def bounds(operand: Operand, view: View) -> Interval:
    """What is known of an operand's number."""
    if isinstance(operand, Quantity):
        return exactly(operand.value)
    if isinstance(operand, Share):
        return ARITHMETIC["*"](exactly(operand.percent / 100), view.whole(operand.whole))
    if isinstance(operand, Calculation):
        return ARITHMETIC[operand.operator](bounds(operand.left, view), bounds(operand.right, view))
    return view.interval(operand)


def _wants(node: Condition | Operand, view: View) -> frozenset[Want]:
    if isinstance(node, (Metric, Growth)):
        return view.wants(node)
    if isinstance(node, Share):
        return view.wants(node.whole)
    return NOTHING.union(*(_wants(part, view) for part in parts_of(node)))


def undecided(condition: Condition, view: View) -> Iterator[Measured]:
    """What is measured, but not known, in the comparisons that are not decided."""
    for comparison in comparisons(condition):
        if evaluate(comparison, view).truth is None:
            yield from (each for each in measured(comparison) if not view.interval(each).known)


def value_and_limit(condition: Condition, view: View) -> tuple[str, str]:
    """What to tell people: the value and the limit of the comparison that decides, such as `912m`, `900m`."""
    told = _deciding(condition, view, evaluate(condition, view).truth is not False)
    sides = (told.left, told.right) if any(measured(told.left)) else (told.right, told.left)
    value, limit = (_human(bounds(side, view), side.dimension) for side in sides)
    return value, limit


def _deciding(condition: Condition, view: View, truth: bool) -> Comparison:
    """The first comparison that makes a condition what it is."""
    if isinstance(condition, Comparison):
        return condition
    if isinstance(condition, Not):
        return _deciding(condition.part, view, not truth)
    parts = [part for part in condition.parts if evaluate(part, view).truth is truth] or condition.parts
    return _deciding(parts[0], view, truth)


def _human(known: Interval, dimension: Dimension) -> str:
    if known.known:
        return human(known.low, dimension)
    if known == UNKNOWN:
        return "unknown"
    if known.high < float("inf"):
        return f"at most {human(known.high, dimension)}"
    return f"at least {human(known.low, dimension)}"
