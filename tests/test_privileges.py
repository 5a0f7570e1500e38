import errno
import os
import subprocess
import sys

import pytest

from fallfromgrace import privileges
from fallfromgrace.privileges import Lacks, acts_on_everybody, effective, lacking
from tests.builders import config, monitor
from tests.proctree import Proc
from tests.victims import runs_as_user

ALL = frozenset(privileges._CAPABILITIES.values())
BY_EXE = config(monitor({}, exe="^/usr/bin/hog$"))
BY_CMDLINE = config(monitor({}))


@pytest.fixture
def proc(tmp_path):
    """One with a process 1 and another one, and ourselves with all capabilities."""
    made = Proc(tmp_path)
    made.put(1, "init", ppid=0, uid=0)
    made.put(100)
    (tmp_path / "self").mkdir()
    hold(made, 0x1FFFFFFFFFF)
    return made


def hold(proc, mask):
    (proc.path / "self" / "status").write_text(f"Name:\tus\nCapPrm:\t0000000000000020\nCapEff:\t{mask:016x}\n")


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0, frozenset()),
        (1 << 5, {"KILL"}),
        (1 << 5 | 1 << 19, {"KILL", "SYS_PTRACE"}),
        (0x1FFFFFFFFFF, ALL),
        (1 << 40, frozenset()),  # one that makes no difference to us
    ],
)
def test_what_the_kernel_says_we_have_in_words(proc, mask, names):
    hold(proc, mask)
    assert effective(proc.root) == names


def test_a_kernel_that_says_nothing_of_capabilities_gives_none(proc):
    (proc.path / "self" / "status").write_text("Name:\tus\n")
    assert effective(proc.root) == frozenset()


@pytest.mark.parametrize(("mask", "everybody"), [(0, False), (1 << 5, True), (0x1FFFFFFFFFF & ~(1 << 5), False)])
def test_who_may_signal_everybody_is_who_has_the_capability_root_or_not(proc, mask, everybody):
    hold(proc, mask)
    assert acts_on_everybody(proc.root) is everybody


@pytest.mark.skipif(not runs_as_user(), reason="needs root, setpriv, and a Python that others may run")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--reuid=64001"], set()),
        (["--reuid=64001", "--inh-caps=+kill", "--ambient-caps=+kill"], {"KILL"}),
        (["--bounding-set=-kill"], effective() - {"KILL"}),
    ],
)
def test_the_words_are_the_kernels(options, names):
    code = "from fallfromgrace.privileges import effective; print(*sorted(effective()))"
    command = ["setpriv", "--clear-groups", *options, sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == names


def test_who_may_read_everything_lacks_nothing(proc):
    assert lacking(BY_EXE, proc.root) == []


def test_without_the_capability_a_monitor_by_exe_does_not_see_others(proc):
    hold(proc, 1 << 5)
    [text] = lacking(BY_EXE, proc.root)
    assert "without CAP_SYS_PTRACE" in text
    assert lacking(BY_CMDLINE, proc.root) == []  # nobody asks


def test_who_is_refused_in_spite_of_the_capability_is_told_of(proc, monkeypatch):
    refuse(monkeypatch, f"{proc.root}/1/exe")
    [text] = lacking(BY_EXE, proc.root)
    assert "though we have CAP_SYS_PTRACE" in text


def test_of_nobody_but_process_1_is_anything_read_for_others_may_make_it_hang(proc, monkeypatch):
    refuse(monkeypatch, f"{proc.root}/100/exe")
    assert lacking(BY_EXE, proc.root) == []


def refuse(monkeypatch, path):
    real = os.readlink

    def readlink(asked):
        if asked == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(asked)

    monkeypatch.setattr(privileges.os, "readlink", readlink)


def test_who_ends_while_we_look_is_no_refusal(proc):
    (proc.path / "1" / "exe").unlink(missing_ok=True)
    assert lacking(BY_EXE, proc.root) == []


def test_a_proc_that_hides_others_is_told_of_whatever_is_asked(proc):
    proc.remove(1)
    for asked in (BY_EXE, BY_CMDLINE):
        [text] = lacking(asked, proc.root)
        assert "hidepid" in text


def test_what_lacks_is_told_once_and_again_if_it_was_over_meanwhile(proc):
    hold(proc, 0)
    told = []
    lacks = Lacks(told.append, proc.root)
    lacks.note(BY_EXE)
    lacks.note(BY_EXE)
    assert len(told) == 1
    lacks.note(BY_CMDLINE)
    lacks.note(BY_EXE)
    assert len(told) == 2
