"""Command lines and all else that may hang, read by children of ours: what is late is left to itself, and told."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from fallfromgrace import procfs
from fallfromgrace.errand import ARGUMENTS, IO, MOST, STAT, Answer, Errand
from fallfromgrace.errands import Errands
from fallfromgrace.shortage import share
from fallfromgrace.table import ProcessId
from fallfromgrace.values import owner

# A command line is read in 10 us. After the first time the others go on without one that is late; after the second it
# hangs: nobody waits for it any longer.
LATE_SECONDS, HANGS_SECONDS = 0.005, 0.1
# In one look so much is waited for all that hang, and then not before the next one.
LOOK_SECONDS = 0.5
# Who hangs is asked again after the first of these, then after twice as long each time, and at last after the second:
# it may have been the machine that was slow. At one look no more than so many are.
SOON_SECONDS, AGAIN_SECONDS = 2.0, 60.0
_MOST_AGAIN = 4
# Of children that end before they have read anything: others would, too, and none is made before the next look.
_MOST_BROKEN = 3
# Children that wait for one process each; they take memory.
_MOST_ASIDE = 32


class Seen(NamedTuple):
    """What was read of one process: its stat line, empty where even reading that hangs, what was asked for, None where
    reading that does, and what it executes, None where that was not asked for or read."""

    stat: bytes
    content: bytes | None
    exe: str | None = None


# None of one who is gone, an error where it was we who fell short.
Found = Mapping[int, "Seen | OSError | None"]
_Finding = dict[int, "Seen | OSError | None"]

_QUESTIONS = {
    STAT: "{} cannot be looked at",
    ARGUMENTS: "the command line of {} cannot be read",
    IO: "what {} reads and writes cannot be counted",
}


class _Aside(NamedTuple):
    """An errand that stays with one process, after so many others, since then; we go on with another one."""

    errand: Errand
    done: int
    pid: int
    since: float


class _Hanging(NamedTuple):
    """A process that hangs, without its start where even its stat line does, when it is asked again, how long it was
    left alone, the errand that was lost on it, and what it executes."""

    pid: int
    start: int | None
    again_at: float
    pause: float
    errand: Errand
    exe: str | None


class CommandLines:
    """What can be read of processes, and who hangs; `tell` is told of each of these once.

    Whose stat line hangs, of that nothing is asked. Of others each question hangs, or does not, for itself.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        errands: Errands,
        root: str = "/proc",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._errands = errands
        self._root = root
        self._clock = clock
        self._hanging: dict[tuple[int, int], _Hanging] = {}  # by pid and question
        self._aside: list[_Aside] = []
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """A look begins."""
        self._left, self._again, self._broken, self._now = LOOK_SECONDS, _MOST_AGAIN, 0, now

    def hangs(self, identity: ProcessId) -> bool:
        """Whether whatever is read of this process's memory would hang."""
        known = self._known(identity.pid, ARGUMENTS)
        return known is not None and known.start in (None, identity.start)

    def due(self, now: float) -> set[int]:
        """Who hangs and is to be read again."""
        hanging = (known for (_, what), known in self._hanging.items() if what in (STAT, ARGUMENTS))
        return set(islice((known.pid for known in hanging if now >= known.again_at), _MOST_AGAIN))

    def drop(self, pid: int) -> None:
        """Whoever had the pid is gone."""
        for what in _QUESTIONS:
            self._hanging.pop((pid, what), None)

    def read(self, pids: Iterable[int], now: float, what: int = ARGUMENTS) -> Found:
        """What can be read in time. For whom there was none is not in it, and is to be asked for at a later look.

        Who is known to hang comes last.
        """
        self._now, pids = now, list(pids)
        found: _Finding = {}
        again: list[int] = []
        known = {pid: hanging for pid in pids if (hanging := self._known(pid, what))}
        named = [pid for pid, hanging in known.items() if hanging.start is not None]
        stats = self.read(named, now, STAT) if named else {}
        left = deque(pid for pid in pids if pid not in known or self._is_other(known[pid], stats, found, again))
        left.extend(again)
        try:
            while left and self._left > 0:
                self._ask(left, what, found)
        except OSError as error:
            for pid in left:
                found.setdefault(pid, error)
        while self._aside:
            self._conclude_next(what, found)
        return found

    def read_now(self, pids: Iterable[int], now: float, what: int = ARGUMENTS) -> Found:
        """The same of some for whom there is time whatever others have taken."""
        left, self._left = self._left, max(self._left, HANGS_SECONDS)
        try:
            return self.read(pids, now, what)
        finally:
            self._left = min(left, self._left)

    def stats(self, pids: Iterable[int]) -> dict[int, procfs.Stat | OSError | None]:
        """Who they are this moment; who cannot be known is not in it."""
        found = self.read_now(pids, self._now, STAT)
        return {pid: self._stat(pid, seen) for pid, seen in found.items() if not isinstance(seen, Seen) or seen.stat}

    def _stat(self, pid: int, seen: Seen | OSError | None) -> procfs.Stat | OSError | None:
        if not isinstance(seen, Seen):
            return seen
        try:
            return procfs.resolve(procfs.parse_stat(seen.stat), f"{self._root}/{pid}")
        except OSError as error:
            return error

    def _known(self, pid: int, what: int) -> _Hanging | None:
        return self._hanging.get((pid, STAT)) or self._hanging.get((pid, what))

    def _is_other(self, known: _Hanging, stats: Found, found: _Finding, again: list[int]) -> bool:
        """Whether another process has the pid of one that hangs; that one has its answer, whatever comes of it."""
        pid = known.pid
        if known.start is None:
            if not procfs.read_state(f"{self._root}/{pid}"):
                self.drop(pid)
                return True
            found[pid] = Seen(b"", None)
        elif pid not in stats:
            return False
        else:
            seen = stats[pid]
            if seen is None or (isinstance(seen, Seen) and seen.stat and _start(seen.stat) != known.start):
                self.drop(pid)
                return True
            found[pid] = seen._replace(content=None, exe=known.exe) if isinstance(seen, Seen) else seen
        if self._now >= known.again_at and self._again and not self._errands.is_lost(known.errand):
            self._again -= 1
            again.append(pid)
        return False

    def _ask(self, left: deque[int], what: int, found: _Finding) -> None:
        """Send for as many as one errand can do, or come to before it is late."""
        errand = self._errands.take()
        try:
            errand.ask(what, list(islice(left, MOST)))
            over = self._watch(errand)
            answers = list(errand.answers())
        except BaseException:
            self._errands.give_back(errand)
            raise
        self._broken = 0 if answers else self._broken
        for pid, answer in answers:
            left.popleft()
            self._note(pid, what, answer, found)
        if over:
            self._errands.give_back(errand)
            if errand.broken and not answers:
                self._put_up_with_broken(left)
            return
        self._aside.append(_Aside(errand, len(answers), left.popleft(), self._clock()))
        if len(self._aside) >= share(_MOST_ASIDE):
            self._conclude_next(what, found)

    def _put_up_with_broken(self, left: deque[int]) -> None:
        """It may be for the one whom it was at, who comes last then, or for a want of our own."""
        left.rotate(-1)
        self._broken += 1
        if self._broken >= _MOST_BROKEN:
            raise OSError(errno.ECHILD, "the child that reads for us ends by itself")

    def _conclude_next(self, what: int, found: _Finding) -> None:
        aside = self._aside.pop(0)
        try:
            self._conclude(aside, what, found)
        except OSError as error:
            found.setdefault(aside.pid, error)
        finally:
            self._errands.give_back(aside.errand)

    def _watch(self, errand: Errand) -> bool:
        """Wait for it as long as it makes progress; whether it is over. One that has no processor is not late."""
        done, since = 0, self._clock()
        while not errand.wait(LATE_SECONDS):
            waited = self._clock() - since
            if errand.done > done:
                done, since = errand.done, self._clock()
            elif waited > self._left or (errand.is_held and not errand.wait(0)):
                self._left -= waited
                return False
        return True

    def _conclude(self, aside: _Aside, what: int, found: _Finding) -> None:
        """The process has had its time, together with others'."""
        errand, began = aside.errand, self._clock()
        until = aside.since + HANGS_SECONDS
        while errand.done <= aside.done and not errand.wait(min(LATE_SECONDS, until - self._clock())):
            if self._clock() >= until:
                break
        self._left -= self._clock() - began
        answer = next(islice(errand.answers(), aside.done, None), None)
        if answer:
            self._note(answer[0], what, answer[1], found)
        elif errand.is_held:
            self._give_up(aside, what, found)

    def _note(self, pid: int, what: int, answer: Answer | OSError | None, found: _Finding) -> None:
        if isinstance(answer, OSError):
            found.setdefault(pid, answer)
            return
        found[pid] = Seen(answer.stat, answer.content, answer.exe) if answer else None
        for each in {STAT, what}:
            self._hanging.pop((pid, each), None)

    def _give_up(self, aside: _Aside, what: int, found: _Finding) -> None:
        pid, line, exe = aside.errand.at
        if aside.errand.done != aside.done or (line and not line.startswith(b"%d (" % pid)) or pid != aside.pid:
            return  # it went on at this moment
        start = _start(line) if line else None
        what = what if line else STAT
        if not any((pid, each) in self._hanging for each in _QUESTIONS):
            self._tell_of(pid, what)
        found[pid] = Seen(line, None, exe)
        before = self._known(pid, what)
        same = before is not None and (before.start == start or None in (before.start, start))
        pause = min(AGAIN_SECONDS, 2 * before.pause) if before and same else SOON_SECONDS
        for each in {STAT, what}:  # who was asked last comes last
            self._hanging.pop((pid, each), None)
        self._hanging[pid, what] = _Hanging(pid, start, self._now + pause, pause, aside.errand, exe)

    def _tell_of(self, pid: int, what: int) -> None:
        uid = procfs.read_euid(pid, self._root)
        name = f"process {pid} ('{procfs.read_comm(pid, self._root)}', of {'?' if uid is None else owner(uid)})"
        self._tell(
            f"{_QUESTIONS[what].format(name)}: whoever does so hangs; it is tried again, each minute at least, and "
            f"until then counts as what it was before, or as {'nobody' if what == STAT else 'unknown'}"
        )


def _start(line: bytes) -> int:
    return procfs.parse_stat(line).start
