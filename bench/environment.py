"""The machine that a run was made on, and how quiet it was."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from bench.contenders import PROGRAM, python


def description(ours: Path = PROGRAM) -> dict[str, str]:
    """What a reader needs to judge the numbers by."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "system": _system(),
        "user": "root" if os.geteuid() == 0 else "not root",
        "Python of the daemon": _said([python(), "-V"]) + f", {python()}",
        "psutil": _said([python(), "-c", "import psutil; print(psutil.__version__)"]),
        "fall-from-grace": _said([python(), "-I", str(ours), "-V"]),
        "Monit": _said(["monit", "-V"]),
        "process-exporter": _said(["prometheus-process-exporter", "-version"]),
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else platform.machine()


def _system() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return "Linux"


def _said(command: list[str]) -> str:
    """The first line of what a program says of itself."""
    with suppress(OSError):
        ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return " ".join(next(iter(ran.stdout.splitlines()), "").split())
    return "not there"


def disturbance(seconds: float) -> dict[str, float]:
    """What others do while we only wait: percent of one core, and processes started a second."""
    busy, started = _busy_ticks(), forks()
    time.sleep(seconds)
    share = (_busy_ticks() - busy) / os.sysconf("SC_CLK_TCK") / seconds
    return {"busy_percent": 100 * share, "forks_per_s": (forks() - started) / seconds}


def _busy_ticks() -> int:
    user, nice, system, _, _, irq, softirq, *_ = (int(word) for word in _stat("cpu ").split()[1:])
    return user + nice + system + irq + softirq


def forks() -> int:
    """Processes started since the machine was."""
    return int(_stat("processes").split()[1])


def _stat(key: str) -> str:
    return next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(key))
