"""Whom an action is for: the process, its tree, what the monitor covers, or the largest of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fallfromgrace.docket import Case
from fallfromgrace.expression import NOTHING
from fallfromgrace.lifecycle import Instance
from fallfromgrace.looks import Look
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rules import Adjust, Item, Notify, Signal, Target
from fallfromgrace.table import Descent, ProcessId


def targets(item: Item, case: Case, instance: Instance, look: Look) -> Sequence[Descent | None]:
    """Whom an action is for at this moment; None for one that is for no process."""
    action = item.action
    if isinstance(action, Notify) and case.descent is None:
        return _one_of_each_owner(case.covered.descents) or (None,)
    if not isinstance(action, (Signal, Adjust)):
        return (case.descent,)
    if action.target is Target.TREE and case.descent:
        return look.tree(case.descent)
    if action.target is Target.LARGEST:
        return tuple(_chosen(item, case, instance, look))
    if action.target is Target.GROUP or case.descent is None:
        return case.covered.descents
    return (case.descent,)


def _one_of_each_owner(descents: Sequence[Descent]) -> tuple[Descent, ...]:
    return tuple({descent.process.image.uid: descent for descent in reversed(descents)}.values())


def _chosen(item: Item, case: Case, instance: Instance, look: Look) -> Iterator[Descent]:
    """The largest that may be touched, and those that are larger; once it was chosen it stays so."""
    if item.action.limit is None and item.own in instance.owed:
        yield from (each for each in case.covered.descents if each.process.id in instance.owed[item.own])
        return
    for descent in sorted(_living(case, look), key=lambda each: -_size(each, look)):
        yield descent
        if not look.bar(descent):
            return


def _living(case: Case, look: Look) -> list[Descent]:
    return [each for each in case.covered.descents if look.readings.lives(each.process.id)]


def _size(descent: Descent, look: Look) -> float:
    """Its proportional memory, or where that could not be read the resident one; unreadable is smallest."""
    sample = look.readings.sample(descent.process.id)
    return sample.get("pmem", sample.get("rmem", -1))


def wants_largest(case: Case, look: Look) -> frozenset[Want]:
    """The readings that are still needed to know which is the largest.

    Resident memory bounds the proportional one, which is dear to read: only of who may still be the largest is it read.
    """
    candidates = [each for each in _living(case, look) if not look.bar(each)]
    memory = NOTHING.union(*(look.readings.missing(each.process.id, Facet.MEMORY) for each in candidates))
    if memory:
        return memory
    unread = {each.process.id: missing for each in candidates if (missing := _unread(each.process.id, look))}
    best = max((_size(each, look) for each in candidates if each.process.id not in unread), default=-1.0)
    next_up = max(unread, key=lambda identity: _bound(identity, look), default=None)
    return unread[next_up] if next_up and _bound(next_up, look) > best else NOTHING


def _unread(identity: ProcessId, look: Look) -> frozenset[Want]:
    return look.readings.missing(identity, Facet.ROLLUP)


def _bound(identity: ProcessId, look: Look) -> float:
    return look.readings.sample(identity).get("rmem", -1)
