import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.series import MOST_VALUES, Track, parse_series
from fallfromgrace.units import format_size, parse_size

M = 1 << 20


def whole(text):
    return parse_series(text, parse_size)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("100m", [100]),
        ("100m 200m", [100, 200]),
        ("  100m\n 200m ", [100, 200]),
        ("100mx3", [100, 100, 100, 100]),
        ("100m+50mx2 1m", [100, 150, 200, 1]),
        ("100m-50mx2", [100, 50, 0]),
        ("1mx0 2m+1mx0", [1, 2]),
        ("_ 1m _x2", [None, 1, None, None, None]),
        ("1m 2m ...", [1, 2]),
        ("1mx1 ...", [1, 1]),
    ],
)
def test_a_series_is_a_value_for_each_step(text, values):
    assert whole(text) == tuple(None if each is None else each * M for each in values)


@pytest.mark.parametrize(
    ("text", "said", "start", "end"),
    [
        ("", "there is no value here; write one for each step, such as 100m 200m", 0, 0),
        ("...", "there is no value here; write one for each step, such as 100m 200m", 0, 3),
        ("1m 2q", "'2q' is not a size; write a number with k, m, g or t, such as 500m", 3, 5),
        ("1m 2m+1m 3m", "'2m+1m' does not say for how many steps; write 2m+1mx10 for ten", 3, 8),
        ("1m 5m-2mx3", "'5m-2mx3' is below 0 after 3 steps; write a smaller number behind the x", 3, 10),
        ("_-1mx3", "what cannot be read neither rises nor falls; write _x3", 0, 6),
        ("1m, 2m", "values stand one behind the other, with blanks between them: 100m 200m", 0, 3),
        ("1m ... 2m", "'...' stands alone, behind the last value", 3, 6),
        ("1mx 2m", "'1mx' is no value; write one such as 100m, 100mx5, 100m+50mx10 or _", 0, 3),
        (f"1m 1mx{MOST_VALUES}", f"a series has at most {MOST_VALUES} values; write a longer step", 3, 12),
        (f"1mx{'9' * 5000}", f"a series has at most {MOST_VALUES} values; write a longer step", 0, 5003),
    ],
)
def test_what_is_no_series_is_told_with_its_place(text, said, start, end):
    with pytest.raises(RuleSyntaxError) as caught:
        whole(text)
    assert (caught.value.text, caught.value.start, caught.value.end) == (said, start, end)


def test_as_many_values_as_there_may_be_are_fine():
    assert len(whole(f"1m 1mx{MOST_VALUES - 2}")) == MOST_VALUES


SIZES = st.integers(0, 1 << 40)
TERMS = st.one_of(
    st.builds(lambda size: (format_size(size), [size]), SIZES),
    st.builds(lambda size, more: (f"{format_size(size)}x{more}", [size] * (more + 1)), SIZES, st.integers(0, 30)),
    st.builds(
        lambda size, change, more: (
            f"{format_size(size)}+{format_size(change)}x{more}",
            [size + at * change for at in range(more + 1)],
        ),
        SIZES, SIZES, st.integers(0, 30),
    ),
    st.builds(
        lambda least, change, more: (
            f"{format_size(least + more * change)}-{format_size(change)}x{more}",
            [least + at * change for at in range(more, -1, -1)],
        ),
        SIZES, SIZES, st.integers(0, 30),
    ),
    st.builds(lambda more: (f"_x{more}", [None] * (more + 1)), st.integers(0, 30)),
)  # fmt: skip


@given(st.lists(TERMS, min_size=1), st.sampled_from([" ", "  ", "\n"]))
def test_whatever_is_written_is_what_comes_of_it(terms, between):
    assert whole(between.join(text for text, _ in terms)) == tuple(value for _, values in terms for value in values)


@given(st.text(st.sampled_from("0123 mgx+-_.,%é") | st.characters()))
def test_whatever_else_is_written_is_a_series_or_a_mistake(text):
    with contextlib.suppress(RuleSyntaxError):
        assert whole(text)


# --- in time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "value"), [(0, 1), (9.99, 1), (10, 2), (19, 2), (20, None), (30, 4), (1e6, 4), (29.9999999, 4)]
)
def test_a_value_holds_for_its_step_and_the_last_one_goes_on(seconds, value):
    assert Track((1, 2, None, 4), 10.0).value(seconds) == value


def test_steps_that_are_no_whole_numbers_for_a_float_are_whole_steps():
    track = Track(tuple(range(100)), 0.1)
    assert [track.value(at * 0.1) for at in range(100)] == list(range(100))


@pytest.mark.parametrize(
    ("seconds", "total"), [(0, 0), (5, 5), (10, 10), (15, 20), (20, None), (25, None), (30, 30), (35, 50), (130, 430)]
)
def test_a_rate_comes_to_what_it_was_in_each_step_and_to_nothing_while_it_cannot_be_read(seconds, total):
    assert Track((1, 2, None, 4), 10.0).total(seconds) == total


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=20),
    st.floats(0.1, 100),
    st.floats(0, 5000),
    st.floats(0, 5000),
)
def test_what_a_rate_comes_to_never_falls(values, step, first, second):
    track = Track(tuple(values), step)
    earlier, later = sorted((first, second))
    assert track.total(earlier) <= track.total(later) + 1e-3
