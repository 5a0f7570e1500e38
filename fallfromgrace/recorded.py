"""What a recording says, line by line: its header, and who was there and used what.

The first line is the header; the others say what is not as it was in the frame before:

    ["gone",3]                       who had this number is there no more
    ["process",7,[PID,START,PARENT,GROUP,STATE,CMDLINE,UID,EXE]]
                                     who has this number, from now on or again with something changed
    ["sample",7,{"rmem":4096,"pmem":null}]
                                     what was measured; null is not known any more. The machine is 0
    ["frame",4711.25]                this was all, at that time

An age goes on by itself: instead of it there is `born`, when it was 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from typing import Any, NamedTuple

from fallfromgrace.expression import SYSTEM_METRICS, Sample, Whole
from fallfromgrace.forms import Form, Malformed, decoded, each, fields, maybe, number, row, seconds, shown, text
from fallfromgrace.frames import Frame
from fallfromgrace.readings import COUNTERS, FACETS, Facet
from fallfromgrace.table import Image, Process, ProcessId

FORMAT = 1
BORN = "born"
# The number of the machine, whom processes' follow.
MACHINE = 0
# JSON has no infinity.
UNLIMITED = "unlimited"
# What a reader has in memory at most: one line, and all who are there at once, by their lines and so much for each.
LONGEST_LINE = 16 << 20
LARGEST_CROWD, _EACH = 256 << 20, 1000


class TooMany(Exception):
    """More are there at once than a recording holds."""

    def __init__(self) -> None:
        super().__init__(f"more processes are there than it can hold: {LARGEST_CROWD >> 20} MiB of command lines")


class Header(NamedTuple):
    """What a recording is of: which boot of the machine, when it began by two clocks, how many seconds are from frame
    to frame, whose processes who recorded it may act upon (None: everybody's), for which configuration, and what was
    measured.
    """

    program: str
    boot: str
    wall: float
    monotonic: float
    every: float
    only_uid: int | None
    config: str
    facets: tuple[Facet, ...]

    @property
    def plain(self) -> dict[str, object]:
        """As it is written."""
        facets = [facet.name.lower() for facet in self.facets]
        return {"recording": FORMAT, **self._asdict(), "facets": facets}


def read_header(line: bytes) -> Header:
    """The same again. Raises Malformed."""
    found = _HEADER(decoded(line))
    del found["recording"]
    return Header(**found)


def read_format(line: bytes) -> int | None:
    """Which format a header is of, perhaps none that is known here; None for what is no header. Raises Malformed."""
    value = decoded(line)
    found = value.get("recording") if isinstance(value, dict) else None
    return found if type(found) is int else None


def weight(line: bytes) -> int:
    """How much the process of a line, which is whole, takes of what a reader holds."""
    return len(line) + _EACH


class Crowd:
    """Who is there by what the lines so far have said."""

    def __init__(self) -> None:
        self._at = -inf
        self._processes: dict[int, Process] = {}
        self._weights: dict[int, int] = {}
        self._samples: dict[int, dict[str, float]] = {MACHINE: {}}
        self._pids: set[int] = set()
        self._weight = 0
        self._told: tuple[Process, ...] | None = None  # of the last frame, unless that has changed

    def take(self, line: bytes) -> Frame | None:
        """The frame, where it is complete with this line. Raises Malformed, TooMany."""
        value = decoded(line)
        kind = value[0] if isinstance(value, list) and value and isinstance(value[0], str) else None
        if kind not in _LINES:
            raise Malformed(f"{shown(kind)} is no word that it begins with")
        _, found, *more = _LINES[kind](value)
        if kind == "frame":
            return self._frame(found)
        if kind == "process":
            self._put(found, more[0], weight(line))
        elif kind == "gone":
            self._drop(found)
        else:
            self._measure(found, more[0])
        return None

    def _put(self, number: int, values: tuple[Any, ...], weight: int) -> None:
        pid, start, ppid, pgid, state, cmdline, uid, exe = values
        process = Process(ProcessId(pid, start), ppid, pgid, state, Image(cmdline, uid, exe))
        before = self._processes.get(number)
        if number == MACHINE or (before.id != process.id if before else pid in self._pids):
            raise Malformed(f"process {pid} is there already, or {number} is somebody else's number")
        self._weight += weight - self._weights.get(number, 0)
        if self._weight > LARGEST_CROWD:
            raise TooMany
        self._processes[number], self._weights[number] = process, weight
        self._samples.setdefault(number, {})
        self._pids.add(pid)
        self._told = None

    def _drop(self, number: int) -> None:
        if number not in self._processes:
            raise Malformed(f"nobody has the number {number}")
        self._pids.remove(self._processes.pop(number).id.pid)
        self._weight -= self._weights.pop(number)
        del self._samples[number]
        self._told = None

    def _measure(self, number: int, changes: Mapping[str, float | None]) -> None:
        if number not in self._samples:
            raise Malformed(f"nobody has the number {number}")
        # A new one: the frame before has the other.
        known = {**self._samples[number], **changes}
        self._samples[number] = {name: value for name, value in known.items() if value is not None}

    def _frame(self, at: float) -> Frame:
        if at <= self._at:
            raise Malformed(f"a frame at {at}, after one at {self._at}")
        self._at = at
        if self._told is None:
            self._told = tuple(sorted(self._processes.values()))
        samples: dict[ProcessId | None, Sample] = {None: self._samples[MACHINE]}
        samples |= {process.id: _aged(self._samples[number], at) for number, process in self._processes.items()}
        return Frame(at, self._told, samples)


def _aged(known: dict[str, float], at: float) -> Sample:
    if BORN not in known:
        return known
    sample = {**known, "age": max(0.0, at - known[BORN])}
    del sample[BORN]
    return sample


# --- what is in a line ---

_NAMES = {name for name in FACETS if name not in COUNTERS and name != "age"} | {BORN}
_NAMES |= {Whole.MEMORY.value, Whole.SWAP.value, *SYSTEM_METRICS}


def _facet(value: object) -> Facet:
    found = next((facet for facet in Facet if facet.name.lower() == value), None)
    if found is None:
        raise Malformed(f"{shown(value)} is nothing that is measured")
    return found


def _state(value: object) -> str:
    if len(text(value)) != 1:
        raise Malformed(f"{shown(value)} is no state of a process")
    return text(value)


def _changes(value: object) -> dict[str, float | None]:
    if not isinstance(value, dict):
        raise Malformed(f"{shown(value)} is no sample")
    for name in value.keys() - _NAMES:
        raise Malformed(f"{shown(name)} is nothing that is measured")
    return {name: _value(name, one) for name, one in value.items()}


def _value(name: str, value: object) -> float | None:
    if value is None:
        return None
    if name == Whole.DESCRIPTORS.value and value == UNLIMITED:
        return inf
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise Malformed(f"{shown(value)} is no number")
    return value


# Of later times a float has no fractions that matter.
_LAST = 1e13
_PID, _UID, _NUMBER = number(0, 1 << 22), number(0, (1 << 32) - 1), number(0, 1 << 63)
_HEADER = fields(
    {
        "recording": number(FORMAT, FORMAT),
        "program": text,
        "boot": text,
        "wall": seconds(),
        "monotonic": seconds(_LAST),
        "every": seconds(_LAST),
        "only_uid": maybe(_UID),
        "config": text,
        "facets": each(_facet),
    }
)
_LINES: Mapping[object, Form[tuple[Any, ...]]] = {
    "gone": row(text, _NUMBER),
    "process": row(text, _NUMBER, row(_PID, _NUMBER, _PID, _PID, _state, text, _UID, text)),
    "sample": row(text, _NUMBER, _changes),
    "frame": row(text, seconds(_LAST)),
}
