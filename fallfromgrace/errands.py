"""The children that read for us: who waits for an errand, who is underway, and who takes a while to end."""

from __future__ import annotations

import time

from fallfromgrace.errand import Errand

# When we end ourselves: who hangs in the depths of the kernel is not waited for.
_LEAVING_SECONDS = 0.1


class Errands:
    """At most one that waits; as many underway as are taken."""

    def __init__(self, root: str, limit: int) -> None:
        self._root = root
        self._limit = limit
        self._idle: Errand | None = None
        self._out: list[Errand] = []
        self._ending: list[Errand] = []

    @property
    def pids(self) -> set[int]:
        """Of all of them: they are ours, and nobody to look at."""
        if self._root != "/proc":
            return set()  # there these are others
        idle = [self._idle] if self._idle else []
        return {each.pid for each in (*idle, *self._out, *self._ending)}

    def take(self) -> Errand:
        """One that can be asked. Raises OSError."""
        taken, self._idle = self._idle or Errand(self._root, self._limit), None
        self._out.append(taken)
        return taken

    def give_back(self, errand: Errand) -> None:
        """One that is asked nothing more now; who is not done is ended."""
        self._out.remove(errand)
        if errand.broken or self._idle or not errand.wait(0):
            errand.end()
            self._ending.append(errand)
        else:
            self._idle = errand
        self.reap()

    def is_lost(self, errand: Errand) -> bool:
        """Whether one that was ended still hangs, where the kernel lets nobody be ended."""
        self.reap()
        return errand in self._ending

    def reap(self) -> None:
        """Take note of those that have ended; never waits for one."""
        self._ending = [each for each in self._ending if not each.ended()]

    def close(self) -> None:
        """End all of them."""
        for each in (*self._out, *([self._idle] if self._idle else [])):
            each.end()
            self._ending.append(each)
        self._out, self._idle = [], None
        deadline = time.monotonic() + _LEAVING_SECONDS
        while self._ending and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.001)
