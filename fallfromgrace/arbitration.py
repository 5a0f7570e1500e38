"""One signal for each process: of several that rules ask for in one look the strongest is sent, the others wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from fallfromgrace import lifecycle
from fallfromgrace.memory import identity_of
from fallfromgrace.records import replace
from fallfromgrace.rules import SIGNALS, Signal
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import Kind, Verdict

_STRENGTH = {word: rank for rank, word in enumerate(SIGNALS)}
NOT_STOPPED = "it was told to end, and could not while stopped"
_STRONGER_SENT = "a stronger signal is sent"
SAME_SENT = "another rule sends the same signal"


def arbitrate(verdicts: Iterable[Verdict], told_to_end: Callable[[bool], Collection[ProcessId]]) -> Iterator[Verdict]:
    """First what is no signal; then for each process the strongest signal asked for, while the others wait.

    The deepest processes come first. `told_to_end` are those who were sent a signal that ends a process, by rules that
    are only observed or by the others.
    """
    by_process: dict[tuple[ProcessId | None, bool], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.wants_signal:  # what is only observed stands in nobody's way
            by_process.setdefault((identity_of(verdict.target), verdict.monitor.observe), []).append(verdict)
        else:
            yield verdict
    told = {observed: told_to_end(observed) for observed in (False, True) if by_process}
    for (identity, observed), asked in sorted(by_process.items(), key=lambda found: -_depth(found[1])):
        yield from _one_of(asked, identity in told[observed])


def _stops(verdict: Verdict) -> bool:
    return verdict.item is not None and lifecycle.is_stop(verdict.item.action)


def _one_of(asked: Sequence[Verdict], told_to_end: bool) -> Iterator[Verdict]:
    """The strongest of the signals to one process, and the others with the reason why they are not sent."""
    useless = [each for each in asked if told_to_end and _stops(each)]
    useful = sorted((each for each in asked if not (told_to_end and _stops(each))), key=_strength)
    yield from useful[:1]
    for each in useful[1:]:
        yield _shadowed(each, SAME_SENT if _strength(each) == _strength(useful[0]) else _STRONGER_SENT)
    yield from (_shadowed(each, NOT_STOPPED) for each in useless)


def _shadowed(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, kind=Kind.SHADOWED, reason=reason)


def _depth(verdicts: Iterable[Verdict]) -> int:
    return max(verdict.target.depth for verdict in verdicts if verdict.target)


def _strength(verdict: Verdict) -> int:
    assert verdict.item
    assert isinstance(verdict.item.action, Signal)
    return _STRENGTH[verdict.item.action.word]
