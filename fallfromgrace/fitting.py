"""Which of very many processes there is room for on a screen: those that are nearest to their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fallfromgrace.picture import Gauge, Row, Section, urgency
from fallfromgrace.rules import counted


class Part(NamedTuple):
    """What is shown of a section, and how many processes are not."""

    section: Section
    rows: tuple[Row, ...]
    hidden: int = 0

    @property
    def height(self) -> int:
        """A line for the section, each rule and each process, and for saying that there are more."""
        return 1 + len(self.section.gauges) + sum(map(_height, self.rows)) + bool(self.hidden)


class Fitted(NamedTuple):
    """What there is room for, in the order of the file, and how many sections there is none for."""

    parts: tuple[Part, ...]
    hidden: int = 0

    @property
    def height(self) -> int:
        """How many lines it takes."""
        return sum(part.height for part in self.parts) + bool(self.hidden)


def fit(sections: Sequence[Section], room: int | None) -> Fitted:
    """What fits in so many lines, the most urgent first; all where there is no bound."""
    whole = Fitted(tuple(_part(each, sorted(each.rows, key=_order)) for each in sections))
    return whole if room is None or whole.height <= room else _Choice(sections, room).made()


# What sorts the most urgent to the front.
_Order = tuple[float, float, int]


def _order(row: Row) -> _Order:
    level, share = urgency(row.gauges)
    return -level, -share, row.pid


def _part(section: Section, rows: Sequence[Row]) -> Part:
    return Part(section, tuple(rows), section.total - len(rows))


def _height(row: Row) -> int:
    return 1 + len(row.gauges)


class _Choice:
    """Takes one after another as long as there is room, whatever section it is in."""

    def __init__(self, sections: Sequence[Section], room: int) -> None:
        self._sections = list(sections)
        self._room = room - (len(sections) > 1)  # to say that there are more sections
        self._taken: dict[int, list[Row]] = {}
        self._full: set[int] = set()

    def made(self) -> Fitted:
        for _, place, row in self._candidates():
            if place not in self._full and not self._take(place, row):
                self._full.add(place)
        self._take_last()
        parts = tuple(_part(self._sections[place], self._taken[place]) for place in sorted(self._taken))
        return Fitted(parts, len(self._sections) - len(parts))

    def _take_last(self) -> None:
        """In the place of a line that says that there is one more, that one itself."""
        hidden = [place for place in range(len(self._sections)) if place not in self._taken]
        if len(hidden) == 1 and self._cost(hidden[0], None) == 1:
            self._taken[hidden[0]] = []

    def _candidates(self) -> list[tuple[_Order, int, Row | None]]:
        """Every process, and every section for its own sake."""
        found: list[tuple[_Order, int, Row | None]] = []
        for place, section in enumerate(self._sections):
            level, share = urgency(section.gauges)
            found.append(((-level, -share, 0), place, None))
            found += [(_order(row), place, row) for row in section.rows]
        return sorted(found, key=lambda each: each[:2])

    def _take(self, place: int, row: Row | None) -> bool:
        """Whether there was room for it, and for the section that it is in."""
        cost = self._cost(place, row)
        if cost > self._room and not self._taken:
            row = self._shorten(place, row)  # of one at least something is to be seen
            cost = self._cost(place, row)
        if cost > self._room:
            return False
        self._room -= cost
        self._taken.setdefault(place, []).extend([row] if row else [])
        return True

    def _cost(self, place: int, row: Row | None) -> int:
        section, taken = self._sections[place], self._taken.get(place)
        # A section comes with a line that says that there are more, which its last process does not need.
        opened = 0 if taken is not None else 1 + len(section.gauges) + bool(section.total)
        last = row is not None and len(taken or ()) + 1 == section.total
        return opened + (_height(row) - last if row else 0)

    def _shorten(self, place: int, row: Row | None) -> Row | None:
        """No more rules than there is room for."""
        section, taken = self._sections[place], 1 + bool(self._sections[place].total)
        kept = _most_urgent(section.gauges, self._room - taken - (2 if row else 0))
        self._sections[place] = section._replace(
            gauges=kept, note=_noted(section.note, len(section.gauges) - len(kept))
        )
        if row is None:
            return None
        left = _most_urgent(row.gauges, self._room - taken - len(kept) - 1 + (section.total == 1))
        return row._replace(gauges=left, note=_noted(row.note, len(row.gauges) - len(left)))


def _most_urgent(gauges: Sequence[Gauge], most: int) -> tuple[Gauge, ...]:
    """So many of them, in the order that they were in."""
    first = sorted(range(len(gauges)), key=lambda place: urgency(gauges[place : place + 1]), reverse=True)
    return tuple(gauges[place] for place in sorted(first[: max(0, most)]))


def _noted(note: str, hidden: int) -> str:
    left_out = f"{counted(hidden, 'more rule')}" if hidden else ""
    return ", ".join(filter(None, (note, left_out)))
