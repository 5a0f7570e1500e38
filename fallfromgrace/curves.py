"""What rules compare, over the time of a recording: for a picture, in bounded memory however long that is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import inf, isfinite
from typing import NamedTuple

from fallfromgrace.docket import Case
from fallfromgrace.engine import Engine
from fallfromgrace.expression import Growth, Operand, bounds, comparisons, measured
from fallfromgrace.frames import Frame
from fallfromgrace.intervals import Interval
from fallfromgrace.looks import Look
from fallfromgrace.protection import Self
from fallfromgrace.rules import Config, Rule
from fallfromgrace.simulation import Happening
from fallfromgrace.table import Process, ProcessId, ProcessTable
from fallfromgrace.units import Dimension

# Of each there are two points: the lowest and the highest of a time.
MOST_SPANS = 1000
# In a panel; of more the largest are kept.
MOST_CURVES, MOST_MARKS = 40, 200
MOST_PANELS = 12

Point = tuple[float, float]


class Curve:
    """A value over time: of several that are close to each other, the lowest and the highest.

    `process` is whose it is, None for what is one for all. `peak` is the highest value so far.
    """

    def __init__(self, process: Process | None) -> None:
        self.process = process
        self.peak = -inf
        self._width = 0.0
        self._spans: dict[float, tuple[Point, Point]] = {}

    def add(self, at: float, value: float) -> None:
        """A later value."""
        self.peak = max(self.peak, value)
        self._put((at, value))
        if len(self._spans) > MOST_SPANS:
            self._merge()

    def _put(self, *points: Point) -> None:
        for point in points:
            key = point[0] // self._width if self._width else point[0]
            low, high = self._spans.get(key, (point, point))
            self._spans[key] = min(low, point, key=_value), max(high, point, key=_value)

    def _merge(self) -> None:
        """Half as many spans, each twice as long."""
        points = self.points
        self._width = 2 * self._width or 2 * (points[-1][0] - points[0][0]) / len(self._spans)
        self._spans = {}
        self._put(*points)

    @property
    def points(self) -> list[Point]:
        """All that is kept, in order."""
        return [point for span in self._spans.values() for point in sorted(set(span))]


def _value(point: Point) -> float:
    return point[1]


class Mark(NamedTuple):
    """An action: at what time, at what value if that is known, and what to call it."""

    at: float
    value: float | None
    text: str


class Panel:
    """What a monitor's rules compare with constants, such as `rmem`: the curve of each process, limits, and actions."""

    def __init__(self, monitor: str, what: Operand) -> None:
        self.monitor = monitor
        self.what = what
        self.common = _common(what)
        self.limits: dict[str, float | None] = {}  # by the rule's text; None as long as it is not known
        self.marks: list[Mark] = []
        self.unmarked = 0
        self._curves: dict[ProcessId | None, Curve] = {}
        self._left_out: set[ProcessId | None] = set()
        self._least = -inf

    @property
    def dimension(self) -> Dimension:
        return self.what.dimension

    @property
    def curves(self) -> list[Curve]:
        """Those that are kept, the highest first."""
        return sorted(self._curves.values(), key=lambda curve: -curve.peak)

    @property
    def left_out(self) -> int:
        """Of how many processes there is no curve, though there could be one."""
        return len(self._left_out)

    def add(self, at: float, process: Process | None, value: float) -> None:
        """A value of a process, or of all."""
        identity = process.id if process else None
        curve = self._curves.get(identity) or self._begun(identity, process, value)
        if curve:
            curve.add(at, value)

    def _begun(self, identity: ProcessId | None, process: Process | None, value: float) -> Curve | None:
        if len(self._curves) >= MOST_CURVES:
            if value > self._least:
                self._least, least = min((curve.peak, one) for one, curve in self._curves.items())
            if value <= self._least:
                self._left_out.add(identity)
                return None
            del self._curves[least]
            self._left_out.add(least)
            self._left_out.discard(identity)
        return self._curves.setdefault(identity, Curve(process))

    def last(self, process: Process | None) -> float | None:
        """The last value of a process, or of all; None if there is none."""
        curve = self._curves.get(process.id if process and not self.common else None)
        return curve.points[-1][1] if curve else None

    def mark(self, mark: Mark) -> None:
        """An action of one of its rules."""
        if len(self.marks) < MOST_MARKS:
            self.marks.append(mark)
        else:
            self.unmarked += 1


class _Line(NamedTuple):
    """A panel of a rule, and with what is compared there; None where that is measured, too."""

    panel: Panel
    label: str
    limit: Operand | None


class Curves:
    """The panels of a configuration. What is in them is what was recorded, whatever the rules would have done."""

    def __init__(self, config: Config, myself: Self) -> None:
        self._engine = Engine(config, myself)
        self._processes: Collection[Process] = ()
        self._table = ProcessTable(())
        self._panels: dict[tuple[str, str], Panel] = {}
        self._lines = {
            (monitor.name, rule.key): tuple(self._lines_of(monitor.name, rule))
            for monitor in config.monitors
            for rule in monitor.rules
        }

    def _lines_of(self, monitor: str, rule: Rule) -> Iterator[_Line]:
        for label, what, limit in _compared(rule):
            panel = self._panels.setdefault((monitor, str(what)), Panel(monitor, what))
            if limit is not None:
                panel.limits[label] = None
            yield _Line(panel, label, limit)

    @property
    def panels(self) -> Sequence[Panel]:
        """Those that there is something in; if there are too many for a picture, the ones with actions come first."""
        found = self._filled
        kept = sorted(found, key=lambda panel: not panel.marks)[:MOST_PANELS]
        return [panel for panel in found if panel in kept]

    @property
    def left_out(self) -> int:
        """How many more panels there would be."""
        return max(0, len(self._filled) - MOST_PANELS)

    @property
    def _filled(self) -> list[Panel]:
        return [panel for panel in self._panels.values() if panel.curves]

    def add(self, frame: Frame) -> None:
        """What was seen at a moment."""
        if frame.processes is not self._processes:
            self._processes, self._table = frame.processes, ProcessTable(frame.processes)
        look = self._engine.look(self._table, (), frame.at)
        look.readings.add((), frame.samples)
        seen: set[tuple[Panel, ProcessId | None]] = set()
        for case in look.cases:
            for line in self._lines[case.key[0]]:
                _draw(line, case, look, seen)
        look.remember()

    def mark(self, happening: Happening) -> None:
        """An action, in each panel of its rule."""
        verdict = happening.outcome.verdict
        cause = verdict.cause
        words = "recovered" if cause.recovered else "", verdict.item.action.verb if verdict.item else ""
        pid = str(verdict.process.id.pid) if verdict.process else ""
        text = " ".join(filter(None, (*words, pid)))
        for panel in dict.fromkeys(line.panel for line in self._lines[cause.monitor.name, cause.rule.key]):
            value = _known(bounds(panel.what, cause.sight))
            # What decided nothing was not measured in that look.
            value = panel.last(cause.subject.process if cause.subject else None) if value is None else value
            panel.mark(Mark(happening.at, value, text))


def _draw(line: _Line, case: Case, look: Look, seen: set[tuple[Panel, ProcessId | None]]) -> None:
    """Another point of a curve, which several rules may have in common, and the limit if it is not known yet."""
    panel, sight = line.panel, look.sight(case)
    if line.limit is not None and panel.limits[line.label] is None:
        panel.limits[line.label] = _known(bounds(line.limit, sight))
    process = case.descent.process if case.descent and not panel.common else None
    key = panel, process.id if process else None
    if key not in seen:
        seen.add(key)
        value = _known(bounds(panel.what, sight))
        if value is not None:
            panel.add(look.now, process, value)


def _known(found: Interval) -> float | None:
    return found.low if found.known and isfinite(found.low) else None


def _compared(rule: Rule) -> Iterator[tuple[str, Operand, Operand | None]]:
    """What is measured in each comparison, with what constant it is compared if it is one, and how that is written."""
    trigger = rule.trigger
    found = [("", each) for each in comparisons(trigger.condition)]
    found += [("until ", each) for each in comparisons(trigger.until.condition)] if trigger.until else []
    for word, comparison in found:
        label = rule.text if len(found) == 1 else f"{word}{comparison}"
        sides = comparison.left, comparison.right
        for side, other in (sides, sides[::-1]):
            if any(measured(side)):
                yield label, side, None if any(measured(other)) else other


def _common(what: Operand) -> bool:
    """Whether it is the same for everybody whom a monitor covers."""
    return all((each.metric if isinstance(each, Growth) else each).shared for each in measured(what))
