"""A daemon that is killed at random moments, again and again, and what the next one finds."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fallfromgrace import keeper
from fallfromgrace.exits import PROGRAM as NAME
from fallfromgrace.forms import Malformed, decoded, encoded
from fallfromgrace.memory import Memory
from fallfromgrace.state import Author, Bygone, Moment, Past, document, recalled
from fallfromgrace.statefile import Distrust, StateFile
from tests.torture import Figure
from tests.victims import marker, state, until, victim

TITLE = "1,000 kill -9 at random moments"
GOAL = "the next start always works, state never older than one interval"
FULL = {"kills": 1000, "writers": 5000}
SHORT = {"kills": 4, "writers": 50}

HERE = Path(__file__).parents[2]
INTERVAL = 1.0
# For a machine on which everything waits: who is to write is woken late, and so is who looks at it.
LATE = 0.25
RULES = """\
interval: 1s
limited:
  cmdline: {mark}
  actions:
    rmem > 1m: exec @ 1h echo $PID >> {directory}/ran
    rmem > 2m: log @ 3s it goes on
stopped:
  cmdline: {mark}-stopped
  actions:
    rmem > 1m: stop @ 1h
"""
# What no start is to say.
AMISS = ("please report", "Traceback", "is no state", "cannot write", "no state can be kept", "another daemon")


def run(kills: int, writers: int) -> Figure:
    """Both: the daemon itself, and somebody who does nothing but write the file."""
    with tempfile.TemporaryDirectory(prefix="kills-") as directory:
        killing = Killing(Path(directory), random.Random(kills))
        killing.run(kills)
        half_written = _killed_writers(Path(directory, "writers"), writers)
    faults = (*killing.faults, *half_written)
    said = f"{kills} kills of the daemon and {writers} of one that only writes: "
    said += f"{len(faults)} faults, state {killing.oldest:.2f} s old at most"
    return Figure(said, not faults and killing.oldest <= INTERVAL + LATE, faults)


class Killing:
    """The daemon, its victims, and what was found amiss."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.turn, self.oldest, self.faults = 0, 0.0, list[str]()
        self._directory, self._chance = directory, chance
        self._file = StateFile(f"{directory}/{NAME}/status.json")

    def run(self, kills: int) -> None:
        mark = marker()
        Path(self._directory, "x.conf").write_text(RULES.format(mark=mark, directory=self._directory))
        with victim(mark, mib=4), victim(f"{mark}-stopped", mib=4) as stopped:
            self._begin(stopped.pid)
            for done in range(kills):
                if done == kills // 2:
                    self._expect(state(stopped.pid) == "T", "who was stopped went on before it was continued")
                    os.kill(stopped.pid, signal.SIGCONT)
                    self._long(1.5 * INTERVAL)  # it is seen running, and the state is written once more
                elif self._chance.random() < 0.15:
                    self._long(2 * INTERVAL * self._chance.random())
                else:
                    self._short()
            self._expect(state(stopped.pid) != "T", "who was continued was stopped again before its time was over")
            self._end()
        ran = Path(self._directory, "ran").read_text().split()
        self._expect(len(ran) == 1, f"a command with a limit of an hour ran for {ran}")

    def _begin(self, stopped: int) -> None:
        """Until everything is done and written that is to be done once."""
        with self._daemon():
            until(lambda: state(stopped) == "T", "one is stopped")
            until(lambda: (past := self._past()) and past.memory.clocks and past.memory.limits, "that is written")

    def _short(self) -> None:
        """Killed while it starts, or not much later."""
        with self._daemon():
            time.sleep(self._chance.choice((0.05, 0.5)) * self._chance.random())

    def _long(self, seconds: float) -> None:
        """Killed so long after it has written its state for the first time."""
        with self._daemon() as daemon:
            until(lambda: (past := self._past()) and past.pid == daemon.pid, "it writes its state")
            time.sleep(seconds)
            daemon.kill()
            now = time.monotonic()
            daemon.wait()
            if past := self._past():
                self.oldest = max(self.oldest, now - past.written)

    def _end(self) -> None:
        """Once more, to be asked to end."""
        with self._daemon() as daemon:
            until(lambda: (past := self._past()) and past.pid == daemon.pid, "it writes its state")
            daemon.terminate()
            self._expect(daemon.wait(20) == 0, "it ended otherwise than it should")
        self._expect("took up the state of pid" in self._log(), "it did not take up the state")

    @contextlib.contextmanager
    def _daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable,
            str(HERE / "bin" / NAME),
            "-c",
            f"{self._directory}/x.conf",
            "--state",
            self._file.path,
        ]
        with open(self._directory / "log", "wb") as log, subprocess.Popen(command, stderr=log) as daemon:
            try:
                yield daemon
                status = daemon.poll()
            finally:
                daemon.kill()
        self._expect(status in (None, 0, -signal.SIGKILL), f"it ended by itself, with {status}: {self._log()}")
        self._check()

    def _check(self) -> None:
        """After each kill: what is left, and what was said."""
        self.turn += 1
        self._expect(self._past() is not None, "there is no state")
        self._expect(not os.path.lexists(f"{self._file.path}.bad"), "a state was set aside")
        for line in self._log().splitlines():
            self._expect(not any(word in line for word in AMISS), line)

    def _past(self) -> Past | None:
        try:
            return _past(self._file)
        except (Malformed, Bygone, Distrust, OSError) as error:
            self.faults.append(f"{type(error).__name__} {error}")
            return None

    def _log(self) -> str:
        return Path(self._directory, "log").read_text(errors="replace")

    def _expect(self, true: bool, otherwise: str) -> None:
        if not true:
            self.faults.append(f"turn {self.turn}: {otherwise}")


def _past(file: StateFile) -> Past | None:
    data = file.read() if os.path.isdir(os.path.dirname(file.path)) else None
    return None if data is None else recalled(decoded(data), keeper.boot(), time.monotonic())


# --- somebody who only writes ---

_KILL_WRITERS = "import sys; from tests.torture.kills import kill_writers; kill_writers(sys.argv[1], int(sys.argv[2]))"


def _killed_writers(directory: Path, count: int) -> list[str]:
    directory.mkdir(0o755)
    command = [sys.executable, "-c", _KILL_WRITERS, str(directory), str(count)]
    ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return [ran.stderr[-500:]] if ran.returncode else json.loads(ran.stdout)


def kill_writers(directory: str, count: int) -> None:
    """In a process of its own, which has one thread and can fork: print what was found amiss."""
    file, chance, faults = StateFile(f"{directory}/status.json"), random.Random(count), list[str]()
    author = Author("x", keeper.boot(), os.getpid(), "", Moment(0, 0))
    _write(file, author, Memory(), 0)
    last = 0.0
    for turn in range(1, count + 1):
        pid = os.fork()
        if pid == 0:
            _write_for_ever(file, author, turn)
        time.sleep(0.01 * chance.random())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            past = _past(file)
            before, last = last, past.memory.limits["m", "a", None] if past else -1.0
            if last < before:
                faults.append(f"writer {turn}: what was written went back from {before} to {last}")
        except Exception as error:  # noqa: BLE001 - each is a fault to be told
            faults.append(f"writer {turn}: {error!r}")
    print(json.dumps(faults))


def _write_for_ever(file: StateFile, author: Author, turn: int) -> None:
    memory, chance = Memory(), random.Random(turn)
    try:
        while True:
            # Now small, now large: what is written over and not whole would show.
            for number in range(chance.choice((1, 10, 1000))):
                memory.limits["m", f"exec @ 1h {number}", None] = 1.0
            _write(file, author, memory, turn)
            memory.limits.clear()
    finally:
        os._exit(1)


def _write(file: StateFile, author: Author, memory: Memory, turn: int) -> None:
    memory.limits["m", "a", None] = turn / 1e6
    file.replace(encoded(document(author, memory, Moment(0, time.monotonic()))))
