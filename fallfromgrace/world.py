"""Frames as a source of processes: what was kept, or made up, is looked at as if it were there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import inf

from fallfromgrace.expression import SYSTEM_METRICS, Sample, Whole
from fallfromgrace.frames import Frame
from fallfromgrace.readings import COUNTERS, FACETS, Facet, Want
from fallfromgrace.source import alike
from fallfromgrace.table import Process, ProcessId, ProcessTable, Runs, Size

_NAMES: Mapping[Facet, frozenset[str]] = {
    **{facet: frozenset(name for name in FACETS if FACETS[name] is facet) for facet in set(FACETS.values())},
    Facet.MACHINE: frozenset({*SYSTEM_METRICS, Whole.MEMORY.value, Whole.SWAP.value}),
}
_COUNTED = frozenset(counter for counter, _ in COUNTERS.values())
_NOTHING = Frame(0.0, (), {})


class World:
    """See source.Source. What a frame says holds until the next one; counters go on between the two, and so does age.

    Time only goes on: a frame that was passed is forgotten, so that there may be any number of them.
    """

    wakes: frozenset[int] = frozenset()

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)
        self._frame = self._next = next(self._frames, None) or _NOTHING
        self._ended: set[ProcessId] = set()
        self._present: list[Process] = []
        self._table = self._seen = ProcessTable(())
        self._more = True
        self._advance(self._frame.at)

    @property
    def began(self) -> float:
        """When the frame that is in force was seen; at first that is the first one."""
        return self._frame.at

    def next_look(self) -> float:
        """When there is another frame; inf if there is none."""
        return self._next.at if self._more else inf

    @property
    def altered(self) -> bool:
        """Whether somebody was ended since the last look."""
        return self._seen is not self._table

    def end(self, identity: ProcessId) -> None:
        """From now on a process is no longer there, whatever frames say."""
        self._ended.add(identity)
        self._arrange()

    def configure(self, selects: Callable[[Runs], bool], process_events: bool) -> None:
        """Everybody is looked at anyway."""

    def prepare(self, facets: Collection[Facet]) -> None:
        """What was not measured then cannot be now."""

    def look(self, now: float) -> ProcessTable:
        """Who is there; the same object as long as nobody came, went, or runs something else."""
        if now >= self.next_look():
            self._advance(now)
        self._seen = self._table
        return self._table

    def _advance(self, now: float) -> None:
        while self._more and self._next.at <= now:
            self._frame = self._next
            following = next(self._frames, None)
            self._more = following is not None
            self._next = following or self._next
        self._arrange()

    def _arrange(self) -> None:
        present = [each for each in self._frame.processes if each.id not in self._ended]
        if len(present) != len(self._present) or not all(map(alike, present, self._present)):
            self._table = ProcessTable(present)
        self._present = present

    def sizes(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """How large they are, as far as that was measured; what was not comes to no limit."""
        samples = ((identity, self._sample(identity)) for identity in identities)
        return {
            identity: Size(int(sample.get("rmem", 0)), int(sample.get("vmem", 0)))
            for identity, sample in samples
            if sample and ("rmem" in sample or "vmem" in sample)
        }

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """What was measured of what is asked for."""
        found: dict[ProcessId | None, dict[str, float]] = {}
        for identity, facet in wants:
            sample = self._sample(identity)
            if sample is not None:
                part = {name: sample[name] for name in _NAMES[facet] & sample.keys()}
                found.setdefault(identity, {}).update(self._gone_on(identity, part, now))
        return dict(found)

    def _sample(self, identity: ProcessId | None) -> Sample | None:
        """What the frame says of somebody; None of who is not there."""
        if identity is not None and identity not in self._table:
            return None
        return self._frame.samples.get(identity, {})

    def _gone_on(
        self, identity: ProcessId | None, part: Mapping[str, float], now: float
    ) -> Iterator[tuple[str, float]]:
        """Numbers that never stand still, as they were between two frames."""
        passed = max(0.0, now - self._frame.at)
        later = self._next.samples.get(identity, {}) if self._more else {}
        for name, value in part.items():
            if name == "age":
                yield name, value + passed
            elif name in _COUNTED and name in later:
                yield name, value + (later[name] - value) * passed / (self._next.at - self._frame.at)
            else:
                yield name, value

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """Everything about one pid."""
        found = next((each for each in self._table if each.id.pid == pid), None)
        return (found, self._sample(found.id) or {}) if found else None
