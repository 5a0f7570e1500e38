"""Values over time, one for each step, as a test writes them: `100m 600m+50mx10 _ 1g`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate

from fallfromgrace.errors import RuleSyntaxError

# A value for each step; None is one that cannot be read. The last one goes on.
Series = tuple[float | None, ...]

# A day in steps of a second.
MOST_VALUES = 100_000
_MANY_DIGITS = len(str(MOST_VALUES))
UNKNOWN, GOES_ON = "_", "..."
_HAIR = 1e-6

_WORD = re.compile(r"\S+")
_VALUE = "[a-wyzA-Z0-9_.%/]+"
_TERM = re.compile(rf"(?P<value>{_VALUE})(?:(?P<sign>[+-])(?P<change>{_VALUE}))?(?:x(?P<more>[0-9]+))?")


def parse_series(text: str, parse: Callable[[str], float]) -> Series:
    """The values of a text: `a`; `axN`, that and N more of it; `a+bxN` and `a-bxN`, each b from the one before; `_`.

    `parse` reads one value, and raises ValueError. Raises RuleSyntaxError.
    """
    found: list[float | None] = []
    words = list(_WORD.finditer(text))
    if words and words[-1][0] == GOES_ON:
        words.pop()
    for word in words:
        found += _term(word, parse, MOST_VALUES - len(found))
    if not found:
        raise RuleSyntaxError("there is no value here; write one for each step, such as 100m 200m", 0, len(text))
    return tuple(found)


def _term(word: re.Match[str], parse: Callable[[str], float], room: int) -> Sequence[float | None]:
    try:
        return _values(word[0], parse, room)
    except ValueError as error:
        raise RuleSyntaxError(str(error), *word.span()) from None


def _values(word: str, parse: Callable[[str], float], room: int) -> Sequence[float | None]:
    term = _TERM.fullmatch(word)
    if not term or GOES_ON in word or (term["sign"] and not term["more"]):
        raise ValueError(_no_term(word))
    count = 1 + _more(term["more"], room)
    if term["value"] == UNKNOWN:
        if term["sign"]:
            raise ValueError(f"what cannot be read neither rises nor falls; write {UNKNOWN}x{term['more']}")
        return [None] * count
    value, change = parse(term["value"]), parse(term["change"]) if term["change"] else 0
    values = [value + at * (-change if term["sign"] == "-" else change) for at in range(count)]
    if values[-1] < 0:
        steps = next(at for at, each in enumerate(values) if each < 0)
        raise ValueError(f"'{word}' is below 0 after {steps} steps; write a smaller number behind the x")
    return values


def _more(digits: str | None, room: int) -> int:
    # Python reads no number of thousands of digits.
    more = int(digits) if digits and len(digits) <= _MANY_DIGITS else MOST_VALUES if digits else 0
    if more >= room:
        raise ValueError(f"a series has at most {MOST_VALUES} values; write a longer step")
    return more


def _no_term(word: str) -> str:
    if GOES_ON in word:
        return f"'{GOES_ON}' stands alone, behind the last value"
    if "," in word:
        return "values stand one behind the other, with blanks between them: 100m 200m"
    term = _TERM.fullmatch(f"{word}x1")
    if term and term["sign"]:
        return f"'{word}' does not say for how many steps; write {word}x10 for ten"
    return f"'{word}' is no value; write one such as 100m, 100mx5, 100m+50mx10 or {UNKNOWN}"


class Track:
    """A series as it goes on in time, with what it comes to where it is a rate."""

    def __init__(self, series: Series, step: float) -> None:
        self._series = series
        self._step = step
        self._sums = tuple(accumulate((each or 0.0 for each in series), initial=0.0))

    def value(self, seconds: float) -> float | None:
        """What it is so many seconds after it began."""
        return self._series[min(self._steps(seconds)[0], len(self._series) - 1)]

    def total(self, seconds: float) -> float | None:
        """What a rate has come to by then; nothing for as long as it cannot be read, None while that is so."""
        now = self.value(seconds)
        if now is None:
            return None
        whole, part = self._steps(seconds)
        beyond = max(0, whole - len(self._series)) * now
        return self._step * (self._sums[min(whole, len(self._series))] + beyond + part * now)

    def _steps(self, seconds: float) -> tuple[int, float]:
        """How many whole steps have passed, and what part of the next."""
        steps = seconds / self._step
        # What is next to a whole number is meant to be one: a tenth of a second is none for a float.
        whole = int(steps + _HAIR)
        return whole, max(0.0, steps - whole)
