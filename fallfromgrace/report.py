"""What the log is told: every action, and what stands in an action's way once, not at every look."""

from __future__ import annotations

import errno
from collections.abc import Callable
from math import inf
from typing import Concatenate, ParamSpec

from fallfromgrace import exits
from fallfromgrace.adoption import Adoption
from fallfromgrace.errors import ConfigError
from fallfromgrace.logs import ERROR, INFO, NOTICE, WARNING, Log, outcome_line, verdict_line
from fallfromgrace.rules import Config, counted
from fallfromgrace.table import ProcessId, ProcessTable
from fallfromgrace.verdict import Kind, Outcome, Verdict

# So that a line holds all of them twice.
_PIDS_A_LINE = 40
# The same fault is told again after so long.
_FAULT_SECONDS = 60.0
# Made before: it is for when nothing can be made any more.
_UNTOLD = "something happened that cannot be told, for want of memory"

_LACKING = {errno.ENOMEM: "memory", errno.EMFILE: "file descriptors", errno.ENFILE: "file descriptors"}

_Words = ParamSpec("_Words")
# A monitor, a rule, what of it is told, and the process; None where it is about no process.
_Subject = tuple[str, str, str, ProcessId | None]


def _surely(tell: Callable[Concatenate[Reporter, _Words], None]) -> Callable[Concatenate[Reporter, _Words], None]:
    """What cannot be told for want of memory must not be passed over in silence, nor keep us from anything else."""

    def told(self: Reporter, /, *words: _Words.args, **named: _Words.kwargs) -> None:
        try:
            tell(self, *words, **named)
        except MemoryError:
            self._log.write(ERROR, _UNTOLD)

    return told


class Reporter:
    """Writes to a log, and remembers what it said of whom."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._said: dict[_Subject, str] = {}
        self._faults: dict[tuple[str, type[Exception]], tuple[float, int]] = {}

    @_surely
    def fault(self, what: str, error: Exception, now: float) -> None:
        """Say that something failed that should not, and where; of what keeps failing, once a minute how often."""
        key = what, type(error)
        told_at, more = self._faults.get(key, (-inf, 0))
        if now < told_at + _FAULT_SECONDS:
            self._faults[key] = told_at, more + 1
            return
        self._faults[key] = now, 0
        again = f", {counted(more, 'time')} more since this was told" if more else ""
        if lacking := _lacking(error):
            self._log.write(ERROR, f"{what} failed for want of {lacking}, and is made up for{again}")
            return
        self._log.write(ERROR, f"{what} failed{again}; please report this:")
        for line in exits.trace(error).splitlines():
            self._log.write(ERROR, line)

    @_surely
    def verdict(self, verdict: Verdict) -> None:
        """Say why nothing is done, once for each rule and process; what only waits, once for each action."""
        if verdict.kind is not Kind.FIRE:
            one = verdict.item if verdict.kind not in (Kind.PROTECTED, Kind.SPARED) else None
            what = f"{one.key} waits" if one else verdict.kind.value
            what += verdict.reason if verdict.kind in (Kind.UNKNOWN, Kind.EARLY) else ""  # each metric once
            if self._is_news(verdict, what, verdict.reason):
                self._log.write(*verdict_line(verdict))

    @_surely
    def outcome(self, outcome: Outcome) -> None:
        """Say what was done; what keeps failing in the same way, only the first time."""
        item = outcome.verdict.item
        news = self._is_news(outcome.verdict, item.key if item else "", f"{outcome.result} {outcome.detail}")
        if news or outcome.result.delivered:
            self._log.write(*outcome_line(outcome))

    def _is_news(self, verdict: Verdict, what: str, text: str) -> bool:
        subject = verdict.monitor.name, verdict.rule.text, what, verdict.process.id if verdict.process else None
        before, self._said[subject] = self._said.get(subject), text
        return before != text

    def forget(self, table: ProcessTable) -> None:
        """Forget what was said of processes that have ended."""
        self._said = {
            subject: text for subject, text in self._said.items() if subject[3] is None or subject[3] in table
        }

    def started(self, config: Config, version: str, *, dry_run: bool) -> None:
        """The first line of every run."""
        what = f"{config.summary}, interval {config.settings.interval:g}s"
        mode = "; dry run: nothing is acted upon" if dry_run else ""
        self._log.write(INFO, f"started, version {version}: {what}{mode}")

    @_surely
    def reloaded(self, config: Config, adoption: Adoption) -> None:
        """What a new configuration changed."""
        change = f"+{adoption.added} rules, -{adoption.removed}, {adoption.changed} changed"
        change += f", {adoption.timers_kept} armed timers kept"
        self._log.write(NOTICE, f"configuration reloaded: {config.summary}; {change}")

    @_surely
    def refused(self, error: ConfigError) -> None:
        """Every problem of a configuration that is not used."""
        count = len(error.problems)
        self._log.write(ERROR, f"configuration not reloaded, the old one stays in force: {counted(count, 'problem')}")
        for problem in error.problems:
            self._log.write(ERROR, problem.headline)

    @_surely
    def unread(self, text: str) -> None:
        """Why a configuration is not used that may well be right."""
        self._log.write(ERROR, "configuration not reloaded, the old one stays in force: it could not be read")
        for line in text.splitlines():
            self._log.write(ERROR, line)

    @_surely
    def left_stopped(self, stopped: list[int], how: str) -> None:
        """Processes that stay stopped until somebody continues them."""
        for start in range(0, len(stopped), _PIDS_A_LINE):
            pids = " ".join(map(str, stopped[start : start + _PIDS_A_LINE]))
            self._log.write(WARNING, f"still stopped {how}: {pids}; continue them with kill -CONT {pids}")


def _lacking(error: Exception) -> str:
    """What there was too little of; empty where that is not why something failed."""
    if isinstance(error, MemoryError):
        return "memory"
    return _LACKING.get(error.errno or 0, "") if isinstance(error, OSError) else ""
