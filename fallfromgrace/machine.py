"""What the machine as a whole has: memory, swap, load and pressure."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator

import psutil

from fallfromgrace import procfs
from fallfromgrace.expression import Sample


def measure() -> Sample:
    """Everything by its name in a sample; what cannot be read is left out, and costs nothing else."""
    return {name: value for read in (_memory, _swap, _load, _pressure) for name, value in _tried(read)}


def _tried(read: Callable[[], Iterator[tuple[str, float]]]) -> list[tuple[str, float]]:
    try:
        return list(read())
    except (psutil.Error, OSError, RuntimeError, ValueError, KeyError):
        return []


def _memory() -> Iterator[tuple[str, float]]:
    found = psutil.virtual_memory()
    yield from (("available", found.available), ("memory", found.total))


def _swap() -> Iterator[tuple[str, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about numbers that we do not use
        found = psutil.swap_memory()
    yield from (("swapfree", found.free), ("swaptotal", found.total))


def _load() -> Iterator[tuple[str, float]]:
    yield "load", os.getloadavg()[0]


def _pressure() -> Iterator[tuple[str, float]]:
    pressure = procfs.read_pressure()
    if pressure is not None:
        yield "pressure", pressure
