"""The fast source: who is noticed when, at what cost in readings, and what it does when it falls short."""

import contextlib
import errno
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import mock
import pytest

from fallfromgrace import events, measures, procfs, source
from fallfromgrace.cmdlines import Seen
from fallfromgrace.connector import Batch, Connector, Unavailable
from fallfromgrace.errand import ARGUMENTS, STAT
from fallfromgrace.linux import ROUND_SECONDS, LinuxSource
from fallfromgrace.patience import Patience, Pattern, Unfinished
from fallfromgrace.readings import Facet, Want
from fallfromgrace.source import Unready
from fallfromgrace.table import UNREADABLE, Image, Process, ProcessId, Size
from tests.builders import MIB
from tests.proctree import Proc
from tests.victims import marker, state, until, victim

NOW = 1000.0  # when the first look is


class Feed:
    """Process events as a test wants them."""

    def __init__(self):
        self.batches, self.closed = [], False

    def tell(self, ended=(), changed=(), lost=False):
        self.batches.append(Batch(set(ended), set(changed), lost))

    def drain(self):
        batch = self.batches.pop(0) if self.batches else Batch(set(), set(), False)
        if isinstance(batch, Exception):
            raise batch
        return batch

    def close(self):
        self.closed = True


def none_here():
    raise Unavailable("there are no events here")


class Lines:
    """Command lines, read here and now, but of `hanging` by nobody, of `late` not in time, of `failing` not by us.

    Of a `dead_end` even the stat line hangs.
    """

    def __init__(self, root):
        self.root = root
        self.hanging, self.dead_end, self.late, self.failing, self.again = (set() for _ in range(5))

    def begin(self, now):
        pass

    def due(self, now):
        return self.again

    def drop(self, pid):
        pass

    def hangs(self, identity):
        return identity.pid in self.hanging

    def read(self, pids, now, what=ARGUMENTS):
        return {pid: self._tried(pid, what) for pid in pids if pid not in self.late}

    read_now = read

    def stats(self, pids):
        found = self.read([pid for pid in pids if pid not in self.dead_end], NOW, STAT)
        return {pid: self._stat(pid, seen) if isinstance(seen, Seen) else seen for pid, seen in found.items()}

    def _stat(self, pid, seen):
        return procfs.resolve(procfs.parse_stat(seen.stat), f"{self.root}/{pid}")

    def _tried(self, pid, what):
        if pid in self.failing:
            return OSError(errno.EMFILE, "Too many open files")
        if pid in self.dead_end:
            return Seen(b"", None)
        try:
            line = procfs.read_stat_line(pid, self.root)
            if not line or (pid in self.hanging and what == ARGUMENTS):
                return Seen(line, None, self._exe(pid)) if line else None
            survivor = procfs.resolve(procfs.parse_stat(line), f"{self.root}/{pid}").survivor
            arguments = procfs.read_arguments(pid, source.LONGEST_ARGUMENTS, self.root, survivor)
            return None if arguments is None else Seen(line, arguments, self._exe(pid))
        except OSError as error:
            return error

    def _exe(self, pid):
        return procfs.read_exe(pid, self.root)


class World:
    """A /proc of our own and a source that reads it, with events or without; what it told, and whom it read."""

    def __init__(self, path, monkeypatch, with_events):
        self.proc, self.told, self.reads, self.judged = Proc(path), [], [], []
        self.feed, self.with_events = Feed(), with_events
        connect = (lambda: self.feed) if with_events else none_here
        self.lines = Lines(self.proc.root)
        self.source = LinuxSource(self.told.append, self.proc.root, connect=connect, budget=100, lines=self.lines)
        self.put, self.remove = self.proc.put, self.proc.remove
        read = procfs._read
        monkeypatch.setattr(procfs, "_read", lambda path, limit: self.reads.append(path) or read(path, limit))
        self.configure()

    def configure(self, pattern="hog", process_events=True):
        self.pattern = re.compile(pattern)
        self.source.configure(self._selects, process_events)

    def _selects(self, image):
        self.judged.append(image.cmdline)
        return bool(self.pattern.search(image.cmdline))

    def look(self, now=NOW):
        """The pids in the table."""
        return [process.id.pid for process in self.source.look(now)]

    def changed(self, *pids):
        """What the kernel would tell, if it does."""
        self.feed.tell(changed=pids)

    def ended(self, *pids):
        for pid in pids:
            self.remove(pid)
        self.feed.tell(ended=pids)

    def read_of(self, name):
        """The pids of whom a file was read since the last time that this was asked."""
        found = [int(path.split("/")[-2]) for path in self.reads if path.endswith(f"/{name}")]
        self.reads.clear()
        return found


@pytest.fixture(params=[True, False], ids=["events", "polling"])
def world(request, tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch, request.param)
    yield made
    made.source.close()


@pytest.fixture
def heard(tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch, True)
    yield made
    made.source.close()


@pytest.fixture
def polled(tmp_path, monkeypatch):
    made = World(tmp_path, monkeypatch, False)
    yield made
    made.source.close()


# --- who is in the table ---


def test_the_selected_and_all_below_are_in_the_table_and_nobody_else(world):
    world.put(1, "init", ppid=0)
    world.put(50, "hog --main", ppid=1)
    world.put(51, "worker", ppid=50)
    world.put(52, "worker of the worker", ppid=51)
    world.put(60, "other", ppid=1)
    world.put(61, "hog", ppid=60)
    world.put(70, "hog", ppid=1, state="Z")
    world.put(71, "hog", ppid=2, kernel=True)
    assert world.look() == [50, 51, 52, 61]
    assert next(iter(world.source.look(NOW))) == Process(
        ProcessId(50, 50), 1, 50, "S", Image("hog --main", 1000, "/usr/bin/hog")
    )


def test_parents_may_have_higher_pids_than_their_children(world):
    world.put(50, "worker", ppid=90, start=95)
    world.put(51, "worker", ppid=50, start=96)
    world.put(90, "hog", start=90)
    assert world.look() == [50, 51, 90]


def test_who_is_older_than_its_parent_is_no_child_of_it_at_any_look(world):
    world.put(50, "hog", start=60)
    world.put(51, "older", ppid=50, start=40)
    for second in range(70):
        assert world.look(NOW + second) == [50]


def test_before_it_is_told_whom_to_look_for_there_is_nobody(tmp_path):
    proc = Proc(tmp_path)
    proc.put(50)
    assert len(LinuxSource(print, proc.root, connect=none_here).look(0)) == 0


def test_the_table_is_the_same_one_until_something_about_it_changes(world):
    world.put(50)
    world.put(60, "other")
    table = world.source.look(NOW)
    world.put(50, state="R")
    world.put(60, "another")
    world.put(61, "other")
    world.changed(50, 60, 61)
    for second in range(1, 70):
        assert world.source.look(NOW + second) is table


@pytest.mark.parametrize("what", [{"cmdline": "hog 2"}, {"uid": 7}, {"exe": "/bin/x"}, {"ppid": 60}, {"pgid": 7}])
def test_whatever_changes_of_who_is_in_it_is_seen_within_a_minute(world, what):
    world.put(50)
    world.put(60, "other")
    table = world.source.look(NOW)
    world.put(50, **what)
    seen = [world.source.look(NOW + second) is not table for second in range(1, 61)]
    assert seen[-1]
    [process] = world.source.look(NOW + 61)
    assert process == source.read_process(50, world.proc.root)


def test_after_a_new_configuration_everybody_is_read_anew_and_asked_for_anew(world):
    world.put(50)
    world.put(60, "other")
    before = world.source.look(NOW)
    world.configure("other")
    assert world.look() == [60]
    world.configure("hog")
    assert world.source.look(NOW) is not before


def test_a_regex_is_asked_once_about_each_image(world):
    world.put(50)
    world.put(60, "other")
    for second in range(130):
        world.look(NOW + second)
    assert sorted(world.judged) == ["hog", "other"]
    world.put(60, "another")
    for second in range(130, 200):
        world.look(NOW + second)
    assert sorted(world.judged) == ["another", "hog", "other"]


# --- how soon ---


def test_with_events_it_is_known_at_once_who_is_new_and_who_is_gone(heard):
    heard.put(50)
    heard.look()
    heard.put(51)
    heard.changed(51)
    assert heard.look(NOW + 0.01) == [50, 51]
    heard.ended(50)
    assert heard.look(NOW + 0.02) == [51]


def test_without_events_it_is_known_at_the_next_whole_second(polled):
    polled.put(50)
    polled.look()
    polled.put(51)
    polled.remove(50)
    assert polled.look(NOW + 0.99) == [50]
    assert polled.source.next_look() == NOW + 1
    assert polled.look(NOW + 1) == [51]


@pytest.mark.parametrize(("now", "following"), [(1000.0, 1001), (1000.7, 1001), (1004.99, 1005)])
def test_without_events_looks_are_at_whole_seconds(polled, now, following):
    polled.look(now)
    assert polled.source.next_look() == following


def test_with_events_there_is_a_look_every_four_seconds_though_nothing_happens(heard):
    heard.put(50)
    heard.look()
    assert heard.source.next_look() == NOW + 4
    assert heard.source.wakes == {events.WAKE}


def test_a_pid_that_was_given_to_another_is_the_other(heard):
    heard.put(50)
    heard.put(51, "kid", ppid=50)
    heard.look()
    heard.put(50, "other", start=99)
    heard.feed.tell(ended={50}, changed={50})
    assert heard.look(NOW + 0.1) == []
    heard.put(50, "hog", start=120)
    heard.feed.tell(ended={50}, changed={50})
    heard.look(NOW + 0.2)
    assert [process.id for process in heard.source.look(NOW + 0.2)] == [ProcessId(50, 120)]


def test_without_events_a_pid_that_was_given_to_another_is_noticed_within_a_minute(polled):
    polled.put(50, "hog")
    polled.look()
    polled.put(50, "hog", start=99)
    for second in range(1, 61):
        table = polled.source.look(NOW + second)
    assert [process.id for process in table] == [ProcessId(50, 99)]


def test_who_runs_something_else_is_selected_or_no_longer_and_those_below_with_it(heard):
    heard.put(50, "shell")
    heard.put(51, "kid", ppid=50)
    heard.put(52, "kid of the kid", ppid=51)
    assert heard.look() == []
    heard.put(50, "hog")
    heard.changed(50)
    assert heard.look(NOW + 0.1) == [50, 51, 52]
    heard.put(50, "shell")
    heard.changed(50)
    assert heard.look(NOW + 0.2) == []


def test_who_is_no_longer_selected_stays_if_it_is_below_another(heard):
    heard.put(50)
    heard.put(51, "hog", ppid=50)
    heard.put(52, "kid", ppid=51)
    heard.look()
    heard.put(51, "worker", ppid=50)
    heard.changed(51)
    assert heard.look(NOW + 0.1) == [50, 51, 52]


def test_children_of_who_ended_are_below_their_new_parent(world):
    world.put(1, "init", ppid=0)
    world.put(50)
    world.put(51, "kid", ppid=50)
    world.put(52, "kid of the kid", ppid=51)
    world.put(60, "reaper of the hog", ppid=1)
    world.look()
    world.put(52, "kid of the kid", ppid=1)
    world.ended(51)
    assert world.look(NOW + 1) == [50, 60]
    world.put(61, "kid", ppid=62)
    world.put(62, "other")
    world.changed(61, 62)
    world.look(NOW + 2)
    world.put(61, "kid", ppid=60)
    world.ended(62)
    assert world.look(NOW + 3) == [50, 60, 61]


def test_children_that_get_their_new_parent_a_moment_later_are_found_all_the_same(heard):
    """Those of a process whose main thread has ended before the others."""
    heard.put(50)
    heard.put(60, "other")
    heard.put(61, "kid", ppid=60)
    heard.look()
    heard.ended(60)
    heard.look(NOW + 0.1)
    heard.put(61, "kid", ppid=50)
    assert heard.source.next_look() == NOW + 1
    assert heard.look(NOW + 1) == [50, 61]


# --- what is read when ---


@pytest.mark.parametrize("seconds", [1, 3, 5])
def test_everybody_is_read_again_within_a_minute_and_no_more_than_a_few_at_once(world, seconds):
    for pid in range(1000, 1100):
        world.put(pid, "other")
    world.look()
    world.read_of("cmdline")
    last, most = dict.fromkeys(range(1000, 1100), NOW), 0
    for second in range(seconds, 200, seconds):
        world.look(NOW + second)
        read = world.read_of("cmdline")
        most = max(most, len(read))
        for pid in read:
            assert NOW + second - last[pid] <= 60
            last[pid] = NOW + second
    assert all(NOW + 200 - at <= 60 for at in last.values())
    assert most <= 100 * seconds / ROUND_SECONDS + 1


def test_of_those_nobody_is_interested_in_only_the_command_line_is_read_again_where_there_are_events(heard):
    for pid in range(1000, 1100):
        heard.put(pid, "other")
    heard.look()
    heard.reads.clear()
    for second in range(1, 40):
        heard.look(NOW + second)
    assert {path.rsplit("/", 1)[1] for path in heard.reads} == {"stat", "cmdline"}


def test_after_a_storm_that_is_over_everybody_is_still_read_within_a_minute(world):
    for pid in range(1000, 1500):
        world.put(pid, "short-lived")
    world.put(2000, "other")
    world.look()
    world.ended(*range(1000, 1500))
    for second in range(1, 10):
        world.look(NOW + second)
    world.put(2000, "hog")
    assert [2000] in [world.look(NOW + second) for second in range(10, 70)]


def test_between_whole_seconds_nothing_is_read_if_nothing_happens(world):
    world.put(50)
    world.look()
    world.reads.clear()
    for tenth in range(1, 10):
        world.look(NOW + tenth / 10)
    assert world.reads == []


def given(world, pid):
    """The pid that was given last, in a /proc that is our own."""
    (Path(world.proc.root) / "sys/kernel").mkdir(parents=True, exist_ok=True)
    (Path(world.proc.root) / "sys/kernel/ns_last_pid").write_text(f"{pid}\n")
    link = Path(world.proc.root) / "self"
    if not link.is_symlink():
        link.symlink_to(str(os.getpid()))


def test_without_events_the_list_of_pids_is_made_only_if_somebody_was_born(polled):
    with mock.patch.object(procfs, "read_pids", wraps=procfs.read_pids) as lists:
        given(polled, 50)
        for pid in range(50, 60):
            polled.put(pid, "hog")
        for second in range(5):
            assert polled.look(NOW + second) == list(range(50, 60))
        assert lists.call_count == 1
        polled.put(60, "hog")
        given(polled, 60)
        assert polled.look(NOW + 5) == list(range(50, 61))
        assert lists.call_count == 2


def test_who_is_in_the_table_and_has_ended_is_noticed_though_nobody_was_born(polled):
    given(polled, 51)
    polled.put(50, "hog")
    polled.put(51, "kid", ppid=50)
    assert polled.look() == [50, 51]
    polled.remove(50)
    polled.put(51, "kid", ppid=1)
    assert polled.look(NOW + 1) == []


def test_of_who_is_not_selected_by_its_command_line_nothing_else_is_read(world):
    world.put(50, "hog")
    world.put(51, "kid", ppid=50)
    world.put(60, "other")
    assert world.look() == [50, 51]
    assert set(world.read_of("status")) == {50, 51}
    for second in range(1, 60):
        world.look(NOW + second)
    assert 60 not in world.read_of("status")


def test_who_is_selected_by_its_owner_is_found_when_that_changes(polled):
    polled.source.configure(lambda image: image.uid == 7, process_events=False)
    polled.put(50, "any", uid=1)
    assert polled.look() == []
    polled.put(50, "any", uid=7)
    assert [second for second in range(1, 61) if polled.look(NOW + second)]


def test_a_young_process_is_read_again_every_second_until_it_is_five_seconds_old(polled, monkeypatch):
    """Between fork and exec it shows its parent's command line."""
    for pid in range(1000, 1500):
        polled.put(pid, "other")
    polled.look()
    clock = {"now": NOW}
    monkeypatch.setattr(measures, "age", lambda start: clock["now"] - (NOW + 0.5) if start == 50 else 1000)
    polled.put(50, "parent")
    reads = []
    for second in range(1, 20):
        clock["now"] = NOW + second
        polled.look(NOW + second)
        reads.append(50 in polled.read_of("cmdline"))
    assert reads[:5] == [True] * 5
    assert sum(reads) <= 7  # and once when it was its turn


def test_an_exec_of_a_young_process_is_noticed_within_a_second(polled, monkeypatch):
    monkeypatch.setattr(measures, "age", lambda start: 0)
    polled.put(50, "shell")
    assert polled.look() == []
    polled.put(50, "hog")
    assert polled.look(NOW + 1) == [50]


def test_who_has_no_arguments_may_be_in_the_middle_of_an_exec(world):
    world.put(50, "")
    world.look()
    world.put(50, "hog")
    assert world.source.next_look() == NOW + 1
    assert world.look(NOW + 1) == [50]


def test_who_never_has_arguments_is_not_read_all_the_time(world):
    world.put(50, "")
    for pid in range(1000, 1400):
        world.put(pid, "other")
    for second in range(300):
        world.look(NOW + second)
    assert world.read_of("cmdline").count(50) < 60


def test_zombies_kernel_threads_and_the_hidden_are_not_read_all_the_time(polled):
    polled.put(50, state="Z")
    polled.put(51, kernel=True)
    (polled.proc.path / "52").mkdir()
    for pid in range(1000, 1400):
        polled.put(pid, "other")
    polled.look()
    polled.read_of("stat")
    for second in range(1, 40):
        polled.look(NOW + second)
    read = polled.read_of("stat")
    assert max(map(read.count, (50, 51, 52))) <= 1


def test_a_kernel_thread_that_becomes_a_process_is_one(world):
    world.put(50, kernel=True)
    assert world.look() == []
    world.put(50, "hog")
    world.changed(50)
    assert [50] in [world.look(NOW + second) for second in range(1, 61)]


def test_a_zombie_that_is_reaped_leaves_its_pid_to_another(world):
    world.put(50, state="Z")
    world.look()
    world.put(50, "hog", start=99)
    world.changed(50)
    assert [50] in [world.look(NOW + second) for second in range(1, 61)]


# --- when events are missing ---


def test_where_there_are_no_events_it_is_said_once(polled):
    polled.look()
    polled.configure()
    polled.look()
    assert polled.told == ["there are no events here; new processes are noticed within a second rather than at once"]
    assert polled.source.wakes == set()


def test_who_wants_no_events_gets_none_and_hears_nothing_of_it(heard):
    heard.configure(process_events=False)
    assert heard.feed.closed
    heard.put(50)
    heard.look()
    heard.put(51)
    assert heard.look(NOW + 1) == [50, 51]
    assert (heard.told, heard.source.wakes) == ([], set())


def test_lost_events_are_made_up_for_by_reading_everybody(heard):
    heard.put(50)
    heard.put(51)
    heard.put(60, "other")
    heard.look()
    heard.put(60, "hog")
    heard.put(61, "hog")
    heard.remove(51)
    heard.feed.tell(lost=True)
    assert heard.look(NOW + 10) == [50, 60, 61]
    assert len(heard.told) == 1


def test_while_events_are_lost_everybody_is_read_every_five_seconds_and_the_new_are_seen_every_second(heard):
    for pid in range(1000, 2000):
        heard.put(pid, "other")
    heard.look()
    reads = []
    for second in range(10, 30):
        heard.read_of("cmdline")
        heard.feed.tell(lost=second < 20)
        heard.put(second, "hog")
        assert second in heard.look(NOW + second) or second >= 24  # they are complete again
        reads.append(len(heard.read_of("cmdline")))
    assert [second for second, count in enumerate(reads, 10) if count > 900] == [10, 15, 20]
    assert len(heard.told) == 2


def test_when_the_events_end_it_goes_on_without_them(heard):
    heard.put(50)
    heard.look()
    heard.feed.batches = [OSError(errno.EIO, "Input/output error")]
    heard.put(51)
    assert heard.look(NOW + 10) == [50, 51]
    heard.put(52)
    assert heard.look(NOW + 11) == [50, 51, 52]
    assert heard.source.wakes == set()
    assert len(heard.told) == 1


# --- when it falls short ---


def falling_short(number=errno.EMFILE):
    error = OSError(number, os.strerror(number))
    return mock.patch("os.open", side_effect=error)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_who_cannot_be_read_for_want_of_descriptors_is_not_taken_for_gone(world, number):
    world.put(50)
    world.put(51, "kid", ppid=50)
    world.look()
    world.put(52, "new hog")
    world.changed(50, 51, 52)
    with falling_short(number):
        for second in range(1, 70):
            assert world.look(NOW + second) == [50, 51]
            assert world.source.next_look() == NOW + second + 1
    assert [text for text in world.told if "not all processes" in text] == [
        f"not all processes can be looked at ({os.strerror(number)}); it is tried again at each look"
    ]
    assert world.look(NOW + 70) == [50, 51, 52]


def test_as_long_as_not_everybody_was_read_nobody_is_said_to_be_absent(world):
    """Or a rule that nobody is there would start what runs already."""
    world.put(50)
    with mock.patch("os.listdir", side_effect=OSError(errno.EMFILE, "Too many open files")), pytest.raises(Unready):
        world.look()
    with (
        mock.patch.object(procfs, "read_euid", side_effect=OSError(errno.ENFILE, "Too many open files in system")),
        pytest.raises(Unready),
    ):
        world.look(NOW + 1)
    assert world.look(NOW + 2) == [50]
    world.configure()
    with mock.patch("os.listdir", side_effect=OSError(errno.EMFILE, "Too many open files")), pytest.raises(Unready):
        world.look(NOW + 3)
    assert world.look(NOW + 4) == [50]


def test_one_whom_nobody_can_read_does_not_keep_us_for_ever(world):
    world.put(50)
    world.put(51)
    read = procfs.read_euid

    def fails_for_one(pid, root):
        if pid == 51:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return read(pid, root)

    with mock.patch.object(procfs, "read_euid", side_effect=fails_for_one):
        for second in range(10):
            with pytest.raises(Unready):
                world.look(NOW + second)
        assert world.look(NOW + 10) == [50]


def test_who_cannot_be_read_at_its_first_event_costs_no_look(heard):
    heard.put(50)
    heard.put(60, "other")
    assert heard.look() == [50]
    heard.put(51)
    heard.changed(51)
    with mock.patch.object(procfs, "read_euid", side_effect=OSError(errno.ENOMEM, "Cannot allocate memory")):
        assert heard.look(NOW + 0.1) == [50]
        heard.ended(60)
        heard.look(NOW + 0.2)
        heard.ended(50)
        assert heard.look(NOW + 0.3) == []
    assert heard.look(NOW + 0.4) == [51]


def test_a_reload_keeps_nothing_of_those_who_are_not_selected_any_more(world):
    world.put(50)
    [process] = world.source.look(NOW)
    world.source.sizes([process.id])
    world.source.measure([Want(process.id, Facet.ROLLUP)], NOW)
    world.configure("else")
    assert world.look(NOW + 1) == []
    assert len(world.source._usage.kept) == len(world.source._usage._rollups._kept) == 0


def test_a_list_that_cannot_be_read_leaves_all_as_it_was(world):
    world.put(50)
    assert world.look() == [50]
    world.remove(50)
    world.put(51)
    with mock.patch("os.listdir", side_effect=OSError(errno.EMFILE, "Too many open files")):
        assert 51 not in world.look(NOW + 2)
    world.feed.tell(lost=True)
    assert world.look(NOW + 8) == [51]
    assert len([text for text in world.told if "not all processes" in text]) <= 1


def test_a_fault_while_somebody_is_judged_costs_nobody_for_good(world):
    for pid in (50, 51, 52):
        world.put(pid)
    world.pattern = mock.Mock(search=mock.Mock(side_effect=[True, MemoryError]))
    with pytest.raises(MemoryError):
        world.look()
    world.pattern = re.compile("hog")
    assert world.look(NOW + 1) == [50, 51, 52]


def test_those_below_who_could_not_be_read_come_later(heard):
    heard.put(50, "shell")
    heard.put(51, "kid", ppid=50)
    heard.look()
    heard.put(50, "hog")
    heard.changed(50)
    heard.lines.failing = {51}
    assert heard.look(NOW + 0.1) == [50]
    heard.lines.failing = set()
    assert heard.look(NOW + 0.2) == [50, 51]


LIMITED = """
import errno, os, resource, signal, sys
from fallfromgrace.linux import LinuxSource
told, held = [], []
source = LinuxSource(told.append)
source.configure(lambda image: sys.argv[1] in image.cmdline and "limited" not in image.cmdline, True)
[found] = source.look(1)
assert source.sizes([found.id]).keys() == {found.id}
assert len(source._usage.kept) == 0
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    assert error.errno == errno.EMFILE
source.sizes([found.id])
told.clear()
for now in range(2, 70):
    assert [each.id for each in source.look(now)] == [found.id], now
assert len(told) == 1 and "not all processes" in told[0], told
for each in held:
    os.close(each)
assert [each.id for each in source.look(70)] == [found.id]
assert source.sizes([found.id]).keys() == {found.id}
assert len(told) == 1, told
"""


def test_with_a_limit_of_64_descriptors_nothing_is_kept_and_nobody_is_lost_when_they_run_out():
    mark = marker()
    with victim(mark) as hog:
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
        ran = subprocess.run(
            [sys.executable, "-c", LIMITED, mark, "limited"], preexec_fn=limit, capture_output=True, text=True
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert hog.ended_by() is None


def contents(*things):
    """How much is in all that a source keeps."""
    containers = [value for thing in things for value in vars(thing).values() if isinstance(value, (dict, set, list))]
    return sum(len(each) + sum(len(v) for v in each.values() if isinstance(v, set)) if isinstance(each, dict)
               else len(each) for each in containers)  # fmt: skip


def stat_line(pid):
    return f"{pid} (x) S 1 {pid} 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid}".encode() + b" 0" * 30


def glimpsed(pid, ppid, arguments):
    return source.Glimpse(pid, procfs.Stat("x", "S", ppid, pid, pid, kernel_thread=False), arguments, "/nowhere")


def test_nothing_is_kept_of_those_who_ended(world, monkeypatch):
    """Ten thousand of them, each with a child that outlives it for a while, every other one a hog."""
    there = {1: glimpsed(1, 0, b"init")}
    monkeypatch.setattr(source, "glimpsed", lambda pid, *_: there.get(pid))
    world.lines.read = lambda pids, now, what=ARGUMENTS: {
        pid: Seen(stat_line(pid), b"") if pid in there else None for pid in pids
    }
    monkeypatch.setattr(procfs, "read_euid", lambda pid, root: 0)
    monkeypatch.setattr(procfs, "read_pids", lambda root: set(there))
    kept = (
        world.source,
        world.source._roster,
        world.source._usage._rollups,
        world.source._usage.kept,
        world.source._events,
    )

    def settled(now):
        for second in range(15):
            world.look(now + second)
        return contents(*kept)

    before = settled(NOW)
    for round_ in range(50):
        born = [*range(2 + 200 * round_, 202 + 200 * round_)]
        for pid in born:
            name, ppid = ("hog", 1) if pid % 2 == 0 else ("kid", pid - 1)
            there[pid] = glimpsed(pid, ppid, f"{name} {pid}".encode())
        world.changed(*born)
        found = world.source.look(NOW + 20 + 3 * round_)
        assert len(found) == 200
        world.source.sizes([each.id for each in found])
        world.source.measure([Want(each.id, Facet.ROLLUP) for each in found], NOW + 20 + 3 * round_)
        for part in (born[::2], born[1::2]):
            for pid in part:
                del there[pid]
            world.feed.tell(ended=part)
            world.look(NOW + 21 + 3 * round_)
    assert settled(NOW + 400) <= before


def test_those_below_who_are_others_by_now_come_later(heard):
    heard.put(50, "shell")
    heard.put(51, "kid", ppid=50)
    heard.look()
    heard.put(50, "hog")
    heard.put(51, "another", ppid=50, start=99)
    heard.changed(50)
    assert heard.look(NOW + 0.1) == [50]
    assert heard.look(NOW + 0.2) == [50, 51]
    assert ProcessId(51, 99) in heard.source.look(NOW + 0.2)


# --- who hangs ---


def test_who_hangs_stays_what_it_was_whatever_is_looked_at(world):
    world.put(50)
    world.put(51, "kid", ppid=50)
    world.put(60, "other")
    table = world.source.look(NOW)
    world.lines.hanging |= {50, 51, 60}
    world.changed(50, 51, 60)
    for second in range(1, 130):
        assert world.source.look(NOW + second) is table


def test_who_hangs_from_its_birth_is_asked_for_by_its_program_and_its_owner_alone(world):
    world.source.configure(lambda image: image.cmdline != UNREADABLE or image.exe == "/opt/bad", process_events=True)
    world.lines.hanging = {50, 51}
    world.put(50, exe="/opt/bad")
    world.put(51)
    table = world.source.look(NOW)
    assert [(each.id.pid, each.image.cmdline) for each in table] == [(50, UNREADABLE)]


def test_who_hangs_and_runs_another_program_is_asked_for_anew(heard):
    asked = []
    heard.source.configure(lambda image: asked.append((image.cmdline, image.exe)) or "hog" in image.cmdline, True)
    heard.put(50)
    assert heard.look() == [50]
    heard.lines.hanging = {50}
    heard.put(50, exe="/bin/other")
    heard.changed(50)
    assert heard.look(NOW + 1) == [50]
    assert asked == [("hog", "/usr/bin/hog"), ("hog", "/bin/other")]
    assert next(iter(heard.source.look(NOW + 1))).image.exe == "/bin/other"


def test_who_hangs_after_another_name_is_not_known_any_more(heard):
    heard.put(50)
    assert heard.look() == [50]
    heard.lines.hanging = {50}
    path = heard.proc.path / "50" / "stat"
    path.write_text(path.read_text().replace("(hog)", "(other)"))
    heard.changed(50)
    assert heard.look(NOW + 1) == []


def test_who_can_be_read_again_is_what_it_runs(heard):
    heard.lines.hanging = {50}
    heard.put(50)
    assert heard.look() == []
    heard.lines.hanging, heard.lines.again = set(), {50}
    assert heard.look(NOW + 60) == [50]


def test_just_before_acting_who_hangs_is_who_it_was_with_the_size_of_this_moment(world):
    world.put(50)
    world.look()
    world.lines.hanging = {50}
    world.put(50, rmem=7 * MIB, vmem=9 * MIB, uid=7)
    process, sample = world.source.reread(50)
    assert (process.image, sample) == (Image("hog", 7, "/usr/bin/hog"), {"rmem": 7 * MIB, "vmem": 9 * MIB})
    world.put(50, start=99)
    assert world.source.reread(50)[0].image.cmdline == UNREADABLE
    world.remove(50)
    assert world.source.reread(50) is None


@pytest.mark.parametrize("how", ["late", "dead_end"])
def test_just_before_acting_who_cannot_be_looked_at_is_who_it_was_if_a_descriptor_says_so(world, how):
    world.put(50)
    world.look()
    setattr(world.lines, how, {50})
    world.put(50, rmem=7 * MIB, vmem=9 * MIB, state="T", ppid=7, pgid=8)
    process, sample = world.source.reread(50)
    assert process == Process(ProcessId(50, 50), 7, 8, "T", Image("hog", 1000, "/usr/bin/hog"))
    assert sample == {"rmem": 7 * MIB, "vmem": 9 * MIB}
    (world.proc.path / "50" / "comm").write_text("another\n")
    assert world.source.reread(50) is None
    (world.proc.path / "50" / "comm").write_text("hog\n")
    world.remove(50)
    world.put(50)
    assert world.source.reread(50) is None


def test_who_is_known_has_a_descriptor_from_the_first_look_on(world):
    world.put(50)
    world.look()
    assert ProcessId(50, 50) in world.source._usage.kept


def test_of_who_cannot_be_looked_at_what_is_safe_to_read_is_known(world):
    world.put(50, state="T")
    world.look()
    world.lines.dead_end = {50}
    wanted = (Facet.MEMORY, Facet.STAT)
    assert measured(world, 50, *wanted).keys() == {"rmem", "vmem", "age", "stopped"}
    assert measured(world, 50, Facet.STAT)["stopped"] == 1
    world.remove(50)
    assert not measured(world, 50, *wanted)


def test_a_new_configuration_does_not_save_who_hangs(world):
    world.put(50)
    world.look()
    world.lines.hanging = {50}
    world.configure()
    assert world.look(NOW + 1) == [50]
    world.configure()
    assert world.look(NOW + 100) == [50]


def test_as_long_as_somebody_was_not_read_in_time_nobody_is_said_to_be_absent(world):
    world.put(50)
    world.lines.late = {50}
    for second in range(10):
        with pytest.raises(Unready):
            world.look(NOW + second)
        assert world.source.next_look() == NOW + second + 1
    assert world.look(NOW + 10) == []
    world.lines.late = set()
    assert world.look(NOW + 11) == [50]


def test_our_own_children_are_nobody(fast):
    one = fast("", process_events=False)
    one.look(1)
    (child,) = one._errands.pids
    found = pids(one.look(2))
    assert os.getpid() in found
    assert child not in found


# --- patterns that take long ---


class Hurry:
    """A patience with which `slow` command lines cannot be judged briefly, and take so long otherwise."""

    def __init__(self, slow, seconds):
        self.slow, self.seconds, self.spent, self.brief, self.judged = slow, seconds, 0.0, False, []

    @contextlib.contextmanager
    def briefly(self):
        self.brief = True
        yield
        self.brief = False

    def selects(self, image):
        self.judged.append((image.cmdline, self.brief))
        if image.cmdline.startswith(self.slow):
            self.spent += 0.001 if self.brief else self.seconds
            if self.brief:
                raise Unfinished
        return "hog" in image.cmdline


@pytest.fixture
def hurried(tmp_path):
    def make(slow="slow", seconds=0.11):
        proc = Proc(tmp_path)
        patience = Hurry(slow, seconds)
        one = LinuxSource(print, proc.root, connect=none_here, patience=patience, lines=Lines(proc.root))
        one.configure(patience.selects, process_events=False)
        return proc, one, patience

    return make


def test_who_takes_long_comes_after_all_others_and_only_few_at_one_look(hurried):
    proc, one, patience = hurried()
    for pid in (50, 51, 52):
        proc.put(pid, f"slow hog {pid}")
    proc.put(60, "hog")
    assert pids(one.look(NOW)) == [50, 51, 60]
    assert patience.judged == [
        ("slow hog 50", True), ("slow hog 51", True), ("slow hog 52", True), ("hog", True),
        ("slow hog 50", False), ("slow hog 51", False),
    ]  # fmt: skip
    assert one.next_look() == NOW + 1
    assert pids(one.look(NOW + 1)) == [50, 51, 52, 60]
    assert len(patience.judged) == 7


def test_until_it_is_judged_one_is_known_as_what_it_was(hurried):
    proc, one, _ = hurried(seconds=0.3)
    proc.put(50, "hog")
    proc.put(51, "other")
    assert pids(one.look(NOW)) == [50]
    for pid in (49, 50, 51):
        proc.put(pid, "slow " + ("hog" if pid != 50 else "other"))
    looks = [pids(one.look(NOW + second)) for second in range(1, 61)]
    assert looks[0] == [49, 50]
    assert looks[-1] == [49, 51]


def test_who_ends_while_it_waits_is_forgotten(hurried):
    proc, one, _ = hurried(seconds=0.3)
    for pid in (50, 51):
        proc.put(pid, f"slow hog {pid}")
    one.look(NOW)
    proc.remove(51)
    assert pids(one.look(NOW + 1)) == [50]
    assert not one._deferral


def test_at_one_look_only_so_many_are_stopped(hurried):
    proc, one, patience = hurried(seconds=0.0)
    for pid in range(1000, 1700):
        proc.put(pid, f"slow {pid}")
    with pytest.raises(Unready):
        one.look(NOW)
    assert 500 <= sum(brief for _, brief in patience.judged) <= 510
    one.look(NOW + 1)
    assert {text for text, brief in patience.judged if not brief} == {f"slow {pid}" for pid in range(1000, 1700)}


# --- who goes on without its first thread ---


def lead_by_another(world, pid, thread, cmdline="hog", **what):
    """A process whose main thread has ended, and another one not."""
    world.put(pid, cmdline, state="Z", threads=2)
    home = world.proc.path / str(pid)
    (home / "exe").unlink(missing_ok=True)
    (home / "task").mkdir(exist_ok=True)
    threads = Proc(home / "task")
    threads.put(pid, state="Z")
    threads.put(thread, cmdline, **what)
    return home / "task" / str(thread)


def test_who_goes_on_without_its_first_thread_is_found(world):
    lead_by_another(world, 50, 55, rmem=3 * MIB, vmem=9 * MIB, state="T")
    [process] = world.source.look(NOW)
    assert process == Process(ProcessId(50, 50), 1, 50, "T", Image("hog", 1000, "/usr/bin/hog"))
    assert world.source.sizes([process.id]) == {process.id: Size(3 * MIB, 9 * MIB)}
    assert world.source.reread(50) == (process, {"rmem": 3 * MIB, "vmem": 9 * MIB})
    assert measured(world, 50, Facet.STAT)["stopped"] == 1


def test_the_end_of_the_first_thread_is_not_that_of_the_process(world):
    world.put(50)
    [process] = table = world.source.look(NOW)
    world.source.sizes([process.id])
    thread = lead_by_another(world, 50, 55, rmem=3 * MIB, vmem=9 * MIB)
    world.feed.tell(ended=[50])
    for second in range(1, 70):
        assert world.source.look(NOW + second) is table
        assert world.source.sizes([process.id]) == {process.id: Size(3 * MIB, 9 * MIB)}
    assert world.source.next_look() == NOW + 70  # nothing tells when it ends
    (thread / "statm").write_text("0 0 0 0 0 0 0\n")
    assert world.look(NOW + 70) == []
    assert world.look(NOW + 80) == []
    assert world.source.next_look() == NOW + (84 if world.with_events else 81)


def test_another_with_the_pid_of_who_ended_is_no_part_of_it(heard):
    heard.put(50)
    heard.look()
    lead_by_another(heard, 50, 55)
    path = heard.proc.path / "50" / "stat"
    path.write_text(path.read_text().replace(" 0 50 0 0", " 0 99 0 0"))
    heard.feed.tell(ended=[50])
    heard.look(NOW + 0.1)
    assert ProcessId(50, 50) not in heard.source.look(NOW + 0.1)


def test_who_is_being_killed_is_gone_though_some_threads_are_still_there(world):
    world.put(50)
    assert world.look() == [50]
    thread = lead_by_another(world, 50, 55)
    (thread / "statm").write_text("0 0 0 0 0 0 0\n")
    world.feed.tell(ended=[50])
    assert world.look(NOW + 4) == []


# --- what they use ---


def measured(world, pid, *facets, start=None):
    identity = ProcessId(pid, start or pid)
    return world.source.measure([Want(identity, facet) for facet in facets], NOW).get(identity)


def test_sizes_are_those_of_this_moment(world):
    world.put(50, rmem=3 * MIB, vmem=9 * MIB)
    world.look()
    assert world.source.sizes([ProcessId(50, 50)]) == {ProcessId(50, 50): Size(3 * MIB, 9 * MIB)}
    world.put(50, rmem=4 * MIB, vmem=9 * MIB)
    world.reads.clear()
    assert world.source.sizes(iter([ProcessId(50, 50)])) == {ProcessId(50, 50): Size(4 * MIB, 9 * MIB)}
    assert world.reads == []  # by the descriptor that is kept


def test_who_has_no_size_any_more_is_looked_at_again_though_nothing_tells_that_it_ended(world):
    world.put(50)
    world.look()
    world.source.sizes([ProcessId(50, 50)])
    world.put(50, state="Z")
    assert world.look(NOW + 0.1) == [50]
    assert world.source.sizes([ProcessId(50, 50)]) == {}
    assert world.look(NOW + 0.2) == []


def test_who_was_found_to_have_ended_while_it_was_measured_is_looked_at_again(world):
    world.put(50)
    world.look()
    world.put(50, state="Z")
    assert measured(world, 50, Facet.STAT) is None
    assert world.look(NOW + 0.2) == []


def test_a_descriptor_is_closed_when_its_process_has_ended(heard):
    heard.put(50)
    heard.look()
    heard.source.sizes([ProcessId(50, 50)])
    assert len(heard.source._usage.kept) == 1
    heard.ended(50)
    heard.look(NOW + 0.1)
    assert len(heard.source._usage.kept) == 0


def test_memory_is_read_by_the_kept_descriptor_where_there_is_one(world):
    world.put(50, rmem=3 * MIB, vmem=9 * MIB)
    world.look()
    world.source._usage.kept.drop(ProcessId(50, 50))
    world.reads.clear()
    assert measured(world, 50, Facet.MEMORY) == {"rmem": 3 * MIB, "vmem": 9 * MIB}
    assert [path.rsplit("/", 1)[1] for path in world.reads] == ["statm", "stat", "cmdline"]  # as a child does
    world.source.sizes([ProcessId(50, 50)])
    world.reads.clear()
    assert measured(world, 50, Facet.MEMORY) == {"rmem": 3 * MIB, "vmem": 9 * MIB}
    assert world.reads == []
    assert measured(world, 50, Facet.MEMORY, Facet.STAT).keys() == {
        "rmem", "vmem", "cputime", "threads", "age", "stopped"
    }  # fmt: skip


@pytest.mark.parametrize("facet", [Facet.MEMORY, Facet.STAT, Facet.ROLLUP, Facet.IO])
def test_of_another_with_the_same_pid_nothing_is_told(world, facet):
    world.put(50)
    world.look()
    assert measured(world, 50, facet, start=49) is None
    assert world.source._usage._rollups._kept == {}


def test_what_is_read_for_want_of_descriptors_is_unknown_and_nobody_has_ended(world):
    world.put(50)
    world.look()
    with falling_short():
        assert measured(world, 50, Facet.STAT) == {}
    assert world.look() == [50]


HANGS = """
import contextlib, os, sys, time
from fallfromgrace.connector import Unavailable
from fallfromgrace.linux import LinuxSource
from fallfromgrace.readings import Facet, Want
from fallfromgrace.source import Unready
from fallfromgrace.table import ProcessId
root, name, when = sys.argv[1:]

def no_events():
    raise Unavailable("not here")

def timed(what, *arguments):
    began, result = time.monotonic(), None
    with contextlib.suppress(Unready):
        result = what(*arguments)
    assert time.monotonic() - began < 1, what
    return result

def hang():
    os.remove(f"{root}/50/{name}")
    os.mkfifo(f"{root}/50/{name}")

told = []
source = LinuxSource(told.append, root, connect=no_events, budget=10)
source.configure(lambda image: "hog" in image.cmdline, False)
source.prepare([Facet.DESCRIPTORS])
if when == "from the start":
    hang()
timed(source.look, 0)
if when == "later":
    hang()
facets = (Facet.MEMORY, Facet.STAT, Facet.IO, Facet.ROLLUP, Facet.DESCRIPTORS)
for now in range(1, 9):
    table = [process.id for process in timed(source.look, now)]
    sizes = timed(source.sizes, table)
    samples = timed(source.measure, [Want(each, facet) for each in table for facet in facets], now)
    again = [each for each in table if timed(source.reread, each.pid)]
timed(source.close)
print([each.pid for each in table] == [each.pid for each in sizes] == [each.pid for each in again], len(told))
for each in table:
    print(each.pid, *sorted(samples[each]))
"""
ALL = {"rmem", "vmem", "cputime", "threads", "age", "stopped", "fds", "read_bytes"}


@pytest.mark.parametrize(
    ("name", "when", "known"),
    [
        ("stat", "from the start", None),
        ("stat", "later", {"rmem", "vmem", "age", "stopped", "fds"}),
        ("cmdline", "later", ALL),
        ("io", "from the start", ALL - {"read_bytes"}),
        ("io", "later", ALL - {"read_bytes"}),
    ],
)
def test_who_hangs_whatever_it_is_keeps_us_from_nothing(tmp_path, name, when, known):
    proc = Proc(tmp_path)
    for pid in (50, 51):
        proc.put(pid)
        (tmp_path / str(pid) / "fd").mkdir()
        (tmp_path / str(pid) / "io").write_text("read_bytes: 1\n")
    ran = subprocess.run(
        [sys.executable, "-c", HANGS, proc.root, name, when], capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.stderr == ""
    first, *others = ran.stdout.splitlines()
    assert first == "True 1"
    found = {int(pid): set(names) for pid, *names in map(str.split, others)}
    assert found == {**({50: known} if known else {}), 51: ALL}


PREPARED = """
import sys
from fallfromgrace.linux import LinuxSource
from fallfromgrace.readings import Facet
told = []
source = LinuxSource(told.append)
source.configure(lambda image: True, False)
source.look(0)
source.prepare([Facet.STAT, Facet.MEMORY, Facet.ROLLUP])
assert "psutil" not in sys.modules
for facet in (Facet.IO, Facet.DESCRIPTORS, Facet.MACHINE):
    source.prepare([Facet.STAT, facet])
assert "psutil" in sys.modules and not told
"""


def test_psutil_is_loaded_only_for_what_it_is_needed_for():
    ran = subprocess.run([sys.executable, "-c", PREPARED], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_it_was_prepared_for_can_be_measured():
    made = LinuxSource(print)
    me = ProcessId(os.getpid(), procfs.read_stat(os.getpid()).start)
    wants = [Want(me, Facet.IO), Want(me, Facet.DESCRIPTORS), Want(None, Facet.MACHINE)]
    assert made.measure(wants, 0)[me].keys() == {"read_bytes", "write_bytes"}
    made.prepare(list(Facet))
    found = made.measure(wants, 0)
    assert {"fds", "fdlimit"} <= found[me].keys()
    assert {"memory", "available", "load"} <= found[None].keys()


def test_what_was_read_and_written_is_counted_since_the_start(tmp_path):
    code = (
        f"import os; f = open({str(tmp_path / 'f')!r}, 'wb'); f.write(b'x' * 3000000); f.flush(); os.fsync(f.fileno())"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('written', flush=True); input()"], stdin=-1, stdout=-1
    )
    try:
        writer.stdout.readline()
        counts = dict(line.split(": ") for line in Path(f"/proc/{writer.pid}/io").read_text().splitlines())
        me = ProcessId(writer.pid, procfs.read_stat(writer.pid).start)
        measured = LinuxSource(print).measure([Want(me, Facet.IO)], 0)[me]
        assert measured == {name: int(counts[name]) for name in ("read_bytes", "write_bytes")}
    finally:
        writer.kill()
        writer.communicate()


def test_without_psutil_it_is_said_what_is_not_known(monkeypatch):
    told = []
    made = LinuxSource(told.append)
    monkeypatch.setitem(sys.modules, "fallfromgrace.meters", None)
    monkeypatch.delattr("fallfromgrace.meters", raising=False)
    made.prepare([Facet.DESCRIPTORS])
    assert made.measure([Want(None, Facet.MACHINE)], 0) == {None: {}}
    assert len(told) == 1
    assert "install python3-psutil" in told[0]


def test_what_a_process_held_before_an_exec_is_not_told_of_it_afterwards(heard, monkeypatch):
    reads = []
    monkeypatch.setattr(procfs, "parse_rollup", lambda text: reads.append(text) or procfs.Rollup(3, 2, 1))
    heard.put(50)
    (heard.proc.path / "50" / "smaps_rollup").touch()
    heard.look()
    for now, cmdline, count in [(0, "hog", 1), (0.2, "hog", 1), (0.4, "big hog", 2), (0.6, "big hog", 2)]:
        heard.put(50, cmdline)
        heard.changed(50)
        heard.look(NOW + now)
        assert measured(heard, 50, Facet.ROLLUP)["pmem"] == 3
        assert len(reads) == count


# --- real processes ---


@pytest.fixture
def fast():
    """A function that makes sources which look for a word; `told` is what all of them told."""
    made = []

    def make(mark, process_events=True):
        told = []
        one = LinuxSource(told.append)
        one.configure(lambda image: mark in image.cmdline, process_events)
        one.told = told
        made.append(one)
        return one

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {events.WAKE})
    yield make
    for one in made:
        one.close()
    while signal.sigtimedwait({events.WAKE}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture(params=[True, False], ids=["events", "polling"])
def watching(request, fast):
    def make(mark):
        one = fast(mark, request.param)
        if request.param and not one.wakes:
            pytest.skip("; ".join(one.told))
        return one

    return make


def pids(table):
    return [process.id.pid for process in table]


def test_real_processes_are_found_while_they_live(watching):
    mark = marker()
    looked = watching(mark)
    assert pids(looked.look(0)) == []
    with victim(mark, what="parent2") as hog:
        table = looked.look(1)
        assert sorted(pids(table)) == sorted([hog.pid, *hog.family])
        assert all(each == source.read_process(each.id.pid)._replace(state=each.state) for each in table)
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        identities = [each.id for each in table if each.id.pid == hog.pid]
        assert looked.sizes(identities) == {}
        assert hog.pid not in pids(looked.look(1.5))
        assert hog.family[-1] in pids(looked.look(2.5))  # `kin-of-` has the mark in it
    assert looked.reread(hog.pid) is None


def test_an_exec_is_noticed_and_what_is_below_is_found(watching):
    mark = marker()
    looked, now = watching(mark), iter(range(1000))
    shell = subprocess.Popen(["sh", "-c", 'eval "$(cat)"'], stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert pids(looked.look(next(now))) == []
        shell.stdin.write(f"sleep 60 & exec sh -c 'sleep 61; : {mark}'".encode())
        shell.stdin.close()
        until(lambda: len(looked.look(next(now))) == 3, "the shell, and both that sleep")
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


OVERWRITES = """
import sys
with open("/proc/self/stat") as file:
    stat = file.read().rpartition(")")[2].split()
print("ready", flush=True)
input()
with open("/proc/self/mem", "r+b", buffering=0) as memory:
    memory.seek(int(stat[45]))
    memory.write(sys.argv[2].encode() + bytes(16))
print("done", flush=True)
input()
"""


def test_an_overwritten_command_line_is_noticed_within_a_minute(watching):
    mark = marker()
    looked = watching(mark)
    looked.configure(lambda image: image.cmdline.startswith(mark), process_events=bool(looked.wakes))
    arguments = [sys.executable, "-c", OVERWRITES, "room" * 20, mark]
    actor = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        actor.stdout.readline()
        assert pids(looked.look(1)) == []
        actor.stdin.write(b"\n")
        actor.stdin.flush()
        actor.stdout.readline()
        assert [actor.pid] in [pids(looked.look(1 + second)) for second in range(1, 61)]
    finally:
        actor.kill()
        actor.communicate()


def test_real_events_are_enough_to_know_who_is_new_and_who_is_gone(fast):
    mark = marker()
    looked = fast(mark)
    if not looked.wakes:
        pytest.skip("; ".join(looked.told))
    looked.look(1000.0)
    with victim(mark) as hog:
        assert pids(looked.look(1000.1)) == [hog.pid]
        assert signal.sigtimedwait(looked.wakes, 5)
    assert pids(looked.look(1000.2)) == []


def test_a_fork_storm_that_is_more_than_the_kernel_can_keep_hides_nobody(fast):
    mark, told = marker(), []
    looked = LinuxSource(told.append, connect=lambda: Connector(events.WAKE, space=16384))
    looked.configure(lambda image: mark in image.cmdline, process_events=True)
    try:
        if not looked.wakes:
            pytest.skip("; ".join(told))
        looked.look(1000.0)
        with victim(mark) as hog:
            subprocess.run(["/bin/sh", "-c", "i=0; while [ $i -lt 500 ]; do (:); i=$((i + 1)); done"], check=True)
            assert pids(looked.look(1010.0)) == [hog.pid]
            assert len(told) == 1
            assert not looked._events.complete
        for second in range(11, 25):
            looked.look(1000.0 + second)
        assert pids(looked.look(1025.0)) == []
        assert looked._events.complete
        assert len(told) == 2
    finally:
        looked.configure(lambda image: False, process_events=False)


HIDDEN = """
import os, subprocess, sys
from fallfromgrace.linux import LinuxSource
mark = sys.argv[1]
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
told = []
source = LinuxSource(told.append)
source.configure(lambda image: mark in image.cmdline and 'hidden' not in image.cmdline, True)
assert len(source.look(1)) == 0
ours = subprocess.Popen(["sh", "-c", "echo ready; read x; : " + mark], stdin=-1, stdout=-1)
ours.stdout.readline()
for now in range(2, 80):
    found = [each.id.pid for each in source.look(now)]
    assert found == [ours.pid], (now, found)
ours.communicate()
assert len(source.look(80)) == 0
assert not any("not all" in text for text in told), told
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a /proc that hides processes")
def test_of_a_machine_that_hides_the_processes_of_others_only_ones_own_are_seen():
    mount, mark = 'mount -t proc -o hidepid=2 proc /proc || exit 99; exec "$@"', marker()
    with victim(mark):
        ran = subprocess.run(
            ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", HIDDEN, mark, "hidden"],
            capture_output=True,
            text=True,
        )
    if ran.returncode == 99 or ran.stderr.startswith("unshare:"):
        pytest.skip(f"proc cannot be mounted: {ran.stderr.strip()}")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_who_was_judged_in_a_hurry_is_judged_again_at_its_turn(tmp_path):
    proc, told = Proc(tmp_path), []
    patience = Patience(told.append)
    pattern = Pattern(re.compile("hog .*x.*x.*x.*y"), patience)
    one = LinuxSource(print, proc.root, connect=none_here, patience=patience, lines=Lines(proc.root))
    one.configure(lambda image: bool(pattern.search(image.cmdline)), process_events=False)
    for pid in range(50, 55):
        proc.put(pid, "hog " + "x" * 3000 + str(pid))  # which takes far too long
    one.look(NOW)
    assert told
    proc.put(60, "hog xxxy " + "x" * 90)  # which takes some milliseconds
    assert [len(one.look(NOW + second)) for second in (1, 2)] == [0, 0]
    pattern._purse = 0.15
    assert 60 in {each.id.pid for second in range(3, 70) for each in one.look(NOW + second)}
