import os
import signal

import mock
import psutil
import pytest

from fallfromgrace import procfs, reference
from fallfromgrace.readings import Facet, Want
from fallfromgrace.reference import PsutilSource
from fallfromgrace.table import ProcessId, Size
from tests.builders import MIB
from tests.proctree import Proc
from tests.victims import marker, state, until, victim


def looking_for(mark):
    made = PsutilSource()
    made.configure(lambda image: mark in image.cmdline, process_events=True)
    return made


def identity_of(pid):
    return ProcessId(pid, procfs.read_stat(pid).start)


@pytest.fixture
def proc(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    made = Proc(tmp_path)
    made.put(50, "hog", ppid=1)
    made.put(51, "kid", ppid=50)
    made.put(52, "other", ppid=1)
    made.put(53, "hog", ppid=1, state="Z")
    made.put(54, "hog", ppid=2, kernel=True)
    return made


@pytest.fixture
def hogs(proc):
    made = PsutilSource(proc.root)
    made.configure(lambda image: image.cmdline == "hog", process_events=False)
    return made


def pids(table):
    return [process.id.pid for process in table]


def test_a_table_has_the_selected_and_those_below_without_zombies_and_kernel_threads(hogs):
    assert pids(hogs.look(0)) == [50, 51]


def test_before_it_is_told_whom_to_look_for_there_is_nobody(proc):
    assert len(PsutilSource(proc.root).look(0)) == 0


def test_the_table_is_the_same_one_until_it_has_changed(hogs, proc):
    table = hogs.look(0)
    proc.put(51, "kid", ppid=50, state="R")
    proc.put(52, "something else")
    assert hogs.look(1) is table
    proc.put(51, "kid of another name", ppid=50)
    assert hogs.look(2) is not table
    table = hogs.look(3)
    hogs.configure(lambda image: image.cmdline == "hog", process_events=False)
    assert hogs.look(4) is not table


def test_it_wants_to_look_every_second_and_nothing_wakes_it(hogs):
    hogs.look(7.5)
    assert hogs.next_look() == 8.5
    assert hogs.wakes == set()


def test_real_processes_are_found_by_what_they_run_until_they_end():
    mark = marker()
    hogs = looking_for(mark)
    with victim(mark, what="parent2") as hog:
        assert sorted(pids(hogs.look(0))) == sorted([hog.pid, *hog.family])
        os.kill(hog.pid, signal.SIGKILL)
        until(lambda: state(hog.pid) == "Z")
        assert hog.pid not in pids(hogs.look(1))
        assert hogs.reread(hog.pid) is None


def test_sizes_are_those_of_the_kernel():
    with victim(marker(), mib=64) as hog:
        identity = identity_of(hog.pid)
        sizes = PsutilSource().sizes([identity, identity._replace(start=1)])
        assert sizes == {identity: procfs.read_size(hog.pid)}
        assert 64 * MIB < sizes[identity].rmem < 128 * MIB


def test_a_made_up_size_is_read_too(hogs, proc):
    proc.put(50, rmem=3 * MIB, vmem=7 * MIB)
    assert hogs.sizes([ProcessId(50, 50)]) == {ProcessId(50, 50): Size(3 * MIB, 7 * MIB)}


def test_readings_of_one_process_come_together_and_those_of_the_machine_beside_them():
    with victim(marker()) as hog, victim(marker()) as other:
        ours, theirs = identity_of(hog.pid), identity_of(other.pid)
        wants = [Want(ours, Facet.STAT), Want(None, Facet.MACHINE), Want(theirs, Facet.MEMORY)]
        answer = PsutilSource().measure([*wants, Want(ours, Facet.MEMORY)], 0)
    assert answer.keys() == {ours, theirs, None}
    assert answer[ours].keys() == {"cputime", "threads", "age", "stopped", "rmem", "vmem"}
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


@pytest.mark.parametrize(
    ("error", "names"),
    [(psutil.AccessDenied(1), set()), (psutil.NoSuchProcess(1), None), (psutil.ZombieProcess(1), None)],
)
def test_what_may_not_be_read_is_unknown_and_who_is_gone_is_gone(error, names):
    identity = identity_of(os.getpid())
    with mock.patch.object(reference.psutil.Process, "memory_info", side_effect=error):
        answer = PsutilSource().measure([Want(identity, Facet.MEMORY)], 0)
    assert answer.get(identity, {None: 0}).keys() == ({None} if names is None else names)


def test_what_a_process_held_before_an_exec_is_not_told_of_it_afterwards(hogs, proc, monkeypatch):
    reads = []
    monkeypatch.setattr(procfs, "read_rollup", lambda *_: reads.append(1) or procfs.Rollup(3, 2, 1))
    hog, wanted = ProcessId(50, 50), [Want(ProcessId(50, 50), Facet.ROLLUP)]
    for now, cmdline, count in [(0, "hog", 1), (0.2, "hog", 1), (0.4, "kid", 2), (0.6, "kid", 2)]:
        proc.put(50, cmdline)
        hogs.look(now)
        assert hogs.measure(wanted, now)[hog]["pmem"] == 3
        assert len(reads) == count
