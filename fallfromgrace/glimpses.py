"""Glimpses at many processes at once, and whom one is taken for whose command line cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from fallfromgrace import procfs, source
from fallfromgrace.cmdlines import CommandLines, Seen
from fallfromgrace.roster import NOBODY, Kin
from fallfromgrace.shortage import Shortage
from fallfromgrace.source import Glimpse
from fallfromgrace.table import UNREADABLE, Process, ProcessId


class Glimpses:
    """Who hangs is who it was, unless it has another name since: to hang saves nobody from the rules that it was under.

    `known` gives what is known of a pid, also the process if that is known whole.
    """

    def __init__(
        self,
        lines: CommandLines,
        shortage: Shortage,
        root: str,
        known: Callable[[int], tuple[Kin | None, Process | None]],
    ) -> None:
        self._lines = lines
        self._shortage = shortage
        self._root = root
        self._known = known
        self._former: dict[int, tuple[Kin, Process]] = {}

    def each(self, pids: Collection[int], use: Callable[[int, Glimpse | None], None], now: float) -> set[int]:
        """Take a glimpse at each, in the order of pids, and use that; those for whom it was not enough, or too late."""
        found = self._lines.read(sorted(pids), now)
        seen = sorted(found)
        failed = self._shortage.each(seen, lambda pid: use(pid, self._glimpsed(pid, found[pid])), now)
        return failed.union(pid for pid in pids if pid not in found)

    def at(self, pid: int, now: float) -> Glimpse | None:
        """A glimpse at one that does not wait."""
        found = self._lines.read_now([pid], now)
        return self._glimpsed(pid, found.get(pid, Seen(b"", None)))

    def remember(self, processes: Iterable[Process]) -> None:
        """Those who are known now, for they will not be known any more."""
        for process in processes:
            kin, _ = self._known(process.id.pid)
            if kin and kin.start == process.id.start:
                self._former[process.id.pid] = kin, process

    def forget(self) -> None:
        """All could be read again; those who hang are still needed."""
        self._former = {
            pid: known for pid, known in self._former.items() if self._lines.hangs(ProcessId(pid, known[0].start))
        }

    def _glimpsed(self, pid: int, seen: Seen | OSError | None) -> Glimpse | None:
        if isinstance(seen, OSError):
            raise seen
        if seen and not seen.stat:
            return self._remembered(pid)
        glimpse = source.glimpsed(pid, seen.stat, seen.content, seen.exe or "", self._root) if seen else None
        if glimpse and glimpse.arguments is None:
            self._recall(glimpse, exe_too=seen is not None and seen.exe is None)
        return glimpse

    def _remembered(self, pid: int) -> Glimpse | None:
        """One of whom nothing can be read that may hang, if it has the same name as who was known by that pid."""
        kin, _ = self._who_was(pid)
        state, family = procfs.read_state(f"{self._root}/{pid}"), procfs.read_family(pid, self._root)
        comm = procfs.read_comm(pid, self._root)
        if kin is NOBODY or family is None or comm is None or kin.comm != hash(comm) or state in procfs.ENDED:
            return None
        stat = procfs.Stat(comm, state, *family, kin.start, kernel_thread=False)
        seen = Glimpse(pid, stat, None, self._root, remembered=True)
        self._recall(seen, exe_too=True)
        return seen

    def _who_was(self, pid: int) -> tuple[Kin, Process | None]:
        kin, process = self._known(pid)
        return (kin, process) if kin and kin is not NOBODY else self._former.get(pid, (NOBODY, None))

    def _recall(self, seen: Glimpse, exe_too: bool) -> None:
        kin, process = self._who_was(seen.pid)
        if kin.start != seen.stat.start or not _runs_the_same(kin, seen.stat):
            return
        image = process.image if process and process.id.start == kin.start else None
        seen.recall(kin.arguments, image.cmdline if image else UNREADABLE, image.exe if image and exe_too else "")


def _runs_the_same(kin: Kin, stat: procfs.Stat) -> bool:
    """Whether nothing was executed since. A process may call itself what it likes: its name counts only if need be."""
    if kin.place and stat.place:
        return kin.place == stat.place
    return kin.comm == hash(stat.comm)
