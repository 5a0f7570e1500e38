"""`status`: what the running daemon watches, has armed and has done, and what that costs."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fallfromgrace import exits, lifecycle, published, terminal, timers, unloaded
from fallfromgrace.arguments import DEFAULT_CONFIG
from fallfromgrace.columns import INDENT, Paper, Section, table
from fallfromgrace.exits import Failure
from fallfromgrace.forms import plain
from fallfromgrace.keeper import moment
from fallfromgrace.lifecycle import Phase
from fallfromgrace.memory import Memory
from fallfromgrace.published import Looks, Published, Watched
from fallfromgrace.records import dataclass
from fallfromgrace.rules import counted
from fallfromgrace.state import Moment
from fallfromgrace.table import ProcessId
from fallfromgrace.tidings import LATE_INTERVALS
from fallfromgrace.timers import Life, Stopped, Timer
from fallfromgrace.units import human_duration
from fallfromgrace.unloaded import Unloaded


@dataclass(frozen=True, slots=True)
class Options:
    """The file of the daemon that is asked; empty where nothing says which."""

    state: str
    as_json: bool = False


def run(options: Options) -> int:
    """The exit status: 0 if there is a daemon, 69 if it has ended."""
    found = _found(options.state)
    living = published.lives(found)
    picture = seen(found, living, moment())._replace(unloaded=_unloaded(found, living, options.state))
    if options.as_json:
        print(json.dumps(as_json(picture), indent=2))
    else:
        paper = Paper(terminal.width(), terminal.colourful(), terminal.encoding())
        print("\n".join(shown(picture, paper)))
    if picture.living:
        return exits.OK
    exits.complain(f"{exits.PROGRAM}: {picture.end}; start one, or name the file of another with --state FILE")
    return exits.UNAVAILABLE


def _found(state: str) -> Published:
    """What there is of a daemon. Where there is nothing, that may be because it could not start."""
    try:
        return published.read(state)
    except Failure:
        usual = state == published.SYSTEM and os.geteuid() == 0
        if usual and (wrong := unloaded.unusable(DEFAULT_CONFIG)):
            exits.complain("\n".join(unloaded.lines(wrong)))
        raise


def _unloaded(found: Published, living: bool, state: str) -> Unloaded | None:
    with contextlib.suppress(OSError):  # it went since it was read
        mine = os.stat(state).st_uid == os.geteuid()
        if living:
            return unloaded.since(found, mine)
        return unloaded.unusable(found.config) if mine else None
    return None


# --- what there is to show ---


class Picture(NamedTuple):
    """What a daemon has written, and what follows from that now; of one that has ended, what followed then."""

    found: Published
    living: bool
    now: Moment
    lives: tuple[Life, ...] = ()
    timers: tuple[Timer, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    texts: Mapping[tuple[str, str], str] = MappingProxyType({})  # of rules, by monitor and normal form
    unloaded: Unloaded | None = None

    @property
    def at(self) -> float:
        """When this is, by the clock that rules go by."""
        return self.now.monotonic if self.living else self.found.written.monotonic

    @property
    def end(self) -> str:
        """How it came that there is no such daemon."""
        return f"the daemon that wrote this (pid {self.found.pid}) {published.end(self.found)}"

    @property
    def in_our_time(self) -> bool:
        return published.of_now(self.found)

    def since(self, at: Moment) -> float:
        """How long ago something was: by the clock that nobody sets, where that has gone on."""
        passed = self.now.monotonic - at.monotonic if self.in_our_time else self.now.wall - at.wall
        return max(0.0, passed)

    @property
    def ran(self) -> float:
        """For how long it has run, or had."""
        return max(0.0, self.at - self.found.started.monotonic)

    def written(self, about: Life | Timer) -> str:
        """A rule as its user wrote it."""
        return self.texts.get((about.monitor, about.rule), about.rule)

    def when(self, at: Moment) -> str:
        return f"{self.clock(at)}, {self.ago(at)}"

    def ago(self, at: Moment) -> str:
        return f"{human_duration(self.since(at))} ago"

    def clock(self, at: Moment) -> str:
        """The local time, with the date where it was not today."""
        then, today = time.localtime(at.wall), time.localtime(self.now.wall)
        return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", then)


def seen(found: Published, living: bool, now: Moment) -> Picture:
    """The picture at a moment."""
    picture = Picture(found, living, now)
    if picture.in_our_time:
        _observe(found.memory, picture.at)
    lives, armed = timers.lives(found.memory, picture.at), timers.armed(found.memory, picture.at)
    return picture._replace(lives=lives, timers=armed, stopped=timers.stopped(found.memory), texts=found.texts)


def _observe(memory: Memory, now: float) -> None:
    """See who of those that were stopped runs again, as the daemon will at its next look."""
    for key, clock in list(memory.clocks.items()):
        state = published.state_of(key[0].pid)
        if not state or state in "ZX":
            del memory.clocks[key]
        elif state != published.HIDDEN:
            memory.clocks[key] = lifecycle.observe(clock, state == "T", now)


# --- for programs ---

_STATUS = ("start", "interval", "configuration", "monitors", "watched", "actions", "counters", "looks", "reactions")
_WRITTEN = ("program", "pid", "config", "started", "written", *_STATUS, "cpu")


def as_json(picture: Picture) -> dict[str, Any]:
    """What the daemon says, as it says it, and what follows from that."""
    return {
        "lives": picture.living,
        "age": picture.since(picture.found.written),
        **{name: plain(getattr(picture.found, name)) for name in _WRITTEN},
        "looks": _looks(picture.found.looks),
        "rules": [_named(life) for life in picture.lives],
        "timers": [{**_named(timer), "seconds": timer.at - picture.at} for timer in picture.timers],
        "stopped": [_named(each) for each in picture.stopped],
        "unloaded": picture.unloaded and picture.unloaded._asdict(),
    }


def _looks(looks: Looks) -> dict[str, Any]:
    return {**looks.spread._asdict(), "last": looks.last}


def _named(value: Life | Timer | Stopped) -> dict[str, Any]:
    pid, start = value.identity or (None, None)
    found = {name: plain(each) for name, each in value._asdict().items() if name not in ("identity", "at")}
    return {**found, "pid": pid, "start": start}


# --- for people ---

_ALARM, _WARNING = ("bold", "red"), ("bold", "yellow")
# Of a table on a terminal.
_MOST_MONITORS, _MOST_ACTIONS = 50, 10


def shown(picture: Picture, paper: Paper) -> Iterator[str]:
    """All of it, in lines."""
    for text, *styles in (*_whose(picture), *_configured(picture)):
        yield from (paper.paint(line, *styles) for line in paper.wrapped(text))
    for make in (_monitors, _lives, _processes, _timers, _stopped, _actions, _counters):
        section = make(picture)
        if section.rows:
            yield from ("", paper.paint(paper.cut(section.title), "bold"), *table(section, paper))
    yield ""
    for text in _cost(picture):
        yield from paper.wrapped(text)


def _whose(picture: Picture) -> Iterator[tuple[str, ...]]:
    """Who it is, and whether what is said is of now; lines, each with its styles."""
    found, every = picture.found, human_duration(picture.found.interval)
    if not picture.living:
        yield (f"{picture.end}; what follows it wrote {picture.ago(found.written)}", *_ALARM)
    elif picture.since(found.written) > LATE_INTERVALS * found.interval:
        late = f"what follows was written {picture.ago(found.written)}, though it should be every {every}"
        yield (f"{late}: the daemon is stopped or hangs, or cannot write its file", *_WARNING)
    ran = f"{'up' if picture.living else 'ran'} {human_duration(picture.ran)}"
    yield (f"{exits.PROGRAM} {found.program}, pid {found.pid}, {ran}, since {picture.clock(found.started)}", "bold")
    yield (f"{counted(found.watched, 'process')} watched; everybody is looked at every {every} or more often",)


def _configured(picture: Picture) -> Iterator[tuple[str, ...]]:
    loading, last = picture.found.configuration, picture.found.configuration.last
    size = f"{counted(loading.monitors, 'monitor')}, {counted(loading.rules, 'rule')}"
    reloads = f"; reloads: {loading.taken} taken, {loading.refused} refused" if last else ""
    yield (f"{picture.found.config}: {size}, loaded {picture.when(loading.loaded)}{reloads}",)
    if last and not last.taken:
        yield (f"the last reload was refused {picture.when(last.at)}; what was loaded before goes on:", *_ALARM)
        yield from ((f"{INDENT}{problem}",) for problem in last.problems)
    if picture.unloaded:
        note, *problems = unloaded.lines(picture.unloaded)
        yield (note, *(_ALARM if problems else _WARNING))
        yield from ((problem,) for problem in problems)


def _monitors(picture: Picture) -> Section:
    phases = Counter((life.monitor, life.phase) for life in picture.lives)
    rows = [
        (
            str(each.covered),
            *(str(phases[each.name, phase]) for phase in (Phase.FIRING, Phase.PENDING)),
            str(len(each.rules)),
            f"{'[only observes] ' if each.observe else ''}{each.name}",
        )
        for each in picture.found.monitors
    ]
    head = (">PROCESSES", ">FIRING", ">PENDING", ">RULES", "MONITOR")
    return Section("Monitors", head, rows, _MOST_MONITORS)


def _lives(picture: Picture) -> Section:
    rows = [
        (
            each.phase.value,
            human_duration(each.seconds),
            f"{each.step} of {each.steps}" if each.phase is Phase.FIRING else "-",
            _pid(each.identity),
            each.monitor,
            f"{'' if each.known else '[not known now] '}{picture.written(each)}",
        )
        for each in picture.lives
    ]
    head = ("PHASE", ">FOR", "STEP", ">PID", "MONITOR", "RULE")
    return Section("Rules that fire or are pending", head, rows)


def _processes(picture: Picture) -> Section:
    monitors = picture.found.monitors
    rows = [(str(each.pid), whose.name, _command(each)) for whose in monitors for each in whose.processes]
    hidden = max(0, sum(each.covered for each in monitors) - len(rows))
    return Section("Processes", (">PID", "MONITOR", "COMMAND"), rows, hidden=hidden)


def _timers(picture: Picture) -> Section:
    rows = [
        (human_duration(each.at - picture.at), _pid(each.identity), each.monitor, each.what, picture.written(each))
        for each in picture.timers
    ]
    return Section("Timers", (">IN", ">PID", "MONITOR", "WHAT", "RULE"), rows)


def _stopped(picture: Picture) -> Section:
    processes = {each[:2]: each for whose in picture.found.monitors for each in whose.processes}
    rows = [
        (_pid(each.identity), each.monitor, each.action, _command(processes.get(each.identity)))
        for each in picture.stopped
    ]
    return Section("Stopped by rules, until continued", (">PID", "MONITOR", "BY", "COMMAND"), rows)


def _actions(picture: Picture) -> Section:
    rows = [
        (
            picture.clock(each.at),
            human_duration(picture.since(each.at)),
            "-" if each.pid is None else str(each.pid),
            each.monitor,
            f"{'recovered ' if each.recovered else ''}{each.action}",
            each.result,
            "; ".join(filter(None, (each.detail, f"{each.rule} ({each.value})", each.cmdline))),
        )
        for each in reversed(picture.found.actions)
    ]
    head = (">AT", ">AGO", ">PID", "MONITOR", "ACTION", "RESULT", "WHY")
    return Section("Last actions", head, rows, _MOST_ACTIONS, marked=5)


def _counters(picture: Picture) -> Section:
    totals: Counter[str] = Counter()
    for each in picture.found.counters:
        totals[each.result] += each.count
    counters = sorted(picture.found.counters, key=lambda each: -each.count)
    rows = [(str(each.count), each.result, each.action, each.monitor, each.rule) for each in counters]
    title = f"Actions since the start: {', '.join(f'{count} {word}' for word, count in totals.most_common())}"
    return Section(title, (">COUNT", "RESULT", "ACTION", "MONITOR", "RULE"), rows, _MOST_ACTIONS, marked=1)


def _cost(picture: Picture) -> Iterator[str]:
    found, (spread, last) = picture.found, picture.found.looks
    lasted = max(0.001, found.written.monotonic - found.started.monotonic)
    yield f"{found.cpu:.2f}s of CPU, {100 * found.cpu / lasted:.3f}% of one core since the start"
    if last:
        mean, longest = _brief(sum(last) / len(last)), _brief(max(last))
        whole = f"{counted(spread.count, 'look')}, {_brief(spread.seconds / max(1, spread.count))} each"
        yield f"{whole}; of the last {len(last)} {mean} each, {longest} the longest"
    if found.reactions.count:
        mean = _brief(found.reactions.seconds / found.reactions.count)
        yield f"{counted(found.reactions.count, 'action')} done, {mean} after the look that found it due"


def _brief(seconds: float) -> str:
    """A short time as people read it."""
    return f"{1000 * seconds:.1f}ms" if seconds < 1 else human_duration(seconds)


def _pid(identity: ProcessId | None) -> str:
    return str(identity.pid) if identity else "-"


def _command(process: Watched | None) -> str:
    """What is known of a process."""
    if process is None:
        return "?"
    return f"[below {process.below}] {process.cmdline}" if process.below else process.cmdline
