"""Niceness and the out-of-memory score of real processes, and of none but these."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import adjusting, procfs
from fallfromgrace.adjusting import adjust
from fallfromgrace.signalling import pinned
from fallfromgrace.table import ProcessId
from tests.victims import marker, until, victim

ROOT = os.geteuid() == 0
NOBODY = 65534
# There is no such thread: the largest pid that Linux can be told to give is one less.
NO_THREAD = 1 << 22


def nice(pid):
    """The niceness of each thread."""
    return [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir(f"/proc/{pid}/task")]


def oom(pid):
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def hold(pid):
    return pinned(ProcessId(pid, procfs.read_stat(pid).start))


@contextlib.contextmanager
def threaded():
    """A process with four threads."""
    code = "import sys, threading, time\n"
    code += "for _ in range(3): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    code += "print('ready', flush=True); time.sleep(60)"
    started = subprocess.Popen([sys.executable, "-c", code, marker()], stdout=subprocess.PIPE)
    try:
        started.stdout.readline()
        yield started.pid
    finally:
        started.kill()
        started.communicate()


def test_every_thread_of_a_process_is_made_nicer():
    with threaded() as pid, hold(pid) as pin:
        adjust("nice", pid, 7, pin)
        assert nice(pid) == [7] * 4


@pytest.mark.skipif(not ROOT, reason="only root may make a process less nice")
def test_root_may_make_a_process_less_nice_again():
    with threaded() as pid, hold(pid) as pin:
        for value in (19, 3, -2):
            adjust("nice", pid, value, pin)
            assert nice(pid) == [value] * 4


@pytest.mark.parametrize("value", [1000, 321])
def test_the_out_of_memory_score_is_set(value):
    with victim(marker()) as hog, hold(hog.pid) as pin:
        adjust("oom", hog.pid, value, pin)
        assert oom(hog.pid) == value


class Slipping:
    """A hold that is lost after so many checks."""

    def __init__(self, checks):
        self.left = checks

    def send(self, signal_number):
        raise AssertionError("nothing is to be sent")

    def check(self):
        self.left -= 1
        if self.left < 0:
            raise ProcessLookupError(3, "No such process")


@pytest.mark.parametrize("word", ["nice", "oom"])
def test_whoever_has_the_pid_of_one_that_ended_is_left_as_they_are(word):
    with victim(marker()) as stranger:
        before = nice(stranger.pid), oom(stranger.pid)
        with pytest.raises(ProcessLookupError):
            adjust(word, stranger.pid, 9, Slipping(0))
        assert (nice(stranger.pid), oom(stranger.pid)) == before


def test_only_threads_of_the_process_are_touched_whatever_number_is_among_them(monkeypatch):
    with victim(marker()) as hog, victim(marker()) as stranger, hold(hog.pid) as pin:
        with monkeypatch.context() as patch:
            patch.setattr(adjusting.os, "listdir", lambda _: [str(stranger.pid), str(hog.pid)])
            adjust("nice", hog.pid, 5, pin)
        assert (nice(hog.pid), nice(stranger.pid)) == ([5], [0])


def test_a_hold_that_is_lost_at_the_end_is_told():
    with victim(marker()) as hog, pytest.raises(ProcessLookupError):
        adjust("nice", hog.pid, 9, Slipping(1))


@pytest.mark.parametrize(("its", "told"), [(9, True), (0, False)])
def test_that_somebody_else_may_have_been_made_nicer_is_told(monkeypatch, its, told):
    """A thread ends between two system calls. Who has its number by then has this niceness, of us or by themselves."""
    answers = iter([True, False])
    monkeypatch.setattr(adjusting, "_has", lambda *_: next(answers))
    monkeypatch.setattr(adjusting.os, "getpriority", lambda *_: its)
    with victim(marker()) as hog, hold(hog.pid) as pin:
        expected = pytest.raises(OSError, match=f"its thread {hog.pid} ended meanwhile: another process")
        with expected if told else contextlib.nullcontext():
            adjust("nice", hog.pid, 9, pin)


@pytest.mark.parametrize("word", ["nice", "oom"])
def test_who_has_ended_is_no_failure_of_ours(word):
    with victim(marker()) as hog, hold(hog.pid) as pin:
        hog.process.kill()
        hog.process.wait()
        with pytest.raises(ProcessLookupError):
            adjust(word, hog.pid, 9, pin)


def test_a_thread_that_ends_meanwhile_costs_the_others_nothing(monkeypatch):
    with threaded() as pid, hold(pid) as pin:
        threads = os.listdir(f"/proc/{pid}/task")
        with monkeypatch.context() as patch:
            patch.setattr(adjusting.os, "listdir", lambda _: [str(NO_THREAD), *threads])
            adjust("nice", pid, 5, pin)
        assert nice(pid) == [5] * 4


@pytest.mark.skipif(not ROOT, reason="needs root, to give up being it")
@pytest.mark.parametrize(
    ("word", "value", "whose"), [("nice", 9, 0), ("oom", 9, 0), ("nice", -1, NOBODY), ("oom", -1, NOBODY)]
)
def test_what_the_kernel_does_not_let_us_is_a_permission_that_is_missing(word, value, whose):
    """Somebody else's process, and what only root may do to one's own."""
    sleeper = os.fork()
    if not sleeper:
        os.setresuid(whose, whose, whose)
        os.execv("/bin/sleep", ["sleep", "60"])
    try:
        until(lambda: procfs.read_arguments(sleeper, 100) == b"sleep\x0060\0")
        denied = os.fork()
        if not denied:
            try:
                os.setresuid(NOBODY, NOBODY, NOBODY)
                with hold(sleeper) as pin:
                    adjust(word, sleeper, value, pin)
            except PermissionError:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(denied, 0)[1]) == 0
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)
