"""The configuration as it is on the disk now, where that is not what a daemon goes by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fallfromgrace import files, tidings
from fallfromgrace.columns import INDENT
from fallfromgrace.errors import ConfigError
from fallfromgrace.published import Published
from fallfromgrace.tidings import Basis

if TYPE_CHECKING:
    from fallfromgrace.config import Written

# More are told by who was asked for them.
_MOST_TOLD = 5


class Unloaded(NamedTuple):
    """One that nobody goes by: what there is to say of that, and everything that keeps a daemon from using it, in a
    line each; that is empty where all is well, or where only the daemon's user can tell."""

    path: str
    note: str
    problems: tuple[str, ...] = ()


def since(found: Published, mine: bool) -> Unloaded | None:
    """What was changed since a daemon that runs, and is ours or not, has loaded it, or has refused to."""
    loading, path = found.configuration, Path(found.config)
    known = max(loading.loaded.wall, loading.last.at.wall if loading.last else 0.0)
    changed = files.changed_at(files.named(path)) > known
    if not mine:
        return Unloaded(found.config, tidings.changed(found)) if changed else None
    # Who takes a file away changes the directory. It costs next to nothing to find that there is nothing to be read.
    changed = changed or files.changed_at(files.around(path)) > known or not os.path.lexists(path)
    return _difference(found) if changed else None


def _difference(found: Published) -> Unloaded | None:
    """How what is there differs from what a daemon of ours has loaded."""
    written, problems = _read(found.config)
    if written is None:
        refused = f"{found.config} has mistakes; the daemon goes on by what it has loaded, and would not load this:"
        return Unloaded(found.config, refused, problems)
    note = tidings.divergence(found, Basis(written.config, found.config, files.changed_at(written.files)))
    return Unloaded(found.config, note) if note else None


def unusable(path: str) -> Unloaded | None:
    """What keeps a daemon of ours from starting with a configuration; None where nothing does."""
    _, problems = _read(path)
    return Unloaded(path, f"{path} has mistakes, and no daemon starts with it:", problems) if problems else None


def _read(path: str) -> tuple[Written | None, tuple[str, ...]]:
    from fallfromgrace import config  # half as long as all the rest

    try:
        return config.read(Path(path)), ()
    except ConfigError as error:
        return None, tuple(each.headline for each in error.problems)


def lines(found: Unloaded) -> Iterator[str]:
    """What there is to say, with the first of its problems."""
    yield found.note
    yield from (f"{INDENT}{problem}" for problem in found.problems[:_MOST_TOLD])
    if len(found.problems) > _MOST_TOLD:
        yield f"{INDENT}and {len(found.problems) - _MOST_TOLD} more; 'fall-from-grace check {found.path}' tells all"
