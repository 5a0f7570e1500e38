"""What ours costs on a quiet machine as it comes: the default interval, everybody far from every limit."""

from __future__ import annotations

import time
from typing import Any

from bench.accounting import cpu_ns
from bench.contenders import ours
from bench.crowd import crowd
from bench.setting import Setting, new_marker

SIZE, WATCHED = 500, 50
# The default interval is ten seconds: a window has two of it.
WARM_UP_SECONDS, WINDOW_SECONDS = 12, 20
QUICK_WARM_UP_SECONDS, QUICK_WINDOW_SECONDS = 6, 10


def run(setting: Setting) -> dict[str, Any]:
    """Percent of one core, one value for each window; both of ours side by side, since neither does much."""
    marker, windows = new_marker(), 1 if setting.quick else 2
    warm_up = QUICK_WARM_UP_SECONDS if setting.quick else WARM_UP_SECONDS
    seconds = QUICK_WINDOW_SECONDS if setting.quick else WINDOW_SECONDS
    setting.tell(f"idle: {SIZE} processes, {WATCHED} watched, default interval")
    with (
        crowd(SIZE, WATCHED, marker, setting.programs),
        setting.all_running(ours(), setting.task(marker, interval=None), warm_up) as started,
    ):
        shares: dict[str, list[float]] = {each.name: [] for each in started}
        for _ in range(windows):
            before = {each: (time.monotonic_ns(), cpu_ns(each.process.pid)) for each in started}
            time.sleep(seconds)
            for each, (began, used) in before.items():
                share = (cpu_ns(each.process.pid) - used) / (time.monotonic_ns() - began)
                shares[each.name].append(100 * share)
    setting.tell("  " + ", ".join(f"{name} {max(values):.3f}%" for name, values in shares.items()))
    return shares
