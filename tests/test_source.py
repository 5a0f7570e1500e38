import os
import sys

import mock
import pytest

from fallfromgrace import procfs, source
from fallfromgrace.source import CUT, LONGEST_CMDLINE, Gone, alike, glimpse, read_process, reread
from fallfromgrace.table import ProcessId
from tests.builders import MIB, process
from tests.proctree import PAGE, Proc
from tests.victims import marker, state, until, victim


@pytest.mark.parametrize(
    ("length", "shown"),
    [(LONGEST_CMDLINE, "x" * LONGEST_CMDLINE), (LONGEST_CMDLINE + 1, "x" * LONGEST_CMDLINE + CUT)],
)
def test_a_command_line_is_cut_with_a_mark_so_that_the_end_of_a_regex_does_not_match_there(length, shown):
    with mock.patch.object(source.procfs, "read_arguments", return_value=b"x" * length) as read:
        assert read_process(os.getpid()).image.cmdline == shown
        assert read.call_args.args[1] <= 4 * LONGEST_CMDLINE + 1  # not the 2 MB that it may be


def test_a_process_is_read_with_its_parent_its_group_and_what_it_runs(tmp_path):
    proc = Proc(tmp_path)
    proc.put(42, "hog --big", ppid=7, pgid=8, start=4711, state="T", uid=9, exe="/opt/hog (deleted)")
    assert read_process(42, proc.root) == process(
        42, "hog --big", ppid=7, pgid=8, start=4711, state="T", uid=9, exe="/opt/hog"
    )  # fmt: skip


def test_of_a_glimpse_no_more_is_read_than_is_asked_for(tmp_path, monkeypatch):
    proc, reads = Proc(tmp_path), []
    proc.put(42, "hog --big", uid=9, exe="/opt/hog")
    read = procfs._read
    monkeypatch.setattr(procfs, "_read", lambda path, limit: reads.append(path.rpartition("/")[2]) or read(path, limit))
    seen = glimpse(42, proc.root)
    assert (seen.arguments, seen.cmdline, seen.asked, reads) == (
        b"hog\0--big\0",
        "hog --big",
        False,
        ["stat", "cmdline"],
    )
    assert (seen.uid, seen.uid, seen.asked, reads[2:]) == (9, 9, True, ["status"])
    assert seen.exe == "/opt/hog"


def test_who_ends_before_more_is_asked_for_is_gone(tmp_path):
    proc = Proc(tmp_path)
    proc.put(42)
    seen = glimpse(42, proc.root)
    proc.remove(42)
    with pytest.raises(Gone):
        seen.process.image  # noqa: B018 - asks for all


@pytest.mark.parametrize("what", [{"state": "Z"}, {"kernel": True}])
def test_zombies_and_kernel_threads_are_nobody(what, tmp_path):
    proc = Proc(tmp_path)
    proc.put(42, **what)
    assert read_process(42, proc.root) is None
    assert reread(42, proc.root) is None


@pytest.mark.parametrize("missing", ["stat", "cmdline", "status"])
def test_who_ends_while_it_is_read_has_ended(missing, tmp_path):
    proc = Proc(tmp_path)
    proc.put(42)
    (tmp_path / "42" / missing).unlink()
    assert read_process(42, proc.root) is None


@pytest.mark.parametrize("statm", ["", "0 0 0 0 0 0 0\n"])
def test_who_has_no_address_space_any_more_is_not_acted_upon(statm, tmp_path):
    proc = Proc(tmp_path)
    proc.put(42)
    (tmp_path / "42" / "statm").write_text(statm)
    assert reread(42, proc.root) is None


def test_everything_is_read_anew_just_before_acting(tmp_path):
    proc = Proc(tmp_path)
    for rmem in (3 * MIB, 5 * MIB):
        proc.put(42, rmem=rmem, vmem=8 * MIB)
        found, sample = reread(42, proc.root)
        assert (found.id, sample) == (ProcessId(42, 42), {"rmem": rmem, "vmem": 8 * MIB})


def test_a_real_process_is_read_as_it_is():
    with victim(marker(), mib=64) as hog:
        found, sample = reread(hog.pid)
        assert found.id == ProcessId(hog.pid, procfs.read_stat(hog.pid).start)
        assert (found.ppid, found.image.uid, found.image.exe) == (
            os.getpid(), os.geteuid(), os.path.realpath(sys.executable)
        )  # fmt: skip
        assert hog.process.args[3] in found.image.cmdline
        assert 64 * MIB < sample["rmem"] < sample["vmem"]
        assert sample["rmem"] % PAGE == 0
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        assert reread(hog.pid) is None
        hog.process.wait()
        assert reread(hog.pid) is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"state": "R"}, True),
        ({"ppid": 2}, False),
        ({"pgid": 2}, False),
        ({"start": 2}, False),
        ({"uid": 2}, False),
    ],
)
def test_two_readings_are_alike_whatever_the_process_was_doing(other, same):
    assert alike(process(50), process(50, **other)) == same
