"""Writes a recording, which may be ended at any moment by anybody and is good up to a few seconds before.

A sample of a process whose memory changes takes 5 bytes, measured with 300 of them, and of one that is idle 0.06. One
that is new takes about 20 once, and a frame with nothing but the machine in it 20.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import inf
from typing import BinaryIO

from fallfromgrace.expression import Sample
from fallfromgrace.forms import encoded
from fallfromgrace.frames import Frame
from fallfromgrace.recorded import BORN, LARGEST_CROWD, MACHINE, UNLIMITED, Header, TooMany, weight
from fallfromgrace.table import Process, ProcessId

# What was written longer ago than this is safe, whatever becomes of who writes.
FLUSH_SECONDS = 5.0
TOO_LARGE = "another frame would make it too large"

_GZIP = 31  # for zlib: with gzip's head and checksum
_END = 16  # bytes that end a stream which was flushed, and a few to spare
# Each of a frame is measured a moment later than the one before, so an age may seem to be off by a little.
_BORN_SECONDS = 0.1


class Unwritable(Exception):
    """It cannot be written on; why."""


class _Known:
    """Who has a number, and what a reader knows of them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: Process | None = None
        self.weight = 0
        self.sample: Sample = {}


class Writer:
    """Writes frames to a stream, each later than the one before; never more than `limit` bytes. Raises Unwritable.

    `full` says why there can be no more frames, `processes` is how many different ones there were.
    """

    def __init__(self, stream: BinaryIO, header: Header, limit: int) -> None:
        self.frames = self.processes = self.size = 0
        self.full = ""
        self._stream = stream
        self._limit = limit
        self._deflater = zlib.compressobj(wbits=_GZIP)
        self._known: dict[ProcessId, _Known] = {}
        self._machine = _Known(MACHINE)
        self._weight = 0
        self._closed = False
        self._flushed_at = -inf
        self._put(encoded(header.plain), -inf)

    def add(self, frame: Frame) -> bool:
        """Whether it was written; if not, there is no room for it, and the recording has ended."""
        if self._closed:
            return False
        try:
            lines = b"".join(map(encoded, self._changes(frame)))
        except TooMany as error:
            self._end(str(error))
            return False
        if self._put(lines, frame.at):
            self.frames += 1
        return not self._closed

    def close(self) -> None:
        """End it well, unless it has ended."""
        if not self._closed:
            self._closed = True
            self._write(self._deflater.flush())

    def _end(self, why: str) -> None:
        self.full = why
        self.close()

    def _put(self, lines: bytes, now: float) -> bool:
        """Write lines, if there is room for them and for an end. What compresses them keeps some back until a flush."""
        flushed = self._deflater.copy()
        data = flushed.compress(lines) + flushed.flush(zlib.Z_SYNC_FLUSH)
        if self.size + len(data) + _END > self._limit:
            self._end(TOO_LARGE)
            return False
        if now < self._flushed_at + FLUSH_SECONDS:
            data = self._deflater.compress(lines)
        else:
            self._deflater, self._flushed_at = flushed, now
        self._write(data)
        return True

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                written = self._stream.write(left)
                self.size += written
                left = left[written:]
        except OSError as error:
            self._closed = True
            raise Unwritable(error.strerror) from error

    def _changes(self, frame: Frame) -> Iterator[list[object]]:
        """Raises TooMany where a reader would."""
        there = {process.id for process in frame.processes}
        for identity in [each for each in self._known if each not in there]:
            gone = self._known.pop(identity)
            self._weight -= gone.weight
            yield ["gone", gone.number]
        for process in frame.processes:
            known = self._known.get(process.id) or self._numbered(process.id)
            if process != known.process:
                yield self._described(known, process)
            yield from _measured(known, frame.samples.get(process.id, {}), frame.at)
        yield from _measured(self._machine, frame.samples.get(None, {}), frame.at)
        yield ["frame", round(frame.at, 3)]

    def _numbered(self, identity: ProcessId) -> _Known:
        self.processes += 1
        return self._known.setdefault(identity, _Known(self.processes))

    def _described(self, known: _Known, process: Process) -> list[object]:
        (pid, start), ppid, pgid, state, (cmdline, uid, exe) = process
        line: list[object] = ["process", known.number, [pid, start, ppid, pgid, state, cmdline, uid, exe]]
        before, known.process, known.weight = known.weight, process, weight(encoded(line)[:-1])
        self._weight += known.weight - before
        if self._weight > LARGEST_CROWD:
            raise TooMany
        return line


def _measured(known: _Known, sample: Sample, at: float) -> Iterator[list[object]]:
    """What is not as it was."""
    before, known.sample = known.sample, _lasting(sample, at, known.sample.get(BORN, -inf))
    changes: dict[str, object] = {
        name: UNLIMITED if value == inf else value for name, value in known.sample.items() if before.get(name) != value
    }
    changes |= {name: None for name in before if name not in known.sample}
    if changes:
        yield ["sample", known.number, changes]


def _lasting(sample: Sample, at: float, before: float) -> Sample:
    """The same, with what stays as it is instead of an age."""
    if "age" not in sample:
        return sample
    born = round(at - sample["age"], 3)
    lasting = {name: value for name, value in sample.items() if name != "age"}
    return {**lasting, BORN: before if abs(born - before) <= _BORN_SECONDS else born}
