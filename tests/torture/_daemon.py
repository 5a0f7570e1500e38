"""The real program in the foreground, for a row; its log is a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fallfromgrace import procfs

PROGRAM = Path(__file__).parents[2] / "bin" / "fall-from-grace"


class Daemon:
    """The program with a configuration; what it says and how it is."""

    def __init__(self, place: Path, configuration: str, *arguments: str, **popen: Any) -> None:
        self._log = place / "log"
        config = place / "torture.conf"
        config.write_text(configuration)
        command = [sys.executable, str(PROGRAM), "--state", "none", "-c", str(config), *arguments]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, **popen)
        self.until(lambda: self.said("started, version"), "it has started")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    def said(self, *words: str) -> list[str]:
        """The lines with all these words."""
        return [line for line in self.lines if all(word in line for word in words)]

    def until(self, true: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Wait for something, as long as the program runs."""
        deadline = time.monotonic() + seconds
        while not true():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it is not so that {what}: {self.lines[-5:]}")
            time.sleep(0.01)

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def resident(self) -> int:
        size = procfs.read_size(self.pid)
        return size.rmem if size else 0

    @property
    def children(self) -> list[int]:
        """Whom it has started and not reaped yet."""
        try:
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def end(self) -> int:
        """Its exit status when it is asked to end."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def daemon(place: Path, configuration: str, *arguments: str, **popen: Any) -> Iterator[Daemon]:
    """The program for the length of a `with` block."""
    started = Daemon(place, configuration, *arguments, **popen)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
