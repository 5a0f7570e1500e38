"""Who is ours, among real processes."""

import os
import subprocess

import pytest

from fallfromgrace import kinship, source
from fallfromgrace.kinship import Kin
from tests.builders import process
from tests.victims import marker, until, victim

US = Kin(os.getpid())


def known(pid):
    return source.read_process(pid)


@pytest.fixture
def family():
    with victim(marker(), what="parent2") as top:
        yield [top.pid, *reversed(top.family)]


def test_we_are_our_own():
    assert known(os.getpid()) in US


def test_whoever_we_have_started_is_ours_and_all_below(family):
    assert [known(pid) in US for pid in family] == [True, True, True]


def test_whoever_has_left_for_a_session_of_their_own_is_still_ours():
    shell = subprocess.Popen(["/bin/sh", "-c", "setsid sleep 60; true"])
    try:
        until(lambda: children(shell.pid))
        [sleeper] = children(shell.pid)
        until(lambda: known(sleeper).image.cmdline == "sleep 60")
        assert known(sleeper).pgid == sleeper
        assert known(sleeper) in US
    finally:
        os.kill(sleeper, 9)
        shell.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as found:
        return [int(word) for word in found.read().split()]


def test_parents_and_kin_of_others_are_not_ours(family):
    _, middle, leaf = family
    assert [known(pid) in Kin(middle) for pid in family] == [False, True, True]
    assert known(os.getppid()) not in US
    assert known(leaf) not in Kin(leaf + 0x400000)  # which is nobody


@pytest.mark.parametrize("parent", [0, 1, 0x400000])
def test_whose_chain_of_parents_ends_elsewhere_is_not_ours(parent):
    assert process(0x400001, ppid=parent, start=1 << 60) not in US


def test_nobody_who_is_older_than_we_are_is_ours_and_no_parent_of_theirs_is_asked(monkeypatch):
    monkeypatch.setattr(kinship.procfs, "read_stat", lambda _: pytest.fail("asked"))
    assert process(0x400001, ppid=os.getpid(), start=US._start - 1) not in US


def test_a_circle_of_parents_such_as_pids_that_change_hands_may_make_comes_to_an_end(monkeypatch):
    stat = kinship.procfs.read_stat(os.getpid())
    monkeypatch.setattr(kinship.procfs, "read_stat", lambda _: stat._replace(ppid=7))
    assert process(7, ppid=7, start=1 << 60) not in US
