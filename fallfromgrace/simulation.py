"""What the daemon would have done about what was seen, or is made up: by its own engine, sweeps and acting, in no time.

Nothing comes of an action but of `kill`, which ends the process. Whoever is stopped goes on as the frames have it, as
if somebody continued it at once; whoever is told to end does so when it does in the frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from math import inf, nextafter
from typing import NamedTuple

from fallfromgrace.acting import Acting
from fallfromgrace.actions import Ready
from fallfromgrace.agenda import TICK_SECONDS, next_of
from fallfromgrace.engine import Engine
from fallfromgrace.frames import Frame
from fallfromgrace.protection import Self
from fallfromgrace.rules import Action, Adjust, Config, Exec, Signal
from fallfromgrace.sweeping import Sweeper
from fallfromgrace.table import Process, ProcessTable
from fallfromgrace.values import told_text
from fallfromgrace.verdict import Outcome, Result, Verdict
from fallfromgrace.world import World


class Happening(NamedTuple):
    """What would have been done, and when: seconds of the frames' clock."""

    at: float
    outcome: Outcome


def simulate(
    config: Config,
    frames: Iterable[Frame],
    myself: Self,
    *,
    told: Callable[[float, Verdict], None] = lambda at, verdict: None,
    until: float | None = None,
    eager: bool = False,
) -> Iterator[Happening]:
    """All that would have been done from the first frame to the last, or `until` a time, one after the other.

    `told` hears at each look what the rules say, also where nothing is done. Each is looked at when the daemon would
    look, or if `eager` at each frame besides.
    """
    world = World(frames)
    stage, engine = _Stage(world, told), Engine(config, myself)
    sweeper = Sweeper(world, Acting(stage, stage, stage.note, lambda: stage.now), stage)
    stage.now = world.began
    while stage.now < inf:
        fresh = world.next_look() <= stage.now
        table = world.look(stage.now)
        if fresh and eager:
            engine.stir(stage.now)
        sweeper.sweep(engine, table, stage.now)
        yield from stage.taken()
        stage.now = _next(engine, world, stage.now, until)


def _next(engine: Engine, world: World, now: float, until: float | None) -> float:
    """When to look next; inf after the end."""
    there_is_more = world.next_look() < inf
    rest = min(world.next_look(), inf if until is None else until)
    if rest < inf and not world.altered:  # a frame holds until the next one
        engine.rest(rest)
    at = min(engine.next_look, world.next_look(), now + engine.config.settings.interval)
    if world.altered:  # the kernel tells of it at once
        at = min(at, next_of(TICK_SECONDS, now))
    at = max(at, nextafter(now, inf))  # times may be so large that a tick is nothing
    if until is None:
        return at if there_is_more else inf
    return at if at <= until else inf


class _Stage:
    """Where nothing is done: who performs, and who is told of it."""

    groups: frozenset[int] = frozenset()
    kin: frozenset[Process] = frozenset()

    def __init__(self, world: World, told: Callable[[float, Verdict], None]) -> None:
        self.now = 0.0
        self._world = world
        self._told = told
        self._happened: list[Happening] = []

    def taken(self) -> list[Happening]:
        """What happened since this was asked last."""
        happened, self._happened = self._happened, []
        return happened

    # --- who performs ---

    def prepare(self, verdict: Verdict, held: contextlib.ExitStack) -> Ready | Outcome:
        return Ready(verdict, self._sample(verdict), None)

    def _sample(self, verdict: Verdict) -> dict[str, float]:
        found = self._world.reread(verdict.process.id.pid) if verdict.process else None
        return dict(found[1]) if found else {}

    def carry_out(self, ready: Ready | Outcome, now: float) -> Outcome:
        if isinstance(ready, Outcome):
            return ready
        verdict, item = ready.verdict, ready.verdict.item
        assert item
        text = told_text(verdict, ready.sample)
        if verdict.monitor.observe:
            return Outcome(verdict, Result.DRY_RUN, text=text)
        if verdict.process and isinstance(item.action, Signal) and item.action.word == "kill":
            self._world.end(verdict.process.id)
        return Outcome(verdict, _result(item.action), text=text)

    # --- who is told ---

    def note(self, outcome: Outcome, seen: float) -> None:
        """See Acting."""

    def outcome(self, outcome: Outcome) -> None:
        self._happened.append(Happening(self.now, outcome))

    def fault(self, what: str, error: Exception, now: float) -> None:
        raise error

    def verdict(self, verdict: Verdict) -> None:
        self._told(self.now, verdict)

    def forget(self, table: ProcessTable) -> None:
        pass


def _result(action: Action) -> Result:
    if isinstance(action, Signal):
        return Result.SENT
    if isinstance(action, Adjust):
        return Result.SET
    return Result.STARTED if isinstance(action, Exec) else Result.TOLD
