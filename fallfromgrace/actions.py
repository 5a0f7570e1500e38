"""The edge: verdicts are performed here, on real processes, after everything was read once more."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Container, Mapping
from contextlib import ExitStack, suppress
from typing import NamedTuple

from fallfromgrace.adjusting import adjust
from fallfromgrace.dispositions import loss
from fallfromgrace.expression import Sample, value_and_limit
from fallfromgrace.kinship import Kin
from fallfromgrace.logs import Log, fields
from fallfromgrace.notify import Message, Notifier
from fallfromgrace.readings import Again
from fallfromgrace.records import replace
from fallfromgrace.rules import TERMINATING, VARIABLES, Adjust, Exec, Notify, Signal
from fallfromgrace.signalling import Pin, pinned
from fallfromgrace.source import Source
from fallfromgrace.spawn import Command, QueueFull, Spawner
from fallfromgrace.table import Descent, Process
from fallfromgrace.values import told_text, values
from fallfromgrace.verdict import Outcome, Reread, Result, Verdict, refutation

# An environment string has at most 128 KiB (MAX_ARG_STRLEN); a long command line must not make the command fail.
_LONGEST_VARIABLE = 8192

# A command that found these would speak to systemd in our name, or take a stranger's $PID for one that a rule is about.
_KEPT_BACK = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "INVOCATION_ID", *VARIABLES}


class Ready(NamedTuple):
    """A verdict that was asked again and still stands, and a hold on the process it is for, if it is for one."""

    verdict: Verdict
    sample: Sample
    pin: Pin | None


class Performer:
    """Carries verdicts out, or with `dry_run` only says what it would do.

    `oom_score` is what commands get. `myself` is the process that with all below it is never acted upon: us.
    """

    def __init__(
        self, source: Source, *, dry_run: bool, log: Log, oom_score: int = 0, myself: int | None = None
    ) -> None:
        self._source = source
        self.dry_run = dry_run
        self.spawner = Spawner(log, oom_score)
        self.notifier = Notifier(self.spawner, log)
        self._own = Kin(os.getpid() if myself is None else myself, lambda: self.spawner.groups)

    @property
    def groups(self) -> Collection[int]:
        """The process groups of commands that run."""
        return self.spawner.groups

    @property
    def kin(self) -> Container[Process]:
        """Whoever our commands may have started: nobody while none runs, which costs nothing to ask."""
        return self._own if self.spawner.groups else frozenset()

    def prepare(self, verdict: Verdict, held: ExitStack) -> Ready | Outcome:
        """Hold the process for as long as `held` is open, read it anew, and ask again; an outcome if that was all."""
        if verdict.target is None:
            return self._ready(Ready(verdict, {}, None))
        try:
            pin = held.enter_context(pinned(verdict.target.process.id))
            read = self._source.reread(verdict.target.process.id.pid)
            with suppress(PermissionError):  # who may be told of, though not signalled
                pin.check()  # else what was just read by number may be somebody else's
        except OSError as error:
            return _failure(verdict, error)
        if read is None or read[0].id != verdict.target.process.id or not read[0].alive:
            return Outcome(verdict, Result.GONE)
        return self._judge_again(verdict, verdict.target, *read, pin)

    def _judge_again(
        self, verdict: Verdict, target: Descent, process: Process, sample: Sample, pin: Pin
    ) -> Ready | Outcome:
        now = self._reread(verdict, target, process, sample)
        fresh = _refreshed(verdict, target, now)
        if reason := refutation(verdict, now) or self._ownership(verdict, process):
            return Outcome(fresh, Result.REFUTED, reason)
        return self._ready(Ready(fresh, now.sample, pin))

    def _ownership(self, verdict: Verdict, process: Process) -> str:
        """Why nothing is done to what is ours: a command may have started it in a session of its own."""
        ours = process.pgid in self.spawner.groups or process in self._own
        return "this is a command of fall-from-grace" if ours and not verdict.only_tells else ""

    def _ready(self, ready: Ready) -> Ready | Outcome:
        if self.dry_run or ready.verdict.monitor.observe:
            return Outcome(ready.verdict, Result.DRY_RUN, text=told_text(ready.verdict, ready.sample))
        return ready

    def _reread(self, verdict: Verdict, target: Descent, process: Process, sample: Sample) -> Reread:
        """What the monitor found, and what the rule fires for, as they are now: often both are the process itself."""
        read = {target.process.id: (process, sample)}
        subject = verdict.cause.subject
        for other in (target.root, subject.process if subject else target.root):
            if other.id not in read and (found := self._source.reread(other.id.pid)):
                read[other.id] = found
        root, _ = read.get(target.root.id, (None, {}))
        whom, uses = read.get(subject.process.id, (None, {})) if subject else (None, sample)
        return Reread(process, root, whom, uses, self._is_below(process, target))

    def _is_below(self, process: Process, target: Descent) -> bool:
        """Whether the parents of a descendant still lead to what it was found below."""
        parent = process.ppid
        for _ in range(target.depth - 1):
            found = self._source.reread(parent) if parent != target.root.id.pid else None
            parent = found[0].ppid if found else parent
        return not target.depth or parent == target.root.id.pid

    def carry_out(self, ready: Ready | Outcome, now: float) -> Outcome:
        """Act, if there is still something to do."""
        if isinstance(ready, Outcome):
            return ready
        try:
            return self._act(ready, now)
        except (OSError, QueueFull) as error:
            return _failure(ready.verdict, error)

    def _act(self, ready: Ready, now: float) -> Outcome:
        verdict, item = ready.verdict, ready.verdict.item
        assert item
        if isinstance(item.action, Exec):
            return Outcome(verdict, self._run(ready, item.action, now))
        if isinstance(item.action, (Signal, Adjust)):
            assert verdict.process
            assert ready.pin
            return _apply(verdict, item.action, verdict.process, ready.pin)
        text = told_text(ready.verdict, ready.sample)
        told = self._tell(verdict, text, now) if isinstance(item.action, Notify) else Result.TOLD
        return Outcome(verdict, told, text=text)

    def _run(self, ready: Ready, action: Exec, now: float) -> Result:
        whose = ready.verdict.monitor.name
        label = _label(ready.verdict, command=action.text)
        command = Command(action.text, whose, _environment(ready), label, now)
        return Result.STARTED if self.spawner.start(command, now) else Result.QUEUED

    def _tell(self, verdict: Verdict, text: str, now: float) -> Result:
        """Whom: the owner of the process; where there is none, the log has it anyway."""
        if verdict.process is None:
            return Result.TOLD
        whose = verdict.monitor.name
        message = Message(verdict.process.image.uid, whose, text, whose, _label(verdict, action="notify"))
        return self.notifier.tell(message, now)


def _refreshed(verdict: Verdict, target: Descent, now: Reread) -> Verdict:
    """The verdict with what was read last."""
    again = Again(verdict.cause.sight, now.sample if verdict.cause.subject else {})
    value, limit = value_and_limit(verdict.rule.trigger.condition, again)
    cause = replace(verdict.cause, value=value, limit=limit)
    return replace(verdict, cause=cause, target=target._replace(process=now.target))


def _failure(verdict: Verdict, error: OSError | QueueFull) -> Outcome:
    if isinstance(error, ProcessLookupError):
        return Outcome(verdict, Result.GONE)
    detail = getattr(error, "strerror", None) or str(error)
    return Outcome(verdict, Result.DENIED if isinstance(error, PermissionError) else Result.FAILED, detail)


def _apply(verdict: Verdict, action: Signal | Adjust, process: Process, pin: Pin) -> Outcome:
    """What comes of it is made up before: who was signalled must not be so again because that failed."""
    if isinstance(action, Adjust):
        done = Outcome(verdict, Result.SET)
        adjust(action.word, process.id.pid, action.value, pin)
        return done
    number = signal.Signals[f"SIG{action.word.upper()}"]
    lost = loss(process.id.pid, number)  # before: if the signal can be sent, what was read by number is about it
    vain = f"{lost}; write kill" if lost and action.word in TERMINATING else lost
    done = Outcome(verdict, Result.SENT, vain)
    pin.send(number)
    if action.word in TERMINATING - {"kill"} and process.stopped:
        with suppress(OSError):  # TERM is sent; if it has ended meanwhile, all the better
            pin.send(signal.SIGCONT)  # a stopped process gets no TERM before it runs again
    return done


def _label(verdict: Verdict, **what: str) -> str:
    pid = {"pid": verdict.process.id.pid} if verdict.process else {}
    return fields(monitor=verdict.monitor.name, **pid, **what)


def _environment(ready: Ready) -> Mapping[str, str]:
    """The command's environment: values as variables, so that no shell ever parses what is in them."""
    ours = values(ready.verdict, ready.sample)
    inherited = {name: text for name, text in os.environ.items() if name not in _KEPT_BACK}
    return inherited | {name: text[:_LONGEST_VARIABLE] for name, text in ours.items()}
