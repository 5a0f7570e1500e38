"""The program as people have it for themselves: in ~/.local/bin, with a configuration, a state and a lock of their own.

What systemd does with the unit is done here by hand; `tests/package/desktop` has the real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.conftest import PROGRAM
from tests.live.test_privileges import LACKING, OTHERS, OURS, interpreter
from tests.test_desktop import UNIT, settings
from tests.victims import marker, until

pytestmark = pytest.mark.skipif(LACKING != "", reason=LACKING or "-")

GOOD = "interval: 1s\nvictims:\n  cmdline: ^{mark}\n  actions:\n    age > 0: term\n"
BAD = "victims:\n  cmdline: ^{mark}\n  actions:\n    rmem > 10s: term\n"


class Home:
    """A user's home, whose PATH has no /usr/sbin, as on Debian."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = marker()
        self.config = path / ".config" / "fall-from-grace.conf"
        self.runtime = path / "runtime"
        self.env = {"HOME": str(path), "XDG_RUNTIME_DIR": str(self.runtime), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        for each in (path / ".local", path / ".local/bin", self.config.parent, self.runtime):
            each.mkdir(mode=0o700)
        self._install()
        for each in (path, *path.rglob("*")):
            os.chown(each, OURS, OURS)

    def _install(self) -> None:
        program = self.path / ".local" / "bin" / "fall-from-grace"
        program.write_text(f'#!/bin/sh\nexec {interpreter()} {PROGRAM} "$@"\n')
        program.chmod(0o755)

    def configure(self, text: str) -> None:
        self.config.write_text(text.format(mark=self.mark))
        os.chown(self.config, OURS, OURS)

    def start(self, command: str, **more: str) -> subprocess.Popen[str]:
        """A command of theirs, in a shell."""
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            env={**self.env, **more},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=OURS,
            group=OURS,
            extra_groups=[],
        )

    def run(self, command: str) -> tuple[int, str]:
        ran = self.start(command)
        said, _ = ran.communicate(timeout=60)
        return ran.returncode, said

    @contextlib.contextmanager
    def victim(self, uid: int) -> Iterator[subprocess.Popen[bytes]]:
        sleeping = ["/bin/bash", "-c", f"exec -a {self.mark} sleep 100"]
        started = subprocess.Popen(sleeping, user=uid, group=uid, extra_groups=[])
        try:
            yield started
        finally:
            started.kill()
            started.wait()

    def acts(self) -> None:
        """On a new process of this user, and on nobody else's."""
        with self.victim(OTHERS) as others, self.victim(OURS) as ours:
            until(lambda: ours.poll() == -signal.SIGTERM, "it is terminated")
            assert others.poll() is None

    def daemon(self) -> int:
        """The pid of the one that holds the lock; 0 if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return int((self.runtime / "fall-from-grace.pid").read_text() or 0)
        return 0


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as place:
        yield Home(Path(place))


@contextlib.contextmanager
def ended(home: Home) -> Iterator[None]:
    """The daemon that is there in the end is there no longer."""
    try:
        yield
    finally:
        if pid := home.daemon():
            os.kill(pid, signal.SIGTERM)
            until(lambda: not home.daemon(), "it has ended")


@contextlib.contextmanager
def running(home: Home, command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """One in the foreground, until Ctrl-C."""
    started = home.start(command, **more)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=20)


IN_THE_FOREGROUND = "exec ~/.local/bin/fall-from-grace -c ~/.config/fall-from-grace.conf"


def test_in_the_foreground_it_acts_on_its_user_s_own_and_keeps_its_state_with_theirs(home):
    home.configure(GOOD)
    with running(home, IN_THE_FOREGROUND):
        home.acts()
        until((home.runtime / "fall-from-grace" / "status.json").exists, "its state is there")
        status, said = home.run("~/.local/bin/fall-from-grace status --json")
        assert (status, json.loads(said)["config"]) == (0, str(home.config))


def test_as_a_daemon_it_is_there_once_and_goes_on_with_what_it_had(home):
    home.configure(GOOD)
    with ended(home):
        assert home.run(f"{IN_THE_FOREGROUND} -d")[0] == 0
        home.acts()
        status, said = home.run(f"{IN_THE_FOREGROUND} -d")
        assert (status, f"already running as pid {home.daemon()}" in said) == (69, True)
        home.configure(BAD)
        assert home.run(f"{IN_THE_FOREGROUND} -t")[0] == 78
        os.kill(home.daemon(), signal.SIGHUP)
        until(lambda: "last reload was refused" in home.run("~/.local/bin/fall-from-grace status")[1], "refused")
        home.acts()


# --- what the unit says is done ---


def unit(home: Home, name: str) -> Callable[..., str]:
    """The first command of the unit under this name, as systemd reads it."""
    command = settings(UNIT)[name][0]
    for said, meant in (("%E", home.config.parent), ("%t", home.runtime), ("$$", "$")):
        command = command.replace(said, str(meant))
    assert "%" not in command
    return f"exec {command}"


@pytest.fixture
def systemd(home):
    """Who waits to be told; what they are told next."""
    address = home.runtime / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.settimeout(20)
        os.chown(address, OURS, OURS)
        home.env["NOTIFY_SOCKET"] = str(address)
        yield lambda: listening.recv(1000).decode().partition("\n")[0]


def test_the_unit_finds_the_program_and_tells_when_it_is_ready(home, systemd):
    home.configure(GOOD)
    with running(home, unit(home, "ExecStart")) as started:
        assert systemd() == "READY=1"
        assert home.daemon() == started.pid  # the main process, for systemd
        home.acts()
        assert home.run(f"{IN_THE_FOREGROUND} -d")[0] == 69  # by another road
        home.configure(BAD)
        status, said = home.run(unit(home, "ExecReload"))
        assert (status, f"{home.config}:4:" in said) == (78, True)
        home.acts()
        home.configure(GOOD)
        home.env["MAINPID"] = str(started.pid)
        assert home.run(unit(home, "ExecReload")) == (0, "")
        assert systemd().startswith("RELOADING=1")
    assert not home.daemon()


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (lambda home: home.config.unlink(), 78, "there is no such file; write one"),
        (lambda home: home.configure(BAD), 78, "rmem > 10s"),
        (lambda home: (home.path / ".local/bin/fall-from-grace").unlink(), 127, "not found"),
    ],
    ids=["no configuration", "a wrong one", "no program"],
)
def test_what_keeps_the_unit_from_starting_is_said_and_not_tried_again(home, spoil, status, words):
    home.configure(GOOD)
    spoil(home)
    ran, said = home.run(unit(home, "ExecStart"))
    assert (ran, words in said) == (status, True), said
    assert str(ran) in settings(UNIT)["RestartPreventExitStatus"][0].split()
