from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallfromgrace.expression import (
    METRICS,
    Growth,
    Metric,
    Scope,
    comparisons,
    depth,
    evaluate,
    measured,
    undecided,
    value_and_limit,
)
from fallfromgrace.grammar import parse_trigger
from fallfromgrace.intervals import Interval, exactly
from tests import strategies
from tests.builders import Seen

cases = pytest.mark.parametrize
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
T, F, U = "rmem > 1", "rmem > 9", "vmem > 1"  # true, false and unknown where only rmem was read, and is 5


def condition(text):
    return parse_trigger(text).condition


def answer(text, **read):
    return evaluate(condition(text), Seen(**read))


def truth(text, **read):
    return answer(text, **read).truth


# --- true, false or not known -----------------------------------------------------------------------------------


@cases(
    ("operator", "truths"),
    [
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        ("==", (False, True, False)),
        ("!=", (True, False, True)),
        (">=", (False, True, True)),
        (">", (False, False, True)),
    ],
)
def test_comparisons_below_at_and_above_the_limit(operator, truths):
    assert tuple(truth(f"rmem {operator} 2k", rmem=rmem) for rmem in (2047, 2048, 2049)) == truths


@cases(
    ("text", "read", "holds"),
    [
        ("1g < rmem", {"rmem": 2 * GIB}, True),
        ("123 >= rmem", {"rmem": 124}, False),
        ("vmem > rmem", {"rmem": 5, "vmem": 6}, True),
        ("1k < rmem < 2k", {"rmem": 1500}, True),
        ("1k < rmem < 2k", {"rmem": 2048}, False),
        ("tree.rmem > 1k", {"tree__rmem": 1025}, True),
        ("cpu > 90%", {"cpu": 90.5}, True),
        ("age > 1h", {"age": 3600}, False),
        ("read >= 1k/s", {"read": 1024}, True),
        ("system.load > 4", {"system__load": 4.5}, True),
        ("rmem > 25%", {"rmem": 3 * GIB, "memory": 8 * GIB}, True),
        ("rmem > 25%", {"rmem": 2 * GIB, "memory": 8 * GIB}, False),
        ("system.available < 10%", {"system__available": GIB, "memory": 16 * GIB}, True),
        ("swap > 50%", {"swap": 3 * GIB, "swaptotal": 4 * GIB, "memory": 100 * GIB}, True),
        ("fds > 80%", {"fds": 900, "fdlimit": 1024}, True),
        ("fds > 80%", {"fds": 900, "fdlimit": 1200}, False),
        ("rmem > 2 * 25%", {"rmem": 5 * GIB, "memory": 8 * GIB}, True),
        ("rmem > 1g - 25%", {"rmem": 0, "memory": 8 * GIB}, True),
        ("rmem + vmem > 10", {"rmem": 5, "vmem": 6}, True),
        ("rmem - vmem < -10", {"rmem": 5, "vmem": 16}, True),
        ("rmem * 2 > 10", {"rmem": 5}, False),
        ("rmem / 2 > 2", {"rmem": 5}, True),
        ("rmem / vmem > 50%", {"rmem": 5, "vmem": 8}, True),
        ("cputime / age > 50%", {"cputime": 30, "age": 80}, False),
        ("vmem - rmem * 2 == 0", {"rmem": 5, "vmem": 10}, True),
        ("(vmem - rmem) * 2 == 10", {"rmem": 5, "vmem": 10}, True),
    ],
)
def test_what_is_known_decides(text, read, holds):
    assert answer(text, **read) == (holds, frozenset())


def test_a_growth_is_looked_up_as_it_is_written():
    view = Seen()
    view.read = {"growth(rmem, 10m)": 200 * MIB}
    assert evaluate(condition("growth(RMEM, 600s) > 100m"), view).truth is True


@cases(
    ("text", "holds"),
    [
        (T, True), (F, False), (U, None),
        (f"not {T}", False), (f"not {F}", True), (f"not {U}", None), (f"not not {T}", True),
        (f"{T} and {T}", True), (f"{T} and {F}", False), (f"{T} and {U}", None),
        (f"{F} and {U}", False), (f"{U} and {F}", False), (f"{U} and {U}", None),
        (f"{F} or {F}", False), (f"{T} or {F}", True), (f"{T} or {U}", True),
        (f"{U} or {T}", True), (f"{F} or {U}", None), (f"{U} or {U}", None),
        (f"{F} and {F} or {T}", True), (f"{F} and ({F} or {T})", False), (f"not {T} or {T}", True),
        (f"not ({U} and {F})", True), (f"not ({U} or {T})", False), (f"{T} and not {U}", None),
        (f"{U} or {U} or {T}", True), (f"{T} and {U} and {F}", False),
    ],
)  # fmt: skip
def test_what_is_unknown_decides_only_where_it_must(text, holds):
    assert truth(text, rmem=5) is holds


BOUNDED = {"rmem": 4 * GIB, "pmem": (0, 4 * GIB), "umem": (0, 4 * GIB)}


@cases(
    ("text", "holds"),
    [
        ("pmem > 5g", False),
        ("pmem > 4g", False),
        ("pmem >= 4g", None),
        ("pmem > 3g", None),
        ("pmem < 3g", None),
        ("pmem < 5g", True),
        ("pmem <= 4g", True),
        ("pmem == 5g", False),
        ("pmem == 3g", None),
        ("pmem != 5g", True),
        ("pmem != 3g", None),
        ("pmem >= 0", True),
        ("not pmem > 5g", True),
        ("pmem > rmem", False),
        ("pmem <= rmem", True),
        ("pmem * 2 > 9g", False),
        ("pmem * 2 > 7g", None),
        ("pmem - 5g < 0", True),
        ("rmem - pmem >= 0", True),
        ("pmem + umem > 8g", False),
        ("pmem / rmem > 2", False),
        ("pmem / rmem > 0.5", None),
        ("rmem / pmem >= 1", None),  # there might be none
        ("pmem / umem > 100", None),
    ],
)
def test_a_bound_decides_where_it_can(text, holds):
    assert truth(text, **BOUNDED) is holds


@cases(
    ("text", "holds"),
    [("tree.rmem > 1g", True), ("tree.rmem > 3g", None), ("tree.rmem < 1g", False), ("tree.rmem < 3g", None)],
)
def test_of_a_sum_with_a_part_that_cannot_be_read_the_rest_is_the_least(text, holds):
    assert truth(text, tree__rmem=(2 * GIB, inf)) is holds


@cases(
    ("text", "read", "holds"),
    [
        ("rmem > 25%", {"rmem": 5}, None),  # of how much?
        ("rmem > 0%", {"rmem": 5}, True),  # none of it, however much
        ("rmem / vmem > 1", {"rmem": 5, "vmem": 0}, None),
        ("vmem / rmem > 1", {"rmem": 5, "vmem": 0}, False),
        ("rmem / vmem > 1", {"rmem": 5, "vmem": (0, 10)}, None),
        ("rmem / vmem > 6", {"rmem": 5, "vmem": (1, 10)}, False),
        ("rmem / vmem > 6 or rmem > 1", {"rmem": 5, "vmem": 0}, True),
    ],
)
def test_a_part_of_nothing_and_of_what_is_unknown_is_unknown(text, read, holds):
    assert truth(text, **read) is holds


@cases(
    ("text", "wants"),
    [
        ("rmem > 1", ""),
        ("vmem > 1", "vmem"),
        ("rmem > vmem", "rmem vmem"),  # what is known of rmem may be a bound
        ("rmem > 25%", "rmem memory"),
        ("swap > 25% + 1k", "swap swaptotal"),
        ("fds > 25%", "fds fdlimit"),
        ("tree.vmem + group.vmem > 1", "tree.vmem group.vmem"),
        ("vmem / swap > 1", "vmem swap"),
        ("growth(vmem, 1m) > 1", "growth(vmem,1m)"),
        ("not vmem > 1", "vmem"),
        ("vmem > 1 or rmem > 9", "vmem"),
        ("vmem > 1 or rmem > 1", ""),
        ("vmem > 1 and rmem > 9", ""),
        ("vmem > 1 and swap > 1", "vmem swap"),
        ("vmem > 1 and (swap > 1 or rmem > 1)", "vmem"),
        ("not (vmem > 1 and rmem > 9)", ""),
        ("(vmem > 1 and rmem > 9) or swap > 1", "swap"),
    ],
)
def test_only_what_can_decide_is_wanted(text, wants):
    found = answer(text, rmem=5)
    assert found.wants == {want.replace(",", ", ") for want in wants.split()}
    assert (found.truth is None) is bool(wants)


# --- the same as laws -------------------------------------------------------------------------------------------


class Guess:
    """A view with random numbers, and one with intervals around the same."""

    def __init__(self, dice, exact):
        self.dice, self.exact, self.numbers = dice, exact, {}

    def _interval(self, name):
        if name not in self.numbers:
            number = self.dice.choice((0, 1, 2, 1000, GIB))
            below, above = self.dice.choice((0, 0, 1, 500, inf)), self.dice.choice((0, 0, 1, 500, inf))
            self.numbers[name] = number, Interval(number - below, number + above)
        number, around = self.numbers[name]
        return exactly(number) if self.exact else around

    def interval(self, found):
        return self._interval(str(found))

    def whole(self, whole):
        return self._interval(whole.value)

    def wants(self, found):
        return frozenset({str(found)})


@settings(strategies.patiently, max_examples=60)
@given(strategies.trigger_texts(), st.randoms(use_true_random=False))
def test_more_readings_never_turn_what_was_decided(text, dice):
    view, asked = Guess(dice, False), condition(text)
    before = evaluate(asked, view)
    assert before.truth is None or not before.wants
    view.exact = True
    after = evaluate(asked, view)
    assert before.truth in (None, after.truth)


# --- what people are told ---------------------------------------------------------------------------------------


@cases(
    ("text", "read", "told"),
    [
        ("rmem > 900m", {"rmem": 912 * MIB}, ("912m", "900m")),
        ("900m < rmem", {"rmem": 912 * MIB}, ("912m", "900m")),
        ("rmem > vmem", {"rmem": 2048, "vmem": 1024}, ("2k", "1k")),
        ("cpu > 90%", {"cpu": 93.4}, ("93%", "90%")),
        ("age > 1h30m", {"age": 7384}, ("2h3m", "1h30m")),
        ("read > 10m/s", {"read": 25 * MIB}, ("25m/s", "10m/s")),
        ("system.load > 4", {"system__load": 4.256}, ("4.26", "4.00")),
        ("threads > 100", {"threads": 120}, ("120", "100")),
        ("rmem > 25%", {"rmem": 3 * GIB, "memory": 8 * GIB}, ("3g", "2g")),
        ("fds > 80%", {"fds": 900, "fdlimit": 1000}, ("900", "800")),
        ("rmem / vmem > 50%", {"rmem": 3, "vmem": 4}, ("75%", "50%")),
        ("rmem + vmem > 1g", {"rmem": GIB, "vmem": GIB}, ("2g", "1g")),
        ("rmem > 2 * vmem - 1k", {"rmem": GIB, "vmem": 2 * KIB}, ("1g", "3k")),
        ("growth(system.available, 1m) < -1g", {}, ("unknown", "-1g")),
        # which of several decides
        ("rmem > 1g or vmem > 1k", {"rmem": 1, "vmem": 2048}, ("2k", "1k")),
        ("rmem > 1k or vmem > 1k", {"rmem": 2048, "vmem": 3072}, ("2k", "1k")),
        ("rmem > 1 and vmem > 2k", {"rmem": 2, "vmem": 3072}, ("2", "1")),
        ("rmem > 1 and vmem > 2k", {"rmem": 2, "vmem": 1024}, ("1k", "2k")),
        ("1k < rmem < 3k", {"rmem": 2048}, ("2k", "1k")),
        ("1k < rmem < 3k", {"rmem": 4096}, ("4k", "3k")),
        ("not rmem > 1g", {"rmem": 1024}, ("1k", "1g")),
        ("rmem > 1g or not vmem < 4g", {"rmem": 500 * MIB, "vmem": 5 * GIB}, ("5g", "4g")),
        ("not rmem > 1g or vmem > 4g", {"rmem": 2 * GIB, "vmem": 5 * GIB}, ("5g", "4g")),
        ("not (rmem > 1g and vmem > 4g)", {"rmem": 2 * GIB, "vmem": GIB}, ("1g", "4g")),
        # what is not known, or only in part
        ("rmem > 1g", {}, ("unknown", "1g")),
        ("rmem > 25%", {"rmem": GIB}, ("1g", "unknown")),
        ("pmem > 5g", {"pmem": (0, 4 * GIB)}, ("at most 4g", "5g")),
        ("tree.rmem > 1g", {"tree__rmem": (2 * GIB, inf)}, ("at least 2g", "1g")),
        ("rmem > 25%", {"rmem": GIB, "memory": (8 * GIB, inf)}, ("1g", "at least 2g")),
        ("rmem > 1g and vmem > 1", {"rmem": 1}, ("1", "1g")),
    ],
)
def test_people_are_told_the_value_and_limit_of_the_comparison_that_decides(text, read, told):
    assert value_and_limit(condition(text), Seen(**read)) == told


@cases(
    ("text", "missing"),
    [
        ("rmem > 1", ""),
        ("vmem > 1", "vmem"),
        ("rmem > vmem", "vmem"),
        ("tree.vmem + rmem > 1", "tree.vmem"),
        ("pmem > 1", "pmem"),
        ("pmem > 9", ""),
        ("rmem > 1 and vmem > 1", "vmem"),
        ("not (vmem > 1 or rmem > 9)", "vmem"),
        ("vmem > 1 and swap > 1 and vmem > 2", "vmem swap vmem"),
        ("rmem > 25%", ""),  # nothing that is measured: the whole
    ],
)
def test_what_is_not_known_is_named_where_it_leaves_a_comparison_open(text, missing):
    found = undecided(condition(text), Seen(rmem=5, pmem=(0, 5)))
    assert [str(each) for each in found] == missing.split()


# --- what a trigger is about ------------------------------------------------------------------------------------


def test_a_tree_knows_how_deep_it_is():
    texts = ["rmem > 1", "not rmem > 1", "rmem > 1 and not (rmem > 2 or rmem > 3)", "rmem + vmem > 1 + umem"]
    assert [depth(condition(text)) for text in texts] == [1, 2, 4, 2]


def test_a_tree_knows_its_comparisons_and_what_they_measure():
    asked = condition("rmem > 1 and not (growth(tree.vmem, 1m) < rmem - umem or count > 3)")
    written = ["rmem > 1", "growth(tree.vmem, 1m) < rmem - umem", "count > 3"]
    assert [str(each) for each in comparisons(asked)] == written
    assert [str(each) for each in measured(asked)] == ["rmem", "growth(tree.vmem, 1m)", "rmem", "umem", "count"]


def test_a_trigger_looks_at_what_its_until_looks_at():
    trigger = parse_trigger("rmem > 1 and growth(rmem, 1m) > 0 for 5m until vmem < 1 or rmem < 1")
    assert trigger.measured == {Metric("rmem"), Metric("vmem"), Growth(Metric("rmem"), 60)}


@cases(
    ("text", "shared"),
    [
        ("rmem > 1", False),
        ("tree.rmem > 1", False),
        ("group.rmem > 1", True),
        ("count > 3", True),
        ("system.available < 10%", True),
        ("growth(group.rmem, 1m) > 1", True),
        ("growth(rmem, 1m) > 1", False),
        ("group.rmem > rmem", False),
        ("system.load > 4 and rmem > 1", False),
        ("system.load > 4 until group.cpu < 1% and count > 3", True),
        ("system.load > 4 until cpu < 1%", False),
    ],
)
def test_a_trigger_is_about_all_that_is_covered_where_nothing_in_it_is_of_one_process(text, shared):
    assert parse_trigger(text).shared is shared


@cases(
    ("text", "ages"),
    [
        ("rmem > 1", []),
        ("age > 5m", [300]),
        ("1h > age", [3600]),
        ("age > 5m and not age > 1h until age > 2h", [300, 3600, 7200]),
        ("1m < age < 5m", [60, 300]),
        ("age > 2 * 5m", [600]),
        ("age > cputime", []),
        ("age / 2 > 5m", []),
    ],
)
def test_the_ages_that_a_trigger_waits_for(text, ages):
    assert list(parse_trigger(text).ages) == ages


def test_every_word_is_a_metric_that_writes_itself_so():
    assert {word: str(Metric(*meant)) for word, meant in METRICS.items()} == {word: word for word in METRICS}
    assert METRICS["tree.rmem"] == ("rmem", Scope.TREE)
