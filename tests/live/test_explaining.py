"""`explain` beside a real daemon and real victims."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import uuid

import pytest

from fallfromgrace import exits
from fallfromgrace.commands import explain
from tests.live.conftest import PROGRAM
from tests.victims import state, until, victim


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "state" / "status.json"


@pytest.fixture
def asked(kept):
    """Runs `explain` with a victim's pid: its status, what it printed, what it complained of.

    Others may make processes hang at the same time, of which it complains with every reason.
    """

    def ask(pid, *more):
        command = [sys.executable, str(PROGRAM), "explain", "--state", str(kept), *map(str, more), str(pid)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in ran.stderr
        others = [line for line in ran.stderr.splitlines(keepends=True) if "whoever does so hangs" not in line]
        return ran.returncode, ran.stdout, "".join(others)

    return ask


@pytest.fixture
def rules(asked):
    def ask(pid, *more):
        status, out, _ = asked(pid, "--json", *more)
        assert status == exits.OK
        return json.loads(out), {rule["trigger"]: rule for rule in json.loads(out)["monitors"][0]["rules"]}

    return ask


def configuration(mark, *actions):
    lines = "".join(f"    {line}\n" for line in actions)
    return f"interval: 1s\nvictims:\n  cmdline: {mark}\n  actions:\n{lines}"


def written(kept, *words):
    """Wait for the daemon to have written these."""
    until(lambda: kept.exists() and all(word in kept.read_text() for word in words), f"{words} in {kept}")


def test_what_the_daemon_waits_for_is_told_as_it_remembers_it(program, configured, mark, kept, asked, rules):
    path = configured(
        configuration(
            mark, "rmem > 50m for 5m: term", "rmem > 60m: exec @ 1h true", "rmem > 9g: kill", "age > 2h: term"
        )
    )
    with victim(mark, mib=64) as hog:
        running = program("-c", path, "--state", kept)
        running.says("result=started")
        written(kept, '"pending"', '"used"')
        found, by_trigger = rules(hog.pid)
        status, out, err = asked(hog.pid)
    pending, firing = by_trigger["rmem > 50m for 5m"], by_trigger["rmem > 60m"]
    assert found["config"] == str(path)
    assert found["daemon"]["pid"] == running.process.pid
    assert 0 < pending["for"] < 60
    assert pending["phase"] == "pending"
    assert re.fullmatch(r"fires in (5m|4m\d+s) if it still holds, then: term", pending["next"])
    assert (firing["phase"], firing["due"][0]["action"]) == ("firing", "exec @ 1h true")
    assert 3500 < firing["due"][0]["in"] < 3600
    assert by_trigger["rmem > 9g"]["next"].startswith("nothing, unless rmem rises above 9g (it is ")
    assert re.fullmatch(r"fires in (2h|1h59m), by its age, then: term", by_trigger["age > 2h"]["next"])
    assert (status, err) == (exits.OK, "")
    assert f"as the daemon (pid {running.process.pid}) remembered it" in out
    assert "\x1b" not in out


def test_without_the_daemon_it_is_told_as_one_that_starts_now_would_see_it(configured, mark, asked, kept):
    path = configured(configuration(mark, "rmem > 50m for 5m: term"))
    with victim(mark, mib=64) as hog:
        status, out, err = asked(hog.pid, "-c", path)
        assert hog.ended_by() is None
    assert status == exits.OK
    assert "as a daemon that starts now would see it" in out
    assert f"there is no {kept}" in err
    assert "next: fires in 5m if it still holds, then: term" in out


def test_who_is_stopped_by_a_rule_is_said_to_be(program, configured, mark, kept, rules):
    path = configured(configuration(mark, "rmem > 50m: stop @ 10m"))
    with victim(mark, mib=64) as hog:
        program("-c", path, "--state", kept)
        until(lambda: state(hog.pid) == "T")
        written(kept, '"stopped_by"', '"since":null')
        found, by_trigger = rules(hog.pid)
        assert found["process"]["stopped"]
        assert by_trigger["rmem > 50m"]["next"] == (
            "it is stopped: stop @ 10m is due when it has been continued and has run for 10m"
        )
        os.kill(hog.pid, signal.SIGCONT)
        until(lambda: "is due in 9m" in rules(hog.pid)[1]["rmem > 50m"]["next"], "its time is counted")


def test_rates_are_of_the_last_second(configured, mark, rules):
    path = configured(configuration(mark, "cpu > 50%: term", "write > 1g/s: term"))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass", mark])
    try:
        found, by_trigger = rules(busy.pid, "-c", path)
        assert found["notes"] == ["cpu, read and write are over the last second here, and over 1s for the daemon"]
        assert by_trigger["cpu > 50%"]["measures"][0]["share"] > 0.1
        assert by_trigger["write > 1g/s"]["holds"] is False
    finally:
        busy.kill()
        busy.wait()


def test_a_process_that_ends_while_it_is_explained_is_said_to_have(configured, mark, kept, monkeypatch, capsys):
    path = configured(configuration(mark, "cpu > 50%: term", "rmem > 9g: kill"))
    handler = signal.getsignal(signal.SIGALRM)
    with victim(mark) as hog:

        def end(_):
            hog.process.kill()
            hog.process.wait()

        monkeypatch.setattr(explain, "_wait", end)
        try:
            status = explain.run(explain.Options(path, str(kept), hog.pid))
        finally:
            signal.signal(signal.SIGALRM, handler)
        pid = hog.pid
    out, err = capsys.readouterr()
    assert status == exits.NO
    assert err.splitlines()[-1] == f"process {pid} has ended while it was being explained"
    assert out.startswith(f"{pid} of ")
    assert "Traceback" not in err


def test_of_a_zombie_and_of_nobody_it_says_so(asked):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        status, out, err = asked(ended.pid)
        assert (status, out) == (exits.NO, "")
        assert "waits for its parent" in err
    assert asked(ended.pid) == (exits.NO, "", f"there is no process {ended.pid}\n")


def test_a_process_that_no_monitor_is_about_is_told_why(configured, mark, asked):
    path = configured(configuration(f"no-{mark}", "rmem > 1g: term"))
    with victim(mark) as hog:
        status, out, _ = asked(hog.pid, "-c", path)
    assert status == exits.NO
    assert f"  victims: its cmdline does not match no-{mark}" in out.splitlines()


@pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux")
def test_on_a_terminal_it_is_as_wide_as_that_and_in_colours(configured, mark, kept, tmp_path):
    path = configured(configuration(mark, "rmem > 10m: log some words that are so many that they need two lines"))
    server, done = f"explain-{uuid.uuid4().hex}", tmp_path / "done"
    tmux = ["tmux", "-L", server, "-f", "/dev/null"]

    def shown(*options):
        return subprocess.run(
            [*tmux, "capture-pane", "-p", *options], capture_output=True, text=True, check=True
        ).stdout

    with victim(mark, mib=20) as hog:
        words = [sys.executable, PROGRAM, "explain", "--state", kept, "-c", path, hog.pid]
        script = f"{shlex.join(map(str, words))}; touch {done}; sleep 60"
        size = ["-x", "60", "-y", "60"]
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        subprocess.run([*tmux, "new-session", "-d", *size, script], check=True, env=environment)
        try:
            until(done.exists, "it is explained")
            until(lambda: "next:" in shown(), "it is shown")
            plain, coloured = shown(), shown("-e")
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
    lines = [line.rstrip() for line in plain.splitlines()]
    at = lines.index("  rmem > 10m: log some words that are so many that they need")
    assert lines[at + 1] == "    two lines"
    assert "      firing for 0s" in lines
    assert any(line.startswith("      next: due now: log") for line in lines)
    assert "\x1b[31m      firing for 0s" in coloured
