"""`explain`: what every monitor and each of its rules makes of one process, what would be done to it, and when."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fallfromgrace import config, exits, files, measures, privileges, procfs, published, terminal, tidings
from fallfromgrace.arguments import DEFAULT_CONFIG
from fallfromgrace.config import Written
from fallfromgrace.docket import Case
from fallfromgrace.errors import ConfigError
from fallfromgrace.explanation import Basis, Explained, Explanation, as_json, lines
from fallfromgrace.expression import RATES, Growth
from fallfromgrace.logs import one_line
from fallfromgrace.memory import Memory
from fallfromgrace.observer import Observer, Scene, as_daemon
from fallfromgrace.progress import Progress
from fallfromgrace.published import Published
from fallfromgrace.records import dataclass, replace
from fallfromgrace.relations import cases, relation
from fallfromgrace.rules import Config
from fallfromgrace.table import Descent, Process
from fallfromgrace.units import format_duration
from fallfromgrace.values import owner

# Rates are taken over so long here, whatever the interval is.
_RATE_SECONDS = 1.0
_STEP_SECONDS = 0.1
_MOST_PARENTS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """Which process; without a configuration that of the daemon which keeps `state`, or the usual one."""

    config: Path | None
    state: str
    pid: int
    as_json: bool = False


def run(options: Options) -> int:
    """The exit status: 1 where no monitor is about the process, or there is none."""
    if why := _nobody(options.pid):
        return _tell_nobody(options, why)
    found = _daemon(options.state)
    path = options.config or Path(found.config if found else DEFAULT_CONFIG)
    written = _read(path, None if options.config else found)
    explanation = _explained(options.pid, By(written.config, path, files.changed_at(written.files)), found)
    if explanation is None:
        return _tell_nobody(options, f"process {options.pid} has ended")
    if options.as_json:
        _print_json(as_json(explanation))
    else:
        print(terminal.showable("\n".join(lines(explanation, terminal.width(), terminal.colourful()))))
    if explanation.ended:
        exits.complain(f"process {options.pid} has ended while it was being explained")
        return exits.NO
    return exits.OK if any(each.covered or each.reached for each in explanation.relations) else exits.NO


class By(NamedTuple):
    """What is explained by: a configuration, its file, and when that was last changed."""

    config: Config
    path: Path
    changed: float


def _print_json(values: object) -> None:
    """ASCII: bytes that are no text have become escapes by then."""
    print(json.dumps(values, indent=2))


def _tell_nobody(options: Options, why: str) -> int:
    if options.as_json:
        _print_json({"pid": options.pid, "process": None, "why": why})
    else:
        exits.complain(why)
    return exits.NO


# --- who that is ---

_STATUS = re.compile(rb"^(Name|State|Tgid|PPid|Kthread|VmSize):\t *([^\n]*)", re.MULTILINE)
_LONGEST_STATUS = 1 << 14
# Who starts all other threads of the kernel.
_KTHREADD = 2
_HIDING = ", for /proc is mounted with hidepid; ask as root"


def _nobody(pid: int) -> str:
    """Why no rule can be about whoever has a pid; empty where one may be."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            status = dict(_STATUS.findall(file.read(_LONGEST_STATUS)))
    except PermissionError:
        return f"process {pid} is hidden from you{_HIDING}"
    except OSError:
        hidden = published.state_of(pid) == published.HIDDEN
        return f"process {pid} is hidden from you{_HIDING}" if hidden else f"there is no process {pid}"
    return _no_process(pid, {key.decode(): value.decode(errors="surrogateescape") for key, value in status.items()})


def _no_process(pid: int, status: Mapping[str, str]) -> str:
    group, parent, name = int(status.get("Tgid", pid)), int(status.get("PPid", 0)), one_line(status.get("Name", ""))
    if group != pid:
        return f"{pid} is a thread of process {group}; write {group}"
    if status.get("State", "Z")[:1] in procfs.ENDED and not procfs.of_survivor(pid):
        return f"process {pid} ({name}) has ended, and waits for its parent {parent} to take note; no monitor finds it"
    if status.get("Kthread") == "1" or ("VmSize" not in status and _KTHREADD in (pid, parent)):
        return f"{pid} ({name}) is a thread of the kernel, which no monitor finds"
    return ""


def _shown(process: Process, scene: Scene) -> Explained:
    identity, image = process.id, process.image
    return Explained(
        pid=identity.pid,
        start=identity.start,
        owner=owner(image.uid),
        cmdline=image.shown,
        exe=image.exe,
        stopped=scene.look.readings.stopped(identity) if identity in scene.look.table else process.stopped,
        age=measures.age(identity.start),
        parents=tuple(_parents(process.ppid)),
        barred=scene.look.bar(Descent(process, process, 0)),
    )


def _parents(pid: int | None) -> Iterator[tuple[int, str]]:
    for _ in range(_MOST_PARENTS):
        if not pid:
            return
        yield pid, procfs.read_comm(pid) or "?"
        pid = procfs.read_parent(pid)


# --- the daemon ---


def _daemon(state: str) -> Published | None:
    """What the daemon says that lives; a note where there is none to ask."""
    try:
        found = published.read(state)
    except exits.Failure as error:
        terminal.tell(f"note: {error}")
        return None
    if published.lives(found):
        return found
    terminal.tell(f"note: the daemon that has written {state} (pid {found.pid}) {published.end(found)}")
    return None


def _read(path: Path, daemon: Published | None) -> Written:
    try:
        return config.read(path)
    except ConfigError:
        if daemon:
            terminal.tell(f"note: the daemon (pid {daemon.pid}) goes on by what it has loaded, which 'status' shows")
        raise


def _notes(by: By, found: Published | None, asked: Sequence[Case]) -> Iterator[str]:
    if any(map(_asks_rates, asked)):
        usual = max(found.interval if found else by.config.settings.interval, _RATE_SECONDS)
        yield f"cpu, read and write are over the last second here, and over {format_duration(usual)} for the daemon"
    if not found:
        return
    if silent := tidings.silence(found, time.monotonic()):
        yield silent
    if any(case.rule.growths for case in asked):
        yield "growth is known to the daemon only, which has watched for longer; what it makes of that is shown"
    if other := tidings.divergence(found, tidings.Basis(by.config, os.path.abspath(by.path), by.changed)):
        yield other
    if procfs.read_euid(found.pid) == 0 != os.geteuid():
        yield "the daemon is root's and can read what you cannot"


# --- what is found out ---


def _explained(pid: int, by: By, found: Published | None) -> Explanation | None:
    """Everything; None where the process has ended before anything could be known of it."""
    often = replace(by.config, settings=replace(by.config.settings, interval=_RATE_SECONDS))
    with Progress(f"readings for {pid}", None) as progress:
        for lack in privileges.lacking(by.config):
            progress.tell(lack)
        seen = _Patient(progress)
        myself = as_daemon(found.pid) if found else None
        with Observer(often, progress.tell, myself=myself, going_on=seen.go_on) as observer:
            return _looked(pid, observer, found, seen.go_on, lambda asked: _basis(by, found, asked))


class _Patient:
    """Counts what was read so far."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def go_on(self, note: str = "") -> None:
        self._done += not note
        self._progress.step(self._done, note)


def _basis(by: By, found: Published | None, asked: Sequence[Case]) -> Basis:
    written = max(0.0, time.monotonic() - found.written.monotonic) if found else 0.0
    return Basis(str(by.path), found.pid if found else None, written, tuple(_notes(by, found, asked)))


def _looked(
    pid: int,
    observer: Observer,
    found: Published | None,
    go_on: Callable[[str], None],
    basis: Callable[[Sequence[Case]], Basis],
) -> Explanation | None:
    process = observer.process(pid)
    if process is None:
        return None
    scene = _scene(observer, found)
    if any(map(_asks_rates, cases(scene, process.id))):
        _wait(go_on)
        scene = _scene(observer, found)
    asked = cases(scene, process.id)
    observer.complete(scene, asked)
    known = scene.look.table.get(process.id) or process
    again = observer.process(pid)
    ended = again is None or again.id != process.id or not scene.look.readings.lives(process.id)
    shown = _shown(known, scene)
    above = [pid for pid, _ in shown.parents]
    interval = found.interval if found else 0.0
    relations = tuple(relation(covered, known, above, scene, asked, interval) for covered in scene.look.covered)
    return Explanation(shown, basis(asked), relations, scene.now, ended)


def _scene(observer: Observer, found: Published | None) -> Scene:
    """Of several looks each is the first one, but for what is counted from one to the next."""
    memory, written = (found.memory, found.written.monotonic) if found else (Memory(), None)
    observer.assume(memory, written)
    return observer.observe()


def _wait(go_on: Callable[[str], None]) -> None:
    until = time.monotonic() + _RATE_SECONDS
    while (left := until - time.monotonic()) > 0:
        go_on("a second for cpu, read and write")
        time.sleep(min(_STEP_SECONDS, left))


def _asks_rates(case: Case) -> bool:
    metrics = (each.metric if isinstance(each, Growth) else each for each in case.rule.trigger.measured)
    return any(metric.name in RATES for metric in metrics)
