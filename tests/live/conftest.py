"""The real program with real victims: every configuration names a marker that is in no other command line."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.live.tmux import Tmux
from tests.victims import marker, until

PROGRAM = Path(__file__).parents[2] / "bin" / "fall-from-grace"
# The machine may have a daemon of its own, whose state is nobody else's business.
NO_STATE = ("--state", "none")


class Running:
    """The program in the foreground; `lines` is what it has logged so far."""

    def __init__(self, *arguments: object, pass_fds: Sequence[int] = (), within: Sequence[str] = ()) -> None:
        state = () if "--state" in arguments else NO_STATE
        command = [*within, sys.executable, str(PROGRAM), *state, *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", pass_fds=pass_fds)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def said(self, *words: str) -> list[str]:
        """The lines that have all the words."""
        return [line for line in list(self.lines) if all(word in line for word in words)]

    def says(self, *words: str, times: int = 1) -> str:
        """Wait for lines with all the words; the last of them."""
        until(lambda: len(self.said(*words)) >= times or self.process.poll() is not None, f"{words} in {self.lines}")
        assert len(self.said(*words)) >= times, self.lines
        return self.said(*words)[-1]

    def hup(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> int:
        """Ask it to end; its exit status. It has a second, and a loaded machine's grace."""
        self.process.terminate()
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()


@pytest.fixture
def mark():
    return marker()


@pytest.fixture
def configured(tmp_path):
    """Writes the configuration of a test and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "test.conf"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def program():
    """Starts the program, waits for its first line, and ends it after the test."""
    started: list[Running] = []

    def start(*arguments: object, pass_fds: Sequence[int] = (), within: Sequence[str] = ()) -> Running:
        running = Running(*arguments, pass_fds=pass_fds, within=within)
        started.append(running)
        running.says("started, version")
        return running

    yield start
    for running in started:
        running.end()


@pytest.fixture
def tmux(tmp_path):
    """A shell in a terminal."""
    made = Tmux(tmp_path / "tmux")
    try:
        made.begin()
        yield made
    finally:
        made.kill()
