"""What a test expected beside what was done, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fallfromgrace.agenda import AGE_TICK_SECONDS, TICK_SECONDS
from fallfromgrace.expectation import Deed, Expectation
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import Outcome, Result

# What is done at the time that is expected may be so much before or after it: the daemon's looks are at ticks of so
# many seconds, and those for the sake of an age at longer ones.
SAME_SECONDS, LATE_SECONDS = TICK_SECONDS, AGE_TICK_SECONDS


class Done(NamedTuple):
    """Something that was done: when, to whom (empty for nobody), and which rule wanted it by what it saw."""

    at: float
    process: str
    deed: Deed
    monitor: str
    rule: str
    value: str
    limit: str


Pair = tuple[Expectation | None, Done | None]


def done(at: float, outcome: Outcome, names: Mapping[ProcessId, str]) -> Iterator[Done]:
    """What came of a verdict, if that is something that was done."""
    verdict, cause = outcome.verdict, outcome.verdict.cause
    if outcome.result.delivered and verdict.item:
        process = names.get(verdict.process.id, "") if verdict.process else ""
        deed = Deed(verdict.item.action, cause.recovered, outcome.result is Result.DRY_RUN)
        yield Done(at, process, deed, verdict.monitor.name, verdict.rule.text, cause.value, cause.limit)


def compared(expected: Iterable[Expectation], done: Iterable[Done]) -> list[Pair]:
    """Pairs of what was expected and done, None where one of the two is missing, in the order of time."""
    left = list(done)
    pairs: list[Pair] = []
    # What may have any text leaves the others what is theirs.
    for each in sorted(expected, key=lambda one: one.any_text):
        found = next((one for one in left if _is(each, one)), None)
        if found:
            left.remove(found)
        pairs.append((each, found))
    pairs += [(None, one) for one in left]
    return sorted(pairs, key=_when)


def _is(expectation: Expectation, done: Done) -> bool:
    near = -SAME_SECONDS <= round(done.at - expectation.at, 6) <= LATE_SECONDS
    return near and expectation.means(done.process, done.deed)


def _when(pair: Pair) -> float:
    expected, done = pair
    return done.at if done else expected.at if expected else 0.0
