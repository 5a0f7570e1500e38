"""Which processes each monitor is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fallfromgrace.rules import Monitor
from fallfromgrace.table import Descent, Image, Process, ProcessId, ProcessTable, Runs


class Covered(NamedTuple):
    """What one monitor is about: processes that it selected, and with `children` those below.

    `spared` are those that it must not touch, with the reason: even below what it covers they are left alone.
    """

    monitor: Monitor
    descents: tuple[Descent, ...]
    identities: tuple[ProcessId, ...]  # of the descents
    spared: Mapping[ProcessId, str]


class Coverage:
    """The monitors of one configuration, and what their regexes said about each image."""

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = monitors
        self._nobody = [Covered(monitor, (), (), {}) for monitor in monitors]
        self._said: dict[ProcessId, _Said] = {}

    def selects(self, image: Runs) -> bool:
        """Whether any monitor is about processes that run this.

        All are asked: who asks is prepared for regexes that take long, and will not have to wait for them again.
        """
        return bool([monitor for monitor in self._monitors if monitor.selects(image)])

    def of(self, table: ProcessTable) -> tuple[Covered, ...]:
        """What the monitors cover, in the order of the file; the first `final` one keeps what it covers for itself."""
        living = [process for process in table if process.alive]
        self._said = {process.id: self._about(process) for process in living}
        selected: dict[str, list[Process]] = {}
        excluded: dict[str, dict[ProcessId, str]] = {}
        for process in living:
            said = self._said[process.id]
            for name in said.selecting:
                selected.setdefault(name, []).append(process)
            for name, why in said.excluding.items():
                excluded.setdefault(name, {})[process.id] = why
        return tuple(self._covered(selected, excluded, table))

    def _covered(
        self, selected: Mapping[str, list[Process]], excluded: Mapping[str, dict[ProcessId, str]], table: ProcessTable
    ) -> Iterator[Covered]:
        taken: dict[ProcessId, str] = {}
        for monitor, nobody in zip(self._monitors, self._nobody, strict=True):
            name = monitor.name
            if name not in selected and name not in excluded:  # as with most of very many monitors
                yield nobody
                continue
            spared = taken | excluded.get(name, {})
            descents = tuple(_by(monitor, selected.get(name, []), table, spared))
            identities = tuple(descent.process.id for descent in descents)
            yield Covered(monitor, descents, identities, spared)
            if monitor.final:
                taken |= dict.fromkeys(identities, f"'{name}' is final for it")

    def _about(self, process: Process) -> _Said:
        """What the monitors say of a process; regexes run once for each image."""
        known = self._said.get(process.id)
        if known and known.image == process.image:
            return known
        image = process.image
        excluding = {each.name: why for each in self._monitors if (why := each.excludes(image))}
        named = (each for each in self._monitors if each.name not in excluding)
        return _Said(image, frozenset(each.name for each in named if each.selector.matches(image)), excluding)


def _by(
    monitor: Monitor, selected: Sequence[Process], table: ProcessTable, spared: Mapping[ProcessId, str]
) -> Iterator[Descent]:
    """Of what a monitor selects, and with `children` what is below that, all that it may have."""
    roots = [process for process in selected if process.id not in spared]
    yield from (Descent(process, process, 0) for process in roots)
    if monitor.children:
        left_alone = {process.id for process in roots} | spared.keys()
        below = (each for each in table.descendants(roots) if each.process.alive)
        yield from (each for each in below if each.process.id not in left_alone)


class _Said(NamedTuple):
    """The names of the monitors that select an image, and of those that exclude it with the reason."""

    image: Image
    selecting: frozenset[str]
    excluding: Mapping[str, str]
