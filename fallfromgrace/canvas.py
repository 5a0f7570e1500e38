"""A terminal that is drawn on whole, until a key ends it; and rich, which knows how wide texts are, and colours.

However it ends, the terminal is as it was before. Nothing here waits for a terminal that takes nothing, longer than
until a signal comes.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import termios
import time
from collections.abc import Sequence
from enum import Enum
from types import FrameType, TracebackType
from typing import Any

from fallfromgrace import terminal
from fallfromgrace.exits import Failure
from fallfromgrace.pen import ASCII, UNICODE, Glyphs, Line, Paper, Ruler

_MISSING = (
    "'top' draws with the Python library rich, which is not there; install it with 'apt-get install python3-rich',"
    " or with 'pip install fall-from-grace[top]', or pipe the output into 'cat', which takes plain lines"
)


class Brush:
    """Rich, for what is written to a terminal; a Failure where it is missing."""

    def __init__(self) -> None:
        try:
            from rich import cells, console, text
        except ImportError:
            raise Failure(_MISSING) from None
        self.ruler = Ruler(cells.cell_len, cells.set_cell_size)
        self._console, self._text = console.Console, text.Text
        self._colours: Any = "standard" if terminal.colourful() else None

    def painted(self, lines: Sequence[Line]) -> list[str]:
        """The lines with what colours them."""
        file = io.StringIO()
        drawn = self._console(
            file=file, force_terminal=True, color_system=self._colours, width=1 << 16, legacy_windows=False
        )
        text = self._text("\n").join(self._text.assemble(*line, no_wrap=True) for line in lines)
        drawn.print(text, end="", soft_wrap=True, highlight=False, markup=False, emoji=False)
        return file.getvalue().split("\n")


def glyphs() -> Glyphs:
    """What bars are made of, for where stdout goes to."""
    unicode = terminal.encoding().replace("-", "").lower() == "utf8" and os.environ.get("LC_ALL") not in ("C", "POSIX")
    return UNICODE if unicode else ASCII


class Ended(BaseException):
    """We were told to end, or the terminal is gone: all is well, and there is nothing to say."""


class Event(Enum):
    """What was waited for."""

    QUIT = "quit"
    RESIZED = "resized"
    DUE = "due"


# The other screen, without a cursor, where what is too wide is cut off; and back to the one that there was before.
_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J", b"\x1b[0m\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l"
_QUIT = b"qQ\x03"
# For a terminal that takes nothing any more: we end all the same.
_LAST_WORDS_SECONDS = 1.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Canvas:
    """The terminal that stdout is, for the length of a `with` block, which Ended leaves."""

    def __init__(self, keys: int = 0, terminal: int = 1) -> None:
        self._brush = Brush()
        self._glyphs = glyphs()
        self._terminal = terminal
        self._out = _opened_anew(terminal)
        self._keys = keys if os.isatty(keys) else None
        self._modes: list[Any] | None = None
        self._resized = self._entered = self._ended = False
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Canvas:
        self._before = {each: signal.getsignal(each) for each in (*_ENDING, *self._heeded())}
        self._wakeup = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        try:
            for number, heed in self._heeded().items():
                signal.signal(number, heed)
            for number in _ENDING:
                signal.signal(number, self._end)
            self._take()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    # --- drawing ---

    @property
    def hint(self) -> str:
        """How to leave it."""
        return "Ctrl-C quits" if self._keys is None else "q quits"

    @property
    def paper(self) -> Paper:
        """How much room there is now."""
        try:
            width, height = os.get_terminal_size(self._terminal)
        except OSError:
            raise Ended from None
        return Paper(width or 80, height or 24, self._brush.ruler, self._glyphs)

    def draw(self, lines: Sequence[Line], paper: Paper) -> None:
        """These and nothing else. Of what we take for narrower than the terminal does, that cuts off the end."""
        rows = [f"\x1b[{row};1H\x1b[2K{text}" for row, text in enumerate(self._brush.painted(lines), 1)]
        if paper.height is None or len(lines) < paper.height:
            rows.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._write("".join(rows).encode(terminal.encoding(), errors="replace"))

    def wait(self, until: float) -> Event:
        """Until a key ends it all, the size is another one, or the time has come; keys are heard in any case."""
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        while not self._resized:
            left = until - time.monotonic()
            ready, _, _ = select.select(watched, [], [], max(0.0, left))
            if self._woken in ready:
                _drain(self._woken)
            if self._keys in ready and any(key in _QUIT for key in self._pressed()):
                return Event.QUIT
            if left <= 0:
                return Event.DUE
        self._resized = False
        return Event.RESIZED

    def _pressed(self) -> bytes:
        assert self._keys is not None
        try:
            keys = os.read(self._keys, 1024)
        except BlockingIOError:
            return b""
        except OSError:
            raise Ended from None
        if not keys:
            raise Ended
        return keys

    def _write(self, data: bytes, until: float | None = None) -> None:
        while data:
            written = self._written(data)
            data = data[written:]
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            if not written:
                select.select([], [self._out], [], left)

    def _written(self, data: bytes) -> int:
        """How much of it the terminal has taken."""
        try:
            return os.write(self._out, data)
        except BlockingIOError:
            return 0
        except OSError:
            raise Ended from None

    # --- taking the terminal, and giving it back ---

    def _take(self) -> None:
        """Keys come one by one, and are not shown; Ctrl-C and Ctrl-Z are signals as before."""
        if self._keys is not None:
            with contextlib.suppress(termios.error):
                modes = termios.tcgetattr(self._keys)
                if self._modes is None:
                    self._modes = modes
                modes = [*modes[:3], modes[3] & ~(termios.ICANON | termios.ECHO), *modes[4:]]
                modes[6] = [*modes[6]]
                modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
                termios.tcsetattr(self._keys, termios.TCSANOW, modes)
        if not self._entered:
            self._entered = True
            self._write(_ENTER)
        self._resized = True

    def _give_back(self) -> None:
        if self._keys is not None and self._modes is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)
                termios.tcflow(self._keys, termios.TCOON)  # Ctrl-S must not keep us here
        if self._entered:
            self._entered = False
            with contextlib.suppress(Ended):
                self._write(_LEAVE, time.monotonic() + _LAST_WORDS_SECONDS)

    def _restore(self) -> None:
        """Who is impatient now must not leave it half done."""
        for number in (signal.SIGINT, *_ENDING):
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wakes)
        if self._out != self._terminal:
            os.close(self._out)

    # --- signals ---

    def _heeded(self) -> dict[signal.Signals, Any]:
        return {
            signal.SIGINT: self._end,
            signal.SIGWINCH: self._resize,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._go_on,
        }

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        """Once: on its way out nothing is to be interrupted."""
        if not self._ended:
            self._ended = True
            raise Ended

    def _resize(self, _signal: int, _frame: FrameType | None) -> None:
        self._resized = True

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, and stop as if nobody had asked us; when we go on it is ours again."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        self._take()

    def _go_on(self, _signal: int, _frame: FrameType | None) -> None:
        """Whoever stopped us may have used the terminal meanwhile."""
        self._take()


def _opened_anew(descriptor: int) -> int:
    """The same terminal, which does not make us wait; where it is somebody else's, it does."""
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return descriptor


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 1024):
            pass
