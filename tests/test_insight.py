import re
from math import inf

import pytest

from fallfromgrace.expression import Scope
from fallfromgrace.insight import Due, measures, stories, story
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.rules import Selector
from fallfromgrace.verdict import Result
from tests.builders import MIB, OUR_PID, Life, Seen, monitor, process
from tests.builders import verdict as made_up

HOG = process(100)
MEMORY = {"vmem": 4096 * MIB, "stopped": 0}


def hog(rmem, **other):
    return {**MEMORY, "rmem": rmem * MIB, **other}


def told(rules, *looks, result=Result.SENT, who=HOG, **other):
    """The stories of the last of several looks at a process, at which nothing is done; (when, sample)."""
    whole = {key: other.pop(key) for key in ("interval", "only_uid", "protect", "machine") if key in other}
    life = Life(monitor(rules, **other), **whole)
    *before, (now, seen) = looks
    for at, sample in before:
        life.look(at, (who, sample), result=result)
    verdicts = life.sweep(now, [(who, seen)])
    return list(stories(life.engine, life.seen, verdicts, life.seen.cases))


def one(rule, actions, *looks, **other):
    (only,) = told({rule: actions}, *looks, **other)
    return only


# --- comparisons ---

TEN = {"rmem": 10 * MIB, "vmem": 20 * MIB, "swap": 0, "system__available": 50, "memory": 1000, "group__rmem": MIB}


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("rmem > 20m", [("rmem > 20m", False, "10m", "20m", 0.5)]),
        ("20m < rmem", [("20m < rmem", False, "10m", "20m", 0.5)]),
        ("rmem >= 5m", [("rmem >= 5m", True, "10m", "5m", 2.0)]),
        ("rmem < 5m", [("rmem < 5m", False, "10m", "5m", 0.5)]),
        ("rmem <= 20m", [("rmem <= 20m", True, "10m", "20m", 2.0)]),
        ("5m > rmem", [("5m > rmem", False, "10m", "5m", 0.5)]),
        ("not rmem < 20m", [("rmem < 20m", True, "10m", "20m", 0.5)]),
        ("not not rmem > 20m", [("rmem > 20m", False, "10m", "20m", 0.5)]),
        ("rmem > vmem", [("rmem > vmem", False, "10m", "20m", 0.5)]),
        ("rmem == 20m", [("rmem == 20m", False, "10m", "20m", None)]),
        ("rmem > 0", [("rmem > 0", True, "10m", "0", None)]),
        ("swap > 1m", [("swap > 1m", False, "0", "1m", 0.0)]),
        ("swap < 1m", [("swap < 1m", True, "0", "1m", None)]),
        ("system.available < 10%", [("system.available < 10%", True, "50", "100", 2.0)]),
        ("pmem > 20m", [("pmem > 20m", None, "unknown", "20m", None)]),
        (
            "rmem > 20m or not (vmem < 40m and group.rmem > 1m)",
            [
                ("rmem > 20m", False, "10m", "20m", 0.5),
                ("vmem < 40m", True, "20m", "40m", 0.5),
                ("group.rmem > 1m", False, "1m", "1m", 1.0),
            ],
        ),
    ],
)
def test_each_comparison_says_how_much_of_the_way_to_its_limit_it_has_come(trigger, expected):
    fires = monitor({trigger: "term"}).rules[0].trigger.fires
    assert [tuple(each) for each in measures(fires, Seen(**TEN))] == expected


def test_what_is_known_to_lie_between_bounds_has_no_share_but_may_decide():
    fires = monitor({"pmem > 20m": "term"}).rules[0].trigger.fires
    assert measures(fires, Seen(pmem=(0, 10 * MIB))) == (("pmem > 20m", False, "at most 10m", "20m", None),)


def test_nothing_is_measured_where_there_is_no_until():
    assert measures(None, Seen()) == ()


# --- what comes next ---

LARGE, SMALL = hog(1000), hog(500)


@pytest.mark.parametrize(
    ("rule", "actions", "looks", "expected"),
    [
        ("rmem > 900m", "term", [(0, SMALL)], "nothing, unless rmem rises above 900m (it is 500m)"),
        ("rmem > 900m for 5m", "term", [(0, SMALL)], "nothing, unless rmem rises above 900m (it is 500m) for 5m"),
        ("900m < rmem", "term", [(0, SMALL)], "nothing, unless rmem rises above 900m (it is 500m)"),
        ("rmem >= 900m", "term", [(0, SMALL)], "nothing, unless rmem rises to 900m (it is 500m)"),
        ("rmem < 100m", "term", [(0, SMALL)], "nothing, unless rmem falls below 100m (it is 500m)"),
        ("rmem <= 100m", "term", [(0, SMALL)], "nothing, unless rmem falls to 100m (it is 500m)"),
        ("rmem == 1m", "term", [(0, SMALL)], "nothing, unless rmem comes to 1m (it is 500m)"),
        ("rmem != 500m", "term", [(0, SMALL)], "nothing, unless rmem comes to something else than 500m (it is 500m)"),
        ("not rmem < 900m", "term", [(0, SMALL)], "nothing, unless rmem rises to 900m (it is 500m)"),
        ("rmem > vmem", "term", [(0, SMALL)], "nothing, unless rmem rises above vmem, which is 4g (it is 500m)"),
        (
            "rmem > 900m and vmem > 3g and not (rmem < 1g and vmem > 2g)",
            "term",
            [(0, SMALL)],
            "nothing, unless rmem rises above 900m (it is 500m) and (rmem rises to 1g (it is 500m) or vmem falls to 2g "
            "(it is 4g))",
        ),
        (
            "rmem > 900m or vmem > 5g",
            "term",
            [(0, SMALL)],
            "nothing, unless rmem rises above 900m (it is 500m) or vmem rises above 5g (it is 4g)",
        ),
        (
            "rmem > 1g or rmem > 2g or rmem > 3g or rmem > 4g or rmem > 5g",
            "term",
            [(0, SMALL)],
            "nothing, unless its condition holds",
        ),
        (
            "rmem > 400m until rmem < 600m",
            "term",
            [(0, SMALL)],
            "nothing, unless rmem rises to 600m (it is 500m)",
        ),
        ("count > 3", "term", [(0, SMALL)], "nothing, unless count rises above 3 (it is 1)"),
        # It waits.
        (
            "rmem > 900m for 5m",
            ["exec @ 1h echo", "term"],
            [(0, LARGE), (220, LARGE)],
            "fires in 1m20s if it still holds, then: exec @ 1h, term",
        ),
        (
            "rmem > 900m for 5m",
            ["after 30s kill", "recovered log fine"],
            [(0, LARGE), (220, LARGE)],
            "fires in 1m20s if it still holds, then: 30s later kill",
        ),
        (
            "rmem > 900m for 5m",
            "recovered log fine",
            [(0, LARGE), (220, LARGE)],
            "fires in 1m20s if it still holds, then: nothing until it recovers",
        ),
        (
            "rmem > 900m for 1m",
            "exec @ 1h echo",
            [(0, LARGE), (60, LARGE), (70, SMALL), (80, LARGE)],
            "fires in 1m if it still holds, then: exec @ 1h (not for another 59m40s)",
        ),
        # It fires.
        ("rmem > 900m", "term", [(0, LARGE)], "due now: term"),
        ("rmem > 900m", ["exec @ 1h echo", "log a"], [(0, LARGE)], "due now: exec @ 1h, log"),
        (
            "rmem > 900m",
            "term",
            [(0, LARGE), (9, LARGE)],
            "nothing more is to be done until it recovers, when rmem falls to 900m (it is 1000m)",
        ),
        (
            "rmem > 900m and vmem > 1g",
            "term",
            [(0, LARGE), (9, LARGE)],
            "nothing more is to be done until it recovers, when rmem falls to 900m (it is 1000m) or vmem falls to 1g "
            "(it is 4g)",
        ),
        (
            "rmem > 900m until rmem < 700m for 1m",
            ["term", "recovered log fine"],
            [(0, LARGE), (9, hog(800))],
            "nothing more is to be done until it recovers, when rmem falls below 700m (it is 800m) for 1m; then: log",
        ),
        (
            "rmem > 900m until rmem < 700m for 1m",
            "term",
            [(0, LARGE), (9, SMALL), (19, SMALL)],
            "it recovers in 50s if rmem < 700m still holds",
        ),
        ("rmem > 900m", "term @ 1m", [(0, LARGE), (9, LARGE)], "term @ 1m is due in 51s"),
        ("rmem > 900m", ["log a", "after 30s kill"], [(0, LARGE), (5, LARGE)], "step 2 of 2 in 25s: kill"),
        (
            "rmem > 900m",
            ["log @ 1m a", "log @ 10s b", "after 30s kill"],
            [(0, LARGE), (5, LARGE)],
            "log @ 10s is due in 5s; step 2 of 2 in 25s: kill",  # what is due later is not in force any more by then
        ),
        (
            "rmem > 900m",
            ["after 30s term", "after 10s kill"],
            [(0, LARGE), (30, LARGE), (33, LARGE)],
            "step 3 of 3 in 7s: kill",
        ),
        (
            "rmem > 900m",
            "stop @ 10m",
            [(0, LARGE), (9, hog(1000, stopped=1))],
            "it is stopped: stop @ 10m is due when it has been continued and has run for 10m",
        ),
        (
            "rmem > 900m",
            "stop @ 10m",
            [(0, hog(1000, stopped=1))],  # by somebody else
            "it is stopped: stop @ 10m is due when it has been continued",
        ),
        (
            "rmem > 900m",
            "stop @ 10m",
            [(0, LARGE), (9, hog(1000, stopped=1)), (60, LARGE), (408, LARGE)],
            "stop @ 10m is due in 4m12s, when it has run for 10m",
        ),
        (
            "rmem > 900m",
            ["term", "recovered log fine"],
            [(0, LARGE), (9, SMALL)],
            "it has recovered; due now: log",
        ),
        (
            "rmem > 900m",
            ["term", "recovered log fine"],
            [(0, LARGE), (9, SMALL), (12, SMALL)],
            "nothing, unless rmem rises above 900m (it is 500m)",
        ),
        # Its age.
        ("age > 1h", "after 30s kill", [(0, {"age": 3000.0})], "fires in 10m, by its age, then: 30s later kill"),
        ("age > 1h for 1m", "kill", [(0, {"age": 3000.0})], "fires in 11m, by its age, then: kill"),
        ("age > 1h until rmem > 1g", "kill", [(0, hog(500, age=3000.0))], "fires in 10m, by its age, then: kill"),
        (
            "age > 1h and rmem > 900m",
            "kill",
            [(0, hog(500, age=3000.0))],
            "nothing, unless age rises above 1h (it is 50m) and rmem rises above 900m (it is 500m)",
        ),
        ("age < 1h", "term", [(0, {"age": 3000.0}), (9, {"age": 3000.0})], "it recovers in 10m, by its age"),
        (
            "rmem > 900m until age > 1h",
            "term",
            [(0, hog(1000, age=3000.0)), (9, hog(1000, age=3000.0))],
            "it recovers in 10m, by its age",
        ),
        (
            "rmem > 900m until age > 1h and age > 2h",
            "term",
            [(0, hog(1000, age=3000.0)), (9, hog(800, age=3000.0))],
            "it recovers in 1h10m, by its age",
        ),
        (
            "rmem > 900m until age > 1h for 5m",
            "term",
            [(0, hog(1000, age=3000.0)), (9, hog(1000, age=3000.0))],
            "it recovers in 15m, by its age",
        ),
        (
            "age < 1h",
            ["term", "after 5m log x", "after 10m kill", "recovered log fine"],
            [(0, {"age": 3000.0}), (9, {"age": 3000.0})],
            "step 2 of 3 in 4m51s: log; it recovers in 10m, by its age, then: log",
        ),
        (
            "age < 1h",
            ["log x @ 20m", "recovered log fine"],
            [(0, {"age": 3000.0})],
            "due now: log; it recovers in 10m, by its age, then: log",
        ),
        (
            "age < 1h for 20m",
            "term",
            [(0, {"age": 3000.0})],
            "nothing: it would fire in 20m, and holds for another 10m only, by its age",
        ),
        ("age < 1h for 5m", "term", [(0, {"age": 3000.0})], "fires in 5m if it still holds, then: term"),
        ("1h < age < 2h for 30m", "term", [(0, {"age": 3000.0})], "fires in 40m, by its age, then: term"),
        (
            "1h < age < 2h for 90m",
            "term",
            [(0, {"age": 3000.0})],
            "nothing, unless age rises above 1h (it is 50m) for 90m",
        ),
        # It is not known.
        ("pmem > 20m", "term", [(0, SMALL)], "nothing until pmem can be read"),
        (
            "pmem > 20m and fds > 3 or read > 1m/s",
            "term",
            [(0, {"rmem": 40 * MIB, "vmem": 50 * MIB})],
            "nothing until pmem, fds and read can be read",
        ),
        (
            "cpu > 90%",
            "term",
            [(0, {"cputime": 1.0, "age": 100.0, "stopped": 0})],
            "it depends on cpu, which is known after 10s of watching",
        ),
        (
            "cpu > 90%",
            "term",
            [(0, {"cputime": 1.0, "age": 100.0, "stopped": 1})],
            "nothing until it is continued, for cpu of what is stopped is not known",
        ),
        (
            "growth(rmem, 10m) > 5m",
            "term",
            [(0, LARGE)],
            "it depends on growth(rmem, 10m), which is known after 10m of watching",
        ),
        (
            "rmem / swap > 2",
            "term",
            [(0, hog(500, swap=0, pmem=1, umem=1))],
            "nothing until it is known what it calculates: it divides by nothing, or the machine cannot be read",
        ),
        ("swap > 1m", "term", [(0, hog(500, swap=2 * MIB)), (9, SMALL)], "nothing until swap can be read"),
        (
            "rmem > 900m until swap < 1m",
            "term",
            [(0, LARGE)],
            "fires as soon as swap can be read, if it has not recovered by then",
        ),
    ],
)
def test_what_comes_next_is_said_in_a_sentence(rule, actions, looks, expected):
    assert one(rule, actions, *looks).next == expected


def test_what_cannot_be_done_is_said_with_the_reason():
    assert one("rmem > 900m", ["term", "nice 5"], (0, LARGE), only_uid=5).next == (
        "nothing: it belongs to another user (term, nice 5)"
    )
    protect = [Selector(re.compile("hog"))]
    assert one("rmem > 900m", "term", (0, LARGE), protect=protect).next == "nothing: it is protected (term)"
    assert one("rmem > 900m", ["term", "log x"], (0, LARGE), protect=protect).next == (
        "due now: log; not term: it is protected"
    )
    us = process(OUR_PID)
    assert one("rmem > 900m", "term", (0, LARGE), who=us).next == "nothing: this is fall-from-grace itself (term)"


def test_what_comes_of_who_is_left_alone_is_said_to_be_telling_only():
    protect = [Selector(re.compile("hog"))]
    only_told = "(only log and notify are done: it is protected)"
    assert one("rmem > 900m for 1m", ["log x", "term"], (0, LARGE), protect=protect).next == (
        f"fires in 1m if it still holds, then: log, term {only_told}"
    )
    assert one("rmem > 900m", ["log x", "after 1m kill"], (0, LARGE), (9, LARGE), protect=protect).next == (
        f"step 2 of 2 in 51s: kill {only_told}"
    )
    assert one("rmem > 900m for 1m", "log x", (0, LARGE), protect=protect).next.endswith("then: log")
    assert one("rmem > 900m for 1m", "term tree", (0, LARGE), protect=protect).next.endswith("then: term tree")


def test_what_failed_is_tried_again():
    found = one("rmem > 900m", "term", (0, LARGE), (4, LARGE), result=Result.DENIED)
    assert found.next == "term is tried again in 6s"
    assert found.due == (Due("term", 10.0),)


def test_of_two_rules_that_signal_the_weaker_waits():
    first, second = told({"rmem > 900m": "stop @ 10m", "rmem > 800m": "term"}, (0, LARGE))
    assert first.next == "nothing: a stronger signal is sent (stop @ 10m)"
    assert second.next == "due now: term"


def test_a_signal_that_waits_for_another_one_comes_right_after_it():
    first, second = told({"rmem > 900m": "usr1", "rmem > 800m": ["usr2 @ 1m", "log x"]}, (0, LARGE))
    assert first.next == "due now: usr1"
    assert second.next == "due now: log; usr2 @ 1m is due right after, for a stronger signal is sent"
    first, second = told({"rmem > 900m": "term", "rmem > 800m": "term"}, (0, LARGE))
    assert (first.next, second.next) == (
        "due now: term",
        "term is due right after, for another rule sends the same signal",
    )


def test_one_who_is_left_alone_does_not_stand_for_all():
    """Of two one is protected, and to the other one another signal is sent first."""
    crowd = [(process(101, "hog"), hog(500)), (process(102, "hog holy"), hog(500))]
    life = Life(monitor({"group.rmem > 900m": ["usr1", "usr2"]}), protect=[Selector(re.compile("holy"))])
    verdicts = life.sweep(0, crowd)
    (found,) = stories(life.engine, life.seen, verdicts, life.seen.cases)
    assert found.next == ("due now: usr1 (pid 101); usr2 (pid 101) is due right after, for a stronger signal is sent")


def test_what_is_only_observed_is_said_to_be():
    assert one("rmem > 900m", "term", (0, LARGE), observe=True).next == (
        "due now: term (only observed: it is logged, and not done)"
    )
    assert one("rmem > 900m", "term", (0, SMALL), observe=True).next.endswith("(it is 500m)")


def test_of_several_whom_an_action_is_for_some_are_named():
    crowd = [(process(pid), hog(10 * pid)) for pid in range(101, 106)]
    life = Life(monitor({"group.rmem > 1g": "term", "count > 4": "kill largest"}))
    verdicts = life.sweep(0, crowd)
    group, largest = stories(life.engine, life.seen, verdicts, life.seen.cases)
    assert group.next == "due now: term (pid 101, 102, 103 and 1 more)"  # 105 is sent a stronger one
    assert largest.next == "due now: kill largest (pid 105)"
    assert (group.identity, largest.identity) == (None, None)


def test_a_rule_about_nobody_waits_for_somebody():
    life = Life(monitor({"count < 1": "exec start-it", "rmem > 1m": "term"}))
    verdicts = life.sweep(0, [])
    (only,) = stories(life.engine, life.seen, verdicts, life.seen.cases)
    assert (only.next, only.identity, only.phase) == ("due now: exec", None, Phase.FIRING)


# --- how far it has come ---


def test_a_story_has_the_phase_since_when_and_on_which_step():
    actions = ["log @ 1h a", "after 30s term @ 20s", "after 1m kill"]
    found = one("rmem > 900m for 1m", actions, (0, LARGE), (60, LARGE), (90, LARGE), (95, LARGE))
    assert (found.phase, found.since, found.rung, found.holds, found.until) == (Phase.FIRING, 60, 1, True, False)
    assert found.due == (Due("term @ 20s", 110.0), Due("log @ 1h a", 3660.0))
    assert found.next == "term @ 20s is due in 15s; step 3 of 3 in 55s: kill"


def test_since_when_nothing_happens_is_known_only_after_a_firing_that_did_something():
    assert one("rmem > 900m", "term", (0, SMALL)).since is None
    assert one("rmem > 900m until rmem < 700m", "term", (5, SMALL)).since is None
    assert one("rmem > 900m", ["term", "recovered log a"], (0, LARGE), (9, SMALL)).since == 9


def test_a_limit_that_runs_on_is_told_while_nothing_fires():
    found = one("rmem > 900m", ["log @ 1h a", "term"], (0, LARGE), (9, SMALL))
    assert (found.phase, found.due) == (Phase.INACTIVE, (Due("log @ 1h a", 3600.0),))


def test_what_is_due_at_once_and_what_is_done_have_no_time():
    assert one("rmem > 900m", "term", (0, LARGE)).due == (Due("term", -inf),)
    assert one("rmem > 900m", "term", (0, LARGE), (9, LARGE)).due == (Due("term", inf),)


def test_both_parts_are_shown_as_they_are_whatever_decides():
    found = one("rmem > 900m until rmem < 700m for 1m", "term", (0, LARGE), (9, SMALL))
    assert (found.phase, found.holds, found.until) == (Phase.FIRING, False, True)
    assert [each.text for each in (*found.measures, *found.until_measures)] == ["rmem > 900m", "rmem < 700m"]


def test_a_rule_that_fires_and_cannot_be_known_says_so():
    found = one("swap > 1m", "term @ 1m", (0, hog(500, swap=2 * MIB)), (9, SMALL))
    assert (found.phase, found.known, found.holds) == (Phase.FIRING, False, None)
    assert found.due == (Due("term @ 1m", 60.0),)


def test_of_what_the_sweep_said_nothing_about_the_times_are_known_all_the_same():
    """As where a daemon knows that it fires, and we cannot read why."""
    life = Life(monitor({"swap > 1m": ["stop @ 1m", "log @ 30s x"]}))
    life.look(0, (HOG, hog(500, swap=2 * MIB)))
    kept = dict(life.engine.memory.instances)
    verdicts = life.sweep(9, [(HOG, SMALL)])
    life.engine.memory.instances.update(kept)
    (case,) = life.seen.cases
    found = story(life.engine, life.seen, verdicts, case)
    assert (found.phase, found.known) == (Phase.FIRING, True)
    assert found.next == "log @ 30s is due in 21s; stop @ 1m is due in 51s, when it has run for 1m"


def test_what_only_the_daemon_can_know_may_come_at_once():
    """Its time has passed, and the daemon has watched for longer than we have."""
    life = Life(monitor({"growth(rmem, 10m) > 5m for 1m": "log x"}))
    verdicts = life.sweep(100, [(HOG, LARGE)])
    (case,) = life.seen.cases
    life.engine.memory.keep(case.key, Instance(Phase.PENDING, since=40.0))
    assert story(life.engine, life.seen, verdicts, case).next == (
        "fires if it still holds; it depends on growth(rmem, 10m), which is known after 10m of watching"
    )


def test_verdicts_of_others_are_passed_over():
    life = Life(monitor({"rmem > 900m": "term"}))
    verdicts = [made_up("kill"), *life.sweep(0, [(HOG, LARGE), (process(200), LARGE)])]
    found = list(stories(life.engine, life.seen, verdicts, life.seen.cases))
    assert [(each.identity, each.next) for each in found] == [(HOG.id, "due now: term"), ((200, 200), "due now: term")]
    assert story(life.engine, life.seen, verdicts, life.seen.cases[0]) == found[0]
    assert life.seen.members(life.seen.cases[0], Scope.OWN) == (HOG.id,)
