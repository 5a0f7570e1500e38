"""A loop in a made-up world with a clock of its own, in which any call to the outside can fail."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import fallfromgrace
from fallfromgrace import lifecycle
from fallfromgrace.loop import Loop
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet
from fallfromgrace.rules import Config, Exec, Log, Notify, Signal
from fallfromgrace.table import Process, Size
from fallfromgrace.verdict import Outcome, Result
from tests.builders import MIB, config, monitor, process, table

_OURS = str(Path(fallfromgrace.__file__).parent)

# A run is so long, in seconds that nobody waits for.
LENGTH = 45.0
_INTERVAL = 2.0
_RULES = {
    "vmem > 1500m for 2s": ["log large", "after 14s term"],
    "rmem > 500m": "exec @ 20s warn",
    "rmem > 300m until rmem < 200m": ["notify grows", "recovered log fine"],
    "rmem > 700m": "stop @ 9s",
    "growth(rmem, 10s) > 50m": "log fast",
    "count > 2": "exec many",
}
_CHANGED = {**_RULES, "rmem > 550m": "nice 5"}


def _configuration(rules: dict[str, Any]) -> Config:
    return config(monitor(rules), interval=_INTERVAL)


class Ports:
    """Counts the calls to the outside; the one with a certain number fails, before anything is done."""

    def __init__(self, fails_at: int | None = None, error: Callable[[], Exception] = MemoryError) -> None:
        self.names: list[str] = []
        self.over: Callable[[], bool] = lambda: False
        self._fails_at, self._error = fails_at, error

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any) -> Any:
            self.names.append(name)
            if len(self.names) == self._fails_at and not (name in _SURE and self.over()):
                raise self._error()
            return call(*words)

        return wrapped

    def guard(self, owner: Any, names: Iterable[str]) -> None:
        for name in names:
            setattr(owner, name, self.wrap(name, getattr(owner, name)))


class Lines:
    """Counts the lines of ours that are executed; the one with a certain number fails, before it is.

    But for those of `run` itself: it is what stays when all else fails, and nothing in it takes memory.
    """

    def __init__(self, fails_at: int | None = None) -> None:
        self.count = 0
        self.where: dict[tuple[str, int], list[int]] = {}  # the numbers of those that have been executed at a place
        self.on: Callable[[], bool] = lambda: False
        self._fails_at = fails_at

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        """For sys.settrace; what fails in it, fails in what it traces."""
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        if self.on() and event in ("call", "line") and frame.f_code is not Loop.run.__code__:
            self.count += 1
            if self._fails_at is None:
                self.where.setdefault((frame.f_code.co_filename, frame.f_lineno), []).append(self.count)
            elif self.count == self._fails_at:
                raise MemoryError
        return self.trace


class World:
    """Three processes: one grows and shrinks, one is stopped and continued, one comes late; TERM ends them."""

    wakes = frozenset[int]()
    dry_run = False

    def __init__(self) -> None:
        self.now = 1000.0
        self.began = self.now
        self.done: list[tuple[float, int | None, str]] = []
        self.lines: list[str] = []
        self._signals = [(12.0, signal.SIGHUP), (16.0, signal.SIGHUP), (LENGTH, signal.SIGTERM)]
        self._ended: set[int] = set()
        self._stopped: dict[int, float] = {}
        self._table = table()
        self.configured = None
        self.spawner = SimpleNamespace(
            idle=True, next_wake=inf, groups=frozenset(), busy=0, leftovers="", keep=lambda owners: None,
            abandon=lambda: None, tend=lambda now: None,
        )  # fmt: skip

    @property
    def since(self) -> float:
        return self.now - self.began

    # --- the clock and signals ---

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, awaited: Any, seconds: float) -> Any:
        at, number = self._signals[0] if self._signals else (inf, 0)
        until = min(self.since + seconds, at) if number in awaited else self.since + seconds
        self.now = max(self.now, self.began + until)
        if number in awaited and self.since >= at:
            del self._signals[0]
            return SimpleNamespace(si_signo=number)
        return None

    # --- processes ---

    def _mib(self, pid: int) -> int:
        at = self.since
        if pid == 100:
            return 100 if at < 3 or at > 40 else 600
        return 800 if pid == 200 else 10

    def _processes(self) -> Iterator[Process]:
        for pid, comes in ((100, 0), (200, 5), (300, 30)):
            if self.since >= comes and pid not in self._ended:
                yield process(pid, state="T" if self._is_stopped(pid) else "S")

    def _is_stopped(self, pid: int) -> bool:
        return self.since < self._stopped.get(pid, -1) + 1.5  # somebody continues it soon

    def _sample(self, each: Process) -> dict[str, float]:
        size = self._mib(each.id.pid) * MIB
        return {"rmem": size, "vmem": 2 * size, "stopped": int(each.stopped), "age": self.since, "cputime": 1}

    # --- as a source ---

    def configure(self, selects: Any, process_events: bool) -> None:
        self.configured = selects

    def prepare(self, facets: Any) -> None:
        pass

    def look(self, now: float) -> Any:
        found = [each for each in self._processes() if self.configured(each.image)]
        if [each[:3] for each in found] != [each[:3] for each in self._table]:
            self._table = table(*found)
        return self._table

    def next_look(self) -> float:
        return self.now + 1

    def sizes(self, identities: Any) -> Any:
        there = {each.id: self._sample(each) for each in self._processes()}
        return {each: Size(there[each]["rmem"], there[each]["vmem"]) for each in identities if each in there}

    def measure(self, wants: Any, now: float) -> Any:
        there = {each.id: self._sample(each) for each in self._processes()}
        facets = {Facet.MEMORY: ("rmem", "vmem"), Facet.STAT: ("stopped", "age", "cputime")}
        found: dict[Any, dict[str, float]] = {}
        for identity, facet in wants:
            if identity in there:
                found.setdefault(identity, {}).update({name: there[identity][name] for name in facets[facet]})
        return found

    def reread(self, pid: int) -> Any:
        return next(((each, self._sample(each)) for each in self._processes() if each.id.pid == pid), None)

    # --- as a performer ---

    def prepare_verdict(self, verdict: Any, held: Any) -> Any:
        return verdict

    def carry_out(self, verdict: Any, now: float) -> Outcome:
        if isinstance(verdict, Outcome):
            return verdict
        action, pid = verdict.item.action, verdict.process.id.pid if verdict.process else None
        self.done.append((self.since, pid, str(action)))
        if lifecycle.is_stop(action):
            self._stopped[pid] = self.since
        elif isinstance(action, Signal):
            self._ended.add(pid)
        results = {Exec: Result.STARTED, Notify: Result.TOLD, Log: Result.TOLD, Signal: Result.SENT}
        return Outcome(verdict, results.get(type(action), Result.SET))

    # --- as a log and a reader ---

    def write(self, priority: int, text: str) -> None:
        self.lines.append(text)

    def catch_up(self, now: float) -> None:
        pass

    deadline = inf

    def over(self, now: float) -> bool:
        return True

    def result(self) -> Config:
        return _configuration(_CHANGED)

    def end(self) -> None:
        pass


def live(ports: Ports, lines: Lines | None = None) -> World:
    """A whole run, in which a call to the outside may fail after the first look, or a line of ours."""
    world = World()
    ports.over = lambda: world.since >= LENGTH
    source = SimpleNamespace(**{name: getattr(world, name) for name in _SOURCE}, wakes=world.wakes)
    performer = SimpleNamespace(
        prepare=world.prepare_verdict,
        carry_out=world.carry_out,
        spawner=world.spawner,
        groups=(),
        kin=(),
        dry_run=False,
    )
    reader = SimpleNamespace(over=world.over, result=world.result, end=world.end, deadline=inf)
    log = SimpleNamespace(write=world.write, catch_up=world.catch_up)

    def begin() -> None:
        ports.guard(source, _SOURCE)
        ports.guard(performer, ("prepare", "carry_out"))
        ports.guard(reader, ("over", "result"))
        ports.guard(log, _SURE)
        if lines:
            lines.on = lambda: world.since < LENGTH

    running = Loop(
        _configuration(_RULES),
        read=ports.wrap("read", lambda now: reader),
        source=source,
        performer=performer,
        log=log,
        myself=Self(1),
        notify=ports.wrap("notify", lambda state: None),
        alive=ports.wrap("alive", lambda now: None),
        clock=world.clock,
        ready=begin,
    )
    with _in(world, ports, lines):
        running.run()
    return world


# What never fails, by what it promises: while it runs a failure of it is survived, but not at the very end.
_SURE = ("write", "catch_up")
_SOURCE = ("configure", "prepare", "look", "next_look", "sizes", "measure", "reread")


@contextlib.contextmanager
def _in(world: World, ports: Ports, lines: Lines | None) -> Iterator[None]:
    traced = sys.gettrace()
    with (
        mock.patch.object(signal, "sigtimedwait", ports.wrap("wait", world.wait)),
        mock.patch.object(signal, "pthread_sigmask"),
        mock.patch.object(signal, "signal"),
        mock.patch.object(time, "sleep", world.sleep),
        mock.patch.object(sys, "unraisablehook"),  # a generator that is thrown away fails at nobody
    ):
        if lines:
            sys.settrace(lines.trace)
        try:
            yield
        finally:
            sys.settrace(traced)


def deeds(world: World) -> Counter[tuple[int | None, str]]:
    """What was done how often."""
    return Counter((pid, action) for _, pid, action in world.done)
