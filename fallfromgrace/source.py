"""Where process tables come from: the port the loop reads through, and the portable source behind it, psutil."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import psutil

from fallfromgrace import machine, procfs
from fallfromgrace.expression import Sample
from fallfromgrace.readings import Facet, Want
from fallfromgrace.table import Image, Process, ProcessId, ProcessTable

# A command line may be 2 MB long and is chosen by whoever runs the process; nobody's regex needs more than this.
LONGEST_CMDLINE = 8192
# Stands for what was cut off, so that a `$` does not match at the cut.
CUT = "..."

# A process between fork and exec shows its parent's command line: a new one is read again until seen for so long.
_YOUNG_SECONDS = 5.0
# Others are read again at an exec, and after this and up to ten seconds more, spread by pid: with the default interval
# arguments that were overwritten are noticed within a minute.
_REREAD_SECONDS = 40.0


class Source(Protocol):
    """What the loop needs to know of the machine's processes."""

    def look(self, now: float) -> ProcessTable:
        """Everybody who is running, kernel threads left out."""

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """What is asked for; who has ended is not in it, what may not be read is not in the sample."""

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """Everything about one pid as it is this moment, nothing remembered; None where it has ended."""


class _Known(NamedTuple):
    """An image with what tells whether to read it again."""

    image: Image
    comm: str
    arguments: int
    first_seen: float
    read_at: float


class PsutilSource:
    """Reads `stat` of everybody at each look, command lines once for each image, and memory of who is asked for."""

    def __init__(self) -> None:
        self._known: dict[ProcessId, _Known] = {}
        self._rollups = Rollups()

    def look(self, now: float) -> ProcessTable:
        """See Source."""
        known, self._known = self._known, {}
        table = ProcessTable(process for pid in psutil.pids() if (process := self._process(pid, known, now)))
        self._rollups.forget(table)
        return table

    def _process(self, pid: int, before: dict[ProcessId, _Known], now: float) -> Process | None:
        stat = procfs.read_stat(pid)
        if stat is None or stat.kernel_thread:
            return None
        identity = ProcessId(pid, stat.start)
        known = before.get(identity)
        if known is None or _stale(known, stat, pid, now):
            image = _read_image(pid)
            if image is None:
                return None
            if known and known.image != image:
                self._rollups.drop(identity)  # what it ran before held what it said
            known = _Known(image, stat.comm, stat.arguments, known.first_seen if known else now, now)
        self._known[identity] = known
        return Process(identity, stat.ppid, stat.pgid, stat.state, known.image)

    def measure(self, wants: Iterable[Want], now: float) -> dict[ProcessId | None, Sample]:
        """See Source."""
        found: dict[ProcessId | None, Sample] = {}
        ended: set[ProcessId | None] = set()
        for want in wants:
            part = self._measured(want, now) if want.identity not in ended else None
            if part is None:
                ended.add(want.identity)
            else:
                found[want.identity] = {**found.get(want.identity, {}), **part}
        return {identity: sample for identity, sample in found.items() if identity not in ended}

    def _measured(self, want: Want, now: float) -> Sample | None:
        if want.identity is None:
            return machine.measure()
        stat = procfs.read_stat(want.identity.pid)
        if stat is None or stat.start != want.identity.start or stat.state in "ZX":
            return None
        if want.facet is Facet.STAT:
            return _of_stat(stat)
        if want.facet is Facet.ROLLUP:
            return self._rollups.measure(want.identity, now)
        return _READERS[want.facet](want.identity.pid)

    def reread(self, pid: int) -> tuple[Process, Sample] | None:
        """See Source."""
        stat, image, sample = procfs.read_stat(pid), _read_image(pid), _read_sample(pid)
        if stat is None or image is None or sample is None:
            return None
        return Process(ProcessId(pid, stat.start), stat.ppid, stat.pgid, stat.state, image), sample


def _stale(known: _Known, stat: procfs.Stat, pid: int, now: float) -> bool:
    """Whether to read an image again: it is new, it was in the middle of an exec, it is another one, or it is time."""
    young = known.read_at - known.first_seen < _YOUNG_SECONDS
    another = (stat.comm, stat.arguments) != (known.comm, known.arguments)
    return young or another or not known.image.cmdline or now - known.read_at >= _REREAD_SECONDS + pid % 10


def _read_image(pid: int) -> Image | None:
    """None where the process has ended, or may not be looked at."""
    # A character may take four bytes; one byte more tells that there was more.
    cmdline, euid = procfs.read_cmdline(pid, 4 * LONGEST_CMDLINE + 1), procfs.read_euid(pid)
    if cmdline is None or euid is None:
        return None
    shown = cmdline if len(cmdline) <= LONGEST_CMDLINE else cmdline[:LONGEST_CMDLINE] + CUT
    return Image(shown, euid, procfs.read_exe(pid))


_TICKS = os.sysconf("SC_CLK_TCK")


def _of_stat(stat: procfs.Stat) -> Sample:
    """The age goes on while the machine sleeps, and does not change when its clock is set."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - stat.start / _TICKS
    return {"cputime": stat.ticks / _TICKS, "threads": stat.threads, "age": age}


def _read_sample(pid: int) -> Sample | None:
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.AccessDenied:
        return {}
    except psutil.NoSuchProcess:
        return None
    # Without an address space it has just ended; zeros would be less than any limit.
    return {"rmem": memory.rss, "vmem": memory.vms} if memory.vms else None


def _read_io(pid: int) -> Sample | None:
    try:
        counters = psutil.Process(pid).io_counters()
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError, RuntimeError):  # not permitted, or a kernel that does not count
        return {}
    return {"read_bytes": counters.read_bytes, "write_bytes": counters.write_bytes}


def _read_descriptors(pid: int) -> Sample | None:
    limit = procfs.read_descriptor_limit(pid)
    sample = {} if limit is None else {"fdlimit": limit}
    try:
        return {**sample, "fds": psutil.Process(pid).num_fds()}
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return sample


_READERS: Mapping[Facet, Callable[[int], Sample | None]] = {
    Facet.MEMORY: _read_sample,
    Facet.IO: _read_io,
    Facet.DESCRIPTORS: _read_descriptors,
}


class _Rolled(NamedTuple):
    """What a rollup said, when, and how many seconds it took."""

    sample: Sample
    at: float
    took: float


class Rollups:
    """Proportional memory, not read too often: the kernel walks every page of the process, which has to wait if it
    maps memory meanwhile. 17 ms for each resident GiB were measured."""

    SHORTEST_SECONDS = 1.0
    SHARE = 50  # of the time at most a fiftieth is spent in it

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[ProcessId, _Rolled] = {}

    def measure(self, identity: ProcessId, now: float) -> Sample:
        """What it says, or said a moment ago; nothing where it may not be read."""
        kept = self._kept.get(identity)
        if kept and now - kept.at < max(self.SHORTEST_SECONDS, self.SHARE * kept.took):
            return _no_more_than_resident(kept.sample, identity.pid)
        began = self._clock()
        rollup = procfs.read_rollup(identity.pid)
        sample = {"pmem": rollup.pss, "umem": rollup.uss, "swap": rollup.swap} if rollup else {}
        self._kept[identity] = _Rolled(sample, now, self._clock() - began)
        return sample

    def drop(self, identity: ProcessId) -> None:
        """Forget what was said of a process that runs something else now."""
        self._kept.pop(identity, None)

    def forget(self, table: ProcessTable) -> None:
        """Forget what was said of processes that have ended."""
        self._kept = {identity: kept for identity, kept in self._kept.items() if identity in table}


def _no_more_than_resident(sample: Sample, pid: int) -> Sample:
    """What was read a while ago, of a process that may have become smaller since."""
    resident = (_read_sample(pid) or {}).get("rmem", math.inf)
    return {name: value if name == "swap" else min(value, resident) for name, value in sample.items()}
