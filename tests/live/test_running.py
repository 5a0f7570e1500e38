"""Starting, reloading and ending the real program."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.live.conftest import NO_STATE, PROGRAM
from tests.victims import until, victim


def run(*arguments, **keywords):
    return subprocess.run(
        [sys.executable, str(PROGRAM), *NO_STATE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        **keywords,
    )


def rule(mark, *lines, interval="1s"):
    rules = "".join(f"    {line}\n" for line in lines)
    return f"interval: {interval}\nvictims:\n  cmdline: ' {mark} '\n  actions:\n{rules}"


BAD = """\
one:
  cmdline: (
  childern: 1
  actions:
    rmem > 10s: term
    rmem > 1g: tern
one:
  actions: {}
"""


def test_a_bad_configuration_at_start_is_told_whole_and_nothing_is_acted_upon(configured):
    path = configured(BAD)
    for how in ([], ["-d", "-p", path.with_suffix(".pid")], ["-t"], ["--dry-run"]):
        ran = run("-c", path, *how)
        assert ran.returncode == 78
        for place in (f"{path}:{line}:" for line in (2, 3, 5, 6, 7, 8)):
            assert place in ran.stderr
        assert "did you mean 'children'?" in ran.stderr
        assert "^" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert not path.with_suffix(".pid").exists()


def test_no_configuration_at_all_is_told(tmp_path):
    ran = run("-c", tmp_path / "none.conf")
    assert (ran.returncode, "none.conf" in ran.stderr) == (78, True)


def test_checking_a_good_configuration_is_silent(configured, mark):
    ran = run("-t", "-c", configured(rule(mark, "rmem > 1g: term")))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_term_ends_it_within_a_second_also_while_commands_run(program, configured, mark):
    with victim(mark, mib=64):
        running = program("-c", configured(rule(mark, "rmem > 60m: exec sleep 2", interval="1h")))
        running.says("result=started")
        began = time.monotonic()
        running.process.terminate()
        assert running.process.wait(5) == 0
        assert time.monotonic() - began < 1
        running.says("ended, 1 command left running")


def test_a_hup_after_editing_takes_up_the_new_rules_and_keeps_used_limits(program, configured, mark):
    with victim(mark, mib=64) as hog:
        running = program("-c", configured(rule(mark, "rmem > 50m: exec @ 1h echo warned", interval="1h")))
        running.says("output=warned")
        configured(rule(mark, "rmem > 55m: exec @ 1h echo warned", "vmem > 60m: term", interval="1h"))
        running.hup()
        running.says("configuration reloaded: 1 monitor, 2 rules; +2 rules, -1, 0 changed, 1 armed timers kept")
        until(lambda: hog.ended_by() == signal.SIGTERM)
        assert len(running.said("output=warned")) == 1


def test_a_hup_with_a_bad_file_leaves_the_old_rules_in_force(program, configured, mark):
    path = configured(rule(mark, "rmem > 60m: term"))
    running = program("-c", path)
    configured(BAD)
    running.hup()
    running.says("configuration not reloaded, the old one stays in force: ")
    running.says(f"{path}:2:")
    with victim(mark, mib=64) as hog:
        until(lambda: hog.ended_by() == signal.SIGTERM)


def test_many_hups_at_once_do_not_disturb_it(program, configured, mark):
    running = program("-c", configured(rule(mark, "rmem > 60m: term")))
    for _ in range(2000):
        running.hup()
    with victim(mark, mib=64) as hog:
        until(lambda: hog.ended_by() == signal.SIGTERM)
    running.says("configuration reloaded")
    assert len(running.said("configuration reloaded")) <= 10
    assert running.end() == 0


def test_commands_inherit_nothing_of_ours(program, configured, mark, tmp_path):
    """Three descriptors, own session, `/` and umask 022; nothing blocked or ignored that we block."""
    told = tmp_path / "told"
    look = "ls /proc/$$/fd; pwd; umask; cut -d' ' -f6 /proc/$$/stat; echo $$; grep SigBlk /proc/$$/status"
    command = f"exec ({look}) > {told}.new; mv {told}.new {told}"
    with victim(mark, mib=64), open(os.devnull) as given:
        program("-c", configured(rule(mark, f"rmem > 60m: {command}")), pass_fds=[given.fileno()])
        until(told.exists)
    *descriptors, place, umask, session, pid, blocked = told.read_text().split("\n")[:-1]
    assert set(descriptors) <= {"0", "1", "2", "10"}  # 10: where the shell keeps what it redirects
    assert (place, umask, session.strip()) == ("/", "0022", pid)
    assert blocked.split()[1] == "0" * 16


# --- as a daemon ---


@pytest.fixture
def daemon(tmp_path):
    """Starts the program with -d, and ends what then has its pid file."""
    pidfile = tmp_path / "test.pid"

    def start(*arguments, prefix=()):
        command = [*prefix, sys.executable, str(PROGRAM), *NO_STATE, "-d", "-p", str(pidfile), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    start.pidfile = pidfile
    yield start
    if pidfile.exists():
        pid = int(pidfile.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon ends")
        assert not pidfile.exists()


def test_a_daemon_detaches_writes_its_pid_and_acts(daemon, configured, mark):
    with victim(mark, mib=64) as hog:
        ran = daemon("-c", configured(rule(mark, "rmem > 60m: term", interval="1h")))
        assert ran.returncode == 0, ran.stderr
        assert hog.process.wait(5) == -signal.SIGTERM  # it had looked once before `-d` returned
        pid = int(daemon.pidfile.read_text())
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
        with open(f"/proc/{pid}/comm") as comm:
            assert comm.read() == "fall-from-grace\n"


def test_a_second_daemon_is_refused_and_told_who_runs(daemon, configured, mark):
    path = configured(rule(mark, "rmem > 60m: term"))
    assert daemon("-c", path).returncode == 0
    pid = daemon.pidfile.read_text().strip()
    for how in (["-d"], ["-f"]):
        second = run(*how, "-p", daemon.pidfile, "-c", path)
        assert second.returncode == 69
        assert "already running" in second.stderr
        assert pid in second.stderr
    assert daemon.pidfile.read_text().strip() == pid


def test_a_daemon_that_was_killed_leaves_nothing_in_the_way(daemon, configured, mark):
    path = configured(rule(mark, "rmem > 60m: term"))
    assert daemon("-c", path).returncode == 0
    first = int(daemon.pidfile.read_text())
    os.kill(first, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{first}"))
    assert daemon("-c", path).returncode == 0
    assert int(daemon.pidfile.read_text()) != first


# A mount namespace whose /dev is our own, with a real syslogd listening in it.
NAMESPACE = """
set -e
mount --make-rprivate /
mkdir -p "$1/dev"; mount -t tmpfs none "$1/dev"
for node in null zero full random urandom tty; do touch "$1/dev/$node"; mount --bind "/dev/$node" "$1/dev/$node"; done
mount --move "$1/dev" /dev
busybox syslogd -n -O "$1/messages" &
syslogd=$!
for try in $(seq 500); do [ -S /dev/log ] && break; sleep 0.02; done
shift
"$@" || true
kill $syslogd
wait
"""


def can_unshare():
    return subprocess.run(["sh", "-c", "unshare --mount true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs root with CAP_SYS_ADMIN, for a mount namespace")
@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox, for its syslogd")
def test_a_real_syslogd_gets_the_lines(configured, mark, tmp_path):
    """Start, act, reload well and badly, end: each is a line of a real syslog daemon."""
    path, pidfile, messages = (
        configured(rule(mark, "rmem > 60m: exec @ 1h echo warned")),
        tmp_path / "p",
        tmp_path / "messages",
    )

    def logged(*words):
        text = messages.read_text(errors="replace") if messages.exists() else ""
        return [line for line in text.splitlines() if all(word in line for word in words)]

    program = f"{sys.executable} {PROGRAM} --state none -d -p {pidfile} -c {path}; read wait"
    inside = ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", str(tmp_path), "sh", "-c", program]
    with victim(mark, mib=64) as hog:
        ran = subprocess.Popen(inside, stdin=subprocess.PIPE)
        try:
            until(lambda: logged("output=warned"), "the warning in syslog")
            [line] = logged("result=started", f"pid={hog.pid}")
            assert f"fall-from-grace[{pidfile.read_text().strip()}]: monitor=victims" in line
            assert "daemon.notice" in line
            configured(BAD)
            os.kill(int(pidfile.read_text()), signal.SIGHUP)
            until(lambda: logged("daemon.err", "not reloaded", "the old one stays in force"))
            until(lambda: logged("daemon.err", f"{path}:8:"))
            configured(rule(mark, "rmem > 60m: term"))
            time.sleep(0.1)
            os.kill(int(pidfile.read_text()), signal.SIGHUP)
            until(lambda: logged("configuration reloaded", "+0 rules, -0, 1 changed"))
            until(lambda: logged("action=term", "result=sent"))
            until(lambda: hog.ended_by() == signal.SIGTERM)
        finally:
            if pidfile.exists():
                os.kill(int(pidfile.read_text()), signal.SIGTERM)
            until(lambda: not pidfile.exists())
            ran.communicate(b"\n", timeout=20)
        assert logged("ended")
