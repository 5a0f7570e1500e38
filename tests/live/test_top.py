"""`top` on a real terminal: tmux shows what it makes of it."""

import os
import re
import subprocess
import sys

import pytest

from tests.live.conftest import PROGRAM
from tests.live.tmux import PROMPT, needs_tmux
from tests.victims import state, until, victim

pytest.importorskip("rich")
pytestmark = needs_tmux


@pytest.fixture
def top(tmux, configured, mark, tmp_path):
    """Starts it in tmux, by a configuration that is about the test's victims."""
    conf = configured(
        f"leaks:\n  cmdline: {mark}\n  actions:\n"
        "    rmem > 10m for 5m: log much\n    rmem > 1g: term\n    count > 4: log many\n"
    )

    def start(*arguments):
        tmux.conf, tmux.state = conf, tmp_path / "status.json"
        words = [sys.executable, str(PROGRAM), "top", "--every", "0.5s", "--state", str(tmux.state), *arguments]
        tmux.type(" ".join(words if "-c" in words else [*words, "-c", str(conf)]), "Enter")
        return tmux

    return start


ON, OFF = "1 0 0", "0 1 1"


def test_it_shows_who_is_how_near_to_which_limit_at_any_width(top, mark):
    with victim(mark, 40) as hog:
        tmux = top()
        text = tmux.shows(r"rmem > 10m for 5m  █{10} +\d+% +\d+(\.\d)?m / 10m +pending \d+s of 5m")
        assert f"{hog.pid}  " in text
        assert tmux.modes() == ON
        assert re.search(r"count > 4 +█+░+ +25% +1 / 4", text)
        for width, height in ((60, 24), (200, 50), (59, 12), (100, 30)):
            tmux.resize(width, height)
            until(lambda width=width: _is_drawn(tmux.screen(), width), f"{width} columns")
            text = tmux.screen()
            assert text.count("fall-from-grace") == 1
            assert text.count("leaks: 1 process") == 1
            assert len(re.findall("^    rmem > ", text, re.M)) == 2


def _is_drawn(text, width):
    """Whether it was drawn at this width: what is at the right edge is there."""
    head = text.splitlines()[0]
    return head.endswith("q quits") and len(head) == width if width >= 98 else "…" in head and len(head) <= width


@pytest.mark.parametrize("key", ["q", "C-c"])
def test_a_key_ends_it_and_the_shell_is_back_as_it_was(top, key):
    tmux = top()
    tmux.shows("leaks: nobody")
    tmux.type(key)
    tmux.shows(rf"{PROMPT}\s*$")
    assert tmux.modes() == OFF
    assert "leaks" not in tmux.screen()
    tmux.type("echo status $?; stty -a", "Enter")
    text = tmux.shows("(?s)status 0$.* icanon.* echo ")
    assert "-icanon" not in text


def test_a_signal_ends_it_and_the_shell_is_back(top):
    tmux = top()
    tmux.shows("leaks: nobody")
    [pid] = tmux.children()
    os.kill(pid, 15)
    tmux.shows(rf"{PROMPT}\s*$")
    assert tmux.modes() == OFF


def test_it_can_be_put_aside_and_taken_up(top):
    tmux = top()
    tmux.shows("leaks: nobody")
    tmux.type("C-z")
    tmux.shows(rf"(?s)Stopped.*{PROMPT}\s*$")
    assert tmux.modes() == OFF
    tmux.type("fg", "Enter")
    tmux.shows("leaks: nobody")
    assert tmux.modes() == ON
    tmux.type("q")
    tmux.shows(rf"{PROMPT}\s*$")
    assert tmux.modes() == OFF


def test_it_ends_with_its_terminal(top):
    tmux = top()
    tmux.shows("leaks: nobody")
    [pid] = tmux.children()
    tmux.kill()
    until(lambda: not state(pid), "it ends")


def test_it_follows_a_daemon_that_comes_and_goes(top, mark, program):
    with victim(mark, 40):
        tmux = top()
        tmux.shows("no daemon runs")
        running = program("-c", tmux.conf, "--state", tmux.state)
        text = tmux.shows(rf"pid {running.process.pid}, up \d+s")
        assert "Armed timers" in tmux.shows(r"in (5m|4m\d+s)  leaks \d+  rmem > 10m for 5m: fires, if it goes on")
        assert "no daemon" not in text
        assert running.end() == 0
        tmux.shows("no daemon runs")
        assert "Armed timers" not in tmux.screen()


def test_once_is_a_part_of_what_the_shell_shows(top, mark):
    with victim(mark, 40):
        tmux = top("--once")
        text = tmux.shows(rf"(?s)leaks: 1 process.*{PROMPT}\s*$")
        assert tmux.modes() == OFF
        assert "q quits" not in text
        assert text.count("rmem > 1g") == 1


def test_there_are_colours_unless_nobody_wants_them(top, mark):
    with victim(mark, 40):
        tmux = top()
        tmux.shows("pending")
        assert "\x1b[33m" in tmux.coloured()
        tmux.type("q")
        tmux.shows(rf"{PROMPT}\s*$")
        tmux.type("export NO_COLOR=1", "Enter")
        top()
        tmux.shows("pending")
        assert "\x1b[3" not in tmux.coloured()


def test_a_dumb_terminal_gets_plain_lines(top, tmux):
    tmux.type("export TERM=dumb", "Enter")
    top()
    text = tmux.shows(r"(?s)leaks: nobody.*leaks: nobody")
    assert tmux.modes() == OFF
    assert "q quits" not in text


def test_hostile_command_lines_do_not_break_the_screen(top, configured, mark, tmux):
    hostile = ["漢字" * 40, "e\u0301" * 99, "\x1b[2J\x1b]0;owned\x07\n\n", "[red]" + "x" * 300, "👩\u200d🔬🇩🇪" * 40]
    sleeping = [sys.executable, "-c", "import time; time.sleep(120)", mark]
    started = [subprocess.Popen([*sleeping, each]) for each in hostile]
    try:
        top()
        tmux.shows("leaks: 5 processes")
        for width in (60, 100, 200):
            tmux.resize(width, 40)
            until(lambda width=width: _is_drawn(tmux.screen(), width), f"{width} columns")
            rows = tmux.screen().splitlines()
            assert rows[4] == "leaks: 5 processes"
            assert len([row for row in rows if row.startswith("    rmem > 1")]) == 10
            assert len([row for row in rows if re.match(r" *\d+  \S+ +[\d.]+m", row)]) == 5
    finally:
        for each in started:
            each.kill()
            each.wait()
