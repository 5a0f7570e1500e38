"""What would have been done and when, as rows; what there was to see; and what could not be judged, in notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from fallfromgrace import terminal
from fallfromgrace.columns import aligned
from fallfromgrace.expression import Growth, Measured, Scope
from fallfromgrace.frames import Frame
from fallfromgrace.logs import one_line, shown_cmdline
from fallfromgrace.readings import FACETS, Facet, needed
from fallfromgrace.rules import Adjust, Config, Exec, Rule, Signal, Target, counted
from fallfromgrace.simulation import Happening
from fallfromgrace.table import Process, ProcessId
from fallfromgrace.units import human_duration
from fallfromgrace.verdict import Kind, Verdict

# Columns are as wide as their names and rules need, up to this.
_WIDEST = 32
_SEPARATOR = "  "
# Where there is less room these are cut, and so much of each is worth more than other columns.
_TEXTS, _READABLE, _LEAST = ("ACTION", "MONITOR", "RULE"), 10, 6


def since_text(seconds: float) -> str:
    """How long after the beginning, to a tenth of a second: `+12.3s`, `+1h02m12.3s`."""
    minutes, left = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"+{hours}h{minutes:02}m{left / 10:04.1f}s"
    return f"+{minutes}m{left / 10:04.1f}s" if minutes else f"+{left / 10:.1f}s"


# --- what was done ---


class Row(NamedTuple):
    """An action; `at` is a time for people, `since` seconds since the beginning, `when` is `recovered` or empty.

    `whose` is the pid for which the rule fires, where that is another process. `text` is the command, or what is told.
    """

    at: float
    since: float
    monitor: str
    pid: int | None
    whose: int | None
    rule: str
    value: str
    limit: str
    action: str
    when: str
    result: str
    text: str
    cmdline: str

    @property
    def doing(self) -> str:
        """The action with all that it takes to understand it."""
        words = [self.when, self.action, self.text, f"for {self.whose}" if self.whose else ""]
        return " ".join(filter(None, words))


def row(happening: Happening, began: float, wall: float) -> Row:
    """What happened as a row; `wall` is what people called the time when the frames `began`."""
    outcome = happening.outcome
    verdict, cause = outcome.verdict, outcome.verdict.cause
    action = verdict.item.action if verdict.item else None
    subject = cause.subject.process.id if cause.subject else None
    target = verdict.process.id if verdict.process else None
    return Row(
        at=wall + happening.at - began,
        since=happening.at - began,
        monitor=cause.monitor.name,
        pid=target.pid if target else None,
        whose=subject.pid if subject and subject != target else None,
        rule=cause.rule.text,
        value=cause.value,
        limit=cause.limit,
        action=action.verb if action else "",
        when="recovered" if cause.recovered else "",
        result=outcome.result.value,
        text=action.text if isinstance(action, Exec) else outcome.text,
        cmdline=shown_cmdline(verdict.process.image.cmdline) if verdict.process else "",
    )


class Columns:
    """Rows one below the other, before it is known which there will be: by what the configuration has."""

    def __init__(self, config: Config, clock: int, room: int | None = None) -> None:
        """`clock` is how many characters a time has, `room` how many columns a line may take: None for any number."""
        rules = [(monitor, rule) for monitor in config.monitors for rule in monitor.rules]
        doings = [_written(rule) for _, rule in rules]
        widths = {
            "TIME": max(clock, len("TIME")),
            "SINCE": len("+1h02m12.3s"),
            "MONITOR": _width(["MONITOR", *(monitor.name for monitor, _ in rules)]),
            "PID": len("4194304"),
            "RULE": _width(["RULE", *(rule.text for _, rule in rules)]),
            "VALUE": len("1023.9m"),
            "ACTION": _width(["ACTION", *(each for doing in doings for each in doing)]),
            "RESULT": len("dry-run"),
        }
        self._cuts = room is not None
        self._widths = widths if room is None else _narrowed(widths, room)

    @property
    def head(self) -> str:
        """What is above them."""
        return self._line({name: name for name in (*self._widths, "COMMAND")})

    def line(self, row: Row, clock: str) -> str:
        """A row, its time as `clock` has it."""
        cells = {
            "TIME": clock,
            "SINCE": since_text(row.since),
            "MONITOR": row.monitor,
            "PID": "" if row.pid is None else str(row.pid),
            "RULE": row.rule,
            "VALUE": row.value,
            "ACTION": row.doing,
            "RESULT": row.result,
            "COMMAND": one_line(row.cmdline),
        }
        return self._line(cells)

    def _line(self, cells: Mapping[str, str]) -> str:
        shown = [self._cell(one_line(cells[name]), width) for name, width in self._widths.items()]
        return _SEPARATOR.join([*shown, one_line(cells["COMMAND"])]).rstrip()

    def _cell(self, text: str, width: int) -> str:
        return terminal.placed(terminal.shortened(text, width) if self._cuts else text, width)


def _narrowed(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Without what can best be done without, and with less of the texts, so that what was done can be read."""
    found = dict(widths)
    for name in ("RESULT", "SINCE"):
        least = {**found, **{text: min(found[text], _READABLE) for text in _TEXTS}}
        if _taken(least) > room:
            del found[name]
    while _taken(found) > room and (widest := max(_TEXTS, key=lambda name: found[name])) and found[widest] > _LEAST:
        found[widest] -= 1
    return found


def _taken(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_SEPARATOR) * (len(widths) - 1)


def _written(rule: Rule) -> Iterator[str]:
    recovered = frozenset(rule.recovered)
    yield from (f"recovered {item.action}" if item in recovered else str(item.action) for item in rule.items)


def _width(texts: Sequence[str]) -> int:
    return min(_WIDEST, max(map(terminal.columns, texts)))


class Tally:
    """How many actions there were, by which rule."""

    def __init__(self) -> None:
        self.total = 0
        self._by: Counter[tuple[str, str, str]] = Counter()

    def add(self, row: Row) -> None:
        """One more."""
        self.total += 1
        self._by[row.monitor, row.rule, " ".join(filter(None, (row.when, row.action)))] += 1

    def lines(self) -> Iterator[str]:
        """A line for each action of each rule, the first that happened first."""
        cells = [(str(count), *map(one_line, what)) for what, count in self._by.items()]
        yield from (f"  {line}" for line in aligned(cells, right=[0]))


# --- what there was to see ---


class Seen:
    """Frames counted as they go by, and who was in them."""

    def __init__(self, config: Config) -> None:
        self.frames = 0
        self.began = self.ended = 0.0
        self._known: set[ProcessId] = set()
        self._last: Collection[Process] = ()
        self._nobody = {monitor.name: monitor for monitor in config.monitors}

    def add(self, frame: Frame) -> None:
        """One more."""
        if not self.frames:
            self.began = frame.at
        self.frames += 1
        self.ended = frame.at
        if frame.processes is not self._last:
            self._meet(set(frame.processes).difference(self._last))
            self._last = frame.processes

    def _meet(self, new: Collection[Process]) -> None:
        self._known.update(process.id for process in new)
        found = [name for name, monitor in self._nobody.items() if any(monitor.selects(each.image) for each in new)]
        for name in found:
            del self._nobody[name]

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def processes(self) -> int:
        """How many different ones there were."""
        return len(self._known)

    @property
    def without(self) -> Collection[str]:
        """The monitors that would have found nobody."""
        return self._nobody

    @property
    def summary(self) -> str:
        """How much it was."""
        samples, processes = counted(self.frames, "sample"), counted(self.processes, "process")
        return f"{samples} of {processes} in {human_duration(self.seconds)}"


# --- what could not be judged ---


class _Doubt:
    """Of whom something is said, and from when to when."""

    def __init__(self, at: float) -> None:
        self.first = self.last = at
        self.whom: set[ProcessId] = set()

    def add(self, at: float, whom: ProcessId | None) -> None:
        self.last = at
        if whom:
            self.whom.add(whom)


_NOT_RECORDED = "was not recorded; record with a configuration that has this rule"
_TELLING = frozenset({Kind.UNKNOWN, Kind.EARLY, Kind.PROTECTED, Kind.SPARED})


class Doubts:
    """Why rules may have said less than they would have: for each rule and reason once, with how often that was."""

    def __init__(self, facets: Collection[Facet]) -> None:
        """`facets` are those that were measured."""
        self._facets = facets
        self._doubts: dict[tuple[str, str, str], _Doubt] = {}

    def hear(self, at: float, verdict: Verdict) -> None:
        """What a rule says."""
        if verdict.kind in _TELLING:
            self._add(at, verdict, self._reason(verdict))
        elif verdict.kind is Kind.FIRE and _wants_largest(verdict) and FACETS["pmem"] not in self._facets:
            self._add(at, verdict, f"who is the largest was told by rmem, for pmem {_NOT_RECORDED}")

    def _add(self, at: float, verdict: Verdict, reason: str) -> None:
        key = verdict.monitor.name, verdict.rule.text, reason
        self._doubts.setdefault(key, _Doubt(at)).add(at, verdict.process.id if verdict.process else None)

    def _reason(self, verdict: Verdict) -> str:
        if verdict.kind in (Kind.PROTECTED, Kind.SPARED):
            return f"nothing would have been done: {verdict.reason}"
        missing = next((each for each in verdict.rule.trigger.measured if verdict.reason.startswith(f"{each} ")), None)
        if missing and not _facets(missing) <= set(self._facets):
            return f"{missing} {_NOT_RECORDED}"
        return verdict.reason.replace(" cannot be read", " could not be read")

    def notes(self, began: float) -> Iterator[str]:
        """One line for each."""
        for (monitor, rule, reason), doubt in self._doubts.items():
            yield f"{monitor}: rule '{rule}': {reason} ({_extent(doubt, began)})"


def _wants_largest(verdict: Verdict) -> bool:
    action = verdict.item.action if verdict.item else None
    return isinstance(action, (Signal, Adjust)) and action.target is Target.LARGEST


def _extent(doubt: _Doubt, began: float) -> str:
    whom = f"process {min(doubt.whom).pid}, " if len(doubt.whom) == 1 else ""
    whom = f"{counted(len(doubt.whom), 'process')}, " if len(doubt.whom) > 1 else whom
    first, last = since_text(doubt.first - began), since_text(doubt.last - began)
    return f"{whom}at {first}" if first == last else f"{whom}{first} to {last}"


def _facets(found: Measured) -> set[Facet]:
    metric = found.metric if isinstance(found, Growth) else found
    return {Facet.MACHINE} if metric.scope is Scope.SYSTEM else {FACETS[name] for name in needed(metric.name)}
