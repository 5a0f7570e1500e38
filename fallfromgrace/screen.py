"""What `top` shows, as lines that fit: of what there is no room for it is said how much that is, and no line is ever
wider than it may be. The texts of a picture are printable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fallfromgrace.fitting import Fitted, Part, fit
from fallfromgrace.pen import GAP, INDENT, PAIR, VALUE, Line, Paper, Pen, Span, columns_for, names_for
from fallfromgrace.picture import Entry, Gauge, Level, Picture, Row
from fallfromgrace.rules import counted

# Of the lines below the heading one in so many is for what was done, and for what is to come, if that is as much.
_DEEDS_PART, _COMING_PART = 4, 5
_FEWEST = 3  # an empty line, a title, and one line

_LONGEST_WHO = 24

_STYLES = {Level.CALM: "green", Level.NEAR: "yellow", Level.PENDING: "yellow", Level.FIRING: "red"}


def lines(picture: Picture, paper: Paper) -> list[Line]:
    """The picture on this paper."""
    return _Screen(picture, paper).lines()


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line).rstrip()


class _Screen:
    """Draws one picture on one paper."""

    def __init__(self, picture: Picture, paper: Paper) -> None:
        self._picture = picture
        self._paper = paper
        self._pen = Pen(paper)
        self._columns = columns_for(paper.width, max(map(self._pen.measure, _rules(picture)), default=0))
        self._names = names_for(paper.width)

    def lines(self) -> list[Line]:
        picture, height = self._picture, self._paper.height
        head = list(self._heading())
        below = None if height is None else max(0, height - len(head))
        coming, deeds = _rooms(below, picture)
        fitted = fit(picture.sections, None if below is None else below - coming - deeds)
        if below is not None:  # what the processes leave is for the others
            coming = min(_wanted(picture.coming), below - fitted.height - deeds)
            deeds = min(_wanted(picture.deeds), below - fitted.height - coming)
        drawn = [
            *head,
            *self._body(fitted),
            *self._block("Armed timers", picture.coming, coming),
            *self._block("Last actions", picture.deeds, deeds),
        ]
        return [self._pen.line(line) for line in drawn[:height]]

    # --- the heading ---

    def _heading(self) -> Iterator[Line]:
        picture = self._picture
        yield tuple(self._title())
        yield ((picture.facts, ""),)
        for warning in picture.warnings:
            yield ((warning, "yellow"),)
        yield ()
        if any(section.rows for section in picture.sections):
            heads = ("PID", "OWNER", "RMEM", "CPU")
            yield ((self._named(heads) + "COMMAND", "bold"),)

    def _title(self) -> Iterator[Span]:
        picture, pen, width = self._picture, self._pen, self._paper.width
        yield picture.title, "bold"
        spare = (width or 0) - pen.measure(picture.title) - pen.measure(picture.hint)
        if picture.hint and spare >= len(GAP):
            yield " " * spare + picture.hint, "dim"

    # --- processes and their rules ---

    def _body(self, fitted: Fitted) -> Iterator[Line]:
        for part in fitted.parts:
            yield from self._part(part)
        if fitted.hidden:
            yield ((f"... and {counted(fitted.hidden, 'more monitor')}", "dim"),)

    def _part(self, part: Part) -> Iterator[Line]:
        section = part.section
        yield ((section.name, "bold"), (f": {section.note}", ""))
        yield from (self._gauge(gauge) for gauge in section.gauges)
        for row in part.rows:
            yield ((self._named((str(row.pid), row.owner, row.rmem, row.cpu)), ""), *_command(row))
            yield from (self._gauge(gauge) for gauge in row.gauges)
        if part.hidden:
            yield ((f"{INDENT}... and {part.hidden} more", "dim"),)

    def _named(self, cells: Sequence[str]) -> str:
        pen, widths = self._pen, self._names
        placed = (pen.right, pen.left, pen.right, pen.right)
        texts = (put(cell, width) for put, cell, width in zip(placed, cells, widths, strict=True) if width)
        return "".join(text + GAP for text in texts)

    def _gauge(self, gauge: Gauge) -> Line:
        pen, columns, style = self._pen, self._columns, _STYLES[gauge.level]
        share = "" if gauge.share is None else f"{min(gauge.share, 99.99) * 100:.0f}%"
        cells: list[tuple[int, Line]] = [
            (columns.rule, ((pen.left(gauge.rule, columns.rule), ""),)),
            (columns.bar, tuple(pen.bar(gauge.share, columns.bar, style))),
            (columns.share, ((pen.right(share, columns.share), style),)),
            (columns.value, ((self._value(gauge), ""),)),
        ]
        spans = [span for width, cell in cells if width for span in (*cell, (GAP, ""))]
        state = gauge.state if columns.state or self._paper.width is None else ""
        return ((INDENT, ""), *spans, (state, style if gauge.level > Level.NEAR else "dim"))

    def _value(self, gauge: Gauge) -> str:
        pen, width = self._pen, self._columns.value
        if width < PAIR:
            return pen.right(gauge.value, width)
        return (
            f"{pen.right(gauge.value, VALUE)} / {pen.left(gauge.limit, PAIR - VALUE - 3)}"
            if gauge.value
            else " " * PAIR
        )

    # --- what is below ---

    def _block(self, title: str, entries: Sequence[Entry], room: int) -> Iterator[Line]:
        """As many as there is room for, below an empty line and a title."""
        shown = entries[: max(0, room - 2)]
        if not shown:
            return
        more = f", {len(entries) - len(shown)} more" if len(shown) < len(entries) else ""
        yield ()
        yield ((title, "bold"), (more, "dim"))
        when, who = (max(map(self._pen.measure, column)) for column in zip(*(each[:2] for each in shown), strict=True))
        who = who if self._paper.width is None else min(who, _LONGEST_WHO)
        for entry in shown:
            names = self._pen.right(entry.when, when), self._pen.left(entry.who, who)
            yield ((INDENT + "".join(name + GAP for name in names), ""), (entry.what, "" if entry.well else "red"))


def _command(row: Row) -> Iterator[Span]:
    if row.note:
        yield f"[{row.note}] ", "yellow"
    yield row.command, ""


def _rules(picture: Picture) -> Iterator[str]:
    for section in picture.sections:
        for gauges in (section.gauges, *(row.gauges for row in section.rows)):
            yield from (gauge.rule for gauge in gauges)


def _wanted(entries: Sequence[Entry]) -> int:
    """How many lines they would take."""
    return len(entries) + 2 if entries else 0


def _rooms(below: int | None, picture: Picture) -> tuple[int, int]:
    """How many lines are kept for what is to come, and for what was done."""
    coming, deeds = _wanted(picture.coming), _wanted(picture.deeds)
    if below is None:
        return coming, deeds
    coming, deeds = min(coming, below // _COMING_PART), min(deeds, below // _DEEDS_PART)
    return coming if coming >= _FEWEST else 0, deeds if deeds >= _FEWEST else 0
