"""The psutil source: reads everything of everybody at each look. Slow, plain, and what the fast one is held to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import psutil

from fallfromgrace import measures, meters, procfs, source
from fallfromgrace.expression import Sample
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rollups import Rollups
from fallfromgrace.table import Process, ProcessId, ProcessTable, Runs, Size

_SECONDS = 1.0  # between two looks


class PsutilSource:
    """See Source."""

    wakes: frozenset[int] = frozenset()

    def __init__(self, root: str = "/proc") -> None:
        self._root = root
        self._selects: Callable[[Runs], bool] = lambda image: False
        self._table: ProcessTable | None = None
        self._looked_at = 0.0
        self._rollups = Rollups(root)

    def configure(self, selects: Callable[[Runs], bool], process_events: bool) -> None:
        """See Source; it knows of no events."""
        self._selects, self._table = selects, None

    def prepare(self, facets: Collection[Facet]) -> None:
        """See Source; everything is here."""

    def look(self, now: float) -> ProcessTable:
        """See Source."""
        self._looked_at = now
        table, before = ProcessTable(self._members()), self._table
        if before is not None and len(before) == len(table) and all(map(source.alike, before, table)):
            return before
        for process in before or ():
            known = table.get(process.id)
            if known is None or known.image != process.image:
                self._rollups.drop(process.id)
        self._table = table
        return table

    def _members(self) -> Iterator[Process]:
        seen = [source.read_process(pid, self._root) for pid in psutil.pids()]
        everybody = ProcessTable(each for each in seen if each)
        selected = {process for process in everybody if self._selects(process.image)}
        below = {descent.process for descent in everybody.descendants(selected)}
        return (process for process in everybody if process in selected or process in below)

    def next_look(self) -> float:
        """See Source."""
        return self._looked_at + _SECONDS

    def sizes(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """See Source."""
        facets = [Facet.MEMORY]
        samples = ((identity, self._measured(identity, facets, 0)) for identity in identities)
        return {identity: Size(int(found["rmem"]), int(found["vmem"])) for identity, found in samples if found}

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """See Source."""
        found: dict[ProcessId | None, Sample] = {}
        for identity, facets in measures.by_identity(wants).items():
            sample = meters.machine(self._root) if identity is None else self._measured(identity, facets, now)
            if sample is not None:
                found[identity] = sample
        return found

    def _measured(self, identity: ProcessId, facets: list[Facet], now: float) -> Sample | None:
        readers = {
            **meters.readers(self._root),
            Facet.IO: _read_io,
            Facet.MEMORY: _read_memory,
            Facet.ROLLUP: lambda each: self._rollups.measure(each, now),
        }
        sample = measures.measure(identity, facets, readers, self._root)
        if sample is None:
            self._rollups.drop(identity)
        return sample

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """See Source."""
        return source.reread(pid, self._root)


def _read_io(identity: ProcessId) -> Sample | None:
    try:
        counters = psutil.Process(identity.pid).io_counters()
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError, RuntimeError):  # not permitted, or a kernel that does not count
        return {}
    return {"read_bytes": counters.read_bytes, "write_bytes": counters.write_bytes}


def _read_memory(identity: ProcessId) -> Sample | None:
    try:
        memory = psutil.Process(identity.pid).memory_info()
    except psutil.AccessDenied:
        return {}
    except psutil.NoSuchProcess:
        return None
    if memory.vms:
        return {"rmem": memory.rss, "vmem": memory.vms}
    # It has just ended, and zeros would be less than any limit; or other threads than its first one are left.
    size = procfs.read_size(identity.pid)
    return size._asdict() if size else None
