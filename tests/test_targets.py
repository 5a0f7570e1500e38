"""Whom an action is for, by what the engine makes of it."""

import re

import pytest

from fallfromgrace.readings import Facet
from fallfromgrace.rules import Selector
from fallfromgrace.verdict import Kind, Result
from tests.builders import MIB, Life, monitor, process

TOP = process(100, "hog top")
KID = process(101, "kid", ppid=100)
GRANDKID = process(102, "grandkid", ppid=101)
SECOND = process(200, "hog second")
STRANGER = process(300, "stranger")
ALL = [(TOP, 600), (KID, 10), (GRANDKID, 20), (SECOND, 10), (STRANGER, 10)]


def done(life, now=0, seen=ALL, **more):
    return sorted((pid, action.split(" @")[0]) for pid, action in life.look(now, *seen, **more))


@pytest.mark.parametrize(
    ("action", "pids"),
    [
        ("term", [100]),
        ("term tree", [100, 101, 102]),
        ("term group", [100, 200]),
        ("term largest", [100]),
        ("nice 5 tree", [100, 101, 102]),
        ("oom 5 group", [100, 200]),
        ("exec x", [100]),
    ],
)
def test_an_action_is_for_the_process_its_tree_its_group_or_the_largest(action, pids):
    assert [pid for pid, _ in done(Life(monitor({"rmem > 500m": action})))] == pids


@pytest.mark.parametrize(
    ("action", "pids"),
    [("term", [100, 200]), ("term group", [100, 200]), ("term largest", [100]), ("exec x", [None]), ("log x", [None])],
)
def test_a_rule_about_what_is_covered_is_for_all_of_it_and_a_command_is_run_once(action, pids):
    assert [pid for pid, _ in done(Life(monitor({"group.rmem > 500m": action})))] == pids


def test_parents_and_children_are_told_apart_by_their_depth_so_that_parents_can_come_first():
    life = Life(monitor({"rmem > 500m": "term tree"}))
    assert [(v.process.id.pid, v.target.depth) for v in life.sweep(0, ALL)] == [(102, 2), (101, 1), (100, 0)]


def test_once_a_tree_was_told_newcomers_are_not_and_those_missed_are_tried_again():
    life = Life(monitor({"rmem > 500m": "term tree"}), interval=10)
    assert len(done(life, 0, results={101: Result.DENIED})) == 3
    newcomer = process(103, "new", ppid=100)
    assert done(life, 10, [*ALL, (newcomer, 1)]) == [(101, "term tree")]
    assert done(life, 20, [*ALL, (newcomer, 1)]) == []


def test_with_a_limit_each_of_a_tree_has_its_own():
    life = Life(monitor({"rmem > 500m": "term tree @ 1m"}))
    assert len(done(life)) == 3
    newcomer = process(103, "new", ppid=100)
    assert done(life, 10, [*ALL, (newcomer, 1)]) == [(103, "term tree")]
    assert len(done(life, 60, ALL)) == 3


# --- the largest ---


def sized(**pmem):
    """Two hogs with the same resident memory, and what their proportional is."""
    return [
        (TOP, {"rmem": 600 * MIB, "pmem": pmem["top"] * MIB}),
        (SECOND, {"rmem": 500 * MIB, "pmem": pmem["second"] * MIB}),
    ]


SHORT = {"group.rmem > 1000m": "term largest @ 1m"}


@pytest.mark.parametrize(("pmem", "pid"), [({"top": 300, "second": 400}, 200), ({"top": 550, "second": 490}, 100)])
def test_the_largest_is_who_has_the_most_proportional_memory(pmem, pid):
    assert [found for found, _ in done(Life(monitor(SHORT)), 0, sized(**pmem))] == [pid]


def test_proportional_memory_is_read_only_of_who_may_still_be_the_largest():
    life = Life(monitor(SHORT))
    done(life, 0, sized(top=550, second=490))
    assert [want.identity.pid for want in life.reads if want.facet is Facet.ROLLUP] == [100]


def test_where_it_cannot_be_read_resident_memory_counts():
    seen = [(TOP, {"rmem": 600 * MIB}), (SECOND, {"rmem": 500 * MIB})]
    assert [pid for pid, _ in done(Life(monitor(SHORT)), 0, seen)] == [100]


def test_nobody_is_read_for_a_largest_that_is_not_asked_for():
    life = Life(monitor({"group.rmem > 9g": "term largest @ 1m"}))
    done(life, 0, sized(top=550, second=490))
    assert not [want for want in life.reads if want.facet is Facet.ROLLUP]


def test_who_was_chosen_as_the_largest_stays_so_until_it_is_done():
    life = Life(monitor({"group.rmem > 1000m": "term largest"}), interval=10)
    assert done(life, 0, sized(top=550, second=490), result=Result.FAILED) == [(100, "term largest")]
    assert done(life, 10, sized(top=100, second=490)) == [(100, "term largest")]
    assert done(life, 20, sized(top=100, second=490)) == []


def test_with_a_limit_the_next_largest_is_taken_when_the_first_has_ended():
    life = Life(monitor({"group.rmem > 100m": "term largest @ 1h"}))
    assert done(life, 0, sized(top=550, second=490)) == [(100, "term largest")]
    assert done(life, 10, sized(top=550, second=490)) == []
    assert done(life, 20, sized(top=550, second=490)[1:]) == [(200, "term largest")]


# --- who is left alone ---


def kinds(life, seen=ALL, **more):
    return sorted((v.process.id.pid, v.kind, v.reason) for v in life.sweep(0, seen, **more) if v.process)


def test_protected_members_are_skipped_with_the_reason_and_the_rest_goes_on():
    life = Life(monitor({"rmem > 500m": "term tree"}), protect=[Selector(re.compile("^kid"))])
    assert kinds(life) == [
        (100, Kind.FIRE, ""), (101, Kind.PROTECTED, "it is protected"), (102, Kind.FIRE, "")
    ]  # fmt: skip


def test_the_largest_is_chosen_among_those_who_may_be_touched():
    life = Life(monitor(SHORT), protect=[Selector(re.compile("top"))])
    assert kinds(life, sized(top=550, second=490)) == [
        (100, Kind.PROTECTED, "it is protected"), (200, Kind.FIRE, "")
    ]  # fmt: skip


def test_what_a_monitor_leaves_alone_is_left_alone_in_a_tree_too():
    final = monitor({"rmem > 9g": "log x"}, "final", "^grandkid", final=True)
    excluding = monitor({"rmem > 500m": "term tree"}, "later", "hog", exclude="^kid")
    assert kinds(Life(final, excluding)) == [
        (100, Kind.FIRE, ""), (101, Kind.SPARED, "it is excluded"), (102, Kind.SPARED, "'final' is final for it")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "kind"), [("log x", Kind.FIRE), ("notify x", Kind.FIRE), ("exec x", Kind.PROTECTED)]
)
def test_one_who_is_protected_may_be_told_of(action, kind):
    life = Life(monitor({"rmem > 500m": action}))
    assert [v.kind for v in life.sweep(0, [(process(1, "hog"), 600)])] == [kind]


# --- notify ---


def test_each_owner_of_what_is_covered_is_told_once_and_if_there_is_nobody_the_log():
    life = Life(monitor({"count != 2": "notify @ 1h x"}))
    seen = [(process(10 + uid, uid=uid), 1) for uid in (1, 2, 1)] + [(process(50, uid=1), 1)]
    assert done(life, 0, seen[:2]) == []
    assert [pid for pid, _ in done(life, 1, seen)] == [11, 12]
    assert done(life, 2, seen) == []
    assert [pid for pid, _ in done(life, 3, [])] == [None]


def test_the_limit_of_notify_is_for_each_owner():
    life = Life(monitor({"rmem > 500m": "notify @ 1h x"}))
    seen = [(process(10, uid=1), 600), (process(11, uid=1), 600), (process(12, uid=2), 600)]
    assert [pid for pid, _ in done(life, 0, seen)] == [10, 12]
