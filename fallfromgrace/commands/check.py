"""`check`: whether configuration files are right, and everything that is not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fallfromgrace import config, exits
from fallfromgrace.errors import ConfigError
from fallfromgrace.rules import Config


def run(paths: Sequence[Path], quiet: bool) -> int:
    """The exit status: 0 when every file is right. What is wrong goes to stderr, even when quiet."""
    results = [_check(path, quiet) for path in paths]
    return exits.OK if all(results) else exits.CONFIG


def _check(path: Path, quiet: bool) -> bool:
    try:
        read, found = config.files(path), config.load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return False
    if not quiet:
        print(_printable(f"{_names(read)}: {_summary(found)}, fine"))
    return True


def _names(read: Sequence[Path]) -> str:
    main, *more = read
    return f"{main} and {_counted(len(more), 'file')} in {more[0].parent}" if more else str(main)


def _summary(found: Config) -> str:
    rules = sum(len(monitor.rules) for monitor in found.monitors)
    return f"{_counted(len(found.monitors), 'monitor')}, {_counted(rules, 'rule')}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _printable(text: str) -> str:
    """A file's name may hold bytes that no terminal can show."""
    return text.encode(errors="backslashreplace").decode()
