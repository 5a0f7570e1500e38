"""Processes whose command line hangs whoever reads it, for ever, beside honest ones that a rule is about.

The whole of it takes a file system that never answers; everybody else on the machine who reads command lines, such as
`ps`, hangs as long as it runs. With a compiler there are some more that hang in the middle of an exec, with all that
can be read of them but their size. The short form is about a /proc of its own, of files that nobody ever writes to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fallfromgrace.connector import Unavailable
from fallfromgrace.events import Feed
from fallfromgrace.linux import LinuxSource
from fallfromgrace.source import Unready
from fallfromgrace.table import UNREADABLE
from tests import stalling
from tests.proctree import Proc
from tests.torture import Figure
from tests.torture._daemon import daemon
from tests.victims import marker, until, victim

TITLE = "50 processes whose command line hangs"
GOAL = "each look under 2 s, other rules still act"
FULL = {"count": 50, "real": True}
SHORT = {"count": 50, "real": False}

_LONGEST_LOOK, _LONGEST_REACTION, _LOOKS = 2.0, 5.0, 5
_BIG = 30  # MiB
_EXECUTING = 10


class _Born(NamedTuple):
    """Those of one moment: who hangs, and one who does not."""

    hanging: list[int]
    honest: int


def run(count: int, real: bool) -> Figure:
    """Half of them are there before the first look, the others come later."""
    if real and (why := stalling.lacking()):
        return Figure(f"not run: {why}", False, (why,))
    with TemporaryDirectory() as where:
        if real:
            return _real(Path(where), count)
        longest, faults = _looks(where, _files(Proc(Path(where)), count), "/opt/stalled", "honest")
    said = f"looks of {longest:.2f} s at most, with {count} files instead of processes"
    return Figure(said, longest < _LONGEST_LOOK and not faults, tuple(faults))


def _real(where: Path, count: int) -> Figure:
    with stalling.stall(where) as stall:
        mark = marker()
        longest, faults = _looks("/proc", _processes(stall, mark, count), stall.program, mark)
    with stalling.stall(where) as stall, _executing(where):
        reaction, more = _reaction(where, stall, count)
    said = f"looks of {longest:.2f} s at most, a hog was signalled after {reaction:.1f} s"
    faults += more
    return Figure(said, longest < _LONGEST_LOOK and reaction < _LONGEST_REACTION and not faults, tuple(faults))


@contextlib.contextmanager
def _executing(where: Path) -> Iterator[None]:
    """Some whose stat line hangs, if there is what makes them."""
    if shutil.which("gcc") is None:
        yield
        return
    place = where / "executing"
    place.mkdir()
    with stalling.stall(place, stalling.who_executes(place)) as stall:
        pids = [pid for _ in range(_EXECUTING) for pid in stall.victims("stalled", when="0")]
        until(lambda: all(stalling.hangs(pid, 0.2, "stat") for pid in pids), "they hang")
        yield


# --- looks ---


def _files(proc: Proc, count: int) -> Iterator[_Born]:
    for first, honest in ((100, 10_000), (100 + count // 2, 10_001)):
        hanging = list(range(first, first + count // 2))
        for pid in hanging:
            proc.put(pid, exe="/opt/stalled")
            (proc.path / str(pid) / "cmdline").unlink()
            os.mkfifo(proc.path / str(pid) / "cmdline")
        proc.put(honest, "honest")
        yield _Born(hanging, honest)


def _processes(stall: stalling.Stall, mark: str, count: int) -> Iterator[_Born]:
    for _ in range(2):
        with victim(mark) as honest:
            yield _Born(stall.victims("stalled", count=count // 2), honest.pid)


def _looks(root: str, births: Iterator[_Born], program: str, mark: str) -> tuple[float, list[str]]:
    """How long the longest of some looks after each birth took, and who was not found."""
    source = LinuxSource(lambda _: None, root, connect=_no_events)
    source.configure(lambda image: mark in image.cmdline or image.exe == program, process_events=False)
    longest, now, found, faults = 0.0, 0.0, dict[int, str](), list[str]()
    try:
        for born in births:
            for _ in range(_LOOKS + len(born.hanging) // 20):
                began, now = time.monotonic(), now + 1
                with contextlib.suppress(Unready):
                    found = {process.id.pid: process.image.cmdline for process in source.look(now)}
                longest = max(longest, time.monotonic() - began)
            faults += [f"{pid} hangs, and was not found" for pid in born.hanging if found.get(pid) != UNREADABLE]
            faults += [] if born.honest in found else ["one who does not hang was not found"]
    finally:
        source.close()
    return longest, faults


def _no_events() -> Feed:
    raise Unavailable("not asked for")


# --- the program ---


def _reaction(where: Path, stall: stalling.Stall, count: int) -> tuple[float, list[str]]:
    """How soon a rule about an honest process acts, and whom of those who hang the rule about them has not found."""
    mark = marker()
    hanging = stall.victims("stalled", count=count // 2, mib=_BIG)
    with daemon(where, _CONFIGURATION.format(mark=mark, program=stall.program)) as running:
        hanging += stall.victims("stalled", count=count // 2, mib=_BIG)
        began = time.monotonic()
        with victim(mark, mib=2 * _BIG) as hog:
            until(lambda: hog.ended_by() == signal.SIGTERM, "the hog is ended", 60)
        reaction = time.monotonic() - began
        deadline = time.monotonic() + 20
        while len(running.said("text=found")) < len(hanging) and time.monotonic() < deadline:
            time.sleep(0.1)
        lost = [f"no rule found {pid}" for pid in hanging if not running.said("text=found", f"pid={pid} ")]
        began = time.monotonic()
        running.end()
        slow = time.monotonic() - began
    return reaction, lost + ([f"it took {slow:.1f} s to end"] if slow > 1 else [])


_CONFIGURATION = """\
interval: 1s
hog:
  cmdline: {mark}
  actions:
    rmem > 50m: term
stalled:
  exe: {program}$
  actions:
    rmem > 25m: log found
"""
