import errno
import os
from pathlib import Path

import mock
import pytest

from fallfromgrace import procfs
from fallfromgrace.kept import MOST, RESERVE, TURN_SECONDS, Kept, affordable
from fallfromgrace.table import ProcessId, Size
from tests.builders import MIB
from tests.proctree import PAGE, Proc
from tests.victims import marker, state, until, victim

INFINITY = float("inf")


def stats_in(root):
    """Who has the pids there, and of whom it cannot be known."""

    def stat(pid):
        try:
            return procfs.read_stat(pid, root)
        except OSError as error:
            return error

    return lambda pids: {pid: stat(pid) for pid in pids}


def ids(*pids):
    return [ProcessId(pid, pid) for pid in pids]


@pytest.fixture
def proc(tmp_path):
    made = Proc(tmp_path)
    for pid in (50, 51, 52):
        made.put(pid, rmem=pid * MIB, vmem=100 * MIB)
    return made


@pytest.fixture
def kept(proc):
    made = Kept(stats_in(proc.root), proc.root, budget=10)
    yield made
    made.close()


def opened(kept, *identities):
    """How many files are opened to read these."""
    with mock.patch("os.open", side_effect=os.open) as counted:
        kept.sizes(identities)
    return counted.call_count


def test_sizes_are_those_of_this_moment(kept, proc):
    assert kept.sizes(ids(50, 51)) == {one: Size(one.pid * MIB, 100 * MIB) for one in ids(50, 51)}
    proc.put(50, rmem=7 * MIB, vmem=8 * MIB)
    assert kept.sizes(ids(50)) == {ProcessId(50, 50): Size(7 * MIB, 8 * MIB)}


def test_of_one_that_is_as_it_was_the_size_is_the_same_object(kept, proc):
    [before] = kept.sizes(ids(50)).values()
    assert kept.sizes(ids(50))[ProcessId(50, 50)] is before
    proc.put(50, rmem=50 * MIB, vmem=100 * MIB + PAGE)
    assert kept.sizes(ids(50))[ProcessId(50, 50)] is not before


def test_files_are_opened_once_and_only_for_those_who_are_asked_for(kept):
    assert opened(kept, *ids(50, 51)) == 4  # statm, and stat to be sure whose it is
    assert opened(kept, *ids(50, 51)) == 0
    assert len(kept) == 2


def test_who_has_the_pid_of_another_is_not_taken_for_it(kept):
    stranger = ProcessId(50, 49)
    assert kept.sizes([stranger]) == {}
    assert len(kept) == 0


def test_of_whom_nobody_can_say_who_it_is_nothing_is_kept(proc):
    before = len(os.listdir("/proc/self/fd"))
    kept = Kept(lambda pids: {51: OSError(errno.EMFILE, "no"), 52: None}, proc.root, budget=10)
    assert kept.sizes(ids(50, 51, 52)) == {}
    assert not kept.holds(ProcessId(50, 50))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_descriptor_says_whether_its_process_is_there(kept, proc):
    assert not kept.holds(ProcessId(50, 50))
    kept.sizes(ids(50))
    assert kept.holds(ProcessId(50, 50))
    proc.remove(50)
    assert not kept.holds(ProcessId(50, 50))


def test_all_are_asked_for_together(proc):
    asked = []
    kept = Kept(lambda pids: asked.append(list(pids)) or stats_in(proc.root)(pids), proc.root, budget=10)
    assert len(kept.sizes(ids(50, 51, 52))) == 3
    assert asked == [[50, 51, 52]]
    kept.close()


def test_beyond_the_budget_files_are_opened_for_each_reading(proc):
    kept = Kept(stats_in(proc.root), proc.root, budget=1)
    assert kept.sizes(ids(50, 51, 52)).keys() == set(ids(50, 51, 52))
    assert len(kept) == 1
    assert kept.sizes(ids(50, 51, 52)).keys() == set(ids(50, 51, 52))
    assert kept.sizes([ProcessId(51, 49)]) == {}  # also then it is made sure who it is
    kept.close()


def test_who_has_ended_is_left_out(kept, proc):
    kept.sizes(ids(50, 51))
    proc.put(50, state="Z")
    proc.remove(51)
    proc.remove(52)
    assert kept.sizes(ids(50, 51, 52)) == {}


def test_what_is_not_asked_for_any_more_is_closed(kept):
    kept.turn(0)
    kept.sizes(ids(50, 51))
    kept.turn(TURN_SECONDS - 1)
    kept.turn(TURN_SECONDS)
    assert len(kept) == 2
    kept.sizes(ids(50))
    kept.turn(2 * TURN_SECONDS)
    assert [one in kept for one in ids(50, 51)] == [True, False]
    assert opened(kept, *ids(50)) == 0  # it had not been asked for, but before the last turn it had
    kept.turn(3 * TURN_SECONDS)
    kept.turn(4 * TURN_SECONDS)
    assert len(kept) == 0


def test_everything_that_is_dropped_is_closed(proc):
    before = len(os.listdir("/proc/self/fd"))
    kept = Kept(stats_in(proc.root), proc.root, budget=10)
    kept.sizes(ids(50, 51, 52))
    kept.turn(0)
    kept.sizes(ids(50))
    for one in ids(50, 51, 99):
        kept.drop(one)
    assert len(kept) == 1
    kept.close()
    assert len(kept) == 0
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ENOENT])
@pytest.mark.parametrize("successful", [0, 1])
def test_what_cannot_be_opened_is_left_out_and_leaves_nothing_open(kept, number, successful):
    before, answers = len(os.listdir("/proc/self/fd")), [os.open] * successful
    error = OSError(number, "no")

    def refuse(*args):
        if answers:
            return answers.pop()(*args)
        raise error

    real = os.open
    answers = [real] * successful
    with mock.patch("os.open", side_effect=refuse):
        assert kept.sizes(ids(50)) == {}
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("limit", "budget"),
    [
        (64, 0),
        (RESERVE, 0),
        (1024, 1024 - RESERVE),
        (RESERVE + MOST + 1, MOST),
        (1 << 30, MOST),
        (INFINITY, MOST),
        (None, 0),
    ],
)
def test_what_may_be_kept_leaves_enough_for_all_else(limit, budget):
    assert affordable(limit) == budget


def test_of_a_real_process_that_has_ended_there_is_nothing():
    kept = Kept(stats_in("/proc"), budget=1)
    with victim(marker(), mib=64) as hog:
        identity = ProcessId(hog.pid, procfs.read_stat(hog.pid).start)
        pages = Path(f"/proc/{hog.pid}/statm").read_text().split()
        for _ in range(2):
            assert kept.sizes([identity]) == {identity: Size(int(pages[1]) * PAGE, int(pages[0]) * PAGE)}
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        assert kept.sizes([identity]) == {}
        hog.process.wait()
        assert kept.sizes([identity]) == {}
    kept.close()


def test_one_whose_last_thread_executes_something_has_a_first_thread_again(kept, proc):
    proc.put(50, state="Z", threads=2)
    (proc.path / "50" / "task").mkdir()
    threads = Proc(proc.path / "50" / "task")
    threads.put(50, state="Z")
    threads.put(60, rmem=7 * MIB, vmem=8 * MIB)
    assert kept.sizes(ids(50)) == {ProcessId(50, 50): Size(7 * MIB, 8 * MIB)}
    threads.remove(60)
    proc.put(50, rmem=9 * MIB, vmem=9 * MIB)
    assert kept.sizes(ids(50)) == {ProcessId(50, 50): Size(9 * MIB, 9 * MIB)}
