from itertools import pairwise

import pytest

from fallfromgrace import scenario
from fallfromgrace.rules import Selector, User
from fallfromgrace.staging import staged
from tests.builders import config, monitor


def stage(text, rules=None):
    (found,) = scenario.read("x", f"a test:\n{text}\n".encode()).scenarios
    return staged(found, rules or config(interval=10.0))


def seen(shown, name, what):
    """What is seen of a process over time; None where it is not known, `-` where it is not there."""
    found = {}
    for frame in shown.frames:
        who = next((each.id for each in frame.processes if shown.names[each.id] == name), None)
        found[frame.at] = "-" if who is None else frame.samples[who].get(what)
    return found


ONE = "  processes:\n    a: {{cmdline: x, {}}}\n  expect: nothing"


@pytest.mark.parametrize(
    ("keys", "what", "found"),
    [
        ("threads: 1 _ 3", "threads", {0: 1, 10: None, 20: 3}),
        ("threads: 1 2, starts: 5s", "threads", {0: "-", 5: 1, 15: 2}),
        ("threads: 1 2 3 4, ends: 15s", "threads", {0: 1, 10: 2, 15: "-"}),
        ("stopped: no yes _ no", "stopped", {0: 0, 10: 1, 20: None, 30: 0}),
        ("age: 1h, threads: 1", "age", {0: 3600, 10: 3610}),
        ("age: 1h, starts: 10s, threads: 1 2", "age", {0: "-", 10: 3600, 20: 3610}),
        ("cpu: 50% 200%", "cputime", {0: 0, 10: 5}),
        ("read: 0 1k/s 2k/s", "read_bytes", {0: 0, 10: 0, 20: 10240}),
        ("cputime: 1s 5s", "cputime", {0: 1, 10: 5}),
    ],
)
def test_what_is_seen_changes_step_by_step(keys, what, found):
    assert seen(stage(ONE.format(keys)), "a", what) == found


def test_what_only_grows_is_known_up_to_where_it_is_known_no_more_or_its_process_ends():
    shown = seen(stage(ONE.format("cpu: 100% _ 100%, ends: 30s")), "a", "cputime")
    assert {at: value for at, value in shown.items() if value != "-"} == pytest.approx(
        {0: 0, 9.999: 9.999, 10: None, 20: 10, 29.999: 19.999}
    )
    assert shown[30] == "-"


def test_of_the_machine_is_known_what_is_written():
    shown = stage("  machine: {memory: 8k, load: 1 2}\n  expect: nothing")
    assert [frame.samples[None] for frame in shown.frames] == [{"memory": 8192, "load": each} for each in (1, 2)]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("  expect: nothing", 10),
        ("  step: 1m\n  expect: nothing", 60),
        ("  until: 7s\n  expect: nothing", 7),
        ("  expect: 2m log x", 120),
        (ONE.format("threads: 1x5"), 50),
        (ONE.format("threads: 1x5, starts: 30s"), 80),
        (ONE.format("threads: 1x5, ends: 30s"), 30),
        ("  machine: {load: 1x7}\n  expect: nothing", 70),
    ],
)
def test_a_test_ends_with_the_last_of_what_is_written_or_when_it_is_said_to(text, until):
    shown = stage(text)
    assert (shown.until, max(shown.times)) == (until, until)


def test_everybody_is_looked_at_in_each_step_whatever_is_written_of_it():
    assert stage(f"  step: 1s\n  until: 5s\n{ONE.format('cpu: 90%')}").times == (0, 1, 2, 3, 4, 5)


def test_a_long_test_in_which_little_happens_is_few_frames_evenly_spread():
    times = stage(f"  until: 30d\n{ONE.format('cpu: 90%')}").times
    assert len(times) < 1002
    assert {round(later - one) for one, later in pairwise(times[:-1])} == {2600}


def test_a_process_is_below_its_parent_for_as_long_as_that_is_there():
    shown = stage("""\
  processes:
    kid: {cmdline: x, starts: 5s, parent: dad}
    dad: {cmdline: x, ends: 20s}
  expect: nothing""")
    pids = {name: who.pid for who, name in shown.names.items()}
    above = {frame.at: {shown.names[each.id]: each.ppid for each in frame.processes} for frame in shown.frames}
    assert (above[0], above[5], above[20]) == ({"dad": 1}, {"kid": pids["dad"], "dad": 1}, {"kid": 1})


def test_who_is_stopped_is_in_that_state():
    shown = stage(ONE.format("stopped: no yes"))
    assert [frame.processes[0].state for frame in shown.frames] == ["S", "T"]


def test_older_processes_were_started_before():
    shown = stage("  processes:\n    a: {cmdline: x}\n    b: {cmdline: x, age: 1s}\n  expect: nothing")
    starts = {name: who.start for who, name in shown.names.items()}
    assert starts["a"] - starts["b"] == 100
    assert starts["b"] > 0


def test_a_user_whom_the_machine_does_not_know_is_the_same_in_the_configuration_and_in_the_test():
    def selector(name):
        return Selector(users=(User(name, None), User("root", 0)))

    rules = config(monitor({"rmem > 1g": "term"}), protect=[selector("nobody-here"), selector("nobody-else")])
    shown = stage("  processes:\n    a: {cmdline: x, user: nobody-here}\n  expect: nothing", rules)
    (frame, _) = shown.frames
    image = frame.processes[0].image
    assert [each.matches(image) for each in shown.config.settings.protect] == [True, False]
    assert shown.config.monitors == rules.monitors


def test_without_such_users_the_configuration_is_as_it_was():
    rules = config(monitor({"rmem > 1g": "term"}))
    assert stage(ONE.format("user: 0"), rules).config is rules


def test_the_longest_series_are_seen_frame_by_frame():
    shown = stage(ONE.format("threads: 1x99999, cpu: 5%x99999"))
    frames = shown.frames
    assert next(frames).at == 0
    assert len(shown.times) == 100_000
