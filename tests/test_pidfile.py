import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace.exits import NotPermitted
from fallfromgrace.pidfile import AlreadyRunning, PidFile, PidFileError

HERE = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "daemon.pid")


@pytest.fixture
def acquired(path):
    lock = PidFile(path)
    lock.acquire()
    yield lock
    lock.release()


def contents(path):
    return Path(path).read_text()


def test_it_has_our_pid_while_it_is_written_and_is_gone_afterwards(acquired, path):
    with acquired.written():
        assert contents(path) == f"{os.getpid()}\n"
    assert not os.path.exists(path)


def test_it_is_gone_after_an_error_too(acquired, path):
    with pytest.raises(ZeroDivisionError), acquired.written():
        1 / 0  # noqa: B018
    assert not os.path.exists(path)


def test_it_can_be_read_by_all_and_written_by_us(acquired, path):
    assert os.stat(path).st_mode & 0o777 == 0o644 & ~_umask()


def _umask():
    old = os.umask(0)
    os.umask(old)
    return old


def test_commands_do_not_inherit_it(acquired):
    assert not os.get_inheritable(acquired.fileno())


def test_the_second_is_told_the_pid_of_the_first(acquired, path):
    with acquired.written(), pytest.raises(AlreadyRunning, match=f"already running as pid {os.getpid()} ") as refusal:
        PidFile(path).acquire()
    assert refusal.value.pid == os.getpid()


def test_the_second_is_told_so_while_the_first_is_starting(acquired, path):
    with pytest.raises(AlreadyRunning, match="just starting") as refusal:
        PidFile(path).acquire()
    assert refusal.value.pid is None


def test_being_refused_leaves_the_first_as_it_was(acquired, path):
    with acquired.written():
        for _ in range(3):
            with pytest.raises(AlreadyRunning):
                PidFile(path).acquire()
        assert contents(path) == f"{os.getpid()}\n"


@pytest.mark.parametrize("left", ["", "1\n", "99999999\n", "123", "\0\0\0\0"])
def test_what_a_crash_left_is_taken_over(left, path):
    Path(path).write_text(left)
    lock = PidFile(path)
    lock.acquire()
    assert contents(path) == ""
    with lock.written():
        assert contents(path) == f"{os.getpid()}\n"


@pytest.mark.parametrize("target", ["elsewhere", "missing"])
def test_a_symbolic_link_is_refused_and_not_followed(target, tmp_path, path):
    (tmp_path / "elsewhere").write_text("1\n")
    os.symlink(tmp_path / target, path)
    with pytest.raises(PidFileError, match="symbolic link"):
        PidFile(path).acquire()
    assert contents(tmp_path / "elsewhere") == "1\n"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("work", ["myhostname\n", "-1\n", "12 monkeys"])
def test_a_short_file_that_is_somebodys_work_is_refused_and_kept(work, path):
    Path(path).write_text(work)
    with pytest.raises(PidFileError, match="not a pid file: it has something else in it"):
        PidFile(path).acquire()
    assert contents(path) == work


def test_a_file_that_is_somebodys_work_is_refused_and_kept(path):
    Path(path).write_text("a thesis\n" * 100)
    with pytest.raises(PidFileError, match="not a pid file: it has 900 bytes"):
        PidFile(path).acquire()
    assert contents(path) == "a thesis\n" * 100


def test_what_is_no_file_is_refused_and_kept(path):
    os.mkfifo(path)
    for what in ("/dev/null", path, os.path.dirname(path), "/nonexistent/x.pid"):
        with pytest.raises(PidFileError, match=r"write -p with another"):
            PidFile(what).acquire()
    assert os.path.exists("/dev/null")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_we_may_not_write_the_user_is_told_so(tmp_path, path):
    tmp_path.chmod(0o500)
    with pytest.raises(NotPermitted, match="Permission denied"):
        PidFile(path).acquire()


def test_a_read_only_place_is_not_permitted(path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NotPermitted, match="Read-only file system"):
        PidFile(path).acquire()


def test_a_full_disk_is_told_and_leaves_nothing(acquired, path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(PidFileError, match="No space left"), acquired.written():
        pytest.fail("not written, and yet here")
    assert not os.path.exists(path)


def test_a_file_that_was_replaced_while_we_locked_it_is_not_ours(path, monkeypatch):
    real, turns = os.open, []

    def open_and_replace(*arguments):
        fd = real(*arguments)
        if not turns:
            os.unlink(path)  # as its owner does when it ends
        turns.append(fd)
        return fd

    monkeypatch.setattr(os, "open", open_and_replace)
    lock = PidFile(path)
    lock.acquire()
    assert len(turns) == 2
    assert os.path.samestat(os.stat(path), os.fstat(lock.fileno()))
    lock.release()


def test_a_name_that_is_always_another_file_is_given_up_on(path, monkeypatch):
    monkeypatch.setattr(PidFile, "_still_there", lambda *_: False)
    with pytest.raises(PidFileError, match="replaced all the time"):
        PidFile(path).acquire()


def test_what_replaced_our_file_is_not_removed(acquired, path):
    with acquired.written():
        os.unlink(path)
        Path(path).write_text("another's\n")
    assert contents(path) == "another's\n"


def test_a_mere_child_of_the_owner_removes_nothing(acquired, path):
    with acquired.written():
        child = os.fork()
        if child == 0:
            try:
                acquired.release()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.path.exists(path)
        with pytest.raises(AlreadyRunning):
            PidFile(path).acquire()


def test_the_lock_lives_on_in_a_child_when_the_parent_is_done_with_it(path):
    lock = PidFile(path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    os.close(lock.fileno())
    with pytest.raises(AlreadyRunning):
        PidFile(path).acquire()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    PidFile(path).acquire()


# Takes the pid file again and again; whoever has it must be alone with the witness. Says "mine" each time.
RACER = """
import fcntl, os, sys
from fallfromgrace.pidfile import AlreadyRunning, PidFile
path, witness, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
had = 0
while had < times:
    lock = PidFile(path)
    try:
        lock.acquire()
    except AlreadyRunning:
        continue
    with lock.written():
        with open(witness, "w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert int(open(path).read()) == os.getpid()
        had += 1
    if had % 10 == 1:
        print("mine", flush=True)
"""


@pytest.fixture
def race(path, tmp_path):
    started = []

    def race(times):
        arguments = [sys.executable, "-c", RACER, path, str(tmp_path / "witness"), str(times)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(arguments, cwd=HERE, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield race
    for each in started:
        if each.poll() is None:
            each.kill()
            each.communicate()


def test_of_racers_that_may_be_killed_at_any_time_never_two_own_it(race):
    steady = [race(100) for _ in range(3)]
    for _ in range(8):
        mortal = race(1_000_000)
        for _ in range(random.randint(1, 3)):
            assert mortal.stdout.readline() == "mine\n"
        mortal.kill()
        mortal.communicate(timeout=20)
        assert mortal.returncode == -signal.SIGKILL
    for racer in steady:
        _, errors = racer.communicate(timeout=60)
        assert (racer.returncode, errors) == (0, "")
