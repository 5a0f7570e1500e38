"""Real processes for tests: each carries a marker that no other process on the machine has, and is ended by its pid."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fallfromgrace import procfs

DEADLINE_SECONDS = 20.0
_Found = TypeVar("_Found")

# Holds argv[2] MiB, says "ready" and then sleeps; argv[3] says what else.
_VICTIM = """
import signal, subprocess, sys, time
marker, mib, what = sys.argv[1:4]
if "deaf" in what:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if what.startswith("parent"):
    depth = int(what[6:])
    child = "parent%d" % (depth - 1) if depth > 1 else "plain"
    arguments = [sys.executable, "-c", sys.argv[4], "kin-of-" + marker, mib, child, sys.argv[4]]
    kid = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    print(kid.stdout.readline().decode().strip(), kid.pid, end=" ")
    mib = "1"
held = bytearray(b"x") * (int(mib) << 20)
print("ready", flush=True)
if "leak" in what:
    for _ in range(400):
        held += bytearray(b"x") * (8 << 20)
        time.sleep(0.05)
time.sleep(120)
"""


def marker() -> str:
    """A word that stands in no other process's command line."""
    return f"victim-{uuid.uuid4().hex}"


def until(true: Callable[[], _Found], what: str = "", seconds: float = DEADLINE_SECONDS) -> _Found:
    """Wait for a condition, and give what made it hold; AssertionError after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or true}"
        time.sleep(0.01)
    return found


def state(pid: int) -> str:
    """The kernel's letter for a process; empty where there is none."""
    stat = procfs.read_stat(pid)
    return stat.state if stat else ""


class Victim:
    """A real process that holds memory; `family` are the pids of its descendants, the deepest first."""

    def __init__(self, mark: str, mib: int = 1, what: str = "plain") -> None:
        arguments = [sys.executable, "-c", _VICTIM, mark, str(mib), what, _VICTIM]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        # Nothing, if whoever watches it was so quick that it ended before it was ready.
        self.family = [int(word) for word in self.process.stdout.readline().split() if word.isdigit()]

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended_by(self) -> int | None:
        """The signal that ended it, None while it runs."""
        status = self.process.poll()
        return None if status is None else -status

    def close(self) -> None:
        """End it and all below it, that only it has started."""
        mine = {pid: procfs.read_stat(pid) for pid in self.family}
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for pid, stat in mine.items():
            if stat and procfs.read_stat(pid) and procfs.read_stat(pid).start == stat.start:
                os.kill(pid, signal.SIGKILL)


@contextmanager
def victim(mark: str, mib: int = 1, what: str = "plain") -> Iterator[Victim]:
    """A victim for the length of a `with` block. `what`: plain, deaf (to TERM), leak, deaf-leak, parentN."""
    started = Victim(mark, mib, what)
    try:
        yield started
    finally:
        started.close()


AS_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@functools.cache
def runs_as_user() -> bool:
    """Whether there is a user whom we can run this Python as, who may read it."""
    may = os.geteuid() == 0 and shutil.which("setpriv")
    return bool(may) and subprocess.run([*AS_USER, sys.executable, "-c", ""], capture_output=True).returncode == 0
