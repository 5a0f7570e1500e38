"""What is told when we have no descriptors or memory left ourselves, which is no reason to take others for gone."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable
from math import inf

# A shortage that was over for so long is told again.
OVER_SECONDS = 60.0


def share(most: int) -> int:
    """How many descriptors one purpose may take: a quarter of those that we may have, and no more than `most`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // 4))


class Shortage:
    """Told once, however long it lasts."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._seen_at = -inf

    def note(self, error: OSError, now: float) -> None:
        """Something could not be read."""
        if now - self._seen_at > OVER_SECONDS:
            self._tell(f"not all processes can be looked at ({error.strerror}); it is tried again at each look")
        self._seen_at = now

    def each(self, pids: Iterable[int], read: Callable[[int], object], now: float) -> set[int]:
        """Read them; those for whom it was not enough."""
        failed = set()
        for pid in pids:
            try:
                read(pid)
            except OSError as error:  # noqa: PERF203 - each on its own
                self.note(error, now)
                failed.add(pid)
        return failed
