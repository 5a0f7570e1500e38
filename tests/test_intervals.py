from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.intervals import ARITHMETIC, COMPARISONS, UNKNOWN, Interval, exactly, negated, total

cases = pytest.mark.parametrize


@cases(
    ("interval", "known"),
    [(exactly(5), True), (exactly(0), True), (Interval(5, 5.0), True), (Interval(0, 5), False), (UNKNOWN, False)],
)
def test_a_number_is_known_where_its_bounds_are_the_same(interval, known):
    assert interval.known is known


@cases(
    ("parts", "sum_"),
    [
        ([], exactly(0)),
        ([exactly(5), exactly(6)], exactly(11)),
        ([exactly(5), Interval(0, 6)], Interval(5, 11)),
        ([exactly(5), UNKNOWN], Interval(5, inf)),  # what is readable is a lower bound
        ([UNKNOWN, UNKNOWN], Interval(0, inf)),
    ],
)
def test_a_part_that_is_not_known_leaves_the_readable_part_of_a_sum(parts, sum_):
    assert total(parts) == sum_


@cases(
    ("left", "operator", "right", "result"),
    [
        ((1, 2), "+", (10, 20), (11, 22)),
        ((1, inf), "+", (10, 20), (11, inf)),
        (UNKNOWN, "+", (10, 20), UNKNOWN),
        ((1, 2), "-", (10, 20), (-19, -8)),
        ((1, inf), "-", (0, inf), UNKNOWN),
        ((5, 5), "-", (0, 5), (0, 5)),
        ((1, 2), "*", (10, 20), (10, 40)),
        ((-1, 2), "*", (10, 20), (-20, 40)),
        ((-2, -1), "*", (-20, -10), (10, 40)),
        ((0, 0), "*", UNKNOWN, (0, 0)),
        ((0, inf), "*", (0, 5), (0, inf)),
        ((0.25, 0.25), "*", (0, inf), (0, inf)),
        ((-0.25, -0.25), "*", (0, inf), (-inf, 0)),
        ((10, 20), "/", (2, 4), (2.5, 10)),
        ((-10, 20), "/", (2, 4), (-5, 10)),
        ((10, 20), "/", (-4, -2), (-10, -2.5)),
        ((10, inf), "/", (2, 4), (2.5, inf)),
        ((10, 20), "/", (2, inf), (0, 10)),
        ((1, inf), "/", (1, inf), (0, inf)),
        (UNKNOWN, "/", (2, 2), UNKNOWN),
        ((10, 20), "/", (0, 0), UNKNOWN),
        ((10, 20), "/", (0, 4), UNKNOWN),
        ((10, 20), "/", (-1, 4), UNKNOWN),
        ((0, 0), "/", (0, 0), UNKNOWN),
        ((10, 20), "/", UNKNOWN, UNKNOWN),
        ((1e300, 1e300), "*", (1e300, 1e300), UNKNOWN),  # beyond all numbers
        ((1, 1e300), "*", (1e300, 1e300), (1e300, inf)),
        ((-1e300, -1e300), "/", (1e-300, 1e-300), UNKNOWN),
        ((1e308, 1e308), "+", (1e308, 1e308), UNKNOWN),
        ((-1e308, -1e308), "-", (1e308, 1e308), UNKNOWN),
    ],
)
def test_calculating_with_what_is_known(left, operator, right, result):
    assert ARITHMETIC[operator](Interval(*left), Interval(*right)) == Interval(*result)


BELOW, UP_TO, OVERLAPPING, FROM, ABOVE = (0, 4), (0, 5), (4, 7), (6, 9), (7, 9)  # of [5, 6]
T, F, U = True, False, None


@cases(
    ("operator", "truths"),
    [
        ("<", (T, U, U, F, F)),
        ("<=", (T, T, U, U, F)),
        (">", (F, F, U, U, T)),
        (">=", (F, U, U, T, T)),
        ("==", (F, U, U, U, F)),
        ("!=", (T, U, U, U, T)),
    ],
)
def test_a_comparison_is_decided_where_all_that_is_possible_agrees(operator, truths):
    found = tuple(
        COMPARISONS[operator](Interval(*left), Interval(5, 6)) for left in (BELOW, UP_TO, OVERLAPPING, FROM, ABOVE)
    )
    assert found == truths


@cases(
    ("operator", "below_at_above"),
    [
        ("<", (T, F, F)),
        ("<=", (T, T, F)),
        (">", (F, F, T)),
        (">=", (F, T, T)),
        ("==", (F, T, F)),
        ("!=", (T, F, T)),
    ],
)
def test_numbers_that_are_known_are_compared_as_ever(operator, below_at_above):
    assert tuple(COMPARISONS[operator](exactly(n), exactly(5.0)) for n in (4, 5, 6)) == below_at_above


@cases("operator", sorted(COMPARISONS))
def test_nothing_is_decided_of_what_is_unknown(operator):
    assert COMPARISONS[operator](UNKNOWN, exactly(5)) is None
    assert COMPARISONS[operator](exactly(5), UNKNOWN) is None


def test_the_opposite_of_what_is_not_known_is_not_known():
    assert [negated(each) for each in (True, False, None)] == [False, True, None]


# --- as a law: what is said of an interval holds for every number in it ---

numbers = st.integers(-8, 8)


@st.composite
def within(draw):
    low, number, high = sorted(draw(st.lists(numbers, min_size=3, max_size=3)))
    return Interval(low if draw(st.booleans()) else -inf, high if draw(st.booleans()) else inf), number


@given(within(), st.sampled_from(sorted(ARITHMETIC)), within())
def test_a_result_has_the_results_of_all_numbers_within(left, operator, right):
    if operator == "/" and not right[1]:
        return
    a, b = left[1], right[1]
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0}[operator]
    found = ARITHMETIC[operator](left[0], right[0])
    assert found.low <= result <= found.high


@given(within(), st.sampled_from(sorted(COMPARISONS)), within())
def test_what_is_decided_holds_for_all_numbers_within(left, operator, right):
    decided = COMPARISONS[operator](left[0], right[0])
    if decided is not None:
        assert COMPARISONS[operator](exactly(left[1]), exactly(right[1])) is decided
