"""One sweep: who is near a limit or due is judged, and what comes of that is acted upon. Time is an argument, so that
one that was recorded or made up is as good as the clock's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fallfromgrace.acting import Acting
from fallfromgrace.engine import Engine
from fallfromgrace.readings import Subject
from fallfromgrace.source import Source
from fallfromgrace.table import ProcessTable
from fallfromgrace.verdict import Verdict


class Listener(Protocol):
    """Who wants to know what the rules say."""

    def verdict(self, verdict: Verdict) -> None:
        """What one says, or why nothing is done."""

    def forget(self, table: ProcessTable) -> None:
        """Who is not in the table has ended."""


class Sweeper:
    """The one way from a table of processes to what is done to them."""

    def __init__(self, source: Source, acting: Acting, listener: Listener) -> None:
        self._source = source
        self._acting = acting
        self._listener = listener

    def sweep(self, engine: Engine, table: ProcessTable, now: float) -> None:
        """Do all that is due now."""
        if engine.see(table, now):
            self._listener.forget(table)
        watched = engine.watched(now)
        # Also those who are nobody are watched, as a group may be.
        engine.watch(self._source.sizes(watched) if watched else {}, now)
        if due := engine.due(now):
            self._judge(engine, table, due, now)

    def _judge(self, engine: Engine, table: ProcessTable, subjects: Sequence[Subject], now: float) -> None:
        look = engine.look(table, self._acting.own_groups, now, subjects, self._acting.kin)
        while wants := engine.wants(look):
            look.readings.add(wants, self._source.measure(wants, now))
        verdicts = engine.sweep(look)
        for verdict in verdicts:
            self._listener.verdict(verdict)
        self._acting.act(engine, verdicts, now)
        engine.arm(look, verdicts)
