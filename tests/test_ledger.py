"""What is published of what was done; times are arguments."""

import json

import mock
import pytest

from fallfromgrace import ledger
from fallfromgrace.coverage import Coverage
from fallfromgrace.ledger import BOUNDS, MOST_ACTIONS, MOST_LOOKS, MOST_PROBLEMS, MOST_PROCESSES, Ledger, Spread
from fallfromgrace.state import Moment
from fallfromgrace.verdict import Outcome, Result
from tests.builders import config, monitor, process, table, verdict

WRITTEN = Moment(5000.0, 100.0)
NO_MEMORY = MemoryError()
M = monitor({"rmem > 100m": "term"})


def status(kept, *monitors, processes=()):
    covered = Coverage(monitors).of(table(*processes))
    return json.loads(json.dumps(kept.status(config(*monitors), covered, WRITTEN)))


def outcome(result=Result.SENT, detail="", **other):
    return Outcome(verdict(**other), result, detail)


def test_an_action_is_published_with_its_time_by_both_clocks_and_how_long_it_took():
    kept = Ledger()
    kept.acted(outcome(name="m", process=process(7, "hog \udcff"), detail="x"), 90.0, 90.25)
    assert status(kept, M)["actions"] == [
        {
            "at": {"wall": 4990.25, "monotonic": 90.25}, "monitor": "m", "rule": "rmem > 100m", "action": "term",
            "pid": 7, "cmdline": "hog \udcff", "value": "200m", "limit": "100m", "result": "sent", "detail": "x",
            "recovered": False, "seconds": 0.25,
        }
    ]  # fmt: skip


def test_an_action_for_nobody_has_no_pid():
    kept = Ledger()
    kept.acted(outcome(Result.STARTED, action="exec x", trigger="count < 1", process=None), 90.0, 90.0)
    [found] = status(kept, M)["actions"]
    assert (found["pid"], found["cmdline"], found["action"]) == (None, "", "exec")


def test_the_last_hundred_are_kept_and_all_are_counted():
    kept = Ledger()
    for at in range(MOST_ACTIONS + 5):
        kept.acted(outcome(), float(at), float(at))
    kept.acted(outcome(Result.DENIED), 200.0, 200.0)
    found = status(kept, M)
    assert [len(found["actions"]), found["actions"][0]["at"]["monotonic"]] == [MOST_ACTIONS, 6.0]
    assert found["counters"] == [
        {"monitor": "m", "rule": "rmem > 100m", "action": "term", "result": result, "count": count}
        for result, count in [("sent", MOST_ACTIONS + 5), ("denied", 1)]
    ]
    assert found["reactions"]["count"] == MOST_ACTIONS + 5  # what was not done has none


def test_what_fails_at_each_interval_is_listed_once_and_counted_each_time():
    kept = Ledger()
    for at, detail in [(1.0, "busy"), (2.0, "busy"), (3.0, "gone mad")]:
        kept.acted(outcome(Result.FAILED, detail), at, at)
    found = status(kept, M)
    assert [each["detail"] for each in found["actions"]] == ["busy", "gone mad"]
    assert found["counters"][0]["count"] == 3


def test_what_a_new_configuration_no_longer_has_is_no_longer_counted():
    kept = Ledger()
    kept.acted(outcome(trigger="rmem > 100m"), 1.0, 1.0)
    kept.acted(outcome(trigger="rmem > 200m"), 1.0, 1.0)
    kept.reloaded(config(M), 50.0)
    assert [each["rule"] for each in status(kept, M)["counters"]] == ["rmem > 100m"]


def test_when_a_configuration_was_loaded_and_what_became_of_the_last_reload():
    kept = Ledger()
    kept.started(10.0)
    assert status(kept, M)["configuration"] == {
        "monitors": 1, "rules": 1, "loaded": {"wall": 4910.0, "monotonic": 10.0}, "taken": 0, "refused": 0, "last": None
    }  # fmt: skip
    kept.refused((f"problem {each}" for each in range(99)), 20.0)
    found = status(kept, M)["configuration"]
    assert (found["loaded"]["monotonic"], found["refused"], found["last"]["taken"]) == (10.0, 1, False)
    assert found["last"]["problems"] == [f"problem {each}" for each in range(MOST_PROBLEMS)]
    kept.reloaded(config(M), 30.0)
    found = status(kept, M)["configuration"]
    assert (found["loaded"]["monotonic"], found["taken"], found["last"]["taken"]) == (30.0, 1, True)


def test_what_monitors_are_about_and_whom_they_watch():
    family = monitor({"rmem > 1g": ["log x", "term"], "count < 1": "exec y"}, "family", "top", children=True)
    other = monitor({"rmem > 2g": "log z"}, "other", "top", observe=True)
    found = status(Ledger(), family, other, processes=[process(10, "top"), process(11, "kid", ppid=10)])
    assert found["monitors"][0] == {
        "name": "family",
        "observe": False,
        "rules": [
            {"trigger": "rmem > 1g", "text": "rmem > 1g", "actions": ["log x", "term"]},
            {"trigger": "count < 1", "text": "count < 1", "actions": ["exec y"]},
        ],
        "covered": 2,
        "processes": [
            {"pid": 10, "start": 10, "below": None, "cmdline": "top"},
            {"pid": 11, "start": 11, "below": 10, "cmdline": "kid"},
        ],
    }
    assert (found["monitors"][1]["observe"], found["watched"]) == (True, 2)


def test_of_very_many_processes_as_many_are_listed_as_there_is_room_for_and_all_are_counted():
    crowd = [process(pid, "hog" * 999) for pid in range(10, 1210)]
    found = status(Ledger(), M, monitor({"rmem > 2g": "log z"}, "n"), processes=crowd)
    assert [each["covered"] for each in found["monitors"]] == [1200, 1200]
    assert [len(each["processes"]) for each in found["monitors"]] == [MOST_PROCESSES, 0]
    assert len(found["monitors"][0]["processes"][0]["cmdline"]) == ledger.MOST_CHARACTERS
    assert found["watched"] == 1200


def test_the_same_coverage_is_written_out_once():
    kept, covered = Ledger(), Coverage([M]).of(table(process(10)))
    first = kept.status(config(M), covered, WRITTEN)
    assert kept.status(config(M), covered, WRITTEN)["monitors"] is first["monitors"]
    assert kept.status(config(M), Coverage([M]).of(table()), WRITTEN)["monitors"] != first["monitors"]


def test_what_looks_cost_the_last_and_all():
    kept = Ledger(start=77, cpu=lambda: 1.5)
    for _ in range(MOST_LOOKS + 1):
        kept.looked(0.25)
    found = status(kept, M)
    assert (found["start"], found["cpu"], found["interval"]) == (77, 1.5, 10.0)
    assert (found["looks"]["count"], found["looks"]["seconds"]) == (MOST_LOOKS + 1, 0.25 * (MOST_LOOKS + 1))
    assert found["looks"]["last"] == [0.25] * MOST_LOOKS


@pytest.mark.parametrize(
    ("seconds", "place"), [(0.0, 0), (BOUNDS[0], 0), (BOUNDS[0] * 1.01, 1), (BOUNDS[-1], -2), (99.0, -1)]
)
def test_a_class_has_its_upper_bound_in_it(seconds, place):
    spread = Spread()
    spread.add(seconds)
    assert spread.counts[place] == 1
    assert sum(spread.counts) == 1


def test_for_want_of_memory_something_is_missing_and_nothing_else_comes_of_it():
    kept = Ledger()
    with mock.patch.object(ledger, "_act", side_effect=NO_MEMORY):
        kept.acted(outcome(), 1.0, 1.0)
    with mock.patch.object(Ledger, "_settle", side_effect=NO_MEMORY):
        kept.reloaded(config(M), 1.0)
        kept.refused(["x"], 1.0)
    assert status(kept, M)["actions"] == []


def test_times_for_people_are_right_also_of_what_was_before_the_machine_slept():
    slept = [7.0]
    kept = Ledger(slept=lambda: slept[0])
    kept.started(10.0)
    kept.acted(outcome(), 20.0, 20.0)
    slept[0] += 3600.0
    kept.refused(["x"], 90.0)
    found = status(kept, M)
    assert found["configuration"]["loaded"] == {"wall": 4910.0 - 3600.0, "monotonic": 10.0}
    assert found["actions"][0]["at"] == {"wall": 4920.0 - 3600.0, "monotonic": 20.0}
    assert found["configuration"]["last"]["at"] == {"wall": 4990.0, "monotonic": 90.0}


def test_after_a_look_that_failed_the_monitors_are_there_and_nobody_is_watched():
    kept = Ledger()
    assert status(kept, M, processes=[process(10)])["watched"] == 1
    found = json.loads(json.dumps(kept.status(config(M), (), WRITTEN)))
    assert ([(each["name"], each["covered"]) for each in found["monitors"]], found["watched"]) == ([("m", 0)], 0)


def test_a_clock_that_was_set_back_makes_no_time_before_the_epoch():
    kept = Ledger()
    kept.started(1.0)
    found = kept.status(config(M), (), Moment(5.0, 100.0))
    assert found["configuration"]["loaded"] == {"wall": 0.0, "monotonic": 1.0}
