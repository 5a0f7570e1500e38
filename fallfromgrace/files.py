"""The files of a configuration, from the disk: trusted, whole, and read from where they were checked."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fallfromgrace.errors import Problem
from fallfromgrace.textfile import LARGEST
from fallfromgrace.trust import Kind, Rights, doubts

Report = Callable[[Problem], None]

# Editors and package managers leave `x.conf~`, `x.conf.dpkg-old` and the like beside a file.
_DROP_IN = re.compile(r"[A-Za-z0-9_-]+\.conf")
# What is hardly left behind by any of those, and yet is no name of a drop-in.
_MEANT = re.compile(r"[^.].*\.(conf|ya?ml)", re.DOTALL)
# Opening a FIFO must not wait for a writer, nor a terminal become ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_AROUND = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DROP_INS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_A_DIRECTORY = "this is a directory; a configuration is a text file"
_IRREGULAR = "this is not a regular file; a configuration is a text file"
_CHANGED = "the file changed while it was read; try again when it is written"


class Contents(NamedTuple):
    """A file, and what is in it."""

    path: Path
    data: bytes


class _Directory(NamedTuple):
    """One that is held open, so that what was checked is where files are opened."""

    descriptor: int
    trusted: bool


class _Unusable(Exception):
    """Why there is nothing to be read."""


def gather(path: Path, report: Report) -> tuple[Contents, ...]:
    """What is in a file and then in its drop-ins; what cannot be read or trusted is reported, and left out."""
    try:
        above = _trusted_above(path, report)
        descriptor = os.open(path.parent, _AROUND)
    except OSError as error:
        report(_problem(path, _unfound(error)))
        return ()
    with _held(path.parent, descriptor, Kind.AROUND, report) as around:
        around = around._replace(trusted=around.trusted and above)
        return (*_contents(path, around, report), *_drop_ins(path, around, report))


def named(path: Path) -> tuple[Path, ...]:
    """The files that a configuration would be read from, wherever they can be seen."""
    return (path, *(each for each in _beside(path) if _DROP_IN.fullmatch(each.name)))


def passed_over(path: Path) -> Iterator[Problem]:
    """What lies where drop-ins do, and looks as if somebody meant it to be one."""
    for each in _beside(path):
        if _MEANT.fullmatch(each.name) and not _DROP_IN.fullmatch(each.name):
            text = "this is passed over: the name of a drop-in is letters, digits, - and _, and then .conf"
            yield _problem(each, f"{text}; call it {re.sub('[^A-Za-z0-9_-]+', '-', each.stem)}.conf")


def _beside(path: Path) -> list[Path]:
    """All that is where the drop-ins of a configuration are, in their order."""
    if path.suffix != ".conf":
        return []
    directory = path.with_suffix(".d")
    try:
        return [directory / name for name in sorted(os.listdir(directory))]
    except OSError:
        return []


def around(path: Path) -> tuple[Path, Path]:
    """The directories that these are in."""
    return path.parent, path.parent / f"{path.stem}.d"


def changed_at(paths: Iterable[Path]) -> float:
    """When the last of these was changed, or put in its place, by the clock on the wall; 0 where that is not known, as
    it is not of what is still to come: the clock was set back since."""
    now = time.time()
    return max((each for each in _changes(paths) if each <= now), default=0.0)


def _changes(paths: Iterable[Path]) -> Iterator[float]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield os.stat(path, follow_symlinks=False).st_ctime


def _trusted_above(path: Path, report: Report) -> bool:
    """Who may rename a directory on the way, or a link to one, may put another of root's in its place."""
    above = dict.fromkeys((*path.absolute().parent.parents, *path.parent.resolve().parents))
    distrusted = [each for each in above if not _trusted(each, os.stat(each), Kind.AROUND, report)]
    return not distrusted


def _drop_ins(path: Path, around: _Directory, report: Report) -> tuple[Contents, ...]:
    """For `X.conf` the files in `X.d`, for any other name none."""
    if path.suffix != ".conf":
        return ()
    directory = path.with_suffix(".d")
    try:
        descriptor = os.open(directory.name, _DROP_INS, dir_fd=around.descriptor)
        with _held(directory, descriptor, Kind.DROP_INS, report) as held:
            held = held._replace(trusted=held.trusted and around.trusted)
            names = sorted(name for name in os.listdir(descriptor) if _DROP_IN.fullmatch(name))
            return tuple(each for name in names for each in _contents(directory / name, held, report))
    except FileNotFoundError:
        return ()
    except OSError as error:
        report(_problem(directory, _unlisted(directory, around, error)))
        return ()


@contextlib.contextmanager
def _held(path: Path, descriptor: int, kind: Kind, report: Report) -> Iterator[_Directory]:
    try:
        yield _Directory(descriptor, _trusted(path, os.fstat(descriptor), kind, report))
    finally:
        os.close(descriptor)


def _trusted(path: Path, status: os.stat_result, kind: Kind, report: Report) -> bool:
    found = tuple(doubts(str(path), status, kind, Rights(os.geteuid(), _named)))
    for each in found:
        report(_problem(path, each))
    return not found


def _named(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
    return f"{name} (uid {uid})" if uid else name


# --- one file ---------------------------------------------------------------------------------------------------


def _contents(path: Path, directory: _Directory, report: Report) -> tuple[Contents, ...]:
    """One or none. What is in a file that is not trusted is nobody's business."""
    try:
        # A path without a name is `/` or `.`.
        descriptor = os.open(path.name or ".", _FILE, dir_fd=directory.descriptor)
        try:
            status = _regular(descriptor)
            trusted = _trusted(path, status, Kind.FILE, report) and directory.trusted
            return (Contents(path, _data(descriptor, status)),) if trusted else ()
        finally:
            os.close(descriptor)
    except _Unusable as error:
        report(_problem(path, str(error)))
    except OSError as error:
        report(_problem(path, _unread(error)))
    return ()


def _regular(descriptor: int) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _Unusable(_A_DIRECTORY if stat.S_ISDIR(status.st_mode) else _IRREGULAR)
    return status


def _data(descriptor: int, before: os.stat_result) -> bytes:
    if before.st_size > LARGEST:
        raise _Unusable(f"the file is larger than {LARGEST >> 20} MiB; is it a configuration at all?")
    data = b"".join(_blocks(descriptor))
    if len(data) != before.st_size or not _unchanged(before, os.fstat(descriptor)):
        raise _Unusable(_CHANGED)
    return data


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """One that another has taken the place of is whole, though its ctime says when that was."""
    replaced = after.st_nlink < before.st_nlink
    return before.st_mtime_ns == after.st_mtime_ns and (replaced or before.st_ctime_ns == after.st_ctime_ns)


def _blocks(descriptor: int) -> Iterator[bytes]:
    left = LARGEST + 1
    while left > 0 and (block := os.read(descriptor, left)):
        left -= len(block)
        yield block


# --- what cannot be opened --------------------------------------------------------------------------------------


def _problem(path: Path, text: str) -> Problem:
    return Problem(str(path), 0, 0, text)


def _unfound(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; write one, or name another with -c FILE"
    return f"the file cannot be read: {error.strerror}"


def _unread(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "this is a symbolic link; name the file itself, or put it in the place of the link"
    return _IRREGULAR if error.errno == errno.ENXIO else _unfound(error)  # ENXIO: a socket


def _unlisted(directory: Path, around: _Directory, error: OSError) -> str:
    with contextlib.suppress(OSError):
        if stat.S_ISLNK(os.stat(directory.name, dir_fd=around.descriptor, follow_symlinks=False).st_mode):
            return "this is a symbolic link; put a directory in its place, with the files in it"
    return f"the directory for more files cannot be read: {error.strerror}"
