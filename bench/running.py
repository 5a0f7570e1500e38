"""A contender at work: started, held and continued by turns, measured, ended."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bench.accounting import cpu_ns, pss_kib
from bench.contenders import Contender, Task, Unavailable
from bench.keeper import die_with_parent


class Running:
    """One process of a contender."""

    def __init__(self, contender: Contender, process: subprocess.Popen[bytes], output: Path) -> None:
        self.contender = contender
        self.process = process
        self._output = output

    @property
    def name(self) -> str:
        return self.contender.name

    def demand_alive(self) -> None:
        """Unavailable if it has ended by itself, or says that it cannot do what it was asked for."""
        said = self._output.read_text(errors="replace")
        refused = next((line for line in said.splitlines() if self.contender.refusal in line), None)
        if refused:
            raise Unavailable(refused)
        if self.process.poll() is not None:
            raise Unavailable(f"it ended with status {self.process.returncode}: {said.strip()[-500:]}")

    def pss_kib(self) -> int:
        return pss_kib(self.process.pid)

    def hold(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def measure(self, seconds: float, settle: float) -> float:
        """Let it run, and hold it again; CPU milliseconds for each second, of all but the first, settling ones."""
        self.process.send_signal(signal.SIGCONT)
        self.contender.attend(settle)
        cost = self.cost(seconds)
        self.hold()
        return cost

    def cost(self, seconds: float) -> float:
        """CPU milliseconds for each second, while it runs."""
        began, before = self._boundary()
        self.contender.attend(seconds)
        ended, after = self._boundary()
        return (after - before) * 1e3 / (ended - began)

    def _boundary(self) -> tuple[int, int]:
        """The moment, and the CPU used until then, in ns; where cycles have a length of their own, one's beginning."""
        if self.contender.drifts:
            return _beginning_of_work(self.process.pid)
        return time.monotonic_ns(), cpu_ns(self.process.pid)


@contextmanager
def running(contender: Contender, task: Task) -> Iterator[Running]:
    """A contender for the length of a `with` block; Unavailable where it cannot be had."""
    with tempfile.TemporaryDirectory(dir=task.directory) as directory:
        task = replace(task, directory=Path(directory))
        command, output = contender.prepare(task), task.directory / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=die_with_parent
            )
        try:
            yield Running(contender, process, output)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and make it so after two seconds."""
    with suppress(subprocess.TimeoutExpired):
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(2)
        return
    process.kill()
    process.wait()


def _beginning_of_work(pid: int) -> tuple[int, int]:
    """Wait until a process that was quiet for a tenth of a second uses CPU again."""
    deadline = quiet_since = time.monotonic_ns()
    deadline += 5 * 10**9
    before = cpu_ns(pid)
    while (now := time.monotonic_ns()) < deadline:
        if (used := cpu_ns(pid)) > before:
            if now - quiet_since > 10**8:
                break
            quiet_since = now
        before = used
        time.sleep(0.002)
    return now, before
