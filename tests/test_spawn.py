import errno
import os
import signal
import time
from pathlib import Path
from unittest import mock

import pytest

from fallfromgrace import spawn
from fallfromgrace.logs import WARNING
from fallfromgrace.spawn import Command, QueueFull, Spawner
from tests.builders import Lines
from tests.conftest import AWAITED
from tests.victims import until

pytestmark = pytest.mark.usefixtures("awaited_signals")


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def spawner(log):
    made = Spawner(log)
    yield made
    for running in made._running:
        os.killpg(running.pid, signal.SIGKILL)
    made._queue.clear()
    settle(made)
    for pipe in made._pipes:
        if pipe.open:
            os.close(pipe.descriptor)


def command(text, **environment):
    return Command(text, {"PATH": os.defpath, **environment}, "label")


def settle(spawner, now=0.0):
    """Tend until nothing runs or waits any more, with the clock standing still."""

    def done():
        spawner.tend(now)
        return not spawner.busy

    until(done)


def output(log):
    return [text.removeprefix("label output=").strip('"') for _, text in log if "output=" in text]


def test_a_command_is_started_without_being_waited_for_and_its_output_is_logged(spawner, log):
    began = time.monotonic()
    assert spawner.start(command("sleep 0.2; echo $WHO is; echo hungry >&2", WHO="he"), 0.0)
    assert time.monotonic() - began < 0.2
    assert spawner.busy == 1
    settle(spawner)
    assert output(log) == ["he is", "hungry"]
    assert "status=0" in log.text()


def test_a_status_other_than_zero_is_a_warning(spawner, log):
    spawner.start(command("exit 3"), 0.0)
    settle(spawner)
    assert [(priority, "status=3" in text) for priority, text in log] == [(WARNING, True)]


def test_values_in_the_environment_are_never_parsed_by_the_shell(spawner, log, tmp_path):
    evil = f"\"; touch {tmp_path}/pwned; $(touch {tmp_path}/pwned) `touch {tmp_path}/pwned` '"
    spawner.start(command('printf "%s" "$CMDLINE" > ' + str(tmp_path / "said"), CMDLINE=evil), 0.0)
    settle(spawner)
    assert (tmp_path / "said").read_text() == evil
    assert os.listdir(tmp_path) == ["said"]


# Signals 32 and 33 belong to the C library, which lets nobody change them.
OURS_TO_SET = ~(3 << 31)


def test_a_command_finds_a_clean_place(spawner, log):
    """Own session, nothing blocked or ignored, none of our descriptors."""
    ours = os.open("/dev/null", os.O_RDONLY)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
    try:
        look = "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2; readlink /proc/self/fd/0; ps -o sid= -p $$; echo $$"
        spawner.start(command(f"{look}; ls /proc/$$/fd"), 0.0)
        settle(spawner)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM})
        os.close(ours)
    blocked, ignored, stdin, session, pid, *descriptors = (line.strip() for line in output(log))
    assert (int(blocked, 16) & OURS_TO_SET, int(ignored, 16) & OURS_TO_SET) == (0, 0)
    assert (stdin, session) == ("/dev/null", pid)
    assert str(ours) not in descriptors


def test_a_command_is_not_spared_by_the_out_of_memory_killer_as_we_are(spawner, log):
    """Few may lower their adjustment; ours is made larger, and what it is then is made up."""
    ours = Path("/proc/self/oom_score_adj")
    before = ours.read_text()
    ours.write_text("500")
    try:
        spawner.start(command("cat /proc/self/oom_score_adj"), 0.0)
        with mock.patch.object(spawn, "_spared", return_value=True):
            spawner.start(command('cat /proc/self/oom_score_adj; echo "$0 $# ok"'), 0.0)
        settle(spawner)
    finally:
        ours.write_text(before)
    assert sorted(output(log)) == ["/bin/sh 0 ok", "0", "500"]


def test_a_flood_is_drained_without_end_and_logged_in_part(spawner, log):
    spawner.start(command("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"), 0.0)
    settle(spawner)
    assert "status=0" in log.text()
    assert sum(map(len, output(log))) <= spawn.LONGEST_OUTPUT


def test_many_lines_are_logged_in_part(spawner, log):
    spawner.start(command("seq 1000"), 0.0)
    settle(spawner)
    assert output(log) == [str(n) for n in range(1, spawn.MOST_LINES + 1)]


def test_a_command_ends_with_its_shell_and_what_it_left_running_keeps_its_pipe(spawner, log, tmp_path):
    done = tmp_path / "done"
    spawner.start(command(f"(sleep 0.3; echo late; echo $? > {done}) & echo early"), 0.0)
    settle(spawner)
    assert not done.exists()
    until(lambda: (spawner.tend(0.0), done.exists())[1])
    until(lambda: done.read_text() == "0\n")
    until(lambda: (spawner.tend(0.0), not spawner._pipes)[1])


def test_a_command_that_runs_too_long_gets_term_and_then_kill_with_all_its_group(spawner, log, tmp_path):
    spawner.start(command(f"trap '' TERM; touch {tmp_path}/deaf; sleep 60 & sleep 60; sleep 60"), 0.0)
    [group] = spawner.groups
    until((tmp_path / "deaf").exists)
    assert spawner.next_wake == spawn.TIMEOUT_SECONDS
    spawner.tend(spawn.TIMEOUT_SECONDS - 0.1)
    assert "SIGTERM" not in log.text()
    spawner.tend(spawn.TIMEOUT_SECONDS)
    assert "SIGTERM" in log.text()
    assert spawner.next_wake == spawn.TIMEOUT_SECONDS + spawn.KILL_SECONDS
    spawner.tend(spawner.next_wake)
    assert "SIGKILL" in log.text()
    settle(spawner, spawn.TIMEOUT_SECONDS + spawn.KILL_SECONDS)
    assert "status=-9" in log.text()
    until(lambda: not _in_group(group))


def _in_group(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_at_most_sixteen_run_at_a_time_and_the_longest_waiting_is_next(spawner, log):
    started = [spawner.start(command(f"read x < /dev/null; sleep 0.05; echo {n}"), 0.0) for n in range(20)]
    assert started == [True] * spawn.MOST_RUNNING + [False] * 4
    assert (len(spawner.groups), spawner.busy) == (spawn.MOST_RUNNING, 20)
    settle(spawner)
    assert sorted(map(int, output(log))) == list(range(20))
    assert spawner.groups == frozenset()


def test_a_full_queue_says_so(spawner):
    for _ in range(spawn.MOST_RUNNING):
        spawner.start(command("sleep 60"), 0.0)
    for _ in range(spawn.MOST_QUEUED):
        spawner.start(command("true"), 0.0)
    with pytest.raises(QueueFull, match="256 commands are waiting already"):
        spawner.start(command("true"), 0.0)


FULL = OSError(errno.EAGAIN, "Resource temporarily unavailable")


def test_what_cannot_be_started_leaves_nothing_behind(spawner):
    before = os.listdir("/proc/self/fd")
    with mock.patch("os.posix_spawn", side_effect=FULL), pytest.raises(OSError, match="temporarily unavailable"):
        spawner.start(command("true"), 0.0)
    assert os.listdir("/proc/self/fd") == before
    assert not spawner.busy


def test_what_waits_is_tried_again_when_it_cannot_be_started(spawner, log):
    for _ in range(spawn.MOST_RUNNING + 1):
        spawner.start(command("true"), 0.0)
    with mock.patch("os.posix_spawn", side_effect=FULL):
        until(lambda: (spawner.tend(0.0), spawner.busy == 1)[1])
    assert "temporarily unavailable" in log.text()
    settle(spawner)
    assert log.text().count("status=0") == spawn.MOST_RUNNING + 1


def test_output_and_end_wake_who_waits_for_signals(spawner):
    spawner.start(command("echo x; sleep 0.1"), 0.0)
    heard = set()
    until(lambda: (heard.update(i.si_signo for i in [signal.sigtimedwait(AWAITED, 1)] if i), heard == AWAITED)[1])
