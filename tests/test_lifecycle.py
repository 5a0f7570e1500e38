from math import inf

import pytest

from fallfromgrace.grammar import parse_action
from fallfromgrace.lifecycle import Instance, Phase, RunningClock, advance, delivered, due_at, is_stop, observe
from fallfromgrace.rules import Item

FIRING = Instance(Phase.FIRING, frozenset({"term"}), terminating=True)
BY = ("m", "stop @ 10m")


def item(text):
    return Item(parse_action(text), text)


@pytest.mark.parametrize(
    ("before", "holds", "after"),
    [
        (Instance(), True, Instance(Phase.FIRING)),
        (Instance(), False, Instance()),
        (Instance(), None, Instance()),
        (FIRING, True, FIRING),
        (FIRING, None, FIRING),
        (FIRING, False, Instance()),  # what was done is forgotten: it is due again when the rule fires again
    ],
)
def test_an_instance_follows_its_condition_and_what_is_unknown_changes_nothing(before, holds, after):
    assert advance(before, holds) == after


@pytest.mark.parametrize(("text", "ends"), [("term", True), ("kill", True), ("stop @ 1m", False), ("exec x", False)])
def test_what_was_delivered_is_remembered_and_whether_it_ends_the_process(text, ends):
    assert delivered(Instance(Phase.FIRING), item(text)) == Instance(Phase.FIRING, frozenset({text}), terminating=ends)


@pytest.mark.parametrize(
    ("text", "instance", "last", "due"),
    [
        ("term", Instance(Phase.FIRING), None, -inf),
        ("term", FIRING, None, inf),
        ("exec x", FIRING, 5.0, -inf),
        ("exec @ 1h x", FIRING, None, -inf),
        ("exec @ 1h x", FIRING, 5.0, 3605.0),
        ("kill @ 1m", Instance(Phase.FIRING), 5.0, 65.0),
    ],
)
def test_without_a_limit_once_with_one_again_when_it_has_run_out(text, instance, last, due):
    assert due_at(item(text), instance, last, None, stopped=False) == due


@pytest.mark.parametrize(
    ("clock", "stopped", "due"),
    [
        (None, False, -inf),
        (None, True, inf),  # somebody else stopped it: nothing to do
        (RunningClock(None, BY), True, inf),
        (RunningClock(50.0, BY), False, 650.0),
    ],
)
def test_a_stop_is_due_when_the_process_has_run_for_its_time(clock, stopped, due):
    assert due_at(item("stop @ 10m"), FIRING, None, clock, stopped) == due


@pytest.mark.parametrize(
    ("clock", "stopped", "after"),
    [
        (RunningClock(50.0, BY), True, RunningClock(None, BY)),
        (RunningClock(None, BY), True, RunningClock(None, BY)),
        (RunningClock(None, BY), False, RunningClock(70.0, BY)),
        (RunningClock(50.0, BY), False, RunningClock(50.0, BY)),  # never seen stopped: from the stop
    ],
)
def test_the_clock_starts_when_the_process_is_seen_running_again(clock, stopped, after):
    assert observe(clock, stopped, 70.0) == after


def test_only_stop_is_a_stop():
    assert [is_stop(item(text).action) for text in ("stop @ 1m", "term", "exec stop")] == [True, False, False]
