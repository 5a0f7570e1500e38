"""Results to Markdown: goals and what was measured, then each phase in a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bench.accounting import quantile, summary
from bench.contenders import EXPORTER, FLOOR, MONIT, OURS, PLAIN, POLLING
from bench.footprint import BARE, DAEMON
from bench.start import DETACHED, FOREGROUND, IMPORTS

Results = dict[str, Any]


class Goal(NamedTuple):
    """Something promised; `measured` is empty where a contender was missing."""

    what: str
    limit: float
    measured: Sequence[float]
    show: Callable[[float], str]

    @property
    def met(self) -> bool:
        return statistics.median(self.measured) <= self.limit


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]


def spread(values: Sequence[float], show: Callable[[float], str] = "{:.2f}".format) -> str:
    """Median, and smallest to largest in brackets."""
    if not values:
        return "-"
    middle = show(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))} - {show(max(values))})"


def share(value: float) -> str:
    """A ratio below one as a fraction, since nobody sees at once what 0.0083 is."""
    return f"1/{1 / value:.0f}" if 0 < value < 0.2 else f"{value:.2f}"


def ratios(costs: dict[str, list[float]], ours: str, other: str) -> list[float]:
    """Ours to another's, turn by turn."""
    pairs = zip(costs.get(ours, ()), costs.get(other, ()), strict=False)
    return [mine / theirs for mine, theirs in pairs if theirs]


def render(results: Results) -> str:
    """The whole report."""
    phases = results["phases"]
    lines = [*_machine(results), *_goals(goals(phases))]
    for name, section in _SECTIONS.items():
        if phases.get(name):
            lines += section(phases[name])
    return "\n".join(lines).rstrip() + "\n"


def _machine(results: Results) -> list[str]:
    lines = table(["", ""], results["machine"].items())
    quiet = results["disturbance"].values()
    if quiet:
        busy, forks = (max(each[key] for each in quiet) for key in ("busy_percent", "forks_per_s"))
        lines += [f"Others used up to {busy:.0f}% of one core, and started up to {forks:.0f} processes a second.", ""]
    lines += [f"Left out: {name}: {why}" for name, why in results["skipped"].items()]
    return [*lines, ""]


def goals(phases: Results) -> list[Goal]:
    """All promises that this run can say something about."""
    found = [*_cost_goals(phases.get("cost", {})), *_reaction_goals(phases)]
    for name, limit in ((OURS, 0.1), (POLLING, 0.25)):
        measured = phases.get("idle", {}).get(name, [])
        found.append(Goal(f"idle, {name}: of one core", limit, measured, "{:.3f}%".format))
    day = list(phases.get("footprint", {}).get("day", {}).values())[-1:]
    found.append(Goal("PSS after a day", 10, [kib * 1024 / 1e6 for kib in day], "{:.1f} MB".format))
    found += _start_goals(phases.get("start", {}))
    found += _growth_goals(phases)
    return [goal for goal in found if goal.measured]


def _growth_goals(phases: Results) -> list[Goal]:
    """What one process costs in the largest crowd and in one of a sixteenth; and a thousand monitors, and one."""
    cost, monitors = phases.get("cost", {}), phases.get("growth", {})
    found = []
    for name in (OURS, POLLING):
        few, many = (cost.get(size, {}).get(name, []) for size in ("500", "8000"))
        each = [more / 16 / less for less, more in zip(few, many, strict=False)]
        found.append(Goal(f"CPU for each process, N=8000 / N=500: {name}", 1, each, "{:.2f}".format))
    medians = [statistics.median(values) for values in monitors.values()]
    flat = [max(medians) / min(medians)] if medians else []
    return [*found, Goal("1 to 1000 monitors, dearest / cheapest", 1.2, flat, "{:.2f}".format)]


def _start_goals(start: Results) -> list[Goal]:
    return [
        Goal(f"start, {name}: times the imports", 2.5, ratios(start, name, IMPORTS), "{:.2f}".format)
        for name in (FOREGROUND, DETACHED)
    ]


def _cost_goals(cost: Results) -> list[Goal]:
    found = []
    for size, costs in cost.items():
        if size in ("500", "8000"):
            limit = 1 / 30 if size == "500" else 1 / 100
            found.append(Goal(f"CPU, N={size}: {OURS} / Monit", limit, ratios(costs, OURS, MONIT), share))
        found.append(Goal(f"CPU, N={size}: {POLLING} / Monit", 1 / 15, ratios(costs, POLLING, MONIT), share))
        found.append(Goal(f"CPU, N={size}: {POLLING} / floor", 0.3, ratios(costs, POLLING, FLOOR), share))
        if size == "8000":
            found.append(Goal(f"CPU, N={size}: {OURS} / floor", 0.06, ratios(costs, OURS, FLOOR), share))
    return found


def _reaction_goals(phases: Results) -> list[Goal]:
    found = []
    reaction, theirs = phases.get("reaction", {}), phases.get("reaction", {}).get(MONIT)
    for name in (OURS, POLLING):
        if name not in reaction:
            continue
        delays = reaction[name]["delays_ms"]
        found.append(Goal(f"reaction, {name}: median", 35, [statistics.median(delays)], "{:.0f} ms".format))
        found.append(Goal(f"reaction, {name}: 99th percentile", 80, [quantile(delays, 0.99)], "{:.0f} ms".format))
        if theirs:
            part = reaction[name]["waiting_cpu_ms_per_s"] / theirs["waiting_cpu_ms_per_s"]
            found.append(Goal(f"CPU while one is near its limit: {name} / Monit", 0.1, [part], share))
    for name, run in phases.get("overshoot", {}).items():
        worst = [max(run["overshoots_mib"])] if run["overshoots_mib"] else []
        found.append(Goal(f"overshoot at 1 GiB/s, {name}: worst", 64, worst, "{:.0f} MiB".format))
    return found


def _goals(found: Sequence[Goal]) -> list[str]:
    rows = [
        [goal.what, f"<= {goal.show(goal.limit)}", spread(goal.measured, goal.show), "yes" if goal.met else "**no**"]
        for goal in found
    ]
    return ["### What was to be shown", "", *table(["", "goal", "measured", "met"], rows)]


def _cost(cost: Results) -> list[str]:
    names = [name for name in (OURS, POLLING, MONIT, EXPORTER, PLAIN, FLOOR) if any(name in c for c in cost.values())]
    head = ["", *(f"N={size}" for size in cost)]
    rows = [[name, *(spread(costs.get(name, [])) for costs in cost.values())] for name in names]
    for ours in (OURS, POLLING):
        for other in (MONIT, FLOOR):
            if {ours, other} <= set(names):
                cells = [spread(ratios(costs, ours, other), share) for costs in cost.values()]
                rows.append([f"*{ours} / {other}*", *cells])
    return ["### CPU, milliseconds for each second", "", *table(head, rows)]


def _idle(idle: Results) -> list[str]:
    rows = [[name, spread(values, "{:.3f}%".format)] for name, values in idle.items()]
    return ["### Idle, percent of one core", "", *table(["N=500, 50 watched, default interval", ""], rows)]


_RANKS = ("n", "min", "median", "p90", "p99", "max")


def _distribution(name: str, values: Sequence[float], digits: int = 0) -> list[str]:
    found = summary(values)
    return [name, *(f"{found[rank]:.{0 if rank == 'n' else digits}f}" if found else "-" for rank in _RANKS)]


def _reaction(reaction: Results) -> list[str]:
    rows = [
        [
            *_distribution(name, run["delays_ms"]),
            str(run["missed"]),
            f"{run['waiting_cpu_ms_per_s']:.2f}",
            f"{run['cpu_ms_per_s']:.2f}",
        ]
        for name, run in reaction.items()
    ]
    head = ["ms from crossing to signal", *_RANKS, "missed", "CPU ms/s, near", "CPU ms/s, with the crossings"]
    return ["### Reaction: one near its limit, 49 far", "", *table(head, rows)]


def _overshoot(overshoot: Results) -> list[str]:
    rows = []
    for name, run in overshoot.items():
        rows.append(_distribution(f"{name}: MiB beyond the limit", run["overshoots_mib"], 1))
        rows.append(_distribution(f"{name}: ms from crossing to signal", run["delays_ms"], 1))
    return ["### Overshoot: growing at 1 GiB/s", "", *table(["", *_RANKS], rows)]


def _footprint(found: Results) -> list[str]:
    rows = [
        [name, f"{found[name]:,}"]
        for name in (OURS, POLLING, DAEMON, BARE, MONIT, EXPORTER, PLAIN, FLOOR)
        if name in found
    ]
    rows += [[f"ours after {int(moment):,} s", f"{kib:,}"] for moment, kib in found["day"].items()]
    others = found["others with that Python"]
    shared = f"{others} others ran the same" if others else "one that nobody else runs"
    note = f"Each by itself; the Python is {shared}."
    return ["### Memory, PSS in KiB, N=500", "", *table(["", "KiB"], rows), note, ""]


def _start(start: Results) -> list[str]:
    yardstick = statistics.median(start[IMPORTS])
    rows = [
        [f"`{name}`" if name == IMPORTS else name, spread(times, "{:.0f}".format), f"{_median_over(times, yardstick)}"]
        for name, times in start.items()
    ]
    return ["### Start, ms until the first look is done, N=500", "", *table(["", "ms", "times"], rows)]


def _median_over(times: Sequence[float], yardstick: float) -> str:
    return f"{statistics.median(times) / yardstick:.2f}"


def _growth(growth: Results) -> list[str]:
    rows = [[count, spread(values)] for count, values in growth.items()]
    return ["### Many monitors, CPU milliseconds for each second, N=500", "", *table(["monitors", "ms"], rows)]


_SECTIONS = {
    "cost": _cost,
    "idle": _idle,
    "reaction": _reaction,
    "overshoot": _overshoot,
    "footprint": _footprint,
    "start": _start,
    "growth": _growth,
}
