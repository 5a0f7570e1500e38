import errno
import os
import time

import mock
import pytest

from fallfromgrace.errand import ARGUMENTS, Answer
from fallfromgrace.errands import Errands
from tests.proctree import Proc
from tests.test_errand import LIMIT, answers, hang
from tests.victims import state, until


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


@pytest.fixture
def errands(proc):
    made = Errands(proc.root, LIMIT)
    yield made
    made.close()


def test_who_is_back_is_sent_out_again(errands, proc):
    proc.put(42)
    first = errands.take()
    assert answers(first, ARGUMENTS, [42])
    errands.give_back(first)
    second = errands.take()
    assert second is first
    errands.give_back(second)


def test_who_is_not_back_is_ended_and_another_one_is_sent(errands, proc):
    hang(proc, 42)
    proc.put(43)
    first = errands.take()
    first.ask(ARGUMENTS, [42])
    until(lambda: first.is_held)
    errands.give_back(first)
    until(lambda: not errands.is_lost(first), "it has ended")
    second = errands.take()
    assert isinstance(answers(second, ARGUMENTS, [43])[43], Answer)
    errands.give_back(second)


@pytest.mark.alone
def test_nobody_waits_for_one_that_does_not_end(errands):
    errand = errands.take()
    errand.ask(ARGUMENTS, [42])
    with mock.patch("os.waitpid", return_value=(0, 0)) as wait:
        errands.give_back(errands.take())
        began = time.monotonic()
        errands.give_back(errand)
        assert errands.is_lost(errand)
        assert time.monotonic() - began < 0.5
        assert all(call.args[1] == os.WNOHANG for call in wait.call_args_list)
    until(lambda: not errands.is_lost(errand))


def test_its_own_are_known_by_their_pids():
    errands = Errands("/proc", LIMIT)
    out = errands.take()
    assert errands.pids == {out.pid}
    answers(out, ARGUMENTS, [os.getpid()])
    errands.give_back(out)
    assert errands.pids == {out.pid}
    errands.close()
    assert errands.pids == set()
    assert state(out.pid) == ""


@pytest.mark.parametrize("call", ["os.fork", "socket.socketpair"])
def test_where_no_child_can_be_had_it_says_so_and_keeps_nothing_open(call):
    before = len(os.listdir("/proc/self/fd"))
    with (
        mock.patch(call, side_effect=OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))),
        pytest.raises(BlockingIOError),
    ):
        Errands("/proc", LIMIT).take()
    assert len(os.listdir("/proc/self/fd")) == before
