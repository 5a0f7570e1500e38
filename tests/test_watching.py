"""Looking only at who is due comes to the same as looking at everybody all the time.

A made-up world is lived through twice: *densely*, with a full look at every tick of 50 ms, and *sparsely*, by the
agenda, as the loop does. What is the same, and what cannot be:

- A rule that compares nothing but resident and virtual sizes (of a process, a tree or a group) with numbers, and has no
  `until`, acts at the very same tick, also with `for`, `after` and `@`.
- Any other rule acts up to an interval later. So does what is done at a recovery, and what is for the largest, since
  who that is may change by itself. For an age it is a little more.
- Of several signals to a process one is sent in a look. The others wait: densely a tick, sparsely an interval, each for
  all the others. Those that are repeated have then other times, and who was told to end is not stopped, so where there
  are several signals only those that are sent once are compared.
- What the same rule sends to somebody on behalf of several processes that it fires for is sent once if they are judged
  together, which they may be in one way only.
- What was not in force all the time until it had to be done may be missed. What is done for what was in force densely
  just before may be too late, for an `until` with a `for` ends later too.
- Nothing else is done, or left undone.

A rule that fires is sparsely seen to have ceased an interval later, and must not fire again before. So one thing
happens at a time (a process grows or shrinks by at most 1 GiB a second, starts, ends, runs something else, gets another
parent, is stopped or continued), followed by calm for more than two intervals; and conditions are made of parts that
growth can only make true, or of one part, without an `until`, that it makes false. Processes come and go at full
seconds, when both look at who is there. They do not heed signals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import ceil
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from fallfromgrace.agenda import TICK_SECONDS
from fallfromgrace.expression import Metric, Sample
from fallfromgrace.rules import Exec, Item, Log, Monitor, Rule, Signal, Target
from fallfromgrace.table import Process, ProcessId
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict
from tests.builders import MIB, Life, monitor, process
from tests.strategies import patiently

GIB = 1024  # in MiB
MACHINE = {"memory": 16 * GIB * MIB, "swaptotal": 4 * GIB * MIB, "available": 8 * GIB * MIB}
# Densely an age is seen at the next tick, sparsely a little after, and at quarters of a second.
AGE_SECONDS = 0.3
_SAME = 1e-6


# --- worlds ---


class Move(NamedTuple):
    """What happens to one process at a time: of `rmem` MiB by `rate` MiB a second, of all else at once."""

    what: str
    pid: int
    value: float = 0
    rate: float = GIB


class Lived(NamedTuple):
    """A process from some time on."""

    process: Process
    threads: int = 1
    stopped: bool = False


class World:
    """Who is there when, and how large, made of moves that each begin at a full second, with calm after each."""

    def __init__(self, first: Iterable[tuple[Process, float]], moves: Iterable[Move], calm: float) -> None:
        self.sizes: dict[ProcessId, list[tuple[float, float]]] = {}  # the corners: when, MiB
        now: dict[int, Lived] = {each.id.pid: Lived(each) for each, _ in first}
        for each, size in first:
            self.sizes[each.id] = [(-1.0, size)]
        self.times, self.there, at = [-1.0], [tuple(now.values())], ceil(calm)
        for move in moves:
            seconds = self._take(move, now, float(at))
            self.times.append(float(at))
            self.there.append(tuple(now[pid] for pid in sorted(now)))
            at = ceil(at + seconds + calm)
        self.until = float(at)

    def _take(self, move: Move, now: dict[int, Lived], at: float) -> float:
        """How long it takes."""
        lived = now.get(move.pid)
        if move.what == "start":
            ppid = 100 if move.value else 1
            new = process(move.pid, "hog" if move.rate > 500 else "kid", ppid=ppid, start=int(1000 + at))
            now[move.pid], self.sizes[new.id] = Lived(new), [(at, 10.0)]
        if lived is None:
            return 0
        if move.what == "rmem":
            corners = self.sizes[lived.process.id]
            begin, size = at + 0.013, corners[-1][1]
            seconds = abs(move.value - size) / move.rate
            corners += [(begin, size), (begin + seconds, move.value)]
            return seconds
        if move.what == "end":
            del now[move.pid]
        elif move.what == "exec":
            image = lived.process.image._replace(cmdline="kid" if lived.process.image.cmdline == "hog" else "hog")
            now[move.pid] = lived._replace(process=lived.process._replace(image=image))
        elif move.what == "adopt":
            parent = 100 if move.value and move.pid != 100 else 1
            now[move.pid] = lived._replace(process=lived.process._replace(ppid=parent))
        elif move.what == "threads":
            now[move.pid] = lived._replace(threads=int(move.value))
        elif move.what == "halt":
            now[move.pid] = lived._replace(stopped=not lived.stopped)
        return 0

    def __call__(self, now: float) -> list[tuple[Process, Sample]]:
        there = self.there[bisect_right(self.times, now + 1e-6) - 1]
        return [(lived.process, self._sample(lived, now)) for lived in there]

    def _sample(self, lived: Lived, now: float) -> Sample:
        identity = lived.process.id
        rmem = int(_between(self.sizes[identity], now) * MIB)
        born = identity.start - 1000 if identity.start >= 1000 else -1.53
        return {
            "rmem": rmem, "vmem": rmem + 100 * MIB, "pmem": rmem // 2, "umem": rmem // 4, "swap": rmem // 8, "fds": 7,
            "threads": lived.threads, "age": max(0.0, now - born), "cputime": 0.0, "stopped": int(lived.stopped),
        }  # fmt: skip


def _between(corners: list[tuple[float, float]], now: float) -> float:
    place = bisect_right(corners, (now, float("inf")))
    if place == len(corners):
        return corners[-1][1]
    (begin, size), (end, other) = corners[max(0, place - 1)], corners[place]
    return size + (other - size) * (now - begin) / (end - begin) if end > begin else other


# --- what was done ---


class Reason(NamedTuple):
    """Which action of which rule, and, as far as that has to be the same, for whom it fires and whom it is for."""

    monitor: str
    rule: str
    action: str
    recovered: bool
    subject: ProcessId | None
    target: ProcessId | None


class Played(Life):
    """A life that keeps what was done when, and at which ticks it was in force."""

    def __init__(self, *monitors: Monitor, interval: float) -> None:
        super().__init__(*monitors, interval=interval, machine=MACHINE)
        self.done: dict[Reason, list[float]] = defaultdict(list)
        self.causes: dict[Reason, tuple[Rule, Item]] = {}
        self.in_force: dict[Reason, set[int]] = defaultdict(set)

    def _act(
        self, now: float, verdicts: list[Verdict], result: Result, results: Mapping[int, Result]
    ) -> list[tuple[int | None, str]]:
        for each in verdicts:
            if each.item and each.kind is not Kind.SPARED:
                reason = reason_of(each, each.item)
                self.causes[reason] = each.rule, each.item
                self.in_force[reason].add(round(now / TICK_SECONDS))
                if each.kind is Kind.FIRE and self.engine.due_at(each) <= now:
                    self.engine.record(Outcome(each, result), now)
                    self.done[reason].append(now)
        self.engine.arm(self.seen, verdicts)
        self.next_look = self.engine.next_look
        return []

    def ticks_in_force(self, reason: Reason, begin: float, end: float) -> list[bool]:
        """Whether an action was in force, at each tick from one time to another."""
        ticks = range(round(begin / TICK_SECONDS), round(end / TICK_SECONDS) + 1)
        return [each in self.in_force[reason] for each in ticks]


def reason_of(verdict: Verdict, item: Item) -> Reason:
    action, cause = item.action, verdict.cause
    subject, target = cause.key.identity, verdict.process.id if verdict.process else None
    if isinstance(action, Signal):  # of several rules that are to send the same, one does
        subject, target = None, None if action.target is Target.LARGEST else target
    elif isinstance(action, (Exec, Log)) and action.limit is not None:  # whoever is first
        subject = target = None
    return Reason(verdict.monitor.name, verdict.rule.key, item.own, cause.recovered, subject, target)


def decided_by_sizes(rule: Rule) -> bool:
    """Whether nothing but growth past a number makes a rule fire."""
    names = {each.name if isinstance(each, Metric) else "" for each in rule.trigger.measured}
    return rule.trigger.until is None and names <= {"rmem", "vmem"} and "mem < " not in rule.text


def play(monitors: Iterable[Monitor], world: World, interval: float) -> tuple[Played, Played]:
    """The same densely and sparsely."""
    dense, sparse = Played(*monitors, interval=interval), Played(*monitors, interval=interval)
    for number in range(round(world.until / TICK_SECONDS) + 1):
        now = round(number * TICK_SECONDS, 6)
        dense.look(now, *world(now))
    sparse.live(world.until, world)
    return dense, sparse


def differences(dense: Played, sparse: Played, interval: float) -> list[str]:
    """What was not done by one as by the other, in words."""
    causes = {**dense.causes, **sparse.causes}
    signals = {each[:3] for each, (_, item) in causes.items() if isinstance(item.action, Signal)}
    return [
        f"{reason}: {told}"
        for reason in sorted({*dense.done, *sparse.done}, key=str)
        if reason[:3] not in signals or len(signals) == 1 or causes[reason][1].action.limit is None
        for told in _differing(dense, sparse, reason, *_allowed(reason, *causes[reason], interval, len(signals)))
    ]


def _allowed(reason: Reason, rule: Rule, item: Item, interval: float, signals: int) -> tuple[float, float]:
    """By how much something may be done sooner, and later."""
    signal = item.action if isinstance(item.action, Signal) else None
    waits = signals - 1 if signal else 0
    exact = decided_by_sizes(rule) and not reason.recovered and not (signal and signal.target is Target.LARGEST)
    return waits * TICK_SECONDS, (0 if exact else interval + AGE_SECONDS) + 3 * waits * interval


def _differing(dense: Played, sparse: Played, reason: Reason, soon: float, late: float) -> Iterable[str]:
    left, end = list(sparse.done[reason]), sparse.looks[-1]
    done = [(not all(dense.ticks_in_force(reason, at, at + late)), at) for at in dense.done[reason]]
    for brief, at in sorted(done):  # first what must not be missed
        found = [each for each in sparse.done[reason] if -soon - _SAME <= each - at <= late + _SAME]
        new = [each for each in found if each in left]
        if new:
            left.remove(new[0])
        elif not (found and reason.subject is None) and (not brief or reason.recovered) and at + late < end:
            yield f"done densely at {at:g}, but sparsely at {sparse.done[reason]}"
    for at in left:
        before = dense.ticks_in_force(reason, at - late, at)
        again = reason.subject is None and any(-soon - _SAME <= at - each <= late + _SAME for _, each in done)
        if not again and (not any(before) or before[-1]):
            yield f"done sparsely at {at:g}, but densely at {dense.done[reason]}"


# --- at random ---

LIMITS = (150, 400, 900, 2500)  # MiB
SIZES = (50, 300, 700, 1400, 5000)
RATES = st.sampled_from([1024.0, 700.7, 333.0])  # MiB a second


def written(*texts: str) -> st.SearchStrategy[str]:
    """These with limits for X."""
    return st.sampled_from([text.replace("X", f"{limit}m") for text in texts for limit in LIMITS])


SIZED = written(
    "rmem > X", "rmem >= X", "vmem > X", "tree.rmem > X", "group.rmem > X", "not rmem <= X", "X < tree.vmem"
)  # fmt: skip
SHARES = st.sampled_from(["rmem > 1%", "tree.rmem > 5%", "group.rmem > 10%"])
DEAR = written("pmem > X", "umem > X", "swap > X", "tree.pmem > X")
OTHERS = st.sampled_from(["threads > 3", "tree.threads > 5", "count > 1", "children > 0", "age > 5s", "age > 12s"])
LESS = written("rmem < X", "group.rmem < X") | st.sampled_from(["threads < 4", "count < 2", "age > 9s"])
PARTS = st.one_of(SIZED, SIZED, SIZED, SHARES, DEAR, OTHERS)
CONDITIONS = st.one_of(
    PARTS,
    st.builds("{} and {}".format, PARTS, PARTS),
    st.builds("{} or {}".format, PARTS, PARTS),
    st.builds("{} and ({} or {})".format, PARTS, PARTS, PARTS),
    st.builds("{} or ({} and {})".format, PARTS, PARTS, PARTS),
)
FOR = st.sampled_from(["", "", " for 1s", " for 3s"])
UNTIL = st.just("") | st.builds(" until {}{}".format, LESS, FOR)
TRIGGERS = st.builds("{}{}{}".format, CONDITIONS, FOR, UNTIL) | st.builds("{}{}".format, LESS, FOR)
ACTIONS = st.sampled_from([
    "exec a", "exec @ 2s b", "log c", "log @ 3s d", "after 1s exec e", "after 2s exec @ 1s f", "recovered exec g",
    "term", "kill", "stop @ 3s", "term @ 2s", "kill tree", "term largest", "kill largest @ 4s", "usr1 tree @ 2s",
    "usr2 group", "after 1s kill",
])  # fmt: skip
RULES = st.dictionaries(TRIGGERS, st.lists(ACTIONS, min_size=1, max_size=3, unique=True), min_size=1, max_size=2)
PIDS = st.sampled_from([100, 101, 102])
MOVES = st.one_of(
    st.builds(Move, st.just("rmem"), PIDS, st.sampled_from(SIZES), RATES),
    st.builds(Move, st.just("rmem"), PIDS, st.sampled_from(SIZES), RATES),
    st.builds(Move, st.sampled_from(["start", "end", "exec", "adopt", "halt"]), PIDS, st.sampled_from([0, 1]), RATES),
    st.builds(Move, st.just("threads"), PIDS, st.sampled_from([1, 4, 9])),
)


@st.composite
def made_monitors(draw: st.DrawFn) -> list[Monitor]:
    names = draw(st.sampled_from(["m", "m", "mn"]))
    cmdlines, either = st.sampled_from(["hog", "hog", "kid", "hog|kid"]), st.booleans()
    return [monitor(draw(RULES), name, draw(cmdlines), children=draw(either), final=draw(either)) for name in names]


@st.composite
def worlds(draw: st.DrawFn, interval: float) -> World:
    other = process(101, draw(st.sampled_from(["hog", "kid"])), ppid=draw(st.sampled_from([1, 100])))
    first = [(each, draw(st.sampled_from(SIZES[:3]))) for each in (process(100), other)]
    return World(first, draw(st.lists(MOVES, min_size=1, max_size=4 if interval < 2 else 2)), 2.6 * interval)


@settings(patiently, max_examples=50, derandomize=True, database=None)
@given(data=st.data(), monitors=made_monitors(), interval=st.sampled_from([1.0, 1.0, 1.5, 7.0]))
def test_looking_at_who_is_due_comes_to_the_same_as_looking_at_everybody_all_the_time(
    data: st.DataObject, monitors: list[Monitor], interval: float
) -> None:
    dense, sparse = play(monitors, data.draw(worlds(interval)), interval)
    assert differences(dense, sparse, interval) == []
