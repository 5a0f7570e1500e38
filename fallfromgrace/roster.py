"""Everybody who is there, by numbers alone: enough to tell who descends from whom, and who runs something else now."""

from __future__ import annotations

from collections.abc import Iterable, KeysView
from typing import NamedTuple


class Kin(NamedTuple):
    """What is kept of a process: its start, its parent, and digests of its arguments, all that it runs, and its name.

    The first two of these are the same of one for whom nothing but its arguments matters.
    """

    start: int
    ppid: int
    arguments: int
    image: int
    comm: int = 0
    place: int = 0

    @property
    def plain(self) -> bool:
        return self.image == self.arguments


# Whoever has a pid and is nobody to look at: a zombie, a kernel thread, or one that we may not see.
NOBODY = Kin(0, 0, hash(b""), 0)


class Roster:
    """Kin by their pids, with an index of children. 0.4 KB each."""

    def __init__(self) -> None:
        self._kin: dict[int, Kin] = {}
        self._children: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._kin)

    @property
    def pids(self) -> KeysView[int]:
        """Who is there."""
        return self._kin.keys()

    def get(self, pid: int) -> Kin | None:
        """What is kept of a pid."""
        return self._kin.get(pid)

    def put(self, pid: int, kin: Kin) -> None:
        """Somebody new, or with another parent, or who runs something else."""
        before = self._kin.get(pid)
        if before is None or before.ppid != kin.ppid:
            self._leave_parent(pid, before)
            self._children.setdefault(kin.ppid, set()).add(pid)
        self._kin[pid] = kin

    def drop(self, pid: int) -> set[int]:
        """Somebody has ended; those whose parent that was, who get another one."""
        self._leave_parent(pid, self._kin.pop(pid, None))
        return set(self._children.get(pid, ()))

    def below(self, roots: Iterable[int]) -> set[int]:
        """The roots and everybody below. Who is older than its parent is no child: the parent's pid was another's."""
        found = set(roots)
        pending = list(found)
        while pending:
            parent = pending.pop()
            start = self._kin[parent].start
            children = self._children.get(parent, ())
            new = [child for child in children if child not in found and self._kin[child].start >= start]
            found.update(new)
            pending.extend(new)
        return found

    def _leave_parent(self, pid: int, kin: Kin | None) -> None:
        if kin is not None:
            siblings = self._children[kin.ppid]
            siblings.discard(pid)
            if not siblings:
                del self._children[kin.ppid]
