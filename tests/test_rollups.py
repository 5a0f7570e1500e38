import pytest

from fallfromgrace import procfs, rollups
from fallfromgrace.rollups import Rollups
from fallfromgrace.table import ProcessId, Size
from tests.builders import MIB


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
