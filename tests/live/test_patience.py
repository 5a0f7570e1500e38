"""A regular expression that backtracks badly, and somebody who has a command line for it."""

import shutil
import signal
import time
from contextlib import contextmanager
from subprocess import Popen

import pytest

from tests.victims import until, victim

# On the command line of `hostile` it would search for hours.
BACKTRACKS = "(a+)+$"
STOPPED = "was stopped after"


@contextmanager
def hostile(mark, number=0):
    process = Popen([f"{mark} {'a' * (40 + number)}!", "60"], executable=shutil.which("sleep"))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def configuration(mark):
    return f"""\
interval: 1s
hostile:
  cmdline: '{mark} {BACKTRACKS}'
  actions:
    rmem > 1: kill
hog:
  cmdline: '{mark}.*hog'
  actions:
    rmem > 60m: term
"""


@pytest.mark.parametrize("hostile_first", [True, False])
def test_a_hog_beside_a_hostile_command_line_is_acted_upon_in_time(hostile_first, program, configured, mark):
    path = configured(configuration(mark))
    if hostile_first:
        with hostile(mark), victim(mark, mib=80, what="hog") as hog:
            running = program("-c", path)
            _acts_in_time(running, hog)
    else:
        running = program("-c", path)
        with hostile(mark), victim(mark, mib=80, what="hog") as hog:
            _acts_in_time(running, hog)


def _acts_in_time(running, hog):
    until(lambda: hog.ended_by() == signal.SIGTERM, running.lines, seconds=5)
    said = running.says("cmdline of monitor 'hostile'", STOPPED, "it counts as no match")
    assert BACKTRACKS in said
    assert not running.said("monitor=hostile")


def test_it_can_be_ended_and_says_it_once_however_many_they_are(program, configured, mark):
    running = program("-c", configured(configuration(mark)))
    with hostile(mark), hostile(mark, 1), hostile(mark, 2):
        running.says(STOPPED)
        running.hup()
        running.says("reloaded")
        with hostile(mark, 3), victim(mark, mib=80, what="hog") as hog:
            until(lambda: hog.ended_by() == signal.SIGTERM, running.lines, seconds=5)
            began = time.monotonic()
            assert running.end() == 0
            assert time.monotonic() - began < 2  # a second, and a loaded machine's grace
    assert len(running.said(STOPPED)) == 1


def test_who_may_be_protected_by_a_search_that_is_stopped_is_left_alone(program, configured, mark):
    rules = f"hostile:\n  cmdline: '{mark}'\n  actions:\n    rmem > 1: kill\n"
    running = program("-c", configured(f"interval: 1s\nprotect:\n  - cmdline: '{mark} {BACKTRACKS}'\n{rules}"))
    with hostile(mark) as protected:
        running.says(f"pid={protected.pid} ", "result=protected", "it may be protected: a search took too long")
        assert protected.poll() is None
        running.says("cmdline of protect", STOPPED, "it counts as a match")
