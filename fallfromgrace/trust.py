"""Who may decide what a configuration says: nobody but root and who runs us, with whose rights it is carried out."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol


class Kind(Enum):
    """What is to be trusted: a file, the directory that the main file is in, and that of the drop-ins."""

    FILE = "file"
    AROUND = "directory around"
    DROP_INS = "directory of drop-ins"


class Rights(NamedTuple):
    """Who runs us, and how users are called."""

    uid: int
    named: Callable[[int], str]


class Status(Protocol):
    """As much of what fstat says as is looked at."""

    @property
    def st_mode(self) -> int: ...

    @property
    def st_uid(self) -> int: ...


def doubts(path: str, status: Status, kind: Kind, rights: Rights) -> Iterator[str]:
    """Why something is not trusted, each with its cure; nothing where it is. ACLs show in the group's bits."""
    if status.st_uid not in (0, rights.uid):
        yield f"{_owned(status, kind, rights)}, {_so(kind, rights)}; {_belonging(path, kind, rights)}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not _sticky(status, kind):
        who = "everybody" if status.st_mode & stat.S_IWOTH else "its group"
        yield f"{who} may {_CHANGED[kind]}, {_so(kind, rights)}; run: chmod go-w {shlex.quote(path)}"


def _sticky(status: Status, kind: Kind) -> bool:
    """Such as /tmp, where nobody can replace what is not theirs; but they could add drop-ins."""
    return kind is Kind.AROUND and bool(status.st_mode & stat.S_ISVTX)


_CHANGED = {
    Kind.FILE: "write to this file",
    Kind.AROUND: "replace the configuration in this directory",
    Kind.DROP_INS: "add files to this directory",
}


def _owned(status: Status, kind: Kind, rights: Rights) -> str:
    what = "file" if kind is Kind.FILE else "directory"
    return f"this {what} belongs to {rights.named(status.st_uid)}"


def _so(kind: Kind, rights: Rights) -> str:
    what = "it says" if kind is Kind.FILE else "what is in it says"
    return f"and {what} what is done with the rights of {rights.named(rights.uid)}"


def _belonging(path: str, kind: Kind, rights: Rights) -> str:
    if kind is Kind.AROUND:
        return "put the configuration into a directory of " + ("root's, such as /etc" if rights.uid == 0 else "yours")
    if rights.uid == 0:
        return f"run: chown root {shlex.quote(path)}"
    return f"use a copy of your own, or have root run: chown root {shlex.quote(path)}"
