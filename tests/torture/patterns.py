"""Regular expressions that backtrack badly, and command lines made for them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fallfromgrace.engine import Engine
from fallfromgrace.linux import LinuxSource
from fallfromgrace.looks import Look
from fallfromgrace.patience import Patience, Pattern, limited
from fallfromgrace.protection import Self
from fallfromgrace.rules import Config, Selector
from fallfromgrace.source import LONGEST_CMDLINE, Unready
from tests.builders import MIB, OUR_PID, config, monitor
from tests.proctree import Proc
from tests.torture import Figure

TITLE = "13 backtracking patterns, 1,000 hostile command lines"
GOAL = "60 ms a match at most, sweep under 2 s"
FULL = {"lines": 1000}
SHORT = {"lines": 26}

_LONGEST_MATCH, _LONGEST_SWEEP = 0.060, 2.0
_MOST_SWEEPS = 1000
_HOG = 30_000

# Each with what its texts begin with, and are made of.
PATTERNS = {
    r"(a+)+$": ("", "a"),
    r"(a|aa)+$": ("", "a"),
    r"(\w+\s?)+$": ("", "word "),
    r"(\s*\w+\s*)*;": ("", "a b "),
    r"([a-z]+)*\d$": ("", "z"),
    r"(x+x+)+y": ("", "x"),
    r".*.*.*q": ("", "a"),
    r"(.*?,){11}P": ("", "1,"),
    r"xulrunner-bin .*conkeror.*conkeror$": ("xulrunner-bin ", "conkeror"),
    r"^(?=(\w+)+:)": ("", "b"),
    r"(?<!x)(\S+\s+)*\S+;": ("", "c "),
    r"(.+)\1+\1;": ("", "ab"),
    r"^(([a-z])+.)+[A-Z]([a-z])+$": ("", "d"),
}


class _Sweeps(NamedTuple):
    longest: float
    hogs_found: int  # in the first one
    judged: int  # in the end
    count: int


def hostile(number: int) -> tuple[str, str]:
    """A pattern, and a text for it like no other: some are short, some have 8 KiB."""
    pattern, (head, pump) = list(PATTERNS.items())[number % len(PATTERNS)]
    tail = f"!{number}"
    length = (40, LONGEST_CMDLINE, 400, 4000)[number // len(PATTERNS) % 4] - len(head) - len(tail)
    return pattern, head + pump * (length // len(pump)) + tail


def run(lines: int) -> Figure:
    matches = [_match(*hostile(number)) for number in range(lines)]
    with TemporaryDirectory() as home:
        sweeps = _sweep(Path(home), lines)
    slow = max(matches, default=0)
    everybody = lines + len(PATTERNS)
    met = slow <= _LONGEST_MATCH and sweeps.longest <= _LONGEST_SWEEP
    found = f"{sweeps.hogs_found} of {len(PATTERNS)} hogs were found in the first sweep"
    said = f"{slow * 1000:.0f} ms a match, {sweeps.longest:.1f} s a sweep; {found}, all were judged in {sweeps.count}"
    missing = () if sweeps.judged == everybody else (f"{sweeps.judged} of {everybody} were judged in the end",)
    return Figure(said, met and not missing and sweeps.hogs_found == len(PATTERNS), missing)


def _match(pattern: str, text: str) -> float:
    """How long one search takes; what others do to the machine meanwhile does not count."""
    search = Pattern(re.compile(pattern), Patience(lambda _: None)).search
    began = time.thread_time()
    search(text)
    return time.thread_time() - began


def _sweep(home: Path, lines: int) -> _Sweeps:
    """Sweeps of a machine on which all hostile command lines begin at once, and beside them a hog for each pattern."""
    proc = Proc(home)
    for number in range(lines):
        proc.put(1000 + number, hostile(number)[1], uid=1001, rmem=200 * MIB)
    for number in range(len(PATTERNS)):
        proc.put(_HOG + number, f"/usr/bin/hog{number:02} --all", uid=1000, rmem=200 * MIB)
    patience = Patience(lambda _: None)
    engine = Engine(limited(_configuration(), patience), Self(OUR_PID))
    source = LinuxSource(lambda _: None, str(home), patience=patience)
    source.configure(engine.selects, process_events=False)
    sweeps = list(_until_all_are_judged(engine, source, lines + len(PATTERNS)))
    source.close()
    longest = max(seconds for seconds, _, _ in sweeps)
    return _Sweeps(longest, sweeps[0][1], sweeps[-1][2], len(sweeps))


def _configuration() -> Config:
    """One monitor for each pattern, which means one of the hogs besides, and one that is for everybody."""
    rules = {"rmem > 100m": "term"}
    each = (monitor(rules, f"m{n}", f"hog{n:02}|{regex}") for n, regex in enumerate(PATTERNS))
    return config(*each, monitor(rules, "all", None, uids=[1000, 1001]), protect=[Selector(re.compile(r"(a*)*b$"))])


def _until_all_are_judged(engine: Engine, source: LinuxSource, everybody: int) -> Iterator[tuple[float, int, int]]:
    """How long each sweep takes, how many hogs are acted upon, and how many are known by then."""
    for now in range(_MOST_SWEEPS):
        began = time.thread_time()
        known, hogs = 0, 0
        with suppress(Unready):
            table = source.look(now)
            known, hogs = len(table), _hogs_acted_upon(engine, engine.look(table, (), now), source)
        yield time.thread_time() - began, hogs, known
        if known == everybody:
            return


def _hogs_acted_upon(engine: Engine, look: Look, source: LinuxSource) -> int:
    while wants := engine.wants(look):
        look.readings.add(wants, source.measure(wants, look.now))
    whom = {verdict.process.id.pid for verdict in engine.sweep(look) if verdict.wants_signal and verdict.process}
    return sum(pid >= _HOG for pid in whom)
