"""What processes use, read with as little as it takes: sizes by kept descriptors, by children of ours what may hang,
and psutil only where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from fallfromgrace import measures, procfs
from fallfromgrace.cmdlines import CommandLines, Found, Seen
from fallfromgrace.errand import IO
from fallfromgrace.expression import Sample
from fallfromgrace.kept import Kept
from fallfromgrace.procfs import Stat
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rollups import Rollups
from fallfromgrace.shortage import Shortage
from fallfromgrace.table import ProcessId

_BY_PSUTIL = frozenset({Facet.DESCRIPTORS, Facet.MACHINE})


class Usage:
    """The readings of a source; see Source. `sizes` is that of `kept`."""

    def __init__(
        self,
        tell: Callable[[str], None],
        shortage: Shortage,
        kept: Kept,
        lines: CommandLines,
        rollups: Rollups,
        root: str = "/proc",
    ) -> None:
        self._tell = tell
        self._shortage = shortage
        self._root = root
        self._lines = lines
        self._rollups = rollups
        self._machine: Callable[[], Sample] = dict  # knows nothing, unless prepared
        self._lacking = False  # and told so
        self._now = 0.0
        self._counters: Found = {}
        self._readers: dict[Facet, measures.Reader] = {
            Facet.MEMORY: self._read_memory,
            Facet.ROLLUP: lambda identity: self._rollups.measure(identity, self._now),
            Facet.IO: self._take_counters,
        }
        self.kept = kept

    def prepare(self, facets: Collection[Facet]) -> None:
        """Load what measures these, if it is not there yet."""
        if Facet.DESCRIPTORS in self._readers or not _BY_PSUTIL & set(facets):
            return
        try:
            from fallfromgrace import meters
        except (ImportError, OSError) as error:
            lost = "fds, percentages of memory and all that is of the system"
            if not self._lacking:
                self._tell(f"psutil cannot be had ({error}), so {lost} are not known; install python3-psutil")
            self._lacking = True
            return
        self._readers.update(meters.readers(self._root))
        self._machine = lambda: meters.machine(self._root)

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample | None]:
        """What is asked for; None for who has ended."""
        self._now = now
        asked = measures.by_identity(wants)
        self._counters = self._count(identity for identity, facets in asked.items() if Facet.IO in facets)
        found: dict[ProcessId | None, Sample | None] = {}
        parts: dict[ProcessId, Sample | None] = {}
        for identity, facets in asked.items():
            if identity is None:
                found[identity] = self._machine()
            elif facets == [Facet.MEMORY] and identity in self.kept:
                size = self.kept.sizes([identity]).get(identity)
                found[identity] = size._asdict() if size else None
            else:
                parts[identity] = self._parts(identity, facets)
        stats = self._lines.stats([each.pid for each in parts]) if parts else {}
        for identity, part in parts.items():
            found[identity] = self._confirmed(identity, asked[identity], part, stats)
        return found

    def forget(self, identity: ProcessId) -> None:
        """A process that has ended, or runs something else now."""
        self._rollups.drop(identity)
        self.kept.drop(identity)

    def close(self) -> None:
        """Let go of all that is open."""
        self._rollups.close()
        self.kept.close()

    def _count(self, identities: Iterable[ProcessId | None]) -> Found:
        pids = [identity.pid for identity in identities if identity]
        return self._lines.read_now(pids, self._now, IO) if pids else {}

    def _parts(self, identity: ProcessId, facets: list[Facet]) -> Sample | None:
        try:
            return measures.parts(identity, facets, self._readers)
        except OSError as error:
            self._shortage.note(error, self._now)
            return {}

    def _confirmed(
        self, identity: ProcessId, facets: list[Facet], found: Sample | None, stats: Mapping[int, Stat | OSError | None]
    ) -> Sample | None:
        """What was found, if it was found of that process."""
        if found is not None and identity.pid not in stats:
            return self._unconfirmed(identity, facets, found)
        stat = stats.get(identity.pid)
        if isinstance(stat, OSError):
            self._shortage.note(stat, self._now)
            return {}
        sample = None if found is None else measures.confirmed(identity, facets, found, stat)
        if sample is None:
            self._rollups.drop(identity)
        return sample

    def _unconfirmed(self, identity: ProcessId, facets: list[Facet], found: Sample) -> Sample:
        """Of one whose stat line hangs only a kept descriptor can say that it is there."""
        if not self.kept.holds(identity):
            return {}
        state = procfs.read_state(f"{self._root}/{identity.pid}")
        return {**found, **(measures.without_stat(identity.start, state) if Facet.STAT in facets else {})}

    def _take_counters(self, identity: ProcessId) -> Sample:
        """Nothing also where the kernel does not count: whether somebody has ended their stat line says."""
        seen = self._counters.get(identity.pid, Seen(b"", None))
        if isinstance(seen, OSError):
            raise seen
        return procfs.parse_io(seen.content or b"") if seen else {}

    def _read_memory(self, identity: ProcessId) -> Sample | None:
        size = procfs.read_size(identity.pid, self._root)
        return size._asdict() if size else None
