"""What a daemon says of itself as parts of a picture: who it is, what is wrong, what is armed, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fallfromgrace import timers
from fallfromgrace.picture import Entry
from fallfromgrace.portrayal import processes
from fallfromgrace.published import Act, Published
from fallfromgrace.rules import Config
from fallfromgrace.table import ProcessId
from fallfromgrace.units import human_duration
from fallfromgrace.verdict import Result

_WRONG = {Result.DENIED.value, Result.FAILED.value}
# So many intervals after it has last written a daemon hangs, or is starved.
_LATE_INTERVALS = 2.5


class Heading(NamedTuple):
    """What is above everything else."""

    title: str
    facts: str
    warnings: tuple[str, ...] = ()


def heading(daemon: Published | None, config: Config, path: str, watched: int, now: float, version: str) -> Heading:
    """Who acts by these rules, if anybody does."""
    facts = f"{processes(watched)} watched, {config.summary}, interval {_time(config.settings.interval)}, {path}"
    if daemon is None:
        return Heading(f"fall-from-grace {version}: no daemon runs; this is what one would see that starts now", facts)
    up = max(daemon.written.monotonic - daemon.started.monotonic, 0.1)
    who = f"fall-from-grace {daemon.program}: pid {daemon.pid}, up {_time(now - daemon.started.monotonic)}"
    return Heading(f"{who}, cpu {100 * daemon.cpu / up:.2f}%", facts, tuple(_warnings(daemon, config, now)))


def _warnings(daemon: Published, config: Config, now: float) -> Iterator[str]:
    silent = now - daemon.written.monotonic
    if silent > _LATE_INTERVALS * daemon.interval:
        yield f"the daemon says nothing: it last did {_time(silent)} ago, and its interval is {_time(daemon.interval)}"
    last = daemon.configuration.last
    if last and not last.taken:
        problem = "".join(f": {each.splitlines()[0]}" for each in last.problems[:1] if each)
        yield f"the last reload was refused {_time(now - last.at.monotonic)} ago{problem}"
    if _rules(config) != [(each.name, [rule.trigger for rule in each.rules]) for each in daemon.monitors]:
        yield "the daemon goes by other rules than these: the configuration was changed and not reloaded, or is another"


def _rules(config: Config) -> list[tuple[str, list[str]]]:
    return [(monitor.name, [rule.key for rule in monitor.rules]) for monitor in config.monitors]


def coming(daemon: Published, now: float, legible: Callable[[str], str]) -> Iterator[Entry]:
    """Whom its rules have stopped, and what is armed, the next first."""
    for monitor, action, identity in timers.stopped(daemon.memory):
        yield Entry("stopped", _who(monitor, identity, legible), legible(f"by {timers.verb(action)}, until continued"))
    for timer in timers.armed(daemon.memory, now):
        what = f"{timer.rule}: {timer.what}" if timer.rule else timer.what
        yield Entry(f"in {_time(timer.at - now)}", _who(timer.monitor, timer.identity, legible), legible(what))


def deeds(daemon: Published, now: float, legible: Callable[[str], str]) -> Iterator[Entry]:
    """What it did, the last first."""
    for act in reversed(daemon.actions):
        who = f"{act.monitor} {act.pid}" if act.pid else act.monitor
        when = f"{_time(now - act.at.monotonic)} ago"
        yield Entry(when, legible(who), legible(_done(act)), act.result not in _WRONG)


def _done(act: Act) -> str:
    recovered = "recovered " if act.recovered else ""
    seen = f" at {act.value}, limit {act.limit}" if act.value else ""
    detail = f": {act.detail}" if act.detail else ""
    return f"{recovered}{act.action} {act.result}{seen}{detail}"


def _who(monitor: str, identity: ProcessId | None, legible: Callable[[str], str]) -> str:
    return legible(f"{monitor} {identity.pid}" if identity else monitor)


def _time(seconds: float) -> str:
    return human_duration(max(0, round(seconds)))
