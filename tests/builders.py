"""Words for tests: processes, tables, rules and configurations, each with what a test does not care about filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fallfromgrace.engine import Engine, Self
from fallfromgrace.expression import Sample
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.rules import Config, Monitor, Settings, make_rules
from fallfromgrace.table import Descent, Image, Process, ProcessId, ProcessTable
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict

MIB = 1 << 20
OUR_PID = 99_999


class Lines(list[tuple[int, str]]):
    """A log that keeps what it is told, as (priority, text)."""

    def write(self, priority: int, text: str) -> None:
        self.append((priority, text))

    def text(self) -> str:
        return "\n".join(text for _, text in self)


def process(pid: int, cmdline: str = "hog", **other: Any) -> Process:
    """A running process; `start` defaults to its pid, its parent to pid 1."""
    return Process(
        id=ProcessId(pid, other.get("start", pid)),
        ppid=other.get("ppid", 1),
        pgid=other.get("pgid", pid),
        state=other.get("state", "S"),
        image=Image(cmdline, other.get("uid", 1000)),
    )


def table(*processes: Process) -> ProcessTable:
    return ProcessTable(processes)


def monitor(actions: Mapping[str, str | list[str]], name: str = "m", cmdline: str = "hog", **flags: bool) -> Monitor:
    """A monitor from the texts a user would write."""
    written = (
        (text, parse_trigger(text), [parse_action(a) for a in ([asked] if isinstance(asked, str) else asked)])
        for text, asked in actions.items()
    )
    return Monitor(name, re.compile(cmdline), make_rules(written), **flags)


def config(*monitors: Monitor, interval: float = 10.0) -> Config:
    return Config(Settings(interval), monitors)


def verdict(action: str = "term", trigger: str = "rmem > 100m", **other: Any) -> Verdict:
    """A FIRE verdict of a monitor with one rule."""
    whose = monitor({trigger: action}, **{k: other[k] for k in ("name", "cmdline") if k in other})
    target = other.get("process", process(100))
    return Verdict(
        kind=other.get("kind", Kind.FIRE),
        monitor=whose,
        rule=whose.rules[0],
        item=whose.rules[0].items[0],
        descent=Descent(target, other.get("root", target), other.get("depth", 0)),
        sample=other.get("sample", {"rmem": 200 * MIB, "vmem": 300 * MIB}),
        value=other.get("value", "200m"),
        limit=other.get("limit", "100m"),
        reason=other.get("reason", ""),
    )


class Life:
    """An engine driven by hand: `look` sweeps once and records every FIRE as performed."""

    def __init__(self, *monitors: Monitor, interval: float = 10.0, only_uid: int | None = None) -> None:
        self.myself = Self(OUR_PID, only_uid)
        self.engine = Engine(config(*monitors, interval=interval), self.myself)
        self.next_look = 0.0

    def sweep(
        self, now: float, seen: Iterable[tuple[Process, Sample | float | None]], own_groups: Iterable[int] = ()
    ) -> list[Verdict]:
        """The verdicts of one look at (process, MiB of rmem or a whole sample or None for gone)."""
        seen = list(seen)
        looked_at = table(*(each for each, _ in seen))
        samples = {each.id: _sample(sample) for each, sample in seen if sample is not None}
        covered = self.engine.cover(looked_at)
        return list(self.engine.sweep(looked_at, covered, samples, frozenset(own_groups), now))

    def look(
        self,
        now: float,
        *seen: tuple[Process, Sample | float | None],
        result: Result = Result.SENT,
        results: Mapping[int, Result] = MappingProxyType({}),
    ) -> list[tuple[int, str]]:
        """(pid, action) of everything that was tried at this look; what came of it is `result`, or by pid."""
        verdicts, done = self.sweep(now, seen), []
        for each in verdicts:
            if each.kind is Kind.FIRE and self.engine.due_at(each) <= now:
                self.engine.record(Outcome(each, results.get(each.process.id.pid, result)), now)
                done.append((each.process.id.pid, str(each.item.action)))
        self.next_look = self.engine.next_look(verdicts, now)
        return done

    def reload(self, now: float, *monitors: Monitor) -> Any:
        previous, self.engine = self.engine, Engine(config(*monitors), self.myself)
        return self.engine.adopt(previous, now)


def _sample(asked: Sample | float) -> Sample:
    return {"rmem": asked * MIB, "vmem": 2 * asked * MIB} if isinstance(asked, (int, float)) else asked
