"""The source that the daemon uses: reads little, and that little quickly.

Everybody is known by numbers alone, and read again when there is a reason: the kernel's process events say so, or it is
new in the list of pids, or young, or it is its turn. Those whom the monitors are about, and all below, are known whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from math import floor, inf

from fallfromgrace import measures, procfs, source
from fallfromgrace.cmdlines import CommandLines
from fallfromgrace.deferral import Deferral
from fallfromgrace.errands import Errands
from fallfromgrace.events import Events, Feed
from fallfromgrace.expression import Sample
from fallfromgrace.glimpses import Glimpses
from fallfromgrace.kept import Kept
from fallfromgrace.patience import Patience, Unfinished
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rollups import Rollups
from fallfromgrace.roster import NOBODY, Kin, Roster
from fallfromgrace.shortage import Shortage
from fallfromgrace.source import Glimpse
from fallfromgrace.table import Process, ProcessId, ProcessTable, Runs, Size
from fallfromgrace.turns import Turns
from fallfromgrace.usage import Usage

# Command lines that were overwritten are noticed within a minute: in so many seconds it is everybody's turn, and turns
# are up to four seconds late.
ROUND_SECONDS = 55.0
# Turns come at most once a second, together with looks for other reasons, and at least this often.
_TURN_SECONDS = 4.0
# A process between fork and exec shows its parent's command line: without events it is read again until so old.
# Children whose parent has ended are for so long, since the kernel may be about to give them another one.
_YOUNG_SECONDS = 5.0
# How long the first reading of all may be incomplete, for want of descriptors, before we go by what there is.
_PATIENCE_SECONDS = 10.0


class LinuxSource:
    """See Source. `tell` is told what cannot be had, once."""

    def __init__(
        self,
        tell: Callable[[str], None],
        root: str = "/proc",
        *,
        connect: Callable[[], Feed] | None = None,
        budget: int | None = None,
        patience: Patience | None = None,
        lines: CommandLines | None = None,
    ) -> None:
        """`budget` is how many descriptors are kept, `patience` that of the patterns which select, if they have any."""
        self._root = root
        self._patience = patience
        self._errands = Errands(root, source.LONGEST_ARGUMENTS)
        self._lines = lines or CommandLines(tell, self._errands, root)
        self._events = Events(tell, connect) if connect else Events(tell)
        self._shortage = Shortage(tell)
        self._glimpses = Glimpses(self._lines, self._shortage, root, self._known)
        rollups = Rollups(root, self._errands, self._lines.hangs)
        kept = Kept(self._lines.stats, root, budget)
        self._usage = Usage(tell, self._shortage, kept, self._lines, rollups, root)
        self._roster = Roster()
        self._whole: dict[int, Process] = {}  # the selected, and those below
        self._forget_everybody(lambda image: False)

    @property
    def wakes(self) -> frozenset[int]:
        """See Source."""
        return self._events.wakes

    def configure(self, selects: Callable[[Runs], bool], process_events: bool) -> None:
        """See Source. The events come before the first list, so that nobody is missed between the two."""
        self._events.use(process_events)
        self._forget_everybody(selects)

    def _forget_everybody(self, selects: Callable[[Runs], bool]) -> None:
        self._selects = selects
        self._glimpses.remember(self._whole.values())
        for process in self._whole.values():
            self._usage.forget(process.id)
        self._roster = Roster()
        self._roots: set[int] = set()  # the pids of the selected
        self._whole = {}
        self._table = ProcessTable(())
        self._altered = True  # since the table was made
        self._unsettled = False  # who belongs to the whole
        self._unread: set[int] = set()
        self._deferral = Deferral(self._patience)
        self._young: dict[int, float] = {}  # until when
        self._turns = Turns(ROUND_SECONDS)
        self._listed_at = -inf
        self._anew = True
        self._complete_once, self._fell_short, self._began = False, False, inf
        self._newest: int | None = None  # the pid that was given last, as of the last list
        self._now, self._ticked = 0.0, -inf

    def close(self) -> None:
        """Let go of all that is open."""
        self._events.close()
        self._usage.close()
        self._errands.close()

    def prepare(self, facets: Collection[Facet]) -> None:
        """See Source."""
        self._usage.prepare(facets)

    # --- who is there ---

    def look(self, now: float) -> ProcessTable:
        """See Source."""
        self._now = now
        try:
            self._look()
        except BaseException:
            self._anew = True  # who was still to be read is forgotten
            raise
        if not self._complete_once:
            self._demand_all()
        return self._table

    def _demand_all(self) -> None:
        """Of nobody it must be said that they are not there, as long as there are some who could not be read.

        But one whom nobody can read, whatever the reason, must not keep us for ever.
        """
        self._began = min(self._began, self._now)
        if self._anew or (self._fell_short and self._now < self._began + _PATIENCE_SECONDS):
            raise source.Unready
        self._complete_once = True
        self._glimpses.forget()

    def _look(self) -> None:
        self._lines.begin(self._now)
        self._hear()
        if self._now - self._ticked >= 1:
            self._tick()
        if self._unread:
            self._read_unread()
        if self._deferral:
            self._judge_deferred()
        if self._unsettled:
            self._settle()
        if self._altered:
            self._make_table()

    def next_look(self) -> float:
        """See Source; whole seconds, so that what is due then costs no wake-up of its own."""
        soon = self._unread or self._deferral or self._unsettled or self._young or not self._events.complete
        return self._ticked + (1 if soon else _TURN_SECONDS)

    def _hear(self) -> None:
        batch = self._events.drain(self._now)
        self._unread |= self._shortage.each(batch.ended, self._hear_of_end, self._now) | batch.changed

    def _hear_of_end(self, pid: int) -> None:
        """Others of its threads may go on; nothing tells when they end."""
        if self._roster.get(pid) and procfs.of_survivor(pid, self._root):
            self._unread.add(pid)
        else:
            self._lines.drop(pid)
            self._drop(pid)

    def _tick(self) -> None:
        """What is done once a second: the young, whose turn it is, and without events the list of pids."""
        elapsed, self._ticked = self._now - self._ticked, floor(self._now)
        self._usage.kept.turn(self._now)
        anew = self._anew or self._events.overdue(self._now)
        if anew or self._is_stale() or not self._events.complete:
            self._find(anew)
        self._unread |= self._young.keys() | self._lines.due(self._now)
        self._young = {pid: until for pid, until in self._young.items() if until > self._now}
        if not anew:
            self._take_turns(elapsed)

    def _is_stale(self) -> bool:
        """Whether the list of pids is to be made whatever else is known."""
        return self._now - self._listed_at >= ROUND_SECONDS

    def _find(self, anew: bool) -> None:
        """Who is new and who is gone. The list of pids costs 1 us for each, so it is not made if nobody was born."""
        try:
            newest = procfs.read_newest_pid(self._root)
            if newest is None or newest != self._newest or anew or self._is_stale():
                self._compare(procfs.read_pids(self._root), anew)
            self._newest = newest
            # Also who is listed may have ended: a zombie has no size.
            self.sizes([process.id for process in self._whole.values()])
        except OSError as error:
            self._shortage.note(error, self._now)

    def _compare(self, listed: set[int], anew: bool) -> None:
        for pid in self._roster.pids - listed:
            self._lines.drop(pid)
            self._drop(pid)
        new = listed - self._roster.pids
        for pid in new:
            self._roster.put(pid, NOBODY)  # unless it is read
            self._turns.add(pid)
        self._unread |= listed if anew else new
        self._listed_at = self._now
        if anew:
            self._anew = False
            self._events.caught_up(self._now)

    def _take_turns(self, elapsed: float) -> None:
        """Read some of the others again. Where there are events only a command line can be other than we know."""
        taken = self._turns.take(elapsed, self._roster.pids)
        if self._events.complete:
            self._unread.update(pid for pid in taken if pid in self._whole)
            self._unread |= self._each([pid for pid in taken if pid not in self._whole], self._skim)
        else:
            self._unread.update(taken)

    def _skim(self, pid: int, seen: Glimpse | None) -> None:
        kin = self._roster.get(pid)
        if kin and (seen.digest if seen else NOBODY.arguments) != kin.arguments:
            self._unread.add(pid)

    # --- reading ---

    def _known(self, pid: int) -> tuple[Kin | None, Process | None]:
        return self._roster.get(pid), self._whole.get(pid)

    def _each(self, pids: Iterable[int], use: Callable[[int, Glimpse | None], None]) -> set[int]:
        """Use a glimpse at each but our own; those for whom it was not enough, or too late."""
        return self._glimpses.each(set(pids) - self._errands.pids, use, self._now)

    def _read_unread(self) -> None:
        """In the order of the pids, so that most parents come before their children."""
        failed: set[int] = set()
        with self._deferral.briefly():
            while self._unread:  # who has ended leaves children that are to be read again
                pids, self._unread = self._unread, set()
                failed |= self._each(pids, self._read_briefly)
        self._unread = failed | self._deferral.unasked
        self._fell_short = bool(self._unread)

    def _read_briefly(self, pid: int, seen: Glimpse | None) -> None:
        if not self._deferral.puts_off(pid, seen.digest if seen else None):
            self._read(pid, seen)

    def _judge_deferred(self) -> None:
        """Until then they are known as what they were."""
        for pid in self._deferral.take_up():
            self._unread |= self._each([pid], self._read)

    def _read(self, pid: int, seen: Glimpse | None) -> None:
        before = self._roster.get(pid)
        if before is NOBODY:
            before = None
        elif before and (seen is None or seen.stat.start != before.start):
            self._drop(pid)
            before = None
        if seen:
            try:
                self._note(pid, seen, before)
            except source.Gone:
                self._drop(pid)
            except Unfinished:
                self._defer(pid, seen, before)

    def _defer(self, pid: int, seen: Glimpse, before: Kin | None) -> None:
        self._deferral.add(pid, seen.digest)
        if before is None:
            self._roster.put(pid, NOBODY)
            self._turns.add(pid)

    def _note(self, pid: int, seen: Glimpse, before: Kin | None) -> None:
        """What was read of a process, which was known as something before."""
        kin = self._judged(pid, seen, before)
        self._deferral.drop(pid)
        if seen.stat.survivor:
            self._young[pid] = self._now + _YOUNG_SECONDS  # nothing tells when it ends
        if before is None or before.image != kin.image:
            self._turns.add(pid)
            self._watch_while_young(pid, kin)
        joins = before != kin and (pid in self._roots or kin.ppid in self._whole)
        if before != kin:
            self._roster.put(pid, kin)
            self._unsettled = self._unsettled or joins or pid in self._whole
        if joins or pid in self._whole:
            self._keep(seen.process)

    def _judged(self, pid: int, seen: Glimpse, before: Kin | None) -> Kin:
        """As what it is known now. Whether it is selected is asked only if it runs something else than before."""
        stat, arguments = seen.stat, seen.digest
        if before and before.image == (arguments if before.plain else _digest(seen)):
            return before._replace(ppid=stat.ppid, comm=hash(stat.comm), place=stat.place)
        seen.asked = False
        selected, hurried = self._asked(seen)
        if hurried:  # others have used up the time: it is asked again at its turn, as if it ran something else by then
            arguments = ~arguments
        whole = (selected or seen.asked) and not hurried
        image = _digest(seen) if whole else arguments  # which may fail, before anything is noted
        (self._roots.add if selected else self._roots.discard)(pid)
        return Kin(stat.start, stat.ppid, arguments, image, hash(stat.comm), stat.place)

    def _asked(self, seen: Glimpse) -> tuple[bool, bool]:
        """Whether it is selected, and whether that was said in a hurry."""
        if self._patience is None:
            return self._selects(seen), False
        self._patience.hurried = False
        return self._selects(seen), self._patience.hurried

    def _watch_while_young(self, pid: int, kin: Kin) -> None:
        """One without arguments may be in the middle of an exec, and is as good as young."""
        empty = kin.arguments == NOBODY.arguments
        if empty or not self._events.complete:
            left = _YOUNG_SECONDS if empty else _YOUNG_SECONDS - measures.age(kin.start)
            if left > 0:
                self._young.setdefault(pid, self._now + left)

    def _drop(self, pid: int) -> None:
        for child in self._roster.drop(pid):
            self._unread.add(child)
            self._young[child] = self._now + _YOUNG_SECONDS
        self._deferral.drop(pid)
        self._roots.discard(pid)
        self._unsettled = self._unsettled or pid in self._whole

    # --- those who are known whole ---

    def _settle(self) -> None:
        """Only the selected and those below are known whole; who is still missing is tried again at the next look."""
        members = self._roster.below(self._roots)
        for pid in self._whole.keys() - members:
            self._release(self._whole.pop(pid))
        failed = self._each(members - self._whole.keys(), self._complete)
        self._fell_short = self._fell_short or bool(failed)
        self._unsettled = len(members) > len(self._whole)

    def _complete(self, pid: int, seen: Glimpse | None) -> None:
        process, kin = source.whole(seen), self._roster.get(pid)
        if process and kin and process.id.start == kin.start:
            self._keep(process)
        else:
            self._unread.add(pid)

    def _keep(self, process: Process) -> None:
        before = self._whole.get(process.id.pid)
        if before and source.alike(before, process):
            return
        if before and (before.id, before.image) != (process.id, process.image):
            self._release(before)  # what was measured was something else
        self._whole[process.id.pid] = process
        self._altered = True

    def _release(self, process: Process) -> None:
        self._altered = True
        self._usage.forget(process.id)

    def _make_table(self) -> None:
        """Those in it have descriptors from now on, which say who they are when nothing else does any more."""
        self._altered = False
        self._usage.kept.sizes([process.id for process in self._whole.values()])
        self._table = ProcessTable(self._whole[pid] for pid in sorted(self._whole))

    # --- what they use ---

    def sizes(self, identities: Iterable[ProcessId]) -> dict[ProcessId, Size]:
        """See Source."""
        asked = list(identities)
        found = self._usage.kept.sizes(asked)
        if len(found) < len(asked):
            self._unread.update(identity.pid for identity in asked if identity not in found)
        return found

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """See Source."""
        found = self._usage.measure(wants, now)
        self._unread.update(identity.pid for identity, sample in found.items() if identity and sample is None)
        return {identity: sample for identity, sample in found.items() if sample is not None}

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """See Source. Of one whose stat line hangs only a kept descriptor can say that it is who we know."""
        seen = self._glimpses.at(pid, self._now)
        if seen and seen.remembered and not self._usage.kept.holds(ProcessId(pid, seen.stat.start)):
            return None
        return source.with_size(seen, pid, self._root)


def _digest(seen: Glimpse) -> int:
    return hash((seen.digest, seen.uid, seen.exe))
