"""Texts in columns and bars, as wide as there is room for, whatever characters are in them.

How wide a text is depends on who shows it, and comes as a Ruler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

# A text and its style: `bold`, `dim`, `red`, `yellow`, `green` or none.
Span = tuple[str, str]
Line = tuple[Span, ...]


class Ruler(NamedTuple):
    """How many columns a text takes, and the most of its beginning that takes no more than so many."""

    measure: Callable[[str], int]
    cut: Callable[[str, int], str]


class Glyphs(NamedTuple):
    """What bars are made of, and what stands for what was cut off."""

    full: str
    empty: str
    more: str


PLAIN = Ruler(len, lambda text, width: text[:width])
UNICODE, ASCII = Glyphs("█", "░", "…"), Glyphs("#", "-", "...")


class Paper(NamedTuple):
    """What is drawn on; without a width or a height there is no bound."""

    width: int | None = None
    height: int | None = None
    ruler: Ruler = PLAIN
    glyphs: Glyphs = ASCII


class Columns(NamedTuple):
    """How wide what is said of a rule is, 0 for what is left out."""

    rule: int
    bar: int
    share: int
    value: int
    state: int

    @property
    def taken(self) -> int:
        """How wide all of them are."""
        return len(INDENT) + sum(width + len(GAP) for width in self if width) - len(GAP)


class Names(NamedTuple):
    """How wide what is said of a process is, 0 for what is left out; its command has the rest."""

    pid: int
    owner: int
    rmem: int
    cpu: int


GAP, INDENT = "  ", "    "
SHARE, VALUE, PAIR = 5, 8, 18
# What remains when there is less and less room. The limit goes first: it stands in the rule as well.
_LEVELS = (
    Columns(14, 10, SHARE, PAIR, 19),
    Columns(12, 6, SHARE, VALUE, 17),
    Columns(12, 0, SHARE, VALUE, 12),
    Columns(12, 0, SHARE, VALUE, 0),
    Columns(12, 0, SHARE, 0, 0),
)
# What is to spare makes these wider, one after the other, up to so much.
_SPARE = (("state", 28), ("rule", 60), ("state", 60), ("bar", 30))
# The same for processes, by the width that it takes. A command of which nothing is to be seen says less than numbers.
_NAMES = ((50, Names(8, 8, 7, 5)), (42, Names(8, 8, 7, 0)), (30, Names(8, 0, 7, 0)), (0, Names(8, 0, 0, 0)))
_WIDE_OWNER = 16


def columns_for(width: int | None, longest: int) -> Columns:
    """The columns at a width, where the longest rule is so long.

    They depend on nothing that changes from look to look, so that they stay where they are.
    """
    if width is None:
        return Columns(longest, 10, SHARE, PAIR, 0)
    columns = next((each for each in _LEVELS if each.taken <= width), _LEVELS[-1])
    for name, most in _SPARE:
        now, spare = getattr(columns, name), width - columns.taken
        most = min(most, longest) if name == "rule" else most
        if now and spare > 0 and most > now:
            columns = columns._replace(**{name: min(most, now + spare)})
    return columns


def names_for(width: int | None) -> Names:
    """The columns of a process."""
    if width is None or width >= 120:
        return _NAMES[0][1]._replace(owner=_WIDE_OWNER)
    return next(names for least, names in _NAMES if width >= least)


class Pen:
    """Writes in columns, by the paper's measure."""

    def __init__(self, paper: Paper) -> None:
        self._glyphs = paper.glyphs
        self._width = paper.width
        self.measure, self._cut = paper.ruler

    def left(self, text: str, width: int) -> str:
        """A text with blanks behind it, or without its end, that takes exactly so many columns."""
        text = self.fitting(text, width)
        return text + " " * (width - self.measure(text))

    def right(self, text: str, width: int) -> str:
        """The same with the blanks before it."""
        text = self.fitting(text, width)
        return " " * (width - self.measure(text)) + text

    def fitting(self, text: str, width: int) -> str:
        """A text, without its end where it would take more columns than that."""
        if self.measure(text) <= width:
            return text
        more = self._glyphs.more[:width]
        return self._cut(text, width - len(more)) + more

    def bar(self, share: float | None, width: int, style: str) -> Iterator[Span]:
        """How much of the way to the limit is gone; nothing where that is not known."""
        full = 0 if share is None else min(width, int(share * width + 0.5))
        yield self._glyphs.full * full, style
        yield (" " if share is None else self._glyphs.empty) * (width - full), "dim"

    def line(self, spans: Line) -> Line:
        """Of a line as much as there is room for."""
        if self._width is None or sum(self.measure(text) for text, _ in spans) <= self._width:
            return spans
        return tuple(self._kept(spans, self._width))

    def _kept(self, spans: Line, room: int) -> Iterator[Span]:
        for text, style in spans:
            rest = self.fitting(text, room) if self.measure(text) > room else text
            yield rest, style
            room -= self.measure(rest)
            if rest != text or room <= 0:
                return
