"""What is remembered of rules, for people: which fire or are pending, who is stopped by them, and what is due when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast

from fallfromgrace import grammar
from fallfromgrace.docket import RuleKey
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import Trigger
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.memory import Memory
from fallfromgrace.rules import Action
from fallfromgrace.table import ProcessId

_T = TypeVar("_T")

# The steps of a ladder: how long after the one before it each begins, and what it does.
_Rungs = tuple[tuple[float, tuple[str, ...]], ...]

# What an action is named by where a monitor, or a rule, has it more than once.
_NUMBERED = re.compile(r" #\d+$")
_AGAIN = {"exec": "may run again", "log": "may be logged again", "notify": "may be told again"}


class Timer(NamedTuple):
    """Something that is due `at` a time; `rule` is the normal form of a trigger, empty where several may be meant."""

    monitor: str
    rule: str
    identity: ProcessId | None
    what: str
    at: float


class Life(NamedTuple):
    """A rule that fires or is pending: for how long by now, and on which step, counted from 1, of how many.

    `known` is whether the last look could tell that it goes on.
    """

    monitor: str
    rule: str
    identity: ProcessId | None
    phase: Phase
    seconds: float
    step: int
    steps: int
    known: bool


class Stopped(NamedTuple):
    """Who does not run, since an action of a monitor has stopped it."""

    monitor: str
    action: str
    identity: ProcessId


def armed(memory: Memory, now: float) -> tuple[Timer, ...]:
    """All that is still to come, the next first."""
    found = [*_of_lives(memory), *_of_limits(memory), *_of_clocks(memory), *_of_retries(memory)]
    return tuple(sorted((each for each in found if each.at > now), key=lambda each: (each.at, each.monitor, each.what)))


def lives(memory: Memory, now: float) -> tuple[Life, ...]:
    """All rules that fire, then all that are pending; whatever has lasted longest comes first."""
    found = [
        Life(*key, identity, each.phase, max(0.0, now - each.since), each.rung + 1, _steps(memory, key), each.known)
        for (key, identity), each in memory.instances.items()
        if each.phase is not Phase.INACTIVE
    ]
    return tuple(sorted(found, key=lambda life: (life.phase is Phase.PENDING, -life.seconds)))


def stopped(memory: Memory) -> tuple[Stopped, ...]:
    """Whom rules have stopped, and who was not seen running since: until somebody continues them nothing is due."""
    return tuple(
        Stopped(monitor, verb(key), identity)
        for (identity, observed), (since, (monitor, key)) in memory.clocks.items()
        if since is None and not observed
    )


def verb(key: str) -> str:
    """An action without its text, by what names it."""
    action = _action(key)
    return action.verb if action else key


# --- by what is remembered ---


def _of_lives(memory: Memory) -> Iterator[Timer]:
    for (key, identity), instance in memory.instances.items():
        for what, at in _changes(instance, key, _rungs(memory, key)):
            yield Timer(*key, identity, what, at)


def _steps(memory: Memory, key: RuleKey) -> int:
    return len(_rungs(memory, key))


def _rungs(memory: Memory, key: RuleKey) -> _Rungs:
    return cast("_Rungs", memory.ways.ladders[key][0])


def _changes(instance: Instance, key: RuleKey, rungs: _Rungs) -> Iterator[tuple[str, float]]:
    """What becomes of a rule's life by the mere passing of time; see lifecycle.next_at."""
    trigger = _trigger(key[1])
    if instance.phase is Phase.PENDING and trigger:
        yield "fires, if it goes on", instance.since + trigger.fires.seconds
    if not instance.firing:
        return
    if instance.rung + 1 < len(rungs):
        after, items = rungs[instance.rung + 1]
        yield f"step {instance.rung + 2}: {', '.join(map(verb, items))}", instance.reached + after
    if instance.ending is not None and trigger and trigger.until:
        yield "is over, if it goes on", instance.ending + trigger.until.seconds


def _of_limits(memory: Memory) -> Iterator[Timer]:
    for (monitor, key, whom), used in memory.limits.items():
        action = _action(key)
        if action and action.limit is not None:
            identity = whom if isinstance(whom, ProcessId) else None
            user = f" to user {whom}" if isinstance(whom, int) else ""
            what = f"{action.verb} {_AGAIN.get(action.word, 'may be sent again')}{user}"
            yield Timer(monitor, "", identity, what, used + action.limit)


def _of_clocks(memory: Memory) -> Iterator[Timer]:
    for (identity, observed), (since, (monitor, key)) in memory.clocks.items():
        action = _action(key)
        if action and action.limit is not None and since is not None:
            what = "would be stopped again" if observed else "may be stopped again"
            yield Timer(monitor, "", identity, what, since + action.limit)


def _of_retries(memory: Memory) -> Iterator[Timer]:
    for (((monitor, rule), identity), key, target), due in memory.retries.items():
        yield Timer(monitor, rule, target or identity, f"{verb(key)} is tried again", due)


# --- what names mean ---


@lru_cache(maxsize=1024)
def _trigger(text: str) -> Trigger | None:
    return _parsed(grammar.parse_trigger, text)


@lru_cache(maxsize=1024)
def _action(key: str) -> Action | None:
    step = _parsed(grammar.parse_action, _NUMBERED.sub("", key))
    return step.action if step else None


def _parsed(parse: Callable[[str], _T], text: str) -> _T | None:
    """None for what another version of the language may have."""
    try:
        return parse(text)
    except RuleSyntaxError:
        return None
