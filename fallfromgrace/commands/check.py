"""`check`: whether configuration files are right, and everything that is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fallfromgrace import config, exits
from fallfromgrace.errors import ConfigError
from fallfromgrace.rules import counted


def run(paths: Sequence[Path], quiet: bool) -> int:
    """The exit status: 0 when every file is right. What is wrong goes to stderr, even when quiet."""
    results = [_check(path, quiet) for path in paths]
    return exits.OK if all(results) else exits.CONFIG


def _check(path: Path, quiet: bool) -> bool:
    try:
        read, found = config.files(path), config.load(path)
    except ConfigError as error:
        exits.complain(str(error))
        return False
    if not quiet:
        print(_printable(f"{_names(read)}: {found.summary}, fine"))
    return True


def _names(read: Sequence[Path]) -> str:
    main, *more = read
    return f"{main} and {counted(len(more), 'file')} in {more[0].parent}" if more else str(main)


def _printable(text: str) -> str:
    """A file's name may hold bytes that no terminal can show."""
    return text.encode(errors="backslashreplace").decode()
