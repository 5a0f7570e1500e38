"""Texts and files by the thousand, in chunks on several processors, and what comes of them."""

from __future__ import annotations

import multiprocessing
import random
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import NamedTuple

from tests.fuzz import guided
from tests.fuzz.checks import check_file, check_text
from tests.fuzz.drawn import drawn_files, drawn_texts
from tests.fuzz.texts import configurations, texts


class Tally(NamedTuple):
    """What came of one chunk; `slowest` is the longest time that one took, and which."""

    made: int = 0
    read: int = 0
    faults: tuple[str, ...] = ()
    slowest: tuple[float, str] = (0.0, "")

    def plus(self, other: Tally) -> Tally:
        faults = self.faults + other.faults
        return Tally(self.made + other.made, self.read + other.read, faults, max(self.slowest, other.slowest))


class Job(NamedTuple):
    """A chunk: what makes it, from which seed, and how many."""

    work: Callable[[str, int], Tally]
    seed: str
    number: int


def jobs(work: Callable[[str, int], Tally], seed: str, number: int, chunk: int) -> list[Job]:
    """So many in all, each chunk with a seed of its own."""
    starts = range(0, number, chunk)
    return [Job(work, f"{seed}/{at}", min(chunk, number - start)) for at, start in enumerate(starts)]


def run(todo: Sequence[Job], processes: int, seconds: float) -> dict[Callable[[str, int], Tally], Tally]:
    """What came of each kind of work; nothing new is begun after so many seconds."""
    left, ends = list(todo), time.monotonic() + seconds
    tallies = {job.work: Tally() for job in todo}
    running: dict[Future[Tally], Callable[[str, int], Tally]] = {}
    # Not forked: of a process with threads, as that of the tests, Python warns.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        while left or running:
            while left and len(running) < 2 * processes and time.monotonic() < ends:
                work, seed, number = left.pop(0)
                running[pool.submit(work, seed, number)] = work
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                work = running.pop(each)
                tallies[work] = tallies[work].plus(each.result())
    return tallies


# --- kinds of work ----------------------------------------------------------------------------------------------


def fuzz_texts(seed: str, number: int) -> Tally:
    """Texts of the generator, each for both parsers."""
    dice = random.Random(seed)
    return _tally(
        (text, lambda text=text, valid=valid: check_text(text, valid, dice)) for text, valid in texts(dice, number)
    )


def fuzz_files(seed: str, number: int) -> Tally:
    """Files of the generator."""
    dice = random.Random(seed)
    return _tally((data, lambda data=data: check_file(data)) for data in configurations(dice, number))


def hypothesis_texts(seed: str, number: int) -> Tally:
    """Texts of hypothesis, all of them valid or nearly so."""
    dice = random.Random(seed)
    return _tally(
        (text, lambda text=text, valid=valid: check_text(text, valid, dice))
        for text, valid in drawn_texts(seed, number)
    )


def hypothesis_files(seed: str, number: int) -> Tally:
    """Files of hypothesis."""
    return _tally((data, lambda data=data: check_file(data)) for data in drawn_files(seed, number))


def guided_files(seed: str, number: int) -> Tally:
    """Files that are made so that they take ways that none has taken before."""
    made, fault = guided.run(seed, number)
    return Tally(made, 0, (fault,) if fault else ())


def _tally(cases: Iterable[tuple[str | bytes, Callable[[], int | bool]]]) -> Tally:
    made = read = 0
    faults: list[str] = []
    slowest = (0.0, "")
    for case, check in cases:
        made += 1
        start = time.perf_counter()
        try:
            read += bool(check())
        except Exception as error:  # noqa: BLE001 - anything that gets through is what is looked for
            faults.append(f"{case!r}\n    {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
        slowest = max(slowest, (time.perf_counter() - start, repr(case)[:100]))
    return Tally(made, read, tuple(faults), slowest)
