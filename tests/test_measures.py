import os

import pytest

from fallfromgrace import measures, procfs
from fallfromgrace.measures import by_identity, measure
from fallfromgrace.readings import Facet, Want
from fallfromgrace.table import ProcessId
from tests.proctree import Proc
from tests.victims import DEADLINE_SECONDS, marker, victim

ONE, OTHER = ProcessId(50, 50), ProcessId(51, 51)
MEMORY = {Facet.MEMORY: lambda _: {"rmem": 1}}


def test_wants_are_answered_process_by_process():
    wants = [Want(ONE, Facet.STAT), Want(None, Facet.MACHINE), Want(OTHER, Facet.IO), Want(ONE, Facet.IO)]
    assert by_identity(wants) == {ONE: [Facet.STAT, Facet.IO], None: [Facet.MACHINE], OTHER: [Facet.IO]}


@pytest.mark.parametrize(
    ("facets", "names"),
    [
        ([Facet.MEMORY], {"rmem"}),
        ([Facet.STAT], {"cputime", "threads", "age", "stopped"}),
        ([Facet.MEMORY, Facet.STAT, Facet.IO], {"rmem", "cputime", "threads", "age", "stopped"}),
        ([Facet.IO], set()),  # who cannot read it knows nothing of it
    ],
)
def test_a_sample_has_what_was_asked_for(facets, names, tmp_path):
    proc = Proc(tmp_path)
    proc.put(50)
    assert measure(ONE, facets, MEMORY, proc.root).keys() == names


@pytest.mark.parametrize(
    "now_there", [None, {"start": 51}, {"state": "Z"}, {"state": "X"}], ids=["gone", "another", "zombie", "dead"]
)
@pytest.mark.parametrize("facet", [Facet.MEMORY, Facet.STAT, Facet.IO])
def test_what_was_read_while_a_pid_changed_hands_is_about_nobody(facet, now_there, tmp_path):
    proc = Proc(tmp_path)
    if now_there:
        proc.put(50, **now_there)
    assert measure(ONE, [facet], MEMORY, proc.root) is None


def test_stat_is_read_once_and_after_all_else(tmp_path, monkeypatch):
    proc, reads = Proc(tmp_path), []
    proc.put(50)
    read_stat = procfs.read_stat
    monkeypatch.setattr(procfs, "read_stat", lambda *where: reads.append("stat") or read_stat(*where))
    readers = {facet: lambda _: reads.append("other") or {} for facet in (Facet.MEMORY, Facet.IO)}
    measure(ONE, [Facet.STAT, Facet.MEMORY, Facet.IO], readers, proc.root)
    assert reads == ["other", "other", "stat"]


def test_who_was_found_to_have_ended_is_not_read_any_further(tmp_path):
    proc, reads = Proc(tmp_path), []
    proc.put(50)
    readers = {Facet.MEMORY: lambda _: None, Facet.IO: reads.append}
    assert measure(ONE, [Facet.MEMORY, Facet.IO], readers, proc.root) is None
    assert reads == []


@pytest.mark.parametrize(("state", "stopped"), [("S", 0), ("R", 0), ("T", 1)])
def test_time_used_and_threads_are_those_of_the_kernel(state, stopped, tmp_path, monkeypatch):
    ticks, proc = os.sysconf("SC_CLK_TCK"), Proc(tmp_path)
    proc.put(50, start=900 * ticks, ticks=5 * ticks // 2, threads=7, state=state)
    monkeypatch.setattr(measures.time, "clock_gettime", {measures.time.CLOCK_BOOTTIME: 1000.25}.get)
    sample = measure(ProcessId(50, 900 * ticks), [Facet.STAT], {}, proc.root)
    assert sample == {"cputime": 2.5, "threads": 7, "age": 100.25, "stopped": stopped}


def test_time_used_and_threads_of_a_real_process_are_sensible():
    with victim(marker()) as hog:
        sample = measure(ProcessId(hog.pid, procfs.read_stat(hog.pid).start), [Facet.STAT], {})
    assert sample["threads"] == 1
    assert 0 <= sample["cputime"] <= sample["age"] + 0.1 < DEADLINE_SECONDS
