"""How large a process may become before one of its rules could say something else.

A rule that compares memory with a constant and is false stays false until that memory has grown past the constant,
whatever else it looks at: until then nothing but these sizes has to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

from fallfromgrace.expression import (
    And,
    Comparison,
    Condition,
    Metric,
    Not,
    Operand,
    Or,
    Scope,
    View,
    bounds,
    measured,
)
from fallfromgrace.lifecycle import Instance, Truth
from fallfromgrace.rules import Rule

# By what is cheap to read, the most bytes with which all stays as it is.
Ceilings = Mapping[Metric, float]

# What a metric cannot exceed, of what is cheap to read.
_WITHIN = {"rmem": "rmem", "pmem": "rmem", "umem": "rmem", "vmem": "vmem", "swap": "vmem"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
# The comparisons of a size with a constant that hold, or do not, for all that is smaller; and whether the constant
# itself is among that.
_FROM_BELOW = {
    (">", False): True,
    (">=", False): False,
    ("<=", True): True,
    ("<", True): False,
    ("==", False): False,
    ("!=", True): False,
}


def ceilings_of(rule: Rule, instance: Instance, truth: Truth, view: View) -> Ceilings | None:
    """Until what sizes a rule, which was just judged, comes to nothing; None where sizes do not tell.

    An `until` does not matter to what does not fire.
    """
    if not instance.idle or truth.holds is not False:
        return None
    return ceilings(rule.trigger.condition, False, view)


def ceilings(condition: Condition, truth: bool, view: View) -> Ceilings | None:
    """Until what sizes a condition stays what it is; None where it is not `truth`, or sizes do not decide it."""
    if isinstance(condition, Comparison):
        return _of_comparison(condition, truth, view)
    if isinstance(condition, Not):
        return ceilings(condition.part, not truth, view)
    found = [ceilings(part, truth, view) for part in condition.parts]
    known = [each for each in found if each is not None]
    if isinstance(condition, And if truth else Or):  # all parts have to stay as they are
        return least(known) if len(known) == len(found) else None
    return max(known, key=lambda each: room(each, view), default=None)  # one part is enough


def least(several: Iterable[Ceilings]) -> Ceilings:
    """What keeps within all of them."""
    merged: dict[Metric, float] = {}
    for each in several:
        for metric, most in each.items():
            merged[metric] = min(most, merged.get(metric, inf))
    return merged


def room(found: Ceilings, view: View) -> float:
    """How many bytes the first of them to be reached is away."""
    return min((most - view.interval(metric).high for metric, most in found.items()), default=inf)


def _of_comparison(comparison: Comparison, truth: bool, view: View) -> Ceilings | None:
    for size, operator, limit in (
        (comparison.left, comparison.operator, comparison.right),
        (comparison.right, _MIRRORED[comparison.operator], comparison.left),
    ):
        if isinstance(size, Metric) and size.name in _WITHIN and size.scope is not Scope.SYSTEM and _constant(limit):
            return _below(size, operator, truth, limit, view)
    return None


def _constant(operand: Operand) -> bool:
    return not any(measured(operand))


def _below(size: Metric, operator: str, truth: bool, limit: Operand, view: View) -> Ceilings | None:
    """The limit, if the comparison is what it is for all sizes from nothing to it, and what is read is among these."""
    included, known = _FROM_BELOW.get((operator, truth)), bounds(limit, view)
    if included is None or not known.known:
        return None
    found = {Metric(_WITHIN[size.name], size.scope): known.low if included else known.low - 1}
    return found if room(found, view) >= 0 else None
