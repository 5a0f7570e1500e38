"""The loop with real signals to ourselves; sources and configurations are made up, so that nothing is waited for."""

import os
import signal
import time
from collections import deque
from itertools import pairwise
from types import SimpleNamespace

import mock
import pytest

from fallfromgrace import loop, reloading
from fallfromgrace.actions import Performer, Ready
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.exits import Failure
from fallfromgrace.ledger import Ledger
from fallfromgrace.logs import DEBUG, ERROR
from fallfromgrace.loop import Loop
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet, Want
from fallfromgrace.source import Unready
from fallfromgrace.spawn import Command, Spawner
from fallfromgrace.state import Moment
from fallfromgrace.table import Image, Size
from fallfromgrace.verdict import Outcome, Result
from tests.builders import MIB, Lines, config, monitor, process, table
from tests.torture._disturbed import Ports, deeds, live

ASKED = {signal.SIGURG, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGIO}
SOON = 0.01


@pytest.fixture(autouse=True)
def _signals_are_left_as_they_were(monkeypatch):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKED)
    monkeypatch.setattr(reloading, "_APART_SECONDS", SOON)
    yield
    while signal.sigtimedwait(ASKED, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Script:
    """A source that at each look does the next thing it is told, and ends the loop after the last."""

    def __init__(self, *steps, mib=600):
        self.steps, self.looks, self.mib = deque(steps), 0, mib
        self.hog, self.wants = process(100), []
        self.wakes, self.set_up = frozenset({signal.SIGURG}), []

    def configure(self, selects, process_events):
        self.set_up.append((selects, process_events))

    def prepare(self, facets):
        self.set_up.append(facets)

    def next_look(self):
        return float("inf")

    def sizes(self, identities):
        return {each: Size(self.mib * MIB, 0) for each in identities}

    def look(self, now):
        self.looks += 1
        if self.steps:
            self.steps.popleft()()
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        return table(self.hog)

    def measure(self, wants, now):
        self.wants += wants
        return {want.identity: self.samples.get(want.facet, {}) for want in wants}

    @property
    def samples(self):
        return {Facet.MEMORY: {"rmem": self.mib * MIB, "vmem": 0}, Facet.ROLLUP: {"pmem": self.mib * MIB}}

    def reread(self, pid):
        return self.hog, {"rmem": self.mib * MIB, "vmem": 0}


def nothing():
    pass


def event():
    """Somebody is new."""
    os.kill(os.getpid(), signal.SIGURG)


def hup():
    os.kill(os.getpid(), signal.SIGHUP)


class Read:
    """A configuration that has been read, or what came of that."""

    deadline = float("inf")

    def __init__(self, load):
        self.result = load
        self.ended = False

    def over(self, now):
        return True

    def end(self):
        self.ended = True


def made(source, log, load=None, monitors=None, told=None, interval=SOON):
    watched = config(*(monitors or [monitor({"rmem > 500m": "exec x"})]), interval=interval)
    told = [] if told is None else told
    return Loop(
        watched,
        read=lambda now: Read(load or (lambda: watched)),
        source=source,
        performer=Performer(source, dry_run=True, log=log),
        log=log,
        myself=Self(os.getpid()),
        ready=lambda: told.append("ready"),
        notify=told.append,
    )


def events(log):
    """The lines about verdicts, as they are told to those who did not ask for more."""
    return [line for priority, line in log if line.startswith("monitor=") and priority < DEBUG]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_loop_looks_until_it_is_told_to_end(number):
    log, source, told = Lines(), Script(nothing, nothing, lambda: os.kill(os.getpid(), number)), []
    assert made(source, log, told=told).run() == 0
    assert source.looks == 3
    assert told == ["ready", "STOPPING=1"]
    assert log[0][1].startswith("started, version ")
    assert log[-1][1] == "ended"


def test_what_fires_is_performed_and_told(monkeypatch):
    monkeypatch.setattr("fallfromgrace.actions.pinned", _held)
    log = Lines()
    made(Script(nothing, nothing), log).run()
    assert [line.split("cmdline")[0] for line in events(log)] == [
        'monitor=m pid=100 rule="rmem > 500m" value=600m action=exec command=x result=dry-run '
    ]


@pytest.mark.parametrize(("mib", "facets"), [(400, [Facet.MEMORY]), (600, [Facet.MEMORY, Facet.ROLLUP])])
def test_what_is_dear_to_read_is_read_only_where_the_rest_does_not_decide(mib, facets):
    source = Script(mib=mib)
    made(source, Lines(), monitors=[monitor({"pmem > 500m": "term"})], interval=3600).run()
    assert source.wants == [Want(source.hog.id, facet) for facet in facets]


def test_a_rule_about_all_that_a_monitor_covers_is_carried_out_also_where_that_is_nobody():
    log, source = Lines(), Script(nothing)
    watched = monitor({"count == 0": ["log $NAME: $VALUE left", "exec x"]}, cmdline="somebody else")
    running = made(source, log, monitors=[watched])
    running._performer.dry_run = False
    running._performer.spawner.start = lambda command, now: True
    running.run()
    assert events(log) == [
        'monitor=m rule="count == 0" value=0 action=log text="m: 0 left" result=told',
        'monitor=m rule="count == 0" value=0 action=exec command=x result=started',
    ]


def test_what_one_monitor_only_observes_another_does(monkeypatch):
    monkeypatch.setattr("fallfromgrace.actions.pinned", _held)
    log = Lines()
    watched = [monitor({"rmem > 500m": "log a"}, "a", observe=True), monitor({"rmem > 500m": "log b"}, "b")]
    running = made(Script(nothing), log, monitors=watched)
    running._performer.dry_run = False
    running.run()
    lines = events(log)
    assert [(line[8], line.partition("result=")[2].split()[0]) for line in lines] == [("a", "dry-run"), ("b", "told")]


def test_a_tree_is_signalled_for_the_one_at_its_top(monkeypatch):
    log, family = Lines(), (process(100), process(101, "x", ppid=100), process(102, "y", ppid=101))
    monkeypatch.setattr("fallfromgrace.actions.pinned", _held)
    running = made(Crowd(*family), log, monitors=[monitor({"rmem > 500m": "term tree"})])
    running.run()
    assert [line.partition(" rule=")[0] for line in events(log)] == [
        "monitor=m pid=100",
        "monitor=m pid=101 for=100",
        "monitor=m pid=102 for=100",
    ]


def acting(running, carry_out):
    """Let a loop act by a function of a test, on whatever the engine asks for."""
    running._performer.dry_run = False
    running._performer.prepare = lambda verdict, held: Ready(verdict, {}, None)
    running._performer.carry_out = carry_out


class Crowd(Script):
    """A source with a family: `processes` in place of one hog."""

    def __init__(self, *processes):
        super().__init__(nothing)
        self.processes = processes

    def look(self, now):
        super().look(now)
        return table(*self.processes)

    def reread(self, pid):
        return next(each for each in self.processes if each.id.pid == pid), self.samples[Facet.MEMORY]


def test_a_limit_that_is_used_in_a_look_holds_for_those_who_come_after_in_it():
    done = []
    running = made(Crowd(process(100), process(200)), Lines(), monitors=[monitor({"rmem > 500m": "exec @ 1h x"})])
    acting(
        running,
        lambda ready, now: (done.append(ready.verdict.process.id.pid), Outcome(ready.verdict, Result.STARTED))[1],
    )
    running.run()
    assert done == [100]


def test_a_family_is_held_and_asked_again_before_the_first_is_signalled_and_parents_come_first():
    story = []
    family = process(100), process(101, "x", ppid=100), process(102, "y", ppid=101)
    running = made(Crowd(*family), Lines(), monitors=[monitor({"rmem > 500m": ["exec x", "term"]}, children=True)])

    def prepare(verdict, held):
        story.append(f"hold {verdict.process.id.pid} for {str(verdict.item.action)[:4]}")
        held.callback(story.append, f"let {verdict.process.id.pid} go")
        return Ready(verdict, {}, None)

    def carry_out(ready, now):
        story.append(f"{str(ready.verdict.item.action)[:4]} {ready.verdict.process.id.pid}")
        return Outcome(ready.verdict, Result.SENT)

    acting(running, carry_out)
    running._performer.prepare = prepare
    running.run()
    signals = story[story.index("let 102 go") + 1 :]
    assert signals == [
        "hold 100 for term", "hold 101 for term", "hold 102 for term",
        "term 100", "term 101", "term 102",
        "let 102 go", "let 101 go", "let 100 go",
    ]  # fmt: skip


def test_a_stranger_with_the_pid_of_one_who_was_stopped_is_not_named():
    log, source = Lines(), Script(nothing)
    running = made(source, log, monitors=[monitor({"rmem > 500m": "stop @ 10m"})], interval=3600)

    def carry_out(ready, now):
        source.hog = process(100, start=999, state="T")
        os.kill(os.getpid(), signal.SIGTERM)
        return Outcome(ready.verdict, Result.SENT)

    acting(running, carry_out)
    running.run()
    assert "still stopped" not in log.text()


def test_tending_that_fails_oddly_is_told_and_the_loop_goes_on():
    log, source = Lines(), Script(nothing, nothing)
    running = made(source, log)
    running._performer.spawner.tend = mock.Mock(side_effect=RuntimeError("unheard of"))
    with mock.patch.object(Spawner, "idle", new=False):
        assert running.run() == 0
    assert (ERROR, "tending commands failed; please report this:") in log
    assert source.looks == 3


class _held:
    def __init__(self, identity):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def check(self):
        pass


def test_a_hup_takes_up_a_new_configuration_and_looks_at_once():
    log, source, told = Lines(), Script(hup), []
    changed = config(monitor({"rmem > 600m": "exec x", "vmem > 1": "term"}), interval=3600)
    made(source, log, load=lambda: changed, told=told, interval=3600).run()
    assert "configuration reloaded: 1 monitor, 2 rules; +2 rules, -1, 0 changed, 0 armed timers kept" in log.text()
    assert source.looks == 2
    assert [word.partition("\n")[0] for word in told] == ["ready", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_a_bad_configuration_leaves_the_old_one_in_force():
    def bad():
        raise ConfigError([Problem("x.conf", 1, 2, "wrong")])

    log, source, told = Lines(), Script(hup, nothing, nothing), []
    made(source, log, load=bad, told=told).run()
    assert (ERROR, "x.conf:1:2: wrong") in log
    assert "the old one stays in force" in log.text()
    assert source.looks >= 4
    assert "READY=1" in told


def test_a_configuration_that_could_not_be_read_leaves_the_old_one_in_force():
    def unread():
        raise Failure("cannot read the configuration, for want of a process: no more processes")

    log, source = Lines(), Script(hup, nothing)
    assert made(source, log, load=unread).run() == 0
    assert "the old one stays in force" in log.text()
    assert "for want of a process" in log.text()
    assert "please report this" not in log.text()


class Slow(Read):
    """One that is read by the third time that it is asked for."""

    asked = 0

    def over(self, now):
        self.asked += 1
        return self.asked > 3


def test_while_a_configuration_is_being_read_it_goes_on_looking_and_begins_no_other_reload():
    log, read = Lines(), []
    source = Script(hup, nothing, nothing, nothing, nothing)
    running = made(source, log)
    running._reloading._read = lambda now: read.append(Slow(lambda: config(interval=SOON))) or read[-1]
    running.run()
    assert log.text().count("configuration reloaded") == len(read) == 1
    assert source.looks == 6


def test_a_reading_that_is_not_over_is_given_up_at_the_end():
    read = Slow(config)
    running = made(Script(hup), Lines())
    running._reloading._read = lambda now: read
    running.run()
    assert read.ended


def test_a_storm_of_hups_is_few_reloads():
    reads = []

    def load():
        reads.append(1)
        return config()

    def storm():
        for _ in range(1000):
            hup()

    made(Script(storm, storm, storm), Lines(), load=load).run()
    assert 1 <= len(reads) <= 4


def test_the_end_comes_before_a_reload():
    def both():
        hup()
        os.kill(os.getpid(), signal.SIGTERM)

    def never():
        raise AssertionError("reloaded")

    assert made(Script(both), Lines(), load=never).run() == 0


NOBODY = table()


class Steady(Script):
    """A source with a table and a size for each time, which are seconds since the first look; it fails once."""

    def __init__(self, tables, mib=lambda now: 100, fails=lambda now: False):
        super().__init__()
        self.tables, self.size_at, self.fails, self.began = tables, mib, fails, None

    def run(self, monitors, seconds, interval=10):
        log, self.ends_at = Lines(), time.monotonic() + seconds
        made(self, log, monitors=monitors, interval=interval).run()
        return log

    def look(self, now):
        self.looks += 1
        self.began = self.began or now
        if now >= self.ends_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.mib = self.size_at(now - self.began)
        return self.tables(now - self.began)

    def sizes(self, identities):
        if self.fails(time.monotonic() - self.began):
            self.fails = lambda now: False
            raise ValueError("once")
        return {each: Size(int(self.mib) * MIB, 0) for each in identities}

    def next_look(self):
        return time.monotonic() + 0.5


def test_the_source_is_told_what_the_rules_are_about_and_again_at_a_reload():
    source = Script(hup, nothing)
    changed = config(monitor({"fds > 5": "log x"}, cmdline="else"), interval=SOON)
    made(source, Lines(), load=lambda: changed).run()
    (first, events), facets, (then, _), facets_then = source.set_up
    assert (events, facets, facets_then) == (True, {Facet.MEMORY}, {Facet.DESCRIPTORS})
    images = Image("hog", 0), Image("else", 0)
    assert [[selects(image) for image in images] for selects in (first, then)] == [[True, False], [False, True]]


def test_a_source_that_has_news_is_looked_at_within_a_tick_and_news_of_one_tick_together():
    looks = []

    def look():
        looks.append(time.monotonic())
        event()

    def storm():
        look()
        for _ in range(1000):
            event()

    made(Script(look, storm, look, look), Lines(), interval=3600).run()
    gaps = [later - sooner for sooner, later in pairwise(looks)]
    assert len(gaps) == 3
    assert all(gap < 1 for gap in gaps)
    assert looks[-1] - looks[0] > 0.09  # from tick to tick


def test_after_a_look_at_the_new_others_are_gathered_for_a_quarter_of_a_second():
    looks = []

    def look():
        looks.append(time.monotonic())

    def news():
        look()
        event()

    def last():
        look()
        os.kill(os.getpid(), signal.SIGTERM)

    made(Script(news, news, last), Lines(), monitors=[monitor({"rmem > 9t": "exec x"})], interval=3600).run()
    first, second, third = looks
    assert second - first < 0.2  # after a quiet time at the next tick
    assert 0.24 < third - second < 0.6


def test_a_source_that_does_not_know_yet_is_asked_again_and_nothing_is_decided():
    def unready():
        raise Unready

    log = Lines()
    source = Script(unready, unready, nothing)
    made(source, log, monitors=[monitor({"count < 1": "exec x"}, cmdline="nobody")]).run()
    assert source.looks == 4
    assert "failed" not in log.text()
    assert len(events(log)) == 1


def test_a_source_says_when_to_look_again():
    source = Script(nothing, nothing)
    source.next_look = time.monotonic
    began = time.monotonic()
    made(source, Lines(), monitors=[monitor({"rmem > 9t": "exec x"})], interval=3600).run()
    assert time.monotonic() - began < 5
    assert source.looks == 3


def test_a_look_at_which_nobody_is_due_reads_nothing_but_sizes():
    source = Script(*[nothing] * 3)
    source.family = table(source.hog)
    source.look = lambda now, look=source.look: (look(now), source.family)[1]
    made(source, Lines(), monitors=[monitor({"rmem > 620m": "exec x"})], interval=3600).run()
    assert source.looks == 4
    assert [want.facet for want in source.wants] == [Facet.MEMORY]  # at the first


def test_a_look_that_fails_is_told_and_the_next_is_made():
    def fail():
        raise RuntimeError("unheard of")

    log, source = Lines(), Script(fail, nothing)
    made(source, log).run()
    assert source.looks == 3
    assert (ERROR, "a look failed; please report this:") in log
    assert (ERROR, "RuntimeError: unheard of") in log


def test_an_action_that_fails_oddly_is_told_and_costs_the_others_nothing():
    log, source = Lines(), Script(nothing)
    running = made(source, log, monitors=[monitor({"rmem > 500m": ["exec bad", "exec good"]})])
    performed = []

    def carry_out(ready, now):
        performed.append(str(ready.verdict.item.action))
        if "bad" in performed[-1]:
            raise RuntimeError("unheard of")
        return Outcome(ready.verdict, Result.STARTED)

    acting(running, carry_out)
    running.run()
    assert performed[:2] == ["exec bad", "exec good"]
    assert (ERROR, "an action failed; please report this:") in log
    assert "result=failed" in log.text()


def test_a_configuration_that_cannot_be_read_for_an_unknown_reason_leaves_the_old_one_in_force():
    def odd():
        raise RuntimeError("unheard of")

    log, source = Lines(), Script(hup, nothing)
    assert made(source, log, load=odd).run() == 0
    assert (ERROR, "the reload failed; please report this:") in log
    assert source.looks >= 3


def test_who_was_stopped_is_told_at_the_end_also_right_after_the_stop(monkeypatch):
    log, source = Lines(), Script(nothing)
    running = made(source, log, monitors=[monitor({"rmem > 500m": "stop @ 10m"})], interval=3600)

    def carry_out(ready, now):
        source.hog = source.hog._replace(state="T")
        os.kill(os.getpid(), signal.SIGTERM)
        return Outcome(ready.verdict, Result.SENT)

    acting(running, carry_out)
    running.run()
    assert "still stopped by a rule: 100; continue them with kill -CONT 100" in log.text()


def test_an_action_that_repeats_sooner_than_the_interval_is_not_kept_waiting_for_it():
    log, times = Lines(), []
    source = Script(nothing)
    running = made(source, log, monitors=[monitor({"rmem > 500m": "exec @ 1s x"})], interval=3600)

    def carry_out(ready, now):
        times.append(now)
        return Outcome(ready.verdict, Result.STARTED)

    acting(running, carry_out)
    running.run()
    assert len(times) == 2
    assert all(0.9 <= later - sooner < 2 for sooner, later in pairwise(times))


def test_nothing_is_remembered_of_what_was_said_of_those_who_ended(monkeypatch):
    log, source = Lines(), Script(nothing, lambda: setattr(source, "hog", process(200, "vi")), nothing)
    running = made(source, log)
    running.run()
    assert not running._reporter._said


def test_a_rule_about_a_group_that_is_nobody_does_not_keep_the_loop_busy():
    source = Steady(lambda now: NOBODY)
    source.run([monitor({"group.rmem > 1g": "log x"})], seconds=1)
    assert source.looks < 30


def test_who_was_watched_and_has_ended_does_not_keep_the_loop_busy():
    there = table(process(100))
    source = Steady(lambda now: there if now < 0.3 else NOBODY)
    source.run([monitor({"rmem > 1g": "log x"})], seconds=1)
    assert source.looks < 30


def test_after_a_look_that_failed_the_next_follows_soon_whatever_the_interval():
    there, source = table(process(100)), None
    source = Steady(lambda now: there, mib=lambda now: 100 + 600 * now, fails=lambda now: now > 0.5)
    log = source.run([monitor({"rmem > 1g": "log x"})], seconds=4, interval=3600)
    assert "rmem > 1g" in log.text()


def test_a_look_that_keeps_failing_is_tried_once_an_interval():
    def fail():
        raise RuntimeError("unheard of")

    source = Script(*[fail] * 3)
    began = time.monotonic()
    made(source, Lines(), interval=0.1).run()
    assert time.monotonic() - began >= 0.3


def test_commands_are_tended_between_looks():
    """One wait serves signals, looks and outputs: a command that ends is noticed long before the next look."""
    log = Lines()
    source = Script(nothing)
    running = made(source, log, interval=3600)
    real_tend = running._performer.spawner.tend

    def tend(now):
        real_tend(now)
        if "status=0" in log.text():
            os.kill(os.getpid(), signal.SIGTERM)

    command = Command("echo hi", "m", {"PATH": os.defpath}, "l")
    source.steps = deque([lambda: running._performer.spawner.start(command, time.monotonic())])
    running._performer.spawner.tend = tend
    assert running.run() == 0
    assert "l output=hi" in log.text()
    assert source.looks == 1


def test_a_command_that_runs_too_long_is_ended_long_before_the_next_look():
    log, source = Lines(), Script(nothing)
    running = made(source, log, interval=3600)
    start = running._performer.spawner.start
    command = Command("sleep 60", "m", {"PATH": os.defpath}, "l", timeout=0.1)
    source.steps = deque([lambda: start(command, time.monotonic())])
    tell = log.write

    def write(priority, text):
        tell(priority, text)
        if "status=-15" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    log.write = write
    assert running.run() == 0
    assert "l sent=SIGTERM" in log.text()


def test_a_flood_of_output_is_read_at_a_steady_pace():
    log, source, tends = Lines(), Script(nothing), []
    running = made(source, log, interval=3600)
    spawner = running._performer.spawner
    command = Command("head -c 1000000 /dev/zero", "m", {"PATH": os.defpath}, "l")
    source.steps = deque([lambda: spawner.start(command, time.monotonic())])
    tend = spawner.tend

    def counting(now):
        tends.append(now)
        tend(now)
        if not spawner.busy:
            os.kill(os.getpid(), signal.SIGTERM)

    spawner.tend = counting
    running.run()
    assert len(tends) <= 2 * (tends[-1] - tends[0]) / loop._DRAIN_SECONDS + 5  # at most one for IO and one for CHLD


def test_between_two_reloads_there_is_time_to_look(monkeypatch):
    monkeypatch.setattr(reloading, "_APART_SECONDS", 0.2)
    loads = []

    def load():
        loads.append(time.monotonic())
        hup() if len(loads) < 3 else os.kill(os.getpid(), signal.SIGTERM)
        return config(interval=3600)

    assert made(Script(hup, *[nothing] * 5), Lines(), load=load, interval=3600).run() == 0
    assert len(loads) == 3
    assert all(later - sooner >= 0.19 for sooner, later in pairwise(loads))


def test_a_command_may_finish_when_the_loop_is_told_to_end():
    log = Lines()
    source = Script()
    running = made(source, log)
    command = Command("sleep 0.1; echo bye", "m", {"PATH": os.defpath}, "l")
    running._performer.spawner.start(command, time.monotonic())
    running.run()
    assert "l output=bye" in log.text()
    assert log[-1][1] == "ended"


# --- what fails is made up for ---


def out_of_memory(*_):
    raise MemoryError


class Failing:
    """Something that fails so often, and then is as it was."""

    def __init__(self, call, times, error=MemoryError):
        self.call, self.left, self.error = call, times, error

    def __call__(self, *words):
        if self.left:
            self.left -= 1
            raise self.error()
        return self.call(*words)


def test_a_signal_that_python_makes_up_after_a_stop_is_none():
    made_up = [None, signal.SIGHUP, 12345]

    def waits(awaited, seconds):
        number = made_up.pop()
        return number and SimpleNamespace(si_signo=number)

    running = made(Script(nothing), Lines())
    with mock.patch.object(signal, "sigtimedwait", waits):
        running._wait(0.0)
    assert (running._asked, made_up) == ({signal.SIGHUP}, [])


def test_a_wait_that_fails_keeps_nobody_from_looking_nor_from_ending(monkeypatch):
    log, source, began = Lines(), Script(nothing, nothing), time.monotonic()
    monkeypatch.setattr(signal, "sigtimedwait", Failing(signal.sigtimedwait, 5))
    assert made(source, log).run() == 0
    assert source.looks == 3
    assert time.monotonic() - began > 0.2  # it does not fail as fast as it can
    assert log.text().count("a turn failed for want of memory") == 1


def test_a_signal_that_came_before_something_failed_is_heeded_after_it(monkeypatch):
    log, source = Lines(), Script(hup, nothing, nothing)
    running = made(source, log)
    running._reloading.ask = Failing(running._reloading.ask, 1)
    running.run()
    assert "configuration reloaded" in log.text()


def test_who_presses_ctrl_c_or_exits_is_heard():
    for error in (KeyboardInterrupt, SystemExit):
        source = Script(Failing(nothing, 1, error))
        with pytest.raises(error):
            made(source, Lines()).run()


def test_to_tell_of_what_failed_may_fail_too(monkeypatch):
    log, source = Lines(), Script(nothing, out_of_memory, out_of_memory)
    running = made(source, log)
    monkeypatch.setattr(running._reporter, "fault", out_of_memory)
    assert running.run() == 0
    assert source.looks == 4


def test_the_reserve_is_let_go_before_it_is_told_why_and_held_again_after_a_look_that_went_well():
    held, log = [], Lines()

    def notes():
        held.append(running._reserve._held is not None)

    def fault(*words):
        notes()
        told(*words)

    running = made(Script(notes, out_of_memory, notes, notes), log)
    told, running._reporter.fault = running._reporter.fault, fault
    running.run()
    assert held == [True, False, False, True]
    assert "a look failed for want of memory" in log.text()


def test_the_source_is_told_of_new_rules_also_if_that_fails_at_first():
    log, source = Lines(), Script(hup, *[nothing] * 5)
    changed = config(monitor({"rmem > 500m": "exec y"}, cmdline="else"), interval=SOON)
    configure = Failing(source.configure, 0)
    running = made(source, log, load=lambda: setattr(configure, "left", 2) or changed)
    source.configure = configure
    running.run()
    assert "a look failed for want of memory" in log.text()
    selects = [each[0] for each in source.set_up if isinstance(each, tuple)]
    assert [each(Image("else", 0)) for each in selects] == [False, True]


def test_all_is_done_that_would_have_been_wherever_memory_runs_out():
    """At one of every forty calls to the outside; `tests/torture/memory.py` has the others."""
    whole = Ports()
    expected = deeds(live(whole))
    for number in range(1, len(whole.names), len(whole.names) // 40):
        assert deeds(live(Ports(number))) == expected, (number, whole.names[number - 1])


# --- signs of life ---


def test_a_look_that_did_not_fail_is_a_sign_of_life_and_one_that_did_is_none():
    def unready():
        raise Unready

    alive, source = [], Script(nothing, out_of_memory, nothing, unready, nothing)
    running = made(source, Lines())
    running._alive = lambda now: alive.append(source.looks)
    running.run()
    assert alive == [1, 3, 5, 6]


def test_nobody_who_waits_for_signs_of_life_loses_patience(monkeypatch):
    looks = []
    source = Script(*[lambda: looks.append(time.monotonic())] * 4)
    running = made(source, Lines(), monitors=[monitor({"rmem > 9t": "exec x"})], interval=3600)
    running._patience = 0.1
    running.run()
    assert all(later - sooner < 0.5 for sooner, later in pairwise(looks))


def test_the_log_may_catch_up_at_each_look():
    log, tries = Lines(), []
    log.catch_up = tries.append
    made(Script(nothing, out_of_memory, nothing), log).run()
    assert len(tries) == 4


# --- to publish is never worth more than to act ---


class Unkept(Ledger):
    """Cannot keep account, for any of these reasons."""

    def __init__(self, error):
        super().__init__()
        self.acted = self.status = mock.Mock(side_effect=error)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a fault of ours")], ids=repr)
def test_an_action_that_cannot_be_published_is_told_and_those_after_it_are_done_in_the_same_look(error):
    log, source = Lines(), Crowd(process(100), process(200))
    running = made(source, log, monitors=[monitor({"rmem > 500m": "log x"})])
    running._ledger = Unkept(error)
    done = []  # in which look
    acting(running, lambda ready, now: (done.append(source.looks), Outcome(ready.verdict, Result.TOLD))[1])
    running.run()
    assert [line.split()[1] for line in events(log)] == ["pid=100", "pid=200"]
    assert done == [1, 1]


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a fault of ours")], ids=repr)
def test_a_status_that_cannot_be_made_up_does_not_keep_the_state_from_being_written(error):
    running = made(Script(nothing), Lines())
    running._ledger, running._keeper = Unkept(error), mock.Mock(due=0.0, recall=lambda now: None)
    running.run()
    _, _, status = running._keeper.keep.call_args.args
    assert status(Moment(1.0, 1.0)) == {}


def test_what_is_published_is_there_when_somebody_is_told_that_it_is_ready():
    """Who starts it and asks for its status at once must not be told of the one before it."""
    told = []
    running = made(Script(nothing), Lines(), told=told)
    running._keeper = mock.Mock(due=float("inf"), recall=lambda now: None, keep=lambda *_: told.append("kept"))
    running.run()
    assert told[:2] == ["kept", "ready"]
