"""Who is never acted upon."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from fallfromgrace.rules import Settings
from fallfromgrace.table import Descent, Process


class Self(NamedTuple):
    """Who we are: our pid, and our uid where we may act on that user's processes only (None: on anybody's)."""

    pid: int
    only_uid: int | None = None


class Bar(NamedTuple):
    """What stands in the way of acting on a process; `own_groups` are the process groups of our commands, `kin` has
    whoever these have started."""

    settings: Settings
    myself: Self
    own_groups: frozenset[int]
    kin: Container[Process] = ()

    def __call__(self, descent: Descent) -> str:
        """Why a process is never acted upon; empty where it may be."""
        process = descent.process
        if process.id.pid == 1:
            return "pid 1 is never acted upon"
        if process.id.pid == self.myself.pid:
            return "this is fall-from-grace itself"
        if process.pgid in self.own_groups or process in self.kin:
            return "this is a command of fall-from-grace"
        if self.myself.only_uid is not None and process.image.uid != self.myself.only_uid:
            return "it belongs to another user"
        return self.settings.protects(process.image)
