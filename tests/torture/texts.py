"""Texts for the language, from nonsense to valid: whatever is in them, they are read or it is said why not."""

from __future__ import annotations

import os
import random
import time

from tests.fuzz.running import Tally, fuzz_texts, hypothesis_texts, jobs
from tests.fuzz.running import run as at_once
from tests.torture import Figure

TITLE = "random rule strings"
GOAL = "10 million, only the language's own errors"
FULL = {"generated": 9_960_000, "drawn": 40_000}
SHORT = {"generated": 2000, "drawn": 100}


def run(generated: int, drawn: int) -> Figure:
    seed, began = str(random.SystemRandom().randrange(10**9)), time.monotonic()
    todo = jobs(hypothesis_texts, seed, drawn, 1000) + jobs(fuzz_texts, seed, generated, 5000)
    tallies = at_once(todo, os.cpu_count() or 1, seconds=3600)
    both = Tally().plus(tallies[fuzz_texts]).plus(tallies[hypothesis_texts])
    took = time.monotonic() - began
    said = (
        f"{both.made:,} texts, {tallies[hypothesis_texts].made:,} of them by hypothesis, each for both parsers; "
        f"{both.read:,} valid, {len(both.faults)} faults, {both.made / took:,.0f} a second, "
        f"the slowest took {both.slowest[0] * 1000:.0f} ms; seed {seed}"
    )
    return Figure(said, not both.faults and both.made >= generated + drawn // 2, both.faults)
