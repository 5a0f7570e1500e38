"""The whole program, started as its users start it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import mock
import pytest

from fallfromgrace import daemonize, exits, loop
from fallfromgrace.commands import run
from fallfromgrace.commands.run import Options
from fallfromgrace.logs import StderrLog, SyslogLog
from fallfromgrace.pidfile import AlreadyRunning, PidFile
from tests.victims import marker, state, until

PROGRAM = [sys.executable, str(Path(__file__).parent.parent / "bin" / "fall-from-grace")]


class Place:
    """A directory with a configuration that covers nobody, and the daemons started with it."""

    def __init__(self, directory):
        self.directory = directory
        self.pidfile = directory / "x.pid"
        self.config = directory / "x.conf"
        self.config.write_text(f"interval: 1s\nhog:\n  cmdline: {marker()}\n  actions:\n    rmem > 1t: term\n")

    def arguments(self, *more):
        return [*PROGRAM, "-c", "x.conf", "-p", "x.pid", *more]

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
        return subprocess.Popen(self.arguments(*more), cwd=self.directory, stderr=pipe, text=True, **options)

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


# --- in pieces ---


class StandIn:
    """A loop that keeps what it was given and ends as it is told."""

    def __init__(self, monkeypatch, result=0):
        self.result = result
        monkeypatch.setattr(loop, "Loop", self)
        monkeypatch.setattr(loop, "block_signals", lambda: None)
        monkeypatch.setattr(daemonize, "settle", lambda: None)

    def __call__(self, config, **parts):
        self.config, self.parts = config, parts
        return self

    def run(self):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(("euid", "only"), [(0, None), (1000, 1000)])
def test_root_acts_on_everybody_and_a_user_only_on_their_own(euid, only, place, monkeypatch):
    stand_in = StandIn(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    assert run.run(Options(place.config)) == 0
    assert stand_in.parts["myself"] == (os.getpid(), only)


def test_options_reach_the_parts_they_are_for(place, monkeypatch):
    stand_in = StandIn(monkeypatch, result=5)
    assert run.run(Options(place.config, dry_run=True)) == 5
    assert stand_in.parts["performer"].dry_run
    assert isinstance(stand_in.parts["log"], StderrLog)
    assert stand_in.parts["load"]() == stand_in.config


def test_a_daemon_logs_to_syslog_even_the_fault_that_ends_it(place, monkeypatch):
    stand_in = StandIn(monkeypatch, ZeroDivisionError("oh"))
    address = str(place.directory / "log")
    monkeypatch.setattr(run, "SYSLOG", address)
    monkeypatch.setattr(daemonize, "detached", lambda body, keep: body(lambda: None))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind(address)
        syslogd.settimeout(5)
        with pytest.raises(ZeroDivisionError):
            run.run(Options(place.config, str(place.pidfile), detach=True))
        assert syslogd.recv(2000).decode().endswith(": Traceback (most recent call last):")
    assert isinstance(stand_in.parts["log"], SyslogLog)
    assert not place.pidfile.exists()


def test_a_missing_syslog_is_told_when_a_daemon_starts(place, monkeypatch, capsys):
    monkeypatch.setattr(run, "SYSLOG", str(place.directory / "log"))
    monkeypatch.setattr(daemonize, "settle", lambda: None)
    monkeypatch.setattr(daemonize, "detached", lambda body, keep: 70)
    assert run.run(Options(place.config, str(place.pidfile), detach=True)) == 70
    assert "there is no syslog at" in capsys.readouterr().err
    assert not place.pidfile.exists()


@pytest.mark.parametrize(
    ("came", "kept"),
    [
        ({"side_effect": KeyboardInterrupt}, True),  # the daemon may live: a second one must not start
        ({"side_effect": exits.Failure("cannot detach")}, False),
        ({"return_value": exits.SOFTWARE}, False),
        ({"return_value": exits.OK}, True),
    ],
)
def test_the_pid_file_goes_only_if_the_daemon_has_ended(came, kept, tmp_path):
    lock = PidFile(str(tmp_path / "x.pid"))
    lock.acquire()
    with mock.patch.object(daemonize, "detached", **came), contextlib.suppress(KeyboardInterrupt, exits.Failure):
        run._detach(Options(tmp_path / "x.conf", str(tmp_path / "x.pid"), detach=True), None, lock)
    assert (tmp_path / "x.pid").exists() is kept
    lock.release()


@pytest.mark.parametrize("how", [["-t"], ["check"]])
def test_a_wrong_configuration_is_wrong_also_when_nobody_hears_why(how, tmp_path):
    (tmp_path / "bad.conf").write_text("m:\n  cmdline: (\n")
    reading, writing = os.pipe()
    os.close(reading)
    for stderr in (writing, os.open("/dev/full", os.O_WRONLY)):
        ran = subprocess.run([*PROGRAM, *how, "-c", tmp_path / "bad.conf"], stderr=stderr, timeout=60)
        os.close(stderr)
        assert ran.returncode == 78
