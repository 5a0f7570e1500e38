"""The command: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import cost, footprint, growth, idle, native, reaction, start
from bench.contenders import PROGRAM
from bench.environment import description, disturbance
from bench.keeper import kept
from bench.plots import draw
from bench.report import render
from bench.setting import Setting

PHASES: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "start": start.run,
    "footprint": footprint.run,
    "idle": idle.run,
    "reaction": reaction.run,
    "overshoot": reaction.overshoot,
    "growth": growth.run,
    "cost": cost.run,
}
QUICK_PHASES = [name for name in PHASES if name != "growth"]
BEGIN, END = "<!-- results: written by the bench -->\n", "<!-- end of results -->\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench", description="What fall-from-grace costs, beside others.")
    add = parser.add_argument
    add("phases", nargs="*", metavar="PHASE", help=f"only these of {', '.join(PHASES)}")
    add("--quick", action="store_true", help="smaller crowds, fewer turns: under two minutes")
    add("--json", type=Path, metavar="FILE", help="write all numbers")
    add("--results", type=Path, metavar="FILE", help="measure nothing; report what --json has written")
    add("--write", type=Path, metavar="FILE", help="replace the marked section of this file by the report")
    add("--plots", type=Path, metavar="DIRECTORY", help="write cost.svg and reaction.svg; needs matplotlib")
    add("--program", type=Path, default=PROGRAM, metavar="FILE", help="bin/fall-from-grace of another checkout")
    given = parser.parse_args()
    if unknown := [name for name in given.phases if name not in PHASES]:
        parser.error(f"there is no phase '{unknown[0]}'; write one of {', '.join(PHASES)}")
    return given


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run the phases; all numbers."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        for program in native.PROGRAMS:
            native.build(program, directory)
        setting = Setting(directory, directory, given.quick, given.program.resolve())
        if os.geteuid():
            setting.tell("not root: the kernel may give no process events, and memory of others cannot be read")
        results: dict[str, Any] = {"machine": description(setting.ours), "quick": given.quick}
        results |= {"disturbance": {}, "skipped": setting.skipped, "phases": {}}
        for phase in given.phases or (QUICK_PHASES if given.quick else PHASES):
            results["disturbance"][phase] = _quiet(setting)
            results["phases"][phase] = PHASES[phase](setting)
    return results


def _quiet(setting: Setting) -> dict[str, float]:
    found = disturbance(0.4 if setting.quick else 1.0)
    if found["busy_percent"] > 10 or found["forks_per_s"] > 20:
        busy, forks = found.values()
        setting.tell(f"others use {busy:.0f}% of one core, {forks:.0f} forks/s: do not believe what follows too much")
    return found


def publish(results: dict[str, Any], given: argparse.Namespace) -> None:
    """Print the report, and write what was asked for."""
    report = render(results)
    print(f"\n{report}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    if given.write:
        before, marked, rest = given.write.read_text().partition(BEGIN)
        if not marked:
            raise ValueError(f"{given.write} has no line {BEGIN.strip()!r}; write one, and {END.strip()!r} below it")
        given.write.write_text(f"{before}{BEGIN}\n{report}\n{END}{rest.partition(END)[2]}")
    if given.plots:
        print("\n".join(f"wrote {path}" for path in draw(results, given.plots)))


def main(given: argparse.Namespace) -> int:
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)  # before an effort of a quarter of an hour
    try:
        results = json.loads(given.results.read_text()) if given.results else measure(given)
    except FileNotFoundError as missing:
        print(f"there are no results in '{missing.filename}'; write them with --json", file=sys.stderr)
        return 66
    except native.NoCompiler as why:
        print(why, file=sys.stderr)
        return 69
    publish(results, given)
    return 0


if __name__ == "__main__":
    arguments = parse()
    sys.exit(kept(lambda: main(arguments)))
