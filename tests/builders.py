"""Words for tests: processes, tables, rules and configurations, each with what a test does not care about filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fallfromgrace.engine import Engine
from fallfromgrace.expression import SYSTEM_METRICS, Measured, Sample, Whole
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.intervals import UNKNOWN, Interval, exactly
from fallfromgrace.looks import Look
from fallfromgrace.protection import Self
from fallfromgrace.readings import FACETS, Facet, Want
from fallfromgrace.rules import Config, Monitor, Selector, Settings, Step, User, make_rules
from fallfromgrace.state import restored, snapshot
from fallfromgrace.table import Descent, Image, Process, ProcessId, ProcessTable, Size
from fallfromgrace.verdict import Cause, Kind, Outcome, Result, Verdict

MIB = 1 << 20
OUR_PID = 99_999
# What no terminal should see.
HOSTILE = "\x1b[2J\x1b]0;x\a\r\n\u202e" + "漢字" * 20 + "e\u0301" * 30 + "\U0001f600" * 20 + "\udcff" + "x" * 300


class Lines(list[tuple[int, str]]):
    """A log that keeps what it is told, as (priority, text)."""

    def write(self, priority: int, text: str) -> None:
        self.append((priority, text))

    def catch_up(self, now: float) -> None:
        """Nothing is ever lost."""

    def text(self) -> str:
        return "\n".join(text for _, text in self)


def process(pid: int, cmdline: str = "hog", **other: Any) -> Process:
    """A running process; `start` defaults to its pid, its parent to pid 1."""
    return Process(
        id=ProcessId(pid, other.get("start", pid)),
        ppid=other.get("ppid", 1),
        pgid=other.get("pgid", pid),
        state=other.get("state", "S"),
        image=Image(cmdline, other.get("uid", 1000), other.get("exe", "")),
    )


def table(*processes: Process) -> ProcessTable:
    return ProcessTable(processes)


def steps(asked: str | list[str]) -> list[Step]:
    """The actions of a rule from the texts a user would write."""
    return [parse_action(text) for text in ([asked] if isinstance(asked, str) else asked)]


def monitor(
    actions: Mapping[str, str | list[str]], name: str = "m", cmdline: str | None = "hog", **other: Any
) -> Monitor:
    """A monitor from the texts a user would write."""
    rules = make_rules((text, parse_trigger(text), steps(asked)) for text, asked in actions.items())
    patterns = {key: re.compile(other.pop(key)) for key in ("exe", "exclude") if key in other}
    users = tuple(User(str(uid), uid) for uid in other.pop("uids", ())) or None
    selector = Selector(re.compile(cmdline) if cmdline is not None else None, patterns.pop("exe", None), users)
    return Monitor(name, selector, rules, **patterns, **other)


def config(*monitors: Monitor, interval: float = 10.0, protect: Iterable[Selector] = ()) -> Config:
    return Config(Settings(interval, tuple(protect)), monitors)


class Seen:
    """A view of what a test says was read, by how it is written; a pair is an interval."""

    def __init__(self, **read: float | tuple[float, float]) -> None:
        self.read = {name.replace("__", "."): value for name, value in read.items()}
        self.wanted: set[str] = set()

    def interval(self, found: Measured) -> Interval:
        return self._known(str(found))

    def whole(self, whole: Whole) -> Interval:
        return self._known(whole.value)

    def wants(self, found: Measured | Whole) -> frozenset[str]:
        return frozenset({found.value if isinstance(found, Whole) else str(found)})

    def _known(self, name: str) -> Interval:
        value = self.read.get(name, UNKNOWN)
        return Interval(*value) if isinstance(value, tuple) else exactly(value)


def verdict(action: str = "term", trigger: str = "rmem > 100m", **other: Any) -> Verdict:
    """A FIRE verdict of a monitor with one rule; `subject` is whom it fires for if that is not its target."""
    whose = monitor({trigger: action}, **{k: other[k] for k in ("name", "cmdline", "exclude", "observe") if k in other})
    target = other.get("process", process(100))
    descent = Descent(target, other.get("root", target), other.get("depth", 0)) if target else None
    sample = other.get("sample", {"rmem": 200 * MIB, "vmem": 300 * MIB})
    subject = other.get("subject", target)
    cause = Cause(
        settings=Settings(protect=other.get("protect", ())),
        monitor=whose,
        rule=whose.rules[0],
        subject=Descent(subject, subject, 0) if subject is not target and subject else descent,
        sight=Seen(**sample),
        value=other.get("value", "200m"),
        limit=other.get("limit", "100m"),
        fresh=other.get("fresh", True),
        recovered=other.get("recovered", False),
    )
    item = next(iter(whose.rules[0].items))
    return Verdict(other.get("kind", Kind.FIRE), cause, item, descent, other.get("reason", ""))


class Crowd:
    """What a look could read: of each process by its identity, and of the machine by None. It keeps what was read."""

    def __init__(self, seen: Mapping[ProcessId | None, Sample | None]) -> None:
        self.seen = seen
        self.reads: list[Want] = []

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        wants = list(wants)
        self.reads += wants
        found: dict[ProcessId | None, dict[str, float]] = {}
        for want in wants:
            sample = self.seen.get(want.identity)
            if sample is not None:
                part = {name: value for name, value in sample.items() if _facet(name) is want.facet}
                found.setdefault(want.identity, {}).update(part)
        return found


def _facet(name: str) -> Facet:
    return Facet.MACHINE if name in ("memory", "swaptotal", *SYSTEM_METRICS) else FACETS[name]


class Life:
    """An engine driven by hand: `look` sweeps once and records every FIRE as performed."""

    def __init__(
        self,
        *monitors: Monitor,
        interval: float = 10.0,
        only_uid: int | None = None,
        protect: Iterable[Selector] = (),
        machine: Sample = MappingProxyType({}),
    ) -> None:
        self.myself = Self(OUR_PID, only_uid)
        self.engine = Engine(config(*monitors, interval=interval, protect=protect), self.myself)
        self.next_look = 0.0
        self.looks: list[float] = []  # when `live` looked at all, and when it judged somebody
        self.judged: list[float] = []
        self.machine = machine
        self.reads: list[Want] = []

    def sweep(
        self, now: float, seen: Iterable[tuple[Process, Sample | float | None]], own_groups: Iterable[int] = ()
    ) -> list[Verdict]:
        """The verdicts of one look at (process, MiB of rmem or a whole sample or None for gone)."""
        seen = list(seen)
        return self._judge(now, seen, self.engine.look(table(*(each for each, _ in seen)), frozenset(own_groups), now))

    def _judge(self, now: float, seen: Iterable[tuple[Process, Sample | float | None]], look: Look) -> list[Verdict]:
        crowd = Crowd({None: self.machine, **{each.id: _sample(sample) for each, sample in seen}})
        while wants := self.engine.wants(look):
            look.readings.add(wants, crowd.measure(wants, now))
        self.seen, self.reads = look, crowd.reads
        return list(self.engine.sweep(look))

    def look(
        self,
        now: float,
        *seen: tuple[Process, Sample | float | None],
        result: Result = Result.SENT,
        results: Mapping[int, Result] = MappingProxyType({}),
    ) -> list[tuple[int | None, str]]:
        """(pid, action) of everything that was tried at this look; what came of it is `result`, or by pid."""
        return self._act(now, self.sweep(now, seen), result, results)

    def _act(
        self, now: float, verdicts: list[Verdict], result: Result, results: Mapping[int, Result]
    ) -> list[tuple[int | None, str]]:
        done = []
        for each in verdicts:
            if each.kind is Kind.FIRE and self.engine.due_at(each) <= now:
                pid = each.process.id.pid if each.process else None
                self.engine.record(Outcome(each, results.get(pid or 0, result)), now)
                done.append((pid, str(each.item.action) if each.item else ""))
        self.engine.arm(self.seen, verdicts)
        self.next_look = self.engine.next_look
        return done

    def live(
        self,
        until: float,
        world: Callable[[float], Iterable[tuple[Process, Sample | float | None]]],
        late: float = 0.0,
        result: Result = Result.SENT,
    ) -> list[tuple[float, int | None, str]]:
        """What the loop would do up to a time, each look `late` by some seconds: (when, pid, action)."""
        now, done, self.looks, self.judged = 0.0, [], [], []
        known = table()
        while now <= until:
            seen = list(world(now))
            if [each for each, _ in seen] != list(known):
                known = table(*(each for each, _ in seen))
            self.looks.append(now)
            self.engine.see(known, now)
            read = {each.id: _sample(sample) for each, sample in seen}
            watched = self.engine.watched(now)  # as the loop does; what is read is never nobody's
            sizes = {who: Size(each["rmem"], each["vmem"]) for who, each in read.items() if each and who in watched}
            self.engine.watch(sizes, now)
            if due := self.engine.due(now):
                self.judged.append(now)
                verdicts = self._judge(now, seen, self.engine.look(known, frozenset(), now, due))
                done += [(now, *each) for each in self._act(now, verdicts, result, {})]
            assert self.engine.next_look > now
            now = min(self.engine.next_look, float(int(now) + 1)) + late
        return done

    def restart(self, now: float, *monitors: Monitor, last: float | None = None) -> Any:
        """A daemon after this one, with the state that this one left when it last looked."""
        written = json.loads(json.dumps(snapshot(self.engine.memory)))
        self.engine = Engine(config(*monitors), self.myself)
        return self.engine.inherit(restored(written, now), now if last is None else last, now)

    def reload(self, now: float, *monitors: Monitor) -> Any:
        previous, self.engine = self.engine, Engine(config(*monitors), self.myself)
        return self.engine.adopt(previous, now)


def _sample(asked: Sample | float | None) -> Sample | None:
    return {"rmem": asked * MIB, "vmem": 2 * asked * MIB} if isinstance(asked, (int, float)) else asked
