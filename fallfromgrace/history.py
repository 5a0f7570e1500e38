"""What numbers were some time ago: what rates and `growth` compare with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

# Whose a number is, and which.
Key = tuple[Hashable, Hashable]

# A series keeps so many numbers of its window, so that growth over a day costs no more than over a minute.
_KEPT = 60
# Looks come a little early or late.
_SLACK_SECONDS = 0.5


class Series:
    """Numbers with their times, a bounded count of them over a window of some seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._slack = min(_SLACK_SECONDS, window / 20)
        self._kept: deque[tuple[float, float]] = deque()

    def due(self, now: float) -> bool:
        """Whether a number of now would be kept."""
        return not self._kept or now - self._kept[-1][0] >= self.window / _KEPT - self._slack / _KEPT

    def add(self, now: float, number: float) -> None:
        """Keep a number, and of those before the window only the last."""
        if self.due(now):
            self._kept.append((now, number))
        while len(self._kept) > 1 and self._kept[1][0] <= now - self.window:
            self._kept.popleft()

    def before(self, now: float, late: float) -> tuple[float, float] | None:
        """The time and the number a window ago, or `late` seconds before that at most. None if not known so long."""
        newest = now - self.window + self._slack
        oldest = now - self.window * (1 + 1 / _KEPT) - late
        return next(((at, number) for at, number in reversed(self._kept) if oldest <= at <= newest), None)


class History:
    """A series for each thing that is remembered; `interval` is the longest time between two looks, in seconds."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._series: dict[Key, Series] = {}

    @property
    def rate_window(self) -> float:
        """Over how many seconds rates are taken."""
        return max(self.interval, 1.0)

    def due(self, key: Key, now: float) -> bool:
        """Whether a number of now would be kept."""
        return key not in self._series or self._series[key].due(now)

    def add(self, key: Key, now: float, number: float, window: float) -> None:
        """Remember a number; with another window than before a series begins anew."""
        if key not in self._series or self._series[key].window != window:
            self._series[key] = Series(window)
        self._series[key].add(now, number)

    def change(self, key: Key, now: float, number: float, late: float) -> tuple[float, float] | None:
        """By how much a number changed, and over how many seconds; None if it was not watched for its window.

        `late` is by how many seconds that may have been watched longer ago.
        """
        before = self._series[key].before(now, late) if key in self._series else None
        return (number - before[1], now - before[0]) if before else None

    def knows(self, key: Key) -> bool:
        """Whether anything is remembered."""
        return key in self._series

    def drop(self, key: Key) -> None:
        """Forget one series."""
        self._series.pop(key, None)

    def forget(self, gone: Callable[[Key], bool]) -> None:
        """Drop what is remembered of something that is gone."""
        self._series = {key: series for key, series in self._series.items() if not gone(key)}

    def adopt(self, previous: History) -> None:
        """Take over what was remembered under another configuration."""
        self._series = dict(previous._series)

    def __len__(self) -> int:
        return len(self._series)
