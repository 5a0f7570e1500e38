"""How long it takes from being started to the first look done."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from typing import Any

from bench.contenders import Task, our_command, python
from bench.crowd import crowd
from bench.footprint import daemon
from bench.keeper import die_with_parent
from bench.running import end
from bench.setting import Setting, new_marker

SIZE, WATCHED = 500, 40
FOREGROUND, DETACHED, IMPORTS = "ours, foreground", "ours, detached", "python3 -c 'import psutil, yaml, ply.yacc'"


def run(setting: Setting) -> dict[str, Any]:
    """Milliseconds, by turns; the imports alone are the yardstick."""
    marker = new_marker()
    setting.tell("start: until the first look is done")
    times: dict[str, list[float]] = {IMPORTS: [], FOREGROUND: [], DETACHED: []}
    with crowd(SIZE, WATCHED, marker, setting.programs):
        task = setting.task(marker)
        for _ in range(5 if setting.quick else 15):
            times[IMPORTS].append(_imports())
            times[FOREGROUND].append(_foreground(task))
            times[DETACHED].append(_detached(task))
    setting.tell("  " + ", ".join(f"{name} {statistics.median(values):.0f} ms" for name, values in times.items()))
    return times


def _since(began: int) -> float:
    return (time.monotonic_ns() - began) / 1e6


def _imports() -> float:
    began = time.monotonic_ns()
    subprocess.run([python(), "-c", "import psutil, yaml, ply.yacc"], check=True)
    return _since(began)


def _foreground(task: Task) -> float:
    """It says that it is ready as to systemd."""
    address = str(task.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(20)
        command, environment = our_command(task), {**os.environ, "NOTIFY_SOCKET": address}
        began = time.monotonic_ns()
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        try:
            while not notify.recv(4096).startswith(b"READY=1"):
                pass
            return _since(began)
        finally:
            end(process)
            os.unlink(address)


def _detached(task: Task) -> float:
    """It returns when it is ready."""
    began = time.monotonic_ns()
    with daemon(task):
        return _since(began)
