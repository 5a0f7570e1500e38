"""What one look costs, beside what it would cost to read everything of everybody with psutil.

Builds a crowd of idle processes, a twelfth of them covered by a monitor, and prints milliseconds of CPU for each look
of both, in turn, in one run: only their ratio means anything on another machine.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from fallfromgrace.engine import Engine
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.protection import Self
from fallfromgrace.rules import Config, Monitor, Selector, Settings, make_rules
from fallfromgrace.source import PsutilSource

ROUNDS = 20


@contextmanager
def crowd(size: int, marker: str) -> Iterator[None]:
    """Idle processes with command lines of a realistic length, ended by their pids."""
    words = ["--option=/usr/lib/some/where", "--other", "x" * 60]
    started = []
    try:
        for number in range(size):
            role = "covered" if number % 12 == 0 else "plain"
            started.append(
                subprocess.Popen(["/bin/sh", "-c", "read x", f"{role}-{marker}", *words], stdin=subprocess.PIPE)
            )
        yield
    finally:
        for each in started:
            each.kill()
        for each in started:
            each.communicate()


def configuration(marker: str) -> Config:
    """One monitor that covers a part of the crowd, and four that cover nobody."""
    rules = make_rules([("rmem > 900g", parse_trigger("rmem > 900g"), [parse_action("kill")])])
    patterns = [f"covered-{marker}", *(f"nobody-{number}-{marker}" for number in range(4))]
    monitors = (Monitor(f"m{n}", Selector(re.compile(pattern)), rules) for n, pattern in enumerate(patterns))
    return Config(Settings(), tuple(monitors))


def ours(marker: str) -> Callable[[], None]:
    """A look and a sweep, as the loop makes them; every ten seconds one."""
    source, engine, clock = PsutilSource(), Engine(configuration(marker), Self(1)), iter(range(0, 10**9, 10))

    def look() -> None:
        now = float(next(clock))
        table = source.look(now)
        seen = engine.look(table, (), now)
        while wants := engine.wants(seen):
            seen.readings.add(wants, source.measure(wants, now))
        engine.sweep(seen)

    return look


def plain() -> None:
    """Everything of everybody with psutil: what the program of 2012 did."""
    for process in psutil.process_iter():
        with suppress(psutil.Error), process.oneshot():
            process.cmdline(), process.ppid(), process.memory_info()


def cpu_ms(look: Callable[[], None]) -> float:
    began = time.process_time()
    look()
    return (time.process_time() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 500, 2000], help="processes in the crowd")
    print("    N     ours  psutil   ratio   (ms of CPU for a look, medians of alternating looks)")
    for size in parser.parse_args().sizes:
        marker = uuid.uuid4().hex
        with crowd(size, marker):
            look = ours(marker)
            for _ in range(3):  # first looks read every command line
                look()
            pairs = [(cpu_ms(look), cpu_ms(plain)) for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{size:5} {mine:8.1f} {theirs:7.1f} {mine / theirs:7.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
