"""The real program and somebody who listens as systemd does."""

import contextlib
import signal
import socket
import time

import pytest

from tests.victims import until, victim


class Init:
    """Keeps what it hears, with the time."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.heard = []

    def listen(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append((time.monotonic(), self.socket.recv(1000).decode().partition("\n")[0]))

    def times(self, state):
        self.listen()
        return [at for at, what in self.heard if what == state]


@pytest.fixture
def init(tmp_path, monkeypatch):
    listening = Init(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    yield listening
    listening.socket.close()


def watching(mark):
    return f"interval: 1h\nvictims:\n  cmdline: '{mark}'\n  actions:\n    rmem > 60m: term\n"


def test_it_gives_signs_of_life_in_time_however_seldom_it_would_look(init, program, configured, mark):
    running = program("-c", configured(watching(mark)))
    until(lambda: init.times("READY=1"), "it is ready")
    until(lambda: len(init.times("WATCHDOG=1")) > 8, "it gives signs of life")
    signs = init.times("WATCHDOG=1")
    assert signs[-1] - signs[0] < 8  # systemd would have lost patience after a second; and the machine may be loaded
    running.process.send_signal(signal.SIGSTOP)
    init.listen()
    init.heard.clear()
    time.sleep(1.5)
    assert not init.times("WATCHDOG=1")  # a process that hangs gives none
    running.process.send_signal(signal.SIGCONT)
    until(lambda: init.times("WATCHDOG=1"), "it goes on")
    running.hup()
    until(lambda: init.times("RELOADING=1") and init.times("READY=1"), "it has reloaded")
    running.end()
    assert init.times("STOPPING=1")


def test_a_systemd_that_does_not_listen_holds_nothing_up(init, program, configured, mark):
    with contextlib.suppress(BlockingIOError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        while True:
            other.sendto(b"x", socket.MSG_DONTWAIT, init.socket.getsockname())
    running = program("-c", configured(watching(mark)))
    with victim(mark, mib=64) as hog:
        until(lambda: hog.ended_by() == signal.SIGTERM, "it is terminated")
    until(lambda: init.times("READY=1"), "it is told at last that it is ready")
    began = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - began < 2
