"""From verdicts to what was done: all are held and asked again, acted upon, and what came of it is put down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from fallfromgrace.actions import Ready
from fallfromgrace.engine import Engine
from fallfromgrace.shortage import share
from fallfromgrace.table import Process
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict

# Signals of one look are sent in groups of at most so many processes, each of which is held by a descriptor.
_MOST_HELD = 256

_Step = TypeVar("_Step")


def _groups(verdicts: Iterable[Verdict], most: int) -> Iterator[list[Verdict]]:
    """What is to be performed together: each command alone, signals together, parents before their children.

    A parent that ends first leaves its children nobody's, but they are held by then; one that ended last would have
    replaced them.
    """
    signals = []
    for verdict in verdicts:
        if verdict.wants_signal:
            signals.append(verdict)
        elif verdict.kind is Kind.FIRE:
            yield [verdict]
    while signals:  # the deepest come first
        group, signals = signals[:most], signals[most:]
        yield group[::-1]


class Performs(Protocol):
    """Who carries verdicts out, or in whose place nothing is done; see actions.Performer."""

    @property
    def groups(self) -> Collection[int]:
        """The process groups of commands that run."""

    @property
    def kin(self) -> Container[Process]:
        """Whoever these may have started."""

    def prepare(self, verdict: Verdict, held: contextlib.ExitStack) -> Ready | Outcome:
        """Hold the process for as long as `held` is open, and ask again; an outcome if that was all."""

    def carry_out(self, ready: Ready | Outcome, now: float) -> Outcome:
        """Act, if there is still something to do."""


class Tells(Protocol):
    """Who is told what came of it, and of what should not happen; see report.Reporter."""

    def outcome(self, outcome: Outcome) -> None: ...
    def fault(self, what: str, error: Exception, now: float) -> None: ...


class Acting:
    """Acts, and has the engine remember it: `note` is told what was done about what was seen when.

    What was done and could not be put down, for want of memory, stays known until it is: else it would be done twice.
    """

    def __init__(
        self,
        performer: Performs,
        reporter: Tells,
        note: Callable[[Outcome, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._performer = performer
        self._reporter = reporter
        self._note = note
        self._clock = clock
        self._unrecorded: Outcome | None = None
        self._acted_at = 0.0

    @property
    def own_groups(self) -> Collection[int]:
        """The process groups of our commands."""
        return self._performer.groups

    @property
    def kin(self) -> Container[Process]:
        """Whoever our commands may have started."""
        return self._performer.kin

    def act(self, engine: Engine, verdicts: Sequence[Verdict], now: float) -> None:
        """Carry out all that is due, by what those before it have used of a limit that they share."""
        for group in _groups(verdicts, share(_MOST_HELD)):
            self._perform(engine, [verdict for verdict in group if engine.due_at(verdict) <= now], now)

    def _perform(self, engine: Engine, verdicts: Sequence[Verdict], now: float) -> None:
        """Act on a group: all are held and asked again before the first is acted upon."""
        performer = self._performer
        with contextlib.ExitStack() as held:
            asked = [self._tried(verdict, lambda each: performer.prepare(each, held)) for verdict in verdicts]
            for verdict, ready in zip(verdicts, asked, strict=True):
                self._acted_at = now
                self._unrecorded = outcome = self._tried(verdict, partial(self._carry_out, ready))
                self.record(engine)
                self._reporter.outcome(outcome)

    def record(self, engine: Engine) -> None:
        """Put down what was done last, if that is still to do."""
        if outcome := self._unrecorded:
            engine.record(outcome, self._acted_at)
            self._unrecorded = None
            self._note(outcome, self._acted_at)

    def _carry_out(self, ready: Ready | Outcome, _: Verdict) -> Outcome:
        return self._performer.carry_out(ready, self._clock())

    def _tried(self, verdict: Verdict, step: Callable[[Verdict], _Step]) -> _Step | Outcome:
        """What a step comes to; a fault of ours in one must not cost the others."""
        try:
            return step(verdict)
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._reporter.fault("an action", error, self._clock())
            short = isinstance(error, MemoryError)
            return Outcome(verdict, Result.FAILED, "memory is short" if short else "a fault of fall-from-grace")
