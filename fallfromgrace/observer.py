"""Looks at processes as the daemon does, and does nothing about them: what `explain` and `top` show."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import inf
from types import TracebackType
from typing import NamedTuple

from fallfromgrace import errand, orders, privileges, procfs
from fallfromgrace.docket import Case, InstanceKey
from fallfromgrace.engine import Engine
from fallfromgrace.expression import wholes
from fallfromgrace.lifecycle import Instance, Phase, is_stop
from fallfromgrace.linux import LinuxSource
from fallfromgrace.looks import Look
from fallfromgrace.memory import NEW, Memory
from fallfromgrace.patience import Patience, limited
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rules import Config, Item
from fallfromgrace.source import Unready
from fallfromgrace.table import Process, ProcessId, ProcessTable
from fallfromgrace.verdict import Verdict

# As often is asked again who cannot be read at once.
AGAIN_SECONDS = 0.05
# Whom a daemon has stopped so short before it wrote, it has not looked at again by then.
_JUST_SECONDS = 0.05
# So many readings are made at a time, and then it is told that it goes on.
_BATCH = 50


def others(seen: ProcessTable) -> ProcessTable:
    """All but ourselves, and but the children with which a daemon reads, which that leaves out, too."""
    return ProcessTable(each for each in seen if each.id.pid != os.getpid() and not _reads(each))


def _reads(process: Process) -> bool:
    return orders.FLAG in process.image.cmdline and procfs.read_comm(process.id.pid) == errand.NAME


def as_daemon(pid: int) -> Self:
    """Who acts as the daemon with that pid."""
    return Self(pid, procfs.read_euid(pid) or None)


def everybody(
    source: LinuxSource, clock: Callable[[], float] = time.monotonic, going_on: Callable[[], None] = lambda: None
) -> tuple[ProcessTable, float]:
    """Who is there, and when that was; some may take a while to read."""
    while True:
        now = clock()
        try:
            return source.look(now), now
        except Unready:
            going_on()
            time.sleep(AGAIN_SECONDS)


class Scene(NamedTuple):
    """What was seen at one moment, and what the rules say to it. `news` are the lives of rules of which
    a daemon that was assumed says something else: it has seen that since it wrote, or has yet to see it."""

    engine: Engine
    look: Look
    verdicts: tuple[Verdict, ...]
    now: float
    news: frozenset[InstanceKey] = frozenset()


class Observer:
    """The rules of a configuration, and everybody whom they are about, each time that `observe` is called.

    `myself` is the daemon in whose place it looks; without one it looks as a daemon would that is started by us.
    `going_on` is called now and then while a look takes its time.
    """

    def __init__(
        self,
        config: Config,
        tell: Callable[[str], None],
        *,
        myself: Self | None = None,
        going_on: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._myself = myself or privileges.ourselves()
        self._engine = Engine(limited(config, Patience(tell)), self._myself)
        self._source = LinuxSource(tell)
        self._going_on = going_on
        self._clock = clock
        self._seen = self._others = ProcessTable(())
        self._assumed = False
        self._just_stopped: set[ProcessId] = set()
        self._source.configure(self._engine.selects, process_events=False)
        self._source.prepare(self._engine.facets)

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all that is open."""
        self._source.close()

    @property
    def config(self) -> Config:
        """What it goes by, its searches limited."""
        return self._engine.config

    def assume(self, memory: Memory, written: float | None = inf) -> None:
        """Go on from what a daemon remembers that still runs, and when it wrote that; or where none does begin anew."""
        self._engine.assume(memory, self._clock())
        retries = self._engine.memory.retries  # the daemon's interval may be longer than ours
        retries.update((key, memory.retries[key]) for key in retries)
        self._assumed = written is not None
        # Whom it had only just stopped, and did not look at again yet: they may have been continued since.
        self._just_stopped = {
            identity
            for (identity, _), clock in memory.clocks.items()
            if written is not None and clock.since is not None and clock.since > written - _JUST_SECONDS
        }

    def observe(self) -> Scene:
        """What there is, and what the rules say to it, at this moment."""
        seen, now = everybody(self._source, self._clock, self._going_on)
        table = self._without_us(seen)
        engine = self._engine
        look = engine.look(table, (), now, kin=_Below(self._myself.pid))
        before, stopped = dict(engine.memory.instances), _stopped(engine.memory)
        while wants := engine.wants(look):
            self.read(look, wants)
        verdicts = engine.sweep(look)
        if not self._assumed:
            return Scene(engine, look, verdicts, now)
        self._believe(look, before)
        continued = (stopped | self._just_stopped) - _stopped(engine.memory)
        return Scene(engine, look, verdicts, now, frozenset(self._news(look, before, continued)))

    def complete(self, scene: Scene, cases: Iterable[Case]) -> None:
        """Read all that these look at, also what decides nothing."""
        look = scene.look
        self.read(look, {want for case in cases for want in _all_wants(case, look)})

    def process(self, pid: int) -> Process | None:
        """Who has a pid at this moment; None where nobody has, or a thread of the kernel, or who has ended."""
        found = self._source.reread(pid)
        return found[0] if found else None

    def _without_us(self, seen: ProcessTable) -> ProcessTable:
        """The same as the last time if nothing has changed."""
        if seen is not self._seen:
            self._seen, self._others = seen, others(seen)
        return self._others

    def read(self, look: Look, wants: Collection[Want]) -> None:
        """Make readings for a look, some at a time."""
        ordered = list(wants)
        for start in range(0, len(ordered), _BATCH):
            batch = ordered[start : start + _BATCH]
            look.readings.add(batch, self._source.measure(batch, look.now))
            self._going_on()

    def _believe(self, look: Look, before: Mapping[InstanceKey, Instance]) -> None:
        """What we cannot know, as who watches for an hour does, is as the daemon says."""
        memory = self._engine.memory
        for case in look.cases:
            if None in look.truth(case) and case.key in before:
                memory.keep(case.key, before[case.key])

    def _news(
        self, look: Look, before: Mapping[InstanceKey, Instance], continued: Collection[ProcessId | None]
    ) -> Iterator[InstanceKey]:
        for case in look.cases:
            runs_again = case.subject.identity in continued and any(map(_stops, case.rule.items))
            if runs_again or _turn(before.get(case.key, NEW).phase, self._engine.memory.instance(case.key).phase):
                yield case.key


def _stops(item: Item) -> bool:
    return is_stop(item.action)


def _stopped(memory: Memory) -> set[ProcessId | None]:
    """Who does not run since a rule has stopped it."""
    return {identity for (identity, _), clock in memory.clocks.items() if clock.since is None}


def _turn(before: Phase, after: Phase) -> bool:
    """Whether that took seeing something: what is pending fires by the mere passing of time."""
    return before is not after and (before, after) != (Phase.PENDING, Phase.FIRING)


def _all_wants(case: Case, look: Look) -> Iterator[Want]:
    trigger, sight, identity = case.rule.trigger, look.sight(case), case.subject.identity
    parts = [part.condition for part in (trigger.fires, trigger.until) if part]
    for found in (*trigger.measured, *(whole for condition in parts for whole in wholes(condition))):
        yield from sight.wants(found)
    if identity:
        yield from look.readings.missing(identity, Facet.STAT)


class _Below:
    """Whoever descends from a process: of the daemon that is what its commands have started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __contains__(self, process: object) -> bool:
        assert isinstance(process, Process)
        parent: int | None = process.ppid
        for _ in range(_MOST_PARENTS):
            if not parent or parent == 1:
                return False
            if parent == self._pid:
                return True
            parent = procfs.read_parent(parent)
        return False


_MOST_PARENTS = 256
