"""Who is put off because the patterns that select take long on its command line, so that all others come first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fallfromgrace.patience import Patience

# How much of a look is for patterns that are stopped at once, and for those that are taken up again.
_BRIEF_SECONDS, _LONG_SECONDS = 0.5, 0.2


class Deferral:
    """Those who wait; `unasked` are those for whom there was no time at all. Without patience nobody waits."""

    def __init__(self, patience: Patience | None) -> None:
        self._patience = patience
        self._until = 0.0
        self._waiting: dict[int, int] = {}  # with digests of what they run
        self.unasked: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Within it patterns are stopped at once."""
        self.unasked = set()
        if self._patience is None:
            yield
            return
        self._until = self._patience.spent + _BRIEF_SECONDS
        with self._patience.briefly():
            yield

    def puts_off(self, pid: int, digest: int | None) -> bool:
        """Whether one is not to be asked now: it waits already as what it is, or the time for all is over."""
        if self._patience and self._patience.spent > self._until:
            self.unasked.add(pid)
            return True
        return digest is not None and self._waiting.get(pid) == digest

    def add(self, pid: int, digest: int) -> None:
        """One whose pattern was stopped."""
        self._waiting[pid] = digest

    def drop(self, pid: int) -> None:
        """One who has ended, or was judged."""
        self._waiting.pop(pid, None)

    def take_up(self) -> Iterator[int]:
        """Those who wait, as many as there is time for."""
        assert self._patience
        until = self._patience.spent + _LONG_SECONDS
        for pid in list(self._waiting):
            if self._patience.spent >= until:
                return
            self.drop(pid)
            yield pid
