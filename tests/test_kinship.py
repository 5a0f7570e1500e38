"""Who is ours, among real processes."""

import os
import subprocess

import pytest

from fallfromgrace import kinship, source
from fallfromgrace.kinship import Kin
from tests.builders import process
from tests.victims import marker, until, victim

US = os.getpid()


def known(pid):
    return source.read_process(pid)


@pytest.fixture
def family():
    with victim(marker(), what="parent2") as top:
        yield [top.pid, *reversed(top.family)]


def test_we_are_our_own():
    assert known(US) in Kin(US)


def test_a_command_is_ours_and_all_below(family):
    ours = Kin(US, lambda: {family[0]})
    assert [known(pid) in ours for pid in family] == [True, True, True]


def test_so_is_what_we_fork_ourselves():
    ours = Kin(US)
    with subprocess.Popen(["sleep", "60"]) as child:
        assert known(child.pid) in ours
        child.kill()


def test_whoever_has_left_for_a_session_of_their_own_is_still_ours():
    shell = subprocess.Popen(["/bin/sh", "-c", "setsid sleep 60; true"])
    try:
        until(lambda: children(shell.pid))
        [sleeper] = children(shell.pid)
        until(lambda: known(sleeper).image.cmdline == "sleep 60")
        assert known(sleeper).pgid == sleeper
        assert known(sleeper) in Kin(US, lambda: {shell.pid})
    finally:
        os.kill(sleeper, 9)
        shell.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as found:
        return [int(word) for word in found.read().split()]


def test_parents_and_kin_of_others_are_not_ours(family):
    _, middle, leaf = family
    ours = Kin(0x400000, lambda: {middle})  # who is nobody
    assert [known(pid) in ours for pid in family] == [False, True, True]
    assert known(os.getppid()) not in Kin(US, lambda: {leaf})


def test_an_orphan_that_we_get_and_what_was_started_before_us_are_not_ours():
    orphan = process(4711, ppid=US, pgid=4711, start=1 << 60)
    assert orphan not in Kin(US)
    assert process(4711, ppid=US, pgid=os.getpgid(0), start=1) not in Kin(US)
    assert orphan in Kin(US, lambda: {4711})


@pytest.mark.parametrize("parent", [0, 1, 0x400000])
def test_whose_chain_of_parents_ends_elsewhere_is_not_ours(parent):
    assert process(0x400001, ppid=parent, start=1 << 60) not in Kin(US, lambda: {4711})


def test_a_circle_of_parents_such_as_pids_that_change_hands_may_make_comes_to_an_end(monkeypatch):
    monkeypatch.setattr(kinship.procfs, "read_parent", lambda _: 7)
    assert process(8, ppid=7, start=1 << 60) not in Kin(US, lambda: {4711})
