"""A child has what it is to keep and nothing else of ours, and ends without a word."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from fallfromgrace import children
from tests.victims import state, until


@pytest.fixture
def answered():
    """What the code in a child writes to its end of a pipe, and its exit status."""

    def fork(body, *more):
        reading, writing = os.pipe()
        pid = children.fork(lambda: body(writing), keep=(writing, *more), name="some-child")
        os.close(writing)
        with open(reading, "rb") as pipe:
            told = pipe.read().decode()
        return told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return fork


def tell(pipe, *what):
    os.write(pipe, " ".join(map(str, what)).encode())


def test_it_keeps_what_it_is_to_keep(answered):
    with open(os.devnull) as lock, open(os.devnull) as kept:
        given, not_given = str(kept.fileno()), str(lock.fileno())
        told, status = answered(lambda pipe: tell(pipe, pipe, *sorted(os.listdir("/proc/self/fd"))), kept.fileno())
    mine, *open_in_it = told.split()
    assert {mine, given, "0", "1", "2"} <= set(open_in_it)
    assert not_given not in open_in_it
    assert status == 0


def test_it_has_a_name_of_its_own(answered):
    assert answered(lambda pipe: tell(pipe, Path("/proc/self/comm").read_text()))[0] == "some-child\n"


def test_an_alarm_ends_it_whatever_we_have_made_of_that(answered):
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        assert answered(lambda _: signal.raise_signal(signal.SIGALRM))[1] == -signal.SIGALRM
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("fault", [ZeroDivisionError, SystemExit, KeyboardInterrupt, MemoryError])
def test_a_fault_in_it_is_a_status_and_nothing_more(fault, answered, capfd):
    def fail(_):
        raise fault

    assert answered(fail) == ("", 1)
    assert capfd.readouterr() == ("", "")


def test_one_that_is_ended_is_reaped():
    child = subprocess.Popen(["sleep", "60"])
    assert children.end(child.pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    child.returncode = -9


def test_one_that_does_not_end_holds_nobody_up_and_is_reaped_when_it_has(monkeypatch):
    child = subprocess.Popen(["sleep", "60"])
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    assert not children.end(child.pid)
    kill(child.pid, signal.SIGKILL)
    until(lambda: state(child.pid) == "Z", "it has ended")
    os.waitpid(children.fork(lambda: None, keep=(), name="another"), 0)
    assert state(child.pid) == ""
    child.returncode = -9
