"""Who is measured: how each is told to watch the same processes, and what it needs."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.crowd import GROUPS, group_word

PROGRAM = Path(__file__).resolve().parent.parent / "bin" / "fall-from-grace"
FAR_GIB = 100  # a limit that nobody comes near


@dataclass(frozen=True)
class Rule:
    """Who of the crowd is watched, by a word of the command line, and when `pid` (or nobody) is sent SIGUSR1."""

    word: str
    limit_mib: int = FAR_GIB * 1024
    pid: int = 0


@dataclass(frozen=True)
class Task:
    """What a contender is to do; `interval` in seconds, None for its default."""

    rules: tuple[Rule, ...]
    interval: int | None
    directory: Path
    programs: Path
    ours: Path = PROGRAM
    python: str = ""  # the usual one if empty


def far_rules(marker: str) -> tuple[Rule, ...]:
    """One for each group of the crowd."""
    return tuple(Rule(group_word(marker, group)) for group in range(GROUPS))


class Unavailable(Exception):
    """A contender that cannot be had here; the text says why, and what to do about it."""


Prepare = Callable[[Task], list[str]]


@dataclass(frozen=True)
class Contender:
    """`prepare` writes what is needed into the task's directory and gives the command; `attend` waits while it runs."""

    name: str
    prepare: Prepare
    attend: Callable[[float], None] = time.sleep
    # What in its output says that it does not do what it was asked for.
    refusal: str = "\0"
    # It looks as often as it can, not each second: what it does can only be counted in whole cycles.
    drifts: bool = False


DEBIANS_PYTHON = "/usr/bin/python3"


@cache
def python() -> str:
    """Debian's own Python, if it has what the daemon needs, as after installation of the package; else ours."""
    return DEBIANS_PYTHON if can_run_ours(DEBIANS_PYTHON) else sys.executable


def can_run_ours(interpreter: str) -> bool:
    """Whether it finds the libraries."""
    command = [interpreter, "-I", "-c", "import psutil, yaml, ply.yacc, daemon"]
    with suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False


def our_command(task: Task, *options: str, extra: str = "") -> list[str]:
    """Our daemon from this checkout, with a configuration for the task."""
    config = task.directory / "ours.conf"
    lines = [] if task.interval is None else [f"interval: {task.interval}s"]
    for number, rule in enumerate(task.rules):
        lines += [f"m{number}:", f"  cmdline: '{rule.word}'", "  actions:", f"    rmem > {rule.limit_mib}m: usr1"]
    config.write_text("\n".join([*lines, extra, ""]))
    # As it comes it keeps its state, but in a place of its own: several are measured side by side.
    state = ("--state", f"{tempfile.mkdtemp(dir=task.directory)}/status.json") if _keeps_state(task.ours) else ()
    return [task.python or python(), "-I", str(task.ours), *(options or ("-f",)), *state, "-c", str(config)]


@cache
def _keeps_state(program: Path) -> bool:
    """Whether another checkout is not older than that."""
    return "--state" in subprocess.run([python(), "-I", program, "--help"], capture_output=True, text=True).stdout


def _ours(task: Task) -> list[str]:
    return our_command(task)


def _ours_polling(task: Task) -> list[str]:
    command = our_command(task, extra="process-events: no")
    check = subprocess.run([*command[:3], "-t", "-c", command[-1]], check=False, capture_output=True, text=True)
    if check.returncode:
        raise Unavailable(f"its configuration is refused: {check.stderr.splitlines()[0]}")
    return command


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if not found:
        raise Unavailable(f"not installed; as root: apt-get install {package}")
    return found


def _monit(task: Task) -> list[str]:
    """Its cycle begins `interval` after the last one has ended; it finds one process for each check, the oldest."""
    config, where = task.directory / "monitrc", task.directory
    lines = [f"set daemon {task.interval or 1}", f"set log {where}/monit.log", f"set pidfile {where}/monit.pid"]
    lines += [f"set idfile {where}/monit.id", f"set statefile {where}/monit.state"]
    for number, rule in enumerate(task.rules):
        act = f'exec "/bin/kill -USR1 {rule.pid}"' if rule.pid else "alert"
        lines += [f'check process m{number} matching "{rule.word}"', f"  if memory > {rule.limit_mib} MB then {act}"]
    config.write_text("\n".join([*lines, ""]))
    config.chmod(0o600)
    return [_program("monit", "monit"), "-I", "-c", str(config)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _exporter() -> Contender:
    """Looks when it is asked; so we ask once a second."""
    port = _free_port()

    def prepare(task: Task) -> list[str]:
        config = task.directory / "exporter.yml"
        matchers = "".join(f"  - name: m{n}\n    cmdline: ['{rule.word}']\n" for n, rule in enumerate(task.rules))
        config.write_text(f"process_names:\n{matchers}")
        program = _program("prometheus-process-exporter", "prometheus-process-exporter")
        return [program, f"-config.path={config}", f"-web.listen-address=127.0.0.1:{port}"]

    def attend(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                page.read()
            time.sleep(max(0.0, min(now + 1, end) - time.monotonic()))

    return Contender("process-exporter", prepare, attend)


def _plain(task: Task) -> list[str]:
    words = task.directory / "words"  # a file: in its command line others would find them
    words.write_text("\n".join(rule.word for rule in task.rules))
    return [task.python or python(), "-I", str(Path(__file__).parent / "plain.py"), str(words)]


OURS, POLLING, MONIT, EXPORTER = "ours", "ours, no process events", "Monit", "process-exporter"
PLAIN, FLOOR = "plain psutil", "C floor"


def ours() -> list[Contender]:
    """With the kernel's process events, and without."""
    events = Contender(OURS, _ours, refusal="process events cannot be had")
    return [events, Contender(POLLING, _ours_polling)]


def monit() -> Contender:
    return Contender(MONIT, _monit, drifts=True)


def everyone() -> list[Contender]:
    """All who are compared, ours first."""
    floor = Contender(FLOOR, lambda task: [str(task.programs / "floor")])
    return [*ours(), monit(), _exporter(), Contender(PLAIN, _plain), floor]
