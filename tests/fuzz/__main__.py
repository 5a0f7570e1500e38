"""A long run: `python -m tests.fuzz --help`. A run with the same seed and numbers makes the same texts."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fuzz.running import Tally, fuzz_files, fuzz_texts, jobs, run

CHUNK = 5000
FILES_IN_CHUNK = 500


def _run(options: argparse.Namespace) -> tuple[Tally, Tally]:
    """The tallies of texts and of files, as far as the time allows."""
    todo = jobs(fuzz_texts, options.seed, options.texts, CHUNK)
    files = jobs(fuzz_files, options.seed, options.files, FILES_IN_CHUNK)
    every = max(1, len(todo) // max(1, len(files)))
    for place, job in enumerate(files):
        todo.insert(place * (every + 1), job)
    tallies = run(todo, options.processes, options.seconds)
    return tallies.get(fuzz_texts, Tally()), tallies.get(fuzz_files, Tally())


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
