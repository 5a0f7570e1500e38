"""Memory runs out, in made-up worlds at every call and line, and for a real daemon."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar
from unittest import mock

from fallfromgrace.connector import Unavailable
from fallfromgrace.linux import LinuxSource
from fallfromgrace.source import Unready
from tests.builders import MIB
from tests.live.conftest import Running
from tests.proctree import Proc
from tests.torture import Figure
from tests.torture._disturbed import Lines, Ports, deeds, live
from tests.victims import marker, until, victim

TITLE = "MemoryError from each call at the ports (source, performer, log, files), and a run squeezed by RLIMIT_AS"
GOAL = "the daemon goes on"
FULL = {
    "seed": 1,
    "calls": 2000,
    "lines": 10_000,
    "others": 500,
    "files": 500,
    "squeezes": (0, 0, 1 << 14, 1 << 17, 1 << 20),
}
SHORT = {"seed": 1, "calls": 12, "lines": 12, "others": 4, "files": 6, "squeezes": (0,)}

_Each = TypeVar("_Each")
_SHORTAGES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOSPC, errno.EIO)


def run(seed: int, calls: int, lines: int, others: int, files: int, squeezes: tuple[int, ...]) -> Figure:
    chance = random.Random(seed)
    tried, faults = 0, []
    for failing in (_calls(chance, calls), _other_errors(chance, others), _lines(chance, lines), _files(chance, files)):
        for what, world in failing:
            tried += 1
            faults += [f"{what}: {world}"] if world else []
    hogs, more = _squeezed(squeezes)
    faults += more
    said = f"{tried} runs with one failure each, {len(faults) - len(more)} did not do the same as without; "
    said += f"squeezed {len(squeezes)} times, {hogs} hogs ended afterwards"
    return Figure(said, not faults and hogs == len(squeezes), tuple(faults))


# --- in made-up worlds ---


def _calls(chance: random.Random, most: int) -> Iterator[tuple[str, str]]:
    """Each call to the outside fails once for want of memory."""
    names, _ = _undisturbed()
    for number in _some(chance, range(1, len(names) + 1), most):
        yield f"MemoryError at call {number}, {names[number - 1]}", _differs(Ports(number))


def _other_errors(chance: random.Random, most: int) -> Iterator[tuple[str, str]]:
    """Or for want of something else; a log never lets that out."""
    names, _ = _undisturbed()
    numbers = [number for number, name in enumerate(names, 1) if name not in ("write", "catch_up")]
    for number in _some(chance, numbers, most):
        code = chance.choice(_SHORTAGES)
        error = OSError(code, os.strerror(code))
        yield f"{error} at call {number}, {names[number - 1]}", _differs(Ports(number, lambda error=error: error))


def _lines(chance: random.Random, most: int) -> Iterator[tuple[str, str]]:
    """Each line of ours fails once, at one of the times that it is executed; but not after the end has begun."""
    census = Lines()
    live(Ports(), census)
    for (path, line), numbers in _some(chance, list(census.where.items()), most):
        what = f"MemoryError at {Path(path).name}, line {line}"
        yield what, _differs(Ports(), Lines(chance.choice(numbers)))


def _some(chance: random.Random, of: Sequence[_Each], most: int) -> Sequence[_Each]:
    return of if len(of) <= most else chance.sample(list(of), most)


@functools.cache
def _undisturbed() -> tuple[tuple[str, ...], Counter[tuple[int | None, str]]]:
    """What is called, and what is done."""
    ports = Ports()
    done = deeds(live(ports))
    return tuple(ports.names), done


def _differs(ports: Ports, lines: Lines | None = None) -> str:
    """What is otherwise than without the failure."""
    _, expected = _undisturbed()
    try:
        found = deeds(live(ports, lines))
    except Exception as error:  # noqa: BLE001 - it ended
        return f"it has ended: {error!r}"
    missing, more = expected - found, found - expected
    return f"not done: {dict(missing)}, done too often: {dict(more)}" if missing or more else ""


# --- with the source that reads files ---

_FILE_CALLS = ("open", "read", "pread", "listdir", "scandir", "readlink", "stat")


def _files(chance: random.Random, most: int) -> Iterator[tuple[str, str]]:
    """Each call that reads a file fails once, while processes come and go; two looks later all are known."""
    expected, names = _known(0, MemoryError())
    for number in _some(chance, range(1, len(names) + 1), most):
        code = chance.choice((errno.ENOMEM, errno.EMFILE, errno.ENFILE))
        for error in (MemoryError(), OSError(code, os.strerror(code))):
            found, _ = _known(number, error)
            missed = "" if found == expected else f"known are {found}, not {expected}"
            yield f"{error!r} at the {number}th reading, os.{names[number - 1]}", missed


def _known(fails_at: int, error: Exception) -> tuple[dict[int, int], list[str]]:
    """The sizes of those who are found in the end, by pid, and which calls read files."""
    names: list[str] = []

    def counting(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*words: object, **named: object) -> object:
            names.append(name)
            if len(names) == fails_at:
                raise error
            return call(*words, **named)

        return counted

    counted = {name: counting(name, getattr(os, name)) for name in _FILE_CALLS}
    with tempfile.TemporaryDirectory() as directory:
        proc = Proc(Path(directory))
        source = LinuxSource(lambda text: None, proc.root, connect=_no_events)
        source.configure(lambda image: "hog" in image.cmdline, True)
        for now in range(9):
            _happen(proc, now)
            with mock.patch.multiple(os, **counted), contextlib.suppress(Unready, MemoryError, OSError):
                table = source.look(float(now))
                source.sizes([each.id for each in table])
        sizes = source.sizes([each.id for each in table])
        source.close()
    return {identity.pid: size.rmem for identity, size in sizes.items()}, names


def _no_events() -> NoReturn:
    raise Unavailable("there are none")


def _happen(proc: Proc, now: int) -> None:
    if now == 0:
        proc.put(100)
        proc.put(101, "kin", ppid=100)
        proc.put(200, "vi")
    elif now == 2:
        proc.put(201, "hog x")
        proc.put(202, "kin", ppid=201, rmem=3 * MIB)
        proc.put(200, "hog y")  # it executes something else
    elif now == 4:
        proc.remove(100)
        proc.put(101, "kin", ppid=1)


# --- for real ---

_CONFIGURATION = """\
interval: 1s
victims:
  cmdline: '{mark}'
  actions:
    rmem > 60m: term
    rmem > 1: [log @ 1s here, exec @ 1s echo here]
    growth(rmem, 5s) > 1g: log grown
    group.pmem > 1t: kill
"""
# Processes that are found all at once, and a daemon that has to remember all of them.
_CROWD = 60


def _squeezed(squeezes: Sequence[int]) -> tuple[int, list[str]]:
    """How many hogs were ended by a daemon after it was not given more memory than it had; what went wrong."""
    mark, ended, faults = marker(), 0, []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "x.conf")
        path.write_text(_CONFIGURATION.format(mark=mark))
        running = Running("-c", path, "--state", "none")
        try:
            running.says("started, version")
            for more in squeezes:
                _squeeze(running, mark, more)
                with victim(mark, mib=64) as hog:
                    until(hog.ended_by, "the hog is ended")
                    ended += hog.ended_by() == signal.SIGTERM
        except (AssertionError, ProcessLookupError) as error:
            faults.append(f"squeezed: {error}")
        finally:
            status = running.end()
    faults += running.lines[:] if running.said("report this") else []
    return ended, faults + ([f"its exit status is {status}"] if status else [])


def _squeeze(running: Running, mark: str, more: int) -> None:
    """Two seconds in which there is much to do."""
    with squeezed(running.process.pid, more), contextlib.ExitStack() as crowd:
        for _ in range(_CROWD):
            crowd.enter_context(_idle(mark))
            running.hup()
            time.sleep(2 / _CROWD)


@contextlib.contextmanager
def squeezed(pid: int, more: int) -> Iterator[None]:
    """A process that may have no more memory than it has, and so many bytes."""
    resource.prlimit(pid, resource.RLIMIT_AS, (_mapped(pid) + more, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextlib.contextmanager
def _idle(mark: str) -> Iterator[None]:
    process = subprocess.Popen(["/bin/sh", "-c", "read x", mark], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def _mapped(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
