"""When to look at whom again: soon where a limit is near, seldom where it is far, and all together.

Who is near the limit of a rule is only watched: its size is read, and compared. It is judged when it has grown past
that, when something changes by the mere passing of time, or at the interval if a rule looks at more than sizes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from math import ceil, floor, inf, isinf
from typing import NamedTuple

from fallfromgrace.readings import Subject
from fallfromgrace.table import ProcessId, Size

# Nothing grows faster than this, in bytes a second: so long does a process take to a limit at least. A process that
# touches memory as fast as one core can does 1 to 4 GiB/s.
GROWTH_RATE = 1 << 30
# The shortest time between two looks. At the growth rate 51 MiB are added meanwhile.
TICK_SECONDS = 0.05
# Nobody means an age exactly.
AGE_TICK_SECONDS = 0.25
# What is looked at again within a time is so at the multiples of the longest of these that is not longer: much that is
# due in a while costs few wake-ups, for its times coincide.
_PERIODS = (TICK_SECONDS, 0.1, 0.25, 0.5, 1.0)
UNREAD_SECONDS = 1.0
# Times are the clock's, as floats; what is less than this apart is the same moment.
_SAME_SECONDS = 1e-3


def tick(at: float, seconds: float = TICK_SECONDS) -> float:
    """The first tick that is not before a time."""
    return at if isinf(at) else max(at, round(ceil(at / seconds - 1e-6) * seconds, 6))


def next_of(period: float, now: float) -> float:
    """The next multiple of a period, later than now."""
    return round((floor((now + _SAME_SECONDS) / period) + 1) * period, 6)


class Part(NamedTuple):
    """Processes, and until what sum of their sizes, in bytes, all stays as it is."""

    members: Sequence[ProcessId]
    rmem: float
    vmem: float


class Watch:
    """A subject whose rules come to nothing as long as it keeps within all parts."""

    __slots__ = ("alone", "at", "parts", "period", "size", "subject")

    def __init__(self, subject: Subject, parts: Sequence[Part]) -> None:
        self.subject = subject
        self.parts = parts
        self.at = inf  # when it is due
        members = {each for part in parts for each in part.members}
        self.alone = members.pop() if len(members) == 1 else None
        self.size: Size | None = None  # of one that is alone, when it was last seen
        self.period: float | None = None  # what came of that

    def covers(self, sizes: Mapping[ProcessId, Size]) -> bool:
        """Whether there is the size of everybody."""
        return all(each in sizes for part in self.parts for each in part.members)

    def room(self, sizes: Mapping[ProcessId, Size]) -> float:
        """How many bytes may be added before a limit is reached, negative where one was; who has ended has none."""
        least = inf
        for members, most_rmem, most_vmem in self.parts:
            rmem = vmem = 0
            for each in members:
                size = sizes.get(each)
                if size is not None:
                    rmem += size[0]
                    vmem += size[1]
            least = min(least, most_rmem - rmem, most_vmem - vmem)
        return least


class Calendar:
    """Which watches are due when, each once. Few times are in it, for all are aligned, and much at each."""

    def __init__(self) -> None:
        self._at: dict[float, set[Watch]] = {}

    def add(self, at: float, watches: Collection[Watch]) -> None:
        """Put some down for a time, which are not in it."""
        self._at.setdefault(at, set()).update(watches)
        for watch in watches:
            watch.at = at

    def remove(self, watch: Watch) -> None:
        """Cross out one, if it is in it."""
        due = self._at.get(watch.at, set())
        due.discard(watch)
        if not due:
            self._at.pop(watch.at, None)

    @property
    def next(self) -> float:
        """The first time that something is down for; inf for none."""
        return min(self._at, default=inf)

    def due(self, now: float) -> list[Watch]:
        """What is due, which stays so until it is `done`."""
        return [watch for at in sorted(self._at) if at <= now + _SAME_SECONDS for watch in self._at[at]]

    def done(self, now: float) -> None:
        """Cross out what was due."""
        for at in [at for at in self._at if at <= now + _SAME_SECONDS]:
            del self._at[at]


class Agenda:
    """When each subject is watched, and when it is judged; two looks are `interval` seconds apart at most."""

    def __init__(self, interval: float) -> None:
        self._periods = [each for each in _periods(interval) if each < interval] + [interval]
        self._rooms = [each * GROWTH_RATE for each in self._periods[1:]]
        self._watches: dict[Subject, Watch] = {}
        self._watching = Calendar()
        self._judging: dict[Subject, float] = {}
        self._put_off: dict[float, list[Watch]] = {}  # who was watched last, and for how long each may be left alone

    @property
    def next(self) -> float:
        """When something is due again; inf for never."""
        return min(self._watching.next, min(self._judging.values(), default=inf))

    # --- watching ---

    def watched(self, now: float) -> set[ProcessId]:
        """Those whose size is to be read."""
        return {each for watch in self._watching.due(now) for part in watch.parts for each in part.members}

    def watch(self, sizes: Mapping[ProcessId, Size], now: float) -> None:
        """Put down who is within its limits for later, and who is not to be judged at once."""
        later: dict[float, list[Watch]] = {}
        self._put_off = later
        for watch in self._watching.due(now):
            size = sizes.get(watch.alone) if watch.alone else None
            if size is None or size is not watch.size:  # most are as large as they were
                watch.size, watch.period = size, self._period(watch.room(sizes), sure=watch.covers(sizes))
            if watch.period is None:
                self.judge(watch.subject, now)
            else:
                later.setdefault(watch.period, []).append(watch)
        self._watching.done(now)
        for period, watches in later.items():
            self._watching.add(next_of(period, now), watches)

    def rest(self, until: float) -> None:
        """All sizes stay as they are until a time: who was just watched is so again at the first of their times that is
        not before it.

        For those who know what is to come; nothing else is found than without it.
        """
        for period, watches in self._put_off.items():
            for watch in watches:
                if watch.at < until and self._watches.get(watch.subject) is watch:
                    self._watching.remove(watch)
                    self._watching.add(tick(until, period), [watch])

    def _period(self, room: float, *, sure: bool = True) -> float | None:
        """After how long to look again at one with so much room; None for who has come to a limit.

        Who could not be read has ended, which is known soon, or is tried again soon.
        """
        if room < 0:
            return None
        period = self._periods[bisect_right(self._rooms, room)]
        return period if sure else min(period, UNREAD_SECONDS)

    # --- judging ---

    def judge(self, subject: Subject, at: float) -> None:
        """Put down when a subject is to be judged, if that is not sooner already."""
        self._judging[subject] = min(at, self._judging.get(subject, inf))

    def due(self, now: float) -> list[Subject]:
        """Those who are to be judged, until they were `judged`."""
        return [subject for subject, at in self._judging.items() if at <= now + _SAME_SECONDS]

    def judged(self, subject: Subject, again: float, parts: Sequence[Part], room: float, now: float) -> None:
        """Put down when a subject is to be judged again, and how it is watched meanwhile; not at all without parts."""
        self.drop(subject)
        if not isinf(again):
            self._judging[subject] = again
        if parts:
            self._watches[subject] = watch = Watch(subject, parts)
            self._watching.add(next_of(self._period(room) or TICK_SECONDS, now), [watch])

    def drop(self, subject: Subject) -> None:
        """Strike a subject off."""
        self._judging.pop(subject, None)
        if watch := self._watches.pop(subject, None):
            self._watching.remove(watch)

    def keep(self, subjects: Collection[Subject]) -> None:
        """Strike off all others."""
        for gone in [each for each in (*self._judging, *self._watches) if each not in subjects]:
            self.drop(gone)


def _periods(interval: float) -> list[float]:
    periods = list(_PERIODS)
    while periods[-1] < interval:
        periods.append(2 * periods[-1])
    return periods
