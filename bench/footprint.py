"""Memory: everybody's proportional set in a crowd of 500, and ours after a day."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.accounting import pss_kib, state
from bench.contenders import DEBIANS_PYTHON, Contender, Task, can_run_ours, everyone, our_command, python
from bench.crowd import crowd
from bench.keeper import die_with_parent
from bench.running import end
from bench.setting import Setting, new_marker

SIZE, WATCHED = 500, 40
DAEMON, BARE = "ours, detached", "bare Python"
# Seconds at which the day is held: a thousand looks at the default interval, and its end.
MOMENTS = (10_000, 86_400)
QUICK_MOMENTS = (1_000, 10_000)
DEADLINE_SECONDS = 150


def run(setting: Setting) -> dict[str, Any]:
    """KiB of each, one at a time: what two of one kind share would count for neither."""
    marker = new_marker()
    setting.tell(f"footprint: {SIZE} processes, {WATCHED} watched")
    bare = Contender(BARE, lambda task: [task.python or python(), "-I", "-c", "import time; time.sleep(60)"])
    with crowd(SIZE, WATCHED, marker, setting.programs):
        task = replace(setting.task(marker), python=_lonely_python(setting.directory))
        found: dict[str, Any] = {}
        for contender in [*everyone(), bare]:
            with setting.all_running([contender], task, 0.5) as started:
                for each in started:
                    each.contender.attend(0.7 if setting.quick else 2)
                    found[each.name] = each.pss_kib()
        found[DAEMON] = _detached(task)
        found["others with that Python"] = _sharing(task.python or python())
        setting.tell("  " + ", ".join(f"{name} {value}" for name, value in found.items()))
        found["day"] = _day(setting, task)
    return found


def _detached(task: Task) -> int:
    """As started by init."""
    with daemon(task) as pid:
        time.sleep(1)
        return pss_kib(pid)


@contextmanager
def daemon(task: Task) -> Iterator[int]:
    """Our daemon, detached; its pid."""
    pidfile = task.directory / "pid"
    subprocess.run(our_command(task, "-d", "-p", str(pidfile)), check=True, stderr=subprocess.DEVNULL)
    pid = int(pidfile.read_text())
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)  # it has become the keeper's child: the pid stays its own until all is over
        deadline = time.monotonic() + 5
        while pidfile.exists() and time.monotonic() < deadline:
            time.sleep(0.01)


def _lonely_python(directory: Path) -> str:
    """A copy of Debian's Python, which nobody else runs; empty where that is not what we use."""
    copy = directory / "python3"
    if python() == DEBIANS_PYTHON:
        shutil.copy(DEBIANS_PYTHON, copy)
        if can_run_ours(str(copy)):
            return str(copy)
    return ""


def _sharing(interpreter: str) -> int:
    """How many other processes run the same interpreter: our proportional set is smaller by what they share with us."""
    mine, count = os.path.realpath(interpreter), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and os.access(entry / "exe", os.R_OK):
            count += os.path.realpath(entry / "exe") == mine
    return count


def _day(setting: Setting, task: Task) -> dict[str, int]:
    """KiB of the real daemon at each moment of a day that is over in a minute: see c/timewarp.c."""
    moments = QUICK_MOMENTS if setting.quick else MOMENTS
    task = replace(task, interval=None)
    warp = {"LD_PRELOAD": str(task.programs / "timewarp"), "TIMEWARP": " ".join(map(str, moments))}
    process = subprocess.Popen(
        our_command(task), env={**os.environ, **warp}, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    found: dict[str, int] = {}
    try:
        for moment in moments:
            if not _stopped(process):
                setting.tell(f"  {moment} s did not pass within {DEADLINE_SECONDS} s: left out")
                break
            found[str(moment)] = pss_kib(process.pid)
            process.send_signal(signal.SIGCONT)
    finally:
        end(process)
    setting.tell("  " + ", ".join(f"after {moment} s {kib} KiB" for moment, kib in found.items()))
    return found


def _stopped(process: subprocess.Popen[bytes]) -> bool:
    """Wait until it stops itself."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if state(process.pid) == "T":
            return True
        time.sleep(0.01)
    return False
