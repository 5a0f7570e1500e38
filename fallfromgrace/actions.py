"""The edge: verdicts are performed here, on real processes, after everything was read once more."""

from __future__ import annotations

import functools
import os
import pwd
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from fallfromgrace.expression import Sample, value_and_limit
from fallfromgrace.logs import Log, fields
from fallfromgrace.rules import Exec, Signal
from fallfromgrace.signalling import Pin, pinned
from fallfromgrace.source import Source
from fallfromgrace.spawn import Command, QueueFull, Spawner
from fallfromgrace.table import Process
from fallfromgrace.verdict import Outcome, Result, Verdict, refutation

# An environment string has at most 128 KiB (MAX_ARG_STRLEN); a long command line must not make the command fail.
_LONGEST_VARIABLE = 8192

# A command that found these would speak to systemd in our name.
_BETWEEN_SYSTEMD_AND_US = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "INVOCATION_ID"}

_NUMBERS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}


class Ready(NamedTuple):
    """A verdict that was asked again and still stands, about a process that is held."""

    verdict: Verdict
    pin: Pin


class Performer:
    """Carries verdicts out, or with `dry_run` only says what it would do."""

    def __init__(self, source: Source, *, dry_run: bool, log: Log) -> None:
        self._source = source
        self.dry_run = dry_run
        self.spawner = Spawner(log)

    def prepare(self, verdict: Verdict, held: ExitStack) -> Ready | Outcome:
        """Hold the process for as long as `held` is open, read it anew, and ask again; an outcome if that was all."""
        try:
            pin = held.enter_context(pinned(verdict.process.id))
            read = self._source.reread(verdict.process.id.pid)
            pin.check()  # else what was just read by number may be somebody else's
        except OSError as error:
            return _failure(verdict, error)
        if read is None or read[0].id != verdict.process.id or not read[0].alive:
            return Outcome(verdict, Result.GONE)
        return self._judge_again(verdict, *read, pin)

    def _judge_again(self, verdict: Verdict, process: Process, sample: Sample, pin: Pin) -> Ready | Outcome:
        value, limit = value_and_limit(verdict.rule.trigger.condition, sample)
        descent = verdict.descent._replace(process=process)
        fresh = replace(verdict, descent=descent, sample=sample, value=value, limit=limit)
        if reason := refutation(verdict, process, self._root(verdict, process), sample):
            return Outcome(fresh, Result.REFUTED, reason)
        return Outcome(fresh, Result.DRY_RUN) if self.dry_run else Ready(fresh, pin)

    def carry_out(self, ready: Ready | Outcome, now: float) -> Outcome:
        """Act, if there is still something to do."""
        if isinstance(ready, Outcome):
            return ready
        try:
            return Outcome(ready.verdict, self._act(ready.verdict, ready.pin, now))
        except (OSError, QueueFull) as error:
            return _failure(ready.verdict, error)

    def _root(self, verdict: Verdict, process: Process) -> Process | None:
        """What the monitor found, as it is now: the process itself, or the one that it is below."""
        if not verdict.descent.depth:
            return process
        read = self._source.reread(verdict.descent.root.id.pid)
        return read[0] if read else None

    def _act(self, verdict: Verdict, pin: Pin, now: float) -> Result:
        action = verdict.item.action
        if isinstance(action, Signal):
            return _send(action, verdict.process, pin)
        whose = verdict.monitor.name
        command = Command(action.command, whose, _environment(verdict, action), _label(verdict, action), now)
        return Result.STARTED if self.spawner.start(command, now) else Result.QUEUED


def _failure(verdict: Verdict, error: OSError | QueueFull) -> Outcome:
    if isinstance(error, ProcessLookupError):
        return Outcome(verdict, Result.GONE)
    detail = getattr(error, "strerror", None) or str(error)
    return Outcome(verdict, Result.DENIED if isinstance(error, PermissionError) else Result.FAILED, detail)


def _send(action: Signal, process: Process, pin: Pin) -> Result:
    pin.send(_NUMBERS[action.word])
    if action.word == "term" and process.stopped:
        pin.send(signal.SIGCONT)  # a stopped process gets no TERM before it runs again
    return Result.SENT


def _label(verdict: Verdict, action: Exec) -> str:
    return fields(monitor=verdict.monitor.name, pid=verdict.process.id.pid, command=action.command)


def _environment(verdict: Verdict, action: Exec) -> Mapping[str, str]:
    """The command's environment: values as variables, so that no shell ever parses what is in them."""
    process, sample = verdict.process, verdict.sample
    ours = {
        "NAME": verdict.monitor.name,
        "PID": str(process.id.pid),
        "RULE": verdict.rule.text,
        "VALUE": verdict.value,
        "LIMIT": verdict.limit,
        "RMEM": str(sample.get("rmem", "")),
        "VMEM": str(sample.get("vmem", "")),
        "OWNER": _owner(process.image.uid),
        "CMDLINE": process.image.cmdline,
        "ACTION": str(action),
    }
    inherited = {name: text for name, text in os.environ.items() if name not in _BETWEEN_SYSTEMD_AND_US}
    return inherited | {name: text[:_LONGEST_VARIABLE] for name, text in ours.items()}


@functools.lru_cache(maxsize=64)
def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
