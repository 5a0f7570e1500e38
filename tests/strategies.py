"""Triggers and actions as users may write them, and the trees that they become, at random.

`Writer` writes texts of the whole language, all of them valid; what is random it asks of `Choices`. Hypothesis makes
these for tests, so that what fails is made small; `random` makes them for fuzzing, by the thousand in a second.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fallfromgrace.expression import (
    METRICS,
    And,
    Calculation,
    Comparison,
    Condition,
    Growth,
    Lasting,
    Metric,
    Not,
    Operand,
    Or,
    Quantity,
    Scope,
    Share,
    Trigger,
    Whole,
    measured,
)
from fallfromgrace.grammar import LONGEST_TRIGGER
from fallfromgrace.rules import (
    ADJUSTABLE,
    SIGNALS,
    VARIABLE,
    VARIABLES,
    Adjust,
    Exec,
    Log,
    Notify,
    Signal,
    Step,
    Target,
)
from fallfromgrace.units import Dimension

T = TypeVar("T")

# For what takes long to make: on a busy machine that is no fault.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


class Choices(Protocol):
    """Where chance comes from."""

    def one(self, of: Sequence[T]) -> T: ...

    def upto(self, most: int) -> int: ...


class Drawn:
    """Choices of hypothesis."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def one(self, of: Sequence[T]) -> T:
        return self.draw(st.sampled_from(of))

    def upto(self, most: int) -> int:
        return self.draw(st.integers(0, most))


class Rolled:
    """Choices of `random`, which are fast."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def one(self, of: Sequence[T]) -> T:
        return of[int(self.dice.random() * len(of))]

    def upto(self, most: int) -> int:
        return int(self.dice.random() * (most + 1))


def marked(text: str) -> tuple[str, int, int]:
    """A text without the marks around its faulty part, as in `rmem > «10s»`, and where that part is."""
    start, end = text.index("«"), text.index("»") - 1
    return text.replace("«", "").replace("»", ""), start, max(end, start + 1)


# --- what goes together -----------------------------------------------------------------------------------------


class Family(NamedTuple):
    """Metrics that can stand in one comparison, and the units of the numbers beside them."""

    dimension: Dimension
    metrics: tuple[str, ...]
    units: tuple[str, ...]
    whole: Whole | None = None


UNITS = {
    Dimension.SIZE: ("", "b", "k", "m", "g", "t", "kb", "KiB", "MB", "GiB"),
    Dimension.DURATION: ("s", "m", "h", "d"),
    Dimension.RATE: ("/s", "k/s", "m/s", "MB/s", "kib/S"),
    Dimension.COUNT: ("",),
    Dimension.PERCENT: ("%",),
    Dimension.LOAD: ("",),
}


def _families() -> list[Family]:
    found: dict[tuple[Dimension, Whole | None], list[str]] = {}
    for written, (name, scope) in METRICS.items():
        metric = Metric(name, scope)
        whole = metric.meaning.whole
        if whole is Whole.DESCRIPTORS and scope is not Scope.OWN:
            whole = None
        found.setdefault((metric.dimension, whole), []).append(written)
        if whole:
            found.setdefault((metric.dimension, None), []).append(written)
    return [
        Family(dimension, tuple(metrics), UNITS[dimension] + (("%",) if whole else ()), whole)
        for (dimension, whole), metrics in found.items()
    ]


FAMILIES = _families()
FACTORS = ("2", "0.5", "4", "1.5")
DIVISORS = ("2", "0.5", "4")
COMPARED = ("<", "<=", ">", ">=", "==", "!=")
_WORD = re.compile(r"[\w.%]")


# --- texts ------------------------------------------------------------------------------------------------------


class Writer:
    """One text. `left` keeps it short: when it is used up, only what is simplest is written."""

    def __init__(self, choices: Choices) -> None:
        self.one, self.upto = choices.one, choices.upto
        self.left = 12

    def _chance(self, percent: int) -> bool:
        return self.left > 0 and self.upto(99) >= 100 - percent

    def trigger(self) -> str:
        tokens = self._lasting()
        if self._chance(25):
            tokens += ["until", *self._lasting()]
        return self._spaced(tokens)

    def _lasting(self) -> list[str]:
        return self._condition(2) + (["for", self._duration()] if self._chance(30) else [])

    def _condition(self, depth: int) -> list[str]:
        tokens = self._negation(depth)
        while self._chance(25):
            tokens += [self.one(("and", "or")), *self._negation(depth)]
        return tokens

    def _negation(self, depth: int) -> list[str]:
        if self._chance(10):
            return ["not", *self._negation(depth)]
        if depth and self._chance(15):
            return ["(", *self._condition(depth - 1), ")"]
        return self._comparison()

    def _comparison(self) -> list[str]:
        family = self.one(FAMILIES)
        if self._chance(15):
            limit = self._sum(family, self._ratio, self._plain, 1) if self._chance(30) else [self._plain(family)]
            return self._either(self._ratio(family), limit)
        one = self._sum(family, self._measured, self._operand, 2)
        if self._chance(15):
            sign = self.one("<>")
            first, second = (self.one((sign, f"{sign}=")) for _ in range(2))
            return [self._constant(family), first, *one, second, self._constant(family)]
        if self._chance(10):
            return self._either(one, ["0"])
        other = self._sum(family, self._operand, self._operand, 1) if self._chance(30) else [self._constant(family)]
        return self._either(one, other)

    def _either(self, one: list[str], other: list[str]) -> list[str]:
        sides = (one, other) if self._chance(70) else (other, one)
        return [*sides[0], self.one(COMPARED), *sides[1]]

    def _sum(self, family: Family, first: Any, others: Any, depth: int) -> list[str]:
        tokens = self._product(family, first, depth)
        while self._chance(15):
            tokens += [self.one("+-"), *self._product(family, others, depth)]
        return tokens

    def _product(self, family: Family, operand: Any, depth: int) -> list[str]:
        if depth and self._chance(15):
            tokens = ["(", *self._sum(family, operand, operand, depth - 1), ")"]
        else:
            found = operand(family)
            tokens = [found] if isinstance(found, str) else found
        if self._chance(10):
            tokens = [self.one(FACTORS), "*", *tokens]
        if self._chance(10):
            sign = self.one("*/")
            tokens += [sign, self.one(FACTORS if sign == "*" else DIVISORS)]
        return tokens

    def _ratio(self, family: Family) -> list[str]:
        """A part that is like divided by like; of the two one is measured, and a constant has a unit."""
        one = self._product(family, self._measured, 1)
        units = [unit for unit in family.units if unit]
        other = [self._number(1) + self.one(units)] if units and self._chance(40) else [self._measured(family)]
        sides = (one, other) if self._chance(50) else (other, one)
        return ["(", *self._closed(sides[0]), "/", *self._closed(sides[1]), ")"]

    @staticmethod
    def _closed(tokens: list[str]) -> list[str]:
        return tokens if len(tokens) == 1 else ["(", *tokens, ")"]

    def _operand(self, family: Family) -> str:
        return self._measured(family) if self._chance(40) else self._constant(family)

    def _measured(self, family: Family) -> str:
        metric = self.one(family.metrics)
        return f"growth({metric}, {self._duration()})" if self._chance(15) else metric

    def _constant(self, family: Family) -> str:
        if family.dimension is Dimension.DURATION and self._chance(50):
            return self._duration()
        return f"{'-' if self._chance(10) else ''}{self._number(0)}{self.one(family.units)}"

    def _plain(self, family: Family) -> str:
        """What a ratio is compared with."""
        return self._number(0) + self.one(("", "%"))

    def _number(self, least: int) -> str:
        self.left -= 1
        whole = str(self.upto(99) + least)
        return f"{whole}.{self.upto(99)}" if self._chance(25) else whole

    def _duration(self) -> str:
        first, second = self.one((("h", "m"), ("d", "s"), ("m", "s"), ("s", "h")))
        text = f"{self._number(1)}{first}"
        return f"{text}{self._number(0)}{second}" if self._chance(25) else text

    # --- actions ---

    def action(self) -> str:
        before = self.one(([], [], ["after", self._duration()], ["recovered"]))
        kind = self.one(("signal", "stop", "adjust", "worded"))
        if kind == "worded":
            word = [self.one(("exec", "notify", "log")), *self._limit(30)]
            return f"{self._spaced([*before, *word])}{self.one((' ', '  ', chr(10)))}{self._words(word[0])}"
        target = [self.one(("tree", "group", "largest"))] if self._chance(40) else []
        if kind == "adjust":
            word = self.one(sorted(ADJUSTABLE))
            lowest, highest = ADJUSTABLE[word]
            value = self.upto(highest - lowest) + lowest
            sign = "+" if value >= 0 and self._chance(10) else ""
            return self._spaced([*before, word, f"{sign}{value}", *target])
        word = "stop" if kind == "stop" else self.one([each for each in SIGNALS if each != "stop"])
        return self._spaced([*before, word, *target, *self._limit(100 if kind == "stop" else 40)])

    def _limit(self, percent: int) -> list[str]:
        self.left = max(self.left, 1)
        return ["@", f"{self.upto(99) + 1}{self.one('smhd')}"] if self._chance(percent) else []

    def _words(self, word: str) -> str:
        text = "x" + "".join(self.one(_PIECES) for _ in range(self.upto(8)))
        quote = self.one(("", '"', "'")) if word != "exec" else ""
        return f"{quote}{text}{quote}"

    # --- spaces and letters, which are free ---

    def _spaced(self, tokens: list[str]) -> str:
        text = self._lettered(tokens[0])
        for before, token in itertools.pairwise(tokens):
            needed = _WORD.match(before[-1]) and (_WORD.match(token[0]) or before in ADJUSTABLE)
            text += self.one((" ", " ", "  ", "\n") if needed or before in "<>@" else ("", " ")) + self._lettered(token)
        return text

    def _lettered(self, token: str) -> str:
        return token.upper() if self.upto(9) == 9 else token


_PIECES = (
    *("a", "x", "term", "@ 5m", "#", ": ", "%s", "\u00e9", "\\", " ", "  ", "\n", '"', "'"),
    *("$NAME ", "${VALUE}", "$ ", "$1"),
)


@st.composite
def trigger_texts(draw: Any) -> str:
    return Writer(Drawn(draw)).trigger()


@st.composite
def action_texts(draw: Any) -> str:
    return Writer(Drawn(draw)).action()


# --- trees ------------------------------------------------------------------------------------------------------

_RATIOS = st.one_of(st.integers(1, 1000), st.floats(1e-6, 1e6)).map(lambda value: Quantity(value, Dimension.RATIO))
_SECONDS = st.one_of(st.integers(1, 10**9).map(float), st.floats(1e-6, 1e9))
_VALUES: dict[Dimension, st.SearchStrategy[float]] = {
    Dimension.SIZE: st.one_of(st.integers(0, 1 << 61), st.sampled_from([1 << 10, 5 << 20, 3 << 30, 2253])),
    Dimension.DURATION: st.one_of(st.just(0.0), _SECONDS),
    Dimension.RATE: st.integers(0, 1 << 61),
    Dimension.COUNT: st.one_of(st.integers(0, 10**6), st.floats(1e-6, 1e12)),
    Dimension.PERCENT: st.one_of(st.integers(0, 1000), st.floats(1e-6, 1e6)),
    Dimension.LOAD: st.one_of(st.integers(0, 1000), st.floats(1e-6, 1e6)),
}
_SIGNS = st.sampled_from([1, 1, 1, -1])


def _quantities(family: Family) -> st.SearchStrategy[Quantity]:
    return st.builds(lambda value, sign: Quantity(sign * value, family.dimension), _VALUES[family.dimension], _SIGNS)


def _shares(family: Family) -> st.SearchStrategy[Operand]:
    percents = st.one_of(st.integers(0, 200), st.floats(1e-6, 1e3))
    return st.builds(lambda percent, sign: Share(sign * percent, family.whole), percents, _SIGNS)


def _metrics(family: Family) -> st.SearchStrategy[Operand]:
    metrics = st.sampled_from([Metric(*METRICS[written]) for written in family.metrics])
    return st.one_of(metrics, metrics, st.builds(Growth, metrics, _SECONDS.filter(lambda seconds: seconds >= 1)))


def _constant(operand: Operand) -> bool:
    return isinstance(operand, Quantity)


def _extended(draw: Any, family: Family, operand: Operand, dimension: Dimension) -> Operand:
    """A calculation with the operand, which is no lone constant, in it."""
    kind = draw(st.sampled_from(["+", "-", "*", "/", "ratio"]))
    if kind in "+-":
        other = draw(_simple(family) if dimension is not Dimension.RATIO else _RATIOS)
    elif kind == "ratio" and dimension is not Dimension.RATIO and any(measured(operand)):
        kind, other = draw(st.sampled_from("*/")), draw(_quotients(family))
    else:
        kind, other = (kind if kind != "ratio" else "*"), draw(_RATIOS)
    if kind != "/" and draw(st.booleans()):
        return Calculation(other, kind, operand, dimension)
    return Calculation(operand, kind, other, dimension)


def _simple(family: Family) -> st.SearchStrategy[Operand]:
    shares = [_shares(family)] if family.whole else []
    return st.one_of(_quantities(family), _metrics(family), *shares)


@st.composite
def _operands(
    draw: Any, family: Family, first: st.SearchStrategy[Operand], dimension: Dimension | None = None
) -> Operand:
    operand = draw(first)
    for _ in range(draw(st.integers(0, 2))):
        if not _constant(operand):
            operand = _extended(draw, family, operand, dimension or family.dimension)
    return operand


@st.composite
def _quotients(draw: Any, family: Family) -> Operand:
    """Like divided by like; a constant without a unit would be a number."""
    sides = [draw(_operands(family, _metrics(family))), draw(_metrics(family))]
    if family.dimension not in (Dimension.COUNT, Dimension.LOAD):
        sides[1] = draw(st.one_of(st.just(sides[1]), _quantities(family)))
    zero = isinstance(sides[1], Quantity) and not sides[1].value
    left, right = sides if not zero and draw(st.booleans()) else reversed(sides)
    return Calculation(left, "/", right, Dimension.RATIO)


@st.composite
def comparisons(draw: Any) -> Comparison:
    family = draw(st.sampled_from(FAMILIES))
    if draw(st.integers(0, 3)) == 0:
        one = draw(_operands(family, _quotients(family), Dimension.RATIO))
        other = draw(st.one_of(_RATIOS, _quotients(family)))
    else:
        one, other = draw(_operands(family, _metrics(family))), draw(_operands(family, _simple(family)))
    left, right = (one, other) if draw(st.booleans()) else (other, one)
    return Comparison(left, draw(st.sampled_from(COMPARED)), right)


def _several(kind: type[And] | type[Or]) -> Callable[[list[Condition]], Condition]:
    """Parts of the same kind are taken apart, as the grammar does."""
    return lambda parts: kind(
        tuple(each for part in parts for each in (part.parts if isinstance(part, kind) else (part,)))
    )


conditions: st.SearchStrategy[Condition] = st.recursive(
    comparisons(),
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.lists(parts, min_size=2, max_size=3).map(_several(And)),
        st.lists(parts, min_size=2, max_size=3).map(_several(Or)),
    ),
    max_leaves=4,
)
_lastings = st.builds(Lasting, conditions, st.one_of(st.just(0.0), _SECONDS))
triggers = st.builds(Trigger, _lastings, st.one_of(st.none(), _lastings)).filter(
    lambda trigger: len(str(trigger)) <= LONGEST_TRIGGER
)

_targets = st.sampled_from(Target)
_limits = st.one_of(st.none(), st.floats(1, 1e8), st.integers(1, 10**8).map(float))
_commands = st.text(min_size=1, max_size=40).map(lambda text: "x" + text.rstrip(" \n"))


def _known(text: str) -> bool:
    return all((found["bare"] or found["braced"]) in VARIABLES for found in VARIABLE.finditer(text))


_texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(_PIECES), max_size=8).map("".join))
_texts = _texts.filter(lambda text: bool(text.strip()) and _known(text))
actions = st.one_of(
    st.builds(Signal, st.sampled_from([each for each in SIGNALS if each != "stop"]), _limits, _targets),
    st.builds(Signal, st.just("stop"), _limits.filter(bool), _targets),
    *(st.builds(Adjust, st.just(word), st.integers(*span), _targets) for word, span in ADJUSTABLE.items()),
    st.builds(Exec, _commands, _limits),
    st.builds(Notify, _texts, _limits),
    st.builds(Log, _texts, _limits),
)
steps = st.one_of(
    st.builds(Step, actions, st.one_of(st.none(), _SECONDS)),
    st.builds(Step, actions, recovered=st.just(True)),
)
