"""How far memory is from changing what a condition says."""

import pytest

from fallfromgrace.expression import Metric, Scope, Trigger
from fallfromgrace.grammar import parse_trigger
from fallfromgrace.headroom import ceilings, ceilings_of
from fallfromgrace.lifecycle import Instance, Phase, Truth
from tests.builders import MIB, Seen, monitor

GIB = 1024 * MIB
OWN = Scope.OWN


def written(found):
    """Ceilings as a user would write the metrics."""
    return None if found is None else {str(metric): most for metric, most in found.items()}


def of(text, truth=False, **read):
    trigger: Trigger = parse_trigger(text)
    return written(ceilings(trigger.condition, truth, Seen(**read)))


SMALL = {"rmem": 100 * MIB, "vmem": 200 * MIB}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rmem > 1g", {"rmem": GIB}),
        ("1g < rmem", {"rmem": GIB}),
        ("rmem >= 1g", {"rmem": GIB - 1}),
        ("rmem == 1g", {"rmem": GIB - 1}),
        ("not rmem <= 1g", {"rmem": GIB}),
        ("not rmem < 1g", {"rmem": GIB - 1}),
        ("not rmem != 1g", {"rmem": GIB - 1}),
        ("vmem > 2 * 500m", {"vmem": 1000 * MIB}),
        ("rmem > 1g or vmem > 3g", {"rmem": GIB, "vmem": 3 * GIB}),
        ("rmem > 1g or rmem > 2g", {"rmem": GIB}),
        ("1g < rmem < 2g", {"rmem": GIB}),
        ("not (rmem <= 1g and vmem <= 3g)", {"rmem": GIB, "vmem": 3 * GIB}),
    ],
)
def test_a_condition_that_is_false_stays_so_until_memory_has_grown_past_its_constants(text, found):
    assert of(text, **SMALL) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rmem > 1g and vmem > 9g", {"vmem": 9 * GIB}),  # the farther one: either being false is enough
        ("rmem > 1g and cpu > 50%", {"rmem": GIB}),  # whatever else it looks at
        ("rmem > 1g and age > 1h", {"rmem": GIB}),
        ("rmem > 50m and vmem > 1g", {"vmem": GIB}),
        ("rmem > 1g or (vmem > 3g and cpu > 1%)", {"rmem": GIB, "vmem": 3 * GIB}),
    ],
)
def test_of_several_that_all_have_to_hold_the_one_farthest_away_counts(text, found):
    assert of(text, **SMALL) == found


def test_what_bounds_proportional_memory_and_swap_is_cheap_to_read():
    assert of("pmem > 1g", **SMALL) == {"rmem": GIB}
    assert of("umem > 1g or swap > 2g", **SMALL) == {"rmem": GIB, "vmem": 2 * GIB}
    assert of("pmem > 1g", rmem=2 * GIB, pmem=MIB) is None  # it is smaller, but nothing cheap tells


def test_sums_and_shares_have_ceilings_too():
    assert of("tree.rmem > 1g", tree__rmem=5) == {"tree.rmem": GIB}
    assert of("tree.pmem > 1g", tree__rmem=5) == {"tree.rmem": GIB}
    assert of("group.vmem > 1g and rmem > 1m", group__vmem=5, rmem=2 * MIB) == {"group.vmem": GIB}
    assert of("rmem > 25%", rmem=5, memory=4 * GIB) == {"rmem": GIB}


@pytest.mark.parametrize(
    "text",
    ["cpu > 50%", "rmem < 1m", "rmem > vmem", "rmem + vmem > 9g", "rmem > 1g or cpu > 50%", "rmem > 50m", "rmem > 25%",
     "system.available > 9g", "growth(rmem, 1m) > 9g", "fds > 5", "group.rmem > 1g", "not rmem > 1g"],
)  # fmt: skip
def test_what_more_than_growth_decides_or_is_not_known_has_none(text):
    assert of(text, **SMALL) is None


def test_the_room_is_measured_where_it_is():
    assert of("rmem > 1g", rmem=GIB) == {"rmem": GIB}
    assert of("rmem > 1g", rmem=GIB + 1) is None
    assert of("rmem >= 1g", rmem=GIB) is None


@pytest.mark.parametrize(
    ("text", "instance", "truth", "has"),
    [
        ("rmem > 1g", Instance(), Truth(False), True),
        ("rmem > 1g", Instance(), Truth(None), False),
        ("rmem > 1g", Instance(Phase.PENDING), Truth(False), False),
        ("rmem > 1g", Instance(acted=True), Truth(False), False),  # it has to tell of its recovery
        ("rmem > 1g until rmem < 500m", Instance(), Truth(False, True), True),
        ("rmem > 1g until rmem < 500m for 1m", Instance(), Truth(False, True), True),
        ("rmem > 1g and cpu > 5%", Instance(), Truth(False), True),
    ],
)
def test_only_a_rule_that_comes_to_nothing_is_watched(text, instance, truth, has):
    [rule] = monitor({text: "term"}).rules
    found = ceilings_of(rule, instance, truth, Seen(**SMALL))
    assert (found == {Metric("rmem"): GIB}) is has
