"""YAML as the text its user wrote: mappings, lists and scalars with their places, and none of YAML's guesses.

PyYAML is read for its events. What YAML cannot read, and what it would read as something else than it looks, is a
problem; after one the next line without indentation is where reading goes on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from typing import NamedTuple

from fallfromgrace.errors import Problem
from fallfromgrace.records import dataclass, replace
from fallfromgrace.textfile import INVISIBLE, TAB, Place, TextFile
from fallfromgrace.yamlfaults import INDENTATION, Spot, escaped, explain, indicator

# YAML's parser in C crashes on what is nested by the thousand: it is not even loaded.
sys.modules["yaml.cyaml"] = None  # type: ignore[assignment]
import yaml  # noqa: E402

del sys.modules["yaml.cyaml"]

# A monitor in a file, its actions, a list of these; one more lets a faulty action be named for what it is.
DEEPEST = 5
# Each fault that ends YAML's reading costs another pass over the rest of the file.
MOST_PASSES = 20

_STEPS = {"'": re.compile(r"''|."), '"': re.compile(r"\\(?:x..|u.{4}|U.{8}|.)|.")}
_COMMENT = re.compile(" +#")
_STARTED = (yaml.SequenceStartEvent, yaml.MappingStartEvent)


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. `raw` is what the file has, quotes and all; `comment` is where a comment cut an unquoted one short."""

    value: str
    place: Place
    raw: str
    comment: Place | None = None

    def part(self, start: int, end: int) -> Place:
        """Where some characters of the value are, or the start of the whole where that cannot be told."""
        offsets = self._offsets()
        if len(offsets) != len(self.value) + 1:
            return self.place
        first, last = (offsets[min(each, len(self.value))] for each in (start, end))
        return replace(self.place, column=self.place.column + first, width=max(1, last - first))

    def spot(self, pattern: str) -> Place:
        """Where in the value a regex finds something, whatever the case; the whole where it does not."""
        found = re.search(pattern, self.value, re.IGNORECASE)
        return self.part(*found.span()) if found else self.place

    def _offsets(self) -> list[int]:
        """Where in `raw` each character of the value, and its end, are; of another length where they are not."""
        if self.raw == self.value:
            return list(range(len(self.value) + 1))
        steps = _STEPS.get(self.raw[:1])
        if not steps or "\n" in self.raw:
            return []
        return [match.start() + 1 for match in steps.finditer(self.raw[1:-1])] + [len(self.raw) - 1]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list; None stands for an item that was refused."""

    items: tuple[Node | None, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file; `whole` is False where YAML's reading ended inside."""

    entries: tuple[Entry, ...]
    place: Place
    whole: bool


Node = Text | Listing | Mapping


class Entry(NamedTuple):
    """A key and its value; None for a value that was refused."""

    key: Text
    value: Node | None


class Fragment(NamedTuple):
    """What one file says, as far as YAML goes."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def read(file: TextFile) -> Fragment:
    """Everything in a file that YAML can read, and a problem for each spot where it cannot."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    start: int | None = 0
    for _ in range(MOST_PASSES):
        if start is None:
            break
        one = _Pass(file, start)
        entries += one.top()
        problems += one.problems
        start = one.resume()
    return Fragment(tuple(entries), (*file.problems, *_own(file, problems)))


def _own(file: TextFile, problems: list[Problem]) -> list[Problem]:
    """Without those that only follow from characters that must not be there, such as tabs that indent a line."""
    lines = {problem.line for problem in file.problems}
    follows = INDENTATION if any(line.lstrip(" ").startswith("\t") for line in file.written) else ()
    return [problem for problem in problems if problem.line not in lines and problem.text not in follows]


def _start(event: yaml.Event) -> Spot:
    assert event.start_mark  # as for all events of a parser
    return Spot(event.start_mark.line, event.start_mark.column)


def _end(event: yaml.Event) -> Spot:
    assert event.end_mark
    return Spot(event.end_mark.line, event.end_mark.column)


def _explained(error: yaml.MarkedYAMLError, last: yaml.Event | None, lines: tuple[str, ...]) -> tuple[Spot, str]:
    mark, context = error.problem_mark, error.context_mark
    found = Spot(mark.line, mark.column) if mark else Spot(0, 0)
    if (
        isinstance(last, yaml.ScalarEvent)
        and last.style in _STEPS
        and _start(last).line < _end(last).line == found.line
    ):
        return _start(last), f"this quote is closed only in line {found.line + 1}; close it where its text ends"
    start = Spot(context.line, context.column) if context else found
    return explain(f"{error.context or ''} {error.problem}", start, found, lines)


def _unfinished(entries: list[Entry]) -> list[Entry]:
    """What was read before YAML gave up: of the last, a part may be missing, or be taken for more of a text."""
    if not entries:
        return []
    *others, (key, last) = entries
    if isinstance(last, Mapping):
        return [*others, Entry(key, replace(last, whole=False))]
    whole = isinstance(last, Text) and "\n" not in last.raw
    return [*others, Entry(key, last if whole else None)]


class _Pass:
    """One reading from a line of the file to its end, or to where YAML gives up."""

    def __init__(self, file: TextFile, start: int) -> None:
        self.file = file
        self.start = start
        # Blank lines in place of what was read before keep the marks true.
        self.text = "\n" * start + "\n".join(file.lines[start:])
        self.problems: list[Problem] = []
        self.broken: int | None = None
        self.events = self._events()

    def resume(self) -> int | None:
        """The next line that may start a key of the file, after the one where YAML gave up."""
        if self.broken is None:
            return None
        lines = self.file.lines
        after = range(max(self.broken, self.start) + 1, len(lines))
        return next((number for number in after if re.match(r"[^\s#\]}]", lines[number])), None)

    def _events(self) -> Generator[yaml.Event, None, None]:
        last = None
        try:
            for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
                last = event
                yield event
        except yaml.MarkedYAMLError as error:
            self._break(*_explained(error, last, self.file.lines))
        # Those without a place come from numbers that are too large, in an escape or a %YAML line, and from nesting.
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            spot = _end(last) if last else Spot(self.start, 0)
            self._break(spot, "YAML cannot read what follows; put texts in single quotes")

    def _break(self, spot: Spot, text: str) -> None:
        self.broken = spot.line
        self._report(spot, text)

    def _report(self, spot: Spot, text: str) -> None:
        self.problems.append(self.file.place(*spot).problem(text))

    # --- from events to nodes -----------------------------------------------------------------------------------

    def top(self) -> tuple[Entry, ...]:
        """The keys of the file, whatever their number of documents."""
        entries: list[Entry] = []
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                self._check_document(event, documents)
            elif isinstance(event, yaml.NodeEvent):
                entries += self._root(event)
        return tuple(entries if self.broken is None else _unfinished(entries))

    def _check_document(self, event: yaml.DocumentStartEvent, number: int) -> None:
        if number > 1:
            self._report(_start(event), "a second YAML document starts here; a file has one, so remove this line")
        if self.file.lines[_start(event).line].startswith("%"):
            self._report(_start(event), "a line that starts with '%' is for YAML itself; remove it")

    def _root(self, event: yaml.NodeEvent) -> tuple[Entry, ...]:
        if isinstance(event, yaml.MappingStartEvent):
            node = self._node(event, 1)
            return node.entries if isinstance(node, Mapping) else ()
        empty = isinstance(event, yaml.ScalarEvent) and _start(event) == _end(event)
        self._node(event, 1)
        next(self.events, None)
        if self.broken is None and not empty:
            self._report(_start(event), "a file starts with a name and a ':', such as firefox:")
        return ()

    def _node(self, event: yaml.NodeEvent, depth: int) -> Node | None:
        refused = self._refused(event)
        if isinstance(event, yaml.ScalarEvent):
            return None if refused else self._text(event)
        if depth > DEEPEST and isinstance(event, _STARTED):
            self._give_up(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listing(event, depth)
        return self._mapping(event, depth) if isinstance(event, yaml.MappingStartEvent) else None

    def _give_up(self, event: yaml.NodeEvent) -> None:
        """Ends the reading: what is nested by the thousand would take YAML hours."""
        self._break(_start(event), "this is nested too deeply; an action is one text, in single quotes if need be")
        self.events.close()

    def _refused(self, event: yaml.NodeEvent) -> bool:
        """Whether the node is, or has, one of YAML's references and type names, which would change what it says."""
        refused = event.anchor is not None or getattr(event, "tag", None) is not None
        if refused:
            self._report(_start(event), indicator(_start(event), self.file.lines))
        return refused

    def _listing(self, start: yaml.SequenceStartEvent, depth: int) -> Listing:
        items: list[Node | None] = []
        for event in self.events:
            if not isinstance(event, yaml.NodeEvent):
                break
            items.append(self._node(event, depth + 1))
        return Listing(tuple(items), self._place(start))

    def _mapping(self, start: yaml.MappingStartEvent, depth: int) -> Mapping:
        entries: list[Entry] = []
        lost = False
        for event in self.events:
            if not isinstance(event, yaml.NodeEvent):
                return Mapping(tuple(entries), self._place(start), not lost)
            entry = self._entry(event, depth)
            lost |= entry is None
            entries += [entry] if entry else []
        return Mapping(tuple(entries), self._place(start), False)

    def _entry(self, event: yaml.NodeEvent, depth: int) -> Entry | None:
        key = self._node(event, depth + 1)
        value = next(self.events, None)
        node = self._node(value, depth + 1) if isinstance(value, yaml.NodeEvent) else None
        if value is None:
            return None
        if isinstance(key, (Listing, Mapping)):
            self._report(_start(event), "the text before a ':' cannot be a list; put it in single quotes")
        return Entry(key, node) if isinstance(key, Text) else None

    def _text(self, event: yaml.ScalarEvent) -> Text | None:
        text = Text(event.value, self._place(event), self._raw(event), self._comment(event))
        hidden = INVISIBLE.search(text.value)
        if hidden:
            self.problems.append(text.part(*hidden.span()).problem(escaped(hidden[0])))
        tab = "\t" in text.raw
        if tab:
            self._report(_start(event), TAB)
        return None if hidden or tab else text

    def _raw(self, event: yaml.Event) -> str:
        assert event.start_mark
        assert event.end_mark
        return self.text[event.start_mark.index : event.end_mark.index]

    def _comment(self, event: yaml.ScalarEvent) -> Place | None:
        line, column = _end(event)
        comment = _COMMENT.match(self.file.lines[line], column)
        return self.file.place(line, comment.end() - 1) if comment and not event.style else None

    def _place(self, event: yaml.Event) -> Place:
        start, end = _start(event), _end(event)
        last = end.column if end.line == start.line else len(self.file.lines[start.line])
        return self.file.place(*start, max(1, last - start.column))
