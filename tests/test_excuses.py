"""What is said of something that was expected and not done: tests that are played, each with one expectation."""

import re

import pytest

from fallfromgrace import scenario
from fallfromgrace.comparison import compared, done
from fallfromgrace.excuses import Evidence, Hearing, excuse
from fallfromgrace.protection import Self
from fallfromgrace.rules import Selector
from fallfromgrace.simulation import simulate
from fallfromgrace.staging import staged
from fallfromgrace.verdict import Kind
from tests.builders import config, monitor

# Of a monitor that no test is about.
OTHERS = {"rmem > 1g for 10h": ["term", "kill", "log x"]}
HOG = "a: {cmdline: hog, rmem: 100m 2g}"


def played(actions, processes, expected, protect=(), **more):
    """A test with a configuration of its own: it, what was heard, and what came of it."""
    text = f"a test:\n  step: 10s\n  until: 5m\n  processes:\n    {processes}\n  expect: {expected}\n"
    (play,) = scenario.read("x", text.encode()).scenarios
    stage = staged(play, config(monitor(actions, **more), monitor(OTHERS, name="other"), protect=protect))
    heard = Hearing(stage.times)
    happened = list(simulate(stage.config, stage.frames, Self(0), told=heard.hear, until=300, eager=True))
    was_done = [each for at, outcome in happened for each in done(at, outcome, stage.names) if each.monitor == "m"]
    return stage, heard.told, compared(play.expected, was_done)


def missed(*played_with, **more):
    """Why an expectation was not met."""
    stage, said, pairs = played(*played_with, **more)
    (missing,) = (want for want, got in pairs if not got)
    unexpected = [got for want, got in pairs if got and not want]
    return excuse(missing, Evidence(stage.config, {"m"}, stage.names, said, unexpected), stage.frame(missing.at))


@pytest.mark.parametrize(
    ("actions", "processes", "expected", "said"),
    [
        ({"rmem > 1g": "term"}, HOG, "20s a term", "it was done at 10s"),
        ({"rmem > 1g": "stop @ 10m"}, HOG, "20s a stop @ 5m",
         "no rule has this action; did you mean 'stop @ 10m'?"),
        ({"rmem > 1g": "log x"}, HOG, "20s a log y", "no rule has this action; did you mean 'log x'?"),
        ({"rmem > 1g": "term"}, HOG, "20s a exec", "no rule has this action"),
        ({"rmem > 3g": "term"}, "a: {cmdline: hog, ends: 10s}", "20s a term", "it is not there at that time"),
        ({"rmem > 3g": "term"}, "a: {cmdline: hog, starts: 1m}", "20s a term", "it is not there at that time"),
        ({"rmem > 1g": "term"}, "a: {cmdline: other, rmem: 2g}", "20s a term",
         "'m' is not about it, for its cmdline does not match"),
        ({"rmem > 1g": "term"}, "a: {cmdline: hog spared, rmem: 2g}", "20s a term",
         "'m' is not about it, for it is excluded"),
        ({"rmem > 1g for 10m": "term"}, HOG, "1m a term",
         "pending since 10s: its condition has to hold for longer"),
        ({"rmem > 1g for 10m": "term"}, "a: {cmdline: hog, rmem: 2gx3 1m 2g}", "1m a term",
         "pending since 50s: its condition has to hold for longer"),
        ({"rmem > 1g": "kill"}, HOG, "20s a term", "no rule has this action"),
        ({"rmem > 1g": "term"}, "a: {cmdline: hog}", "10s a term", "unknown since 0s: rmem cannot be read"),
        ({"rmem > 1g": "term"}, "a: {cmdline: hog, exe: /x, rmem: 2g}", "0s a term",
         "protected at 0s: it is protected"),
        ({"rmem > 1g": ["log x", "after 1h term"]}, HOG, "20s a term",
         "what its rule did last, at 10s, was 'log x'"),
        ({"rmem > 3g": "term"}, HOG, "20s a term", "'rmem > 3g' does not begin to fire then, for rmem is 2g"),
        ({"rmem > 3g and threads > 2": "term"}, "a: {cmdline: hog, rmem: 4g, threads: 1}", "20s a term",
         "'rmem > 3g and threads > 2' does not begin to fire then, for rmem is 4g, threads is 1"),
        ({"group.rmem > 3g": "log x"}, HOG, "20s log x", "'group.rmem > 3g' does not begin to fire then"),
        ({"count > 3": "log x"}, "a: {cmdline: other}", "20s log x", "'count > 3' does not begin to fire then"),
    ],
)  # fmt: skip
def test_why_something_was_not_done_is_told(actions, processes, expected, said):
    protect = [Selector(exe=re.compile("^/x$"))]
    assert missed(actions, processes, expected, protect=protect, exclude="spared") == said


@pytest.mark.parametrize(
    ("observe", "expected", "said"),
    [
        (True, "10s a term", "monitor 'm' only says what it would do; write would term"),
        (False, "10s a would term", "monitor 'm' does it, and not only says so; write term"),
    ],
)
def test_what_a_monitor_only_says_is_not_what_it_does(observe, expected, said):
    assert missed({"rmem > 1g": "term"}, HOG, expected, observe=observe) == said


def test_what_is_said_again_and_again_is_kept_once():
    processes = "a: {cmdline: hog, rmem: 2gx9 1m 2gx20}"
    _, said, _ = played({"rmem > 1g for 4m": ["term", "log @ 1m x"], "pmem > 1k": "hup"}, processes, "nothing")
    heard = [
        (each.at, each.last, each.kind.value) for each in said if each.monitor == "m" and each.kind is not Kind.FIRE
    ]
    assert heard == [(0, 90, "pending"), (0, 300, "unknown"), (110, 300, "pending")]
