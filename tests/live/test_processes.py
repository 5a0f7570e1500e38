"""Who is never acted upon, and what is said instead: the real program beside real processes.

What might match more than the victims of a test is a dry run, or has a PID namespace of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fallfromgrace import procfs
from tests.live.conftest import PROGRAM, Running
from tests.torture import _namespace
from tests.victims import state, until, victim

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_namespace = pytest.mark.skipif(bool(_namespace.needs()), reason=_namespace.needs() or "-")

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
# The Python of the tests may be where only root may look: the system's is executed in its place.
PYTHON = "/usr/bin/python3"
INSTEAD = f"import os, sys; os.execv({PYTHON!r}, [{PYTHON!r}, *sys.argv[2:]])"
OURS = "this is a command of fall-from-grace"


def rule(name, mark, *rules, **more):
    """A monitor for what has this mark."""
    keys = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return f"{name}:\n  cmdline: {mark}\n{keys}  actions:\n" + "".join(f"    {each}\n" for each in rules)


def configuration(*monitors, **settings):
    return "interval: 1s\n" + "".join(f"{key}: {value}\n" for key, value in settings.items()) + "".join(monitors)


@pytest.fixture
def public(mark):
    """A directory that everybody may look into, whose name has the mark."""
    place = Path(tempfile.mkdtemp(prefix=f"{mark}-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def judged(running, *words):
    """Wait until the rule that only tells has told, and everybody has been looked at once more."""
    running.says("action=log", *words)
    time.sleep(1.2)


# --- the kernel's, and pid 1 ---


def kernel_threads():
    found = {pid: procfs.read_stat(pid) for pid in procfs.read_pids()}
    return {pid for pid, stat in found.items() if stat and stat.kernel_thread}


@pytest.mark.skipif(not kernel_threads(), reason="needs to see kernel threads")
@pytest.mark.parametrize("selector", ["cmdline: .*", "user: 0", "exe: .*"])
def test_kernel_threads_are_never_found(program, configured, selector):
    with victim("plain") as hog:
        path = configured(f"interval: 1s\nm:\n  {selector}\n  actions:\n    vmem >= 0: kill\n")
        running = program("--dry-run", "-c", path)
        running.says("action=kill", f"pid={hog.pid} ")
        time.sleep(1.2)
        told = {int(line.partition(" pid=")[2].partition(" ")[0]) for line in running.said(" pid=")}
    assert not told & kernel_threads()


def test_pid_1_is_never_acted_upon(program, configured):
    running = program(
        "--dry-run", "-c", configured(f"m:\n  user: {Path('/proc/1').stat().st_uid}\n  actions:\n    vmem > 0: kill\n")
    )
    running.says("pid=1 ", "pid 1 is never acted upon")
    assert len(running.said("pid=1 ")) == 1


@needs_namespace
def test_pid_1_survives_a_rule_that_is_meant_for_it(configured, mark):
    """In a PID namespace of its own, where it is a shell. What it forks is called like it at first, and is killed."""
    path = configured(configuration(rule("m", mark, "vmem > 0:", "  - log seen", "  - kill", "  - nice 9")))
    shell = (
        f"{sys.executable} {PROGRAM} --state none -c {path} & sleep 4; read -r stat </proc/1/stat; echo $stat; "
        f"kill $!; wait; echo alive >&2; : {mark}"
    )
    ran = subprocess.run([*_namespace.unshare(), "/bin/sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    niceness = ran.stdout.rpartition(")")[2].split()[16]
    assert niceness == "0"
    assert "text=seen result=told" in ran.stderr
    assert "pid 1 is never acted upon" in ran.stderr
    assert ran.stderr.endswith("alive\n")


# --- ourselves ---


def test_we_and_our_readers_survive_a_rule_that_is_meant_for_us(program, tmp_path, mark):
    """The name of the configuration is in our own command line, and in that of whoever reads for us."""
    path = tmp_path / f"{mark}.conf"
    path.write_text(configuration(rule("m", mark, "vmem > 0:", "  - log seen", "  - kill @ 1s", children=1)))
    running = program("-c", path)
    running.says("pid=", "this is fall-from-grace itself")
    for times in range(1, 4):
        running.hup()
        running.says("configuration reloaded", times=times)
    assert not running.said("result=sent")
    assert running.end() == 0


def test_what_our_commands_start_is_ours_in_a_session_of_its_own_too(program, configured, mark, tmp_path):
    told = tmp_path / "told"
    script = tmp_path / "kin.py"
    script.write_text(
        f"import os, time\nopen({str(told)!r}, 'w').write(f'{{os.getpid()}} {{os.getsid(0)}} ')\ntime.sleep(60)"
    )
    start = f"rmem > 0: exec setsid {sys.executable} {script} kin-of-{mark}; true"
    kin = rule("kin", f"kin-of-{mark}$", "vmem > 0:", "  - log seen", "  - kill @ 1s", "  - nice 9")
    with victim(f"top-{mark}"):
        running = program("-c", configured(configuration(rule("top", f" top-{mark} ", start), kin)))
        until(lambda: told.exists() and told.read_text().endswith(" "))
        pid, session = map(int, told.read_text().split())
        try:
            assert pid == session
            running.says("monitor=kin", f"pid={pid} ", "result=protected", OURS)
            judged(running, f"pid={pid} ")
            assert state(pid) == "S"
            assert os.getpriority(os.PRIO_PROCESS, pid) == 0
            assert len(running.said(f"pid={pid} ", "result=protected")) == 1  # told once
        finally:
            os.kill(pid, signal.SIGKILL)


# --- others', and what is protected ---


def lacks():
    imports = [*AS_NOBODY, PYTHON, "-c", "import psutil, yaml, ply, daemon"]
    return "" if subprocess.run(imports, capture_output=True).returncode == 0 else f"needs {PYTHON} with the libraries"


@needs_root
@pytest.mark.skipif(bool(lacks()), reason=lacks() or "-")
def test_a_user_acts_on_nobody_elses_processes(public, mark):
    path = public / "test.conf"
    path.write_text(configuration(rule("m", f" {mark} ", "vmem > 0:", "  - log seen", "  - kill @ 1s")))
    mine = subprocess.Popen([*AS_NOBODY, "/bin/sh", "-c", "sleep 60; : $0", " ", mark, " "])
    with victim(mark) as roots:
        running = Running("-c", path, within=[*AS_NOBODY, PYTHON, "-c", INSTEAD])
        try:
            assert mine.wait(20) == -signal.SIGKILL
            running.says(f"pid={roots.pid} ", "it belongs to another user")
            judged(running, f"pid={roots.pid} ")
            assert roots.ended_by() is None
        finally:
            mine.kill()
            mine.wait()
            assert running.end() == 0


def test_what_is_protected_is_left_alone_and_the_rest_is_not(program, configured, mark):
    monitor = rule("m", mark, "vmem > 0:", "  - log seen", "  - kill @ 1s")
    protect = f"\n  - cmdline: precious-{mark}"
    with victim(f"precious-{mark}") as precious, victim(f"other-{mark}") as other:
        running = program("-c", configured(configuration(monitor, protect=protect)))
        until(lambda: other.ended_by() == signal.SIGKILL)
        running.says(f"pid={precious.pid} ", "it is protected")
        judged(running, f"pid={precious.pid} ")
        assert precious.ended_by() is None


# --- the first of a container ---


@needs_root
def test_the_first_of_a_container_is_deaf_to_term_which_is_told_and_ended_by_kill(program, configured, mark):
    """The kernel throws away what it has no handler for, and says nothing: that a signal was sent is not all."""
    code = "import time; print(flush=True); time.sleep(60)"
    inner = [sys.executable, "-c", code, f"init-{mark}", "."]
    outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *inner], stdout=subprocess.PIPE)
    try:
        outer.stdout.readline()
        [pid] = (each for each in procfs.read_pids() if (stat := procfs.read_stat(each)) and stat.ppid == outer.pid)
        rules = rule("m", f"^{sys.executable} .* init-{mark}", "vmem > 0:", "  - term", "  - after 1s kill")
        running = program("-c", configured(configuration(rules)))
        line = running.says(f"pid={pid} ", "action=term", "result=sent")
        assert (
            "it is the first of its PID namespace and has no handler for TERM: the kernel drops it; write kill" in line
        )
        until(lambda: outer.poll() is not None)
        line = running.says(f"pid={pid} ", "action=kill", "result=sent")
        assert "detail" not in line
        assert len(running.said("action=term")) == 1
    finally:
        outer.kill()
        outer.communicate()


def test_that_a_process_ignores_what_it_is_sent_is_told(program, configured, mark):
    with victim(mark, what="deaf") as deaf:
        running = program("-c", configured(configuration(rule("m", f" {mark} ", "vmem > 0: term"))))
        line = running.says(f"pid={deaf.pid} ", "action=term", "result=sent")
        assert 'detail="it ignores TERM; write kill"' in line
        assert deaf.ended_by() is None
