"""Rules that can never run: nobody is left for them, or whom they are for is killed before, or nothing fulfils them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from fallfromgrace import lint_samples
from fallfromgrace.errors import Problem
from fallfromgrace.expression import Growth, Scope
from fallfromgrace.lint_patterns import covers, finds_anything
from fallfromgrace.monitors import WrittenMonitor, WrittenRule
from fallfromgrace.rules import Adjust, Monitor, Rule, Selector, Signal, Target

# In a second some thousand pairs of rules are compared; nobody has written more by hand.
_MOST_SECONDS = 2.0


def warnings(monitors: Sequence[WrittenMonitor]) -> Iterator[Problem]:
    """Of all monitors, as they come in the files."""
    yield from _taken(monitors)
    deadline = time.monotonic() + _MOST_SECONDS
    for written in monitors:
        yield from _impossible(written)
        if time.monotonic() < deadline:
            yield from _killed(written, deadline)


# --- monitors that get no process ---


def _taken(monitors: Sequence[WrittenMonitor]) -> Iterator[Problem]:
    final: list[WrittenMonitor] = []
    for each in monitors:
        keeper = next((other for other in final if _takes_all(other.monitor, each.monitor)), None)
        if keeper and any(map(_needs_processes, each.monitor.rules)):
            where = f"'{keeper.name.value}' in {keeper.name.place.seen_from(each.name.place)}"
            text = f"no process is left for '{each.name.value}': {where} is final and takes all that this one finds"
            yield each.name.place.problem(f"{text}; write this one before it")
        if each.monitor.final:
            final.append(each)


def _takes_all(final: Monitor, later: Monitor) -> bool:
    """Whether one finds everything that the other one does. `children` are only those below what it finds."""
    excluded = final.exclude is None or (later.exclude is not None and covers(later.exclude, final.exclude))
    return excluded and _is_wider(final.selector, later.selector)


def _is_wider(wide: Selector, narrow: Selector) -> bool:
    if wide.cmdline and not (covers(wide.cmdline, narrow.cmdline) if narrow.cmdline else finds_anything(wide.cmdline)):
        return False
    if wide.exe and not (narrow.exe and covers(wide.exe, narrow.exe)):  # which also have to be readable
        return False
    return wide.users is None or set() < _uids(narrow) <= _uids(wide)


def _uids(selector: Selector) -> set[int]:
    return {user.uid for user in selector.users or () if user.uid is not None}


def _needs_processes(rule: Rule) -> bool:
    """Not what only looks at the machine, and then neither sends signals nor sets anything."""
    metrics = [each.metric if isinstance(each, Growth) else each for each in rule.trigger.measured]
    acts = any(isinstance(item.action, (Signal, Adjust)) for item in rule.items)
    return acts or any(metric.scope is not Scope.SYSTEM for metric in metrics)


# --- rules that are never true ---


def _impossible(written: WrittenMonitor) -> Iterator[Problem]:
    for rule in written.rules:
        if lint_samples.impossible(rule.trigger.condition):
            text = "this condition is never true, so that nothing is ever done"
            yield rule.text.place.problem(f"{text}; turn a '<' or '>' around, or change a number")


# --- rules that come too late ---


def _killed(written: WrittenMonitor, deadline: float) -> Iterator[Problem]:
    """Those that only signal processes which another rule of the monitor has killed by then, or kills at that moment.

    What is no signal is done before, also in the look in which both come true.
    """
    pairs = list(zip(written.rules, written.monitor.rules, strict=True))
    killers = [] if written.monitor.observe else [at for at, (_, rule) in enumerate(pairs) if _kills(rule)]
    for at, (later, rule) in enumerate(pairs):
        first = next((each for each in killers if each != at and _forestalls(pairs, each, at, deadline)), None)
        if first is not None:
            yield later.text.place.problem(_too_late(pairs[first][0], later, rule))


def _too_late(killer: WrittenRule, later: WrittenRule, rule: Rule) -> str:
    actions = ", ".join(dict.fromkeys(str(item.action) for item in rule.items))
    where = killer.text.place.seen_from(later.text.place)
    text = f"this never gets to {actions}: '{killer.text.value}' in {where} kills the process first"
    return f"{text}; kill where the higher limit is, or leave this out"


def _kills(rule: Rule) -> bool:
    """Whether it kills the process that it fires for, at once."""
    first = (item.action for item in rule.rungs[0].items)
    return not rule.shared and any(
        isinstance(each, Signal) and each.word == "kill" and each.target is not Target.LARGEST for each in first
    )


def _forestalls(pairs: Sequence[tuple[WrittenRule, Rule]], killer: int, later: int, deadline: float) -> bool:
    ours, theirs = pairs[killer][1], pairs[later][1]
    if ours.trigger.fires.seconds > theirs.trigger.fires.seconds:
        return False
    words = {_own_signal(item.action) for item in theirs.items}
    if "" in words or ("kill" in words and later < killer):  # of two equal signals the first one is sent
        return False
    return time.monotonic() < deadline and lint_samples.follows(theirs.trigger.condition, ours.trigger)


def _own_signal(action: object) -> str:
    """The word of a signal to the process itself, empty for anything else."""
    return action.word if isinstance(action, Signal) and action.target is Target.ITSELF else ""
