"""What a daemon publishes, as Prometheus's text: the only place where its library is known.

Labels are what a configuration says, never what a process does: each of them makes a time series for good. What may
happen and has not yet is there as 0, or Prometheus would not notice the first time that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from fallfromgrace import timers
from fallfromgrace.lifecycle import Phase
from fallfromgrace.logs import one_line
from fallfromgrace.published import Published, RuleText, Spread, Watching
from fallfromgrace.rules import ADJUSTABLE, WORDED
from fallfromgrace.verdict import Result

PREFIX = "fall_from_grace_"

# The values of the labels, in the order of their names.
_Labels = tuple[str, ...]
_Values = Mapping[_Labels, float]

_TROUBLE = (Result.DENIED, Result.FAILED)
_DONE = {
    **dict.fromkeys(WORDED, (Result.TOLD,)),
    **dict.fromkeys(ADJUSTABLE, (Result.SET,)),
    "exec": (Result.STARTED, Result.QUEUED),
}


def text(found: Published | None, armed: int) -> bytes:
    """What a daemon has published, and how many timers are armed; None where there is no daemon to ask."""
    registry = CollectorRegistry()
    collector: Any = _Collector(found, armed)  # the class that it should have is not there in every version
    registry.register(collector)
    return generate_latest(registry)


class _Collector(NamedTuple):
    found: Published | None
    armed: int

    def describe(self) -> Iterable[Metric]:
        """Nothing that could be in the way of another collector, for there is none."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("up", "Whether the daemon lives and can be asked.", float(self.found is not None))
        if self.found:
            yield from _daemon(self.found)
            yield from _rules(self.found)
            yield _gauge("armed_timers", "Times of rules that are running.", self.armed)
            yield from _cost(self.found)


def _daemon(found: Published) -> Iterator[Metric]:
    loading = found.configuration
    read_at = loading.last.at if loading.last else loading.loaded
    yield _labelled("build_info", "The daemon's version.", ("version",), {(found.program,): 1})
    yield _gauge("start_time_seconds", "When the daemon was started, in Unix time.", found.started.wall)
    yield _gauge("status_written_time_seconds", "When the daemon wrote what this is from.", found.written.wall)
    yield _gauge("interval_seconds", "The longest time between two looks at anything.", found.interval)
    yield _gauge("monitors", "Monitors of the configuration in force.", loading.monitors)
    yield _gauge("rules", "Rules of the configuration in force.", loading.rules)
    taken = float(loading.last.taken if loading.last else True)
    yield _gauge("config_last_reload_successful", "Whether the last configuration that was read is in force.", taken)
    yield _gauge("config_last_reload_time_seconds", "When a configuration was last read, in Unix time.", read_at.wall)
    reloads: _Values = {("taken",): loading.taken, ("refused",): loading.refused}
    yield _counted("config_reloads", "Reloads of the configuration, by what became of it.", ("outcome",), reloads)


def _rules(found: Published) -> Iterator[Metric]:
    covered: _Values = {(each.name,): each.covered for each in found.monitors}
    yield _labelled("processes", "Processes that a monitor covers.", ("monitor",), covered)
    yield _gauge("watched_processes", "Different processes that monitors cover.", found.watched)
    for phase, help_text in (
        (Phase.FIRING, "Processes that a rule fires for; 1 for a rule about all that its monitor covers."),
        (Phase.PENDING, "Processes for which a rule's condition holds, but not for long enough yet."),
    ):
        yield _labelled(phase.value, help_text, ("monitor", "rule"), _in_phase(found, phase))
    names = ("monitor", "rule", "action", "result")
    yield _counted("actions", "Actions that were tried, by what became of them.", names, _actions(found))


def _cost(found: Published) -> Iterator[Metric]:
    yield _spread("look_seconds", "How long looks at processes took.", found.looks.spread)
    yield _spread("reaction_seconds", "From the look that found an action due to its being done.", found.reactions)
    yield _counted("cpu_seconds", "CPU time of the daemon and its children that ended.", (), {(): found.cpu})


def _in_phase(found: Published, phase: Phase) -> _Values:
    """How many a rule is in a phase for: 0 for every other rule that there is."""
    texts = found.texts
    phases = [(key, 0) for key in texts]
    phases += [(key, 1) for (key, _), life in found.memory.instances.items() if life.phase is phase and key in texts]
    return _summed(((name, texts[name, trigger]), count) for (name, trigger), count in phases)


def _actions(found: Published) -> _Values:
    """How often each action came to what, and 0 for what it may come to."""
    counts = [((each, rule.text, verb, result.value), 0) for each, rule, verb, result in _possible(found.monitors)]
    counts += [((each.monitor, each.rule, each.action, each.result), each.count) for each in found.counters]
    return _summed(counts)


def _possible(monitors: Iterable[Watching]) -> Iterator[tuple[str, RuleText, str, Result]]:
    for each in monitors:
        for rule in each.rules:
            for action in rule.actions:
                done = (Result.DRY_RUN,) if each.observe else _DONE.get(action.partition(" ")[0], (Result.SENT,))
                yield from ((each.name, rule, timers.verb(action), result) for result in (*done, *_TROUBLE))


# --- families ---


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return _labelled(name, help_text, (), {(): value})


def _labelled(name: str, help_text: str, labels: _Labels, values: _Values) -> Metric:
    return _filled(GaugeMetricFamily(PREFIX + name, help_text, labels=labels), values)


def _counted(name: str, help_text: str, labels: _Labels, values: _Values) -> Metric:
    return _filled(CounterMetricFamily(PREFIX + name, help_text, labels=labels), values)


def _filled(family: Any, values: _Values) -> Metric:
    add: Callable[[_Labels, float], None] = family.add_metric
    for labels, value in _summed(values.items()).items():
        add(labels, value)
    filled: Metric = family
    return filled


def _summed(values: Iterable[tuple[_Labels, float]]) -> dict[_Labels, float]:
    """By labels as they can be written: a series that is there twice costs the node exporter all of its figures."""
    found: dict[_Labels, float] = {}
    for labels, value in values:
        written = tuple(map(one_line, labels))
        found[written] = found.get(written, 0) + value
    return found


def _spread(name: str, help_text: str, spread: Spread) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, help_text)
    bounds = ["+Inf" if bound == inf else str(float(bound)) for bound in (*spread.bounds, inf)]
    family.add_metric([], list(zip(bounds, accumulate(spread.counts), strict=True)), spread.seconds)
    return family
