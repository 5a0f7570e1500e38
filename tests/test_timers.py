"""When something is due, by what is remembered: of real lives of rules, looked at some time later."""

import pytest

from fallfromgrace import timers
from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.table import ProcessId
from fallfromgrace.timers import Stopped, Timer, armed, lives, stopped
from fallfromgrace.verdict import Result
from tests.builders import Life, monitor, process

HOG = process(100)
STOPPED = HOG._replace(state="T")


def lived(actions, *looks, **other):
    """What is remembered after looks at (second, MiB), or at (second, process, MiB)."""
    life = Life(monitor(actions, **other))
    for now, *who, mib in looks:
        life.look(now, (who[0] if who else HOG, mib))
    return life.engine.memory


def due(memory, now):
    """What is armed, and in how many seconds."""
    return [(each.what, each.at - now) for each in armed(memory, now)]


@pytest.mark.parametrize(
    ("actions", "looks", "now", "expected"),
    [
        ({"rmem > 1g for 10m": "term"}, [(0, 2000)], 60, [("fires, if it goes on", 540)]),
        ({"rmem > 1g for 10m": "term"}, [(0, 2000), (10, 500)], 60, []),
        ({"rmem > 1g": "term"}, [(0, 2000)], 60, []),
        ({"rmem > 1g": ["term", "after 30s kill"]}, [(0, 2000)], 5, [("step 2: kill", 25)]),
        ({"rmem > 1g": ["after 1m exec x", "kill", "after 1h term"]}, [(0, 2000)], 5, [("step 2: exec, kill", 55)]),
        ({"rmem > 1g": ["after 1m exec x", "after 1h term"]}, [(0, 2000), (60, 2000)], 70, [("step 3: term", 3590)]),
        ({"rmem > 1g": ["term", "after 30s kill"]}, [(0, 2000)], 30, []),  # it is time, and nothing to wait for
        ({"rmem > 1g until rmem < 1g for 5m": "term"}, [(0, 2000)], 5, []),
        ({"rmem > 1g until rmem < 1g for 5m": "term"}, [(0, 2000), (10, 1)], 20, [("is over, if it goes on", 290)]),
        ({"rmem > 1g": "exec @ 1h x y"}, [(0, 2000)], 60, [("exec @ 1h may run again", 3540)]),
        ({"rmem > 1g": "log @ 1h x y"}, [(0, 2000)], 60, [("log @ 1h may be logged again", 3540)]),
        ({"rmem > 1g": "notify @ 1h x"}, [(0, 2000)], 60, [("notify @ 1h may be told again to user 1000", 3540)]),
        ({"rmem > 1g": "term @ 1m"}, [(0, 2000)], 20, [("term @ 1m may be sent again", 40)]),
        ({"rmem > 1g": "term @ 1m"}, [(0, 2000), (10, 5)], 20, [("term @ 1m may be sent again", 40)]),
        ({"rmem > 1g": "stop @ 10m"}, [(0, 2000)], 20, [("may be stopped again", 580)]),
        ({"rmem > 1g": "stop @ 10m"}, [(0, 2000), (10, STOPPED, 2000)], 20, []),
        ({"rmem > 1g": "stop @ 10m"}, [(0, 2000), (9, STOPPED, 2000), (15, 2000)], 20, [("may be stopped again", 595)]),
    ],
)
def test_what_is_due_when(actions, looks, now, expected):
    assert due(lived(actions, *looks), now) == expected


def test_what_is_over_is_left_out():
    memory = lived({"rmem > 1g": ["exec @ 1h x", "term @ 1m"]}, (0, 2000))
    assert len(armed(memory, 59.9)) == 2
    assert due(memory, 60) == [("exec @ 1h may run again", 3540)]
    assert due(memory, 3600) == []


def test_a_timer_says_whose_it_is_and_the_next_comes_first():
    memory = lived({"rmem > 1g": ["exec @ 1h x", "term @ 1m", "after 10m kill"], "vmem > 1g for 5m": "kill"}, (0, 2000))
    assert armed(memory, 0) == (
        Timer("m", "", HOG.id, "term @ 1m may be sent again", 60),
        Timer("m", "vmem > 1g for 5m", HOG.id, "fires, if it goes on", 300),
        Timer("m", "rmem > 1g", HOG.id, "step 2: kill", 600),
        Timer("m", "", None, "exec @ 1h may run again", 3600),
    )


def test_what_failed_is_tried_again():
    life = Life(monitor({"rmem > 1g": "term"}))
    life.look(0, (HOG, 2000), result=Result.FAILED)
    assert armed(life.engine.memory, 4) == (Timer("m", "rmem > 1g", HOG.id, "term is tried again", 10),)


def test_an_action_that_is_there_twice_has_a_timer_for_each():
    memory = lived({"rmem > 1g": "term @ 1m", "vmem > 1g": "term @ 1m"}, (0, 2000), (10, 2000))
    assert [each.at for each in armed(memory, 30)] == [60, 70]


def test_what_is_only_observed_is_not_said_to_be_stopped():
    memory = lived({"rmem > 1g": "stop @ 10m"}, (0, 2000), observe=True)
    assert due(memory, 20) == [("would be stopped again", 580)]
    memory = lived({"rmem > 1g": "stop @ 10m"}, (0, 2000), (10, STOPPED, 2000), observe=True)
    assert stopped(memory) == ()


def test_who_is_stopped_by_what():
    memory = lived({"rmem > 1g": "stop @ 10m"}, (0, 2000))
    assert stopped(memory) == ()  # as far as anybody has seen
    memory = lived({"rmem > 1g": "stop @ 10m"}, (0, 2000), (10, STOPPED, 2000))
    assert stopped(memory) == (Stopped("m", "stop @ 10m", HOG.id),)


def test_rules_that_fire_come_before_those_that_are_pending_the_longest_first():
    life = Life(monitor({"rmem > 1g": ["log x", "after 5s kill"], "rmem > 1g for 1h": "kill", "rmem > 9g": "term"}))
    kid = process(101)
    life.look(0, (HOG, 2000))
    life.look(10, (HOG, 2000), (kid, 2000))
    assert lives(life.engine.memory, 15) == (
        ("m", "rmem > 1g", HOG.id, Phase.FIRING, 15, 2, 2, True),
        ("m", "rmem > 1g", kid.id, Phase.FIRING, 5, 1, 2, True),
        ("m", "rmem > 1g for 1h", HOG.id, Phase.PENDING, 15, 1, 1, True),
        ("m", "rmem > 1g for 1h", kid.id, Phase.PENDING, 5, 1, 1, True),
    )


def test_a_rule_that_cannot_be_judged_any_more_is_known_to_be_that():
    life = Life(monitor({"rmem > 1g": "log x"}))
    life.look(0, (HOG, 2000))
    life.look(10, (HOG, {}))
    assert [(each.phase, each.known) for each in lives(life.engine.memory, 15)] == [(Phase.FIRING, False)]


def test_what_is_not_in_our_language_has_no_timer():
    memory = Memory(Ways({("m", "zmem >> 1"): (((0.0, ("zap",)), (9.0, ("zap",))), ())}))
    memory.instances[("m", "zmem >> 1"), None] = Instance(Phase.FIRING, ending=5.0)
    memory.instances[("m", "zmem >> 1"), HOG.id] = Instance(Phase.PENDING)
    memory.limits["m", "zap @ 1h", None] = 5.0
    memory.limits["m", "term", ProcessId(1, 1)] = 5.0
    memory.clocks[HOG.id, False] = RunningClock(5.0, ("m", "zap @ 1h"))
    assert armed(memory, 0) == (Timer("m", "zmem >> 1", None, "step 2: zap", 9),)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("term", "term"),
        ("kill tree @ 1m #2", "kill tree @ 1m"),
        ("exec @ 1h logger a #2", "exec @ 1h"),
        ("nice 10", "nice 10"),
        ("zap #2", "zap #2"),
    ],
)
def test_an_action_is_named_without_its_text(key, expected):
    assert timers.verb(key) == expected
