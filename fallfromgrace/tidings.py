"""What a daemon says of itself as parts of a picture: who it is, what is wrong, what is armed, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fallfromgrace import timers
from fallfromgrace.picture import Entry
from fallfromgrace.published import Act, Published, Watching
from fallfromgrace.rules import Config, Rule, counted
from fallfromgrace.table import ProcessId
from fallfromgrace.units import human_duration
from fallfromgrace.verdict import Result

_WRONG = {Result.DENIED.value, Result.FAILED.value}
# So many intervals after it has last written a daemon hangs, or is starved.
LATE_INTERVALS = 2.5


class Heading(NamedTuple):
    """What is above everything else."""

    title: str
    facts: str
    warnings: tuple[str, ...] = ()


class Basis(NamedTuple):
    """The rules that are shown, the whole path of their file, and when it or what belongs to it was last changed, by
    the clock on the wall."""

    config: Config
    path: str
    changed: float


def heading(daemon: Published | None, basis: Basis, watched: int, now: float, version: str) -> Heading:
    """Who acts by these rules, if anybody does."""
    config = basis.config
    told = f"{counted(watched, 'process')} watched, {config.summary}"
    facts = f"{told}, interval {_time(config.settings.interval)}, {basis.path}"
    if daemon is None:
        return Heading(f"fall-from-grace {version}: no daemon runs; this is what one would see that starts now", facts)
    up = max(daemon.written.monotonic - daemon.started.monotonic, 0.1)
    who = f"fall-from-grace {daemon.program}: pid {daemon.pid}, up {_time(now - daemon.started.monotonic)}"
    return Heading(f"{who}, cpu {100 * daemon.cpu / up:.2f}%", facts, tuple(_warnings(daemon, basis, now)))


def _warnings(daemon: Published, basis: Basis, now: float) -> Iterator[str]:
    yield from filter(None, (silence(daemon, now), divergence(daemon, basis)))
    last = daemon.configuration.last
    if last and not last.taken:
        problem = "".join(f": {each.splitlines()[0]}" for each in last.problems[:1] if each)
        yield f"the last reload was refused {_time(now - last.at.monotonic)} ago{problem}"


def silence(daemon: Published, now: float) -> str:
    """That it may not do what is due; empty as long as it writes as often as it should."""
    silent = now - daemon.written.monotonic
    if silent <= LATE_INTERVALS * daemon.interval:
        return ""
    late = f"it last did {_time(silent)} ago, and its interval is {_time(daemon.interval)}"
    return f"the daemon says nothing: {late}; it is stopped, hangs, or cannot write"


def divergence(daemon: Published, basis: Basis) -> str:
    """How it goes by something else than is shown; empty where it does not."""
    if basis.path != daemon.config:
        return f"the daemon goes by {daemon.config}, and not by what is shown here"
    if _rules(basis.config) != [(each.name, each.observe, _texts(each)) for each in daemon.monitors]:
        return f"the daemon has loaded other rules than there are now; {_reload(daemon)} these"
    return changed(daemon) if basis.changed > daemon.configuration.loaded.wall else ""


def changed(daemon: Published) -> str:
    """That its configuration is not the one any more that it has loaded."""
    return f"{daemon.config} was changed after the daemon had loaded it; {_reload(daemon)} that"


def _reload(daemon: Published) -> str:
    return f"'kill -HUP {daemon.pid}' makes it take"


_Rules = list[tuple[str, tuple[str, ...]]]


def _rules(config: Config) -> list[tuple[str, bool, _Rules]]:
    return [(each.name, each.observe, [_written(rule) for rule in each.rules]) for each in config.monitors]


def _written(rule: Rule) -> tuple[str, tuple[str, ...]]:
    return rule.key, tuple(str(item.action) for item in rule.items)


def _texts(monitor: Watching) -> _Rules:
    return [(rule.trigger, rule.actions) for rule in monitor.rules]


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
