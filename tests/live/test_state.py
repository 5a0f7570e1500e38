"""What a daemon leaves for the one after it, with real daemons that are ended in every way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fallfromgrace.exits import PROGRAM as NAME
from tests.live.conftest import PROGRAM
from tests.victims import state, until, victim


def rules(mark, *actions):
    lines = "\n".join(f"    {line}" for line in actions)
    return f"interval: 1s\nvictims:\n  cmdline: {mark}\n  actions:\n{lines}\n"


@pytest.fixture
def kept(tmp_path):
    return tmp_path / NAME / "status.json"


def killed(running):
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()


def ended(running):
    assert running.end() == 0


def says_what_it_took_up(running):
    return running.says("took up the state of pid")


@pytest.mark.parametrize("end", [killed, ended])
def test_a_limit_outlives_the_daemon_however_that_ends(end, program, configured, mark, kept, tmp_path):
    ran = tmp_path / "ran"
    path = configured(rules(mark, f"rmem > 60m: exec @ 1h echo $PID >> {ran}"))
    with victim(mark, mib=64):
        first = program("-c", path, "--state", kept)
        until(ran.exists)
        until(lambda: kept.exists() and '"used"' in kept.read_text(), "the limit is written")
        for _ in range(2):
            end(first)
            first = program("-c", path, "--state", kept)
            line = says_what_it_took_up(first)
            assert "1 armed timer, 0 processes stopped by rules" in line
            time.sleep(1.2)  # an interval, in which nothing is to happen
    assert len(ran.read_text().splitlines()) == 1
    assert not first.said("result=started")


def test_who_was_stopped_is_known_after_a_kill_and_has_its_time_from_when_it_goes_on(program, configured, mark, kept):
    path = configured(rules(mark, "rmem > 60m: stop @ 3s"))
    with victim(mark, mib=64) as hog:
        first = program("-c", path, "--state", kept)
        until(lambda: state(hog.pid) == "T")
        until(lambda: kept.exists() and json.loads(kept.read_text())["memory"]["clocks"], "the stop is written")
        killed(first)
        second = program("-c", path, "--state", kept)
        assert "0 armed timers" not in (line := says_what_it_took_up(second))
        assert "1 process stopped by rules" in line
        time.sleep(1.2)  # it is seen stopped
        went_on = time.monotonic()
        os.kill(hog.pid, signal.SIGCONT)
        second.says('action="stop @ 3s"', "result=sent")
        assert time.monotonic() - went_on >= 2.9
        until(lambda: state(hog.pid) == "T")
        killed(second)
        path = configured(rules(mark, "rmem > 9g: term"))
        third = program("-c", path, "--state", kept)
        third.says("still stopped by a rule that is gone", str(hog.pid))


def test_a_second_daemon_does_without_and_says_who_has_the_file(program, configured, mark, kept):
    path = configured(rules(mark, "rmem > 9g: term"))
    first = program("-c", path, "--state", kept)
    second = program("-c", path, "--state", kept)
    line = second.says("another daemon")
    assert f"another daemon (pid {first.process.pid}) keeps its state in {kept}" in line
    assert second.end() == 0
    until(kept.exists)
    assert json.loads(kept.read_text())["pid"] == first.process.pid


@pytest.mark.parametrize("spoiled", ["", "{", '{"format":1}', "[" * 100_000, "\0" * 100])
def test_what_is_no_state_keeps_nobody_from_starting(spoiled, program, configured, mark, kept):
    kept.parent.mkdir(0o755)
    kept.write_text(spoiled)
    kept.chmod(0o640)
    running = program("-c", configured(rules(mark, "rmem > 9g: term")), "--state", kept)
    running.says(f"{kept} is no state to go on from", f"{kept}.bad now")
    until(kept.exists)
    assert json.loads(kept.read_text())["pid"] == running.process.pid
    assert not running.said("please report")


def test_a_state_that_cannot_be_written_is_told_once_and_written_when_it_can(program, configured, mark, kept):
    kept.parent.mkdir(0o755)
    running = program("-c", configured(rules(mark, "rmem > 9g: term")), "--state", kept)
    until(kept.exists)
    kept.parent.chmod(0o777)
    running.says(f"cannot write {kept}", "others may write to the directory")
    kept.parent.chmod(0o755)
    running.says(f"{kept} is written again")
    assert len(running.said("cannot write")) == 1


def test_a_dry_run_neither_reads_nor_writes_it(program, configured, mark, kept, tmp_path):
    path = configured(rules(mark, "rmem > 60m: exec @ 1h true"))
    with victim(mark, mib=64):
        running = program("-n", "-c", path, "--state", kept)
        running.says("result=dry-run")
        assert running.end() == 0
    assert not kept.parent.exists()


def test_a_running_daemon_writes_it_at_each_interval(program, configured, mark, kept):
    running = program("-c", configured(rules(mark, "rmem > 9g: term")), "--state", kept)
    until(kept.exists)
    first = json.loads(kept.read_text())["written"]["monotonic"]
    until(lambda: json.loads(kept.read_text())["written"]["monotonic"] > first + 2)
    assert running.end() == 0
    assert os.listdir(kept.parent) == ["status.json"]


# A mount namespace in which /run is our own.
WITHIN = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && "$@"; ls -l /run /run/fall-from-grace', "sh"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, for a /run of our own")
def test_roots_state_is_in_run_if_nothing_else_is_asked_for(configured, mark):
    path = configured(rules(mark, "rmem > 9g: term"))
    command = [*WITHIN, "timeout", "--preserve-status", "-s", "TERM", "1.5", sys.executable, str(PROGRAM), "-c", path]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    if "mount" in ran.stderr:
        pytest.skip(ran.stderr)
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line.startswith("drwxr-xr-x") and line.endswith(" fall-from-grace")]
    assert [line for line in lines if line.startswith("-rw-r-----") and line.endswith(" status.json")]
