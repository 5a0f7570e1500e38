import os
import signal
import subprocess
import sys
from pathlib import Path

import mock
import psutil
import pytest

from fallfromgrace import procfs, source
from fallfromgrace.source import CUT, LONGEST_CMDLINE, PsutilSource
from fallfromgrace.table import Image, ProcessId
from tests.victims import marker, state, until, victim

MIB = 1 << 20


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


def test_measures_are_those_of_the_kernel():
    with victim(marker(), mib=64) as hog:
        looked = PsutilSource()
        identity = found(looked.look(0), hog.pid).id
        sample = looked.measure([identity])[identity]
        pages = [int(word) for word in Path(f"/proc/{hog.pid}/statm").read_text().split()]
        assert (sample["vmem"], sample["rmem"]) == tuple(count * os.sysconf("SC_PAGESIZE") for count in pages[:2])
        assert 64 * MIB < sample["rmem"] < 128 * MIB


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
        assert looked.measure([seen.id]) == {}
        hog.process.wait()
        assert looked.reread(hog.pid) is None
        assert found(looked.look(2), hog.pid) is None


def test_everything_is_read_anew_just_before_acting():
    with victim(marker(), mib=64) as hog:
        process, sample = PsutilSource().reread(hog.pid)
        assert process.id == ProcessId(hog.pid, procfs.read_stat(hog.pid).start)
        assert process.ppid == os.getpid()
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


@pytest.mark.parametrize(
    ("error", "sample"),
    [(psutil.AccessDenied(1), {}), (psutil.NoSuchProcess(1), None), (psutil.ZombieProcess(1), None)],
)
def test_what_may_not_be_read_is_unknown_and_who_is_gone_is_gone(error, sample):
    with mock.patch.object(source.psutil.Process, "memory_info", side_effect=error):
        assert source._read_sample(os.getpid()) == sample


def test_who_is_gone_has_no_image():
    with victim(marker()) as hog:
        hog.process.kill()
        hog.process.wait()
        assert source._read_image(hog.pid) is None
