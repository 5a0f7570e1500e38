"""The whole program, started as its users start it."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fallfromgrace import daemonize, reading
from fallfromgrace.commands import run
from fallfromgrace.commands.run import Options
from fallfromgrace.exits import Failure
from fallfromgrace.pidfile import AlreadyRunning, PidFile
from tests.victims import marker, state, until

PROGRAM = [sys.executable, str(Path(__file__).parent.parent / "bin" / "fall-from-grace")]


class Started(subprocess.Popen):
    """What is ended with its test, also with one that fails."""

    def __exit__(self, *error):
        if error[0]:
            self.kill()
        super().__exit__(*error)


class Place:
    """A directory with a configuration that covers nobody, and the daemons started with it."""

    def __init__(self, directory):
        self.directory = directory
        self.pidfile = directory / "x.pid"
        self.config = directory / "x.conf"
        # Without process events nothing is told of these, which there are not in a container.
        settings = "interval: 1s\nprocess-events: no\n"
        self.config.write_text(f"{settings}hog:\n  cmdline: {marker()}\n  actions:\n    rmem > 1t: term\n")

    def arguments(self, *more):
        return [*PROGRAM, "-c", "x.conf", "-p", "x.pid", "--state", "x.state", *more]

    def run(self, *more, **options):
        return subprocess.run(
            self.arguments(*more),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def start(self, *more, **options):
        pipe = subprocess.PIPE
        return Started(self.arguments(*more), cwd=self.directory, stderr=pipe, text=True, **options)

    @property
    def pid(self):
        return int(self.pidfile.read_text())

    def close(self):
        if not self.pidfile.exists() or not self.pidfile.read_text():
            return
        try:
            PidFile(str(self.pidfile)).acquire()
        except AlreadyRunning as owner:
            os.kill(owner.pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()


def test_a_daemon_is_started_told_apart_and_stopped_by_its_pid(place):
    started = place.run("-d")
    assert started.returncode == 0, started.stderr
    pid = place.pid
    assert Path(f"/proc/{pid}/comm").read_text() == "fall-from-grace\n"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"

    second = place.run("-d")
    assert second.returncode == 69
    assert f"already running as pid {pid} (pid file {place.pidfile})" in second.stderr

    os.kill(pid, signal.SIGTERM)
    until(lambda: not place.pidfile.exists(), "the pid file is removed")
    until(lambda: state(pid) in ("", "Z"), "the daemon has ended")


def test_what_a_killed_daemon_left_is_in_nobodys_way(place):
    assert place.run("-d").returncode == 0
    first = place.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: state(first) in ("", "Z"), "the daemon is dead")
    assert place.pid == first
    assert place.run("-d").returncode == 0
    assert place.pid != first


@pytest.mark.parametrize("mode", ["-d", "-f"])
def test_a_wrong_configuration_starts_nothing_and_names_every_problem(mode, place):
    place.config.write_text("hog:\n  cmdline: '('\n  actions:\n    rmem > 1x: term\n    vmem > 1g: tern\n")
    done = place.run(mode)
    assert done.returncode == 78
    for line in ("x.conf:2:", "x.conf:4:", "x.conf:5:"):
        assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not place.pidfile.exists()


def test_in_the_foreground_it_logs_on_stderr_and_leaves_no_pid_file(place):
    with place.start() as daemon:
        assert "started" in daemon.stderr.readline()
        assert place.pid == daemon.pid
        daemon.terminate()
        assert "ended" in daemon.stderr.read()
    assert daemon.returncode == 0
    assert not place.pidfile.exists()


def test_what_is_about_no_single_process_is_told_also_where_there_is_none(place):
    place.config.write_text(f"""\
interval: 1s
process-events: no
seen:
  cmdline: {marker()}
  observe: yes
  actions:
    count < 1: exec touch {place.directory}/acted
hog:
  cmdline: {marker()}
  actions:
    count < 1 and system.available > 1%: log "$NAME has $VALUE left, not $LIMIT"
""")
    with place.start() as daemon:
        lines = [daemon.stderr.readline() for _ in range(3)]
        daemon.terminate()
        daemon.stderr.read()
    assert (
        f'monitor=seen rule="count < 1" value=0 action=exec command="touch {place.directory}/acted" result=dry-run'
        in lines[1]
    )
    assert 'action=log text="hog has 0 left, not 1" result=told' in lines[2]
    assert not (place.directory / "acted").exists()


def test_it_is_ready_for_systemd_only_after_it_has_looked(place):
    address = str(place.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(20)
        with place.start(env={**os.environ, "NOTIFY_SOCKET": address}) as daemon:
            assert systemd.recv(100) == b"READY=1"
            assert "started" in daemon.stderr.readline()
            daemon.send_signal(signal.SIGHUP)
            assert systemd.recv(100).startswith(b"RELOADING=1")
            assert systemd.recv(100) == b"READY=1"
            daemon.terminate()
            assert systemd.recv(100) == b"STOPPING=1"


def test_a_signal_that_comes_as_soon_as_the_pid_is_known_is_not_the_end(place):
    with place.start() as daemon:
        until(lambda: place.pidfile.exists() and place.pidfile.read_text(), "the pid is known")
        daemon.send_signal(signal.SIGHUP)
        daemon.terminate()
        daemon.stderr.read()
    assert daemon.returncode == 0


@pytest.mark.parametrize("mode", ["-d", "-f"])
def test_what_stays_has_the_options_of_python_and_nothing_that_reading_took(mode, place):
    command = [PROGRAM[0], "-I", "-X", "utf8", PROGRAM[1], "-c", str(place.config), "-p", str(place.pidfile)]
    command += ["--state", "none", mode]
    with Started(command, stderr=subprocess.PIPE, text=True) as started:
        until(lambda: place.pidfile.exists() and place.pidfile.read_text(), "the pid is known")
        stays = Path(f"/proc/{place.pid}")
        words = (stays / "cmdline").read_text().split("\0")
        assert words[1:7] == ["-I", "-X", "utf8", PROGRAM[1], "--resident", f"config={place.config}"]
        assert not re.findall("yaml|psutil|ply", (stays / "maps").read_text())
        assert (place.pid == started.pid) is (mode == "-f")
        os.kill(place.pid, signal.SIGTERM)
        started.communicate(timeout=20)
    assert started.returncode == 0


def held_by(pid):
    return {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}


def holds_no_pipe_alone(pid):
    """Each has its other end in a child; children come and go while they are looked at."""
    with suppress(FileNotFoundError):
        held = {name for name in held_by(pid) if name.startswith("pipe:")}
        return held <= set().union(*map(held_by, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_descriptor_of_its_starter_goes_no_further(place, tmp_path):
    with open(tmp_path / "stray", "w") as stray:
        assert place.run("-d", pass_fds=[stray.fileno()]).returncode == 0
    held = held_by(place.pid)
    assert str(tmp_path / "stray") not in held
    assert str(place.pidfile) in held
    until(lambda: holds_no_pipe_alone(place.pid), "its pipes are those to its helpers")


def test_a_reload_reads_anew_and_a_wrong_file_changes_nothing(place):
    with place.start() as daemon:
        assert "1 monitor, 1 rule" in daemon.stderr.readline()
        place.config.write_text(f"{place.config.read_text()}    vmem > 1t: kill\n")
        daemon.send_signal(signal.SIGHUP)
        assert "reloaded: 1 monitor, 2 rules" in daemon.stderr.readline()
        place.config.write_text("hog:\n  cmdline: (\n")
        daemon.send_signal(signal.SIGHUP)
        assert "not reloaded, the old one stays in force" in daemon.stderr.readline()
        assert "x.conf:1:1: 'hog' has no actions" in daemon.stderr.readline()
        assert "x.conf:2:" in daemon.stderr.readline()
        daemon.terminate()
        daemon.stderr.read()
    assert daemon.returncode == 0


# --- in pieces ---


class Executed(Exception):
    """In place of a program that is executed."""


@pytest.fixture
def executed(monkeypatch):
    """What would have been executed."""
    found = []

    def execute(program, arguments):
        found.append((program, arguments))
        raise Executed

    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(daemonize, "settle", lambda: None)
    monkeypatch.setattr(reading, "start", lambda path: reading.Reading(path, 4121, os.open(os.devnull, os.O_RDONLY)))
    return found


def test_options_become_orders_to_the_same_program(executed, monkeypatch):
    monkeypatch.setattr(sys, "argv", [PROGRAM[1], "-n", "-v"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-I", *sys.argv])
    with pytest.raises(Executed):
        run.run(Options("/x.conf", "/x.pid", "/x.state", dry_run=True, verbose=True))
    program, words = executed[0]
    assert (program, words[:4]) == (sys.executable, [sys.executable, "-I", PROGRAM[1], "--resident"])
    assert words[4:8] == ["config=/x.conf", "pidfile=/x.pid", "state=/x.state", "reader=4121"]
    assert words[9:] == ["waiting=-1", "dry_run=1", "verbose=1"]
    pipe = int(words[8].removeprefix("pipe="))
    assert os.get_inheritable(pipe)
    os.close(pipe)


def test_without_a_program_to_execute_it_says_how_to_be_started(executed, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c", "-d"])
    with pytest.raises(Failure, match="cannot find itself as '-c'; start it by the path of its program"):
        run.run(Options("/x.conf"))
    assert not executed


def test_what_cannot_be_executed_is_told(executed, monkeypatch):
    def refuse(*_):
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(os, "execv", refuse)
    monkeypatch.setattr(sys, "argv", PROGRAM[1:])
    with pytest.raises(Failure, match=r"cannot execute .*: No such file or directory"):
        run.run(Options("/x.conf"))


def test_a_missing_syslog_is_told_when_a_daemon_starts(executed, monkeypatch, place, capsys):
    monkeypatch.setattr(run, "SYSLOG", str(place.directory / "log"))
    monkeypatch.setattr(daemonize, "detached", lambda body: 70)
    monkeypatch.setattr(sys, "argv", PROGRAM[1:])
    assert run.run(Options("/x.conf", "/x.pid", detach=True)) == 70
    assert "there is no syslog at" in capsys.readouterr().err


@pytest.mark.parametrize("how", [["-t"], ["check"]])
def test_a_wrong_configuration_is_wrong_also_when_nobody_hears_why(how, tmp_path):
    (tmp_path / "bad.conf").write_text("m:\n  cmdline: (\n")
    reading, writing = os.pipe()
    os.close(reading)
    for stderr in (writing, os.open("/dev/full", os.O_WRONLY)):
        ran = subprocess.run([*PROGRAM, *how, "-c", tmp_path / "bad.conf"], stderr=stderr, timeout=60)
        os.close(stderr)
        assert ran.returncode == 78
