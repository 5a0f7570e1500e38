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
        self._former: dict[ProcessId, tuple[Kin, str]] = {}

    def each(self, pids: Collection[int], use: Callable[[int, Glimpse | None], None], now: float) -> set[int]:
        """Take a glimpse at each, in the order of pids, and use that; those for whom it was not enough, or too late."""
        found = self._lines.read(sorted(pids), now)
        seen = sorted(found)
        failed = self._shortage.each(seen, lambda pid: use(pid, self._glimpsed(pid, found[pid])), now)
        return failed.union(pid for pid in pids if pid not in found)

    def at(self, pid: int, now: float) -> Glimpse | None:
        """A glimpse at one that does not wait."""
        found = self._lines.read([pid], now)
        return self._glimpsed(pid, found[pid] if pid in found else self._unread(pid))

    def remember(self, processes: Iterable[Process]) -> None:
        """Those who are known now, for they will not be known any more."""
        for process in processes:
            kin, _ = self._known(process.id.pid)
            if kin and kin.start == process.id.start:
                self._former[process.id] = kin, process.image.cmdline

    def forget(self) -> None:
        """All could be read again; those who hang are still needed."""
        self._former = {identity: known for identity, known in self._former.items() if self._lines.hangs(identity)}

    def _unread(self, pid: int) -> Seen | None:
        line = procfs.read_stat_line(pid, self._root)
        return Seen(line, None) if line else None

    def _glimpsed(self, pid: int, seen: Seen | OSError | None) -> Glimpse | None:
        if isinstance(seen, OSError):
            raise seen
        glimpse = source.glimpsed(pid, seen.stat, seen.arguments, self._root) if seen else None
        if glimpse and glimpse.arguments is None:
            self._recall(glimpse)
        return glimpse

    def _recall(self, seen: Glimpse) -> None:
        kin, process = self._known(seen.pid)
        cmdline = process.image.cmdline if process and process.id.start == seen.stat.start else UNREADABLE
        if kin is None or kin is NOBODY:
            kin, cmdline = self._former.get(ProcessId(seen.pid, seen.stat.start), (NOBODY, cmdline))
        if kin.start == seen.stat.start and kin.comm == hash(seen.stat.comm):
            seen.recall(kin.arguments, cmdline)
