"""What is remembered of rules as plain values, for a daemon that comes after this one, and back.

Times are of the monotonic clock, which goes on until the machine is started anew. What is read back is exactly what
can have been written, or Malformed: it decides about processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from fallfromgrace.forms import Form, Malformed, each, fields, flag, maybe, number, row, seconds, shown, text
from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.table import ProcessId

FORMAT = 1

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Bygone(Exception):
    """A state of before the machine was started anew: all processes in it have ended."""


class Moment(NamedTuple):
    """A time by two clocks: for people, and to reckon with."""

    wall: float
    monotonic: float


class Author(NamedTuple):
    """Whose state it is: the version of the program, which boot of the machine, its pid, and since when it runs."""

    program: str
    boot: str
    pid: int
    config: str
    started: Moment


class Past(NamedTuple):
    """What a daemon has left: its pid, when it wrote this, and what it remembered then."""

    pid: int
    written: float
    memory: Memory


def document(
    author: Author, memory: Memory, written: Moment, status: Mapping[str, object] = MappingProxyType({})
) -> dict[str, object]:
    """All that is written; `status` is for others to read."""
    return {
        "format": FORMAT,
        **author._asdict(),
        "started": author.started._asdict(),
        "written": written._asdict(),
        "memory": snapshot(memory),
        "status": dict(status),
    }


def recalled(values: object, boot: str, now: float) -> Past:
    """What a document says; Bygone, or Malformed. What is beside that is for others to read."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise Malformed(f"no state of format {FORMAT}")
    if text(values.get("boot")) != boot:
        raise Bygone
    moment = fields({"wall": seconds(), "monotonic": seconds(now)})
    found = fields({"pid": _PID, "written": moment, "memory": _form(now)})(
        {name: values.get(name) for name in ("pid", "written", "memory")}
    )
    return Past(found["pid"], found["written"]["monotonic"], _memory(found["memory"]))


# --- to plain values ---


def snapshot(memory: Memory) -> dict[str, object]:
    """What is remembered, and as much of how rules go about it as that is judged by."""
    lives: dict[tuple[str, str], list[object]] = {}
    for (rule, identity), instance in memory.instances.items():
        lives.setdefault(rule, []).append(_plain(identity, instance))
    monitors = {rule[0] for rule in lives} | {key[0] for key in memory.limits}
    monitors |= {rule[0] for (rule, _), _, _ in memory.retries}
    return {
        "observing": sorted(memory.ways.observing & monitors),
        "rules": [
            {"monitor": name, "trigger": trigger, "ladder": memory.ways.ladders[name, trigger], "lives": found}
            for (name, trigger), found in lives.items()
        ],
        "limits": [
            {"monitor": name, "action": action, "of": whom, "used": at}
            for (name, action, whom), at in memory.limits.items()
        ],
        "clocks": [
            {"of": identity, "observed": observed, "since": clock.since, "stopped_by": clock.stopped_by}
            for (identity, observed), clock in memory.clocks.items()
        ],
        "retries": [
            {"monitor": rule[0], "trigger": rule[1], "of": identity, "action": action, "target": target, "due": at}
            for ((rule, identity), action, target), at in memory.retries.items()
        ],
    }


def _plain(identity: ProcessId | None, instance: Instance) -> dict[str, object]:
    return {
        "of": identity,
        "phase": instance.phase.value,
        "since": instance.since,
        "rung": instance.rung,
        "reached": instance.reached,
        "ending": instance.ending,
        "known": instance.known,
        "acted": instance.acted,
        "owed": [{"action": own, "to": list(left)} for own, left in instance.owed.items()],
        "told_to_end": list(instance.told_to_end),
    }


# --- and back ---


def restored(values: object, now: float) -> Memory:
    """What was remembered, by a snapshot of it; Malformed."""
    return _memory(_form(now)(values))


def _process(value: object) -> ProcessId:
    return ProcessId(*_PROCESS(value))


def _owner_or_process(value: object) -> ProcessId | int | None:
    """Whose limit it is; None for the rule's."""
    return _UID(value) if isinstance(value, int) else _ANYBODY(value)


def _phase(value: object) -> Phase:
    found = next((phase for phase in Phase if phase.value == value), None)
    if not found:
        raise Malformed(f"{shown(value)} is no phase of a rule")
    return found


_PID = number(1, 1 << 22)
_UID = number(0, (1 << 32) - 1)
_PROCESS = row(_PID, number(0, 1 << 63))
_ANYBODY = maybe(_process)
_LADDER = row(each(row(seconds(), each(text))), each(text))


def _form(now: float) -> Form[dict[str, Any]]:
    """What a snapshot looks like that was taken before now; see `snapshot`."""
    past = seconds(now)
    life = {
        "of": _ANYBODY,
        "phase": _phase,
        "since": past,
        "rung": number(0, 1 << 63),
        "reached": past,
        "ending": maybe(past),
        "known": flag,
        "acted": flag,
        "owed": each(fields({"action": text, "to": each(_ANYBODY)})),
        "told_to_end": each(_process),
    }
    rule = {"monitor": text, "trigger": text, "ladder": _LADDER, "lives": each(fields(life))}
    limit = {"monitor": text, "action": text, "of": _owner_or_process, "used": past}
    clock = {"of": _process, "observed": flag, "since": maybe(past), "stopped_by": row(text, text)}
    # What failed a moment ago is due in the future.
    retry = {"monitor": text, "trigger": text, "of": _ANYBODY, "action": text, "target": _ANYBODY, "due": seconds()}
    return fields(
        {
            "observing": each(text),
            "rules": each(fields(rule)),
            "limits": each(fields(limit)),
            "clocks": each(fields(clock)),
            "retries": each(fields(retry)),
        }
    )


def _memory(found: dict[str, Any]) -> Memory:
    rules = [((rule["monitor"], rule["trigger"]), rule["ladder"], rule["lives"]) for rule in found["rules"]]
    memory = Memory(Ways(_unique((key, ladder) for key, ladder, _ in rules), frozenset(found["observing"])))
    memory.instances = _unique(
        ((key, life["of"]), _instance(life, ladder)) for key, ladder, lives in rules for life in lives
    )
    memory.limits = _unique(((one["monitor"], one["action"], one["of"]), one["used"]) for one in found["limits"])
    memory.clocks = _unique(
        ((one["of"], one["observed"]), RunningClock(one["since"], one["stopped_by"])) for one in found["clocks"]
    )
    memory.retries = _unique(
        ((((one["monitor"], one["trigger"]), one["of"]), one["action"], one["target"]), one["due"])
        for one in found["retries"]
    )
    return memory


def _instance(life: dict[str, Any], ladder: tuple[Any, ...]) -> Instance:
    (rungs, _), rung = ladder, life["rung"]
    if rung >= len(rungs):
        raise Malformed(f"rung {rung} of a rule that has {len(rungs)}")
    owed = _unique((one["action"], frozenset(one["to"])) for one in life["owed"])
    rest = {name: value for name, value in life.items() if name != "of"}
    return Instance(**{**rest, "owed": MappingProxyType(owed), "told_to_end": frozenset(life["told_to_end"])})


def _unique(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, _Value]:
    found: dict[_Key, _Value] = {}
    for key, value in pairs:
        if key in found:
            raise Malformed(f"{shown(str(key))} is there twice")
        found[key] = value
    return found
