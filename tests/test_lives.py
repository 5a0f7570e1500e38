"""Whole lives of rules as tables: what is seen when, and what is done then. No clock, no process, no sleeping."""

from __future__ import annotations

import pytest

from fallfromgrace.readings import Facet
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import NO_LONGER, Kind, Outcome, Result
from tests.builders import MIB, Life, monitor, process

HOG = process(100)
STOPPED = process(100, state="T")


def lived(actions, story, **more):
    """What is done at each (time, MiB of rmem) of one hog's life, the actions joined by commas."""
    life = Life(monitor(actions, **more))
    return [", ".join(action for _, action in life.look(now, (HOG, mib))) for now, mib in story]


LIVES = {
    "for that is interrupted begins anew": (
        {"rmem > 500m for 30s": "term"},
        [(0, 600, ""), (20, 600, ""), (29, 499, ""), (30, 600, ""), (59, 600, ""), (60, 600, "term"), (61, 600, "")],
    ),
    "for is over exactly when its time is": (
        {"rmem > 500m for 30s": "term"},
        [(0, 600, ""), (29.999, 600, ""), (30, 600, "term")],
    ),
    "until keeps it firing below its limit, and at once ends it": (
        {"rmem > 500m until rmem < 300m": ["log @ 10s x", "recovered log fine"]},
        [(0, 600, "log @ 10s x"), (10, 400, "log @ 10s x"), (20, 299, "log fine"), (30, 400, ""),
         (40, 501, "log @ 10s x")],
    ),
    "until that has to hold ends it only when it has": (
        {"rmem > 500m until rmem < 300m for 20s": ["log x", "recovered log fine"]},
        [(0, 600, "log x"), (10, 200, ""), (20, 400, ""), (30, 200, ""), (49, 200, ""), (50, 200, "log fine")],
    ),
    "three rungs": (
        {"rmem > 500m": ["log @ 4s warned", "after 10s term", "after 5s kill @ 10s"]},
        [(0, 600, "log @ 4s warned"), (4, 600, "log @ 4s warned"), (9, 600, "log @ 4s warned"), (10, 600, "term"),
         (14, 600, ""), (15, 600, "kill @ 10s"), (24, 600, ""), (25, 600, "kill @ 10s")],
    ),
    "a rung is not climbed when it fires no more, and the ladder begins below again": (
        {"rmem > 500m": ["log a", "after 10s term"]},
        [(0, 600, "log a"), (5, 1, ""), (10, 600, "log a"), (15, 600, ""), (20, 600, "term")],
    ),
    "the first rung may be empty": (
        {"rmem > 500m": "after 30s kill"},
        [(0, 600, ""), (29, 600, ""), (30, 600, "kill")],
    ),
    "what recovers without having acted says nothing": (
        {"rmem > 500m for 10s": ["term", "recovered log fine"]},
        [(0, 600, ""), (5, 1, ""), (10, 600, ""), (20, 600, "term"), (21, 1, "log fine"), (22, 1, "")],
    ),
    "recovered has its limit too, and what it keeps back is said later": (
        {"rmem > 500m": ["log x", "recovered log @ 1m fine"]},
        [(0, 600, "log x"), (10, 1, "log @ 1m fine"), (20, 600, "log x"), (30, 1, ""), (69, 1, ""),
         (70, 1, "log @ 1m fine")],
    ),
    "a limit holds across firings, rungs that come again included": (
        {"rmem > 500m": ["log a", "after 5s exec @ 1m x"]},
        [(0, 600, "log a"), (5, 600, "exec @ 1m x"), (10, 1, ""), (20, 600, "log a"), (25, 600, ""),
         (65, 600, "exec @ 1m x")],
    ),
    "what is not a signal comes first, then the strongest signal, and the others when it is done": (
        {"rmem > 500m": ["hup", "int", "nice 5", "usr1", "quit"]},
        [(0, 600, "nice 5, quit"), (1, 600, "int"), (2, 600, "hup"), (3, 600, "usr1"), (4, 600, "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("actions", "story"), LIVES.values(), ids=LIVES.keys())
def test_the_life_of_a_rule(actions, story):
    assert lived(actions, [(now, mib) for now, mib, _ in story]) == [done for *_, done in story]


# --- when to look again ---


def next_looks(actions, story, **sample):
    life, found = Life(monitor(actions), interval=10), []
    for now, mib in story:
        life.look(now, (HOG, {"rmem": mib * MIB, **sample}))
        found.append(life.next_look)
    return found


@pytest.mark.parametrize(
    ("actions", "story", "looks"),
    [
        ({"rmem > 500m for 3s": "term"}, [(0, 600), (3, 600)], [3, 10]),
        ({"rmem > 500m": ["log a", "after 4s term", "after 2s kill"]}, [(0, 600), (4, 600), (6, 600)], [4, 6, 10]),
        ({"rmem > 500m until rmem < 400m for 5s": "term"}, [(0, 600), (1, 300), (6, 300)], [10, 6, 10]),
        ({"threads > 5 until rmem < 400m for 5s": "term"}, [(0, 300)], [10]),
    ],
)
def test_the_next_look_is_exactly_when_something_is_over(actions, story, looks):
    assert next_looks(actions, story) == looks


def test_the_next_look_is_when_a_process_comes_of_an_age_that_a_rule_asks_for():
    assert next_looks({"age > 1h": "term"}, [(0, 1)], age=3596.0) == [4.25]
    assert next_looks({"not age < 1h": "term"}, [(0, 1)], age=3601.0) == [10]
    life = Life(monitor({"age > 1h": "term"}), interval=10)
    life.look(0, (HOG, {"age": 3596.0}))
    assert life.look(4.25, (HOG, {"age": 3600.25})) == [(100, "term")]
    assert next_looks({"age > 1h and cputime > 500s": "term"}, [(0, 1)], age=3596.0, cputime=1.0) == [10]


def test_many_who_come_of_age_one_after_the_other_cost_few_looks():
    life, now, looks = Life(monitor({"age > 1m": "log x"}), interval=10), 40.0, 0
    while now < 61:
        life.look(now, *((process(pid), {"age": now - pid * 0.001}) for pid in range(100, 1000)))
        now, looks = life.next_look, looks + 1
    assert looks < 10


# --- watching: who is near a limit is looked at soon, who is far from it seldom ---


@pytest.mark.parametrize("rule", ["rmem > 500m", "pmem > 500m", "tree.rmem > 500m", "rmem > 500m and age > 1m"])
@pytest.mark.parametrize("began", [0.0, 3.21, 9.99])
def test_who_grows_by_a_gibibyte_a_second_is_caught_within_64_mib(rule, began):
    def grown(now):
        return 1 + max(0.0, now - began) * 1024

    life = Life(monitor({rule: "term"}))
    mib = {"pmem": 9e9, "age": 99.0}
    done = life.live(20, lambda now: [(HOG, {**mib, "rmem": grown(now) * MIB, "vmem": 9e9})], late=0.005)
    [(when, pid, action)] = done
    assert (pid, action) == (100, "term")
    assert 500 < grown(when) <= 564


def test_a_process_that_jumps_over_its_limit_is_caught_at_the_next_look():
    life = Life(monitor({"rmem > 500m": "term"}))
    assert life.live(12, lambda now: [(HOG, 480 if now < 7.02 else 900)]) == [(7.05, 100, "term")]


def test_a_quiet_machine_is_hardly_looked_at():
    life = Life(monitor({"rmem > 20g": "term", "tree.vmem > 30g": "term"}, children=True), interval=10)
    life.live(100, lambda now: [(HOG, 10), (process(101, "kid", ppid=100), 10)])
    assert life.judged == [0]  # since then nothing but sizes was read
    assert len(life.looks) == 101  # those of once a second are the source's own


def test_a_watched_process_costs_no_readings_but_its_size_until_it_crosses():
    life = Life(monitor({"pmem > 500m and cputime > 1s": "log x"}))
    sample = {"vmem": 0, "pmem": 550 * MIB, "cputime": 2.0}
    done = life.live(9, lambda now: [(HOG, {**sample, "rmem": (400 if now < 4.41 else 600) * MIB})])
    assert done == [(4.45, 100, "log x")]
    assert [now for now in life.judged if now <= 4.45] == [0, 4.45]


def test_a_rule_that_fires_does_not_keep_a_stronger_one_from_being_watched():
    life = Life(monitor({"rmem > 500m": "log @ 1h x", "rmem > 900m": "kill"}))
    done = life.live(9, lambda now: [(HOG, 880 if now < 4.41 else 905)])
    assert done == [(0, 100, "log @ 1h x"), (4.45, 100, "kill")]


def test_rules_of_several_monitors_are_judged_together_so_that_one_signal_is_sent():
    monitors = monitor({"rmem > 500m": "term"}, "a"), monitor({"rmem > 500m": "kill", "vmem > 9g": "term"}, "b")
    done = Life(*monitors).live(9, lambda now: [(HOG, 480 if now < 4.41 else 905)])
    assert done[0] == (4.45, 100, "kill")


def test_a_child_that_joins_a_tree_is_counted_as_soon_as_it_is_known():
    life = Life(monitor({"tree.rmem > 500m": "term"}))
    kid = process(101, "kid", ppid=100)
    assert life.live(9, lambda now: [(HOG, 300), *([(kid, 300)] if now >= 3 else [])]) == [(3, 100, "term")]


def test_what_a_monitor_covers_is_counted_as_soon_as_it_is_known():
    life = Life(monitor({"count < 2": "log few", "group.rmem > 500m": "log much"}))
    other = process(200)
    assert life.live(9, lambda now: [(HOG, 300), *([(other, 300)] if now >= 3 else [])]) == [
        (0, None, "log few"), (3, None, "log much")
    ]  # fmt: skip


def test_who_was_ever_stopped_is_watched_like_others():
    life = Life(monitor({"rmem > 500m": "stop @ 10m", "rmem > 900m": "term"}), interval=10)
    done = life.live(30, lambda now: [(HOG, 600 if now < 1 else 400 if now < 23.42 else 950)])
    assert [(when, action) for when, _, action in done] == [(0, "stop @ 10m"), (23.45, "term")]


def test_a_rule_that_also_looks_at_a_rate_is_watched_and_its_rate_is_known_when_it_matters():
    life = Life(monitor({"rmem > 500m and cpu > 50%": "term"}), interval=10)

    def world(now):
        return [(HOG, {"rmem": (400 if now < 23.42 else 600) * MIB, "vmem": 0, "cputime": now, "age": 999.0})]

    assert life.live(30, world) == [(23.45, 100, "term")]


def test_who_was_stopped_is_seen_running_again_within_an_interval_though_it_is_small_now():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}), interval=10)

    def world(now):
        state = "T" if 1 < now < 21 else "S"
        return [(process(100, state=state), 600 if now < 1 or now > 100 else 100)]

    assert [when for when, *_ in life.live(700, world)] == [0, 630]


@pytest.mark.parametrize(("why", "again"), [(NO_LONGER, 0.05), ("it is excluded now", 1.0)])
def test_what_was_refuted_is_judged_again_soon(why, again):
    life = Life(monitor({"rmem > 500m": "term"}))
    [found] = verdicts = life.sweep(0, [(HOG, 600)])
    life.engine.record(Outcome(found, Result.REFUTED, why), 0)
    life.engine.arm(life.seen, verdicts)
    assert life.engine.next_look == again


# --- stop ---


def test_who_is_continued_by_its_user_has_the_whole_time_again():
    life = Life(monitor({"rmem > 500m": "stop @ 10m"}))
    story = [(0, HOG), (10, STOPPED), (590, HOG), (600, HOG), (1189, HOG), (1190, HOG)]  # continued at 9 m 50 s
    done = [[action for _, action in life.look(now, (seen, 600))] for now, seen in story]
    assert done == [["stop @ 10m"], [], [], [], [], ["stop @ 10m"]]


def test_rungs_are_climbed_while_it_is_stopped():
    life = Life(monitor({"rmem > 500m": ["stop @ 10m", "after 1m term"]}))
    story = [(0, HOG), (10, STOPPED), (59, STOPPED), (60, STOPPED)]
    assert [[action for _, action in life.look(now, (seen, 600))] for now, seen in story] == [
        ["stop @ 10m"], [], [], ["term"]
    ]  # fmt: skip


def test_who_was_told_to_end_by_a_rule_that_fires_is_not_stopped_by_another_whoever_its_target_is():
    ending = monitor({"rmem > 500m": "term tree"}, "ending", "hog")
    stopping = monitor({"rmem > 1m": "stop @ 1m"}, "stopping", "kid")
    life, kid = Life(ending, stopping), process(101, "kid", ppid=100)
    assert sorted(life.look(0, (HOG, 600), (kid, 5))) == [(100, "term tree"), (101, "term tree")]
    assert life.look(10, (HOG, 600), (kid, 5)) == []
    assert life.look(20, (HOG, 400), (kid, 5)) == [(101, "stop @ 1m")]


def test_a_stop_that_is_not_sent_stands_in_the_way_of_no_weaker_signal():
    life = Life(monitor({"rmem > 100m": "term", "rmem > 101m": "stop @ 10m", "rmem > 102m": "usr1 @ 1m"}))
    assert [life.look(now, (HOG, 200)) for now in (0, 1)] == [[(100, "term")], [(100, "usr1 @ 1m")]]


# --- once is once ---


def test_what_could_not_be_done_because_it_was_protected_at_first_is_done_when_it_no_longer_is():
    life = Life(monitor({"rmem > 100m": "term"}))
    own_group = [HOG.pgid]
    assert [v.kind for v in life.sweep(0, [(HOG, 200)], own_group)] == [Kind.PROTECTED]
    assert life.look(10, (HOG, 200)) == [(100, "term")]
    assert life.look(20, (HOG, 200)) == []


def test_what_was_begun_with_nobody_is_done_for_who_comes_first():
    life = Life(monitor({"system.available < 5g": "term largest"}), machine={"available": 1, "memory": 8})
    assert [life.look(0), life.look(10, (HOG, 200)), life.look(20, (HOG, 200))] == [[], [(100, "term largest")], []]


def test_three_who_fire_together_tell_each_of_their_group_once():
    life = Life(monitor({"rmem > 100m": "term group"}))
    crowd = [(process(pid), 200) for pid in (100, 200, 300)]
    assert sorted(pid for pid, _ in life.look(0, *crowd)) == [100, 200, 300]
    assert life.look(10, *crowd) == []


def test_a_rule_that_was_refuted_before_it_ever_acted_has_not_begun_to_fire():
    life = Life(monitor({"rmem > 100m for 10s until rmem < 50m": "term"}))
    assert life.look(0, (HOG, 200)) == []
    assert life.look(10, (HOG, 200), result=Result.REFUTED) == [(100, "term")]
    assert [life.look(now, (HOG, mib)) for now, mib in [(20, 90), (30, 200), (40, 200)]] == [[], [], [(100, "term")]]


def test_when_the_largest_ends_before_its_signal_the_next_largest_is_taken():
    life = Life(monitor({"group.rmem > 100m": "term largest"}))
    crowd = [(HOG, 200), (process(200), 150)]
    assert life.look(0, *crowd, result=Result.GONE) == [(100, "term largest")]
    assert life.look(1, *crowd[1:]) == [(200, "term largest")]
    assert life.look(2, *crowd[1:]) == []


def test_a_recovery_whose_only_target_is_protected_is_over():
    life = Life(monitor({"rmem > 100m": ["log x", "recovered hup"]}))
    pid_1 = process(1, "hog")
    life.look(0, (pid_1, 200))
    assert [v.kind for v in life.sweep(10, [(pid_1, 1)])] == [Kind.PROTECTED]
    assert life.sweep(20, [(pid_1, 1)]) == []


# --- who comes and goes ---


def test_a_reused_pid_begins_anew_on_the_first_rung():
    life = Life(monitor({"rmem > 500m": ["term", "after 30s kill"]}))
    reused = process(100, start=777)
    assert [life.look(now, (seen, 600)) for now, seen in [(0, HOG), (29, reused), (30, reused), (59, reused)]] == [
        [(100, "term")], [(100, "term")], [], [(100, "kill")]
    ]  # fmt: skip


def test_a_process_that_dies_between_rungs_is_forgotten_and_recovers_not():
    life = Life(monitor({"rmem > 500m": ["term", "after 30s kill", "recovered log fine"]}))
    assert [life.look(0, (HOG, 600)), life.look(10), life.look(30)] == [[(100, "term")], [], []]
    assert life.engine._memory.instances == {}


def test_one_that_died_between_look_and_reading_does_nothing_and_is_forgotten():
    life = Life(monitor({"rmem > 500m": ["term @ 1m", "recovered log fine"]}))
    assert life.look(0, (HOG, 600)) == [(100, "term @ 1m")]
    assert life.look(60, (HOG, None)) == []


KID = process(101, "kid", ppid=100)
LOST = process(101, "kid", ppid=1)


@pytest.mark.parametrize("scope", ["tree", "group"])
def test_a_child_that_is_reparented_leaves_the_sums_of_its_tree_and_of_its_group(scope):
    life = Life(monitor({f"{scope}.rmem > 500m": ["log @ 1s much", "recovered log fine"]}, children=True))
    looks = [life.look(now, (HOG, 300), (kid, 300)) for now, kid in [(0, KID), (10, KID), (20, LOST)]]
    assert [[action for pid, action in look if pid != 101] for look in looks] == [
        ["log @ 1s much"], ["log @ 1s much"], ["log fine"]
    ]  # fmt: skip


def test_a_group_is_what_is_covered_each_once_also_when_one_is_below_another():
    family = [(HOG, 300), (process(101, "hog kid", ppid=100), 300), (process(102, "kid", ppid=101), 300)]
    life = Life(monitor({"group.rmem > 899m and count == 3": "log x", "group.rmem > 901m": "log y"}, children=True))
    assert life.look(0, *family) == [(None, "log x")]


# --- rules about all that is covered ---


def test_what_is_missing_is_started_again_and_the_limit_holds():
    life = Life(monitor({"count < 1 for 1m": "exec @ 10m /etc/init.d/x restart"}))
    restart = [(None, "exec @ 10m /etc/init.d/x restart")]
    assert [life.look(now) for now in (0, 59, 60, 61, 659, 660)] == [[], [], restart, [], [], restart]
    assert life.look(670, (HOG, 1)) == []
    assert [life.look(now) for now in (680, 740, 1260, 1261)] == [[], [], restart, []]


def test_the_machine_is_read_once_whatever_the_count_of_processes():
    life = Life(
        monitor({"rmem > 25% and system.available < 10%": "term"}),
        machine={"memory": 1000 * MIB, "available": 90 * MIB},
    )
    crowd = [(process(pid), 251 if pid == 150 else 249) for pid in range(100, 200)]
    assert life.look(0, *crowd) == [(150, "term")]
    assert sum(want.identity is None for want in life.reads) == 1


def test_the_machine_is_not_read_where_no_rule_asks_for_it():
    life = Life(monitor({"rmem > 500m": "term"}))
    life.look(0, (HOG, 600))
    assert [want for want in life.reads if want.identity is None] == []


# --- several monitors and rules ---


def test_rules_and_monitors_are_independent_and_in_the_order_of_the_file():
    life = Life(
        monitor({"rmem > 500m": "log a", "vmem > 500m": "log b"}), monitor({"rmem > 400m": ["log c", "term"]}, "n")
    )
    assert life.look(0, (HOG, 600)) == [(100, "log a"), (100, "log b"), (100, "log c"), (100, "term")]


def test_of_equal_signals_of_two_rules_one_is_sent_in_a_look_and_the_other_stays_due():
    life = Life(monitor({"rmem > 500m": "term"}), monitor({"rmem > 400m": "term"}, "n"))
    assert [life.look(now, (HOG, 600)) for now in (0, 1, 2)] == [[(100, "term")], [(100, "term")], []]


def observing(actions):
    return monitor(actions, "observing", observe=True)


@pytest.mark.parametrize(
    ("observed", "real", "story"),
    [
        ("kill @ 1s", "term", [(0, "term"), (1, "")]),
        ("term", "stop @ 30s", [(0, "stop @ 30s"), (10, ""), (30, "stop @ 30s")]),
        ("stop @ 1h", "stop @ 30s", [(0, "stop @ 30s"), (10, ""), (30, "stop @ 30s")]),
    ],
)
def test_what_is_only_observed_stands_in_the_way_of_nothing(observed, real, story):
    life = Life(observing({"rmem > 500m": observed}), monitor({"rmem > 500m": real}))
    looks = [[each for each in life.look(now, (HOG, 600)) if each[1] == real] for now, _ in story]
    assert looks == [[(100, real)] if done else [] for _, done in story]


def test_who_was_stopped_only_in_a_manner_of_speaking_is_not_left_behind():
    life = Life(observing({"rmem > 500m": "stop @ 30s"}))
    life.look(0, (HOG, 600), result=Result.DRY_RUN)
    assert life.engine.ever_stopped() == ()
    assert life.reload(1).left_behind == ()


# --- reload ---


def test_a_limit_survives_a_reload_that_changes_the_threshold():
    life = Life(monitor({"rmem > 500m": "exec @ 1h x"}))
    assert life.look(0, (HOG, 700)) == [(100, "exec @ 1h x")]
    life.reload(10, monitor({"rmem > 600m for 5s": "exec @ 1h x"}))
    assert [life.look(now, (HOG, 700)) for now in (20, 30, 3599, 3600)] == [[], [], [], [(100, "exec @ 1h x")]]


def test_a_rung_and_the_time_on_it_survive_a_reload_with_the_same_actions():
    rule = {"rmem > 500m": ["log a", "after 10s log b", "after 10s kill"]}
    life = Life(monitor(rule))
    looks = [life.look(now, (HOG, 700)) for now in (0, 10)]
    life.reload(15, monitor({"rmem>512000k": rule["rmem > 500m"], "vmem > 9t": "term"}))
    looks += [life.look(now, (HOG, 700)) for now in (19, 20)]
    assert looks == [[(100, "log a")], [(100, "log b")], [], [(100, "kill")]]


def test_with_other_actions_a_rule_that_fires_is_on_its_first_rung_again_and_does_not_repeat_what_it_did():
    life = Life(monitor({"rmem > 500m": ["log a", "after 10s log b"]}))
    looks = [life.look(now, (HOG, 700)) for now in (0, 10)]
    life.reload(15, monitor({"rmem > 500m": ["log a", "log new", "after 10s term"]}))
    looks += [life.look(now, (HOG, 700)) for now in (16, 25)]
    assert looks == [[(100, "log a")], [(100, "log b")], [(100, "log new")], [(100, "term")]]


def test_other_rules_with_the_same_action_may_go_without_a_second_term():
    ladder = {"rmem > 100m": ["term", "after 30s kill"]}
    life = Life(monitor({"rmem > 9g": "term", **ladder}))
    looks = [life.look(0, (HOG, 200))]
    life.reload(26, monitor(ladder))
    looks += [life.look(now, (HOG, 200)) for now in (26, 30)]
    assert looks == [[(100, "term")], [], [(100, "kill")]]


def test_a_rule_that_is_no_longer_only_observed_does_what_it_had_only_said():
    life = Life(monitor({"rmem > 100m": ["term", "exec @ 1h x"]}, observe=True))
    assert len(life.look(0, (HOG, 200), result=Result.DRY_RUN)) == 2
    life.reload(10, monitor({"rmem > 100m": ["term", "exec @ 1h x"]}))
    assert life.look(10, (HOG, 200)) == [(100, "exec @ 1h x"), (100, "term")]


def test_a_recovery_that_is_written_later_is_not_of_what_fired_long_ago():
    life = Life(monitor({"rmem > 100m": "log x"}))
    assert [life.look(now, (HOG, mib)) for now, mib in [(0, 200), (10, 1)]] == [[(100, "log x")], []]
    assert life.engine._memory.instances == {}
    life.reload(20, monitor({"rmem > 100m": ["log x", "recovered log fine"]}))
    assert life.look(30, (HOG, 1)) == []


def test_a_pending_rule_keeps_its_time_over_a_reload():
    life = Life(monitor({"rmem > 500m for 1m": "term"}))
    life.look(0, (HOG, 700))
    life.reload(30, monitor({"rmem > 500m for 60s": "term", "vmem > 9t": "kill"}))
    assert [life.look(now, (HOG, 700)) for now in (59, 60)] == [[], [(100, "term")]]


def test_what_is_remembered_for_growth_and_rates_survives_a_reload_and_what_is_not_asked_for_is_forgotten():
    rule = {"growth(rmem, 1m) > 100m": "log x", "cpu > 50%": "log y"}
    life = Life(monitor(rule), interval=10)
    sample = {"rmem": 0, "cputime": 0.0, "age": 1e6}
    for now in range(0, 60, 10):
        life.look(now, (HOG, {**sample, "rmem": now * 3 * MIB, "cputime": now * 0.8}))
    life.reload(55, monitor({**rule, "vmem > 9t": "kill"}))
    assert sorted(life.look(60, (HOG, {**sample, "rmem": 180 * MIB, "cputime": 48.0}))) == [(100, "log x")]
    life.reload(65, monitor({"rmem > 1t": "kill"}))
    assert {key[1] for key in life.engine._history._series} == {"cputime"}


# --- what is not known ---


def kinds(life, now, *seen):
    return [(verdict.kind, verdict.reason) for verdict in life.sweep(now, seen)]


def test_what_cannot_be_read_resets_what_is_pending_and_keeps_what_fires_from_acting():
    life = Life(monitor({"rmem > 500m for 10s": ["log @ 1s x", "after 30s kill"]}))
    readable, unreadable = (HOG, 600), (HOG, {})
    assert life.look(0, readable) == []
    assert kinds(life, 5, unreadable) == [(Kind.UNKNOWN, "rmem cannot be read")]
    assert [life.look(now, readable) for now in (10, 19)] == [[], []]
    assert life.look(20, readable) == [(100, "log @ 1s x")]
    assert life.look(50, unreadable) == []
    assert life.look(51, readable) == [(100, "kill")]


def test_who_is_watched_for_too_short_a_time_is_told_apart():
    life = Life(monitor({"growth(rmem, 1h) > 1g": "term"}))
    [(kind, reason)] = kinds(life, 0, (HOG, 600))
    assert (kind, "growth(rmem, 1h)" in reason) == (Kind.EARLY, True)


def test_a_condition_that_holds_but_not_for_long_enough_is_told_as_pending():
    life = Life(monitor({"rmem > 500m for 10s": "term"}))
    assert [kind for kind, _ in kinds(life, 0, (HOG, 600))] == [Kind.PENDING]


def test_a_sum_with_a_part_that_cannot_be_read_fires_when_the_rest_is_enough():
    life = Life(monitor({"tree.rmem > 500m": "log x"}, cmdline="hog"))
    kid = (KID, {})
    assert life.look(0, (HOG, 400), kid) == []
    assert life.look(10, (HOG, 600), kid) == [(100, "log x")]


def test_what_is_unknown_is_named_one_by_one_also_where_it_is_the_until():
    life = Life(monitor({"rmem > 100m until fds < 5 and threads > 3": "term"}))
    assert kinds(life, 0, (HOG, 200)) == [
        (Kind.UNKNOWN, "fds cannot be read"), (Kind.UNKNOWN, "threads cannot be read")
    ]  # fmt: skip


@pytest.mark.parametrize("trigger", ["rmem / swap > 2", "rmem > 25%"])
def test_what_cannot_be_calculated_though_all_of_the_process_was_read_is_told(trigger):
    [(kind, reason)] = kinds(Life(monitor({trigger: "term"})), 0, (HOG, {"rmem": 5, "vmem": 5, "swap": 0}))
    assert (kind, "is not known" in reason) == (Kind.UNKNOWN, True)


# --- rates and growth ---


def test_the_rate_of_a_process_is_known_without_a_gap_from_its_birth():
    life, told = Life(monitor({"cpu > 90% for 30s": "log x"}), interval=10), []
    for now in (9.5, 11.5, 19, 29, 39, 49):
        [(kind, _)] = kinds(life, now, (HOG, {"cputime": now, "age": now})) or [("done", "")]
        told.append(kind)
    assert Kind.EARLY not in told
    assert told[-1] is Kind.FIRE


def test_a_counter_that_goes_backwards_is_no_rate_below_zero_and_breaks_nothing():
    life = Life(monitor({"tree.read / tree.write > 2": "log a", "rmem > 100m": "log b"}), interval=10)
    kid = process(101, "kid", ppid=100)
    for now, written in [(0, 100 * MIB), (10, 0)]:
        sample = {"rmem": 200 * MIB, "age": 1e5, "read_bytes": now * MIB, "write_bytes": written}
        done = life.look(now, (HOG, sample), (kid, sample))
        assert ((100, "log b") in done) is (now == 0)


def test_growth_over_less_than_the_interval_is_looked_at_when_its_window_is_over():
    life = Life(monitor({"growth(rmem, 3s) > 50m": "log x"}), interval=10)
    assert life.look(0, (HOG, 100)) == []
    assert life.next_look == 3
    assert life.look(3, (HOG, 140)) == []
    assert life.look(6, (HOG, 200)) == [(100, "log x")]


# --- cheap before dear ---


def rollups(actions, *seen, **more):
    """Of whom the proportional memory was read in one look."""
    life = Life(monitor(actions, **more))
    life.look(0, *seen)
    return [want.identity.pid for want in life.reads if want.facet is Facet.ROLLUP]


BIG = {"rmem": 900 * MIB, "vmem": 2000 * MIB, "pmem": 300 * MIB, "umem": 200 * MIB, "swap": 0}
SMALL = {**BIG, "rmem": 400 * MIB, "vmem": 400 * MIB}
FAMILY = [(HOG, BIG), (KID, {**BIG, "rmem": 300 * MIB, "pmem": 100 * MIB})]


@pytest.mark.parametrize(
    ("trigger", "seen", "read"),
    [
        ("pmem > 500m", [(HOG, SMALL)], []),  # it has not even so much resident memory
        ("umem > 500m", [(HOG, SMALL)], []),
        ("pmem < 500m", [(HOG, SMALL)], []),
        ("swap > 500m", [(HOG, SMALL)], []),
        ("not pmem > 500m", [(HOG, SMALL)], []),
        ("pmem > 500m", [(HOG, BIG)], [100]),
        ("umem > 500m", [(HOG, BIG)], [100]),
        ("rmem > 1g and pmem > 500m", [(HOG, BIG)], []),
        ("pmem > 500m and rmem > 1g", [(HOG, BIG)], []),
        ("rmem > 500m or pmem > 500m", [(HOG, BIG)], []),
        ("pmem > 500m and threads > 5", [(HOG, {**BIG, "threads": 5})], []),
        ("tree.pmem > 1300m", FAMILY, []),
        ("tree.pmem > 1g", FAMILY, [100, 101]),
        ("rmem > 1g until pmem < 500m", [(HOG, BIG)], []),
        ("pmem > 500m until pmem < 300m", [(HOG, SMALL)], []),
    ],
)
def test_proportional_memory_is_read_only_where_the_bound_does_not_decide(trigger, seen, read):
    assert sorted(rollups({trigger: "log x"}, *seen)) == read


def test_it_is_read_once_in_a_look_however_many_rules_ask():
    assert rollups({"pmem > 500m": "log x", "pmem > 600m": "log x", "umem > 700m": "log x"}, (HOG, BIG)) == [100]


def test_what_a_rule_that_fires_needs_for_its_until_is_read_and_what_made_it_fire_is_not():
    life = Life(monitor({"pmem > 200m until rmem < 100m": "log x"}))
    life.look(0, (HOG, BIG))
    life.look(10, (HOG, BIG))
    assert [want.facet for want in life.reads] == [Facet.MEMORY]


def test_a_failed_action_of_a_rule_about_all_is_tried_again_after_an_interval():
    life = Life(monitor({"count < 1": "exec @ 1h x"}), interval=10)
    assert life.look(0, result=Result.FAILED) == [(None, "exec @ 1h x")]
    assert [life.look(now) for now in (5, 10, 20)] == [[], [(None, "exec @ 1h x")], []]


def test_nothing_is_remembered_of_groups_and_trees_that_ended():
    life = Life(monitor({"growth(tree.rmem, 1m) > 1m": "log x", "cpu > 1%": "log x"}))
    for pid in range(100, 150):
        life.look(pid, (process(pid), {"rmem": 1, "vmem": 1, "cputime": 1.0, "age": 5.0}))
    life.look(200)
    assert (len(life.engine._history), life.engine._memory.instances) == (0, {})
    assert life.engine.ever_stopped() == ()
    assert ProcessId(100, 100) not in life.engine._memory.clocks
