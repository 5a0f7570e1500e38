import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import mock
import psutil
import pytest

from fallfromgrace import procfs, source
from fallfromgrace.readings import Facet, Want
from fallfromgrace.source import CUT, LONGEST_CMDLINE, PsutilSource, Rollups
from fallfromgrace.table import Image, ProcessId
from tests.builders import MIB, process, table
from tests.victims import DEADLINE_SECONDS, marker, state, until, victim


def found(looked_at, pid):
    return next((process for process in looked_at if process.id.pid == pid), None)


def test_a_command_line_is_cut_with_a_mark_so_that_the_end_of_a_regex_does_not_match_there():
    for length, shown in [(LONGEST_CMDLINE, "x" * LONGEST_CMDLINE), (LONGEST_CMDLINE + 1, "x" * LONGEST_CMDLINE + CUT)]:
        with mock.patch.object(source.procfs, "read_cmdline", return_value="x" * length) as read:
            assert source._read_image(os.getpid()).cmdline == shown
            assert read.call_args.args[1] <= 4 * LONGEST_CMDLINE + 1  # not the 2 MB that it may be


def test_a_look_shows_real_processes_with_their_parents_and_no_kernel_threads():
    with victim(marker(), mib=1) as hog:
        looked_at = PsutilSource().look(0)
        seen = found(looked_at, hog.pid)
        assert (seen.ppid, seen.image.uid, seen.alive) == (os.getpid(), os.geteuid(), True)
        assert hog.process.args[3] in seen.image.cmdline
    threads = [pid for pid in psutil.pids() if (stat := procfs.read_stat(pid)) and stat.kernel_thread]
    assert not [pid for pid in threads if found(looked_at, pid)]


def test_a_look_shows_what_a_process_executes():
    with victim(marker()) as hog:
        looked = PsutilSource()
        seen, (read, _) = found(looked.look(0), hog.pid), looked.reread(hog.pid)
    assert seen.image.exe == read.image.exe == os.path.realpath(sys.executable)


# --- measures ---


def measured(hog, *facets, looked=None, now=0.0):
    """A sample of a victim."""
    identity = identity_of(hog.pid)
    return (looked or PsutilSource()).measure([Want(identity, facet) for facet in facets], now)[identity]


def identity_of(pid):
    return ProcessId(pid, procfs.read_stat(pid).start)


def test_memory_is_that_of_the_kernel():
    with victim(marker(), mib=64) as hog:
        pages = [int(word) for word in Path(f"/proc/{hog.pid}/statm").read_text().split()]
        vmem, rmem = (count * os.sysconf("SC_PAGESIZE") for count in pages[:2])
        assert measured(hog, Facet.MEMORY) == {"rmem": rmem, "vmem": vmem}
        assert 64 * MIB < rmem < 128 * MIB


def test_proportional_memory_is_that_of_the_kernel():
    with victim(marker(), mib=64) as hog:
        sample, (pss, uss, swap) = measured(hog, Facet.ROLLUP), procfs.read_rollup(hog.pid)
        assert (sample["pmem"], sample["umem"], sample["swap"]) == pytest.approx((pss, uss, swap), rel=0.05)
        assert sample.keys() == {"pmem", "umem", "swap"}
        assert 64 * MIB < sample["umem"] <= sample["pmem"] <= measured(hog, Facet.MEMORY)["rmem"]


def test_time_used_and_threads_are_those_of_the_kernel(monkeypatch):
    ticks = os.sysconf("SC_CLK_TCK")
    stat = procfs.read_stat(os.getpid())._replace(start=900 * ticks, ticks=5 * ticks // 2, threads=7)
    monkeypatch.setattr(source.procfs, "read_stat", lambda _: stat)
    monkeypatch.setattr(source.time, "clock_gettime", {source.time.CLOCK_BOOTTIME: 1000.25}.get)
    identity = ProcessId(os.getpid(), stat.start)
    sample = PsutilSource().measure([Want(identity, Facet.STAT)], 0)[identity]
    assert sample == {"cputime": 2.5, "threads": 7, "age": 100.25}


def test_time_used_and_threads_of_a_real_process_are_sensible():
    with victim(marker()) as hog:
        sample = measured(hog, Facet.STAT)
    assert sample["threads"] == 1
    assert 0 <= sample["cputime"] <= sample["age"] + 0.1 < DEADLINE_SECONDS


def test_what_was_read_and_written_is_counted_since_the_start(tmp_path):
    code = (
        f"import os; f = open({str(tmp_path / 'f')!r}, 'wb'); f.write(b'x' * 3000000); f.flush(); os.fsync(f.fileno())"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('written', flush=True); input()"], stdin=-1, stdout=-1
    )
    try:
        writer.stdout.readline()
        identity = identity_of(writer.pid)
        counts = dict(line.split(": ") for line in Path(f"/proc/{writer.pid}/io").read_text().splitlines())
        sample = PsutilSource().measure([Want(identity, Facet.IO)], 0)[identity]
        assert sample == {name: int(counts[name]) for name in ("read_bytes", "write_bytes")}
    finally:
        writer.kill()
        writer.communicate()


def test_descriptors_are_counted_and_so_is_how_many_there_may_be():
    with victim(marker()) as hog:
        resource.prlimit(hog.pid, resource.RLIMIT_NOFILE, (77, 88))
        assert measured(hog, Facet.DESCRIPTORS) == {"fds": len(os.listdir(f"/proc/{hog.pid}/fd")), "fdlimit": 77}


def test_readings_of_one_process_come_together_and_those_of_the_machine_beside_them():
    with victim(marker()) as hog, victim(marker()) as other:
        ours, theirs = identity_of(hog.pid), identity_of(other.pid)
        wants = [
            Want(ours, Facet.STAT),
            Want(None, Facet.MACHINE),
            Want(theirs, Facet.MEMORY),
            Want(ours, Facet.MEMORY),
        ]
        answer = PsutilSource().measure(wants, 0)
    assert answer.keys() == {ours, theirs, None}
    assert answer[ours].keys() == {"cputime", "threads", "age", "rmem", "vmem"}
    assert answer[theirs].keys() == {"rmem", "vmem"}
    assert {"memory", "available", "load"} <= answer[None].keys()


@pytest.mark.parametrize("facet", [facet for facet in Facet if facet is not Facet.MACHINE])
def test_of_who_has_ended_there_is_nothing_nor_of_who_has_the_pid_now(facet):
    with victim(marker()) as hog:
        identity = identity_of(hog.pid)
        stranger = identity._replace(start=identity.start - 1)
        assert PsutilSource().measure([Want(stranger, facet)], 0) == {}
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        assert PsutilSource().measure([Want(identity, facet)], 0) == {}
        hog.process.wait()
        assert PsutilSource().measure([Want(identity, facet)], 0) == {}


def test_who_ends_between_two_readings_has_ended(monkeypatch):
    identity = ProcessId(os.getpid(), procfs.read_stat(os.getpid()).start)
    stats = iter([procfs.read_stat(os.getpid()), None])
    monkeypatch.setattr(source.procfs, "read_stat", lambda _: next(stats))
    wants = [Want(identity, facet) for facet in (Facet.STAT, Facet.MEMORY, Facet.IO)]
    assert PsutilSource().measure(wants, 0) == {}
    assert not list(stats)  # and was not asked for again


DENIED, GONE, ZOMBIE = psutil.AccessDenied(1), psutil.NoSuchProcess(1), psutil.ZombieProcess(1)
MEMORY, IO, FDS = (Facet.MEMORY, "memory_info"), (Facet.IO, "io_counters"), (Facet.DESCRIPTORS, "num_fds")


@pytest.mark.parametrize(
    ("reading", "error", "names"),
    [
        (MEMORY, DENIED, set()),
        (MEMORY, GONE, None),
        (MEMORY, ZOMBIE, None),
        (IO, DENIED, set()),
        (IO, NotImplementedError(), set()),  # a kernel that does not count
        (IO, RuntimeError("/proc/1/io file was empty"), set()),
        (IO, OSError(errno.EIO, "I/O"), set()),
        (IO, GONE, None),
        (IO, ZOMBIE, None),
        (FDS, DENIED, {"fdlimit"}),
        (FDS, GONE, None),
        (FDS, ZOMBIE, None),
    ],
)
def test_what_may_not_be_read_is_unknown_and_who_is_gone_is_gone(reading, error, names):
    facet, method = reading
    identity = ProcessId(os.getpid(), procfs.read_stat(os.getpid()).start)
    with mock.patch.object(source.psutil.Process, method, side_effect=error):
        answer = PsutilSource().measure([Want(identity, facet)], 0)
    assert answer.get(identity, {None: 0}).keys() == ({None} if names is None else names)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up being it")
@pytest.mark.parametrize(
    ("facet", "names"),
    [
        (Facet.STAT, {"cputime", "threads", "age"}),
        (Facet.MEMORY, {"rmem", "vmem"}),
        (Facet.IO, set()),
        (Facet.DESCRIPTORS, {"fdlimit"}),
        (Facet.ROLLUP, set()),
    ],
)
def test_of_another_users_process_is_read_what_one_may(facet, names):
    with victim(marker()) as hog:
        child = os.fork()
        if not child:
            try:
                os.setresuid(65534, 65534, 65534)
                os._exit(0 if measured(hog, facet).keys() == names else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- proportional memory, not too often ---


class Readings:
    """Readings of `smaps_rollup` and of resident memory, made up; the former are counted and take as long as told."""

    def __init__(self, monkeypatch):
        self.count, self.takes, self.clock, self.rmem = 0, 0.0, 0.0, 1000 * MIB
        self.rollup = procfs.Rollup(500 * MIB, 400 * MIB, 2000 * MIB)
        monkeypatch.setattr(source.procfs, "read_rollup", self._read)
        monkeypatch.setattr(source, "_read_sample", lambda _: None if self.rmem is None else {"rmem": self.rmem})
        self.rollups = Rollups(lambda: self.clock)

    def _read(self, pid):
        self.count += 1
        self.clock += self.takes
        return self.rollup

    def at(self, now, pid=50, start=1):
        return self.rollups.measure(ProcessId(pid, start), now)


@pytest.mark.parametrize(
    ("takes", "times", "counts"),
    [
        (0.0, [0, 0.5, 0.99, 1, 1.99, 2], [1, 1, 1, 2, 2, 3]),
        (0.02, [0, 0.99, 1], [1, 1, 2]),
        (0.5, [0, 1, 24.9, 25, 49, 50], [1, 1, 1, 2, 2, 3]),  # 30 GiB
    ],
)
def test_it_is_read_again_no_sooner_than_after_a_second_or_fifty_times_what_it_took(takes, times, counts, monkeypatch):
    readings, made = Readings(monkeypatch), []
    readings.takes = takes
    for now in times:
        assert readings.at(now)["pmem"] == 500 * MIB
        made.append(readings.count)
    assert made == counts


def test_how_long_to_wait_follows_what_the_last_reading_took(monkeypatch):
    readings = Readings(monkeypatch)
    for now, takes in [(0, 0.5), (24, 0.0), (25, 0.0), (25.9, 0.0), (26, 0.0)]:
        readings.takes = takes
        readings.at(now)
    assert readings.count == 3


@pytest.mark.parametrize(
    ("rmem", "sample"),
    [
        (600, {"pmem": 500, "umem": 400, "swap": 2000}),
        (450, {"pmem": 450, "umem": 400, "swap": 2000}),
        (50, {"pmem": 50, "umem": 50, "swap": 2000}),
        (None, {"pmem": 500, "umem": 400, "swap": 2000}),
    ],
)
def test_what_is_kept_is_never_more_than_what_is_resident_by_then(rmem, sample, monkeypatch):
    readings = Readings(monkeypatch)
    readings.at(0)
    readings.rmem = None if rmem is None else rmem * MIB
    assert readings.at(0.5) == {name: value * MIB for name, value in sample.items()}
    readings.rmem = 1000 * MIB
    assert readings.at(0.6)["pmem"] == 500 * MIB  # it is still there: it was not a new reading that was kept


def test_what_may_not_be_read_is_nothing_and_is_not_tried_all_the_time(monkeypatch):
    readings = Readings(monkeypatch)
    readings.rollup = None
    assert [readings.at(now) for now in (0, 0.5, 0.9)] == [{}] * 3
    assert readings.count == 1


def test_each_process_is_read_for_itself_also_one_with_the_pid_of_another_before(monkeypatch):
    readings = Readings(monkeypatch)
    for pid, start in [(50, 1), (51, 1), (50, 2), (50, 1), (51, 1)]:
        readings.at(0, pid, start)
    assert readings.count == 3


def test_nothing_is_kept_of_those_who_ended(monkeypatch):
    readings = Readings(monkeypatch)
    readings.at(0, 50), readings.at(0, 51)
    readings.rollups.forget(table(process(50, start=1), process(51, start=2)))
    readings.at(0.1, 50), readings.at(0.1, 51)
    assert readings.count == 3


def test_a_look_forgets_those_who_ended():
    looked = PsutilSource()
    with victim(marker()) as hog:
        looked.look(0)
        identity = identity_of(hog.pid)
        assert measured(hog, Facet.ROLLUP, looked=looked)
        assert identity in looked._rollups._kept
    looked.look(1)
    assert identity not in looked._rollups._kept


# --- who is there ---


def test_the_stopped_and_the_ended_are_told_apart():
    looked = PsutilSource()
    with victim(marker()) as hog:
        os.kill(hog.pid, signal.SIGSTOP)
        until(lambda: state(hog.pid) == "T")
        seen = found(looked.look(0), hog.pid)
        assert seen.stopped
        os.kill(hog.pid, signal.SIGKILL)
        until(lambda: state(hog.pid) == "Z")
        assert not found(looked.look(1), hog.pid).alive
        assert looked.measure([Want(seen.id, Facet.MEMORY)], 1) == {}
        hog.process.wait()
        assert looked.reread(hog.pid) is None
        assert found(looked.look(2), hog.pid) is None


def test_everything_is_read_anew_just_before_acting():
    with victim(marker(), mib=64) as hog:
        seen, sample = PsutilSource().reread(hog.pid)
        assert seen.id == identity_of(hog.pid)
        assert seen.ppid == os.getpid()
        assert sample["rmem"] > 64 * MIB


class CountedReads:
    """A source that sees one process, as a test wants it, with the readings of its command line counted."""

    def __init__(self, monkeypatch):
        self.reads, self.cmdline = 0, "hog"
        self.stat = procfs.read_stat(os.getpid())._replace(comm="a", arguments=1)
        monkeypatch.setattr(source.psutil, "pids", lambda: [50])
        monkeypatch.setattr(source.procfs, "read_stat", lambda _: self.stat)
        monkeypatch.setattr(source, "_read_image", self._read)

    def _read(self, pid):
        self.reads += 1
        return Image(self.cmdline, 0)


def test_a_command_line_is_read_while_young_at_an_exec_and_now_and_then(monkeypatch):
    counted, looked = CountedReads(monkeypatch), PsutilSource()
    story = []
    for now, comm, arguments in [
        (0, "a", 1), (1, "a", 1), (5, "a", 1), (6, "a", 1), (30, "a", 1),  # while young
        (31, "b", 1), (32, "b", 2), (33, "b", 2), (71, "b", 2), (72, "b", 2),  # another name, other arguments
    ]:  # fmt: skip
        counted.stat = counted.stat._replace(comm=comm, arguments=arguments)
        looked.look(now)
        story.append(counted.reads)
    assert story == [1, 2, 3, 3, 3, 4, 5, 5, 5, 6]


def test_a_command_line_that_was_read_in_the_middle_of_an_exec_is_read_again_at_the_next_look(monkeypatch):
    counted, looked = CountedReads(monkeypatch), PsutilSource()
    for now in (0, 6):
        looked.look(now)
    counted.stat, counted.cmdline = counted.stat._replace(arguments=2), ""
    looked.look(10)
    counted.cmdline = "other"
    assert [each.image.cmdline for each in looked.look(11)] == ["other"]


def test_what_a_process_held_before_an_exec_is_not_told_of_it_afterwards(monkeypatch):
    counted, looked, reads = CountedReads(monkeypatch), PsutilSource(), []
    monkeypatch.setattr(source.procfs, "read_rollup", lambda _: reads.append(1) or procfs.Rollup(3, 2, 1))
    [hog] = looked.look(0)
    for now in (0, 0.2):
        assert looked.measure([Want(hog.id, Facet.ROLLUP)], now)[hog.id]["pmem"] == 3
    assert len(reads) == 1
    counted.stat, counted.cmdline = counted.stat._replace(arguments=2), "other"
    looked.look(0.4)
    looked.measure([Want(hog.id, Facet.ROLLUP)], 0.4)
    assert len(reads) == 2


def test_an_exec_is_noticed_at_the_next_look():
    looked, became = PsutilSource(), marker()
    shell = subprocess.Popen(["/bin/sh", "-c", f"read go; exec sleep 60 # {became}"], stdin=subprocess.PIPE)
    try:
        until(lambda: became in (procfs.read_cmdline(shell.pid, 1000) or ""))
        for now in (0, 10, 20):
            assert became in found(looked.look(now), shell.pid).image.cmdline
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        until(lambda: procfs.read_cmdline(shell.pid, 1000) == "sleep 60")
        assert found(looked.look(30), shell.pid).image.cmdline == "sleep 60"
    finally:
        shell.kill()
        shell.communicate()


def test_an_exec_that_keeps_the_name_is_noticed_at_the_next_look():
    """Both are python3: only where the arguments are in memory tells them apart."""
    looked, became = PsutilSource(), marker()
    second = f"import time; print('second', flush=True); time.sleep(60) # {became}"
    first = f"import os, sys; input(); os.execv(sys.executable, [sys.executable, '-c', {second!r}])"
    keeps = subprocess.Popen([sys.executable, "-c", first], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        until(lambda: "execv" in (procfs.read_cmdline(keeps.pid, 1000) or ""))
        for now in (0, 10, 20):
            assert "execv" in found(looked.look(now), keeps.pid).image.cmdline
        keeps.stdin.write(b"\n")
        keeps.stdin.flush()
        keeps.stdout.readline()
        assert "execv" not in found(looked.look(30), keeps.pid).image.cmdline
    finally:
        keeps.kill()
        keeps.communicate()


def test_who_is_gone_has_no_image():
    with victim(marker()) as hog:
        hog.process.kill()
        hog.process.wait()
        assert source._read_image(hog.pid) is None
