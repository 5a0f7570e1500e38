import pytest

from fallfromgrace.comparison import Done, compared, done
from fallfromgrace.expectation import parse_expectation
from fallfromgrace.verdict import Outcome, Result
from tests.builders import process, verdict


def was(text):
    """Something that was done, written like an expectation."""
    found = parse_expectation(text, ["a", "b"])
    return Done(found.at, found.process, found.deed, "m", "rmem > 1g", "2g", "1g")


def marked(expected, happened):
    """`-` for what is missing, `+` for what is too much, and the time of each."""
    pairs = compared([parse_expectation(text, ["a", "b"]) for text in expected], [was(text) for text in happened])
    return [f"{' ' if want and got else '-' if want else '+'}{(got or want).at:g}" for want, got in pairs]


@pytest.mark.parametrize(
    ("expected", "happened", "found"),
    [
        ([], [], []),
        (["1s a term"], ["1s a term"], [" 1"]),
        (["1s a term"], ["1.05s a term"], [" 1.05"]),
        (["1s a term"], ["0.95s a term"], [" 0.95"]),
        (["1s a term"], ["1.25s a term"], [" 1.25"]),
        (["1s a term"], ["1.3s a term"], ["-1", "+1.3"]),
        (["1s a term"], ["0.9s a term"], ["+0.9", "-1"]),
        (["1s a term"], ["1s b term"], ["-1", "+1"]),
        (["1s a term"], ["1s a kill"], ["-1", "+1"]),
        (["1s a term"], ["1s a would term"], ["-1", "+1"]),
        (["1s a log x"], ["1s log x"], ["-1", "+1"]),
        (["1s a term", "1s b term"], ["1s b term", "1s a term"], [" 1", " 1"]),
        (["1s a term"], ["1s a term", "1s a term"], [" 1", "+1"]),
        (["1s a term", "1s a term"], ["1s a term"], [" 1", "-1"]),
        (["3s a term", "2s a log"], ["1s a hup", "2s a log x"], ["+1", " 2", "-3"]),
        (["1s exec", "1s exec x"], ["1s exec x", "1s exec y"], [" 1", " 1"]),
    ],
)
def test_what_is_missing_and_what_is_too_much_is_told_in_the_order_of_time(expected, happened, found):
    assert marked(expected, happened) == found


@pytest.mark.parametrize("result", Result)
def test_what_came_to_nothing_was_not_done(result):
    target = process(100)
    names = {target.id: "a"}
    found = [(each.process, str(each.deed)) for each in done(5, Outcome(verdict(process=target), result), names)]
    action = "would term" if result is Result.DRY_RUN else "term"
    assert found == ([("a", action)] if result.delivered else [])


def test_why_it_was_done_is_kept():
    (found,) = done(5, Outcome(verdict("recovered log x", process=None, recovered=True), Result.TOLD), {})
    assert (found.at, found.process, str(found.deed)) == (5, "", "recovered log x")
    assert found[3:] == ("m", "rmem > 100m", "200m", "100m")
