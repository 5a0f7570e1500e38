"""The process that stays: its parts put together, and nothing else in it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fallfromgrace import children, loop, pressure, privileges, readiness, reading, resident
from fallfromgrace.logs import StderrLog, SyslogLog
from fallfromgrace.orders import Orders
from fallfromgrace.pidfile import PidFile
from tests.victims import marker, until

HERE = Path(__file__).parent.parent
QUIET = f"""\
hog:
  cmdline: {marker()}
  actions:
    rmem > 1t for 1m: [term, after 1m kill]
    growth(rmem, 10m) > 1t: notify "$NAME"
    tree.pmem > 1t: exec @ 1h true
"""


class StandIn:
    """A loop that keeps what it was given and ends as it is told."""

    def __init__(self, monkeypatch):
        self.result = 0
        monkeypatch.setattr(loop, "Loop", self)
        monkeypatch.setattr(loop, "block_signals", lambda: None)
        monkeypatch.setattr(children, "be_called", lambda name: None)
        monkeypatch.setattr(pressure, "lock_memory", lambda tell: None)
        monkeypatch.setattr(pressure, "spare_us", lambda tell: 7)

    def __call__(self, config, **parts):
        self.config, self.parts = config, parts
        return self

    def run(self):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def stand_in(monkeypatch):
    return StandIn(monkeypatch)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(QUIET)
    return str(path)


def obey(config, **more):
    """What comes of orders; more of them as given."""
    reader = reading.start(config)
    given = {"pidfile": "", "state": "none", "waiting": -1, "dry_run": 0, "verbose": 0, **more}
    return resident.main(Orders(config=config, reader=reader.pid, pipe=reader.pipe, **given).words()[1:])


@pytest.mark.parametrize("everybody", [True, False])
def test_who_may_acts_on_everybody_and_others_only_on_their_own(everybody, config, stand_in, monkeypatch):
    monkeypatch.setattr(privileges, "acts_on_everybody", lambda: everybody)
    assert obey(config) == 0
    assert stand_in.parts["myself"] == (os.getpid(), None if everybody else os.geteuid())


def test_orders_reach_the_parts_they_are_for(config, stand_in):
    stand_in.result = 5
    assert obey(config, dry_run=1) == 5
    assert stand_in.parts["performer"].dry_run
    assert isinstance(stand_in.parts["log"], StderrLog)
    reader = stand_in.parts["read"](time.monotonic())
    until(lambda: reader.over(time.monotonic()))
    assert reader.result() == stand_in.config
    assert [monitor.name for monitor in stand_in.config.monitors] == ["hog"]


@pytest.mark.parametrize(
    ("result", "status", "told"),
    [
        (ZeroDivisionError("oh"), 70, "ZeroDivisionError: oh"),
        (SystemExit(3), 70, "please report it"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_ends_it_is_told_in_the_foreground(result, status, told, config, stand_in, capsys):
    stand_in.result = result
    assert obey(config) == status
    assert told in capsys.readouterr().err


def test_a_wrong_configuration_is_told_before_anything_else_is_touched(config, stand_in, tmp_path, capsys):
    Path(config).write_text("hog:\n  cmdline: (\n")
    assert obey(config, pidfile=str(tmp_path / "x.pid")) == 78
    assert "x.conf:2:" in capsys.readouterr().err
    assert not (tmp_path / "x.pid").exists()


def test_words_of_others_are_no_orders(capsys):
    assert resident.main(["-d"]) == 64
    assert "leave it out" in capsys.readouterr().err


def test_who_waits_hears_that_it_is_ready_or_why_it_is_not(config, stand_in, tmp_path, capsys):
    waiting, end = readiness.pair()
    owner = PidFile(str(tmp_path / "x.pid"))
    owner.acquire()
    assert obey(config, pidfile=owner.path, waiting=end.fd) == 69
    status, text = readiness.wait(waiting)
    owner.release()
    assert status == 69
    assert text.startswith("fall-from-grace: another one is just starting")
    assert capsys.readouterr().err == ""


def test_a_daemon_logs_to_syslog_even_the_fault_that_ends_it(config, stand_in, tmp_path, monkeypatch):
    stand_in.result = ZeroDivisionError("oh")
    address = str(tmp_path / "log")
    monkeypatch.setattr(resident, "SYSLOG", address)
    waiting, end = readiness.pair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind(address)
        syslogd.settimeout(5)
        assert obey(config, pidfile=str(tmp_path / "x.pid"), waiting=end.fd) == 70
        assert syslogd.recv(2000).decode().endswith(": Traceback (most recent call last):")
    assert readiness.wait(waiting)[0] == 70
    assert isinstance(stand_in.parts["log"], SyslogLog)
    assert not (tmp_path / "x.pid").exists()


def test_descriptors_that_it_was_given_go_to_nobody_else(config, stand_in):
    waiting, end = readiness.pair()
    os.set_inheritable(end.fd, True)
    inheritable = []
    stand_in.run = lambda: inheritable.append(os.get_inheritable(end.fd)) or 0
    with contextlib.closing(socket.socket()):
        assert obey(config, waiting=end.fd) == 0
    os.close(waiting)
    assert inheritable == [False]


# --- what is in it ---

# Says what was imported by the time it has looked, loaded its configuration again and looked again; then it ends.
CENSUS = """
import os, signal, sys
before = set(sys.modules)
from fallfromgrace import reading, resident
from fallfromgrace.orders import Orders

heard = []

def hear(_, state):
    heard.append(state.partition("=")[0])
    if heard == ["READY"]:
        os.kill(os.getpid(), signal.SIGHUP)
    elif heard == ["READY", "RELOADING", "READY"]:
        print(*sorted(set(sys.modules) - before))
        os.kill(os.getpid(), signal.SIGTERM)

resident.Systemd.tell = hear
reader = reading.start(sys.argv[1])
orders = Orders(sys.argv[1], "", sys.argv[1] + ".state", reader.pid, reader.pipe, -1, 0, 0)
sys.exit(resident.main(orders.words()[1:]))
"""
# With what each would cost, in MB; see records and reading for others.
DEAR = {
    "argparse": 0.4,
    "ast": 0.5,
    "daemon": 0.5,
    "dataclasses": 1.3,
    "datetime": 0.3,
    "decimal": 0.4,
    "difflib": 0.1,
    "html": 0.5,
    "inspect": 1.3,
    "lockfile": 0.3,
    "logging": 1.0,
    "pathlib": 0.6,
    "ply": 3.0,
    "psutil": 1.8,
    "shutil": 0.3,
    "subprocess": 1.0,
    "tempfile": 0.5,
    "threading": 0.2,
    "traceback": 0.4,
    "yaml": 2.5,
}


def test_nothing_is_in_it_that_a_running_daemon_does_not_use(config):
    command = [sys.executable, "-c", CENSUS, config]
    ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found = set(ran.stdout.split())
    assert "fallfromgrace.loop" in found
    assert "reloaded" in ran.stderr
    assert not found & set(DEAR)
    assert not found & {f"fallfromgrace.{name}" for name in ("cli", "config", "grammar", "daemonize", "lint")}
