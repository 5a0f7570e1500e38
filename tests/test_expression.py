import pytest

from fallfromgrace.expression import depth, evaluate, value_and_limit
from fallfromgrace.grammar import parse_trigger

T, F, U = "rmem > 1", "rmem > 9", "vmem > 1"  # true, false and unknown of the sample {"rmem": 5}
SAMPLE = {"rmem": 5}


def condition(text):
    return parse_trigger(text).condition


@pytest.mark.parametrize(
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
    below_at_above = tuple(evaluate(condition(f"rmem {operator} 2k"), {"rmem": rmem}) for rmem in (2047, 2048, 2049))
    assert below_at_above == truths


def test_a_constant_on_the_left_reads_as_it_is_written():
    assert evaluate(condition("1g < rmem"), {"rmem": 2 << 30}) is True
    assert evaluate(condition("123 >= rmem"), {"rmem": 124}) is False


def test_two_metrics_can_be_compared():
    assert evaluate(condition("vmem > rmem"), {"rmem": 5, "vmem": 6}) is True


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        (T, True), (F, False), (U, None),
        (f"not {T}", False), (f"not {F}", True), (f"not {U}", None), (f"not not {T}", True),
        (f"{T} and {T}", True), (f"{T} and {F}", False), (f"{T} and {U}", None),
        (f"{F} and {U}", False), (f"{U} and {F}", False), (f"{U} and {U}", None),
        (f"{F} or {F}", False), (f"{T} or {F}", True), (f"{T} or {U}", True),
        (f"{U} or {T}", True), (f"{F} or {U}", None), (f"{U} or {U}", None),
        (f"{F} and {F} or {T}", True), (f"{F} and ({F} or {T})", False), (f"not {T} or {T}", True),
    ],
)  # fmt: skip
def test_what_is_unknown_decides_only_where_it_must(text, truth):
    assert evaluate(condition(text), SAMPLE) is truth


@pytest.mark.parametrize(
    ("text", "sample", "told"),
    [
        ("rmem > 900m", {"rmem": 912 << 20}, ("912m", "900m")),
        ("900m < rmem", {"rmem": 912 << 20}, ("912m", "900m")),
        ("rmem > 1g or vmem > 1k", {"rmem": 1, "vmem": 2048}, ("2k", "1k")),
        ("rmem > vmem", {"rmem": 2048, "vmem": 1024}, ("2k", "1k")),
        ("rmem > 1g", {}, ("unknown", "1g")),
        ("not rmem > 1g", {"rmem": 1024}, ("1k", "1g")),
        ("rmem > 1g or not vmem < 4g", {"rmem": 500 << 20, "vmem": 5 << 30}, ("5g", "4g")),
        ("not rmem > 1g or vmem > 4g", {"rmem": 2 << 30, "vmem": 5 << 30}, ("5g", "4g")),
        ("not (rmem > 1g and vmem > 4g)", {"rmem": 2 << 30, "vmem": 1 << 30}, ("1g", "4g")),
    ],
)
def test_people_are_told_the_value_and_limit_of_the_comparison_that_decides(text, sample, told):
    assert value_and_limit(condition(text), sample) == told


def test_a_tree_knows_how_deep_it_is():
    texts = ["rmem > 1", "not rmem > 1", "rmem > 1 and not (rmem > 2 or rmem > 3)"]
    assert [depth(condition(text)) for text in texts] == [0, 1, 3]
