import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expectation import Deed, Expectation, format_time, parse_expectation, parse_time
from fallfromgrace.grammar import parse_action

NAMES = ["firefox", "tab"]


def deed(text, **more):
    step = parse_action(text)
    return Deed(step.action, step.recovered, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20s firefox term", Expectation(20, "firefox", deed("term"))),
        ("  1h30m   tab   STOP@10m ", Expectation(5400, "tab", deed("stop @ 10m"))),
        ("0s firefox nice 10 tree", Expectation(0, "firefox", deed("nice 10 tree"))),
        ("0 firefox kill", Expectation(0, "firefox", deed("kill"))),
        ("2m exec @ 1h logger x  y", Expectation(120, "", deed("exec @ 1h logger x  y"))),
        ("2m log 'x'", Expectation(120, "", deed("log x"))),
        ("2m firefox recovered notify fine", Expectation(120, "firefox", deed("recovered notify fine"))),
        ("2m firefox would term", Expectation(120, "firefox", deed("term", observed=True))),
        ("2m would recovered log x", Expectation(120, "", deed("recovered log x", observed=True))),
    ],
)
def test_an_expectation_is_a_time_a_process_and_what_is_done(text, expected):
    assert parse_expectation(text, NAMES) == expected


DONE = ["exec a", "exec b", "exec @ 1h a", "notify a", "log a", "recovered log a"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1s exec", ["exec a", "exec b"]),
        ("1s exec @ 1h", ["exec @ 1h a"]),
        ("1s EXEC@60m", ["exec @ 1h a"]),
        ("1s log", ["log a"]),
        ("1s recovered log", ["recovered log a"]),
        ("1s exec a", ["exec a"]),
        ("1s exec c", []),
        ("1s would exec", []),
        ("1s firefox exec", []),
    ],
)
def test_a_text_may_be_left_out_and_all_else_is_to_be_the_same(text, meant):
    expected = parse_expectation(text, NAMES)
    assert [each for each in DONE if expected.means("", deed(each))] == meant


@pytest.mark.parametrize("text", ["20s exec", "20s exec @ 1h", "20s recovered log", "20s would exec @ 1h logger x"])
def test_what_is_shown_of_an_expectation_reads_back_as_it(text):
    expected = parse_expectation(text, NAMES)
    assert parse_expectation(f"{format_time(expected.at)} {expected.shown}", NAMES) == expected


@pytest.mark.parametrize(
    ("text", "said", "start", "end"),
    [
        ("", "there is nothing here; write a time and what is done, such as 20s firefox stop @ 10m", 0, 0),
        ("20s ", "there is nothing behind the time; write what is done, such as 20s firefox stop @ 10m", 0, 4),
        ("20s firefix term", "'firefix' is neither a process of this test nor an action; did you mean 'firefox'?",
         4, 11),
        ("20s firefox stop @ 10", "'10' is not a time; write a number with s, m, h or d, such as 10m", 19, 21),
        ("20s firefox would trem", "'trem' is not an action; did you mean 'term'?", 18, 22),
        ("20s firefox after 1m term",
         "an expectation has no 'after'; leave it out; the time before it says when it is done", 12, 17),
        ("20s term", "'term' is for a process; write the name of a process before it, such as 20s firefox stop @ 10m",
         4, 8),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text, said, start, end):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_expectation(text, NAMES)
    assert (caught.value.text, caught.value.start, caught.value.end) == (said, start, end)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.999, "1m"), (0.05, "0.05s"), (90.5, "1m30.5s"), (3600, "1h"), (130, "2m10s"), (90000, "25h")],
)
def test_times_are_told_in_hours_minutes_and_seconds(seconds, text):
    assert format_time(seconds) == text


@given(st.integers(0, 10**9))
def test_a_time_that_is_told_is_the_same_when_it_is_read(hundredths):
    assert parse_time(format_time(hundredths / 100)) == pytest.approx(hundredths / 100)
