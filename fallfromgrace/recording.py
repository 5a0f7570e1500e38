"""A recording in a file: a gzip stream of lines, read one by one, and whole up to where it is damaged."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fallfromgrace import recorded
from fallfromgrace.exits import Failure, NotPermitted, UsageError
from fallfromgrace.forms import Malformed
from fallfromgrace.frames import Frame
from fallfromgrace.recorded import Crowd, TooMany
from fallfromgrace.recorded import Header as Header
from fallfromgrace.rules import counted

_GZIP = 31  # for zlib: with gzip's head and checksum
_PIECE = 64 << 10  # how much is read, and at most decompressed, at a time


class _Damaged(Exception):
    """What is wrong where it cannot be read any further."""


class Recording:
    """One that is read, once. Each frame has everything, and its processes in the order of their pids.

    `damage` says, at the end, what kept us from reading on, and is empty if it was whole. `done` of `size` bytes were
    read so far.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Raises Failure where it is no recording."""
        self.damage = ""
        self.size, self.done = os.fstat(file.fileno()).st_size, 0
        self._file = file
        self._inflater = zlib.decompressobj(wbits=_GZIP)
        self._lines = self._all_lines()
        self.header = self._begin(path)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing more is read."""
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        lines, self._lines = self._lines, iter(())
        crowd, frames = Crowd(), 0
        try:
            for line in lines:
                if frame := crowd.take(line):
                    frames += 1
                    yield frame
        except (_Damaged, TooMany) as error:
            self.damage = f"after {counted(frames, 'frame')} {error}"
        except Malformed as error:
            self.damage = f"after {counted(frames, 'frame')} a line is damaged: {error}"

    def _begin(self, path: Path) -> Header:
        try:
            line = next(self._lines, b"")
            found = recorded.read_format(line)
            if found is None or found == recorded.FORMAT:
                return recorded.read_header(line)
        except (_Damaged, Malformed):
            cure = "write the name of one that 'fall-from-grace record' has made"
            raise UsageError(f"{path} is no recording, or not even its beginning is whole; {cure}") from None
        raise Failure(f"{path} is a recording of format {found}, but this version reads format {recorded.FORMAT} only")

    def _all_lines(self) -> Iterator[bytes]:
        """Each line without its end. Raises Damaged."""
        begun = bytearray()
        for piece in self._pieces():
            *lines, rest = piece.split(b"\n")
            for line in lines:
                yield bytes(begun) + line
                begun.clear()
            begun += rest
            if len(begun) > recorded.LONGEST_LINE:
                raise _Damaged(f"there is a line of more than {recorded.LONGEST_LINE >> 20} MiB")

    def _pieces(self) -> Iterator[bytes]:
        """All that it says, decompressed. Raises Damaged."""
        while not self._inflater.eof:
            data = self._read()
            if not data:
                raise _Damaged("it breaks off: it was not ended, or not copied whole")
            try:
                yield from self._inflated(data)
            except zlib.error as error:
                raise _Damaged(f"it is damaged: {str(error).rpartition(': ')[2]}") from None
        if self._inflater.unused_data or self._read():
            raise _Damaged("there is something behind its end")

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        """What some bytes come to. Where these are damaged, it is done anew, for what comes before the damage."""
        more = True
        while more:
            before = self._inflater.copy()
            try:
                piece = self._inflater.decompress(data, _PIECE)
            except zlib.error:
                if len(data) <= 1:
                    raise
                self._inflater = before
                yield from self._byte_by_byte(data)
                return
            data = self._inflater.unconsumed_tail
            more = bool(data) or len(piece) == _PIECE
            yield piece

    def _byte_by_byte(self, data: bytes) -> Iterator[bytes]:
        for place in range(len(data)):
            yield from self._inflated(data[place : place + 1])

    def _read(self) -> bytes:
        try:
            data = self._file.read(_PIECE)
        except OSError as error:
            raise _Damaged(f"it cannot be read: {error.strerror}") from None
        self.done += len(data)
        return data


def opened(path: Path) -> Recording:
    """The recording in a file, for a `with` block. Raises Failure."""
    try:
        file = open(path, "rb", buffering=0, opener=_open)  # noqa: SIM115 - a Recording closes it
    except OSError as error:
        raise _unopened(path, error) from error
    try:
        return Recording(path, file)
    except BaseException:
        file.close()
        raise


def _open(path: str, flags: int) -> int:
    """As a file; a pipe that nobody writes to would keep us for ever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError
    return descriptor


def _unopened(path: Path, error: OSError) -> Failure:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"there is no file {path}; 'fall-from-grace record {path}' makes one")
    if isinstance(error, IsADirectoryError):
        return UsageError(f"{path} is no file; write the name of a recording")
    kind = NotPermitted if isinstance(error, PermissionError) else Failure
    return kind(f"cannot read {path}: {error.strerror}")
