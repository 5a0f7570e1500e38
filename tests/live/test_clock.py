"""Somebody sets the machine's clock, as far as the program can tell: only the time in front of a line changes."""

import glob
import os
import re
import signal
import time
from datetime import datetime, timedelta

import pytest

from tests.victims import until, victim

LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
needs_faketime = pytest.mark.skipif(not LIBRARY, reason="needs faketime: apt-get install faketime")


def watching(mark):
    return f"""\
interval: 1s
victims:
  cmdline: '{mark}'
  actions:
    rmem > 1: log @ 3s limited
    rmem > 60m for 2s: log held
    age > 6s and rmem > 60m: term
"""


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Sets the clock of programs that are started from now on, and while they run."""
    path = tmp_path / "clock"

    def set_clock(by):
        (tmp_path / "new").write_text(by)
        (tmp_path / "new").rename(path)

    set_clock("+0")
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(path))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return set_clock


def stamp(line):
    return datetime.fromisoformat(re.match(r"\S+ \S+", line)[0])


@needs_faketime
@pytest.mark.parametrize(("by", "days"), [("+1d", 1), ("-1d", -1)])
def test_a_step_of_a_day_changes_nothing_but_what_stands_in_front_of_a_line(by, days, program, configured, mark, clock):
    # What the wrapper sets besides would hold for the clock at the start only.
    running = program("-c", configured(watching(mark)), within=["env", f"LD_PRELOAD={LIBRARY[0]}"])
    began = time.monotonic()  # it is large before it is said to be
    with victim(mark, mib=64) as hog:
        running.says("text=limited")
        clock(by)
        running.says("text=held")
        held = time.monotonic() - began
        running.says("text=limited", times=2)
        limited = time.monotonic() - began
        until(lambda: hog.ended_by() == signal.SIGTERM, "it is old enough")
        old = time.monotonic() - began
    assert 2 <= held < 5
    assert 3 <= limited < 6
    assert 5 < old < 9  # it was a little older than we know
    assert len(running.said("text=limited")) <= 3
    first, last = (stamp(running.said("text=limited")[place]) for place in (0, -1))
    assert abs(last - first - timedelta(days=days)) < timedelta(seconds=30)
    assert os.path.exists(f"/proc/{running.process.pid}")
