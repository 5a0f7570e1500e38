"""Reloads with readers that are made up; `now` is an argument."""

from math import inf
from types import SimpleNamespace

import mock
import pytest

from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.exits import Failure
from fallfromgrace.logs import ERROR
from fallfromgrace.reloading import Reloading
from fallfromgrace.report import Reporter
from tests.builders import Lines, config


class Desk:
    """Reads as it is told, and keeps what comes of it."""

    def __init__(self, over=lambda now: True, result=config, begin=lambda: None):
        self.log, self.told, self.taken, self.ended, self.begun = Lines(), [], [], 0, []
        self._reader = SimpleNamespace(over=over, result=result, end=self._end, deadline=30.0)
        self._begin = begin
        reporter = Reporter(self.log)
        self._refuse = lambda error: self.log.write(ERROR, str(error))
        self.reloading = Reloading(
            self._read, self._refuse, reporter.fault, lambda state: self.told.append(state.partition("=")[0])
        )

    def _read(self, now):
        self.begun.append(now)
        self._begin()
        return self._reader

    def _end(self):
        self.ended += 1

    def go_on(self, now):
        return self.reloading.go_on(now, self.taken.append)

    def ask(self, now):
        self.reloading.ask(now)
        return self


def test_what_is_read_is_taken_up_and_systemd_knows_when_it_begins_and_is_over():
    desk = Desk().ask(5.0)
    assert desk.go_on(5.0)
    assert desk.taken == [config()]
    assert desk.told == ["RELOADING", "READY"]
    assert desk.reloading.idle


def test_what_is_not_asked_for_is_not_done():
    desk = Desk()
    assert desk.reloading.idle
    assert not desk.go_on(5.0)
    assert (desk.reloading.next_wake, desk.told) == (inf, [])


def test_while_it_is_being_read_it_is_waited_for_until_the_readers_deadline():
    read = []
    desk = Desk(over=lambda now: bool(read)).ask(5.0)
    assert not desk.go_on(5.0)
    assert (desk.reloading.next_wake, desk.told) == (30.0, ["RELOADING"])
    read.append(True)
    assert desk.go_on(6.0)


def test_of_a_storm_of_requests_one_is_begun_each_second():
    desk = Desk()
    for tick in range(101):
        desk.ask(tick / 20)
        desk.go_on(tick / 20)
    assert desk.begun == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_what_is_asked_for_during_a_reload_is_done_after_it():
    read = []
    desk = Desk(over=lambda now: bool(read)).ask(0.0)
    desk.go_on(0.0)
    desk.ask(0.1)
    desk.go_on(2.0)
    assert desk.begun == [0.0]
    read.append(True)
    desk.go_on(3.0)
    assert not desk.reloading.idle
    desk.go_on(3.0)
    assert desk.begun == [0.0, 3.0]


@pytest.mark.parametrize(
    ("where", "error", "told"),
    [
        ("result", ConfigError([Problem("x.conf", 1, 2, "wrong")]), "x.conf:1:2: wrong"),
        ("result", Failure("no process is to be had"), "no process is to be had"),
        ("result", MemoryError(), "the reload failed for want of memory"),
        ("result", ZeroDivisionError("oh"), "ZeroDivisionError: oh"),
        ("begin", Failure("no process is to be had"), "no process is to be had"),
        ("begin", MemoryError(), "the reload failed for want of memory"),
        ("over", OSError(5, "broken"), "OSError: [Errno 5] broken"),
        ("over", MemoryError(), "the reload failed for want of memory"),
    ],
)
def test_whatever_fails_is_told_and_over_and_the_next_one_is_as_any_other(where, error, told):
    failed = []

    def once(*_):
        if not failed:
            failed.append(True)
            raise error
        return config()

    desk = Desk(**{where: once}).ask(0.0)
    assert desk.go_on(0.0)
    assert told in desk.log.text()
    assert desk.told == ["RELOADING", "READY"]
    assert desk.ended == (where == "over")  # else nobody is left to be ended
    assert desk.reloading.idle
    desk.ask(1.0).go_on(1.0)
    assert desk.taken == [config()]


def test_at_the_end_nobody_waits_for_what_is_being_read():
    desk = Desk(over=lambda now: False).ask(0.0)
    desk.go_on(0.0)
    desk.reloading.end()
    desk.reloading.end()
    assert desk.ended == 1


def test_systemd_knows_that_it_is_over_also_if_what_came_of_it_cannot_be_told():
    desk = Desk(result=mock.Mock(side_effect=ConfigError((Problem("x.conf", 1, 1, "wrong"),))))
    desk._refuse = mock.Mock(side_effect=MemoryError)
    desk = desk.ask(5.0)
    desk.reloading._refuse = desk._refuse
    with pytest.raises(MemoryError):
        desk.go_on(5.0)
    assert (desk.told, desk.reloading.idle) == (["RELOADING", "READY"], True)
