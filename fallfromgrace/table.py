"""The process table: who is running, and who descends from whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

# The command line of a process whose own cannot be read. None that could be looks like this: a NUL becomes a blank.
UNREADABLE = "\0"


class ProcessId(NamedTuple):
    """A process for good: the kernel gives a pid again, but not with the same start (clock ticks since boot)."""

    pid: int
    start: int


class Size(NamedTuple):
    """How large a process is, in bytes: what is resident, and all that it has mapped."""

    rmem: int
    vmem: int


class Image(NamedTuple):
    """What a process runs, and for whom: its arguments joined by single spaces, and its effective uid.

    `exe` is the path of what it executes; empty where that cannot be known.
    """

    cmdline: str
    uid: int
    exe: str = ""

    @property
    def shown(self) -> str:
        """The command line as it is told; what cannot be read is said to be that."""
        return "(cannot be read)" if self.cmdline == UNREADABLE else self.cmdline


class Runs(Protocol):
    """An image, or something that finds out what it is asked for."""

    @property
    def cmdline(self) -> str: ...
    @property
    def uid(self) -> int: ...
    @property
    def exe(self) -> str: ...


class Process(NamedTuple):
    """One process as one look saw it. `state` is the kernel's letter: R, S, D, T, Z..."""

    id: ProcessId
    ppid: int
    pgid: int
    state: str
    image: Image

    @property
    def stopped(self) -> bool:
        return self.state == "T"

    @property
    def alive(self) -> bool:
        """Not a zombie: one that has ended and waits for its parent to take note."""
        return self.state not in "ZX"


class Descent(NamedTuple):
    """A process, and the root that it is `depth` levels below; 0 is the root itself."""

    process: Process
    root: Process
    depth: int


class ProcessTable:
    """All processes that one look saw, kernel threads left out."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self._processes: Mapping[int, Process] = {process.id.pid: process for process in processes}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)

    def __contains__(self, identity: ProcessId) -> bool:
        return self.get(identity) is not None

    def get(self, identity: ProcessId) -> Process | None:
        """The process of this identity, not another one with its pid."""
        found = self._processes.get(identity.pid)
        return found if found and found.id == identity else None

    @cached_property
    def _children(self) -> Mapping[int, list[Process]]:
        children: dict[int, list[Process]] = {}
        for process in self:
            children.setdefault(process.ppid, []).append(process)
        return children

    def descendants(self, roots: Iterable[Process]) -> Iterator[Descent]:
        """Everything below the roots, each once, the roots themselves not unless one is below another.

        A table is read over some milliseconds in which pids change hands, so that it may hold a cycle or a child
        older than its parent; the first is cut, the second is no child.
        """
        pending = [Descent(root, root, 0) for root in roots]
        seen: set[int] = set()
        while pending:
            parent, root, depth = pending.pop()
            for child in self._children.get(parent.id.pid, ()):
                if child.id.pid not in seen and child.id.start >= parent.id.start:
                    seen.add(child.id.pid)
                    pending.append(Descent(child, root, depth + 1))
                    yield pending[-1]
