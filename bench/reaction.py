"""How long it takes from crossing a limit to the signal, and how far a process gets that grows fast."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from bench.accounting import cpu_ns, summary
from bench.contenders import MONIT, Contender, Rule, monit, ours
from bench.crowd import crowd
from bench.running import Running
from bench.setting import Setting, new_marker
from bench.victims import Crossing, Victim, victims

SIZE, WATCHED = 500, 50
# They take turns, so that each was seen below its limit again, and for long enough, before it crosses it next.
VICTIMS = 5
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 6, 2
NEAR_MIB = 40  # within 50 MiB of its limit
RATE_MIB = 1024  # per second: what is promised to be caught within 64 MiB

Run = Callable[[Victim], Crossing | None]


def run(setting: Setting) -> dict[str, Any]:
    """By contender: delays in ms of a process that sat near its limit, the CPU of that time, and if it only sits."""
    # Of Monit's each takes a second or two.
    plan = [(ours()[0], 10), (monit(), 4)] if setting.quick else [*((each, 100) for each in ours()), (monit(), 25)]
    return {each.name: found for each, count in plan if (found := _phase(setting, each, 128, count, _near(each)))}


def overshoot(setting: Setting) -> dict[str, Any]:
    """By contender: MiB beyond the limit and delay in ms of a process that grows at 1 GiB/s from nothing."""
    runs = 10 if setting.quick else 100
    return {each.name: found for each in ours()[:1] if (found := _phase(setting, each, 512, runs, _growing))}


def _near(contender: Contender) -> Run:
    """Sit near the limit for a while that nobody can guess, and then cross it."""
    wander = 1.0 if contender.name == MONIT else 0.25

    def run(victim: Victim) -> Crossing | None:
        victim.hold(victim.limit_mib - NEAR_MIB)
        time.sleep(0.2 + random.uniform(0, wander))  # noqa: S311 - a moment, not a secret
        return victim.grow(victim.limit_mib + 4)

    return run


def _growing(victim: Victim) -> Crossing | None:
    time.sleep(random.uniform(0.1, 0.3))  # noqa: S311 - a moment, not a secret
    return victim.grow(victim.limit_mib * 3, RATE_MIB)


def _phase(setting: Setting, contender: Contender, limit_mib: int, runs: int, run: Run) -> dict[str, Any] | None:
    setting.tell(f"{contender.name}: {runs} times across a limit of {limit_mib} MiB, {WATCHED} watched")
    with _stage(setting, contender, limit_mib) as (each, prey):
        if not each:
            return None
        began, used = time.monotonic_ns(), cpu_ns(each.process.pid)
        crossings = [run(victim) for victim in islice(cycle(prey), runs)]
        cost = (cpu_ns(each.process.pid) - used) * 1e3 / (time.monotonic_ns() - began)
        prey[0].hold(limit_mib - NEAR_MIB)
        time.sleep(1.5)  # until what fired is over, too
        waiting = each.cost(3 if setting.quick else 8)
    seen = [crossing for crossing in crossings if crossing]
    found: dict[str, Any] = {
        "delays_ms": [crossing.delay_ms for crossing in seen],
        "overshoots_mib": [crossing.overshoot_mib for crossing in seen],
        "missed": runs - len(seen),
        "cpu_ms_per_s": cost,
        "waiting_cpu_ms_per_s": waiting,
    }
    delay = ", ".join(f"{name} {value:.1f}" for name, value in summary(found["delays_ms"]).items())
    setting.tell(f"  ms: {delay}; CPU {cost:.2f} ms/s, {waiting:.2f} while nothing crosses")
    return found


@contextmanager
def _stage(setting: Setting, contender: Contender, limit_mib: int) -> Iterator[tuple[Running | None, list[Victim]]]:
    """A crowd, the victims in it, and a contender that watches both."""
    marker, warm_up = new_marker(), QUICK_WARM_UP_SECONDS if setting.quick else WARM_UP_SECONDS
    with (
        crowd(SIZE - VICTIMS, WATCHED - VICTIMS, marker, setting.programs),
        victims(VICTIMS, setting.programs, limit_mib, marker) as prey,
    ):
        task = setting.task(marker)
        rules = tuple(Rule(victim.word, limit_mib, victim.process.pid) for victim in prey)
        task = replace(task, rules=(*task.rules, *rules))
        with setting.all_running([contender], task, warm_up) as started:
            yield (started[0] if started else None), prey
