"""When each action of a rule may be done, and what else stands in its way, as far as a look can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from fallfromgrace import lifecycle
from fallfromgrace.arbitration import SAME_SENT
from fallfromgrace.docket import Case
from fallfromgrace.engine import Engine
from fallfromgrace.lifecycle import Instance
from fallfromgrace.looks import Look
from fallfromgrace.memory import identity_of
from fallfromgrace.readings import Sight
from fallfromgrace.rules import Item, Log, Notify, Rule, Target
from fallfromgrace.table import Descent
from fallfromgrace.targets import targets
from fallfromgrace.verdict import Cause, Kind, Verdict


class Chance(NamedTuple):
    """An action that is in force, and when it may be done by its limit: -inf at once, inf not as things are.

    `hindered` says what keeps it from being done at all, `behind` what is done first. `stopped` is whether whoever is
    to be stopped already is, and `timed` whether that was us, so that there is a time in which it may run. `failed`: it
    is to be tried again. `others` are the pids of those whom it is for, beside whom the rule is about.
    """

    item: Item
    at: float
    hindered: str = ""
    stopped: bool = False
    timed: bool = False
    failed: bool = False
    others: tuple[int, ...] = ()
    behind: str = ""


class Outlook(NamedTuple):
    """All that is known of a rule's near future. `limits` are those that have not run out, of what is not in force."""

    engine: Engine
    look: Look
    case: Case
    instance: Instance
    chances: tuple[Chance, ...]
    limits: Mapping[Item, float]

    @property
    def rule(self) -> Rule:
        return self.case.rule

    @property
    def sight(self) -> Sight:
        return self.look.sight(self.case)

    @property
    def barred(self) -> str:
        """Why nothing is done to whom it is about, where all that it does is for them alone; empty if it is done."""
        done = [each for each in self.rule.items if not isinstance(each.action, (Notify, Log))]
        alone = all(getattr(each.action, "target", Target.ITSELF) is Target.ITSELF for each in done)
        return self.look.bar(self.case.descent) if self.case.descent and done and alone else ""

    @property
    def now(self) -> float:
        return self.look.now


def outlook(engine: Engine, look: Look, verdicts: Iterable[Verdict], case: Case) -> Outlook:
    """What is to come of a case of a look, after the sweep that gave these verdicts."""
    instance = engine.memory.instance(case.key)
    own = [each for each in verdicts if each.item and each.rule is case.rule and each.cause.key == case.subject]
    in_force = lifecycle.due_items(instance, case.rule)
    chances = tuple(_chance(item, own, engine, look, case) for item in in_force)
    return Outlook(engine, look, case, instance, chances, dict(_limits(in_force, engine, look, case)))


def _chance(item: Item, own: Sequence[Verdict], engine: Engine, look: Look, case: Case) -> Chance:
    """The soonest, of several whom it is for; what stands in the way of one matters only if it does so for all."""
    about = [each for each in own if each.item == item] or list(_made_up(item, engine, look, case))
    free = [(engine.due_at(each), each) for each in about if _is_free(each, case)]
    if not free:
        return Chance(item, inf, about[0].reason if about else "", others=tuple(_others(about, case)))
    at, first = min(free, key=lambda found: (found[0], found[1].kind is Kind.SHADOWED))
    retry = engine.memory.retries.get((case.key, item.key, identity_of(first.target)))
    stopped = bool(first.process and first.process.stopped) and lifecycle.is_stop(item.action)
    timed = stopped and (identity_of(first.target), case.covered.monitor.observe) in engine.memory.clocks
    behind = first.reason if first.kind is Kind.SHADOWED else ""
    others = tuple(_others((each for _, each in free if behind or each.kind is not Kind.SHADOWED), case))
    return Chance(item, at, stopped=stopped, timed=timed, failed=retry == at, others=others, behind=behind)


def _is_free(verdict: Verdict, case: Case) -> bool:
    """Whether it is done sooner or later. What waits for another signal is done right after that, unless it is a stop,
    or the same one comes by the same rule from somebody else."""
    if verdict.kind is not Kind.SHADOWED:
        return verdict.kind in (Kind.FIRE, Kind.LIMITED)
    assert verdict.item
    own = verdict.process and verdict.process.id == case.subject.identity
    return not lifecycle.is_stop(verdict.item.action) and (verdict.reason != SAME_SENT or bool(own))


def _others(verdicts: Iterable[Verdict], case: Case) -> Iterator[int]:
    for each in verdicts:
        if each.process and each.process.id != case.subject.identity:
            yield each.process.id.pid


def _limits(in_force: Collection[Item], engine: Engine, look: Look, case: Case) -> Iterator[tuple[Item, float]]:
    for item in case.rule.items:
        if item not in in_force and item.action.limit is not None:
            at = min(map(engine.due_at, _made_up(item, engine, look, case)), default=inf)
            if look.now < at < inf:
                yield item, at


def _made_up(item: Item, engine: Engine, look: Look, case: Case) -> Iterator[Verdict]:
    """The verdicts on an action that the sweep said nothing about, were it in force."""
    sight, instance = look.sight(case), engine.memory.instance(case.key)
    cause = Cause(engine.config.settings, case.covered.monitor, case.rule, case.descent, sight, "", "")
    for target in targets(item, case, instance, look):
        yield Verdict(Kind.FIRE, cause, item, _as_seen(target, look) if target else None)


def _as_seen(target: Descent, look: Look) -> Descent:
    stopped = look.readings.stopped(target.process.id)
    return target._replace(process=target.process._replace(state="T" if stopped else "S"))
