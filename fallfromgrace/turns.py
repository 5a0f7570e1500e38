"""Everybody in turn: a few at a time, and all of them in a given time."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil


class Turns:
    """One round of turns, in the order of the pids. `seconds` is how long it takes."""

    def __init__(self, pids: Iterable[int], seconds: float) -> None:
        self._left = sorted(pids, reverse=True)
        self._pace = len(self._left) / seconds

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self, elapsed: float) -> list[int]:
        """Whose turn it is when so many seconds have passed since the last time."""
        count = min(len(self._left), ceil(self._pace * elapsed))
        return [self._left.pop() for _ in range(count)]
