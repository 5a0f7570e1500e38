"""Tables for people: in columns that fit what they are written on, with nothing in them but what can be shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from fallfromgrace import terminal
from fallfromgrace.logs import one_line
from fallfromgrace.terminal import columns as _columns
from fallfromgrace.terminal import placed, shortened

_STYLES = {"firing": ("red",), "pending": ("yellow",), "failed": ("red",), "denied": ("red",)}
# Of each table on a terminal.
MOST_ROWS = 20
INDENT = "    "
# A column is made no smaller, where another can be.
_LEAST = 6


class Section(NamedTuple):
    """A table: heads of columns, with `>` of those that are put to the right, and rows, of which a terminal shows so
    many. `hidden` ones more are not known; a row has the colour of what is in its column `marked`."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    most: int = MOST_ROWS
    hidden: int = 0
    marked: int = 0


class Paper(NamedTuple):
    """What lines are written on: so many columns, None for a pipe, in colours or not, in an encoding."""

    width: int | None = None
    colours: bool = False
    encoding: str = "utf-8"

    def paint(self, text: str, *styles: str) -> str:
        return terminal.paint(text, *styles, on=self.colours)

    def plain(self, text: str) -> str:
        """A text of which nothing but letters and the like is left."""
        return one_line(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def cut(self, text: str) -> str:
        """A text in one line."""
        plain = self.plain(text)
        return plain if self.width is None else shortened(plain, self.width)

    def wrapped(self, text: str) -> list[str]:
        """A text that is no table: on a terminal in lines that end between words."""
        plain = self.plain(text)
        return [plain] if self.width is None else wrap(plain, self.width, subsequent_indent=INDENT)


def table(section: Section, paper: Paper) -> Iterator[str]:
    """The lines of a table; on a terminal no more than it has room for, nor wider."""
    kept = section.rows if paper.width is None else section.rows[: section.most]
    rows = [[paper.plain(cell) for cell in row] for row in kept]
    head = [name.lstrip(">") for name in section.head]
    natural = [max(map(_columns, column)) for column in zip(head, *rows, strict=True)]
    right = [name.startswith(">") for name in section.head]
    widths = natural if paper.width is None else _fitted(natural, right, paper.width)
    yield paper.paint(_line(head, widths, right, paper.width), "bold")
    for row in rows:
        yield paper.paint(_line(row, widths, right, paper.width), *_STYLES.get(row[section.marked], ()))
    if left := len(section.rows) - len(kept):
        yield f"  ... and {left} more; --json shows them"
    if section.hidden:
        yield f"  ... and {section.hidden} more that the daemon does not list"


def _fitted(widths: Sequence[int], right: Sequence[bool], most: int) -> list[int]:
    """Columns that fit in so many: the last one is cut first, then the widest text, and at last also what is put to the
    right: half a number says something else."""
    found = list(widths)
    room = most - 2 * len(found)
    found[-1] = max(min(found[-1], _LEAST), min(found[-1], room - sum(found[:-1])))
    texts = [place for place, number in enumerate(right) if not number]
    for places, least in ((texts, _LEAST), (range(len(found)), 1)):
        while sum(found) > room and (widest := max(places, key=lambda place: found[place], default=None)) is not None:
            if found[widest] <= least:
                break
            found[widest] -= 1
    return found


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool], most: int | None) -> str:
    places = zip(row, widths, right, strict=True)
    cells = (placed(shortened(text, width), width, right=to_right) for text, width, to_right in places)
    return terminal.cut("".join(f"  {cell}" for cell in cells).rstrip(), most)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Rows in columns as wide as what is in them, these by number to the right; the last one is left as it is."""
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, last in rows:
        put = (placed(cell, widths[at], right=at in right) for at, cell in enumerate(cells))
        yield "  ".join((*put, last))
