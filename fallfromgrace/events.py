"""Process events as a convenience that may be missing: they cannot be had, they end, or there are too many."""

from __future__ import annotations

import signal
from collections.abc import Callable
from math import inf
from typing import Protocol

from fallfromgrace.connector import NOTHING, Batch, Connector, Unavailable

WAKE = signal.SIGURG  # ignored where nobody waits for it
_WAKES, _NO_WAKES = frozenset({WAKE}), frozenset[int]()

# While events are lost everybody is read anew at most so often: that takes 30 us each.
ANEW_SECONDS = 5.0

_SLOWER = "new processes are noticed within a second rather than at once"


class Feed(Protocol):
    """What is used of a Connector."""

    def drain(self) -> Batch: ...
    def close(self) -> None: ...


class Events:
    """Events where there are any. Everything that goes wrong is told once, and once more when it is well again."""

    def __init__(self, tell: Callable[[str], None], connect: Callable[[], Feed] = lambda: Connector(WAKE)) -> None:
        self._tell = tell
        self._connect = connect
        self._feed: Feed | None = None
        self._refused = ""
        self._lost_at = self._anew_at = -inf
        self._losing = False

    @property
    def wakes(self) -> frozenset[int]:
        """The signal that tells of events."""
        return _WAKES if self._feed else _NO_WAKES

    @property
    def complete(self) -> bool:
        """Whether whatever happens is told; if not, one has to look oneself."""
        return self._feed is not None and not self._losing

    def use(self, wanted: bool) -> None:
        """Have them or do without, from now on."""
        if not wanted:
            self.close()
        elif self._feed is None:
            self._open()

    def drain(self, now: float) -> Batch:
        """What has happened since the last time."""
        if self._feed is None:
            return NOTHING
        try:
            batch = self._feed.drain()
        except OSError as error:
            self._tell(f"process events have ended ({error.strerror}); {_SLOWER}")
            self.close()
            self._lost_at = now
            return Batch(set(), set(), True)
        if batch.lost:
            self._lose(now)
        elif self._losing and not self.behind and now >= self._lost_at + ANEW_SECONDS:
            self._losing = False
            self._tell("process events are complete again: new processes are noticed at once")
        return batch

    @property
    def behind(self) -> bool:
        """Whether something was lost since everybody was last read anew."""
        return self._anew_at < self._lost_at

    def overdue(self, now: float) -> bool:
        """Whether everybody is to be read anew."""
        return self.behind and now >= self._anew_at + ANEW_SECONDS

    def caught_up(self, now: float) -> None:
        """Everybody was read anew, after the last batch."""
        self._anew_at = now

    def close(self) -> None:
        """No more of them."""
        if self._feed is not None:
            self._feed.close()
        self._feed, self._losing = None, False

    def _open(self) -> None:
        try:
            self._feed, self._refused = self._connect(), ""
        except Unavailable as error:
            if str(error) != self._refused:
                self._tell(f"{error}; {_SLOWER}")
            self._refused = str(error)

    def _lose(self, now: float) -> None:
        self._lost_at = now
        if not self._losing:
            self._losing = True
            self._tell(f"the kernel had more process events than it could keep; until that is over, {_SLOWER}")
