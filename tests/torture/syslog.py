"""A loop that logs much, to a syslog daemon to which something happens: made-up processes, real sockets."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from errno import EMSGSIZE
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from fallfromgrace.logs import INFO, SyslogLog
from fallfromgrace.loop import Loop
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet
from fallfromgrace.table import Size
from fallfromgrace.verdict import Outcome, Result
from tests.builders import MIB, config, monitor, process, table
from tests.torture import Figure
from tests.victims import until

TITLE = "syslogd absent, stopped, restarted, oversize"
GOAL = "no look delayed by more than 100 ms, drops counted"
FULL = {"looks": 300, "rounds": 5}
SHORT = {"looks": 15, "rounds": 1}

_MOST_SECONDS = 0.1
_PROCESSES = 40  # each has a line in each look
_LOST = re.compile(rb"\]: (\d+) lines? lost$")

# Takes lines as a syslog daemon does, and writes them to a file.
_SYSLOGD = """
import selectors, socket, sys
path, kind, out = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "ab", 0)
listening = socket.socket(socket.AF_UNIX, kind)
listening.bind(path)
if kind == socket.SOCK_STREAM:
    listening.listen()
waiting = selectors.DefaultSelector()
waiting.register(listening, selectors.EVENT_READ)
print("ready", flush=True)
rest = {}
while True:
    for key, _ in waiting.select():
        if key.fileobj is listening and kind == socket.SOCK_STREAM:
            waiting.register(listening.accept()[0], selectors.EVENT_READ)
            continue
        data = key.fileobj.recv(1 << 16)
        if kind == socket.SOCK_DGRAM:
            out.write(data + b"\\n")
            continue
        *lines, rest[key.fd] = (rest.get(key.fd, b"") + data).split(b"\\0")
        out.write(b"".join(line + b"\\n" for line in lines))
        if not data:
            waiting.unregister(key.fileobj)
            key.fileobj.close()
            rest.pop(key.fd)
"""


class Syslogd:
    """A syslog daemon for an address, which may be ended and started again; all of them write to one file."""

    def __init__(self, directory: Path, kind: int = socket.SOCK_DGRAM) -> None:
        self.address, self._out, self._kind = directory / "log", directory / "messages", kind
        self._out.touch()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [sys.executable, "-ISE", "-c", _SYSLOGD, str(self.address), str(int(self._kind)), str(self._out)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.process.stdout.readline()

    def end(self) -> None:
        """What waits in its queue is lost with it: so it is let read that first."""
        if self.process and self.process.stdout:
            until(lambda: self._is_idle(), "it has read what was sent")
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.address.unlink()
            self.process = None

    def _is_idle(self) -> bool:
        before = self._out.stat().st_size
        time.sleep(0.02)
        return before == self._out.stat().st_size

    def restart(self) -> None:
        self.end()
        self.start()

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    @property
    def lines(self) -> list[bytes]:
        return self._out.read_bytes().splitlines()


class Trouble(NamedTuple):
    """What is so before, what happens in the middle, and what makes it well again."""

    before: Callable[[Syslogd], object]
    happens: Callable[[Syslogd], object]
    ends: Callable[[Syslogd], object]
    kind: int = socket.SOCK_DGRAM
    longest: float = inf  # bytes of a line that are taken


def _nothing(_: Syslogd) -> None:
    pass


def _replaced(syslogd: Syslogd) -> None:
    syslogd.address.rmdir() if syslogd.address.is_dir() else syslogd.address.unlink()
    syslogd.start()


_START, _END = Syslogd.start, Syslogd.end
_STOP, _CONTINUE = (lambda each: each.signal(signal.SIGSTOP)), (lambda each: each.signal(signal.SIGCONT))
TROUBLES = {
    "none": Trouble(_START, _nothing, _nothing),
    "absent": Trouble(_nothing, _nothing, _START),
    "ended": Trouble(_START, _END, _START),
    "restarted": Trouble(_START, Syslogd.restart, Syslogd.restart),
    "stopped": Trouble(_START, _STOP, _CONTINUE),
    "stopped stream": Trouble(_START, _STOP, _CONTINUE, socket.SOCK_STREAM),
    "restarted stream": Trouble(_START, Syslogd.restart, Syslogd.restart, socket.SOCK_STREAM),
    "dangling": Trouble(lambda each: each.address.symlink_to("nothing"), _nothing, _replaced),
    "a directory": Trouble(lambda each: each.address.mkdir(), _nothing, _replaced),
    "short lines only": Trouble(_START, _nothing, _nothing, longest=500),
    "lost lines only": Trouble(_START, _nothing, _nothing, longest=100),
}


def _moment() -> float:
    """Seconds, but for those in which others had the processor: that is not what a look waits for."""
    waited = Path("/proc/self/schedstat").read_text().split()[1]
    return time.perf_counter() - int(waited) / 1e9


def run(looks: int, rounds: int) -> Figure:
    faults, writes, sweeps, written, lost = [], 0.0, 0.0, 0, 0
    for name, trouble in [*TROUBLES.items()] * rounds:
        try:
            seen = _suffer(trouble, looks)
        except AssertionError as error:
            faults.append(f"{name}: {error}")
            continue
        writes, sweeps = max(writes, seen.write), max(sweeps, seen.look)
        written, lost = written + seen.written, lost + seen.lost
        if seen.arrived + seen.lost != seen.written:
            faults.append(f"{name}: of {seen.written} lines {seen.arrived} arrived, {seen.lost} are told to be lost")
        if seen.look > _MOST_SECONDS:
            faults.append(f"{name}: a look took {seen.look * 1000:.0f} ms, a line {seen.write * 1000:.1f} ms")
    said = f"{written} lines through {len(TROUBLES)} troubles, {lost} of them lost and told to be; "
    said += (
        f"at the longest a line took {writes * 1000:.1f} ms, a look with {_PROCESSES} of them {sweeps * 1000:.0f} ms"
    )
    return Figure(said, not faults, tuple(faults))


class Suffered(NamedTuple):
    """Lines, and the longest times in seconds."""

    written: int
    arrived: int
    lost: int
    write: float
    look: float


def _suffer(trouble: Trouble, looks: int) -> Suffered:
    with tempfile.TemporaryDirectory() as directory, _taking(trouble.longest):
        syslogd = Syslogd(Path(directory), trouble.kind)
        trouble.before(syslogd)
        steps = {looks // 3: trouble.happens, 2 * looks // 3: trouble.ends}
        timed = _Timed(SyslogLog(str(syslogd.address)))
        crowd = _Crowd(lambda look: steps.get(look, _nothing)(syslogd), looks)
        try:
            with _in_time():
                longest = crowd.live(timed)
            _settle(timed, syslogd)
        finally:
            timed.log.close()
            syslogd.end()
        told = [int(found[1]) for found in map(_LOST.search, syslogd.lines) if found]
        return Suffered(timed.written, len(syslogd.lines) - len(told), sum(told), timed.longest, longest)


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """What blocks for good is a failure, too."""

    def give_up(*_: object) -> None:
        raise AssertionError("it has blocked for a minute")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _settle(timed: _Timed, syslogd: Syslogd) -> None:
    """Until all is told: the loop would go on to try it."""
    moments = iter(range(10_000, 20_000))

    def told() -> bool:
        timed.log.catch_up(float(next(moments)))
        return not timed.log._lost

    until(told, "what was lost is told")
    until(lambda: any(line.endswith(b"]: ended") for line in syslogd.lines) or told(), "the last line has arrived")


@contextlib.contextmanager
def _taking(longest: float) -> Iterator[None]:
    """A kernel that takes lines of so many bytes only."""

    class Picky(socket.socket):
        def send(self, line: Any, flags: int = 0) -> int:
            if len(line) > longest:
                raise OSError(EMSGSIZE, os.strerror(EMSGSIZE))
            return super().send(line, flags)

    with mock.patch.object(socket, "socket", Picky) if longest < inf else contextlib.nullcontext():
        yield


class _Timed:
    """A log that counts lines and takes the time."""

    def __init__(self, log: SyslogLog) -> None:
        self.log, self.written, self.longest = log, 0, 0.0

    def write(self, priority: int, text: str) -> None:
        self.written += priority <= INFO
        began = _moment()
        self.log.write(priority, text)
        self.longest = max(self.longest, _moment() - began)

    def catch_up(self, now: float) -> None:
        began = _moment()
        self.log.catch_up(now)
        self.longest = max(self.longest, _moment() - began)


class _Crowd:
    """Made-up processes, each of which is signalled in each look; a second passes between two looks."""

    wakes = frozenset[int]()

    def __init__(self, step: Callable[[int], object], looks: int) -> None:
        self._step, self._left, self._looks = step, looks, 0
        self._processes = [process(pid, "hog " + "x" * 300_000) for pid in range(100, 100 + _PROCESSES)]
        self._table, self._now = table(*self._processes), 1000.0
        self.spawner = SimpleNamespace(idle=True, busy=0, groups=(), leftovers="", next_wake=inf, abandon=lambda: None)
        self.dry_run = False

    def live(self, log: _Timed) -> float:
        """The longest time of a look."""
        watched = config(monitor({"rmem > 500m": "usr1 @ 1s"}), interval=1)
        performer = SimpleNamespace(
            prepare=lambda verdict, held: verdict,
            carry_out=lambda verdict, now: Outcome(verdict, Result.SENT),
            spawner=self.spawner,
            groups=(),
            kin=(),
            dry_run=False,
        )
        running = Loop(
            watched,
            read=lambda now: None,
            source=self,
            performer=performer,
            log=log,
            myself=Self(1),
            clock=lambda: self._now,
        )
        longest, look = 0.0, running._look

        def timed(now: float) -> None:
            nonlocal longest
            self._step(self._looks)
            self._looks += 1
            began = _moment()
            look(now)
            longest = max(longest, _moment() - began)

        with (
            mock.patch.object(running, "_look", timed),
            mock.patch.object(signal, "sigtimedwait", self._wait),
            mock.patch.object(signal, "pthread_sigmask"),
            mock.patch.object(signal, "signal"),
        ):
            running.run()
        return longest

    def _wait(self, awaited: Any, seconds: float) -> Any:
        self._now += seconds
        ends = self._looks >= self._left and signal.SIGTERM in awaited
        return SimpleNamespace(si_signo=signal.SIGTERM) if ends else None

    def configure(self, selects: Any, process_events: bool) -> None:
        pass

    def prepare(self, facets: Any) -> None:
        pass

    def look(self, now: float) -> Any:
        return self._table

    def next_look(self) -> float:
        return self._now + 1

    def sizes(self, identities: Any) -> Any:
        return {each: Size(600 * MIB, 0) for each in identities}

    def measure(self, wants: Any, now: float) -> Any:
        return {identity: {"rmem": 600 * MIB, "vmem": 0} for identity, facet in wants if facet is Facet.MEMORY}

    def reread(self, pid: int) -> Any:
        return None
