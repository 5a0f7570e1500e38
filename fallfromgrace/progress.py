"""How far something has come that may take long, in one line on a terminal that is gone when it is done."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from fallfromgrace import terminal
from fallfromgrace.units import human_duration

# What is done sooner needs no line.
_PATIENCE_SECONDS = 1.0
_PERIOD_SECONDS = 0.1
# What is left is guessed only when so much is done.
_TELLING_SHARE = 0.05
_ERASED = "\r\x1b[K"


class Progress:
    """Says how much is done, of `total` where that is known; nothing in its first second, and nothing to a pipe."""

    def __init__(
        self,
        what: str,
        total: int | None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._began = clock()
        self._next = self._began + _PATIENCE_SECONDS if terminal.moves(self._stream) else float("inf")
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.hide()

    def step(self, done: int, note: str = "") -> None:
        """So much is done by now; the note is what is being done."""
        now = self._clock()
        if now >= self._next:
            self._next = now + _PERIOD_SECONDS
            self._write(self._line(done, note, now - self._began))
            self._shown = True

    def hide(self) -> None:
        """Makes room for something else that is to be said; the next step shows it again."""
        if self._shown:
            self._write("")
            self._shown = False

    def tell(self, text: str) -> None:
        """Something else, on a line of its own that stays."""
        self.hide()
        terminal.tell(text)

    def _line(self, done: int, note: str, seconds: float) -> str:
        parts = [f"{self._what}: {done}" + (f" of {self._total}" if self._total else "")]
        if self._total and _TELLING_SHARE <= done / self._total < 1:
            parts.append(f"about {human_duration(max(1.0, round(seconds / done * (self._total - done))))} left")
        return ", ".join([*parts, note] if note else parts)

    def _write(self, line: str) -> None:
        room = (terminal.width(self._stream) or 1) - 1  # in the last column some terminals begin a new line
        with contextlib.suppress(OSError, ValueError):  # it is of no importance
            # The cursor goes back, so that what somebody else may say is written over it and not behind it.
            self._stream.write(f"{_ERASED}{line[:room]}\r")
            self._stream.flush()
