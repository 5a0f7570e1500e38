"""`check`: whether configuration files are right, everything that is not, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fallfromgrace import config, exits, lint, terminal
from fallfromgrace.errors import ConfigError
from fallfromgrace.records import replace
from fallfromgrace.rules import counted


def run(paths: Sequence[Path], quiet: bool, strict: bool = False) -> int:
    """The exit status: 0 when every file is right, and `strict` only without warnings.

    What is wrong goes to stderr, even when quiet.
    """
    results = [_check(path, quiet) for path in paths]
    if None in results:
        return exits.CONFIG
    return exits.NO if strict and any(results) else exits.OK


def _check(path: Path, quiet: bool) -> int | None:
    """The number of warnings, or None where something is wrong."""
    try:
        found = config.read(path)
    except ConfigError as error:
        exits.complain(str(error))
        return None
    warnings = lint.warnings(found)
    for each in warnings:
        exits.complain(str(replace(each, text=f"warning: {each.text}")))
    if not quiet:
        judged = counted(len(warnings), "warning") if warnings else "fine"
        print(terminal.showable(f"{_names(found.files)}: {found.config.summary}, {judged}"))
    return len(warnings)


def _names(read: Sequence[Path]) -> str:
    main, *more = read
    return f"{main} and {counted(len(more), 'file')} in {more[0].parent}" if more else str(main)
