"""Children that read for us: what they answer, what they leave behind, and that they can always be got rid of."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import mock
import pytest

from fallfromgrace import procfs
from fallfromgrace.errand import ARGUMENTS, IO, ROLLUP, STAT, Errand
from tests.proctree import Proc
from tests.victims import marker, state, until, victim

LIMIT = 1000


@pytest.fixture
def errand_in():
    """Makes errands in a /proc, and ends them."""
    made = []

    def make(root="/proc", limit=LIMIT):
        made.append(Errand(root, limit))
        return made[-1]

    yield make
    for each in made:
        each.end()
        until(each.ended)


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


def hang(proc, pid, name="cmdline"):
    """Whoever opens this file waits until somebody writes to it."""
    proc.put(pid)
    path = proc.path / str(pid) / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def answers(errand, what, pids):
    errand.ask(what, pids)
    until(lambda: errand.wait(0.1), "it is done")
    return dict(errand.answers())


def test_it_reads_what_we_would_read(errand_in):
    mark = marker()
    with victim(mark) as one:
        found = answers(errand_in(), ARGUMENTS, [one.pid])[one.pid]
        assert procfs.parse_stat(found.stat)[:5] == procfs.read_stat(one.pid)[:5]
        assert found.content == procfs.read_arguments(one.pid, LIMIT)
        assert 0 <= found.took < 1
        rollup = procfs.parse_rollup(answers(errand_in(), ROLLUP, [one.pid])[one.pid].content)
        assert rollup.uss > 1 << 20


def test_what_is_asked_is_read_with_the_stat_line(errand_in, proc):
    proc.put(42, exe="/usr/bin/hog (deleted)")
    (proc.path / "42" / "io").write_text("read_bytes: 7\n")
    found = {what: answers(errand_in(proc.root), what, [42])[42] for what in (ARGUMENTS, STAT, IO)}
    assert {each.stat.split()[0] for each in found.values()} == {b"42"}
    assert {what: (each.content, each.exe) for what, each in found.items()} == {
        ARGUMENTS: (b"hog\0", "/usr/bin/hog"), STAT: (b"", None), IO: (b"read_bytes: 7\n", None)
    }  # fmt: skip


def test_who_may_not_be_read_is_there_all_the_same(errand_in, proc):
    proc.put(42)
    (proc.path / "42" / "exe").unlink()
    refuse = mock.patch("fallfromgrace.errand._content", side_effect=_refusing)
    with refuse:
        errand = errand_in(proc.root)
    answer = answers(errand, IO, [42])[42]
    assert (answer.stat[:3], answer.content) == (b"42 ", b"")
    assert answers(errand, ARGUMENTS, [42])[42].exe == ""


def _refusing(home, name, limit):
    if name == "io":
        raise PermissionError(errno.EACCES, "no")
    with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=home)) as file:
        return file.read(limit)


@pytest.mark.parametrize(("name", "stat", "exe"), [("stat", b"", None), ("cmdline", b"42 (hog) S", "/usr/bin/hog")])
def test_what_was_read_before_it_hung_is_there(errand_in, proc, name, stat, exe):
    hang(proc, 42, name)
    errand = errand_in(proc.root)
    errand.ask(ARGUMENTS, [42])
    until(lambda: errand.is_held)
    until(lambda: errand.at[2] == exe)
    assert (errand.at[0], errand.at[1][:10]) == (42, stat)


def test_no_more_is_read_than_the_limit(errand_in, proc):
    proc.put(42, "x" * 2000)
    assert answers(errand_in(proc.root), ARGUMENTS, [42])[42].content == b"x" * LIMIT


def test_who_is_not_there_has_no_answer_and_keeps_nobody_from_theirs(errand_in, proc):
    proc.put(42, "one")
    proc.put(44, "two")
    (proc.path / "45").mkdir()
    found = answers(errand_in(proc.root), ARGUMENTS, [42, 43, 44, 45])
    assert {pid: answer and answer.content for pid, answer in found.items()} == {
        42: b"one\0", 43: None, 44: b"two\0", 45: None
    }  # fmt: skip


def test_one_can_be_asked_again_and_again(errand_in, proc):
    errand = errand_in(proc.root)
    for number in range(5):
        proc.put(42, f"run {number}")
        assert answers(errand, ARGUMENTS, [42])[42].content == b"run\0%d\0" % number


def test_what_has_no_space_is_left_for_another_time(errand_in, proc):
    for pid in range(100, 400):
        proc.put(pid, "x" * 900)
    errand, left, rounds = errand_in(proc.root), list(range(100, 400)), 0
    while left:
        found = answers(errand, ARGUMENTS, left)
        assert all(answer.content == b"x" * 900 + b"\0" for answer in found.values())
        assert list(found) == left[: len(found)]
        left, rounds = left[len(found) :], rounds + 1
    assert rounds == 3


def test_it_is_told_at_whom_it_hangs_and_what_was_read_before(errand_in, proc):
    proc.put(41, "before")
    hang(proc, 42)
    proc.put(43)
    errand = errand_in(proc.root)
    errand.ask(ARGUMENTS, [41, 42, 43])
    until(lambda: errand.done == 1 and errand.is_held)
    assert not errand.wait(0.01)
    assert {pid: answer.content for pid, answer in errand.answers()} == {41: b"before\0"}
    pid, line, _ = errand.at
    assert (pid, procfs.parse_stat(line).start) == (42, 42)
    errand.end()
    until(errand.ended)


def test_of_a_process_without_its_first_thread_another_one_is_asked(errand_in, proc):
    leaderless(proc, 42, 50)
    assert answers(errand_in(proc.root), ARGUMENTS, [42])[42].content == b"hog\0"


def leaderless(proc, pid, thread):
    proc.put(pid, state="Z", threads=2)
    threads = Proc(proc.path / str(pid) / "task") if (proc.path / str(pid) / "task").mkdir() is None else None
    threads.put(pid, state="Z")
    threads.put(thread, "hog")


def test_it_is_nobody_and_holds_nothing(errand_in):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        errand = errand_in()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    answers(errand, ARGUMENTS, [os.getpid()])
    assert len(os.listdir(f"/proc/{errand.pid}/fd")) == 2
    assert procfs.read_stat(errand.pid).comm == "fall-from-proc"
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{errand.pid}/status").read_text().splitlines() if ":\t" in line
    )
    the_c_library_s_own = 3 << 31  # 32 and 33, which it does not let anybody change once there are threads
    assert {int(status[name], 16) & ~the_c_library_s_own for name in ("SigBlk", "SigCgt", "SigIgn")} == {0}


ORPHANS = """
import sys, time
from fallfromgrace.errand import ARGUMENTS, Errand
idle, busy = Errand("/proc", 100), Errand(sys.argv[1], 100)
busy.ask(ARGUMENTS, [42])
while not busy.is_held:
    time.sleep(0.01)
print(idle.pid, busy.pid, flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_us_even_if_it_hangs(proc):
    hang(proc, 42)
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS, proc.root], stdout=subprocess.PIPE, text=True)
    with parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
        until(lambda: all(state(pid) in ("", "Z") for pid in pids), "both are gone")


def test_one_that_somebody_has_ended_is_broken(errand_in):
    errand = errand_in()
    os.kill(errand.pid, signal.SIGKILL)
    until(lambda: state(errand.pid) == "Z")
    errand.ask(ARGUMENTS, [os.getpid()])
    assert errand.wait(1)
    assert errand.broken
    assert list(errand.answers()) == []


def test_one_that_is_stopped_is_not_held(errand_in):
    errand = errand_in()
    os.kill(errand.pid, signal.SIGSTOP)
    until(lambda: state(errand.pid) == "T")
    errand.ask(ARGUMENTS, [os.getpid()])
    assert not errand.wait(0.05)
    assert not errand.is_held
    errand.end()
    until(errand.ended)


def test_whoever_has_its_pid_when_it_was_reaped_by_others_is_left_alone():
    errand = Errand("/proc", LIMIT)
    os.kill(errand.pid, signal.SIGKILL)
    os.waitpid(errand.pid, 0)
    with mock.patch("os.kill") as kill:
        errand.end()
        assert errand.ended()
    assert not kill.called


@pytest.mark.parametrize("number", procfs.OUR_OWN_WANT)
def test_a_want_of_the_child_is_ours(number):
    with mock.patch("fallfromgrace.errand._read_all", side_effect=lambda child, *_: _wanting(child, number)):
        errand = Errand("/proc", LIMIT)
    found = answers(errand, ARGUMENTS, [os.getpid()])[os.getpid()]
    errand.end()
    until(errand.ended)
    assert found.errno == number


def _wanting(child, number):
    from fallfromgrace import errand

    errand._ANSWER.pack_into(child.board, errand._PROGRESS.size, 0, -1, -number, 0)
    errand._PROGRESS.pack_into(child.board, 0, 1, errand._PROGRESS.size, 0, -1)
