"""Command lines of processes, read by children of ours that may hang: what is late is left to itself, and told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from fallfromgrace import procfs
from fallfromgrace.errand import ARGUMENTS, MOST, Answer, Errand
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
# Children that wait for one process each; they take memory.
_MOST_ASIDE = 32


class Seen(NamedTuple):
    """The lines of one process, as the kernel has them; no arguments where reading them hangs."""

    stat: bytes
    arguments: bytes | None


# None of one who is gone, an error where it was we who fell short.
Found = Mapping[int, "Seen | OSError | None"]
_Finding = dict[int, "Seen | OSError | None"]


class _Aside(NamedTuple):
    """An errand that stays with one process, after so many others, since then; we go on with another one."""

    errand: Errand
    done: int
    since: float


class _Hanging(NamedTuple):
    """A process that hangs, when it is asked again, how long it was left alone, and the errand that was lost on it."""

    id: ProcessId
    again_at: float
    pause: float
    errand: Errand


class CommandLines:
    """What can be read of command lines, and who hangs; `tell` is told of each of these once."""

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
        self._hanging: dict[int, _Hanging] = {}
        self._aside: list[_Aside] = []
        self.begin()

    def begin(self) -> None:
        """A look begins."""
        self._left, self._again = LOOK_SECONDS, _MOST_AGAIN

    def hangs(self, identity: ProcessId) -> bool:
        """Whether whatever is read of this process's memory would hang."""
        known = self._hanging.get(identity.pid)
        return known is not None and known.id == identity

    def due(self, now: float) -> set[int]:
        """Who hangs and is to be read again."""
        return set(islice((pid for pid, known in self._hanging.items() if now >= known.again_at), _MOST_AGAIN))

    def read(self, pids: Iterable[int], now: float) -> Found:
        """What can be read in time. For whom there was none is not in it, and is to be asked for at a later look.

        Who is known to hang comes last.
        """
        found: dict[int, Seen | OSError | None] = {}
        again: list[int] = []
        left = deque(pid for pid in pids if self._is_fresh(pid, found, again, now))
        left.extend(again)
        try:
            while left and self._left > 0:
                self._ask(left, found, now)
        except OSError as error:
            for pid in left:
                found.setdefault(pid, error)
        while self._aside:
            self._conclude(self._aside.pop(0), found, now)
        return found

    def _is_fresh(self, pid: int, found: _Finding, again: list[int], now: float) -> bool:
        """Whether it is not known to hang; who is has its answer, whatever comes of it."""
        known = self._hanging.get(pid)
        if known is None:
            return True
        line = procfs.read_stat_line(pid, self._root)
        if line is None or procfs.parse_stat(line).start != known.id.start:
            del self._hanging[pid]
            return True
        found[pid] = Seen(line, None)
        if now >= known.again_at and self._again and not self._errands.is_lost(known.errand):
            self._again -= 1
            again.append(pid)
        return False

    def _ask(self, left: deque[int], found: _Finding, now: float) -> None:
        """Send for as many as one errand can do, or come to before it is late."""
        errand = self._errands.take()
        errand.ask(ARGUMENTS, list(islice(left, MOST)))
        over = self._watch(errand)
        answers = list(errand.answers())
        for pid, answer in answers:
            left.popleft()
            self._note(pid, answer, found)
        if over:
            self._errands.give_back(errand)
            return
        left.popleft()
        self._aside.append(_Aside(errand, len(answers), self._clock()))
        if len(self._aside) >= share(_MOST_ASIDE):
            self._conclude(self._aside.pop(0), found, now)

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

    def _conclude(self, aside: _Aside, found: _Finding, now: float) -> None:
        """The process has had its time, together with others'."""
        errand, began = aside.errand, self._clock()
        until = aside.since + HANGS_SECONDS
        while errand.done <= aside.done and not errand.wait(min(LATE_SECONDS, until - self._clock())):
            if self._clock() >= until:
                break
        self._left -= self._clock() - began
        answer = next(islice(errand.answers(), aside.done, None), None)
        if answer:
            self._note(*answer, found)
        elif errand.is_held:
            self._give_up(errand, found, now)
        self._errands.give_back(errand)

    def _note(self, pid: int, answer: Answer | OSError | None, found: _Finding) -> None:
        if isinstance(answer, OSError):
            found.setdefault(pid, answer)
            return
        found[pid] = Seen(answer.stat, answer.content) if answer else None
        self._hanging.pop(pid, None)

    def _give_up(self, errand: Errand, found: _Finding, now: float) -> None:
        pid, line = errand.at
        if not line.startswith(b"%d (" % pid):
            return  # it went on at this moment
        stat = procfs.parse_stat(line)
        identity = ProcessId(pid, stat.start)
        if not self.hangs(identity):
            whose = owner(uid) if (uid := procfs.read_euid(pid, self._root)) is not None else "?"
            self._tell(
                f"the command line of process {pid} ('{stat.comm}', of {whose}) cannot be read: whoever does so hangs; "
                "it is tried again, each minute at least, and until then counts as what it was before, or as unknown"
            )
        found[pid] = Seen(line, None)
        known = self._hanging.pop(pid, None)  # who was asked last comes last
        pause = min(AGAIN_SECONDS, 2 * known.pause) if known and known.id == identity else SOON_SECONDS
        self._hanging[pid] = _Hanging(identity, now + pause, pause, errand)
