"""What processes use, read with as little as it takes: sizes by kept descriptors, psutil only where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from fallfromgrace import measures, procfs
from fallfromgrace.expression import Sample
from fallfromgrace.kept import Kept
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rollups import Rollups
from fallfromgrace.shortage import Shortage
from fallfromgrace.table import ProcessId

_BY_PSUTIL = frozenset({Facet.IO, Facet.DESCRIPTORS, Facet.MACHINE})


class Usage:
    """The readings of a source; see Source. `sizes` is that of `kept`."""

    def __init__(
        self, tell: Callable[[str], None], shortage: Shortage, kept: Kept, root: str, rollups: Rollups | None = None
    ) -> None:
        self._tell = tell
        self._shortage = shortage
        self._root = root
        self._rollups = rollups or Rollups(root)
        self._machine: Callable[[], Sample] = dict  # knows nothing, unless prepared
        self._lacking = False  # and told so
        self._now = 0.0
        self._readers: dict[Facet, measures.Reader] = {
            Facet.MEMORY: self._read_memory,
            Facet.ROLLUP: lambda identity: self._rollups.measure(identity, self._now),
        }
        self.kept = kept

    def prepare(self, facets: Collection[Facet]) -> None:
        """Load what measures these, if it is not there yet."""
        if Facet.IO in self._readers or not _BY_PSUTIL & set(facets):
            return
        try:
            from fallfromgrace import meters
        except (ImportError, OSError) as error:
            lost = "read, write, fds, percentages of memory and all that is of the system"
            if not self._lacking:
                self._tell(f"psutil cannot be had ({error}), so {lost} are not known; install python3-psutil")
            self._lacking = True
            return
        self._readers.update(meters.readers(self._root))
        self._machine = lambda: meters.machine(self._root)

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample | None]:
        """What is asked for; None for who has ended."""
        self._now = now
        return {
            identity: self._machine() if identity is None else self._measured(identity, facets)
            for identity, facets in measures.by_identity(wants).items()
        }

    def forget(self, identity: ProcessId) -> None:
        """A process that has ended, or runs something else now."""
        self._rollups.drop(identity)
        self.kept.drop(identity)

    def close(self) -> None:
        """Let go of all that is open."""
        self._rollups.close()
        self.kept.close()

    def _measured(self, identity: ProcessId, facets: list[Facet]) -> Sample | None:
        if facets == [Facet.MEMORY] and identity in self.kept:
            size = self.kept.sizes([identity]).get(identity)
            return size._asdict() if size else None
        try:
            sample = measures.measure(identity, facets, self._readers, self._root)
        except OSError as error:
            self._shortage.note(error, self._now)
            return {}
        if sample is None:
            self._rollups.drop(identity)
        return sample

    def _read_memory(self, identity: ProcessId) -> Sample | None:
        size = procfs.read_size(identity.pid, self._root)
        return size._asdict() if size else None
