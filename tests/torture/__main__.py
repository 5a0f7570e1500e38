"""All of it: `python -m tests.torture --help`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.torture import ROWS, lacking, row


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description="What is promised, under attack.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}; all if none is given")
    parser.add_argument("--short", action="store_true", help="the short form of each, as in `make test`")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    results = [_run(name, options.short) for name in options.rows or ROWS]
    return 0 if all(results) else 1


def _run(name: str, short: bool) -> bool:
    module = row(name)
    print(f"{module.TITLE}\n    goal: {module.GOAL}", flush=True)
    if why := lacking(name):
        print(f"    not run: {why}", flush=True)
        return True
    began = time.monotonic()
    figure = module.run(**(module.SHORT if short else module.FULL))
    verdict = "met" if figure.met else "NOT MET"
    print(f"    {verdict}: {figure.said} ({time.monotonic() - began:.0f} s)", flush=True)
    for fault in figure.faults[:20]:
        print(f"    - {fault}")
    return figure.met


if __name__ == "__main__":
    sys.exit(main())
