"""Which processes each monitor is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fallfromgrace.rules import Monitor
from fallfromgrace.table import Descent, Image, Process, ProcessId, ProcessTable


class Covered(NamedTuple):
    """A process that a monitor is about: one that it selected, or with `children` one below that."""

    monitor: Monitor
    descent: Descent

    @property
    def process(self) -> Process:
        return self.descent.process


class Coverage:
    """The monitors of one configuration, and what their regexes said about each image."""

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = monitors
        self._selecting: dict[ProcessId, tuple[Image, frozenset[str]]] = {}

    def of(self, table: ProcessTable) -> tuple[Covered, ...]:
        """What the monitors cover, in the order of the file; the first `final` one keeps what it covers for itself."""
        living = [process for process in table if process.alive]
        self._selecting = {process.id: self._selected_by(process) for process in living}
        taken: set[ProcessId] = set()
        covered: list[Covered] = []
        for monitor in self._monitors:
            found = self._by(monitor, living, table, taken)
            covered += found
            if monitor.final:
                taken.update(each.process.id for each in found)
        return tuple(covered)

    def _selected_by(self, process: Process) -> tuple[Image, frozenset[str]]:
        """The names of the monitors that select a process; regexes run once for each image."""
        known = self._selecting.get(process.id)
        if known and known[0] == process.image:
            return known
        names = (monitor.name for monitor in self._monitors if monitor.selects(process.image))
        return process.image, frozenset(names)

    def _by(
        self, monitor: Monitor, living: Sequence[Process], table: ProcessTable, taken: set[ProcessId]
    ) -> list[Covered]:
        roots = [each for each in living if monitor.name in self._selecting[each.id][1] and each.id not in taken]
        covered = [Covered(monitor, Descent(process, process, 0)) for process in roots]
        if monitor.children:
            left_alone = taken.union(process.id for process in roots)
            below = (Covered(monitor, descent) for descent in table.descendants(roots))
            covered += [each for each in below if each.process.alive and each.process.id not in left_alone]
        return covered
