"""Rule lives as tables: what is seen when, and what is done then. No clock, no process."""

import pytest

from fallfromgrace.table import ProcessId, Size
from fallfromgrace.verdict import Kind, Result
from tests.builders import MIB, OUR_PID, Life, monitor, process, table

HOG = process(100)
STOPPED = process(100, state="T")


def played(life, story):
    return [life.look(now, *seen) for now, *seen in story]


def test_an_action_without_a_limit_runs_once_each_time_its_rule_begins_to_fire():
    life = Life(monitor({"rmem > 500m": "exec x"}))
    story = [(0, (HOG, 400)), (10, (HOG, 600)), (20, (HOG, 700)), (30, (HOG, 500)), (40, (HOG, 501))]
    assert played(life, story) == [[], [(100, "exec x")], [], [], [(100, "exec x")]]


def test_an_action_with_a_limit_repeats_at_most_once_in_its_time_also_across_firings():
    life = Life(monitor({"rmem > 500m": "exec @ 1m x"}))
    story = [(0, (HOG, 600)), (30, (HOG, 600)), (40, (HOG, 1)), (50, (HOG, 600)), (60, (HOG, 600)), (130, (HOG, 600))]
    assert played(life, story) == [[(100, "exec @ 1m x")], [], [], [], [(100, "exec @ 1m x")], [(100, "exec @ 1m x")]]


def test_the_limit_of_a_command_is_for_the_rule_and_that_of_a_signal_for_each_process():
    life = Life(monitor({"rmem > 500m": ["exec @ 1m x", "term @ 1m"]}))
    other = process(200)
    assert life.look(0, (HOG, 600), (other, 600)) == [(100, "exec @ 1m x"), (100, "term @ 1m"), (200, "term @ 1m")]
    assert life.look(10, (HOG, 600), (other, 600)) == []
    assert life.look(60, (other, 600)) == [(200, "exec @ 1m x"), (200, "term @ 1m")]


def test_the_same_command_in_two_rules_has_two_limits():
    life = Life(monitor({"rmem > 500m": "exec @ 1m x", "vmem > 500m": "exec @ 1m x"}))
    assert len(life.look(0, (HOG, 600))) == 2


def test_a_command_without_a_limit_runs_for_every_process():
    life = Life(monitor({"rmem > 500m": "exec x"}))
    assert life.look(0, (HOG, 600), (process(200), 600)) == [(100, "exec x"), (200, "exec x")]


def test_a_list_of_actions_is_done_in_order_what_is_no_signal_first():
    life = Life(monitor({"rmem > 500m": ["term", "exec a", "exec b"]}))
    assert life.look(0, (HOG, 600)) == [(100, "exec a"), (100, "exec b"), (100, "term")]


@pytest.mark.parametrize("result", [Result.FAILED, Result.DENIED])
def test_what_was_not_delivered_uses_no_limit_and_is_tried_again_after_an_interval(result):
    life = Life(monitor({"rmem > 500m": "term @ 1h"}), interval=10)
    assert life.look(0, (HOG, 600), result=result) == [(100, "term @ 1h")]
    assert life.look(5, (HOG, 600)) == []
    assert life.look(10, (HOG, 600)) == [(100, "term @ 1h")]
    assert life.look(20, (HOG, 600)) == []


def test_a_decoy_that_is_refuted_does_not_shield_a_hog():
    life = Life(monitor({"rmem > 500m": "exec @ 1h x"}))
    look = life.look(0, (HOG, 600), (process(200), 600), (process(300), 600), results={100: Result.REFUTED})
    assert look == [(100, "exec @ 1h x"), (200, "exec @ 1h x")]


@pytest.mark.parametrize("result", [Result.GONE, Result.REFUTED])
def test_what_turned_out_to_be_needless_uses_no_limit_either(result):
    life = Life(monitor({"rmem > 500m": "exec @ 1h x"}))
    other = process(200)
    assert life.look(0, (HOG, 600), result=result) == [(100, "exec @ 1h x")]
    assert life.look(1, (other, 600)) == [(200, "exec @ 1h x")]


def test_a_dry_run_goes_the_way_of_a_real_one():
    life = Life(monitor({"rmem > 500m": ["term", "exec @ 1m x"]}))
    looks = [life.look(now, (HOG, 600), result=Result.DRY_RUN) for now in (0, 10, 60)]
    assert looks == [[(100, "exec @ 1m x"), (100, "term")], [], [(100, "exec @ 1m x")]]


# --- stop ---


def test_stop_counts_from_when_the_process_is_seen_running_again():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    story = [
        (0, (HOG, 600)),
        (10, (STOPPED, 600)),
        (580, (STOPPED, 600)),
        (590, (HOG, 600)),  # its user continues it at 9 m 50 s
        (600, (HOG, 600)),
        (1180, (HOG, 600)),
        (1190, (HOG, 600)),
    ]
    assert played(life, story) == [[(100, "stop @ 10m")], [], [], [], [], [], [(100, "stop @ 10m")]]


def test_a_process_never_seen_stopped_has_its_time_from_the_stop():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    assert played(life, [(0, (HOG, 600)), (10, (HOG, 600)), (600, (HOG, 600))]) == [
        [(100, "stop @ 10m")], [], [(100, "stop @ 10m")]
    ]  # fmt: skip


def test_a_process_stopped_by_somebody_else_is_left_alone_until_it_runs():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    assert played(life, [(0, (STOPPED, 600)), (10, (HOG, 600))]) == [[], [(100, "stop @ 10m")]]


def test_all_rules_share_one_running_clock():
    life = Life(monitor({"rmem > 500m": "stop @ 10m", "vmem > 500m": "stop @ 1m"}))
    assert [len(life.look(now, (HOG, 600))) for now in (0, 30, 60)] == [1, 0, 1]


# --- one signal for each process ---


def test_of_several_signals_the_strongest_is_sent_and_the_others_stay_due():
    life = Life(monitor({"rmem > 500m": "term", "rmem > 600m": "kill"}), monitor({"vmem > 1g": "stop @ 1m"}, "other"))
    verdicts = life.sweep(0, [(HOG, 700)])
    assert [(str(v.item.action), v.kind) for v in verdicts] == [
        ("kill", Kind.FIRE), ("term", Kind.SHADOWED), ("stop @ 1m", Kind.SHADOWED)
    ]  # fmt: skip
    assert life.look(0, (HOG, 700)) == [(100, "kill")]
    assert life.look(10, (HOG, 700)) == [(100, "term")]


def test_a_process_told_to_end_is_not_stopped_while_that_rule_fires():
    life = Life(monitor({"rmem > 900m": "term"}), monitor({"rmem > 500m": "stop @ 1m"}, "other"))
    story = [(0, (HOG, 950)), (10, (HOG, 950)), (20, (HOG, 600))]
    assert played(life, story) == [[(100, "term")], [], [(100, "stop @ 1m")]]


def test_a_process_told_to_end_is_not_stopped_whatever_else_its_rule_does_and_others_are():
    life = Life(monitor({"rmem > 900m": ["term", "exec @ 1m x"]}), monitor({"rmem > 500m": "stop @ 1m"}, "other"))
    other = process(200)
    assert life.look(0, (HOG, 950)) == [(100, "exec @ 1m x"), (100, "term")]
    assert life.look(60, (HOG, 950), (other, 600)) == [(100, "exec @ 1m x"), (200, "stop @ 1m")]


def test_of_a_process_that_two_monitors_cover_the_greater_depth_counts():
    outer = monitor({"rmem > 500m": "term"}, "outer", "grand", children=True)
    inner = monitor({"rmem > 500m": "kill"}, "inner", "hog", children=True)
    family = (process(10, "grand"), 1), (process(11, "hog", ppid=10), 600), (process(12, "kid", ppid=11), 600)
    assert Life(outer, inner).look(0, *family) == [(12, "kill"), (11, "kill")]


# --- who is looked at ---


def test_a_reused_pid_starts_a_fresh_instance():
    life = Life(monitor({"rmem > 500m": "term"}))
    assert life.look(0, (HOG, 600)) == [(100, "term")]
    assert life.look(10, (process(100, start=777), 600)) == [(100, "term")]


def test_a_process_that_runs_something_else_is_forgotten_and_begins_anew():
    life = Life(monitor({"rmem > 500m": "term"}))
    story = [(0, (HOG, 600)), (10, (process(100, "vi"), 600)), (20, (HOG, 600))]
    assert played(life, story) == [[(100, "term")], [], [(100, "term")]]


def test_a_process_that_ended_between_look_and_measurement_is_passed_over():
    life = Life(monitor({"rmem > 500m": "term"}))
    assert life.look(0, (HOG, None)) == []


def test_rules_apply_to_each_descendant_on_its_own():
    life = Life(monitor({"rmem > 500m": "term"}, children=True))
    family = (HOG, 1), (process(101, "x", ppid=100), 600), (process(102, "y", ppid=101), 1)
    assert life.look(0, *family) == [(101, "term")]


def test_the_deepest_are_signalled_first_since_children_of_the_ended_are_nobodys():
    life = Life(monitor({"rmem > 500m": ["exec x", "term"]}, children=True))
    family = (HOG, 600), (process(101, "x", ppid=100), 600), (process(102, "y", ppid=101), 600)
    acted = life.look(0, *family)
    assert [pid for pid, action in acted if action == "term"] == [102, 101, 100]
    assert acted[0] == (100, "exec x")  # what is no signal in the order of the file


@pytest.mark.parametrize(
    ("target", "own_groups", "only_uid", "reason"),
    [
        (process(1), (), None, "pid 1 is never acted upon"),
        (process(OUR_PID), (), None, "this is fall-from-grace itself"),
        (process(100, pgid=55), (55,), None, "this is a command of fall-from-grace"),
        (process(100, uid=1001), (), 1000, "it belongs to another user"),
    ],
)
def test_some_are_never_acted_upon(target, own_groups, only_uid, reason):
    life = Life(monitor({"rmem > 500m": ["term", "exec x"]}), only_uid=only_uid)
    verdicts = life.sweep(0, [(target, 600)], own_groups)
    assert [(v.kind, v.reason) for v in verdicts] == [(Kind.PROTECTED, reason)] * 2


def test_what_cannot_be_read_starts_nothing_and_ends_nothing():
    life = Life(monitor({"rmem > 500m": "exec x"}))
    assert life.look(0, (HOG, {})) == []
    assert life.look(10, (HOG, 600)) == [(100, "exec x")]
    assert [v.kind for v in life.sweep(20, [(HOG, {})])] == [Kind.UNKNOWN]
    assert life.look(30, (HOG, 600)) == []  # it never ceased to fire


# --- when to look again ---


def test_the_next_look_is_at_the_interval_or_when_a_limit_runs_out():
    life = Life(monitor({"rmem > 500m": "exec @ 3s x"}), interval=10)
    life.look(0, (HOG, 10**6), result=Result.DENIED)
    assert life.next_look == 10
    life.look(10, (HOG, 600))
    assert life.next_look == 13
    life.look(11, (HOG, 600))
    assert life.next_look == 13


def test_the_next_look_is_when_the_limit_that_another_process_used_runs_out():
    life = Life(monitor({"rmem > 500m": "exec @ 3s x"}), interval=10)
    assert life.look(0, (HOG, 600), (process(200), 600)) == [(100, "exec @ 3s x")]
    assert life.next_look == 3


@pytest.mark.parametrize(("action", "result"), [("term", Result.SENT), ("term @ 1h", Result.FAILED)])
def test_nothing_is_looked_at_sooner_for_what_is_done_or_has_failed(action, result):
    life = Life(monitor({"rmem > 500m": action}), interval=10)
    life.look(0, (HOG, 600), result=result)
    assert life.next_look == 10


# --- reload ---


def test_a_limit_survives_a_reload_and_a_new_threshold():
    life = Life(monitor({"rmem > 500m": ["exec @ 1h x", "term"]}))
    life.look(0, (HOG, 700))
    adoption = life.reload(10, monitor({"rmem > 600m": ["exec @ 1h x", "term"]}))
    assert (adoption.added, adoption.removed, adoption.timers_kept) == (1, 1, 1)
    assert life.look(20, (HOG, 700)) == [(100, "term")]  # another rule: it begins to fire now
    assert life.look(3600, (HOG, 700)) == [(100, "exec @ 1h x")]


def test_a_rule_that_stays_keeps_firing_over_a_reload_and_repeats_nothing():
    life = Life(monitor({"rmem > 500m": "term"}))
    life.look(0, (HOG, 700))
    adoption = life.reload(10, monitor({"rmem>512000k": ["exec x", "TERM"], "vmem > 9t": "kill"}))
    assert (adoption.added, adoption.removed, adoption.timers_kept) == (1, 0, 0)
    assert life.look(20, (HOG, 700)) == [(100, "exec x")]


def test_the_running_clock_survives_a_reload():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    life.look(0, (HOG, 700))
    assert life.reload(10, monitor({"rmem > 600m": "stop @ 10m"})).timers_kept == 1
    assert played(life, [(20, (HOG, 700)), (600, (HOG, 700))]) == [[], [(100, "stop @ 10m")]]


def test_a_reload_tells_who_was_stopped_by_a_rule_that_is_gone():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    life.look(0, (HOG, 700))
    assert life.engine.ever_stopped() == (ProcessId(100, 100),)  # also before it was seen stopped
    life.look(10, (STOPPED, 700))
    assert life.reload(20, monitor({"rmem > 600m": "stop @ 10m"})).left_behind == ()
    assert life.reload(20, monitor({"rmem > 500m": "term"})).left_behind == (ProcessId(100, 100),)


def test_a_reload_drops_the_limits_of_actions_that_are_gone():
    life = Life(monitor({"rmem > 500m": ["exec @ 1h x", "term @ 1h"]}))
    life.look(0, (HOG, 700))
    assert life.reload(10, monitor({"rmem > 500m": "exec @ 1h y"})).timers_kept == 0
    assert life.engine._memory.limits == {}


def test_what_was_not_delivered_is_not_tried_at_once_because_of_a_reload():
    life = Life(monitor({"rmem > 500m": "term @ 1h"}))
    life.look(0, (HOG, 700), result=Result.FAILED)
    life.reload(5, monitor({"rmem > 500m": "term @ 1h"}))
    assert played(life, [(5, (HOG, 700)), (10, (HOG, 700))]) == [[], [(100, "term @ 1h")]]


def test_a_reload_counts_only_timers_that_have_not_run_out():
    life = Life(monitor({"rmem > 500m": ["exec @ 1m x", "stop @ 1m"]}))
    life.look(0, (HOG, 700))
    assert life.reload(30, monitor({"rmem > 500m": ["exec @ 1m x", "stop @ 1m"]})).timers_kept == 2
    assert life.reload(90, monitor({"rmem > 500m": ["exec @ 1m x", "stop @ 1m"]})).timers_kept == 0


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        (monitor({"rmem > 512000k": "TERM"}), 0),
        (monitor({"rmem > 500m": "kill"}), 1),
        (monitor({"rmem > 500m": "term"}, children=True), 1),
        (monitor({"rmem > 500m": "term"}, cmdline="pig"), 1),
    ],
)
def test_a_reload_counts_rules_that_do_something_else_or_for_others(changed, count):
    life = Life(monitor({"rmem > 500m": "term"}))
    assert life.reload(0, changed).changed == count


def test_a_process_may_be_stopped_again_when_the_rule_that_told_it_to_end_no_longer_does():
    life = Life(monitor({"rmem > 500m": "term"}))
    life.look(0, (HOG, 700))
    life.reload(10, monitor({"rmem > 500m": "stop @ 10m"}))
    assert life.look(20, (HOG, 700)) == [(100, "stop @ 10m")]


def test_nothing_is_remembered_of_processes_that_ended():
    rules = {"rmem > 500m": ["stop @ 10m", "term @ 1h", "exec x"], "cpu > 1%": "log x"}
    life = Life(monitor(rules), monitor({"rmem > 1": "term"}, "n"))
    life.look(0, *((process(pid), 600) for pid in range(100, 200)), result=Result.SENT)
    life.look(5, *((process(pid), 600) for pid in range(200, 300)), result=Result.FAILED)
    life.look(10)
    engine = life.engine
    kept = engine._memory
    assert [kept.instances, kept.limits, kept.clocks, kept.retries] == [{}] * 4
    assert len(engine._history) == 0


# --- restart ---


STOPS = monitor({"rmem > 500m": ["exec @ 1h x", "stop @ 10m"]})


def test_limits_survive_a_restart():
    life = Life(STOPS)
    life.look(0, (HOG, 700))
    assert life.restart(100, STOPS) == (2, ())
    story = [(100, (HOG, 700)), (600, (HOG, 700)), (3600, (HOG, 700))]
    assert played(life, story) == [[], [(100, "stop @ 10m")], [(100, "exec @ 1h x"), (100, "stop @ 10m")]]


def test_who_was_stopped_has_the_time_from_when_it_is_seen_running_also_by_a_daemon_after_that():
    life = Life(STOPS)
    story = [(0, (HOG, 700)), (10, (STOPPED, 700))]
    played(life, story)
    life.restart(5000, STOPS, last=10)
    assert life.engine.ever_stopped() == (HOG.id,)
    story = [(5000, (STOPPED, 700)), (5010, (HOG, 700)), (5600, (HOG, 700)), (5610, (HOG, 700))]
    assert played(life, story) == [[(100, "exec @ 1h x")], [], [], [(100, "stop @ 10m")]]


def test_a_rule_that_fires_goes_on_over_a_restart_repeats_nothing_and_climbs():
    ladder = monitor({"rmem > 500m": ["term", "after 30s kill"]})
    life = Life(ladder)
    assert life.look(0, (HOG, 700)) == [(100, "term")]
    life.restart(20, ladder)
    assert played(life, [(20, (HOG, 700)), (30, (HOG, 700))]) == [[], [(100, "kill")]]


def test_what_was_not_delivered_is_tried_again_after_an_interval_also_by_a_daemon_after_that():
    life = Life(monitor({"rmem > 500m": "term @ 1h"}))
    life.look(0, (HOG, 700), result=Result.FAILED)
    life.restart(5, monitor({"rmem > 500m": "term @ 1h"}))
    assert played(life, [(5, (HOG, 700)), (10, (HOG, 700))]) == [[], [(100, "term @ 1h")]]


@pytest.mark.parametrize(("down", "acted"), [(20, [(100, "term")]), (21, [])])
def test_what_has_to_hold_for_some_time_begins_anew_if_nobody_looked_for_two_intervals(down, acted):
    lasting = monitor({"rmem > 500m for 1m": "term"})
    life = Life(lasting)
    life.look(0, (HOG, 700))
    life.look(50, (HOG, 700))
    life.restart(50 + down, lasting, last=50)
    assert life.look(50 + down, (HOG, 700)) == acted
    assert life.look(110 + down, (HOG, 700)) == ([] if acted else [(100, "term")])


def test_what_has_to_hold_until_a_rule_ends_begins_anew_too():
    until = monitor({"rmem > 500m until rmem < 100m for 1m": ["term", "recovered log x"]})
    life = Life(until)
    story = [(0, (HOG, 700)), (10, (HOG, 50))]
    assert played(life, story) == [[(100, "term")], []]
    life.restart(100, until, last=10)
    assert played(life, [(100, (HOG, 50)), (150, (HOG, 50)), (160, (HOG, 50))]) == [[], [], [(100, "log x")]]


def test_a_restart_with_another_configuration_is_as_a_reload():
    life = Life(monitor({"rmem > 500m": ["stop @ 10m", "exec @ 1h x"]}))
    life.look(0, (HOG, 700))
    assert life.restart(10, monitor({"rmem > 500m": "term"})) == (0, (HOG.id,))
    assert life.look(10, (STOPPED, 700)) == [(100, "term")]


def test_a_restart_drops_what_a_monitor_only_observed_if_it_acts_now():
    rules = {"rmem > 500m": ["term", "exec @ 1h x"]}
    life = Life(monitor(rules, observe=True))
    life.look(0, (HOG, 700), result=Result.DRY_RUN)
    assert life.restart(10, monitor(rules)) == (0, ())
    assert life.look(10, (HOG, 700)) == [(100, "exec @ 1h x"), (100, "term")]


def test_who_has_ended_meanwhile_is_forgotten_at_the_first_look():
    life = Life(STOPS)
    life.look(0, (HOG, 700))
    life.restart(10, STOPS)
    life.look(10, (process(100, start=777), 1))
    kept = life.engine.memory
    assert (kept.instances, kept.clocks, kept.limits) == ({}, {}, {("m", "exec @ 1h x", None): 0})


def test_a_verdict_says_value_and_limit_for_people():
    life = Life(monitor({"rmem > 900m": "term"}))
    [found] = life.sweep(0, [(HOG, {"rmem": 912 * MIB})])
    assert (found.cause.value, found.cause.limit, found.target) == ("912m", "900m", (HOG, HOG, 0))


def test_a_sweep_that_is_cut_short_is_none_at_all(monkeypatch):
    """Else the rule would fire by now, without anybody having acted."""
    life = Life(monitor({"rmem > 500m": ["exec x", "log y"]}))
    life.look(0, (HOG, 400))
    with monkeypatch.context() as short:
        short.setattr("fallfromgrace.engine.arbitrate", _out_of_memory)
        with pytest.raises(MemoryError):
            life.look(10, (HOG, 600))
    assert not life.engine.memory.instances
    assert life.look(20, (HOG, 600)) == [(100, "exec x"), (100, "log y")]


def _out_of_memory(*_):
    raise MemoryError


@pytest.mark.parametrize("part", ["see", "watch", "arm"])
def test_in_doubt_everybody_is_judged_anew_and_no_limit_is_forgotten(part, monkeypatch):
    """Whatever was cut short: nobody is lost, whom nothing would remind us of."""
    life = Life(monitor({"rmem > 500m": "exec @ 1h x", "rmem > 400m": "term"}))
    crowd = [(HOG, 600), (process(200), 300)]
    life.look(0, *crowd)
    with monkeypatch.context() as short:
        short.setattr("fallfromgrace.agenda.Agenda.judged", _out_of_memory)
        short.setattr("fallfromgrace.agenda.Agenda.keep", _out_of_memory)
        short.setattr("fallfromgrace.agenda.next_of", _out_of_memory)
        with pytest.raises(MemoryError):
            _cut_short(life.engine, part, crowd)
    life.engine.doubt()
    known = table(*(each for each, _ in crowd))
    life.engine.see(known, 20)
    assert {subject.identity for subject in life.engine.due(20)} == {ProcessId(100, 100), ProcessId(200, 200)}
    assert life.look(20, (HOG, 600), (process(200), 450)) == [(200, "term")]


def _cut_short(engine, part, crowd):
    if part == "see":
        engine.see(table(*(each for each, _ in crowd), process(300)), 10)
    elif part == "watch":
        engine.watch({each.id: Size(mib * MIB, 0) for each, mib in crowd}, 10)
    else:
        engine.arm(engine.look(table(*(each for each, _ in crowd)), (), 10), ())


def test_who_was_told_to_end_and_has_is_forgotten_though_the_rule_fires_for_weeks():
    life = Life(monitor({"count > 1": "kill group @ 1h"}))
    for now in range(0, 500, 10):
        life.look(now, (process(now + 100), 1), (process(now + 101), 1))
    [instance] = life.engine._memory.instances.values()
    assert {each.pid for each in instance.told_to_end} == {590, 591}


def test_a_step_whose_time_nobody_watched_is_waited_for_anew():
    ladder = monitor({"rmem > 500m": ["log x", "after 1h kill"]})
    life = Life(ladder)
    assert life.look(0, (HOG, 600)) == [(100, "log x")]
    life.restart(100_000, ladder, last=10)
    assert played(life, [(100_000, (HOG, 600)), (103_600, (HOG, 600))]) == [[], [(100, "kill")]]


def test_a_rule_that_fired_because_something_lasted_has_it_last_again_if_nobody_watched():
    lasting = monitor({"rmem > 500m for 10m": "term @ 1m"})
    life = Life(lasting)
    assert played(life, [(0, (HOG, 600)), (600, (HOG, 600))]) == [[], [(100, "term @ 1m")]]
    life.restart(100_000, lasting, last=610)
    assert played(life, [(100_000, (HOG, 600)), (100_600, (HOG, 600))]) == [[], [(100, "term @ 1m")]]


def test_what_is_kin_is_never_the_largest_that_is_taken():
    life = Life(monitor({"group.rmem > 1g": "kill largest"}))
    ours, hog = process(200), process(100)
    life.engine.see(table(ours, hog), 0)
    look = life.engine.look(table(ours, hog), (), 0, None, {ours})
    while wants := life.engine.wants(look):
        mib = {ours.id: 900, hog.id: 800}
        look.readings.add(
            wants,
            {
                w.identity: {"rmem": mib[w.identity] * MIB, "pmem": mib[w.identity] * MIB, "vmem": 1, "stopped": 0}
                for w in wants
            },
        )
    assert [(v.process.id.pid, v.kind) for v in life.engine.sweep(look)] == [(200, Kind.PROTECTED), (100, Kind.FIRE)]
