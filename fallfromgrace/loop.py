"""The loop: reload, look, sweep, perform, wait. Here alone the clock is read that rules go by."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from math import inf

from fallfromgrace import __version__
from fallfromgrace.acting import Acting
from fallfromgrace.actions import Performer
from fallfromgrace.agenda import TICK_SECONDS, next_of
from fallfromgrace.engine import Engine
from fallfromgrace.errors import ConfigError
from fallfromgrace.keeper import Forgetful
from fallfromgrace.ledger import Ledger
from fallfromgrace.logs import INFO, NOTICE, Log
from fallfromgrace.protection import Self
from fallfromgrace.reading import Reader
from fallfromgrace.reloading import Reloading
from fallfromgrace.report import Reporter
from fallfromgrace.reserve import Reserve
from fallfromgrace.rules import Config, counted
from fallfromgrace.source import Source, Unready
from fallfromgrace.state import Moment
from fallfromgrace.sweeping import Sweeper
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import Outcome

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
# What the loop sleeps on. They stay blocked and are taken one by one while it waits: no handler ever runs, so a
# storm of them can neither interrupt a look nor nest.
_AWAITED = _ENDING | {signal.SIGHUP, signal.SIGCHLD, signal.SIGIO}
# What a source may wake us with.
_WAKES = frozenset({signal.SIGURG})
_ALL = _AWAITED | _WAKES

# After a look at those who are new, others are let come for so long, to be looked at together: most are gone by then.
_GATHER_SECONDS = 0.25
# Between two looks, whatever else goes wrong; and after one that failed.
_LEAST_SECONDS, _AGAIN_SECONDS = 0.005, 1.0
# Outputs of commands are read at most so often: a command that floods its pipe costs it, not us.
_DRAIN_SECONDS = 0.05
# How long commands may still take when we are told to end.
_LEAVING_SECONDS = 0.5


def block_signals() -> None:
    """Keep the signals that the loop waits for, from now on, also those ignored by whoever started us."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class Loop:
    """Runs a configuration until it is told to end.

    `read` begins to read the configuration anew, at SIGHUP, and `limit` makes of it what is used. `ready` is called
    after the first look; `notify` is told of reloads and of the end. `alive` is called after each look that did not
    fail, and no two looks are more than `patience` seconds apart.

    Whatever fails, for want of memory or by a fault of ours, is told, and the next look makes up for it.
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
        limit: Callable[[Config], Config] = lambda config: config,
        keeper: Forgetful | None = None,
        ledger: Ledger | None = None,
        ready: Callable[[], None] = lambda: None,
        notify: Callable[[str], None] = lambda _: None,
        alive: Callable[[float], None] = lambda _: None,
        patience: float = inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = Engine(limit(config), myself)
        self._limit = limit
        self._source = source
        self._performer = performer
        self._log = log
        self._reporter = Reporter(log)
        self._reserve = Reserve()
        self._myself = myself
        self._keeper = keeper or Forgetful()
        self._ledger = ledger or Ledger()
        self._acting = Acting(performer, self._reporter, self._note, clock)
        self._sweeper = Sweeper(source, self._acting, self._reporter)
        self._reloading = Reloading(read, self._refused, self._reporter.fault, notify)
        self._ready = ready
        self._notify = notify
        self._alive = alive
        self._patience = patience
        self._clock = clock
        self._next_look = -inf
        self._cut_short = False  # the last look, wherever it failed
        self._set_up = False  # the source, by the configuration that is in force
        self._asked: set[int] = set()  # the signals that have come and were not heeded yet
        self._ending = False
        self._woken = False
        self._gathering_until = -_GATHER_SECONDS
        self._drained_at = -_DRAIN_SECONDS

    def run(self) -> int:
        """Look and act until SIGTERM or SIGINT; the exit status."""
        block_signals()
        self._set_up_source()
        self._ledger.started(self._clock())
        self._reporter.started(self._engine.config, __version__, dry_run=self._performer.dry_run)
        with self._surviving("taking up the state"):
            self._take_up_state(self._clock())
        self._look(self._clock())
        self._keep()  # whoever hears of that may ask at once for what is published
        self._ready()
        while not self._ending:
            # To tell of what failed may fail, too. Here nothing can: not even a `suppress` is made.
            try:  # noqa: SIM105
                self._go_on()
            except Exception:  # noqa: BLE001, PERF203, S110
                pass
        return self._leave()

    def _go_on(self) -> None:
        """Turn after turn, until we are to end or something fails."""
        try:
            while self._turn():
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is
            time.sleep(TICK_SECONDS)  # or it might fail as fast as we can try
            self._survive("a turn", error)

    def _turn(self) -> bool:
        """Wait, and do what is due; whether there is to be another one.

        Twenty times a second most of this finds nothing to do, with nothing of it in the processor's cache: what can be
        left out then is.
        """
        self._wait(min(self._next_look, self._keeper.due))
        if self._asked & _ENDING:
            self._ending = True
            return False
        now = self._clock()
        if self._asked:
            self._heed(now)
        if not self._performer.spawner.idle:
            self._tend()
        if not self._reloading.idle and self._reloading.go_on(now, self._take_up):
            self._next_look = now
        if now >= self._next_look:
            self._look(now)
        if now >= self._keeper.due:
            self._keep()
        return True

    def _take_up_state(self, now: float) -> None:
        """Go on from where a daemon before this one was ended, however that was."""
        past = self._keeper.recall(now)
        if not past:
            return
        inherited = self._engine.inherit(past.memory, past.written, now)
        timers = counted(inherited.timers_kept, "armed timer")
        stopped = counted(len(self._still_stopped(self._engine.ever_stopped())), "process")
        what = f"{timers}, {stopped} stopped by rules"
        self._log.write(NOTICE, f"took up the state of pid {past.pid}, written {now - past.written:.1f} s ago: {what}")
        self._reporter.left_stopped(self._still_stopped(inherited.left_behind), "by a rule that is gone")

    def _keep(self) -> None:
        with self._surviving("keeping the state"):
            self._keeper.keep(self._engine.memory, self._engine.config.settings, self._status)

    def _status(self, written: Moment) -> dict[str, object]:
        """What is published of us. To remember is worth more: what fails here must not cost that."""
        with self._surviving("publishing"):
            return self._ledger.status(self._engine.config, self._engine.covered, written)
        return {}

    def _note(self, outcome: Outcome, seen: float) -> None:
        """Something was done that a look found to be due. Nothing here may keep the rest from being done and told."""
        self._keeper.note()
        try:
            self._ledger.acted(outcome, seen, self._clock())
        except MemoryError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._survive("publishing an action", error)

    def _heed(self, now: float) -> None:
        """Take note of signals."""
        if signal.SIGHUP in self._asked:
            self._reloading.ask(now)
        if self._source.wakes & self._asked:
            self._woken, self._next_look = True, min(self._next_look, next_of(TICK_SECONDS, now))
        self._asked.clear()

    def _set_up_source(self) -> None:
        """Tell the source what the rules are about."""
        self._source.configure(self._engine.selects, self._engine.config.settings.process_events)
        self._source.prepare(self._engine.facets)
        self._set_up = True

    def _wait(self, until: float) -> None:
        """Sleep until something is due or a signal comes. All that have come are kept until they are heeded."""
        now = self._clock()
        awaited, until = self._awaited(now, until)
        info = signal.sigtimedwait(awaited, max(0.0, until - now))
        while info is not None:
            if info.si_signo in awaited:  # Python makes one up where we were stopped, and continued after the time
                self._asked.add(info.si_signo)
            left = set(awaited) - self._asked - {info.si_signo}  # each once: senders may be faster than we are
            info = signal.sigtimedwait(left, 0) if left else None
        if signal.SIGIO in self._asked:
            self._drained_at = self._clock()

    def _awaited(self, now: float, until: float) -> tuple[Collection[int], float]:
        """Which signals to wait for, and until when; the others stay pending and lose nothing by it."""
        if not self._performer.spawner.idle:
            until = min(until, self._performer.spawner.next_wake)
        if not self._reloading.idle:
            until = min(until, self._reloading.next_wake)
        awaited, left = (_ALL if self._source.wakes else _AWAITED), set[int]()
        if now < self._gathering_until:
            left, until = set(_WAKES), min(until, self._gathering_until)
        elif self._woken:
            left = set(_WAKES)
        if self._reloading.asked:
            left.add(signal.SIGHUP)
        if now < (drain_at := self._drained_at + _DRAIN_SECONDS):
            left.add(signal.SIGIO)
            until = min(until, drain_at)
        return (awaited - left if left else awaited), until

    def _look(self, now: float) -> None:
        """Look at all that is due and act, and put down when to look again."""
        self._next_look = now + min(_AGAIN_SECONDS, self._engine.config.settings.interval, self._patience)
        try:
            self._next_look = self._sweep(now)
            self._alive(now)
            self._ledger.looked(self._clock() - now)
            self._reserve.restore()
        except Unready:
            pass  # it was told why
        except Exception as error:  # noqa: BLE001 - see _surviving, which costs a little even if all is well
            self._survive("a look", error)
        self._log.catch_up(now)

    @contextlib.contextmanager
    def _surviving(self, what: str) -> Iterator[None]:
        """Whatever goes wrong is told, and nothing else comes of it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see above
            self._survive(what, error)

    def _survive(self, what: str, error: Exception) -> None:
        self._reserve.let_go()  # whatever it is: to ask takes longer
        self._reporter.fault(what, error, self._clock())

    def _sweep(self, now: float) -> float:
        """When to look next."""
        if self._cut_short:
            self._make_up()
        self._cut_short = True  # until it was not
        engine, source = self._engine, self._source
        table = source.look(now)
        if self._woken:
            self._woken, self._gathering_until = False, now + _GATHER_SECONDS
        self._sweeper.sweep(engine, table, now)
        self._cut_short = False
        longest = min(engine.config.settings.interval, self._patience)
        return max(min(engine.next_look, source.next_look(), now + longest), now + _LEAST_SECONDS)

    def _make_up(self) -> None:
        """For all that was left undone when the last look was cut short."""
        if not self._set_up:
            self._set_up_source()
        self._acting.record(self._engine)
        self._engine.doubt()

    def _tend(self) -> None:
        with self._surviving("tending commands"):
            self._performer.spawner.tend(self._clock())

    def _take_up(self, config: Config) -> None:
        """Go on by a new configuration, with all that the old one's rules have done."""
        self._acting.record(self._engine)
        engine, now = Engine(self._limit(config), self._myself), self._clock()
        adoption = engine.adopt(self._engine, now)
        # From here on it is in force: what fails is made up for.
        self._engine, self._cut_short, self._set_up = engine, True, False
        self._keeper.note()
        self._performer.spawner.keep({monitor.name for monitor in config.monitors})
        self._reporter.reloaded(config, adoption)
        self._reporter.left_stopped(self._still_stopped(adoption.left_behind), "by a rule that is gone")
        self._ledger.reloaded(config, now)

    def _refused(self, error: ConfigError | str) -> None:
        """The configuration that is in force stays so: the new one is wrong, or could not be read."""
        if isinstance(error, ConfigError):
            self._reporter.refused(error)
            problems = [problem.headline for problem in error.problems]
        else:
            self._reporter.unread(error)
            problems = error.splitlines()
        self._ledger.refused(problems, self._clock())
        self._keeper.note()

    def _still_stopped(self, identities: Iterable[ProcessId]) -> list[int]:
        """The pids of those that are stopped this moment, unless all we did was to say so."""
        if self._performer.dry_run:
            return []
        read = ((identity, self._source.reread(identity.pid)) for identity in identities)
        return [identity.pid for identity, found in read if found and found[0].id == identity and found[0].stopped]

    def _leave(self) -> int:
        """Let commands that are about to end do so, say what stays behind, and go."""
        self._keep()
        with self._surviving("telling of the end"):
            self._notify("STOPPING=1")
        with self._surviving("giving up a reload"):
            self._reloading.end()
        with self._surviving("waiting for commands"):
            self._let_finish(self._clock() + _LEAVING_SECONDS)
        with self._surviving("asking who is stopped"):
            self._reporter.left_stopped(self._still_stopped(self._engine.ever_stopped()), "by a rule")
        leftovers = self._performer.spawner.leftovers
        with self._surviving("giving up what waits"):
            self._performer.spawner.abandon()
        self._log.write(INFO, "ended" + leftovers)
        return 0

    def _let_finish(self, deadline: float) -> None:
        """Commands have until then, or until somebody asks once more that we end."""
        while self._performer.spawner.busy and (left := deadline - self._clock()) > 0:
            if (info := signal.sigtimedwait(_AWAITED, min(left, _DRAIN_SECONDS))) and info.si_signo in _ENDING:
                break
            self._tend()
