import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from fallfromgrace import procfs, source
from fallfromgrace.source import CUT, LONGEST_CMDLINE, PsutilSource, shown
from fallfromgrace.table import ProcessId
from tests.victims import marker, state, until, victim

MIB = 1 << 20


def found(looked_at, pid):
    return next((process for process in looked_at if process.id.pid == pid), None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/bin/sh", "-c", "a  b"], "/bin/sh -c a  b"),
        (["title", "", ""], "title"),
        ([], ""),
        (["x" * LONGEST_CMDLINE], "x" * LONGEST_CMDLINE),
        (["x" * LONGEST_CMDLINE, "y"], "x" * LONGEST_CMDLINE + CUT),
    ],
)
def test_a_command_line_is_its_arguments_joined_by_spaces_and_cut_with_a_mark(arguments, text):
    assert shown(arguments) == text


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
    """A source whose command lines are read from a table of our own, and the reads counted."""

    def __init__(self, monkeypatch, pid):
        self.reads, self.comm = 0, "a"
        real = procfs.read_stat(pid)
        monkeypatch.setattr(source.psutil, "pids", lambda: [pid])
        monkeypatch.setattr(source.procfs, "read_stat", lambda _: real._replace(comm=self.comm))
        read = source._read_image

        def counting(pid):
            self.reads += 1
            return read(pid)

        monkeypatch.setattr(source, "_read_image", counting)


def test_a_command_line_is_read_while_young_when_the_name_changes_and_now_and_then(monkeypatch):
    counted, looked = CountedReads(monkeypatch, os.getpid()), PsutilSource()
    story = []
    for now, comm in [(0, "a"), (1, "a"), (5, "a"), (6, "a"), (30, "a"), (31, "b"), (32, "b"), (70, "b"), (81, "b")]:
        counted.comm = comm
        looked.look(now)
        story.append(counted.reads)
    assert story == [1, 2, 3, 3, 3, 4, 4, 4, 5]


def test_an_exec_is_noticed_at_the_next_look():
    looked, became = PsutilSource(), marker()
    shell = subprocess.Popen(["/bin/sh", "-c", f"read go; exec sleep 60 # {became}"], stdin=subprocess.PIPE)
    try:
        for now in (0, 10, 20):
            assert became in found(looked.look(now), shell.pid).image.cmdline
        shell.stdin.write(b"go\n")
        shell.stdin.close()
        until(lambda: procfs.read_stat(shell.pid).comm == "sleep")
        assert found(looked.look(30), shell.pid).image.cmdline == "sleep 60"
    finally:
        shell.kill()
        shell.wait()


@pytest.mark.parametrize(
    ("error", "image", "sample"),
    [
        (psutil.AccessDenied(1), ("", 0), {}),
        (psutil.NoSuchProcess(1), None, None),
        (psutil.ZombieProcess(1), ("", 0), None),
    ],
)
def test_what_may_not_be_read_is_unknown_and_who_is_gone_is_gone(monkeypatch, error, image, sample):
    def fail(*_):
        raise error

    monkeypatch.setattr(source.psutil.Process, "cmdline", fail)
    monkeypatch.setattr(source.psutil.Process, "memory_info", fail)
    assert source._read_image(os.getpid()) == image
    assert source._read_sample(os.getpid()) == sample
