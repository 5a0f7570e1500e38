"""A file that is replaced whole and read with suspicion, in real directories."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from fallfromgrace import statefile
from fallfromgrace.pidfile import AlreadyRunning
from fallfromgrace.statefile import Distrust, StateFile, Ungivable

OTHER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for files of others")


@pytest.fixture
def place(tmp_path):
    """A directory of our name."""
    directory = tmp_path / "fall-from-grace"
    directory.mkdir(0o755)
    return directory


@pytest.fixture
def file(place):
    return StateFile(str(place / "status.json"))


def test_what_is_written_is_read_and_can_be_replaced(file, place):
    assert file.read() is None
    file.replace(b"one")
    file.replace(b"two")
    assert file.read() == b"two"
    assert os.listdir(place) == ["status.json"]


def test_it_is_nobody_elses_to_write_or_read(file, place):
    before = os.umask(0o022)
    file.replace(b"x")
    os.umask(before)
    assert stat.S_IMODE((place / "status.json").stat().st_mode) == 0o640


def test_the_directory_is_made_while_it_is_locked_and_nothing_else_is_left(tmp_path):
    file = StateFile(str(tmp_path / "new" / "status.json"))
    with file.locked():
        file.replace(b"x")
        assert (tmp_path / "new" / "status.json.lock").read_text() == f"{os.getpid()}\n"
    assert os.listdir(tmp_path / "new") == ["status.json"]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == (0o755 if os.geteuid() == 0 else 0o700)


def test_a_second_one_is_told_who_has_it(file):
    with file.locked(), pytest.raises(AlreadyRunning) as error, StateFile(file.path).locked():
        pass
    assert error.value.pid == os.getpid()


def test_a_lock_ends_with_its_owner_however_that_ends(file):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with file.locked():
            os.write(writing, b"x")
            time.sleep(60)
    os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with file.locked():
        pass
    os.close(reading)
    os.close(writing)


def holding(path, seconds):
    """A process that has it locked, and a child that has so, too, for some seconds after that was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with StateFile(path).locked():
            if os.fork():
                time.sleep(60)
            os.write(writing, b"x")
            time.sleep(seconds)
            os._exit(0)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return child


def test_what_a_child_still_has_of_one_that_was_killed_is_waited_for(file):
    owner = holding(file.path, 0.3)
    with pytest.raises(AlreadyRunning), file.locked():
        pass
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    with file.locked():
        pass


def test_what_one_of_us_left_that_was_killed_is_in_nobodys_way(file, place):
    (place / ".status.json.new").write_bytes(b"half")
    file.replace(b"x")
    assert (file.read(), os.listdir(place)) == (b"x", ["status.json"])


def test_a_group_that_it_is_given_to_may_read_it_whatever_our_umask(file, place):
    gid, before = (os.getgroups()[-1] if os.geteuid() else 4), os.umask(0o077)
    try:
        file.replace(b"x", gid)
    finally:
        os.umask(before)
    status = os.stat(file.path)
    assert (status.st_gid, status.st_mode & 0o777, os.listdir(place)) == (gid, 0o640, ["status.json"])


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])  # of others, and unknown in a container
def test_a_group_that_it_cannot_be_given_to_is_named_as_the_reason_and_the_old_one_stays(
    number, file, place, monkeypatch
):
    file.replace(b"old")
    monkeypatch.setattr(statefile.os, "fchown", failing(os.fchown, OSError(number, os.strerror(number))))
    with pytest.raises(Ungivable, match=os.strerror(number)):
        file.replace(b"new", 4)
    assert (file.read(), os.listdir(place)) == (b"old", ["status.json"])


# --- who may be trusted ---


def is_a_link(path):
    (path.parent / "elsewhere").write_text("{}")
    path.symlink_to("elsewhere")


def is_writable(mode):
    def make(path):
        path.write_text("{}")
        path.chmod(mode)

    return make


def is_anothers(path):
    path.write_text("{}")
    os.chown(path, OTHER, OTHER)


def is_a_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def is_large(path):
    with open(path, "wb") as file:
        file.truncate((16 << 20) + 1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (is_writable(0o664), "others may write to it"),
        (is_writable(0o646), "others may write to it"),
        (os.mkdir, "it is not a regular file"),
        (os.mkfifo, "it is not a regular file"),
        (is_a_link, "it is not a regular file"),
        (is_a_socket, "it is not a regular file"),
        (is_large, "it has more than 16 MiB"),
        pytest.param(is_anothers, "it is another user's", marks=as_root),
    ],
)
def test_what_may_be_anothers_work_is_not_read(make, told, file, place):
    make(place / "status.json")
    held = os.listdir("/proc/self/fd")
    with pytest.raises(Distrust, match=told):
        file.read()
    assert os.listdir("/proc/self/fd") == held


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_directory_that_others_may_write_to_is_not_used(mode, file, place):
    place.chmod(mode)
    for step in (file.read, lambda: file.replace(b"x"), file.set_aside, file.locked().__enter__):
        with pytest.raises(Distrust, match="others may write to the directory"):
            step()
    assert os.listdir(place) == []


def test_a_directory_where_all_may_write_but_only_to_their_own_is_used(file, place):
    place.chmod(0o1777)
    with file.locked():
        file.replace(b"x")
    assert file.read() == b"x"


@as_root
def test_another_users_directory_is_not_used(file, place):
    os.chown(place, OTHER, OTHER)
    with pytest.raises(Distrust, match="is another user's"):
        file.replace(b"x")


def test_a_link_to_a_directory_is_not_followed(place, tmp_path):
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(Distrust, match="is no directory, or a symbolic link"):
        StateFile(str(tmp_path / "link" / "status.json")).replace(b"x")


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(file, place):
    is_a_link(place / "status.json")
    file.replace(b"x")
    assert (place / "elsewhere").read_text() == "{}"
    assert not (place / "status.json").is_symlink()


def test_another_file_in_the_place_of_the_lock_is_left_alone(file, place):
    (place / "status.json.lock").write_text("somebody's work")
    with pytest.raises(Distrust, match=r"status.json.lock cannot be locked: it is another's file"), file.locked():
        pass
    assert (place / "status.json.lock").read_text() == "somebody's work"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, is_a_link, is_large])
def test_what_is_of_no_use_is_set_aside_and_replaces_what_was(make, file, place):
    (place / "status.json.bad").write_text("of last year")
    if make is os.mkdir:
        (place / "status.json.bad").unlink()
    make(place / "status.json")
    assert file.set_aside() == f"{place}/status.json.bad"
    assert not os.path.lexists(place / "status.json")
    assert os.path.lexists(place / "status.json.bad")


def test_only_a_directory_of_our_name_is_our_place(file):
    assert file.in_our_place
    assert not StateFile("/run/status.json").in_our_place


# --- what can go wrong while it is written ---


@pytest.mark.parametrize("call", ["open", "write", "rename"])
@pytest.mark.parametrize(
    "error",
    [OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE)]
    + [OSError(errno.EACCES, "no"), MemoryError(), KeyboardInterrupt()],
    ids=repr,
)
def test_whatever_goes_wrong_the_old_one_stays_and_nothing_else_is_left(call, error, file, place, monkeypatch):
    file.replace(b"old")
    held = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(statefile.os, call, failing(getattr(os, call), error))
        with pytest.raises(type(error)):
            file.replace(b"new")
    assert (file.read(), os.listdir(place)) == (b"old", ["status.json"])
    assert set(os.listdir("/proc/self/fd")) == held


def failing(real, error):
    """Directories can be opened."""

    def call(*arguments, **named):
        if real is os.open and not named:
            return real(*arguments)
        raise error

    return call


def test_what_is_written_in_part_is_written_on(file, monkeypatch):
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(statefile.os, "write", lambda fd, data: real(fd, bytes(data[:3])))
        file.replace(b"0123456789")
    assert file.read() == b"0123456789"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_full_leaves_the_old_one(tmp_path):
    script = """
import os, sys
from fallfromgrace.statefile import StateFile
file = StateFile(sys.argv[1] + "/status.json")
file.replace(b"old")
try:
    file.replace(b"x" * (1 << 20))
except OSError as error:
    print(os.strerror(error.errno), file.read(), os.listdir(sys.argv[1]))
"""
    mounted = 'mount -t tmpfs -o size=64k,mode=755 none $1 && exec $2 -c "$3" $1'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if ran.returncode:
        pytest.skip(f"cannot mount: {ran.stderr}")
    assert ran.stdout == "No space left on device b'old' ['status.json']\n"
