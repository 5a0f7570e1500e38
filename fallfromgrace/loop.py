"""The loop: reload, look, sweep, perform, wait. Here alone the clock is read that rules go by."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TypeVar

from fallfromgrace import __version__, exits
from fallfromgrace.actions import Performer, Ready
from fallfromgrace.agenda import TICK_SECONDS, next_of
from fallfromgrace.engine import Engine
from fallfromgrace.errors import ConfigError
from fallfromgrace.logs import ERROR, INFO, Log
from fallfromgrace.protection import Self
from fallfromgrace.reading import Reader
from fallfromgrace.readings import Subject
from fallfromgrace.report import Reporter
from fallfromgrace.rules import Config
from fallfromgrace.shortage import share
from fallfromgrace.source import Source, Unready
from fallfromgrace.table import ProcessId, ProcessTable
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
# What the loop sleeps on. They stay blocked and are taken one by one while it waits: no handler ever runs, so a
# storm of them can neither interrupt a look nor nest.
_AWAITED = _ENDING | {signal.SIGHUP, signal.SIGCHLD, signal.SIGIO}
# What a source may wake us with.
_WAKES = frozenset({signal.SIGURG})
_ALL = _AWAITED | _WAKES
_NONE: frozenset[int] = frozenset()

# At least so long between two reloads: a storm of HUPs must not keep us from looking.
_RELOAD_SECONDS = 1.0
# After a look at those who are new, others are let come for so long, to be looked at together: most are gone by then.
_GATHER_SECONDS = 0.25
# Between two looks, whatever else goes wrong; and after one that failed.
_LEAST_SECONDS, _AGAIN_SECONDS = 0.005, 1.0
# Outputs of commands are read at most so often: a command that floods its pipe costs it, not us.
_DRAIN_SECONDS = 0.05
# How long commands may still take when we are told to end.
_LEAVING_SECONDS = 0.5
# Signals of one look are sent in groups of at most so many processes, each of which is held by a descriptor.
_MOST_HELD = 256

_Step = TypeVar("_Step")


def block_signals() -> None:
    """Keep the signals that the loop waits for, from now on, also those ignored by whoever started us."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


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


class Loop:
    """Runs a configuration until it is told to end.

    `read` begins to read the configuration anew, at SIGHUP; `ready` is called after the first look; `notify` is told of
    reloads and of the end.
    """

    def __init__(
        self,
        config: Config,
        *,
        read: Callable[[float], Reader],
        source: Source,
        performer: Performer,
        log: Log,
        myself: Self,
        ready: Callable[[], None] = lambda: None,
        notify: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = Engine(config, myself)
        self._read = read
        self._reader: Reader | None = None
        self._source = source
        self._performer = performer
        self._log = log
        self._reporter = Reporter(log)
        self._myself = myself
        self._ready = ready
        self._notify = notify
        self._clock = clock
        self._woken = False
        self._gathering_until = -_GATHER_SECONDS
        self._reload_at: float | None = None
        self._reloaded_at = -_RELOAD_SECONDS
        self._drained_at = -_DRAIN_SECONDS

    def run(self) -> int:
        """Look and act until SIGTERM or SIGINT; the exit status."""
        block_signals()
        self._set_up_source()
        self._reporter.started(self._engine.config, __version__, dry_run=self._performer.dry_run)
        next_look = self._look(self._clock())
        self._ready()
        # Twenty times a second most of this finds nothing to do, with nothing of it in the processor's cache: what can
        # be left out then is.
        while not (asked := self._wait(next_look)) & _ENDING:
            now = self._clock()
            if asked:
                next_look = self._heed(asked, next_look, now)
            if not self._performer.spawner.idle:
                self._tend()
            if (self._reload_at is not None or self._reader) and self._reloads(now):
                next_look = now
            if now >= next_look:
                next_look = self._look(now)
        return self._leave()

    def _heed(self, asked: AbstractSet[int], next_look: float, now: float) -> float:
        """Take note of signals; when to look next."""
        if signal.SIGHUP in asked and self._reload_at is None:
            self._reload_at = max(now, self._reloaded_at + _RELOAD_SECONDS)
        if self._source.wakes & asked:
            self._woken, next_look = True, min(next_look, next_of(TICK_SECONDS, now))
        return next_look

    def _reloads(self, now: float) -> bool:
        """Go on with a reload that is asked for; whether it is over."""
        if self._reload_at is not None and not self._reader and now >= self._reload_at:
            self._begin_to_reload()
        if not self._reader or not self._reader.over(now):
            return False
        self._reload(self._reader)
        return True

    def _set_up_source(self) -> None:
        """Tell the source what the rules are about."""
        self._source.configure(self._engine.selects, self._engine.config.settings.process_events)
        self._source.prepare(self._engine.facets)

    def _wait(self, next_look: float) -> AbstractSet[int]:
        """Sleep until something is due or a signal comes; every signal that has come."""
        now = self._clock()
        awaited, until = self._awaited(now, next_look)
        info = signal.sigtimedwait(awaited, max(0.0, until - now))
        if info is None:
            return _NONE
        asked = {info.si_signo}
        # Each once: senders may be faster than we are.
        while (left := set(awaited) - asked) and (info := signal.sigtimedwait(left, 0)):
            asked.add(info.si_signo)
        if signal.SIGIO in asked:
            self._drained_at = self._clock()
        return asked

    def _awaited(self, now: float, next_look: float) -> tuple[Collection[int], float]:
        """Which signals to wait for, and until when; the others stay pending and lose nothing by it."""
        until = next_look if self._performer.spawner.idle else min(next_look, self._performer.spawner.next_wake)
        awaited, left = (_ALL if self._source.wakes else _AWAITED), set[int]()
        if now < self._gathering_until:
            left, until = set(_WAKES), min(until, self._gathering_until)
        elif self._woken:
            left = set(_WAKES)
        if self._reload_at is not None:
            left.add(signal.SIGHUP)
        if self._reader:
            until = min(until, self._reader.deadline)
        elif self._reload_at is not None:
            until = min(until, self._reload_at)
        if now < (drain_at := self._drained_at + _DRAIN_SECONDS):
            left.add(signal.SIGIO)
            until = min(until, drain_at)
        return (awaited - left if left else awaited), until

    def _look(self, now: float) -> float:
        """Look at all that is due and act; when to look again."""
        try:
            return self._sweep(now)
        except Unready:
            pass  # it was told why
        except Exception as error:  # noqa: BLE001 - see _surviving, which costs a little even if all is well
            self._survive("a look", error)
        return now + min(_AGAIN_SECONDS, self._engine.config.settings.interval)

    @contextlib.contextmanager
    def _surviving(self, what: str) -> Iterator[None]:
        """Whatever goes wrong once is told, and the next look is still owed. Here and in `_look` all is caught."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self._survive(what, error)

    def _survive(self, what: str, error: Exception) -> None:
        self._log.write(ERROR, f"{what} failed; please report this:")
        for line in exits.trace(error).splitlines():
            self._log.write(ERROR, line)

    def _sweep(self, now: float) -> float:
        engine, source = self._engine, self._source
        table = source.look(now)
        if self._woken:
            self._woken, self._gathering_until = False, now + _GATHER_SECONDS
        if engine.see(table, now):
            self._reporter.forget(table)
        watched = engine.watched(now)
        engine.watch(source.sizes(watched) if watched else {}, now)  # also those who are nobody, as a group may be
        if due := engine.due(now):
            self._judge(table, due, now)
        next_look = min(engine.next_look, source.next_look(), now + engine.config.settings.interval)
        return max(next_look, now + _LEAST_SECONDS)

    def _judge(self, table: ProcessTable, subjects: Sequence[Subject], now: float) -> None:
        engine = self._engine
        look = engine.look(table, self._performer.spawner.groups, now, subjects)
        while wants := engine.wants(look):
            look.readings.add(wants, self._source.measure(wants, now))
        verdicts = engine.sweep(look)
        for verdict in verdicts:
            self._reporter.verdict(verdict)
        for group in _groups(verdicts, share(_MOST_HELD)):
            self._perform([verdict for verdict in group if engine.due_at(verdict) <= now], now)
        engine.arm(look, verdicts)

    def _perform(self, verdicts: Sequence[Verdict], now: float) -> None:
        """Act on a group: all are held and asked again before the first is acted upon."""
        performer = self._performer
        with contextlib.ExitStack() as held:
            asked = [self._tried(verdict, lambda each: performer.prepare(each, held)) for verdict in verdicts]
            for verdict, ready in zip(verdicts, asked, strict=True):
                outcome = self._tried(verdict, partial(self._carry_out, ready))
                self._engine.record(outcome, now)
                self._reporter.outcome(outcome)

    def _carry_out(self, ready: Ready | Outcome, _: Verdict) -> Outcome:
        return self._performer.carry_out(ready, self._clock())

    def _tried(self, verdict: Verdict, step: Callable[[Verdict], _Step]) -> _Step | Outcome:
        """What a step comes to; a fault of ours in one must not cost the others."""
        with self._surviving("an action"):
            return step(verdict)
        return Outcome(verdict, Result.FAILED, "a fault of fall-from-grace")

    def _tend(self) -> None:
        with self._surviving("tending commands"):
            self._performer.spawner.tend(self._clock())

    def _begin_to_reload(self) -> None:
        """Have the configuration read beside our own work: that may take as long as it likes."""
        self._reload_at, self._reloaded_at = None, self._clock()
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._reader = self._read(self._clock())
        except exits.Failure as error:
            self._reporter.unread(exits.explain(error)[1])
            self._notify("READY=1")

    def _reload(self, reader: Reader) -> None:
        """Take up a new configuration whole, or keep the old one."""
        self._reader = None
        with self._surviving("the reload"):
            self._take_up(reader)
        self._notify("READY=1")

    def _take_up(self, reader: Reader) -> None:
        try:
            config = reader.result()
        except ConfigError as error:
            self._reporter.refused(error)
            return
        except (exits.Failure, ImportError) as error:
            self._reporter.unread(exits.explain(error)[1])
            return
        engine = Engine(config, self._myself)
        adoption = engine.adopt(self._engine, self._clock())
        self._engine = engine
        self._set_up_source()
        self._performer.spawner.keep({monitor.name for monitor in config.monitors})
        self._reporter.reloaded(config, adoption)
        self._reporter.left_stopped(self._still_stopped(adoption.left_behind), "by a rule that is gone")

    def _still_stopped(self, identities: Iterable[ProcessId]) -> list[int]:
        """The pids of those that are stopped this moment, unless all we did was to say so."""
        if self._performer.dry_run:
            return []
        read = ((identity, self._source.reread(identity.pid)) for identity in identities)
        return [identity.pid for identity, found in read if found and found[0].id == identity and found[0].stopped]

    def _leave(self) -> int:
        """Let commands that are about to end do so, say what stays behind, and go."""
        self._notify("STOPPING=1")
        if self._reader:
            self._reader.end()
        deadline = self._clock() + _LEAVING_SECONDS
        spawner = self._performer.spawner
        while spawner.busy and (left := deadline - self._clock()) > 0:
            if (info := signal.sigtimedwait(_AWAITED, min(left, _DRAIN_SECONDS))) and info.si_signo in _ENDING:
                break
            self._tend()
        with self._surviving("asking who is stopped"):
            self._reporter.left_stopped(self._still_stopped(self._engine.ever_stopped()), "by a rule")
        leftovers = spawner.leftovers
        with self._surviving("giving up what waits"):
            spawner.abandon()
        self._log.write(INFO, "ended" + leftovers)
        return 0
