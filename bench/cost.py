"""CPU for each second, everybody looking once a second, in crowds of several sizes."""

from __future__ import annotations

from typing import Any

from bench.contenders import OURS, POLLING, everyone
from bench.crowd import crowd
from bench.environment import forks
from bench.running import Running
from bench.setting import Setting, new_marker

# A new process is looked at closely for five seconds; only then is it quiet.
WARM_UP_SECONDS = 7
WATCHED_SHARE = 0.08


def run(setting: Setting) -> dict[str, Any]:
    """For each size of the crowd and each contender, ms of CPU per second: one value for each round."""
    sizes, rounds = ((500,), 2) if setting.quick else ((100, 500, 2000, 8000), 4)
    return {str(size): _one_size(setting, size, rounds) for size in sizes}


def _one_size(setting: Setting, size: int, rounds: int) -> dict[str, list[float]]:
    marker = new_marker()
    setting.tell(f"cost: a crowd of {size}")
    with (
        crowd(size, round(size * WATCHED_SHARE), marker, setting.programs),
        setting.all_running(everyone(), setting.task(marker), WARM_UP_SECONDS) as started,
    ):
        for each in started:
            each.hold()
        costs: dict[str, list[float]] = {each.name: [] for each in started}
        for _ in range(rounds):
            before = forks()
            for each in started:
                costs[each.name].append(_turn(each, setting.quick))
            last = ", ".join(f"{name} {values[-1]:.2f}" for name, values in costs.items())
            setting.tell(f"  {last} ms/s; others started {forks() - before} processes")
    return costs


def _turn(each: Running, quick: bool) -> float:
    """Ours does some things not each second, and catches up on more after having been held."""
    if each.name in (OURS, POLLING):
        return each.measure(2 if quick else 4, settle=1.2)
    return each.measure(1 if quick else 2, settle=0.5)
