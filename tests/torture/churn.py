"""Processes are born and die as fast as the machine can, beside the daemon.

Those of the storm are in a PID namespace of their own, so that none is left behind. Most do nothing but end; every
fourth executes something that a monitor is about, and ends, too; some of these live long enough to be acted upon; some
leave a child behind. The daemon is run with the kernel's process events, and without.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.torture import Figure, _namespace
from tests.torture._daemon import Daemon, daemon
from tests.victims import marker, until, victim

TITLE = "processes born and dying as fast as the machine can, for 2 minutes"
GOAL = "0 uncaught exceptions, descriptors constant"
FULL = {"seconds": 60.0}
SHORT = {"seconds": 0.8}

needs = _namespace.needs

_WORKERS = 2
# An honest process that grows too large is caught however many others there are.
_LONGEST_SECONDS = 15.0

_STORM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc < 3) { if (!strncmp(argv[1], "doomed", 6)) usleep(500000); return 0; }
    for (int n = atoi(argv[2]); n; n--)
        if (!fork())
            for (unsigned i = 0;; i++) {
                char name[100];
                pid_t pid = i % 4 && i % 16 != 1 ? vfork() : fork(); // most do not even get memory of their own
                if (!pid && i % 4 && i % 16 != 1) _exit(0);
                if (!pid) {
                    snprintf(name, sizeof name, "%s-%s", i % 64 ? "brief" : "doomed", argv[1]);
                    if (i % 16 == 1 && fork()) _exit(0);
                    if (i % 4 == 0) execl("/proc/self/exe", "storm", name, NULL);
                    _exit(0);
                }
                if (i % 64) waitpid(pid, NULL, 0);
                while (waitpid(-1, NULL, WNOHANG) > 0);
            }
    for (;;) wait(NULL);
}
"""

# Where there is no compiler; slower.
_STORM_PY = """
import os, sys, time
brief = "import sys, time; time.sleep(0.5 if sys.argv[1].startswith('doomed') else 0)"
for i in range(int(sys.argv[2]) - 1):
    if not os.fork():
        break
i = 0
while True:
    i += 1
    name = ("brief-" if i % 64 else "doomed-") + sys.argv[1]
    pid = os.fork()
    if not pid:
        if i % 4 == 0:
            os.execv("/bin/sh", ["sh", "-c", "[ $0 = ${0#doomed} ] || sleep 0.5", name])
        os._exit(0)
    if i % 64:
        os.waitpid(pid, 0)
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass
"""


class Half(NamedTuple):
    """What came of one run."""

    how: str
    births: float
    descriptors: tuple[int, int, int]
    resident: tuple[int, int]
    caught: float
    acted: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        before, most, after = self.descriptors
        small, large = (size >> 10 for size in self.resident)
        return (
            f"{self.how} {self.births:.0f} births/s, descriptors {before}, {most} at most, {after} after it, resident "
            f"{small} to {large} KiB, a hog caught in {self.caught:.2f} s, {self.acted} of the storm acted upon"
        )


def run(seconds: float) -> Figure:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        storm = _made(place)
        halves = [_half(place, storm, seconds, events) for events in (True, False)]
    return Figure(
        "; ".join(map(str, halves)), not any(each.faults for each in halves), sum((h.faults for h in halves), ())
    )


def _made(place: Path) -> list[str]:
    """The words that run the storm."""
    if not shutil.which("gcc"):
        return [sys.executable, "-c", _STORM_PY]
    (place / "storm.c").write_text(_STORM)
    subprocess.run(["gcc", "-O1", "-o", place / "storm", place / "storm.c"], check=True)
    return [str(place / "storm")]


@contextmanager
def _storming(storm: list[str], mark: str) -> Iterator[None]:
    process = subprocess.Popen([*_namespace.unshare(), *storm, mark, str(_WORKERS)])
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)  # and with it the whole namespace
        process.wait()


def _configuration(mark: str, events: bool) -> str:
    monitors = {"hog": "rmem > 60m: term", "brief": "rmem > 1g: term", "doomed": "vmem > 0: term"}
    rules = "".join(f"{name}:\n  cmdline: {name}-{mark}\n  actions:\n    {rule}\n" for name, rule in monitors.items())
    return f"interval: 1s\nprocess-events: {'yes' if events else 'no'}\n{rules}"


def _half(place: Path, storm: list[str], seconds: float, events: bool) -> Half:
    mark = marker()
    with daemon(place, _configuration(mark, events)) as running:
        _caught(mark)  # so that all that this takes is there already
        before, resident, born, began = _quiet(running), running.resident, _births(), time.monotonic()
        with _storming(storm, mark):
            most = _sampled(running, seconds / 2)
            caught = _caught(mark)
            most = max(most, _sampled(running, seconds / 2))
            births = (_births() - born) / (time.monotonic() - began)
        after, size = _settled(running, before), (resident, running.resident)
        acted = len(running.said("monitor=doomed", "result=sent"))
        how = "by polling" if not events or running.said("events cannot be used") else "with events"
        return Half(how, births, (before, most, after), size, caught, acted, _faults(running, before, after, caught))


def _births() -> int:
    """How many processes the machine has made."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("processes"))
    return int(line.split()[1])


def _sampled(running: Daemon, seconds: float) -> int:
    """The most descriptors that the daemon had in so many seconds."""
    until_then, most = time.monotonic() + seconds, 0
    while time.monotonic() < until_then:
        most = max(most, running.descriptors)
        time.sleep(0.05)
    return most


def _caught(mark: str) -> float:
    """How long an honest hog was left alone."""
    with victim(f"hog-{mark}", mib=64) as hog:
        began = time.monotonic()
        until(lambda: hog.ended_by() == signal.SIGTERM, "the hog is ended", 30)
        return time.monotonic() - began


def _quiet(running: Daemon) -> int:
    """The descriptors of a daemon, when they have been the same for a while."""
    found, since = running.descriptors, time.monotonic()
    while time.monotonic() < since + 0.3:
        time.sleep(0.05)
        if found != running.descriptors:
            found, since = running.descriptors, time.monotonic()
    return found


def _settled(running: Daemon, before: int) -> int:
    """The descriptors of a daemon that has nothing to do any more; it needs a look to see that."""
    deadline = time.monotonic() + 10
    while running.descriptors > before and time.monotonic() < deadline:
        time.sleep(0.05)
    return running.descriptors


def _faults(running: Daemon, before: int, after: int, caught: float) -> tuple[str, ...]:
    wrong = [line for line in running.lines if "please report" in line or "Traceback" in line]
    found = wrong[:5]
    found += [f"{after - before} descriptors more than before"] if after > before else []
    found += [f"a hog was caught after {caught:.1f} s only"] if caught > _LONGEST_SECONDS else []
    found += [f"it ended with {status}"] if (status := running.end()) else []
    return tuple(found)
