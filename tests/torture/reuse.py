"""Pids change hands at every step between match and signal.

All is within a PID namespace of its own. A victim is decided upon, and the product acts on it. Before one of the system
calls that this takes, the victim is ended and reaped, and another process is given its pid by clone3(2). At the next
round that happens before the next system call, and so on; there are as many places as calls.

Heirs block every signal: what reaches them stays pending, but for STOP, which stops them, and KILL, which ends them.
One half of the heirs are innocents, whose command line no monitor is about. The other half look just as the victim
did, so that nothing but the hold on the victim tells them apart; they come after it is had. So do those within the
same clock tick where all below a process is meant: a child of the same parent is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import mock

from fallfromgrace import procfs
from fallfromgrace.actions import Performer
from fallfromgrace.engine import Engine
from fallfromgrace.linux import LinuxSource
from fallfromgrace.protection import Self
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict
from tests.builders import Lines, config, monitor, verdict
from tests.torture import Figure, _namespace
from tests.torture._disguise import LIBC, show_arguments

TITLE = "forced PID reuse at every step between match and signal (`clone3` with `set_tid`)"
GOAL = "12,000 swaps, 0 wrong signals"
FULL = {"swaps": 12_000, "tick": 1000}
SHORT = {"swaps": 150, "tick": 0}  # a busy machine takes longer than a clock tick for each

needs = _namespace.needs

_MARK = b"this-is-a-victim"
_CLONE3 = 435
_ALL = signal.valid_signals()
_ACTIONS = (
    "term", "kill", "int", "usr1", "cont", "stop @ 1m", "term stopped", "nice 5", "oom 500", "term tree", "kill tree",
)  # fmt: skip
# What the product asks the kernel with; every call is a place where a pid may change hands.
_CALLS = [(os, name) for name in ("open", "read", "readlink", "listdir", "stat", "pidfd_open", "setpriority", "write")]
_CALLS += [(signal, "pidfd_send_signal")]
_REAL = {name: getattr(module, name) for module, name in _CALLS}
_US = os.getpid()
_GOLDEN = 0.618034


def run(swaps: int, tick: int) -> Figure:
    found = _namespace.run(__name__, swaps=swaps)
    said = "{swaps} swaps, {tick} of them within one clock tick, at {places} places: {wrong} wrong signals; ".format(
        **found
    )
    said += "niceness, which Linux sets by number only: {nicer} of {nice} reached an heir, each of them told".format(
        **found
    )
    met = found["swaps"] >= swaps and found["tick"] >= tick and not found["faults"]
    return Figure(said, met, tuple(found["faults"]))


def inside(swaps: int) -> dict[str, Any]:
    """What is found, by a process that is the first of its namespace."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    torture = Torture()
    while torture.swaps < swaps:
        torture.round()
    torture.successors()
    return torture.found


# --- processes that may be given any pid ---


def _clone(pid: int) -> int:
    """Fork; the child has this pid, or any if it is 0."""
    wanted = (ctypes.c_int * 1)(pid)
    arguments = (ctypes.c_uint64 * 10)()
    arguments[4] = signal.SIGCHLD
    if pid:
        arguments[8], arguments[9] = ctypes.addressof(wanted), 1
    found = LIBC.syscall(_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(found)


def _live(text: bytes, then: Callable[[], None]) -> None:
    """The whole life of a child: it looks like somebody, says so, and does nothing more."""
    try:
        show_arguments(text)
        then()
        while True:
            LIBC.pause()
    finally:
        os._exit(1)


def _born(text: bytes, pid: int = 0, mask: frozenset[int] = frozenset()) -> int:
    """A child that looks like this, as soon as it does."""
    told, telling = os.pipe()

    def tell() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _REAL["write"](telling, b".")

    found = _clone(pid)
    if not found:
        _live(text, tell)
    os.close(telling)
    assert _REAL["read"](told, 1) == b"."
    os.close(told)
    return found


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


class Traces(NamedTuple):
    """What has reached a process."""

    signals: frozenset[int]
    nice: int
    oom: int

    @property
    def text(self) -> str:
        names = sorted(signal.Signals(number).name for number in self.signals)
        return f"{', '.join(names) or 'no signal'}, niceness {self.nice}, oom_score_adj {self.oom}"


_UNTOUCHED = Traces(frozenset(), os.getpriority(os.PRIO_PROCESS, 0), 0)


def _traces(pid: int) -> Traces:
    """Of a child that blocks every signal."""
    ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if ended:
        return _UNTOUCHED._replace(
            signals=frozenset({os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.WTERMSIG(status)})
        )
    with open(f"/proc/{pid}/status") as file:
        lines = dict(line.split(":\t", 1) for line in file.read().splitlines())
    pending = int(lines["SigPnd"], 16) | int(lines["ShdPnd"], 16)
    with open(f"/proc/{pid}/oom_score_adj") as file:
        oom = int(file.read())
    signals = frozenset(number for number in _ALL if pending >> (number - 1) & 1)
    return Traces(signals, os.getpriority(os.PRIO_PROCESS, pid), oom)


# --- swaps ---


class Victim:
    """Whom an action is for, and who may come after."""

    def __init__(self, action: str) -> None:
        self.pid = _born(_MARK)
        self.stopped = action == "term stopped"
        if self.stopped:
            os.kill(self.pid, signal.SIGSTOP)
            os.waitpid(self.pid, os.WUNTRACED)
        self.start = procfs.read_stat(self.pid).start
        self.heir_start: int | None = None

    def swap(self, twin: bool, later: bool) -> None:
        """End it, and give its pid to another one, at another clock tick if it is to be later."""
        _end(self.pid)
        if later:
            time.sleep(1.1 / os.sysconf("SC_CLK_TCK"))
        _born(_MARK if twin else b"innocent", self.pid, frozenset(_ALL))
        self.heir_start = procfs.read_stat(self.pid).start


class Steps:
    """Counts the calls to the kernel, and does something before one of them."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.names: list[str] = []
        self._at, self._act = at, act

    def take(self, name: str) -> None:
        if os.getpid() == _US and not self._busy:
            self.names.append(name)
            if len(self.names) - 1 == self._at:
                self._busy = True
                self._act()
                self._busy = False

    _busy = False

    @contextmanager
    def hooked(self) -> Iterator[None]:
        with ExitStack() as patches:
            for module, name in _CALLS:
                patches.enter_context(mock.patch.object(module, name, self._wrapped(name)))
            yield

    def _wrapped(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.take(name)
            return _REAL[name](*arguments, **keywords)

        return call


class Torture:
    """Swaps at every place, and what came of it."""

    def __init__(self) -> None:
        self._source = LinuxSource(lambda text: None)
        self._performer = Performer(self._source, dry_run=False, log=Lines(), myself=0)
        self.faults: list[str] = []
        self.swaps = self.tick = self.wrong = self.nice = self.nicer = 0
        self._places: dict[str, int] = dict.fromkeys(_ACTIONS, 0)
        self._at = 0.0

    @property
    def found(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("swaps", "tick", "wrong", "nice", "nicer", "faults")}
        return numbers | {"places": sum(self._places.values())}

    def round(self) -> None:
        """Once at another place of each action, with each kind of heir."""
        for action in _ACTIONS:
            if not self._places[action]:
                victim, steps, _ = self._once(action, -1, False)
                self._places[action] = len(steps.names)
                _end(victim.pid)
            place = int(self._at * (self._places[action] + 1))
            self._try(action, place, twin=False)
            self._try(action, place, twin=True)
        self._at = (self._at + _GOLDEN) % 1  # soon they have been everywhere

    def _once(self, action: str, place: int, twin: bool) -> tuple[Victim, Steps, Outcome]:
        """An action, and a swap at a place in it; at one behind the last, none."""
        victim = Victim(action)

        def swap() -> None:
            held = "pidfd_open" in steps.names[:-1]
            if held or not twin:
                victim.swap(twin, later=not held and action.endswith("tree"))

        steps = Steps(place, swap)
        decided = self._decided(action, victim)
        with steps.hooked(), ExitStack() as held:
            outcome = self._performer.carry_out(self._performer.prepare(decided, held), 0.0)
        return victim, steps, outcome

    def _decided(self, action: str, victim: Victim) -> Verdict:
        seen, sample = self._source.reread(victim.pid)
        words = {"term stopped": "term"}.get(action, action)
        if not action.endswith("tree"):
            return verdict(words, "rmem > 1k", process=seen, cmdline=_MARK.decode(), sample=sample)
        root, _ = self._source.reread(_US)
        return verdict(words, "rmem > 1k", process=seen, root=root, depth=1, subject=root, cmdline="", sample=sample)

    def _try(self, action: str, place: int, twin: bool) -> None:
        victim, steps, outcome = self._once(action, place, twin)
        try:
            if victim.heir_start is not None:
                self.swaps += 1
                self.tick += victim.heir_start == victim.start
                self._judge(action, steps.names, place, twin, outcome, _traces(victim.pid))
            elif not outcome.result.delivered:
                self.faults.append(f"{action}: an undisturbed one came to {outcome.result} {outcome.detail}")
        finally:
            _end(victim.pid)

    def _judge(self, action: str, names: list[str], place: int, twin: bool, outcome: Outcome, traces: Traces) -> None:
        where = (
            f"{action}, {'a twin' if twin else 'an innocent'}, before {names[place]} ({place}): {outcome.result.name}"
        )
        self.nice += action.startswith("nice")
        if traces.nice != _UNTOUCHED.nice and names[place] == "setpriority" and outcome.result is Result.FAILED:
            self.nicer += 1  # which is known, and was told
            traces = traces._replace(nice=_UNTOUCHED.nice)
        if traces != _UNTOUCHED:
            self.wrong += bool(traces.signals)
            self.faults.append(f"{where}; the heir got {traces.text}")
        left = [name for name in names[place:] if name in ("pidfd_send_signal", "setpriority", "write")]
        done = left[1:] if action == "term stopped" else left  # once TERM is sent, it is, though nobody is to continue
        if outcome.result.delivered and done:
            self.faults.append(f"{where} though the victim was gone")

    # --- what heirs inherit ---

    def successors(self) -> None:
        """Who comes after, at another tick, has limits and a life of its own; looks are those of the daemon."""
        source = LinuxSource(lambda text: None)
        rules = monitor({"rmem > 1k": ["usr1 @ 1h", "after 1h kill"]}, cmdline=_MARK.decode())
        engine = Engine(config(rules), Self(_US))
        source.configure(engine.selects, process_events=False)
        pid = _born(_MARK, 0, frozenset(_ALL))
        for now in (0.0, 3.0, 6.0, 9.0):
            done = self._look(source, engine, now)
            if done != [(pid, "usr1 @ 1h")] or _traces(pid).signals != {signal.SIGUSR1}:
                self.faults.append(f"a successor at {now:g} s inherited something: {done}, {_traces(pid).text}")
            self._look_again(source, engine, now + 1)
            _end(pid)
            time.sleep(0.02)
            _born(_MARK, pid, frozenset(_ALL))
        _end(pid)

    def _look_again(self, source: LinuxSource, engine: Engine, now: float) -> None:
        if done := self._look(source, engine, now):
            self.faults.append(f"a limit did not hold: {done}")

    def _look(self, source: LinuxSource, engine: Engine, now: float) -> list[tuple[int, str]]:
        table = source.look(now)
        look = engine.look(table, (), now)
        while wants := engine.wants(look):
            look.readings.add(wants, source.measure(wants, now))
        verdicts = engine.sweep(look)
        done = [self._carried_out(each, engine, now) for each in verdicts if each.kind is Kind.FIRE]
        engine.arm(look, verdicts)
        return done

    def _carried_out(self, decided: Verdict, engine: Engine, now: float) -> tuple[int, str]:
        with ExitStack() as held:
            engine.record(self._performer.carry_out(self._performer.prepare(decided, held), now), now)
        return decided.process.id.pid, str(decided.item.action)
