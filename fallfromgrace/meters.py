"""What psutil measures for us, the machine as a whole, and descriptors.

Loaded only where a configuration asks for one of these: psutil takes 2 MB.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping

import psutil

from fallfromgrace import procfs
from fallfromgrace.expression import Sample
from fallfromgrace.measures import Reader
from fallfromgrace.readings import Facet
from fallfromgrace.table import ProcessId


def readers(root: str = "/proc") -> Mapping[Facet, Reader]:
    """What can be read of a process here."""
    return {Facet.DESCRIPTORS: lambda identity: _read_descriptors(identity, root)}


def _read_descriptors(identity: ProcessId, root: str) -> Sample | None:
    limit = procfs.read_descriptor_limit(identity.pid, root)
    sample = {} if limit is None else {"fdlimit": limit}
    try:
        home = procfs.of_survivor(identity.pid, root) or f"{root}/{identity.pid}"
        return {**sample, "fds": len(os.listdir(f"{home}/fd"))}
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        return sample


# --- the machine ---


def machine(root: str = "/proc") -> Sample:
    """Everything by its name in a sample; what cannot be read is left out, and costs nothing else."""
    parts = (_memory, _swap, _load, lambda: _pressure(root))
    return {name: value for read in parts for name, value in _tried(read)}


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


def _pressure(root: str) -> Iterator[tuple[str, float]]:
    pressure = procfs.read_pressure(root)
    if pressure is not None:
        yield "pressure", pressure
