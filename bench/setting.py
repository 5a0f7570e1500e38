"""What all phases of a run share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import PROGRAM, Contender, Task, Unavailable, far_rules
from bench.running import Running, running


@dataclass(frozen=True)
class Setting:
    """Where things are, how thorough to be, and what could not be had, by contender."""

    directory: Path
    programs: Path
    quick: bool
    ours: Path = PROGRAM
    began: float = field(default_factory=time.monotonic)
    skipped: dict[str, str] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self.began:4.0f} s] {text}", flush=True)

    def task(self, marker: str, interval: int | None = 1) -> Task:
        """Watch the groups of a crowd, that are far from their limits."""
        return Task(far_rules(marker), interval, self.directory, self.programs, self.ours)

    @contextmanager
    def all_running(self, contenders: Iterable[Contender], task: Task, warm_up: float) -> Iterator[list[Running]]:
        """All that can be had, side by side, after a time in which they find their feet."""
        with ExitStack() as stack:
            started: list[Running] = []
            for contender in contenders:
                with self.skipping(contender.name):
                    started.append(stack.enter_context(running(contender, task)))
            time.sleep(warm_up)
            yield [each for each in started if self._fit(each)]

    def _fit(self, each: Running) -> bool:
        with self.skipping(each.name):
            each.demand_alive()
            return True
        return False

    @contextmanager
    def skipping(self, name: str) -> Iterator[None]:
        """Go on without a contender that is not to be had; told once."""
        try:
            yield
        except Unavailable as why:
            if name not in self.skipped:
                self.tell(f"left out: {name}: {why}")
            self.skipped[name] = str(why)


def new_marker() -> str:
    """A word that stands in no other process's command line."""
    return f"bench-{uuid.uuid4().hex[:16]}"
