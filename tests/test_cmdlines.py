"""Command lines that hang: nobody waits long for them, nobody else waits for them, and they are asked for again."""

import errno
import os
import signal
import time
from contextlib import contextmanager

import mock
import pytest

from fallfromgrace import cmdlines, errand
from fallfromgrace.cmdlines import AGAIN_SECONDS, LOOK_SECONDS, CommandLines, Seen
from fallfromgrace.errand import ARGUMENTS, IO, STAT
from fallfromgrace.errands import Errands
from fallfromgrace.table import ProcessId
from tests.proctree import Proc
from tests.victims import state, until


class World:
    def __init__(self, path):
        self.proc, self.told = Proc(path), []
        self.errands = Errands(self.proc.root, 1000)
        self.lines = CommandLines(self.told.append, self.errands, self.proc.root)
        self.now = 0.0

    def hang(self, *pids, name="cmdline"):
        for pid in pids:
            self.proc.put(pid)
            path = self.proc.path / str(pid) / name
            path.unlink(missing_ok=True)
            os.mkfifo(path)

    def heal(self, pid, cmdline="hog", name="cmdline", **what):
        (self.proc.path / str(pid) / name).unlink()
        self.proc.put(pid, cmdline, **what)

    def pass_a_minute(self):
        """Also for children to end."""
        until(lambda: self.errands.reap() or not self.errands._ending)
        self.now += AGAIN_SECONDS

    def look(self, *pids, after=1.0):
        """What one look finds: arguments, None for who hangs, "gone", or an error; who is late is left out."""
        self.now += after
        self.lines.begin(self.now)
        return {pid: _short(found) for pid, found in self.lines.read(pids, self.now).items()}


def _short(found):
    return found.content if isinstance(found, Seen) else found or "gone"


@contextmanager
def questions(about=ARGUMENTS):
    """The pids that children are asked about."""
    asked, ask = [], errand.Errand.ask

    def note(self, what, pids):
        asked.extend(pids if what == about else ())
        ask(self, what, pids)

    with mock.patch.object(errand.Errand, "ask", note):
        yield asked


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.errands.close()


def test_who_can_be_read_is_read_though_others_hang(world):
    world.proc.put(41, "one")
    world.hang(42)
    world.proc.put(43, "two")
    assert world.look(41, 42, 43, 44) == {41: b"one\0", 42: None, 43: b"two\0", 44: "gone"}
    assert world.lines.read([42], world.now)[42].stat.startswith(b"42 (hog) S")


def test_it_is_told_once_of_each(world):
    world.hang(42, 43)
    for _ in range(200):
        world.look(42, 43)
    assert sorted(world.told) == [
        f"the command line of process {pid} ('hog', of {cmdlines.owner(1000)}) cannot be read: whoever does so hangs; "
        "it is tried again, each minute at least, and until then counts as what it was before, or as unknown"
        for pid in (42, 43)
    ]


@pytest.mark.alone
def test_fifty_that_hang_cost_no_look_much_and_nobody_else_is_kept_waiting(world):
    hanging, honest = range(100, 150), range(150, 160)
    world.hang(*hanging)
    for pid in honest:
        world.proc.put(pid)
    found, looks = {}, 0
    while len(found) < 60:
        began = time.monotonic()
        found |= world.look(*(pid for pid in (*hanging, *honest) if pid not in found))
        looks += 1
        assert time.monotonic() - began < 2
        assert looks < 20
    assert {pid for pid in found if found[pid] is None} == set(hanging)
    with questions() as asked:
        began = time.monotonic()
        assert world.look(*hanging, after=0.01) == dict.fromkeys(hanging)
        assert time.monotonic() - began < 0.2
    assert asked == []


def test_who_is_new_is_read_before_those_who_are_known_to_hang(world):
    world.hang(42)
    world.look(42)
    world.pass_a_minute()
    world.proc.put(50, "new")
    with questions() as asked:
        assert world.look(42, 50) == {42: None, 50: b"new\0"}
    assert asked == [50, 42]


def test_they_are_asked_again_after_a_while_and_only_few_at_once(world):
    hanging = range(100, 110)
    world.hang(*hanging)
    while len(world.look(*hanging)) < 10:
        pass
    with questions() as asked:
        for _ in range(50):
            assert world.look(*hanging, after=0.01) == dict.fromkeys(hanging)
        assert asked == []
        world.pass_a_minute()
        counts = []
        for _ in range(4):
            asked.clear()
            assert world.lines.due(world.now + 1) <= set(hanging)
            assert world.look(*hanging) == dict.fromkeys(hanging)
            counts.append(len(set(asked)))
    assert counts == [4, 4, 2, 0]


def test_who_can_be_read_again_is_no_longer_known_to_hang(world):
    world.hang(42)
    assert world.look(42) == {42: None}
    assert world.lines.hangs(ProcessId(42, 42))
    world.heal(42, "healed")
    assert world.look(42) == {42: None}
    assert world.lines.due(world.now + AGAIN_SECONDS) == {42}
    world.pass_a_minute()
    assert world.look(42) == {42: b"healed\0"}
    assert not world.lines.hangs(ProcessId(42, 42))
    assert world.lines.due(world.now + AGAIN_SECONDS) == set()


def test_who_hangs_is_asked_again_soon_and_then_less_and_less_often_since_it_may_have_been_the_machine(world):
    world.hang(42)
    asked = []
    for second in range(200):
        if world.lines.due(world.now + 1) or not second:
            asked.append(second)
            until(lambda: world.errands.reap() or not world.errands._ending)
        world.look(42)
    assert asked == [0, 2, 6, 14, 30, 62, 122, 182]


def test_another_process_with_the_pid_is_another(world):
    world.hang(42)
    world.look(42)
    world.heal(42, "another", start=99)
    assert world.look(42) == {42: b"another\0"}
    world.hang(43)
    world.look(43)
    world.proc.remove(43)
    assert world.look(43) == {43: "gone"}
    assert world.lines.due(world.now + AGAIN_SECONDS) == set()


def test_a_child_that_is_ended_by_somebody_costs_nobody(world):
    world.proc.put(42)
    world.look(42)
    (child,) = [each.pid for each in (world.errands._idle,)]
    os.kill(child, signal.SIGKILL)
    until(lambda: state(child) == "Z")
    assert world.look(42) == {42: b"hog\0"}


@pytest.mark.alone
def test_children_that_end_each_time_are_given_up_soon_and_that_is_a_want_of_ours(world):
    world.proc.put(42)
    made, real = [], errand.Errand

    def counted(*what):
        made.append(what)
        assert len(made) < 50
        return real(*what)

    ends = mock.patch("fallfromgrace.errand._read_all", side_effect=lambda *_: os._exit(1))
    with ends, mock.patch("fallfromgrace.errands.Errand", counted):
        found = world.look(42)[42]
    assert found.errno == errno.ECHILD
    assert len(made) < 5
    world.errands.close()
    assert world.look(42) == {42: b"hog\0"}


def test_whatever_fails_leaves_no_child_underway(world):
    world.hang(42)
    world.proc.put(43)
    fails = mock.PropertyMock(side_effect=OSError(errno.EMFILE, "x"))
    with mock.patch.object(errand.Errand, "is_held", fails):
        world.look(42, 43)
    assert world.errands._out == []


@pytest.mark.alone
def test_a_child_that_is_stopped_by_somebody_does_not_make_others_hang(world):
    world.proc.put(42)
    world.look(42)
    child = world.errands._idle.pid
    os.kill(child, signal.SIGSTOP)
    until(lambda: state(child) == "T")
    began = time.monotonic()
    assert world.look(42) == {}
    assert time.monotonic() - began < LOOK_SECONDS + 0.5
    assert world.look(42) == {42: b"hog\0"}
    assert world.told == []


def test_without_a_child_nobody_is_gone(world):
    world.proc.put(42)
    with mock.patch("os.fork", side_effect=OSError(errno.EAGAIN, "Resource temporarily unavailable")):
        assert world.look(42)[42].errno == errno.EAGAIN
    assert world.look(42) == {42: b"hog\0"}


def test_a_child_that_cannot_be_ended_is_not_followed_by_another_for_the_same_process(world):
    world.hang(42)
    world.look(42)
    world.pass_a_minute()
    with (
        mock.patch.object(world.errands, "is_lost", return_value=True),
        questions() as asked,
    ):
        assert world.look(42) == {42: None}
    assert asked == []


def test_when_the_time_of_a_look_is_used_up_the_rest_is_for_the_next_one(world):
    world.hang(*range(100, 130))
    world.proc.put(200)
    with mock.patch.object(cmdlines, "LOOK_SECONDS", 0.02):
        first = world.look(*range(100, 130), 200)
        assert 0 < len(first) < 30
        assert 200 not in first
        assert world.lines.read([200], world.now) == {}
    assert world.look(200) == {200: b"hog\0"}


# --- whose stat line hangs ---


@pytest.mark.alone
def test_who_cannot_even_be_looked_at_is_remembered_by_its_pid_and_told_of_once(world):
    world.hang(42, name="stat")
    world.proc.put(43)
    assert world.look(42, 43) == {42: None, 43: b"hog\0"}
    with questions() as asked, questions(STAT) as looked:
        began = time.monotonic()
        for _ in range(50):
            assert world.look(42, after=0.01) == {42: None}
            assert world.lines.stats([42, 43]).keys() == {43}
            assert world.lines.read([42], world.now, IO)[42] == Seen(b"", None)
        assert time.monotonic() - began < 0.5
    assert asked == []
    assert set(looked) == {43}
    assert world.told == [
        f"process 42 ('hog', of {cmdlines.owner(1000)}) cannot be looked at: whoever does so hangs; "
        "it is tried again, each minute at least, and until then counts as what it was before, or as nobody"
    ]


def test_of_who_cannot_be_looked_at_all_memory_hangs(world):
    world.hang(42, name="stat")
    world.look(42)
    assert world.lines.hangs(ProcessId(42, 42))
    assert not world.lines.hangs(ProcessId(43, 43))


def test_who_cannot_be_looked_at_is_asked_again_less_and_less_often(world):
    world.hang(42, name="stat")
    asked = []
    for second in range(40):
        if world.lines.due(world.now + 1) or not second:
            asked.append(second)
            until(lambda: world.errands.reap() or not world.errands._ending)
        world.look(42)
    assert asked == [0, 2, 6, 14, 30]


def test_who_can_be_looked_at_again_is_like_all_others(world):
    world.hang(42, name="stat")
    world.look(42)
    world.heal(42, name="stat")
    world.pass_a_minute()
    assert world.look(42) == {42: b"hog\0"}
    assert world.lines.stats([42])[42].start == 42
    assert world.lines.due(world.now + AGAIN_SECONDS) == set()


@pytest.mark.parametrize("name", ["stat", "cmdline", "io"])
def test_of_who_is_gone_nothing_is_kept(world, name):
    world.hang(42, name=name)
    world.look(42)
    world.lines.read([42], world.now, IO)
    assert world.lines._hanging
    world.lines.drop(42)
    assert not world.lines._hanging
    world.look(42)
    world.proc.remove(42)
    assert world.look(42) == {42: "gone"}


def test_only_what_hangs_is_not_asked_for(world):
    world.hang(42, name="io")
    assert world.lines.read([42], world.now, IO)[42].content is None
    assert world.look(42) == {42: b"hog\0"}
    assert world.lines.stats([42])[42].start == 42
    with questions(IO) as asked:
        assert world.lines.read([42], world.now, IO)[42].content is None
    assert asked == []
    assert len(world.told) == 1
    assert world.told[0].startswith("what process 42 ('hog', ")


def test_what_is_executed_is_read_before_the_command_line_and_may_hang_for_itself(world):
    world.hang(42)
    world.lines.begin(0)
    assert world.lines.read([42], 0)[42].exe == "/usr/bin/hog"
    assert world.lines.read([42], 0)[42].exe == "/usr/bin/hog"
    world.proc.put(43)
    with mock.patch("fallfromgrace.errand._link", side_effect=lambda *_: time.sleep(60)):
        world.errands.close()
        seen = world.lines.read([43], 0)[43]
    assert seen.stat.startswith(b"43 (hog) S")
    assert (seen.content, seen.exe) == (None, None)


def test_who_is_acted_upon_is_read_whatever_others_have_taken(world):
    world.proc.put(43)
    with mock.patch.object(cmdlines, "LOOK_SECONDS", 0.0):
        world.lines.begin(0)
        assert world.lines.read([43], 0) == {}
        assert world.lines.read_now([43], 0)[43].content == b"hog\0"
        assert world.lines.stats([43])[43].start == 43
