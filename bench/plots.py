"""The two pictures: cost against the size of the crowd, and reaction against cost. Needs matplotlib."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any


def draw(results: dict[str, Any], directory: Path) -> list[Path]:
    """Write cost.svg and reaction.svg; those that there is something for."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "figure.figsize": (7, 4.5), "axes.grid": True})
    directory.mkdir(parents=True, exist_ok=True)
    phases = results["phases"]
    pictures = {"cost": _cost, "reaction": _reaction}
    return [picture(phases[name], directory / f"{name}.svg") for name, picture in pictures.items() if phases.get(name)]


def _figure(title: str, across: str, up: str) -> tuple[Any, Any]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(layout="constrained")
    axes.set(title=title, xlabel=across, ylabel=up, xscale="log", yscale="log")
    return figure, axes


def _cost(cost: dict[str, Any], path: Path) -> Path:
    figure, axes = _figure("What looking once a second costs", "processes on the machine", "CPU, ms per second")
    for name in next(iter(cost.values())):
        points = [(int(size), costs[name]) for size, costs in cost.items() if name in costs]
        middles = [statistics.median(values) for _, values in points]
        below = [middle - min(values) for middle, (_, values) in zip(middles, points, strict=True)]
        above = [max(values) - middle for middle, (_, values) in zip(middles, points, strict=True)]
        axes.errorbar([size for size, _ in points], middles, yerr=[below, above], marker="o", capsize=3, label=name)
    sizes = [int(size) for size in cost]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    figure.savefig(path)
    return path


def _reaction(reaction: dict[str, Any], path: Path) -> Path:
    figure, axes = _figure(
        "From crossing a limit to the signal, and what that costs", "CPU, ms per second", "delay, ms"
    )
    for name, run in reaction.items():
        delays = sorted(run["delays_ms"])
        costs = [run["waiting_cpu_ms_per_s"]] * len(delays)
        dots = axes.plot(costs, delays, "_", alpha=0.5, markersize=14)
        axes.plot(costs[:1], [statistics.median(delays)], "o", color=dots[0].get_color(), label=name)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.legend(title="dot: median")
    figure.savefig(path)
    return path
