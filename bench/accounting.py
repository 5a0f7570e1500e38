"""What the kernel says that a process has used."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def cpu_ns(pid: int) -> int:
    """CPU time of a process in ns: all its threads, those that have ended and children that it has reaped as well.

    The process's own is exact. That of reaped children, of which only Monit and its like have any, is in ticks.
    """
    own = time.clock_gettime_ns((~pid << 3) | 2)  # CPUCLOCK_SCHED of another process: see clock_getcpuclockid(3)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[13]) + int(fields[14])) * _TICK_NS


def pss_kib(pid: int) -> int:
    """What a process holds in memory, its fair share of what is shared."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def state(pid: int) -> str:
    """The kernel's letter for what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank: of a hundred values, 0.99 is the second largest."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """What a reader wants to know of a distribution; empty if there is none."""
    if not values:
        return {}
    shares = {"p90": 0.9, "p99": 0.99}
    ranks = {name: quantile(values, share) for name, share in shares.items()}
    return {"n": len(values), "min": min(values), "median": statistics.median(values), **ranks, "max": max(values)}
