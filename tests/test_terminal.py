import fcntl
import io
import os
import pty
import struct
import sys
import termios

import pytest

from fallfromgrace import terminal


@pytest.fixture
def screen(monkeypatch):
    """Opens a terminal of so many columns, as a stream."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    opened = []

    def open_one(columns):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        opened.extend((os.fdopen(ours, "rb"), os.fdopen(theirs, "w")))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.mark.parametrize(("columns", "width"), [(40, 40), (200, 200), (0, 80)])
def test_a_terminal_has_a_width_and_where_it_does_not_know_the_usual_one(screen, columns, width):
    assert terminal.width(screen(columns)) == width


def test_what_is_no_terminal_takes_lines_of_any_length_and_no_colours(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    with open(tmp_path / "x", "w") as file:
        for stream in (file, io.StringIO()):
            assert (terminal.width(stream), terminal.colourful(stream), terminal.moves(stream)) == (None, False, False)
    assert terminal.width(file) is None  # closed


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_stream_it_is_the_output_of_the_moment(stream, screen, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    assert (terminal.width(), terminal.colourful()) == (None, False)
    monkeypatch.setattr(sys, "stdout", screen(40))
    assert (terminal.width(), terminal.colourful()) == (40, True)


@pytest.mark.parametrize(
    ("environment", "colourful", "moves"),
    [
        ({}, True, True),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": "0"}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": ""}, False, False),
    ],
)
def test_a_terminal_is_colourful_unless_it_cannot_or_somebody_said_no(
    environment, colourful, moves, screen, monkeypatch
):
    stream = screen(40)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (terminal.colourful(stream), terminal.moves(stream)) == (colourful, moves)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"gr\xf6\u6f22"), ("latin-1", "grö\\u6f22"), ("utf-8", "grö漢")]
)
def test_what_stdout_cannot_take_is_escaped(encoding, shown, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert terminal.showable("grö漢") == shown


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_what_takes_no_bytes_takes_what_everything_does(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    assert terminal.encoding() == "ascii"


def test_a_text_is_painted_only_where_there_are_colours():
    assert terminal.paint("x", "bold", "red", on=True) == "\x1b[1;31mx\x1b[0m"
    assert terminal.paint("x", "bold", "red", on=False) == "x"
    assert terminal.paint("x", on=True) == "x"
    assert terminal.paint("", "dim", on=True) == ""


@pytest.mark.parametrize(
    ("text", "columns", "left"),
    [
        ("abc", None, "abc"),
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("abc", 0, ""),
        ("\u4f60\u597d", 4, "\u4f60\u597d"),
        ("\u4f60\u597d", 3, "\u4f60"),
        ("e\u0301te\u0301", 2, "e\u0301t"),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
    ],
)
def test_a_text_is_cut_by_the_columns_that_it_takes(text, columns, left):
    assert terminal.cut(text, columns) == left
