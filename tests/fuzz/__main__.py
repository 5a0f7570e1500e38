"""A long run: `python -m tests.fuzz --help`. A run with the same seed and numbers makes the same texts."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.checks import check_file, check_text
from tests.fuzz.texts import configurations, texts

CHUNK = 5000
FILES_IN_CHUNK = 100


class Tally(NamedTuple):
    """What came of one chunk; `slowest` is the longest time that one took, and which."""

    made: int = 0
    read: int = 0
    faults: tuple[str, ...] = ()
    slowest: tuple[float, str] = (0.0, "")

    def plus(self, other: Tally) -> Tally:
        faults = self.faults + other.faults
        return Tally(self.made + other.made, self.read + other.read, faults, max(self.slowest, other.slowest))


def fuzz_texts(seed: str, number: int) -> Tally:
    dice = random.Random(seed)
    return _tally(
        (text, lambda text=text, valid=valid: check_text(text, valid, dice)) for text, valid in texts(dice, number)
    )


def fuzz_files(seed: str, number: int) -> Tally:
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.conf"
        return _tally((data, lambda data=data: check_file(data, path)) for data in configurations(dice, number))


def _tally(cases: Iterable[tuple[str | bytes, Callable[[], int | bool]]]) -> Tally:
    made = read = 0
    faults: list[str] = []
    slowest = (0.0, "")
    for case, check in cases:
        made += 1
        start = time.perf_counter()
        try:
            read += bool(check())
        except Exception as error:  # noqa: BLE001 - anything that gets through is what is looked for
            faults.append(f"{case!r}\n    {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
        slowest = max(slowest, (time.perf_counter() - start, repr(case)[:100]))
    return Tally(made, read, tuple(faults), slowest)


def _run(options: argparse.Namespace) -> tuple[Tally, Tally]:
    """The tallies of texts and of files, as far as the time allows."""
    started = time.monotonic()
    jobs = [(fuzz_texts, f"{options.seed}/{n}", CHUNK) for n in range(-(-options.texts // CHUNK))]
    files = [(fuzz_files, f"{options.seed}/{n}", FILES_IN_CHUNK) for n in range(-(-options.files // FILES_IN_CHUNK))]
    every = max(1, len(jobs) // max(1, len(files)))
    for place, job in enumerate(files):
        jobs.insert(place * (every + 1), job)
    tallies = {fuzz_texts: Tally(), fuzz_files: Tally()}
    running: dict[Future[Tally], Callable[[str, int], Tally]] = {}
    with ProcessPoolExecutor(options.processes) as pool:
        while jobs or running:
            while jobs and len(running) < 2 * options.processes and time.monotonic() - started < options.seconds:
                work, seed, number = jobs.pop(0)
                running[pool.submit(work, seed, number)] = work
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                work = running.pop(each)
                tallies[work] = tallies[work].plus(each.result())
    return tallies[fuzz_texts], tallies[fuzz_files]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--texts", type=int, default=1_000_000, help="how many, each for both parsers (%(default)s)")
    parser.add_argument("--files", type=int, default=10_000, help="how many configuration files (%(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1800, help="begin nothing new after so long (%(default)s)")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.processes} processes", flush=True)
    started = time.monotonic()
    found = _run(options)
    took = time.monotonic() - started
    for kind, wanted, tally in zip(("texts", "files"), (options.texts, options.files), found, strict=True):
        print(f"{tally.made} {kind} ({wanted} wanted), {tally.read} of them valid, {len(tally.faults)} faults")
        print(f"  slowest: {tally.slowest[0] * 1000:.0f} ms for {tally.slowest[1]}")
    made = sum(tally.made for tally in found)
    print(f"{took:.0f} s, {made / took:.0f} each second")
    for fault in [fault for tally in found for fault in tally.faults][:20]:
        print(f"\n{fault}")
    short = any(tally.made < wanted for tally, wanted in zip(found, (options.texts, options.files), strict=True))
    if short:
        print("the time was too short for all of them")
    return 1 if short or any(tally.faults for tally in found) else 0


if __name__ == "__main__":
    sys.exit(main())
