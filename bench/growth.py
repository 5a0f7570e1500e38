"""What a look costs with many monitors, if nothing is new: regular expressions are searched once for each image."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from bench.contenders import Rule, ours
from bench.cost import WARM_UP_SECONDS
from bench.crowd import crowd
from bench.running import Running, running
from bench.setting import Setting, new_marker

SIZE, WATCHED = 500, 40


def run(setting: Setting) -> dict[str, Any]:
    """By number of monitors, ms of CPU per second: one value for each round."""
    counts, rounds = ((1, 100), 1) if setting.quick else ((1, 10, 100, 1000), 3)
    marker = new_marker()
    setting.tell(f"growth: {SIZE} processes, monitors {', '.join(map(str, counts))}")
    with crowd(SIZE, WATCHED, marker, setting.programs), ExitStack() as stack:
        started: dict[int, Running] = {}
        for count in counts:
            task = replace(setting.task(marker), rules=_rules(count, marker))
            started[count] = stack.enter_context(running(ours()[0], task))
        time.sleep(WARM_UP_SECONDS + 1)
        for each in started.values():
            each.hold()
        costs: dict[str, list[float]] = {str(count): [] for count in counts}
        for _ in range(rounds):
            for count, each in started.items():
                costs[str(count)].append(each.measure(2 if setting.quick else 3, settle=1.2))
    setting.tell("  " + ", ".join(f"{count}: {statistics.median(values):.2f} ms/s" for count, values in costs.items()))
    return costs


def _rules(count: int, marker: str) -> tuple[Rule, ...]:
    """The first one covers all that is watched, whatever the number of others, who cover nobody."""
    return (Rule(f"--run={marker}-w"), *(Rule(f"--run={marker}-nobody{number}x") for number in range(1, count)))
