import errno
from math import inf

import mock
import pytest

from fallfromgrace import errand, procfs, rollups
from fallfromgrace.errand import ROLLUP, Answer
from fallfromgrace.errands import Errands
from fallfromgrace.rollups import Rollups
from fallfromgrace.table import ProcessId, Size
from tests.builders import MIB
from tests.proctree import Proc


class Readings:
    """Readings of `smaps_rollup` and of resident memory, made up; the former are counted and take as long as told."""

    def __init__(self, monkeypatch):
        self.count, self.takes, self.clock, self.rmem = 0, 0.0, 0.0, 1000 * MIB
        self.rollup = procfs.Rollup(500 * MIB, 400 * MIB, 2000 * MIB)
        monkeypatch.setattr(rollups.procfs, "read_rollup", self._read)
        monkeypatch.setattr(
            rollups.procfs, "read_size", lambda *_: None if self.rmem is None else Size(self.rmem, 9000 * MIB)
        )
        self.rollups = Rollups(clock=lambda: self.clock)

    def _read(self, pid, root):
        self.count += 1
        self.clock += self.takes
        return self.rollup

    def at(self, now, pid=50, start=1):
        return self.rollups.measure(ProcessId(pid, start), now)


@pytest.mark.parametrize(
    ("takes", "times", "counts"),
    [
        (0.0, [0, 0.5, 0.99, 1, 1.99, 2], [1, 1, 1, 2, 2, 3]),
        (0.02, [0, 0.99, 1], [1, 1, 2]),
        (0.5, [0, 1, 24.9, 25, 49, 50], [1, 1, 1, 2, 2, 3]),  # 30 GiB
    ],
)
def test_it_is_read_again_no_sooner_than_after_a_second_or_fifty_times_what_it_took(takes, times, counts, monkeypatch):
    readings, made = Readings(monkeypatch), []
    readings.takes = takes
    for now in times:
        assert readings.at(now)["pmem"] == 500 * MIB
        made.append(readings.count)
    assert made == counts


def test_how_long_to_wait_follows_what_the_last_reading_took(monkeypatch):
    readings = Readings(monkeypatch)
    for now, takes in [(0, 0.5), (24, 0.0), (25, 0.0), (25.9, 0.0), (26, 0.0)]:
        readings.takes = takes
        readings.at(now)
    assert readings.count == 3


@pytest.mark.parametrize(
    ("rmem", "sample"),
    [
        (600, {"pmem": 500, "umem": 400, "swap": 2000}),
        (450, {"pmem": 450, "umem": 400, "swap": 2000}),
        (50, {"pmem": 50, "umem": 50, "swap": 2000}),
        (None, {"pmem": 500, "umem": 400, "swap": 2000}),
    ],
)
def test_what_is_kept_is_never_more_than_what_is_resident_by_then(rmem, sample, monkeypatch):
    readings = Readings(monkeypatch)
    readings.at(0)
    readings.rmem = None if rmem is None else rmem * MIB
    assert readings.at(0.5) == {name: value * MIB for name, value in sample.items()}
    readings.rmem = 1000 * MIB
    assert readings.at(0.6)["pmem"] == 500 * MIB  # it is still there: it was not a new reading that was kept


def test_what_may_not_be_read_is_nothing_and_is_not_tried_all_the_time(monkeypatch):
    readings = Readings(monkeypatch)
    readings.rollup = None
    assert [readings.at(now) for now in (0, 0.5, 0.9)] == [{}] * 3
    assert readings.count == 1


def test_each_process_is_read_for_itself_also_one_with_the_pid_of_another_before(monkeypatch):
    readings = Readings(monkeypatch)
    for pid, start in [(50, 1), (51, 1), (50, 2), (50, 1), (51, 1)]:
        readings.at(0, pid, start)
    assert readings.count == 3


def test_what_is_dropped_is_forgotten(monkeypatch):
    readings = Readings(monkeypatch)
    readings.at(0, 50), readings.at(0, 51)
    readings.rollups.drop(ProcessId(50, 1))
    readings.rollups.drop(ProcessId(51, 2))
    readings.at(0.1, 50), readings.at(0.1, 51)
    assert readings.count == 3


# --- read by others ---


class Errand:
    """One that comes back with a text after so many seconds, or never."""

    def __init__(self, world):
        self.world, self.held = world, True
        world.sent.append(self)

    def ask(self, what, pids):
        assert what == ROLLUP
        (self.pid,) = pids
        self.ready = self.world.clock + self.world.takes

    def wait(self, seconds):
        self.world.clock = min(self.world.clock + max(0.0, seconds), max(self.ready, self.world.clock))
        return self.world.clock >= self.ready

    def answers(self):
        if self.world.clock >= self.ready:
            yield self.pid, self.world.answer

    @property
    def is_held(self):
        return self.held


class Sent:
    """Rollups whose errands take as long as told; `back` are those that were given back."""

    def __init__(self, monkeypatch, rmem=MIB):
        self.clock, self.takes, self.sent, self.back, self.hanging = 0.0, 0.001, [], [], set()
        self.answer = Answer(b"", b"Pss: 500 kB\nPrivate_Dirty: 400 kB\nSwap: 7 kB\n", 0.001)
        monkeypatch.setattr(rollups.procfs, "read_size", lambda *_: Size(rmem, 9 * rmem))
        self.rollups = Rollups("/proc", self, lambda identity: identity.pid in self.hanging, lambda: self.clock)

    def take(self):
        return Errand(self)

    def give_back(self, errand):
        self.back.append(errand)

    def at(self, now, pid=50):
        self.clock = max(self.clock, now)
        return self.rollups.measure(ProcessId(pid, 1), now).get("pmem")


def test_it_is_read_by_an_errand(monkeypatch):
    sent = Sent(monkeypatch)
    assert [sent.at(now) for now in (1, 1.5, 2)] == [500 << 10] * 3
    assert len(sent.sent) == len(sent.back) == 2


def test_what_does_not_come_in_time_is_not_known_and_not_asked_for_a_minute(monkeypatch):
    sent = Sent(monkeypatch)
    sent.takes = inf
    assert [sent.at(now) for now in (1, 2, 30, 60)] == [None] * 4
    assert len(sent.sent) == len(sent.back) == 1
    assert sent.clock < 61
    sent.takes = 0.001
    assert sent.at(61.2) == 500 << 10


def test_what_is_large_may_take_longer_and_is_not_waited_for_all_the_time(monkeypatch):
    sent = Sent(monkeypatch, rmem=200 << 30)
    sent.takes, sent.answer = 3.4, sent.answer._replace(took=3.4)
    assert sent.at(1) is None
    assert sent.clock == 1.5
    assert sent.at(2) is None
    assert sent.at(5) == 500 << 10
    assert len(sent.sent) == 1
    assert sent.at(5 + 169) == 500 << 10
    assert len(sent.sent) == 1
    assert sent.at(5 + 171) == 500 << 10  # that of before, as long as the new one is not there
    assert len(sent.sent) == 2


def test_at_one_look_no_more_than_half_a_second_is_waited(monkeypatch):
    sent = Sent(monkeypatch)
    sent.takes = inf
    for pid in range(50, 100):
        sent.at(1, pid)
    assert 1.5 <= sent.clock < 1.61
    assert 5 <= len(sent.sent) <= 6


def test_whose_command_line_hangs_is_not_asked_for_this_either(monkeypatch):
    sent = Sent(monkeypatch)
    sent.hanging = {50}
    assert sent.at(1) is None
    assert sent.sent == []
    sent.hanging = set()
    assert sent.at(1) == 500 << 10


def test_an_errand_that_was_ended_by_somebody_is_repeated(monkeypatch):
    sent = Sent(monkeypatch)
    sent.takes = inf
    monkeypatch.setattr(Errand, "is_held", False)
    assert sent.at(1) is None
    sent.takes = 0.001
    assert sent.at(2) == 500 << 10


def test_a_want_of_our_own_is_raised(monkeypatch):
    sent = Sent(monkeypatch)
    sent.answer = OSError(errno.ENFILE, "Too many open files in system")
    with pytest.raises(OSError, match="Too many"):
        sent.at(1)


def test_what_is_underway_for_somebody_who_has_ended_is_given_up(monkeypatch):
    sent = Sent(monkeypatch, rmem=200 << 30)
    sent.takes = inf
    sent.at(1), sent.at(2, 51)
    assert sent.back == []
    sent.rollups.drop(ProcessId(50, 1))
    assert len(sent.back) == 1
    sent.rollups.close()
    assert len(sent.back) == 2


# --- children that read it ---


@pytest.fixture
def errands(tmp_path):
    Proc(tmp_path).put(50)
    errands = Errands(str(tmp_path), 4096)
    yield errands
    errands.close()


def test_an_errand_that_came_to_nothing_for_want_of_something_is_not_lost(errands, tmp_path):
    asked = Rollups(str(tmp_path), errands)
    wanting = [(50, OSError(errno.ENOMEM, "Cannot allocate memory"))]
    with mock.patch.object(errand.Errand, "answers", return_value=wanting):
        for now in range(5):
            with pytest.raises(OSError, match="memory"):
                asked.measure(ProcessId(50, 50), now)
    assert errands._out == []


def test_nor_is_one_that_was_never_sent(errands, tmp_path):
    asked = Rollups(str(tmp_path), errands)
    with mock.patch.object(procfs, "read_size", side_effect=OSError(errno.EMFILE, "Too many open files")):
        for now in range(5):
            with pytest.raises(OSError, match="files"):
                asked.measure(ProcessId(50, 50), now)
    assert errands._out == []
