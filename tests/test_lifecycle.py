from math import inf
from types import MappingProxyType

import pytest

from fallfromgrace import lifecycle
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.lifecycle import NOBODY, Instance, Phase, RunningClock, Truth, advance, due_at, is_stop, observe
from fallfromgrace.records import replace
from fallfromgrace.rules import Item, make_rules
from fallfromgrace.table import ProcessId
from tests.builders import steps

BY = ("m", "stop @ 10m")
HOG, OTHER = ProcessId(100, 1), ProcessId(200, 2)


def rule(trigger, *actions):
    [made] = make_rules([(trigger, parse_trigger(trigger), steps(list(actions)))])
    return made


def item(text):
    return Item(parse_action(text).action, text, text)


def owing(**owed):
    return MappingProxyType({key: frozenset(left) for key, left in owed.items()})


def phases(trigger, *story):
    """The phases of an instance at (time, condition) or (time, condition, until)."""
    instance, found = Instance(), []
    for now, *truths in story:
        instance = advance(instance, parse_trigger(trigger), Truth(*truths), now)
        found.append(instance.phase.value)
    return found


OFF, P, F = "inactive", "pending", "firing"


@pytest.mark.parametrize(
    ("trigger", "story", "expected"),
    [
        ("rmem > 1", [(0, False), (1, True), (2, True), (3, False)], [OFF, F, F, OFF]),
        ("rmem > 1", [(0, True), (1, None), (2, False)], [F, F, OFF]),
        ("rmem > 1", [(0, None), (1, True)], [OFF, F]),
        ("rmem > 1 for 10s", [(0, True), (9.9, True), (10, True), (11, False)], [P, P, F, OFF]),
        ("rmem > 1 for 10s", [(0, True), (5, False), (6, True), (15, True), (16, True)], [P, OFF, P, P, F]),
        ("rmem > 1 for 10s", [(0, True), (5, None), (6, True), (15, True), (16, True)], [P, OFF, P, P, F]),
        ("rmem > 1 for 10s", [(0, True), (30, True)], [P, F]),
        ("rmem > 1 until rmem < 1", [(0, True, False), (1, False, False), (2, False, True)], [F, F, OFF]),
        ("rmem > 1 until rmem < 1", [(0, True, True), (1, True, False), (2, True, True)], [OFF, F, OFF]),
        ("rmem > 1 until rmem < 1", [(0, True, False), (1, None, False), (2, False, None)], [F, F, F]),
        (
            "rmem > 1 until rmem < 1 for 10s",
            [(0, True, False), (1, False, True), (5, False, False),
             (6, False, True), (15, False, True), (16, True, True)],
            [F, F, F, F, F, OFF],
        ),
        (
            "rmem > 1 for 10s until rmem < 1",
            [(0, True, False), (5, True, True), (6, True, False), (16, True, False)],
            [P, OFF, P, F],
        ),
    ],
)  # fmt: skip
def test_a_rule_fires_when_its_condition_has_held_at_every_look_and_until_it_ceases_to(trigger, story, expected):
    assert phases(trigger, *story) == expected


@pytest.mark.parametrize(
    ("trigger", "truth", "known"),
    [
        ("rmem > 1", Truth(True), True),
        ("rmem > 1", Truth(None), False),
        ("rmem > 1 until rmem < 1", Truth(None, False), True),
        ("rmem > 1 until rmem < 1", Truth(True, None), False),
    ],
)
def test_what_fires_does_nothing_while_what_decides_is_unknown(trigger, truth, known):
    firing = Instance(Phase.FIRING, acted=True)
    watched = rule(trigger, "term @ 1m", "after 5s kill")
    after = advance(firing, watched.trigger, truth, 10)
    assert (after.firing, after.known) == (True, known)
    assert bool(lifecycle.due_items(after, watched)) is known
    assert lifecycle.climb(after, watched, 10).rung == (1 if known else 0)


def test_a_rule_whose_until_is_unknown_does_not_begin_to_fire_before_that_is_known_and_skips_no_rung_then():
    watched = rule("rmem > 1 until swap < 1", "term", "after 30s kill")
    first = advance(Instance(), watched.trigger, Truth(True, None), 0)
    assert first.phase is Phase.PENDING
    known = lifecycle.climb(advance(first, watched.trigger, Truth(True, False), 60), watched, 60)
    assert [str(each.action) for each in lifecycle.due_items(known, watched)] == ["term"]


def test_rungs_are_climbed_one_at_a_time_each_after_the_one_before_was_reached():
    watched = rule("rmem > 1", "term", "after 10s int", "after 5s kill")
    instance, reached = Instance(Phase.FIRING, since=0, reached=0), []
    for now in (0, 9.9, 12, 16.9, 17, 60):
        instance = lifecycle.climb(instance, watched, now)
        reached.append(str(lifecycle.due_items(instance, watched)[0].action))
    assert reached == ["term", "term", "int", "int", "kill", "kill"]


def test_a_late_look_does_not_skip_a_rung():
    watched = rule("rmem > 1", "term", "after 10s int", "after 5s kill")
    late = lifecycle.climb(Instance(Phase.FIRING), watched, 100)
    assert (late.rung, late.reached) == (1, 100)


def test_what_comes_before_the_first_after_is_the_first_rung_and_what_has_none_joins_the_one_before():
    watched = rule("rmem > 1", "log a", "log b", "after 5s log c", "recovered log d", "log e")
    rungs = [[str(each.action) for each in rung.items] for rung in watched.rungs]
    assert rungs == [["log a", "log b"], ["log c", "log e"]]
    assert [str(each.action) for each in watched.recovered] == ["log d"]
    assert rule("rmem > 1", "after 5s term").rungs[0].items == ()


# --- recovered ---


def test_what_has_acted_is_told_of_once_when_it_fires_no_more():
    watched = rule("rmem > 1", "term", "recovered log fine")
    acted = lifecycle.delivered(Instance(Phase.FIRING), watched.rungs[0].items[0], HOG)
    over = advance(acted, watched.trigger, Truth(False), 5)
    assert [str(each.action) for each in lifecycle.due_items(over, watched)] == ["log fine"]
    told = lifecycle.settled(lifecycle.delivered(over, watched.recovered[0], HOG), watched)
    assert lifecycle.due_items(told, watched) == ()
    assert told.idle


def test_what_has_not_acted_recovers_silently():
    watched = rule("rmem > 1", "term", "recovered log fine")
    over = advance(Instance(Phase.FIRING), watched.trigger, Truth(False), 5)
    assert lifecycle.due_items(over, watched) == ()


def test_a_recovery_that_could_not_be_told_stays_due_until_it_fires_again():
    watched = rule("rmem > 1 for 5s", "term", "recovered log fine")
    over = advance(Instance(Phase.FIRING, acted=True), watched.trigger, Truth(False), 5)
    pending = advance(over, watched.trigger, Truth(True), 6)
    assert (pending.phase, lifecycle.due_items(pending, watched)) == (Phase.PENDING, ())
    again = advance(pending, watched.trigger, Truth(False), 7)
    assert lifecycle.due_items(again, watched)
    firing = advance(advance(again, watched.trigger, Truth(True), 8), watched.trigger, Truth(True), 13)
    assert (firing.firing, firing.acted) == (True, False)


# --- what is owed to whom ---


def test_what_is_done_once_is_owed_to_those_it_was_begun_for_until_it_reached_them_or_they_ended():
    term = item("term")
    begun = lifecycle.begun(Instance(Phase.FIRING), term, {HOG, OTHER})
    assert begun.owed == {"term": {HOG, OTHER}}
    newcomer = ProcessId(300, 3)
    assert lifecycle.begun(begun, term, {HOG, newcomer}).owed == {"term": {HOG}}
    nobody = lifecycle.begun(Instance(Phase.FIRING), term, ())
    assert nobody.owed == {}  # it is begun with who comes later
    assert lifecycle.not_begun(begun, term).owed == {}
    done = lifecycle.delivered(begun, term, HOG)
    assert [due_at(term, done, who, None, None, stopped=False) for who in (HOG, OTHER, newcomer)] == [inf, -inf, inf]


@pytest.mark.parametrize(
    ("text", "ends"),
    [("term", True), ("kill", True), ("hup", True), ("stop @ 1m", False), ("cont", False), ("exec x", False)],
)  # fmt: skip
def test_who_was_told_to_end_is_remembered(text, ends):
    assert lifecycle.delivered(Instance(Phase.FIRING), item(text), HOG).told_to_end == ({HOG} if ends else set())


@pytest.mark.parametrize(
    ("text", "instance", "last", "due"),
    [
        ("term", Instance(Phase.FIRING), None, -inf),
        ("term", Instance(Phase.FIRING, owed=owing(term=[HOG])), None, -inf),
        ("term", Instance(Phase.FIRING, owed=owing(term=[])), None, inf),
        ("exec x", Instance(Phase.FIRING, owed=owing(term=[])), 5.0, -inf),
        ("exec @ 1h x", Instance(Phase.FIRING), None, -inf),
        ("exec @ 1h x", Instance(Phase.FIRING), 5.0, 3605.0),
        ("kill @ 1m", Instance(Phase.FIRING), 5.0, 65.0),
    ],
)
def test_without_a_limit_once_with_one_again_when_it_has_run_out(text, instance, last, due):
    assert due_at(item(text), instance, HOG, last, None, stopped=False) == due


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
    assert due_at(item("stop @ 10m"), Instance(Phase.FIRING), HOG, None, clock, stopped) == due


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
    assert [is_stop(item(text).action) for text in ("stop @ 1m", "stop tree @ 1m", "term", "exec stop")] == [
        True, True, False, False
    ]  # fmt: skip


# --- the passing of time ---


@pytest.mark.parametrize(
    ("instance", "times"),
    [
        (Instance(), []),
        (Instance(ending=7.0), []),
        (Instance(Phase.PENDING, since=5.0), [65.0]),
        (Instance(Phase.FIRING, since=5.0, reached=5.0), [15.0]),
        (Instance(Phase.FIRING, since=5.0, reached=15.0, rung=1, ending=20.0), [50.0]),
    ],
)
def test_an_instance_knows_when_it_changes_by_itself(instance, times):
    watched = rule("rmem > 1 for 1m until rmem < 1 for 30s", "term", "after 10s kill")
    assert list(lifecycle.next_at(instance, watched)) == times


# --- a new configuration ---


def test_with_the_same_actions_an_instance_keeps_its_rung_and_with_others_only_what_it_has_done():
    before = rule("rmem > 1", "term", "after 10s kill").ladder
    owed, told = owing(term=[], kill=[]), frozenset({HOG})
    instance = Instance(Phase.FIRING, rung=1, reached=10, acted=True, owed=owed, told_to_end=told)
    assert lifecycle.carried(instance, before, rule("rmem > 1", "TERM", "after 10s KILL"), 20) == instance
    changed = lifecycle.carried(instance, before, rule("rmem > 1", "term", "after 10s int"), 20)
    assert changed == replace(instance, rung=0, reached=20, owed=owing(term=[]))
    assert changed.owed["term"] == NOBODY
    harmless = lifecycle.carried(instance, before, rule("rmem > 1", "log x"), 20)
    assert (harmless.told_to_end, harmless.owed) == (frozenset(), {})
