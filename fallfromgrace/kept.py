"""Sizes of processes, read again and again through descriptors that are kept open: 1.2 us each, not 12.

Such a descriptor stays with its process: when that has ended it says so, also when the pid is another's by then. Each
costs 4.4 KB of the kernel's memory, so only who is asked for has one, and only so many of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping

from fallfromgrace import procfs
from fallfromgrace.table import ProcessId, Size

# Descriptors for all else: processes held while they are signalled (256), commands and their output, files that are
# open for a moment, the log. What there may be beyond that is for us.
RESERVE = 400
MOST = 4096
# Who was not asked for between two turns, and then not until a third, loses its descriptor.
TURN_SECONDS = 120.0

# Files that are open at once without being kept, until it is known whose they are.
_TOGETHER = 100
_LINE = 128  # bytes of a statm line that are enough for its first two numbers


# Says who has these pids at this moment; of whom that cannot be known nothing, or an error.
Stats = Callable[[Collection[int]], Mapping[int, "procfs.Stat | OSError | None"]]


class Kept:
    """Descriptors of `statm`, at most `budget` of them; beyond that files are opened and closed for each reading."""

    def __init__(self, stats: Stats, root: str = "/proc", budget: int | None = None) -> None:
        self._stats = stats
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
        others: list[ProcessId] = []
        files, pread = self._files, os.pread
        for identity in identities:
            try:
                file = files[identity]
            except KeyError:
                size = self._taken_up(identity)
            else:
                try:
                    line = pread(file.fd, _LINE, 0)
                except OSError:
                    line = b""
                # Most processes are as they were, and a comparison costs a tenth of what taking the line apart does.
                size = file.size if line == file.line else file.take(line)
            if size:
                found[identity] = size
            else:
                others.append(identity)
        for first in range(0, len(others), _TOGETHER):
            found.update(self._first(others[first : first + _TOGETHER]))
        return found

    def holds(self, identity: ProcessId) -> bool:
        """Whether a descriptor says that this process is there at this moment."""
        return identity in self and bool(self.sizes([identity]))

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

    def _taken_up(self, identity: ProcessId) -> Size | None:
        """The first reading since the last turn, of one who was asked for before."""
        file = self._idle.pop(identity, None)
        return self._read_and_keep(identity, file) if file else None

    def _first(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """Of those for whom there is no file, or of whom the thread has ended that it is of, and perhaps all."""
        for identity in identities:
            self.drop(identity)
        opened = self._opened(dict.fromkeys(identities, 0))
        sizes = {identity: self._read_and_keep(identity, file) for identity, file in opened.items()}
        return {identity: size for identity, size in sizes.items() if size}

    def _opened(self, survivors: Mapping[ProcessId, int]) -> dict[ProcessId, _File]:
        """Descriptors, of these threads, that are sure to be of these processes: it is asked who has the pids after
        they were opened."""
        files = {identity: file for identity in survivors if (file := self._open(identity, survivors[identity]))}
        stats = self._stats([identity.pid for identity in files]) if files else {}
        again: dict[ProcessId, int] = {}
        for identity in list(files):
            stat = stats.get(identity.pid)
            survivor = stat.survivor if isinstance(stat, procfs.Stat) and stat.start == identity.start else None
            if survivor != survivors[identity]:
                os.close(files.pop(identity).fd)
                if survivor and not survivors[identity]:
                    again[identity] = survivor
        return {**files, **self._opened(again)} if again else files

    def _open(self, identity: ProcessId, survivor: int) -> _File | None:
        home = f"{self._root}/{identity.pid}" + (f"/task/{survivor}" if survivor else "")
        with contextlib.suppress(OSError):
            return _File(os.open(f"{home}/statm", os.O_RDONLY))
        return None

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
