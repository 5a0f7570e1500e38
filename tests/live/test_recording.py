"""Real processes, recorded by the real program until something ends it."""

import contextlib
import fcntl
import os
import pty
import re
import secrets
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from fallfromgrace import exits, recording
from fallfromgrace.commands import record
from fallfromgrace.rules import counted
from tests.builders import MIB
from tests.live.conftest import PROGRAM
from tests.victims import until, victim

BREAKS_OFF = "it breaks off: it was not ended, or not copied whole"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.rec"


@pytest.fixture
def conf(configured, mark):
    return configured(f"victims:\n  cmdline: '{mark}'\n  actions:\n    rmem > 900m: term\n")


@contextlib.contextmanager
def recorder(conf, path, *options, within=(), stderr=subprocess.PIPE, **more):
    command = [*within, sys.executable, str(PROGRAM), "record", "-c", str(conf), "--every", "0.1s", *options, str(path)]
    started = subprocess.Popen(command, stderr=stderr, text=True, **more)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def frames(path):
    """What can be read of it so far, and what is told about the rest."""
    try:
        with recording.opened(path) as found:
            return list(found), found.damage
    except exits.UsageError:
        return [], ""


def of(pid, frame):
    return next((sample for who, sample in frame.samples.items() if who and who.pid == pid), None)


def rmem(pid, found):
    return [sample["rmem"] for frame in found if (sample := of(pid, frame))]


def test_one_that_is_killed_has_what_was_seen_up_to_a_few_seconds_before(conf, path, mark):
    with victim(mark, what="leak") as leak, recorder(conf, path) as running:
        until(lambda: len(frames(path)[0]) > 20)
        running.kill()
        running.wait()
        found, damage = frames(path)
        seen = rmem(leak.pid, found)
        assert len(seen) == len(found)
        assert seen == sorted(seen)
        assert seen[-1] - seen[0] > 100 * MIB
        assert damage == f"after {len(found)} frames {BREAKS_OFF}"
        [who] = found[-1].processes
        assert mark in who.image.cmdline
        assert of(leak.pid, found[-1])["age"] > of(leak.pid, found[0])["age"] + 4
        assert found[-1].samples[None]["available"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_one_that_is_told_to_end_has_all_that_was_seen(number, conf, path, mark):
    with victim(mark, what="parent2") as parent, recorder(conf, path) as running:
        until(lambda: frames(path)[0])
        running.send_signal(number)
        assert running.wait(5) == exits.OK
        found, damage = frames(path)
        assert damage == ""
        assert {each.id.pid for each in found[0].processes} == {parent.pid, *parent.family}
        *_, told = running.stderr.read().splitlines()
        assert told.startswith(f"{path}: {counted(len(found), 'frame')} of 3 processes over ")
        assert told.endswith(f"; ended by {signal.Signals(number).name}")


def test_one_that_is_stopped_and_continued_goes_on(conf, path, mark):
    with victim(mark), recorder(conf, path, "--every", "1s") as running:
        until(lambda: frames(path)[0])
        running.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # until after the next frame was due
        running.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == exits.OK
        assert "ended by SIGTERM" in running.stderr.read()
    found, _ = frames(path)
    assert found[-1].at - found[0].at > 2


def test_nobody_is_there_at_first_and_then_somebody_comes(conf, path, mark):
    with recorder(conf, path, "--for", "3s") as running:
        until(lambda: frames(path)[0])
        with victim(mark) as late:
            assert running.wait(20) == exits.OK
    found, damage = frames(path)
    assert damage == ""
    assert found[0].processes == ()
    assert len(rmem(late.pid, found)) > 10


@contextlib.contextmanager
def growing_crowd(mark):
    """Starts one at a time that takes 150 bytes of a recording, and cannot be compressed."""
    started = []

    def one_more():
        command = ["/bin/sh", "-c", "read x", f"{mark} {secrets.token_hex(150)}"]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return True

    try:
        yield one_more
    finally:
        for each in started:
            each.kill()
            each.communicate()


def test_a_size_is_never_exceeded(conf, path, mark):
    with recorder(conf, path, "--size", "64k") as running, growing_crowd(mark) as one_more:
        until(lambda: frames(path)[0])
        until(lambda: one_more() and running.poll() is not None, "it is full")
        assert running.returncode == exits.OK
        assert running.stderr.read().endswith("; another frame would make it too large\n")
    found, damage = frames(path)
    assert damage == ""
    assert 32 << 10 < path.stat().st_size <= 64 << 10
    assert len(found[-1].processes) > 10


def test_where_no_more_can_be_written_it_says_so_and_what_it_has_is_good(conf, path, mark):
    # As a disk that is full; the unit is 512 bytes here and 1 KiB there.
    within = ["/bin/sh", "-c", 'ulimit -f 8; exec "$@"', "-"]
    with recorder(conf, path, within=within) as running, growing_crowd(mark) as one_more:
        until(lambda: frames(path)[0])
        until(lambda: one_more() and running.poll() is not None, "it is full")
        assert running.returncode == exits.UNAVAILABLE
        [*_, told] = running.stderr.read().splitlines()
        assert told.startswith(f"fall-from-grace: cannot write on in {path}: File too large; it has ")
    found, damage = frames(path)
    assert found
    assert damage.endswith(BREAKS_OFF)


def test_a_terminal_sees_how_far_it_is_and_then_only_what_came_of_it(conf, path, mark):
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with os.fdopen(ours, "rb", buffering=0) as screen, victim(mark):
        more = {"env": {**os.environ, "TERM": "xterm"}, "stdin": subprocess.DEVNULL}
        with recorder(conf, path, "--for", "2s", stderr=its, **more) as running:
            os.close(its)
            seen = shown(screen)
            assert running.wait(5) == exits.OK
    assert re.search(r"\r\x1b\[Kframes: 1\d of 21, about 1s left, 1 process, \d+", seen)
    assert seen.endswith("its 2s are over\r\n")
    assert "frames: " not in seen.rpartition("\x1b[K")[2]


def shown(screen):
    """All that is written to a terminal until nobody has it any more."""
    written = b""
    with contextlib.suppress(OSError):  # that is how it ends
        while data := screen.read(4096):
            written += data
    return written.decode()


def test_what_is_there_is_refused_in_a_word(conf, path):
    path.write_text("mine")
    with recorder(conf, path) as running:
        assert running.wait(20) == exits.USAGE
        told = f"fall-from-grace: {path} is there already, and is left as it is; write another name, or remove it\n"
        assert running.stderr.read() == told


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize("attempt", [recording.opened, lambda path: record._created(path).__enter__()])
def test_a_directory_of_somebody_else_is_refused_in_a_word(attempt, tmp_path):
    tmp_path.chmod(0o700)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            attempt(tmp_path / "x.rec")
        except exits.NotPermitted as error:
            os._exit(77 if str(error).endswith("x.rec: Permission denied") else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
