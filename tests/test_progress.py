import io

import pytest

from fallfromgrace import terminal
from fallfromgrace.progress import Progress


class Screen:
    """A terminal of one line that understands no more than what a progress needs."""

    def __init__(self):
        self.line, self.writes = "", 0

    def write(self, text):
        assert text.startswith("\r\x1b[K")
        assert text.endswith("\r")  # what others say is then written over it
        self.line = text[4:-1]
        assert self.line.isprintable()
        self.writes += 1

    def flush(self):
        pass


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def columns(monkeypatch):
    """The terminal's columns, None where there is none."""
    columns = [80]
    monkeypatch.setattr(terminal, "width", lambda stream: columns[0])
    monkeypatch.setenv("TERM", "xterm")
    return columns


@pytest.fixture
def screen(columns):
    return Screen()


def shown(screen, steps, what="reading", total=None):
    """What is on the screen after each of the steps, which come so many seconds after the beginning."""
    clock = Clock()
    seen = []
    with Progress(what, total, screen, clock) as progress:
        for after, *step in steps:
            clock.now = 100.0 + after
            progress.step(*step)
            seen.append(screen.line)
    return seen


def test_nothing_is_shown_in_the_first_second(screen):
    assert shown(screen, [(0, 1), (0.5, 2), (0.99, 3), (1, 4)]) == ["", "", "", "reading: 4"]


def test_the_line_is_gone_at_the_end(screen):
    shown(screen, [(2, 1)])
    assert (screen.line, screen.writes) == ("", 2)


def test_the_line_is_gone_also_when_it_ends_badly(screen):
    with pytest.raises(ZeroDivisionError):
        shown(screen, ((after, 1 // (3 - after)) for after in (2, 3)))
    assert (screen.line, screen.writes) == ("", 2)


def test_what_was_never_shown_is_not_taken_away(screen):
    shown(screen, [(0.5, 1)])
    assert screen.writes == 0


def test_it_is_rewritten_at_most_ten_times_a_second(screen):
    shown(screen, [(2 + i / 1000, i) for i in range(1000)])
    assert 10 <= screen.writes <= 12


@pytest.mark.parametrize(
    ("total", "step", "line"),
    [
        (None, (7,), "reading: 7"),
        (None, (7, "x.conf"), "reading: 7, x.conf"),
        (0, (0,), "reading: 0"),
        (200, (50,), "reading: 50 of 200, about 30s left"),
        (200, (50, "x.conf"), "reading: 50 of 200, about 30s left, x.conf"),
        (200, (1,), "reading: 1 of 200"),  # nobody knows yet
        (200, (199,), "reading: 199 of 200, about 1s left"),
        (200, (200,), "reading: 200 of 200"),
        (200, (0,), "reading: 0 of 200"),
    ],
)
def test_it_says_how_much_is_done_and_how_long_that_will_take(total, step, line, screen):
    assert shown(screen, [(10, *step)], total=total) == [line]


def test_the_line_never_reaches_the_last_column(screen, columns):
    columns[0] = 10
    assert shown(screen, [(2, 1, "note " * 30)]) == ["reading: "]


def test_hidden_it_makes_room_and_comes_back(screen):
    clock = Clock()
    with Progress("reading", None, screen, clock) as progress:
        progress.hide()
        assert screen.writes == 0
        clock.now += 2
        progress.step(1)
        progress.hide()
        assert screen.line == ""
        clock.now += 2
        progress.step(2)
        assert screen.line == "reading: 2"


@pytest.mark.parametrize(("width", "term"), [(None, "xterm"), (80, "dumb"), (80, "")])
def test_nothing_is_shown_where_no_line_can_be_rewritten(width, term, screen, columns, monkeypatch):
    columns[0] = width
    monkeypatch.setenv("TERM", term)
    assert shown(screen, [(2, 1), (3, 2)]) == ["", ""]
    assert screen.writes == 0


def test_a_terminal_that_is_gone_is_no_error(columns):
    stream = io.StringIO()
    stream.close()
    assert shown(type("Gone", (), {"write": stream.write, "line": ""})(), [(2, 1)]) == [""]


def test_without_a_stream_it_is_the_errors_of_the_moment(columns, screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", screen)
    clock = Clock()
    progress = Progress("reading", None, clock=clock)
    clock.now += 2
    progress.step(1)
    assert screen.line == "reading: 1"


def test_what_is_told_meanwhile_has_a_line_of_its_own(screen, capsys):
    clock = Clock()
    with Progress("reading", None, screen, clock) as progress:
        clock.now = 102.0
        progress.step(7)
        assert screen.line == "reading: 7"
        progress.tell("a\x1b\nb")
        assert screen.line == ""
    assert capsys.readouterr().err == "a\\x1b\\x0ab\n"
