import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time

import pytest

from fallfromgrace import canvas, exits
from fallfromgrace.canvas import Brush, Canvas, Ended, Event, glyphs
from fallfromgrace.pen import ASCII, UNICODE, Paper
from tests.victims import until

LINES = [(("title [bold]x[/bold] :smile:", "bold"),), (), (("█" * 3, "red"), ("░" * 3, "dim"), ("漢 912m", ""))]


@pytest.fixture
def brush(monkeypatch):
    pytest.importorskip("rich")

    def make(colours):
        monkeypatch.setattr(canvas.terminal, "colourful", lambda: colours)
        return Brush()

    return make


def test_texts_are_painted_as_they_are_whatever_they_look_like_to_rich(brush):
    assert brush(False).painted(LINES) == ["title [bold]x[/bold] :smile:", "", "███░░░漢 912m"]


def test_in_colours_there_is_nothing_else_but_colours(brush):
    title, empty, bar = brush(True).painted(LINES)
    assert (title, empty) == ("\x1b[1mtitle [bold]x[/bold] :smile:\x1b[0m", "")
    assert bar == "\x1b[31m███\x1b[0m\x1b[2m░░░\x1b[0m漢 912m"


def test_a_line_of_any_length_stays_one_line(brush):
    [line] = brush(True).painted([(("x " * 5000, ""),)])
    assert line == "x " * 5000


def test_without_rich_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(exits.Failure) as caught:
        Brush()
    assert "apt-get install python3-rich" in str(caught.value)
    assert "fall-from-grace[top]" in str(caught.value)
    assert caught.value.status == exits.UNAVAILABLE


@pytest.mark.parametrize(
    ("encoding", "locale", "expected"),
    [
        ("utf-8", None, UNICODE),
        ("UTF8", None, UNICODE),
        ("iso-8859-1", None, ASCII),
        ("ascii", None, ASCII),
        ("utf-8", "C", ASCII),
    ],
)
def test_bars_are_of_characters_that_the_terminal_has(monkeypatch, encoding, locale, expected):
    monkeypatch.setattr(canvas.terminal, "encoding", lambda: encoding)
    monkeypatch.delenv("LC_ALL", raising=False)
    if locale:
        monkeypatch.setenv("LC_ALL", locale)
    assert glyphs() is expected


class Terminal:
    """A pseudo-terminal; `shown` is all that was written to it."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.resize(80, 24)
        self.shown = b""

    def canvas(self):
        return Canvas(self.slave, self.slave)

    def resize(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self):
        with contextlib.suppress(OSError):
            self.shown += os.read(self.master, 1 << 16)
        return self.shown

    def shows_at_the_end(self, text):
        """Wait for it; all that was written."""
        until(lambda: self.read().endswith(text), f"{text} in {self.shown}")
        return self.shown

    def type(self, keys):
        os.write(self.master, keys)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def hang_up(self):
        os.close(self.master)
        self.master = None

    def close(self):
        for descriptor in filter(None, (self.master, self.slave)):
            os.close(descriptor)


@pytest.fixture
def terminal():
    pytest.importorskip("rich")
    made = Terminal()
    yield made
    made.close()


ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"


def soon():
    return time.monotonic() + 5


def test_it_is_the_other_screen_that_is_drawn_on_and_the_terminal_is_as_before_at_the_end(terminal):
    before, handlers = terminal.modes(), [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with terminal.canvas() as drawn:
        assert not terminal.modes()[3] & (termios.ICANON | termios.ECHO)
        assert terminal.modes()[3] & termios.ISIG
        drawn.draw([(("hello", ""),), (("world", ""),)], drawn.paper)
        until(lambda: b"world" in terminal.read())
    text = terminal.shows_at_the_end(LEFT)
    assert text.startswith(ENTERED)
    assert b"\x1b[1;1H\x1b[2Khello\x1b[2;1H\x1b[2Kworld\x1b[3;1H\x1b[J" in text
    assert b"\x1b[?25h" in text
    assert b"\x1b[?7h" in text
    assert terminal.modes() == before
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_full_screen_is_not_scrolled_or_erased(terminal):
    with terminal.canvas() as drawn:
        drawn.draw([(("x" * 80, ""),)] * 24, Paper(80, 24))
    text = terminal.shows_at_the_end(LEFT)
    assert text.count(b"x" * 80) == 24
    assert b"\x1b[J" not in text
    assert b"\n" not in text


def test_whatever_goes_wrong_the_terminal_is_given_back(terminal):
    before = terminal.modes()
    with pytest.raises(ZeroDivisionError), terminal.canvas():
        raise ZeroDivisionError
    assert terminal.modes() == before
    terminal.shows_at_the_end(LEFT)


@pytest.mark.parametrize("key", [b"q", b"Q", b"xyzq"])
def test_a_key_ends_it(terminal, key):
    with terminal.canvas() as drawn:
        drawn.wait(soon())  # what it is the first time
        terminal.type(key)
        assert drawn.wait(soon()) is Event.QUIT


def test_a_key_is_heard_also_by_who_is_late(terminal):
    with terminal.canvas() as drawn:
        drawn.wait(soon())
        terminal.type(b"q")
        until(lambda: drawn.wait(0.0) is Event.QUIT)


def test_how_to_end_it_is_told_also_where_no_key_can_be_heard(terminal):
    with terminal.canvas() as drawn:
        assert drawn.hint == "q quits"
    with open(os.devnull) as nothing, Canvas(nothing.fileno(), terminal.slave) as drawn:
        assert drawn.hint == "Ctrl-C quits"


def test_others_do_not(terminal):
    with terminal.canvas() as drawn:
        drawn.wait(soon())
        terminal.type(b"xyz\x1b[A\n")
        assert drawn.wait(time.monotonic() + 0.1) is Event.DUE


def test_a_new_size_is_told_at_once(terminal):
    with terminal.canvas() as drawn:
        drawn.wait(soon())
        terminal.resize(100, 30)
        os.kill(os.getpid(), signal.SIGWINCH)
        assert drawn.wait(soon()) is Event.RESIZED
        assert drawn.paper[:2] == (100, 30)
        assert drawn.wait(time.monotonic() + 0.05) is Event.DUE


@contextlib.contextmanager
def ended():
    """That the block is left because we were told to end."""
    with pytest.raises(Ended):
        yield


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_gives_the_terminal_back(terminal, number):
    before = terminal.modes()
    with ended(), terminal.canvas() as drawn:
        drawn.wait(soon())
        os.kill(os.getpid(), number)
        drawn.wait(soon())
    assert terminal.modes() == before
    terminal.shows_at_the_end(LEFT)


def test_a_terminal_that_is_gone_is_the_end(terminal):
    with ended(), terminal.canvas() as drawn:
        drawn.wait(soon())
        terminal.hang_up()
        drawn.draw([(("x", ""),)], Paper(80, 24))


def test_also_while_a_key_is_waited_for(terminal):
    with ended(), terminal.canvas() as drawn:
        drawn.wait(soon())
        terminal.hang_up()
        drawn.wait(soon())


def test_who_is_continued_takes_the_terminal_again_and_draws_anew(terminal):
    with terminal.canvas() as drawn:
        drawn.wait(soon())
        before = terminal.modes()
        termios.tcsetattr(terminal.slave, termios.TCSANOW, [*before[:3], before[3] | termios.ICANON, *before[4:]])
        os.kill(os.getpid(), signal.SIGCONT)
        assert drawn.wait(soon()) is Event.RESIZED
        assert terminal.modes() == before
        until(lambda: ENTERED in terminal.read())
    assert terminal.shows_at_the_end(LEFT).count(ENTERED) == 1


@pytest.fixture
def alarm():
    """Something that is done in a while."""
    before = signal.getsignal(signal.SIGALRM)

    def at(seconds, what):
        signal.signal(signal.SIGALRM, lambda *_: what())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield at
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_terminal_that_takes_nothing_keeps_nobody_from_ending(terminal, alarm):
    began = time.monotonic()
    with ended(), terminal.canvas() as drawn:
        drawn.wait(soon())
        alarm(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        while True:  # nobody reads
            drawn.draw([(("x" * 80, ""),)] * 24, Paper(80, 24))
    assert time.monotonic() - began < 5
