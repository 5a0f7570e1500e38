"""Sizes of processes, read again and again through descriptors that are kept open: 1.2 us each, not 12.

Such a descriptor stays with its process: when that has ended it says so, also when the pid is another's by then. Each
costs 4.4 KB of the kernel's memory, so only who is asked for has one, and only so many of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from fallfromgrace import procfs
from fallfromgrace.table import ProcessId, Size

# Descriptors for all else: processes held while they are signalled (256), commands and their output, files that are
# open for a moment, the log. What there may be beyond that is for us.
RESERVE = 400
MOST = 4096
# Who was not asked for between two turns, and then not until a third, loses its descriptor.
TURN_SECONDS = 120.0

_LINE = 128  # bytes of a statm line that are enough for its first two numbers


class Kept:
    """Descriptors of `statm`, at most `budget` of them; beyond that files are opened and closed for each reading."""

    def __init__(self, root: str = "/proc", budget: int | None = None) -> None:
        self._root = root
        self._budget = affordable(procfs.read_descriptor_limit(os.getpid())) if budget is None else budget
        self._files: dict[ProcessId, _File] = {}
        self._idle: dict[ProcessId, _File] = {}  # not asked for since the last turn
        self._turned_at = -TURN_SECONDS

    def __len__(self) -> int:
        return len(self._files) + len(self._idle)

    def __contains__(self, identity: ProcessId) -> bool:
        return identity in self._files or identity in self._idle

    def sizes(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """How large they are, the same object of one that is as it was; who has ended or cannot be read is left out."""
        found: dict[ProcessId, Size] = {}
        files, pread = self._files, os.pread
        for identity in identities:
            try:
                file = files[identity]
            except KeyError:
                size = self._first(identity)
            else:
                try:
                    line = pread(file.fd, _LINE, 0)
                except OSError:
                    line = b""
                # Most processes are as they were, and a comparison costs a tenth of what taking the line apart does.
                size = file.size if line == file.line else file.take(line)
                if not size:
                    size = self._of_another_thread(identity)
            if size:
                found[identity] = size
        return found

    def turn(self, now: float) -> None:
        """Let go of those that nobody asks for any more."""
        if now - self._turned_at >= TURN_SECONDS:
            for file in self._idle.values():
                os.close(file.fd)
            self._files, self._idle, self._turned_at = {}, self._files, now

    def drop(self, identity: ProcessId) -> None:
        """Let go of one."""
        for files in (self._files, self._idle):
            if identity in files:
                os.close(files.pop(identity).fd)

    def close(self) -> None:
        """Let go of all."""
        for identity in (*self._files, *self._idle):
            self.drop(identity)

    def _first(self, identity: ProcessId) -> Size | None:
        """The first reading since the last turn; the file is kept if that can be afforded."""
        file = self._idle.pop(identity, None)
        if file is None:
            with contextlib.suppress(OSError):
                file = self._opened(identity)
        if file is None:
            return None
        return self._read_and_keep(identity, file)

    def _of_another_thread(self, identity: ProcessId) -> Size | None:
        """The thread that the file is of has ended, and perhaps all of the process."""
        stat = None
        with contextlib.suppress(OSError):
            stat = procfs.read_stat(identity.pid, self._root)
        if stat is None or not stat.survivor:
            return None
        self.drop(identity)
        return self._first(identity)

    def _opened(self, identity: ProcessId, survivor: int = 0) -> _File | None:
        """A descriptor that is sure to be of that process: `stat` says who has the pid after it was opened."""
        home = f"{self._root}/{identity.pid}" + (f"/task/{survivor}" if survivor else "")
        file, stat = os.open(f"{home}/statm", os.O_RDONLY), None
        with contextlib.suppress(OSError):
            stat = procfs.read_stat(identity.pid, self._root)
        same = stat is not None and stat.start == identity.start
        if stat and same and stat.survivor == survivor:
            return _File(file)
        os.close(file)
        return self._opened(identity, stat.survivor) if stat and same and not survivor else None

    def _read_and_keep(self, identity: ProcessId, file: _File) -> Size | None:
        size = None
        with contextlib.suppress(OSError):
            size = file.take(os.pread(file.fd, _LINE, 0))
        if size and len(self) < self._budget:
            self._files[identity] = file
        else:
            os.close(file.fd)
        return size


class _File:
    """A descriptor, and what was read through it last."""

    __slots__ = ("fd", "line", "size")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.line = b""
        self.size: Size | None = None

    def take(self, line: bytes) -> Size | None:
        """What a line says; nothing of who has ended."""
        self.line, self.size = line, procfs.parse_statm(line) if line else None
        return self.size


def affordable(limit: float | None) -> int:
    """How many descriptors to keep where a process may have so many."""
    return int(min(MOST, max(0, (limit or 0) - RESERVE)))
