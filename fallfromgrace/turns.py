"""Everybody in turn, over and over: a few at a time, and each again after a given time at the latest."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from math import ceil


class Turns:
    """A ring of pids. `seconds` is how long a turn of all takes; who is new has theirs after all who are there."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, pid: int) -> None:
        """Have a turn for a pid, which may have one already."""
        if pid not in self._known:
            self._known.add(pid)
            self._waiting.append(pid)

    def take(self, elapsed: float, there: Container[int]) -> list[int]:
        """Whose turn it is when so many seconds have passed since the last time. Who is not there any more is dropped,
        and keeps nobody waiting."""
        count = ceil(len(self._waiting) * elapsed / self._seconds)
        taken: list[int] = []
        while self._waiting and len(taken) < count:
            pid = self._waiting.popleft()
            if pid in there:
                taken.append(pid)
            else:
                self._known.discard(pid)
        self._waiting.extend(taken)
        return taken
