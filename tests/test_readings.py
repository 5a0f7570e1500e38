from math import inf

import pytest

from fallfromgrace.expression import Growth, Metric, Scope, Whole
from fallfromgrace.grammar import parse_trigger
from fallfromgrace.history import History
from fallfromgrace.intervals import UNKNOWN, Interval, exactly
from fallfromgrace.readings import Again, Facet, Readings, Sight, Subject, Want
from tests.builders import process, table

TOP, KID, OTHER = process(100), process(101, ppid=100), process(200)
ALL = [each.id for each in (TOP, KID, OTHER)]


def readings(*samples, machine=None, of=(TOP, KID, OTHER)):
    """What was read of the top, the child and the other; None for who ended."""
    made = Readings(table(*of))
    for identity, sample in [(None, machine), *zip(ALL, samples, strict=False)]:
        wants = [Want(identity, facet) for facet in Facet]
        made.add(wants if identity else [], {identity: sample} if sample is not None else {})
    return made


def sight(made, now=100.0, history=None):
    tree, group = [TOP.id, KID.id], [TOP.id, OTHER.id]
    history = History(10.0) if history is None else history
    return Sight(made, history, Subject("m", TOP.id), lambda: tree, group, now)


def seen(text, *samples, machine=None, **more):
    """What is known of the left side of a comparison."""
    return sight(readings(*samples, machine=machine), **more).interval(parse_trigger(f"{text} >= 0").condition.left)


@pytest.mark.parametrize(
    ("metric", "samples", "known"),
    [
        ("rmem", [{"rmem": 5}], exactly(5)),
        ("rmem", [{}], UNKNOWN),
        ("pmem", [{"rmem": 5}], Interval(0, 5)),
        ("pmem", [{"rmem": 5, "pmem": 3}], exactly(3)),
        ("umem", [{"rmem": 5}], Interval(0, 5)),
        ("umem", [{"rmem": 5, "pmem": 3}], Interval(0, 3)),
        ("swap", [{"vmem": 9}], Interval(0, 9)),
        ("pmem", [{}], Interval(0, inf)),
        ("tree.rmem", [{"rmem": 5}, {"rmem": 2}, {"rmem": 9}], exactly(7)),
        ("group.rmem", [{"rmem": 5}, {"rmem": 2}, {"rmem": 9}], exactly(14)),
        ("tree.rmem", [{"rmem": 5}, {}], Interval(5, inf)),
        ("tree.pmem", [{"rmem": 5}, {"rmem": 2, "pmem": 1}], Interval(1, 6)),
        ("tree.rmem", [{"rmem": 5}, None], exactly(5)),  # who has ended leaves the sum
        ("children", [{}, {}], exactly(1)),
        ("children", [{}, None], exactly(0)),
        ("count", [{}, {}, {}], exactly(2)),
        ("threads", [{"threads": 3}], exactly(3)),
    ],
)
def test_what_is_known_of_a_process_its_tree_and_its_group(metric, samples, known):
    assert seen(metric, *samples) == known


def test_the_machine_is_read_by_its_own_names_and_parts_of_it_too():
    made = sight(readings({"fdlimit": 1024}, machine={"available": 7, "memory": 70, "swaptotal": 30}))
    assert made.interval(Metric("available", Scope.SYSTEM)) == exactly(7)
    assert [made.whole(whole) for whole in Whole] == [exactly(70), exactly(30), exactly(1024)]
    assert made.interval(Metric("load", Scope.SYSTEM)) == UNKNOWN


def wanted(metric, made=None):
    made = made or Readings(table(TOP, KID, OTHER))
    found = sight(made).wants(parse_trigger(f"{metric} >= 0").condition.left)
    return sorted((want.identity.pid if want.identity else 0, want.facet.name) for want in found)


@pytest.mark.parametrize(
    ("metric", "wants"),
    [
        ("rmem", [(100, "MEMORY")]),
        ("pmem", [(100, "MEMORY"), (100, "ROLLUP")]),
        ("tree.fds", [(100, "DESCRIPTORS"), (101, "DESCRIPTORS")]),
        ("group.cputime", [(100, "STAT"), (200, "STAT")]),
        ("read", [(100, "IO"), (100, "STAT")]),
        ("system.load", [(0, "MACHINE")]),
        ("count", []),
        ("children", []),
        ("growth(tree.rmem, 1m)", [(100, "MEMORY"), (101, "MEMORY")]),
    ],
)
def test_what_has_to_be_read_for_a_metric(metric, wants):
    assert wanted(metric) == wants


def test_what_was_read_is_not_wanted_again_whatever_came_of_it():
    assert wanted("pmem", readings({})) == []


# --- rates ---


def rate(metric, before, now, *, state="S", age=1e6, at=(90.0, 100.0)):
    history = History(10.0)
    for name, value in before.items():
        history.add((TOP.id, name), at[0], value, history.rate_window)
    top = process(100, state=state)
    made = readings({**now, "age": age}, of=(top, KID, OTHER))
    return sight(made, at[1], history).interval(Metric(metric))


@pytest.mark.parametrize(
    ("metric", "before", "now", "known"),
    [
        ("cpu", {"cputime": 50.0}, {"cputime": 55.0}, exactly(50.0)),
        ("read", {"read_bytes": 1000}, {"read_bytes": 6000}, exactly(500.0)),
        ("write", {"write_bytes": 1000}, {"write_bytes": 1000}, exactly(0.0)),
        ("cpu", {}, {"cputime": 55.0}, UNKNOWN),  # not watched for long enough
        ("cpu", {"cputime": 50.0}, {}, UNKNOWN),
    ],
)
def test_a_rate_is_the_change_over_the_last_interval(metric, before, now, known):
    assert rate(metric, before, now) == known


def test_who_was_not_there_an_interval_ago_had_used_nothing():
    assert rate("cpu", {}, {"cputime": 2.0}, age=4.0) == exactly(20.0)


def test_the_rates_of_who_is_stopped_are_unknown():
    assert rate("cpu", {"cputime": 50.0}, {"cputime": 55.0}, state="T") == UNKNOWN


def test_rates_are_read_at_every_look_and_growth_when_it_is_time_to_remember():
    history = History(10.0)
    made = Readings(table(TOP, KID, OTHER))
    growth = Growth(Metric("rmem"), 600.0)
    assert sight(made, history=history).always(Metric("cpu"))
    assert not sight(made, history=history).always(Metric("rmem"))
    assert sight(made, history=history).always(growth)
    history.add((Subject("m", TOP.id), growth), 95.0, 1, 600.0)
    assert not sight(made, history=history).always(growth)


# --- growth ---


def test_growth_is_what_there_is_less_what_there_was():
    history, growth = History(10.0), Growth(Metric("rmem"), 60.0)
    for now, rmem in [(0.0, 5), (10.0, 6), (60.0, 9), (70.0, 4)]:
        look = sight(readings({"rmem": rmem}), now, history)
        found = look.interval(growth)
        look.remember(growth)
        assert found == {0.0: UNKNOWN, 10.0: UNKNOWN, 60.0: exactly(4), 70.0: exactly(-2)}[now]


def test_what_is_not_known_is_not_remembered():
    history, growth = History(10.0), Growth(Metric("pmem"), 60.0)
    sight(readings({"rmem": 5}), 0.0, history).remember(growth)
    assert len(history) == 0


@pytest.mark.parametrize(
    ("metric", "sample", "early"),
    [
        ("cpu", {"cputime": 5}, True), ("cpu", {}, False), ("pmem", {"rmem": 5}, False),
        ("growth(rmem, 1m)", {"rmem": 5}, True), ("growth(rmem, 1m)", {}, False),
    ],
)  # fmt: skip
def test_what_is_merely_too_early_is_told_apart_from_what_cannot_be_read(metric, sample, early):
    assert sight(readings(sample)).early(parse_trigger(f"{metric} >= 0").condition.left) is early


# --- read once more ---


def test_what_is_read_again_is_of_the_process_itself_and_sums_are_as_they_were():
    again = Again(sight(readings({"rmem": 5, "pmem": 3}, {"rmem": 2})), {"rmem": 1})
    found = [again.interval(metric) for metric in (Metric("rmem"), Metric("rmem", Scope.TREE), Metric("pmem"))]
    assert found == [exactly(1), exactly(7), exactly(3)]
    assert again.wants(Metric("umem")) == frozenset()


def test_what_cannot_be_read_again_is_unknown_then_and_starts_nothing():
    assert Again(sight(readings({"rmem": 5})), {}).interval(Metric("rmem")) == UNKNOWN
