"""Whether a regex backtracks badly: command lines made from its own parts on which a search takes too long.

What somebody can do is measured, not proved. From the parse tree come shapes: what has to stand before a repeat, its
body many times over, and an end at which the rest fails. Those that take longest while short are tried at full length.
"""

from __future__ import annotations

import importlib
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import islice
from types import FrameType
from typing import Any, NamedTuple

from fallfromgrace.records import dataclass

LONGEST = 8192
# How long a pump may be. Steps are small where time may double with each character, and no larger than twofold later:
# some searches hear no signal before they are through, in Python 3.10 all that begin anew at each character.
_SHORT = (16, 20, 24, 32, 40, 64, 128, 256, 512)
_LENGTHS = (*_SHORT, 1024, 2048, 4096, LONGEST)
# All shapes are tried up to this length, the slowest ones up to the end of the short ones, and then few.
_ALL_TO = 40
_MOST_SHAPES, _MANY, _FEW = 2000, 200, 4
_MOST_SAMPLES = 8
# Of the limit for one search: where it is ended, where a short one is suspicious, and what all may take together.
_ENOUGH, _SUSPICIOUS, _BUDGET = 1.2, 0.02, 10
_SHORTEST_TIMER = 0.001  # 0 would be none
# A repeat that ends sooner is a detail of what is written around it.
_LONG_REPEAT = 10

# In 3.10 only the old name is known, since 3.11 that one warns.
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


def attack(pattern: re.Pattern[str], seconds: float = 0.05) -> str | None:
    """A command line of at most 8192 characters on which a search takes longer than `seconds`; None if none was found.

    CPU time counts. SIGALRM and its timer are used meanwhile, so outside the main thread this is a ValueError.
    """
    try:
        shapes = list(islice(dict.fromkeys(_shapes(pattern)), _MOST_SHAPES))
    except RecursionError:  # nested too deeply for us, though not for `re`
        shapes = []
    with _stopwatch(seconds * _ENOUGH) as stopwatch:
        return _Trial(pattern, seconds, stopwatch).of(shapes)


# --- trying -----------------------------------------------------------------------------------------------------


class _EnoughError(Exception):
    """The alarm, raised out of a search."""


class _Stopwatch:
    """What CPU time a search takes, if not more than enough.

    The timer is one of real time: those of CPU time count ticks, which on a busy machine may all be somebody else's.
    """

    def __init__(self, enough: float) -> None:
        self._enough, self._start = enough, 0.0
        self._running = False

    def alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._running:  # it comes late, after the result
            return
        left = self._enough - self._taken()
        if left > 0:  # others had the processor too
            signal.setitimer(signal.ITIMER_REAL, max(left, _SHORTEST_TIMER))
            return
        self._running = False
        raise _EnoughError

    def time(self, pattern: re.Pattern[str], text: str) -> float:
        self._start = time.thread_time()
        try:
            self._running = True
            signal.setitimer(signal.ITIMER_REAL, self._enough)
            pattern.search(text)
            self._running = False
        except _EnoughError:
            pass
        finally:
            self._running = False
        return self._taken()

    def _taken(self) -> float:
        return time.thread_time() - self._start


@contextmanager
def _stopwatch(enough: float) -> Iterator[_Stopwatch]:
    """A stopwatch with its handler in place; afterwards handler and mask are as they were, and so is the timer."""
    stopwatch = _Stopwatch(enough)
    handler = signal.signal(signal.SIGALRM, stopwatch.alarm)
    start, (left, interval) = time.monotonic(), signal.setitimer(signal.ITIMER_REAL, 0)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # whoever started us may have blocked it
    try:
        yield stopwatch
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left:
            left = max(left - (time.monotonic() - start), _SHORTEST_TIMER)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


class _Trial:
    """Searches of one pattern, which have a budget together."""

    def __init__(self, pattern: re.Pattern[str], seconds: float, stopwatch: _Stopwatch) -> None:
        self._pattern, self._seconds, self._stopwatch = pattern, seconds, stopwatch
        self._spent = 0.0
        self._taken: dict[_Shape, float] = {}
        self._given_up: set[_Shape] = set()

    def of(self, shapes: list[_Shape]) -> str | None:
        """All shapes side by side while they are short, then the slowest ones one by one."""
        for reached, length in enumerate(_SHORT, 1):
            if text := self._first(shapes, reached):
                return text
            shapes = self._slowest(shapes, _MANY if length >= _ALL_TO else _MOST_SHAPES)
        unlike = {shape.endless: shape for shape in reversed(shapes) if shape.endless not in self._given_up}
        slowest = self._slowest(unlike.values(), _FEW)
        return next(filter(None, (self._climb(shape, len(_SHORT)) for shape in slowest)), None)

    def _first(self, shapes: Iterable[_Shape], reached: int) -> str | None:
        """The first attack at one length, or with what is slow there; half of the budget is kept for greater ones."""
        for shape in shapes:
            if self._spent > self._seconds * _BUDGET / 2:
                return None
            if shape.endless in self._given_up:
                continue
            text = self._attack(shape, _LENGTHS[reached - 1])
            if not text and self._taken[shape] > self._seconds * _SUSPICIOUS:
                text = self._climb(shape, reached)
            if text:
                return text
        return None

    def _climb(self, shape: _Shape, reached: int) -> str | None:
        """One shape made longer and longer, as long as that makes it slower."""
        calm = 0
        for length in _LENGTHS[reached:]:
            if self._spent > self._seconds * _BUDGET:
                return None
            before = self._taken.get(shape, 0.0)
            if text := self._attack(shape, length):
                return text
            calm = calm + 1 if self._taken[shape] < before * 1.1 else 0
            if calm == 2 or self._hopeless(shape, length):
                break
        self._given_up.add(shape.endless)
        return None

    def _attack(self, shape: _Shape, length: int) -> str | None:
        """The text if it is one. It is tried again, as a busy machine may have been what was slow."""
        text = shape.text(length)
        taken = self._time(text)
        for _ in range(2):
            if taken > self._seconds:
                taken = min(taken, self._time(text))
        self._taken[shape] = taken
        return text if taken > self._seconds else None

    def _time(self, text: str) -> float:
        taken = self._stopwatch.time(self._pattern, text)
        self._spent += taken
        return taken

    def _slowest(self, shapes: Iterable[_Shape], count: int) -> list[_Shape]:
        return sorted(shapes, key=lambda shape: -self._taken.get(shape, 0.0))[:count]

    def _hopeless(self, shape: _Shape, length: int) -> bool:
        """Whether not even time that grows with the cube of the length would be too long in the end."""
        return self._taken[shape] * (LONGEST / length) ** 3 < self._seconds


# --- shapes -----------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """A text that can be made longer: `pumps` share its length, `link` ends each of `times` rounds of them."""

    head: str
    pumps: tuple[str, ...]
    tail: str = ""
    times: int = 1
    link: str = ""

    @property
    def endless(self) -> _Shape:
        """What it shares with those that only end in another way."""
        return self._replace(tail="")

    def text(self, length: int) -> str:
        most = (LONGEST - len(self.head) - len(self.tail)) // self.times - len(self.link)
        share = min(length, most) // len(self.pumps)
        pumped = "".join(pump * (share // len(pump) or 1) for pump in self.pumps)
        text = self.head + (pumped + self.link) * self.times + self.tail
        # As a command line is read: without NUL, and without blanks at its end.
        return text[:LONGEST].replace("\0", " ").rstrip()


def _shapes(pattern: re.Pattern[str]) -> Iterator[_Shape]:
    tree = _parsed(pattern)
    alphabet = _Alphabet.of(tree)
    parts = _Reader(alphabet).sequence(tree)
    for head, pumps, times, link in _pumped(parts, ""):
        if filled := tuple(filter(None, pumps)):
            yield from (_Shape(head, filled, tail, times, link) for tail in alphabet.tails)


_Pumped = tuple[str, tuple[str, ...], int, str]


def _pumped(parts: Sequence[_Part], before: str) -> Iterator[_Pumped]:
    """Shapes without their tails, of a sequence of parts and all that is in them."""
    yield from _in_turn(parts, before)
    for part in parts:
        if part.bodies:
            yield from _repeated(part, before)
        for branch in part.branches:
            yield from _pumped(branch, before)
        before = (before + part.samples[0])[:LONGEST]


def _in_turn(parts: Sequence[_Part], before: str) -> Iterator[_Pumped]:
    """What is between the repeats of a sequence: each keeps every one before it busy, the last as far as it begins."""
    first, *others = _pieces(parts)
    if others:
        begun = (*others[:-1], others[-1][:1])
        yield before, (first, *begun), 1, ""
        yield before + first, begun, 1, ""


def _pieces(parts: Sequence[_Part]) -> list[str]:
    pieces = [""]
    for part in parts:
        if part.most >= _LONG_REPEAT:
            pieces.append("")
        else:
            pieces[-1] += part.samples[0]
    return pieces


def _repeated(repeat: _Part, before: str) -> Iterator[_Pumped]:
    for body in repeat.bodies:
        yield before, (body,), 1, ""
        # A search begins anew at each character.
        yield "", (before + body,), 1, ""
    if repeat.least > 1:
        # One time too few: all ways to share the text among the others are tried.
        for inner in islice(_inner(repeat), _MOST_SAMPLES):
            yield from ((before, (inner,), min(repeat.least - 1, 100), body) for body in repeat.bodies[:2])


def _inner(part: _Part) -> Iterator[str]:
    """What is repeated somewhere inside a part."""
    for branch in part.branches:
        for each in branch:
            if each.most > 1:
                yield from each.bodies
            yield from _inner(each)


# --- samples ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern: texts that it matches, the shortest first, and for a repeat those of its body."""

    samples: tuple[str, ...]
    branches: tuple[tuple[_Part, ...], ...] = ()
    least: int = 1
    most: int = 1
    bodies: tuple[str, ...] = ()


def _usual(parts: Iterable[_Part]) -> str:
    return "".join(part.samples[0] for part in parts)


def _some(samples: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys(sample[:LONGEST] for sample in samples), _MOST_SAMPLES)) or ("",)


def _joined(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Samples of a sequence: the usual one, and those with one part in another way."""
    return reduce(lambda done, part: _some(_one_varied(done, part.samples)), parts, ("",))


def _one_varied(heads: Sequence[str], tails: Sequence[str]) -> Iterator[str]:
    yield heads[0] + tails[0]
    yield from (heads[0] + tail for tail in tails[1:])
    yield from (head + tails[0] for head in heads[1:])


class _Reader:
    """Parse tree to parts. Operators go by their names: not every Python has all of them."""

    def __init__(self, alphabet: _Alphabet) -> None:
        self._alphabet = alphabet
        self._groups: dict[int, tuple[str, ...]] = {}

    def sequence(self, tree: Iterable[tuple[Any, Any]]) -> tuple[_Part, ...]:
        return tuple(self._part(str(operator), value) for operator, value in islice(tree, LONGEST))

    def _part(self, operator: str, value: Any) -> _Part:
        if operator in _ONE_CHARACTER:
            return _Part(self._alphabet.samples(_accepts(operator, value)) if operator != "LITERAL" else (chr(value),))
        if operator == "GROUPREF":
            return _Part(self._groups.get(value, ("",)))
        branches = tuple(map(self.sequence, _nested(value)))
        if operator.endswith("REPEAT"):
            return _repeat(branches, int(value[0]), int(value[1]))
        if operator in {"AT", "ASSERT", "ASSERT_NOT"}:  # takes no text, but looks at it
            return _Part(("",), branches)
        samples = _some(sample for branch in branches for sample in _joined(branch))
        if operator == "SUBPATTERN" and value[0]:
            self._groups[value[0]] = samples
        return _Part(samples, branches)


def _repeat(branches: tuple[tuple[_Part, ...], ...], least: int, most: int) -> _Part:
    bodies = tuple(filter(None, _joined(branches[0])))
    if len(bodies) > 1:
        bodies = (*bodies, "".join(bodies)[:LONGEST])
    usual = _usual(branches[0]) * min(least, LONGEST)
    return _Part(_some((usual, *(usual + body for body in bodies))), branches, least, most, bodies)


# --- characters -------------------------------------------------------------------------------------------------

_Accepts = Callable[[str], bool]

_ONE_CHARACTER = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}
_CATEGORIES: dict[str, _Accepts] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda character: character.isalnum() or character == "_",
}
# Tried with every pattern, after the characters that it names itself.
_USUAL = "a0Z_- \t\n/.:=,\x01~!"
_MOST_SETS = 200


class _Alphabet(NamedTuple):
    """Characters to make texts of: those first that most parts of a pattern accept, for there it is ambiguous."""

    characters: tuple[str, ...]

    @classmethod
    def of(cls, tree: Any) -> _Alphabet:
        leaves = tuple(islice(dict.fromkeys((name, _frozen(value)) for name, value in _leaves(tree)), _MOST_SETS))
        named = [character for name, value in leaves for character in _named(name, value)]
        accepted: Counter[str] = Counter(dict.fromkeys((*named, *_USUAL), 0))
        for accepts in (_accepts(name, value) for name, value in leaves):
            accepted.update(filter(accepts, tuple(accepted)))
        return cls(tuple(character for character, _ in accepted.most_common()))

    @property
    def tails(self) -> tuple[str, ...]:
        """Ends at which a match may fail: the last characters are those that the fewest parts accept."""
        odd = next(character for character in reversed(self.characters) if not character.isspace())
        letter = next(character for character in reversed(self.characters) if character.isalnum())  # for \b
        return "", odd, "\n" + odd, letter

    def samples(self, accepts: _Accepts) -> tuple[str, ...]:
        accepted = [character for character in self.characters if accepts(character)]
        return _some((*accepted[:1], *accepted[-1:]))


def _parsed(pattern: re.Pattern[str]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given when it was compiled
        return _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)


def _nested(value: Any) -> Iterator[Any]:
    """The sequences in an operator's value."""
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _nested(each)


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """What matches one character."""
    for operator, value in tree:
        if str(operator) in _ONE_CHARACTER:
            yield str(operator), value
        else:
            for nested in _nested(value):
                yield from _leaves(nested)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _named(operator: str, value: Any) -> Iterator[str]:
    """The characters written in a pattern, of a range its ends, and what is next to them for what is left out."""
    if operator == "IN":
        for each, inner in value:
            yield from _named(str(each), inner)
    elif operator in {"LITERAL", "NOT_LITERAL"}:
        yield chr(value)
        yield chr(value + 1 if value < sys.maxunicode else 0)
    elif operator == "RANGE":
        yield from map(chr, value)


def _accepts(operator: str, value: Any) -> _Accepts:
    """Whether a character is matched, near enough."""
    if operator in {"LITERAL", "NOT_LITERAL"}:
        return lambda character: (ord(character) == value) is (operator == "LITERAL")
    if operator == "RANGE":
        return lambda character: value[0] <= ord(character) <= value[1]
    if operator == "CATEGORY":
        _, _, kind = str(value).rpartition("_")
        return lambda character: _CATEGORIES[kind](character) is ("_NOT_" not in str(value))
    if operator == "IN":
        return _accepts_any([(str(each), inner) for each, inner in value])
    return lambda character: character != "\n"


def _accepts_any(choices: Sequence[tuple[str, Any]]) -> _Accepts:
    accepting = [_accepts(name, value) for name, value in choices if name != "NEGATE"]
    negated = len(accepting) < len(choices)
    return lambda character: any(accepts(character) for accepts in accepting) is not negated
