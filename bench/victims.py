"""Processes that cross their limit when they are told to, and know when they were signalled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.keeper import die_with_parent

MIB = 1 << 20


class Crossing(NamedTuple):
    """From the moment the limit was crossed to the signal; and how far beyond the limit it was by then."""

    delay_ms: float
    overshoot_mib: float


class Victim:
    """See c/victim.c."""

    def __init__(self, programs: Path, limit_mib: int, word: str) -> None:
        self.word = word
        self.limit_mib = limit_mib
        self.process = subprocess.Popen(
            [programs / "victim", str(limit_mib), word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a victim ended with status {self.process.wait()}")
        return answer

    def _ask(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def hold(self, mib: int) -> None:
        """Have so much."""
        self._ask(f"hold {mib}")

    def grow(self, mib: int, rate: int = 0) -> Crossing | None:
        """Grow at so many MiB/s (0: at once), until signalled; None if that never came."""
        crossed, signalled, held = (int(word) for word in self._ask(f"grow {mib} {rate}").split())
        if not signalled:
            return None
        # The kernel counts pages in batches for each core: it may see the limit crossed a little earlier.
        delay = (signalled - crossed) / 1e6 if crossed else 0.0
        return Crossing(max(0.0, delay), held / MIB - self.limit_mib)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def victims(count: int, programs: Path, limit_mib: int, marker: str) -> Iterator[list[Victim]]:
    """So many, each with a word of its own."""
    words = [f"--run={marker}-victim{number}x" for number in range(count)]
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Victim(programs, limit_mib, word))) for word in words]
