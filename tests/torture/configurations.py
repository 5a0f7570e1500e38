"""Whole files, from nonsense to valid: whatever is in them, they are read or it is said why not."""

from __future__ import annotations

import os
import random
import time

from tests.fuzz.guided import available
from tests.fuzz.running import Tally, fuzz_files, guided_files, hypothesis_files, jobs
from tests.fuzz.running import run as at_once
from tests.torture import Figure

TITLE = "random configurations"
GOAL = "1 million, only ConfigError"
FULL = {"generated": 850_000, "drawn": 30_000, "guided": 120_000}
SHORT = {"generated": 800, "drawn": 100, "guided": 0}

_NAMES = {fuzz_files: "the generator", hypothesis_files: "hypothesis", guided_files: "atheris"}


def run(generated: int, drawn: int, guided: int) -> Figure:
    """Where there is no atheris, the generator makes its part."""
    seed, began = str(random.SystemRandom().randrange(10**9)), time.monotonic()
    by_atheris = guided if available() else 0
    todo = jobs(guided_files, seed, by_atheris, -(-by_atheris // 2) or 1)
    todo += jobs(hypothesis_files, seed, drawn, 500)
    todo += jobs(fuzz_files, seed, generated + guided - by_atheris, 500)
    tallies = at_once(todo, os.cpu_count() or 1, seconds=3600)
    whole = Tally()
    for tally in tallies.values():
        whole = whole.plus(tally)
    took = time.monotonic() - began
    parts = ", ".join(f"{tally.made:,} by {_NAMES[work]}" for work, tally in tallies.items())
    missing = "; atheris is not installed" if guided and not by_atheris else ""
    said = (
        f"{whole.made:,} files ({parts}{missing}), {len(whole.faults)} faults, {whole.made / took:,.0f} a second, "
        f"the slowest took {whole.slowest[0] * 1000:.0f} ms; seed {seed}"
    )
    return Figure(said, not whole.faults and whole.made >= generated + guided + drawn // 2, whole.faults)
