"""What processes use besides space: wants answered, each process read by its number and then held to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping

from fallfromgrace import procfs
from fallfromgrace.expression import Sample
from fallfromgrace.readings import Facet, Want
from fallfromgrace.table import ProcessId

# Reads one facet of a process; None where that has ended.
Reader = Callable[[ProcessId], Sample | None]

_TICKS = os.sysconf("SC_CLK_TCK")


def age(start: int) -> float:
    """Seconds since a process started: they go on while the machine sleeps, and when its clock is set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start / _TICKS


def by_identity(wants: Iterable[Want]) -> dict[ProcessId | None, list[Facet]]:
    """What is wanted of each process."""
    asked: dict[ProcessId | None, list[Facet]] = {}
    for identity, facet in wants:
        asked.setdefault(identity, []).append(facet)
    return asked


def measure(
    identity: ProcessId, facets: Iterable[Facet], readers: Mapping[Facet, Reader], root: str = "/proc"
) -> Sample | None:
    """Several facets of one process; None where it has ended.

    `stat` is read last: if the process is there then, it was there before, and all that was read is about it.
    """
    facets = list(facets)
    found = parts(identity, facets, readers)
    return None if found is None else confirmed(identity, facets, found, procfs.read_stat(identity.pid, root))


def parts(identity: ProcessId, facets: Iterable[Facet], readers: Mapping[Facet, Reader]) -> Sample | None:
    """What is not in `stat`, of whoever has the pid; what there is no reader for is not known."""
    found: dict[str, float] = {}
    for facet in facets:
        part = readers[facet](identity) if facet in readers else {}
        if part is None:
            return None
        found.update(part)
    return found


def confirmed(identity: ProcessId, facets: Iterable[Facet], found: Sample, stat: procfs.Stat | None) -> Sample | None:
    """The same with what `stat` says, which was read afterwards; None where that is of somebody else."""
    if stat is None or stat.start != identity.start or stat.ended:
        return None
    return {**found, **_of_stat(stat)} if Facet.STAT in facets else found


def _of_stat(stat: procfs.Stat) -> Sample:
    return {"cputime": stat.ticks / _TICKS, "threads": stat.threads, **without_stat(stat.start, stat.state)}


def without_stat(start: int, state: str) -> Sample:
    """What is known of a process whose `stat` cannot be read."""
    return {"age": age(start), "stopped": int(state == "T")}
