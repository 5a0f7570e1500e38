"""What a rule will do next, and when, as long as things stay as they are: one sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

from fallfromgrace.changes import by_age, change, lasting
from fallfromgrace.expression import Condition, Growth, Lasting, Measured, Metric, undecided
from fallfromgrace.lifecycle import Phase, is_stop
from fallfromgrace.outlook import Chance, Outlook
from fallfromgrace.rules import Item
from fallfromgrace.units import format_duration, human_duration

_MOST_PIDS = 3
_DEPENDS = "it depends on"


def sentence(found: Outlook) -> str:
    """What comes next."""
    told = {Phase.FIRING: _firing, Phase.PENDING: _pending, Phase.INACTIVE: _inactive}[found.instance.phase](found)
    if told.startswith("nothing"):
        return told
    if found.case.covered.monitor.observe:
        return f"{told} (only observed: it is logged, and not done)"
    barred = found.barred
    return f"{told} (only log and notify are done: {barred})" if barred and barred not in told else told


# --- while it does not fire ---


def _inactive(found: Outlook) -> str:
    trigger, truth = found.rule.trigger, found.look.truth(found.case)
    if found.chances:
        return f"it has recovered; {_joined(_deeds(found)) or _stuck(found)}"
    if None in truth:
        return _not_known(found)
    if truth.holds and trigger.until:
        return f"nothing, unless {change(trigger.until.condition, found.sight, False)}"
    if (at := _by_age(found, True)) is not None:
        at += trigger.fires.seconds
        return f"fires in {_left(found, at)}, by its age, then: {_then(found, 0, at)}"
    return f"nothing, unless {change(trigger.condition, found.sight, True)}{lasting(trigger.fires)}"


def _pending(found: Outlook) -> str:
    at = found.instance.since + found.rule.trigger.fires.seconds
    if at <= found.now:  # it waits for nothing else
        told = _not_known(found)
        if told.startswith(_DEPENDS):
            return f"fires if it still holds; {told}"
        return f"fires as soon as {_unknown(found)}, if it has not recovered by then"
    over = _by_age(found, False)
    if over is not None and over < at:
        return (
            f"nothing: it would fire in {_left(found, at)}, and holds for another {_left(found, over)} only, by its age"
        )
    return f"fires in {_left(found, at)} if it still holds, then: {_then(found, 0, at)}"


def _then(found: Outlook, rung: int, at: float) -> str:
    """What is done once a step is reached, and where a limit says so how much later."""
    rungs = found.rule.rungs
    if rungs[rung].items:
        return ", ".join(_limited(found, item, at) for item in rungs[rung].items)
    if rung + 1 < len(rungs):
        after = rungs[rung + 1].after
        return f"{format_duration(after)} later {_then(found, rung + 1, at + after)}"
    return "nothing until it recovers"


def _limited(found: Outlook, item: Item, at: float) -> str:
    limit = found.limits.get(item, -inf)
    return f"{item.action.verb} (not for another {_left(found, limit)})" if limit > at else item.action.verb


# --- while it fires ---


def _firing(found: Outlook) -> str:
    if not found.instance.known:
        return _not_known(found)
    turns = list(_turns(found))
    step = min((turn.at for turn in turns), default=inf)  # what is due only then is no longer in force
    if told := _joined([*turns, *(deed for deed in _deeds(found) if deed.at < step or deed.at == inf)]):
        return "; ".join([told, *(f"not {_named(each)}: {each.hindered}" for each in found.chances if each.hindered)])
    return _stuck(found) or f"nothing more is to be done until it recovers, {_recovery(found)}"


def _stuck(found: Outlook) -> str:
    """Why nothing is done, where that is what keeps it from being done."""
    reasons: dict[str, list[str]] = {}
    for chance in found.chances:
        if chance.hindered:
            reasons.setdefault(chance.hindered, []).append(_named(chance))
    told = "; ".join(f"{reason} ({', '.join(named)})" for reason, named in reasons.items())
    return f"nothing: {told}" if told else ""


def _recovery(found: Outlook) -> str:
    trigger = found.rule.trigger
    part, wanted = (trigger.until, True) if trigger.until else (Lasting(trigger.condition), False)
    told = f"when {change(part.condition, found.sight, wanted)}{lasting(part)}"
    verbs = ", ".join(item.action.verb for item in found.rule.recovered) if found.instance.acted else ""
    return f"{told}; then: {verbs}" if verbs else told


class _Told(NamedTuple):
    """When something is done, or changes, and the words for it."""

    at: float
    text: str


def _deeds(found: Outlook) -> Iterator[_Told]:
    """What is in force and still to be done."""
    free = [chance for chance in found.chances if not chance.hindered]
    due = [chance for chance in free if chance.at <= found.now]
    if now := [_named(chance) for chance in due if not chance.behind]:
        yield _Told(-inf, f"due now: {', '.join(now)}")
    yield from (_Told(-inf, f"{_named(each)} is due right after, for {each.behind}") for each in due if each.behind)
    yield from (_Told(chance.at, _waiting(found, chance)) for chance in free if found.now < chance.at < inf)
    yield from (_Told(inf, _for_continuing(chance)) for chance in free if chance.stopped)


def _waiting(found: Outlook, chance: Chance) -> str:
    left, action = _left(found, chance.at), chance.item.action
    if chance.failed:
        return f"{_named(chance)} is tried again in {left}"
    ran = f", when it has run for {format_duration(action.limit)}" if is_stop(action) and action.limit else ""
    return f"{_named(chance)} is due in {left}{ran}"


def _for_continuing(chance: Chance) -> str:
    limit = chance.item.action.limit
    ran = f" and has run for {format_duration(limit)}" if chance.timed and limit else ""
    return f"it is stopped: {_named(chance)} is due when it has been continued{ran}"


def _turns(found: Outlook) -> Iterator[_Told]:
    """How it goes on by the mere passing of time: to another step unless it has ended by then, and to its end."""
    end, instance, rule = _end(found), found.instance, found.rule
    if (step := instance.rung + 1) < len(rule.rungs):
        at = instance.reached + rule.rungs[step].after
        if end is None or at < end.at:
            yield _Told(at, f"step {step + 1} of {len(rule.rungs)} in {_left(found, at)}: {_then(found, step, at)}")
    if end is not None:
        yield end


def _end(found: Outlook) -> _Told | None:
    instance, until = found.instance, found.rule.trigger.until
    if until and instance.ending is not None:
        at, why = instance.ending + until.seconds, f" if {until.condition} still holds"
    elif (at_age := _by_age(found, False)) is not None:
        at, why = at_age + (until.seconds if until else 0.0), ", by its age"
    else:
        return None
    acted = instance.acted or any(not each.hindered and each.at < at for each in found.chances)
    verbs = ", ".join(item.action.verb for item in found.rule.recovered) if acted else ""
    return _Told(at, f"it recovers in {_left(found, at)}{why}{f', then: {verbs}' if verbs else ''}")


def _joined(told: Iterable[_Told]) -> str:
    return "; ".join(each.text for each in sorted(told, key=lambda each: each.at))


def _named(chance: Chance) -> str:
    shown = ", ".join(map(str, chance.others[:_MOST_PIDS]))
    more = f" and {len(chance.others) - _MOST_PIDS} more" if len(chance.others) > _MOST_PIDS else ""
    return f"{chance.item.action.verb} (pid {shown}{more})" if chance.others else chance.item.action.verb


def _by_age(found: Outlook, fires: bool) -> float | None:
    waits = (at - found.now for at in found.look.next_ages(found.case))
    wait = by_age(found.rule.trigger, found.sight, waits, fires)
    return None if wait is None else found.now + wait


def _left(found: Outlook, at: float) -> str:
    """How long it is until then."""
    return human_duration(max(0.0, at - found.now))


# --- what is not known ---


def _not_known(found: Outlook) -> str:
    """What may come of what is not known, or only by whoever has watched for longer than we have."""
    missing, unreadable = _missing(found)
    if not missing or unreadable or _waits_for_continuing(found, missing):
        return f"nothing until {_unknown(found)}"
    longest = max(_window(each, found) for each in missing)
    return f"{_DEPENDS} {_listed(missing)}, which is known after {format_duration(longest)} of watching"


def _unknown(found: Outlook) -> str:
    """What would have to become of it to be known, where that takes more than time."""
    missing, unreadable = _missing(found)
    if unreadable:
        return f"{_listed(unreadable)} can be read"
    if not missing:
        return "it is known what it calculates: it divides by nothing, or the machine cannot be read"
    return f"it is continued, for {_listed(missing)} of what is stopped is not known"


def _missing(found: Outlook) -> tuple[list[Measured], list[Measured]]:
    """All that is not known, and what of that cannot be read."""
    missing = [each for condition in _undecided(found) for each in undecided(condition, found.sight)]
    return missing, [each for each in missing if not found.sight.early(each)]


def _waits_for_continuing(found: Outlook, missing: Iterable[Measured]) -> bool:
    identity = found.case.subject.identity
    stopped = identity is not None and found.look.readings.stopped(identity)
    return stopped and any(isinstance(each, Metric) for each in missing)


def _undecided(found: Outlook) -> Iterator[Condition]:
    trigger, truth = found.rule.trigger, found.look.truth(found.case)
    if truth.holds is None:
        yield trigger.condition
    if trigger.until and truth.until is None:
        yield trigger.until.condition


def _window(each: Measured, found: Outlook) -> float:
    return each.window if isinstance(each, Growth) else max(found.engine.config.settings.interval, 1.0)


def _listed(missing: Iterable[Measured]) -> str:
    names = list(dict.fromkeys(map(str, missing)))
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
