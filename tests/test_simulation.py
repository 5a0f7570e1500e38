"""What would have been done about made-up frames; each time is what arithmetic says."""

import random
import signal
from math import inf, nextafter
from types import SimpleNamespace

import mock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallfromgrace.agenda import next_of
from fallfromgrace.frames import Frame
from fallfromgrace.loop import Loop
from fallfromgrace.protection import Self
from fallfromgrace.simulation import _Stage, simulate
from fallfromgrace.verdict import Kind
from fallfromgrace.world import World
from tests.builders import MIB, Life, config, monitor, process
from tests.strategies import Rolled, Writer, patiently

HOG, OTHER = process(100), process(200, "hog of another", uid=7)


def leak(mib_a_second, seconds=120, every=1.0, who=HOG, **more):
    """A process that grows from nothing, seen each second."""
    steps = [every * step for step in range(int(seconds / every) + 1)]
    size = {at: int(mib_a_second * at * MIB) for at in steps}
    return [Frame(at, (who,), {who.id: {"rmem": size[at], "vmem": size[at], "age": 99 + at, **more}}) for at in steps]


def happened(frames, *monitors, myself=None, until=None, told=None):
    asked = {"told": told} if told else {}
    found = simulate(config(*monitors), frames, myself or Self(0), until=until, **asked)
    return [(at, each.verdict.process.id.pid if each.verdict.process else None, str(each.verdict.item.action),
             each.result.value) for at, each in found]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "when"),
    [
        ("rmem > 505m", 51.0),  # of 10 MiB a second, seen each second
        ("rmem > 1005m", 101.0),
        ("rmem >= 500m", 50.0),
        ("rmem > 505m for 30s", 81.0),
        ("growth(rmem, 10s) > 99m and rmem > 1m", 10.0),
        ("rmem > 3g", None),
    ],
)
def test_a_leak_meets_its_limit_when_arithmetic_says(rule, when):
    expected = [(when, 100, "term", "sent")] if when else []
    assert happened(leak(10), monitor({rule: "term"})) == expected


@pytest.mark.parametrize("name", ["rmem", "vmem"])
def test_one_of_the_two_sizes_is_enough(name):
    frames = [Frame(at, (HOG,), {HOG.id: {name: samples[HOG.id]["rmem"]}}) for at, _, samples in leak(10)]
    assert [at for at, *_ in happened(frames, monitor({f"{name} > 505m": "term"}))] == [51.0]


@pytest.mark.parametrize("began", [2.0**53, 1e17, 1e300])
def test_times_beyond_all_ticks_come_to_an_end(began):
    ended = nextafter(nextafter(began, inf), inf)
    frames = [Frame(at, *each[1:]) for at, each in zip((began, ended), leak(600, 1), strict=True)]
    assert [at for at, *_ in happened(frames, monitor({"rmem > 500m": "term"}))] == [ended]


def test_steps_limits_and_recovery_go_by_the_frames_own_clock():
    frames = [Frame(1e6 + each.at, *each[1:]) for each in leak(10, 56)]
    frames += [Frame(1e6 + at, (HOG,), {HOG.id: {"rmem": 0, "vmem": 0, "age": 1.0}}) for at in (57.0, 61.0)]
    rules = {"rmem > 205m": ["exec @ 20s x", "after 15s log $VALUE", "recovered log fine"]}
    assert [(at - 1e6, action) for at, _, action, _ in happened(frames, monitor(rules))] == [
        (21.0, "exec @ 20s x"), (36.0, "log $VALUE"), (60.0, "log fine")
    ]  # fmt: skip


def test_kill_ends_a_process_and_rules_about_how_many_there_are_know_it():
    rules = {"rmem > 205m": "kill @ 5s", "count < 1": "exec restart"}
    assert happened(leak(10, 60), monitor(rules)) == [
        (21.0, 100, "kill @ 5s", "sent"),
        (21.05, None, "exec restart", "started"),
    ]


def test_other_signals_change_nothing_that_was_seen():
    rules = {"rmem > 205m": ["term @ 10s", "nice 5"]}
    assert [(at, action) for at, _, action, _ in happened(leak(10, 45), monitor(rules))] == [
        (21.0, "nice 5"), (21.0, "term @ 10s"), (31.0, "term @ 10s"), (41.0, "term @ 10s")
    ]  # fmt: skip


def test_a_stopped_process_counts_as_continued_at_once_if_the_frames_say_that_it_runs():
    assert [at for at, *_ in happened(leak(10, 45), monitor({"rmem > 205m": "stop @ 10s"}))] == [21.0, 31.0, 41.0]


def test_a_monitor_that_only_observes_has_its_kill_end_nobody():
    rules = {"rmem > 205m": "kill @ 10s"}
    found = happened(leak(10, 45), monitor(rules, observe=True))
    assert [(at, result) for at, *_, result in found] == [(21.0, "dry-run"), (31.0, "dry-run"), (41.0, "dry-run")]


def test_rates_are_taken_over_the_interval_of_counters_between_the_frames():
    frames = [
        Frame(at, (HOG,), {HOG.id: {"rmem": 0, "vmem": 0, "age": 99.0 + at, "cputime": max(0.0, at - 40) * 0.9}})
        for at in map(float, range(0, 101, 5))
    ]
    [(at, *_)] = happened(frames, monitor({"cpu > 50%": "nice 5"}))
    assert 45.0 < at <= 50.0


def test_texts_have_the_values_of_their_time():
    found = list(simulate(config(monitor({"rmem > 505m": "log $NAME $PID $VALUE $RMEM"})), leak(10), Self(0)))
    assert found[0].outcome.text == f"m 100 510m {510 * MIB}"


def test_it_goes_on_until_a_time_with_what_was_seen_last():
    frames = [Frame(0.0, (HOG,), {HOG.id: {"rmem": 600 * MIB, "vmem": 0, "age": 1.0}})]
    rules = monitor({"rmem > 500m": "log @ 10s x", "age > 30s": "log old"})
    assert happened(frames, rules) == [(0.0, 100, "log @ 10s x", "told")]
    found = happened(frames, rules, until=30.0)
    assert [at for at, _, action, _ in found if "@" in action] == [0.0, 10.0, 20.0, 30.0]
    assert [at for at, _, action, _ in found if "old" in action] == [29.25]


@pytest.mark.parametrize(("eager", "when"), [(False, 20.0), (True, 14.0)])
def test_what_the_daemon_looks_at_once_in_an_interval_is_looked_at_in_each_frame_if_asked_for(eager, when):
    frames = [Frame(at, (HOG,), {HOG.id: {"threads": threads}}) for at, threads in [(0.0, 1), (14.0, 9), (30.0, 9)]]
    found = simulate(config(monitor({"threads > 5": "term"})), frames, Self(0), eager=eager)
    assert [at for at, _ in found] == [when]


def test_without_frames_only_what_is_missing_is_told():
    assert happened([], monitor({"rmem > 1m": "term", "count < 1": "exec x"})) == [(0.0, None, "exec x", "started")]


def test_whoever_may_act_on_one_user_only_does_so_here():
    frames = [
        Frame(at, (HOG, OTHER), {each.id: {"rmem": 600 * MIB, "vmem": 0} for each in (HOG, OTHER)}) for at in (0.0, 1.0)
    ]
    told = []
    found = happened(
        frames, monitor({"rmem > 500m": "term"}), myself=Self(0, 7), told=lambda at, each: told.append((at, each))
    )
    assert found == [(0.0, 200, "term", "sent")]
    assert (0.0, Kind.PROTECTED, 100) in [(at, each.kind, each.process.id.pid) for at, each in told]


def test_it_comes_to_the_same_as_a_life_that_is_lived_by_hand():
    """The tests' own engine, looked at as the loop does, with the same numbers."""
    rules = {"rmem > 100m for 7s": ["exec @ 13s a", "after 10s stop @ 9s"], "rmem > 400m": "log x"}
    sizes = {frame.at: frame.samples[HOG.id]["rmem"] for frame in leak(9, 90)}
    lived = Life(monitor(rules)).live(90, lambda now: [(HOG, sizes[float(int(now))] / MIB)])
    simulated = [(at, pid, action) for at, pid, action, _ in happened(leak(9, 90), monitor(rules))]
    assert simulated == lived


# --- the loop itself, beside a simulation ---


class Lived(World):
    """Frames that the daemon's own loop lives through; its sleep is made up, and so is what comes of actions."""

    def __init__(self, frames, until):
        super().__init__(frames)
        self.now, self.until, self.done = self.began, until, []
        self.stage = _Stage(self, lambda at, verdict: None)

    def next_look(self):
        """The kernel tells at once of who was ended."""
        return min(super().next_look(), next_of(0.05, self.now) if self.altered else inf)

    def wait(self, awaited, seconds):
        later = round(self.now + seconds, 6)
        self.now = later if later > self.now or seconds <= 0 else self.now + 1e-6
        return SimpleNamespace(si_signo=signal.SIGTERM) if self.now > self.until and signal.SIGTERM in awaited else None

    def carry_out(self, ready, now):
        outcome = self.stage.carry_out(ready, now)
        self.done.append(brief(now, outcome))
        return outcome

    def live(self, rules):
        quiet = dict.fromkeys(("keep", "tend", "abandon", "write", "catch_up"), lambda *_: None)
        idle = SimpleNamespace(idle=True, busy=0, next_wake=inf, leftovers="", groups=(), **quiet)
        performer = SimpleNamespace(
            prepare=self.stage.prepare, carry_out=self.carry_out, spawner=idle, groups=(), kin=(), dry_run=False
        )
        with (
            mock.patch.object(signal, "sigtimedwait", self.wait),
            mock.patch.object(signal, "pthread_sigmask"),
            mock.patch.object(signal, "signal"),
        ):
            ours = {"source": self, "performer": performer, "log": idle, "clock": lambda: self.now}
            Loop(rules, read=None, myself=Self(1), **ours).run()
        return [each for each in self.done if each[0] <= self.until]


def brief(at, outcome):
    verdict = outcome.verdict
    pid = verdict.process.id.pid if verdict.process else None
    at = round(at, 4)  # a made-up sleep is a millionth too long here and there
    return at, pid, str(verdict.item.action), outcome.result.value, verdict.cause.value


def chances(dice):
    """Rules, frames that they may have something to say about, and how long to go on."""
    triggers = ["rmem > 100m", "rmem > 90m for 3s", "vmem > 300m until vmem < 90m", "threads > 5", "age > 10s"]
    triggers += ["cpu > 10%", "count < 2", "growth(rmem, 3s) > 10m", "tree.rmem > 500m for 2s until rmem < 100m"]
    actions = ["term", "kill @ 5s", "kill tree", "kill largest", "log @ 3s x", "stop @ 4s", "after 3s kill"]
    actions += ["recovered log fine", "after 2s term @ 3s"]
    written = {
        dice.choice([*triggers, Writer(Rolled(dice)).trigger()]): [
            *dice.choices(actions, k=2),
            Writer(Rolled(dice)).action(),
        ]
        for _ in range(3)
    }
    rules = config(monitor(written, children=dice.random() < 0.3), interval=dice.choice([1.0, 2.0, 10.0]))
    frames = list(crowd(dice))
    return rules, frames, frames[-1].at + dice.choice([0.0, 5.0])


def crowd(dice):
    """Some come and go, one with the pid of another; some of it is not known, and there are gaps."""
    at, used = dice.choice([0.0, 1234.5]), 0.0
    for _ in range(12):
        who = [each for each in (HOG, process(101, ppid=100), OTHER) if dice.random() < 0.9]
        who += [process(101, start=7)] if dice.random() < 0.1 and all(each.id.pid != 101 for each in who) else []
        used += dice.random()
        frame = Frame(at, tuple(who), {each.id: sampled(dice, at, used) for each in who})
        yield frame
        at = round(at + dice.choice([1.0, 1.0, 0.5, 0.05, 12.0, 1.03]), 3)


def sampled(dice, at, used):
    size = dice.choice([10, 99, 200, 600]) * MIB
    whole = {
        "rmem": size,
        "vmem": 2 * size,
        "pmem": size // 2,
        "swap": 0,
        "cputime": used,
        "threads": dice.randrange(9),
    }
    whole |= {"age": at, "stopped": 0, "read_bytes": int(used * MIB), "fds": dice.randrange(99), "fdlimit": 1024}
    return {name: value for name, value in whole.items() if dice.random() < 0.95}


@settings(patiently, max_examples=25)
@given(st.integers(0, 10**9))
def test_the_daemons_own_loop_does_the_same_at_the_same_times(seed):
    rules, frames, until = chances(random.Random(seed))
    lived = Lived(frames, until).live(rules)
    assert [brief(*each) for each in simulate(rules, frames, Self(1), until=until)] == lived
