import contextlib
import errno
import math
import os
import signal
import time
from pathlib import Path

import mock
import pytest

from fallfromgrace import spawn
from fallfromgrace.logs import WARNING
from fallfromgrace.records import replace
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


def command(text, owner="m", **environment):
    return Command(text, owner, {"PATH": os.defpath, **environment}, "label")


def words(*argv, **other):
    """A command that no shell parses."""
    return replace(command(""), argv=argv, **other)


def settle(spawner, now=0.0):
    """Tend until nothing runs or waits any more, with the clock standing still."""

    def done():
        spawner.tend(now)
        return not spawner.busy

    until(done)


def output(log):
    return [text.removeprefix("label output=").strip('"') for _, text in log if "output=" in text]


@pytest.mark.alone
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
        masks = "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2"
        session = "cut -d' ' -f6 /proc/$$/stat; echo $$"
        spawner.start(command(f"{masks}; readlink /proc/self/fd/0; {session}; ls /proc/$$/fd"), 0.0)
        settle(spawner)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM})
        os.close(ours)
    blocked, ignored, stdin, session, pid, *descriptors = (line.strip() for line in output(log))
    assert (int(blocked, 16) & OURS_TO_SET, int(ignored, 16) & OURS_TO_SET) == (0, 0)
    assert (stdin, session) == ("/dev/null", pid)
    assert str(ours) not in descriptors


def test_what_is_no_shell_finds_nothing_blocked_or_ignored_either(spawner, log):
    """A shell undoes some of it by itself."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGUSR1)}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
    try:
        spawner.start(words("/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"), 0.0)
        settle(spawner)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2, signal.SIGTERM})
        for number, handler in handlers.items():
            signal.signal(number, handler)
    masks = [int(line.replace("\\t", " ").split()[-1], 16) & OURS_TO_SET for line in output(log)]
    assert masks == [0, 0]


OURS = Path("/proc/self/oom_score_adj")


@contextlib.contextmanager
def our_oom_score(score):
    """Ours for the length of a `with` block: raising it is allowed, lowering it again as far as it was, too."""
    before = OURS.read_text()
    OURS.write_text(str(score))
    try:
        yield
    finally:
        OURS.write_text(before)


def spared(score=-900):
    """As if we were spared: few may lower their own score."""
    return mock.patch.object(spawn, "_our_oom_score", return_value=score)


@pytest.mark.parametrize(("wanted", "score"), [(0, "0"), (200, "200"), (-500, "0")])
def test_a_command_is_not_spared_by_the_out_of_memory_killer_as_we_are(log, wanted, score):
    spawner = Spawner(log, wanted)
    with our_oom_score(500), spared():
        spawner.start(command('cat /proc/self/oom_score_adj; echo "$0 $# ok"'), 0.0)
        spawner.start(words("/bin/cat", "/proc/self/oom_score_adj"), 0.0)
        settle(spawner)
    assert sorted(output(log)) == sorted([score, score, "/bin/sh 0 ok"])


def test_a_command_is_not_spared_more_than_we_are_who_are_not(log):
    spawner = Spawner(log, 200)
    with our_oom_score(500):
        spawner.start(command("cat /proc/self/oom_score_adj"), 0.0)
        settle(spawner)
    assert output(log) == ["500"]


EVIL = ("-n", "$(id)", "`id`", "a  b", "*", "", "\udcff")


@pytest.mark.parametrize("ours", [0, -900])
def test_words_are_run_as_they_are(spawner, log, ours):
    with spared(ours):
        spawner.start(words("/usr/bin/printf", "[%s]", *EVIL), 0.0)
    settle(spawner)
    assert output(log) == ["[-n][$(id)][`id`][a  b][*][][\\xff]"]


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


TIMEOUT, KILL = spawn.TIMEOUT_SECONDS, spawn.KILL_SECONDS


def test_a_command_that_runs_too_long_gets_term_and_then_kill_with_all_its_group(spawner, log, tmp_path):
    spawner.start(command(f"trap '' TERM; touch {tmp_path}/deaf; sleep 60 & sleep 60; sleep 60"), 0.0)
    [group] = spawner.groups
    until((tmp_path / "deaf").exists)
    assert spawner.next_wake == TIMEOUT
    spawner.tend(TIMEOUT - 0.1)
    assert "SIGTERM" not in log.text()
    spawner.tend(TIMEOUT)
    assert "sent=SIGTERM result=sent" in log.text()
    assert spawner.next_wake == TIMEOUT + KILL
    spawner.tend(TIMEOUT + KILL)
    assert "sent=SIGKILL result=sent" in log.text()
    assert spawner.next_wake == math.inf
    settle(spawner, TIMEOUT + KILL)
    assert "status=-9" in log.text()
    until(lambda: not _in_group(group))


def test_what_is_deaf_in_the_group_of_a_command_that_heeded_term_is_killed(spawner, log, tmp_path):
    spawner.start(command(f"(trap '' TERM; touch {tmp_path}/deaf; exec sleep 60) & wait"), 0.0)
    [group] = spawner.groups
    until((tmp_path / "deaf").exists)
    spawner.tend(TIMEOUT)
    settle(spawner, TIMEOUT)
    assert "status=-15" in log.text()
    until(lambda: not _in_group(group))


def test_a_command_that_became_another_users_is_told_and_not_fatal(spawner, log):
    spawner.start(command("sleep 60"), 0.0)
    with mock.patch("os.killpg", side_effect=PermissionError(errno.EPERM, "Operation not permitted")):
        spawner.tend(TIMEOUT)
    assert 'sent=SIGTERM result="Operation not permitted"' in log.text()


def _in_group(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_at_most_sixteen_run_at_a_time_and_the_longest_waiting_is_next(spawner, log):
    commands = [command(f"sleep 60 # {n}", owner=f"m{n // 4}") for n in range(16)]
    assert [spawner.start(each, 0.0) for each in commands] == [True] * spawn.MOST_RUNNING
    assert [spawner.start(command(f"echo {n}", owner="late"), 0.0) for n in range(3)] == [False] * 3
    assert (len(spawner.groups), spawner.busy) == (spawn.MOST_RUNNING, 19)
    os.killpg(min(spawner.groups), signal.SIGKILL)  # room for one at a time
    until(lambda: (spawner.tend(0.0), len(output(log)) == 3)[1])
    assert output(log) == ["0", "1", "2"]


def test_every_command_is_reaped_however_it_ends(spawner):
    pids = set()
    for n, text in enumerate(["true", "exit 3", "kill -9 $$", "sleep 60 &", "exec no-such-program"] * 3):
        spawner.start(command(text, owner=str(n)), 0.0)
        pids |= spawner.groups
    settle(spawner)
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what is left in the background
    assert len(pids) == 15


def test_hanging_commands_of_one_monitor_leave_room_for_those_of_others(spawner):
    assert [spawner.start(command("sleep 60", owner="hangs"), 0.0) for _ in range(9)] == [True] * 4 + [False] * 5
    assert spawner.start(command("echo x", owner="other"), 0.0)


def test_a_full_share_of_one_monitor_does_not_stand_before_what_others_wait_for(spawner, log):
    for n in range(spawn.MOST_RUNNING):
        spawner.start(command("sleep 60", owner=f"m{n // 4}"), 0.0)
    spawner.start(command("echo first", owner="m1"), 0.0)
    spawner.start(command("echo second", owner="other"), 0.0)
    os.killpg(min(spawner.groups), signal.SIGKILL)  # of m0
    until(lambda: (spawner.tend(0.0), output(log))[1])
    assert output(log) == ["second"]


@pytest.fixture
def one_waits(spawner):
    """A monitor's share runs, and one command more waits."""
    for _ in range(spawn.MOST_RUNNING_EACH + 1):
        spawner.start(command("sleep 60"), 0.0)


@pytest.mark.usefixtures("one_waits")
def test_what_has_waited_too_long_is_dropped_and_told(spawner, log, monkeypatch):
    monkeypatch.setattr(spawn, "MOST_WAITING_SECONDS", 10.0)
    spawner.tend(10.0)
    assert spawner.busy == spawn.MOST_RUNNING_EACH + 1
    spawner.tend(10.1)
    assert spawner.busy == spawn.MOST_RUNNING_EACH
    assert 'label result=failed detail="it has waited for 10 s"' in log.text()


@pytest.mark.usefixtures("one_waits")
def test_what_waits_for_a_monitor_that_is_gone_is_dropped_and_told(spawner, log):
    spawner.keep({"m", "other"})
    assert spawner.busy == spawn.MOST_RUNNING_EACH + 1
    spawner.keep({"other"})
    assert spawner.busy == spawn.MOST_RUNNING_EACH
    assert 'label result=failed detail="its monitor is gone"' in log.text()


def test_too_many_pipes_that_commands_left_open_are_closed_the_oldest_first(spawner, monkeypatch):
    monkeypatch.setattr(spawn, "MOST_LEFT", 2)
    for n in range(4):
        spawner.start(command("sleep 60 &", owner=str(n)), 0.0)
    groups = spawner.groups
    oldest = spawner._pipes[:2]
    settle(spawner)
    spawner.tend(0.0)
    assert [pipe.open for pipe in oldest] == [False, False]
    assert len(spawner._pipes) == 2
    for group in groups:
        os.killpg(group, signal.SIGKILL)  # the sleep that is left, of a group that we made


def test_who_came_later_does_not_overtake_what_waits(spawner):
    for _ in range(spawn.MOST_RUNNING_EACH + 1):
        spawner.start(command("sleep 60"), 0.0)
    os.killpg(min(spawner.groups), signal.SIGKILL)
    with mock.patch("os.posix_spawn", side_effect=FULL):
        until(lambda: (spawner.tend(0.0), len(spawner.groups) < spawn.MOST_RUNNING_EACH)[1])
    assert not spawner.start(command("true"), 0.0)


def test_a_full_queue_says_so_and_is_one_monitors_alone(spawner):
    for _ in range(spawn.MOST_RUNNING_EACH):
        spawner.start(command("sleep 60"), 0.0)
    for _ in range(spawn.MOST_QUEUED_EACH):
        spawner.start(command("true"), 0.0)
    with pytest.raises(QueueFull, match="64 commands of this monitor are waiting already"):
        spawner.start(command("true"), 0.0)
    assert spawner.start(command("true", owner="other"), 0.0)
    assert spawner.leftovers == ", 5 commands left running, 64 commands never started"


def test_nothing_left_over_is_not_told(spawner):
    assert spawner.leftovers == ""


FULL = OSError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.parametrize(
    ("error", "told"), [(FULL, "temporarily unavailable"), (ValueError("embedded null byte"), "embedded null byte")]
)
def test_what_cannot_be_started_leaves_nothing_behind(spawner, error, told):
    before = os.listdir("/proc/self/fd")
    with mock.patch("os.posix_spawn", side_effect=error), pytest.raises(OSError, match=told):
        spawner.start(command("true"), 0.0)
    assert os.listdir("/proc/self/fd") == before
    assert not spawner.busy


def test_what_waits_is_tried_again_when_it_cannot_be_started(spawner, log):
    for _ in range(spawn.MOST_RUNNING_EACH + 1):
        spawner.start(command("true"), 0.0)
    with mock.patch("os.posix_spawn", side_effect=FULL):
        until(lambda: (spawner.tend(0.0), spawner.busy == 1)[1])
        spawner.tend(0.0)
    assert log.text().count("temporarily unavailable") == 1
    settle(spawner)
    assert log.text().count("status=0") == spawn.MOST_RUNNING_EACH + 1


def test_what_can_never_be_started_is_dropped_and_told_and_the_next_is_started(spawner, log):
    for text in ["true"] * spawn.MOST_RUNNING_EACH + ["x" * 200_000, "echo next"]:
        spawner.start(command(text), 0.0)
    settle(spawner)
    assert 'result=failed detail="Argument list too long"' in log.text()
    assert output(log) == ["next"]


def test_values_that_the_locale_has_no_word_for_are_passed_on_as_utf_8(spawner, log):
    spawner.start(command('printf %s "$V" | od -An -tx1', V="\udcff fen\u00eatre \u2026"), 0.0)
    settle(spawner)
    assert output(log)[0].split() == [
        "ff",
        "20",
        "66",
        "65",
        "6e",
        "c3",
        "aa",
        "74",
        "72",
        "65",
        "20",
        "e2",
        "80",
        "a6",
    ]


def test_output_and_end_wake_who_waits_for_signals(spawner):
    spawner.start(command("echo x; sleep 0.1"), 0.0)
    heard = set()
    until(lambda: (heard.update(i.si_signo for i in [signal.sigtimedwait(AWAITED, 1)] if i), heard == AWAITED)[1])


# --- who asked is told ---


@pytest.fixture
def told():
    return []


def asks(text, told, **other):
    return replace(command(text), ended=told.append, **other)


def test_who_asked_is_told_the_status_instead_of_the_log(spawner, log, told):
    spawner.start(asks("echo why; exit 3", told), 0.0)
    spawner.tend(0.0)
    settle(spawner)
    assert told == [3]
    assert log.text() == "label output=why"


def test_a_command_may_have_a_time_limit_of_its_own(spawner, log, told):
    spawner.start(asks("exec sleep 60", told, timeout=3.0), 0.0)
    assert spawner.next_wake == 3.0
    settle(spawner, 3.0)
    assert told == [-signal.SIGTERM]
    assert "sent=SIGTERM" in log.text()


@pytest.mark.usefixtures("one_waits")
@pytest.mark.parametrize(
    "drop",
    [lambda spawner: spawner.tend(spawn.MOST_WAITING_SECONDS + 0.1), lambda spawner: spawner.keep({"other"})],
    ids=["late", "monitor gone"],
)
def test_who_asked_is_told_that_a_command_was_dropped(spawner, log, told, drop):
    spawner.start(asks("true", told), 0.0)
    drop(spawner)
    assert told == [None]
    assert "label result=failed" in log.text()


def test_who_asked_is_told_that_a_command_can_never_be_started(spawner, told):
    for text in ["true"] * spawn.MOST_RUNNING_EACH + ["x" * 200_000]:
        spawner.start(asks(text, told), 0.0)
    settle(spawner)
    assert sorted(told, key=str) == [0] * spawn.MOST_RUNNING_EACH + [None]


def test_what_cannot_be_started_at_once_is_raised_and_not_told(spawner, told):
    with mock.patch("os.posix_spawn", side_effect=FULL), pytest.raises(OSError, match="temporarily"):
        spawner.start(asks("true", told), 0.0)
    settle(spawner)
    assert not told


def test_who_is_told_may_start_the_next(spawner, log):
    first = replace(command("true"), ended=lambda _: spawner.start(command("echo next"), 0.0))
    spawner.start(first, 0.0)
    settle(spawner)
    assert output(log) == ["next"]


def test_a_fault_of_who_is_told_leaves_the_others_for_the_next_time(spawner, told):
    def fails(status):
        raise ValueError(status)

    spawner.start(replace(command("true"), ended=fails), 0.0)
    spawner.start(asks("true", told), 0.0)
    until(lambda: all(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) for pid in spawner.groups))
    with pytest.raises(ValueError, match="0"):
        spawner.tend(0.0)
    assert (told, spawner.busy) == ([], 0)
    spawner.tend(0.0)
    assert told == [0]


def test_a_share_may_be_of_several_monitors_and_smaller(spawner):
    mine = [replace(command("exec sleep 60", owner=f"m{n}"), share="s", most=2) for n in range(4)]
    assert [spawner.start(each, 0.0) for each in mine] == [True, True, False, False]
    assert spawner.start(command("exec sleep 60", owner="m3"), 0.0)  # has all of its own
    os.killpg(min(spawner.groups), signal.SIGKILL)
    until(lambda: (spawner.tend(0.0), spawner.busy == 4)[1])
    assert len(spawner.groups) == 3


def test_what_waits_in_a_share_of_its_own_goes_with_its_monitor(spawner, told):
    for owner in ("m1", "m1", "m2"):
        spawner.start(asks("exec sleep 60", told, owner=owner, share="s", most=1), 0.0)
    spawner.keep({"m1"})
    assert (spawner.busy, told) == (2, [None])


def test_an_end_that_cannot_be_told_at_once_is_taken_note_of_once_and_told_later():
    log, ended = Lines(), []
    spawner = Spawner(log)
    spawner.start(Command("exit 3", "m", {"PATH": os.defpath}, "l"), 0.0)
    spawner.start(Command("exit 4", "m", {"PATH": os.defpath}, "l", ended=ended.append), 0.0)
    write, log.write = log.write, lambda *_: (_ for _ in ()).throw(MemoryError)

    def fails():
        try:
            spawner.tend(1.0)
        except MemoryError:
            return True
        return False

    until(fails, "its end is noticed")
    log.write = write
    until(lambda: spawner.tend(2.0) or spawner.idle, "nothing is left")
    assert log.text().count("status=3") == 1
    assert ended == [4]
    assert not spawner.groups
