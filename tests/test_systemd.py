import contextlib
import os
import socket
from math import inf

import pytest

from fallfromgrace.systemd import Systemd, to_journal


class Init:
    """Listens where systemd would; `heard` takes all that has come."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self):
        states = []
        with contextlib.suppress(BlockingIOError):
            while True:
                states.append(self.socket.recv(100).decode())
        return states


@pytest.fixture
def start():
    """Makes the daemon's side, by the environment as it is by then."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(Systemd()))


@pytest.fixture
def init(tmp_path, monkeypatch):
    listening = Init(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield listening
    listening.socket.close()


@pytest.fixture
def watched(start, monkeypatch):
    """The same where systemd waits for signs of life."""

    def watched(seconds):
        monkeypatch.setenv("WATCHDOG_USEC", str(round(seconds * 1e6)))
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        return start()

    return watched


def test_systemd_is_told_the_state(init, start):
    systemd = start()
    systemd.tell("READY=1")
    systemd.tell("STOPPING=1")
    assert init.heard() == ["READY=1", "STOPPING=1"]


def test_its_socket_may_be_no_file(start, tmp_path, monkeypatch):
    name = str(tmp_path / "notify")
    init = Init("\0" + name)
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
    start().tell("READY=1")
    assert init.heard() == ["READY=1"]
    init.socket.close()


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@nobody-listens", "x" * 200])
def test_where_nobody_listens_nothing_happens(address, watched, monkeypatch):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd = watched(60)
    systemd.tell("READY=1")
    systemd.alive(0.0)


def fill(init):
    """Send until there is no room for more, neither with us nor with it."""
    sent = True
    while sent:
        sent = False
        with contextlib.suppress(BlockingIOError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            while True:
                other.sendto(b"x", socket.MSG_DONTWAIT, init.socket.getsockname())
                sent = True


def test_what_systemd_has_no_room_for_is_told_in_order_when_it_has(init, watched):
    systemd = watched(60)
    fill(init)
    for state in ("RELOADING=1", "READY=1"):
        systemd.tell(state)  # and does not wait
    systemd.alive(0.0)
    assert set(init.heard()) == {"x"}
    systemd.alive(0.05)
    assert init.heard() == ["RELOADING=1", "READY=1", "WATCHDOG=1"]


def test_of_a_systemd_that_never_reads_not_everything_is_remembered(init, start):
    systemd = start()
    fill(init)
    for number in range(100):
        systemd.tell(f"STATUS={number}")
    init.heard()
    systemd.alive(0.0)
    assert init.heard() == [f"STATUS={number}" for number in range(92, 100)]


def test_it_is_told_without_a_descriptor_that_would_have_to_be_had_first(init, watched, monkeypatch):
    systemd = watched(60)
    monkeypatch.setattr(socket, "socket", None)
    systemd.tell("READY=1")
    systemd.alive(0.0)
    assert init.heard() == ["READY=1", "WATCHDOG=1"]


# --- signs of life ---


@pytest.mark.parametrize(
    ("seconds", "patience", "times"),
    [(60, 30, [0.0, 1.0, 2.0]), (4, 2, [0.0, 1.0, 2.0]), (1, 0.5, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])],
)
def test_signs_of_life_come_once_a_second_and_more_often_for_the_impatient(seconds, patience, times, init, watched):
    systemd = watched(seconds)
    assert systemd.patience == patience
    told = []
    for tick in range(41):
        systemd.alive(tick / 20)
        told += [tick / 20 for state in init.heard() if state == "WATCHDOG=1"]
    assert told == times


@pytest.mark.parametrize(
    ("period", "pid"),
    [("", ""), ("0", ""), ("soon", ""), ("-5", ""), ("\u0665", ""), ("1000000", "1"), ("1000000", "x")],
)
def test_where_nobody_waits_for_signs_of_life_there_are_none(period, pid, init, start, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", period)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    systemd = start()
    systemd.alive(0.0)
    assert (systemd.patience, init.heard()) == (inf, [])


def test_without_a_pid_they_are_expected_of_us(init, start, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    start().alive(0.0)
    assert init.heard() == ["WATCHDOG=1"]


# --- the journal ---


def test_only_the_very_stream_that_systemd_connected_is_the_journal(tmp_path, monkeypatch):
    with open(tmp_path / "journal", "w") as journal, open(tmp_path / "terminal", "w") as terminal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert to_journal(journal.fileno())
        assert not to_journal(terminal.fileno())
    assert not to_journal(-1)


@pytest.mark.parametrize("value", [None, "", "8", "a:b:c"])
def test_without_a_sound_variable_there_is_no_journal(value, monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if value is not None:
        monkeypatch.setenv("JOURNAL_STREAM", value)
    assert not to_journal(2)
