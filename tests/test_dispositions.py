"""Signals that are lost: by the text of a status, and of real processes."""

import os
import signal
import subprocess
import sys

import pytest

from fallfromgrace import dispositions, procfs
from fallfromgrace.dispositions import loss, parse
from tests.victims import marker, until, victim

TERM = 1 << (signal.SIGTERM - 1)
FIRST = "it is the first of its PID namespace and has no handler for TERM: the kernel drops it"


def status(pids="77 1", blocked=0, ignored=0, caught=0):
    masks = f"SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
    return f"Name:\tx NSpid:\t5 1\nUid:\t0\t0\t0\t0\nNSpid:\t{pids}\nThreads:\t1\n{masks}CapInh:\t0\n".encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (status(pids="77"), ""),
        (status(pids="77\t5\t1"), FIRST),
        (status(pids="77\t5"), ""),
        (status(pids="1"), ""),  # of our own namespace: it is never signalled
        (status(pids="77\t1", caught=TERM), ""),
        (status(pids="77\t1", caught=TERM << 1), FIRST),
        (status(pids="77\t1", blocked=TERM), ""),
        (status(pids="77\t1", ignored=TERM), "it ignores TERM"),
        (status(pids="77", ignored=TERM), "it ignores TERM"),
        (status(pids="77", ignored=TERM << 1), ""),
        (status().replace(b"SigCgt", b"Sig"), ""),  # nobody can say
        (status().replace(b"NSpid:\t7", b"NSpud:\t7"), ""),  # kernels before 4.1
        (b"", ""),
    ],
)
def test_why_a_signal_is_lost_is_seen_by_the_status(text, why):
    assert dispositions._why(parse(text), signal.SIGTERM) == why


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT])
def test_what_nobody_can_be_deaf_to_is_never_lost(monkeypatch, number):
    monkeypatch.setattr(dispositions, "_read", lambda _: pytest.fail("read"))
    assert loss(1, number) == ""


def test_who_is_gone_loses_nothing():
    assert loss(0x400000, signal.SIGTERM) == ""


def test_a_process_that_ignores_a_signal_is_told_from_one_that_does_not():
    with victim(marker(), what="deaf") as deaf, victim(marker()) as hog:
        assert loss(deaf.pid, signal.SIGTERM) == "it ignores TERM"
        assert [loss(deaf.pid, signal.SIGINT), loss(hog.pid, signal.SIGTERM)] == ["", ""]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it groups")
def test_a_process_of_many_groups_is_read_to_the_end():
    code = "import os, signal, time; os.setgroups(range(5000)); signal.signal(15, signal.SIG_IGN)"
    member = subprocess.Popen([sys.executable, "-c", f"{code}; print(flush=True); time.sleep(60)"], stdout=-1)
    try:
        member.stdout.readline()
        assert loss(member.pid, signal.SIGTERM) == "it ignores TERM"
    finally:
        member.kill()
        member.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a PID namespace")
@pytest.mark.parametrize(
    ("code", "why"), [("pass", FIRST), ("signal.signal(15, print)", ""), ("signal.pthread_sigmask(0, [15])", "")]
)
def test_the_first_of_a_namespace_is_deaf_to_what_it_has_no_handler_for(code, why):
    arguments = [sys.executable, "-c", f"import signal, time; {code}; print(flush=True); time.sleep(60)"]
    outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *arguments], stdout=subprocess.PIPE)
    try:
        outer.stdout.readline()
        [inner] = (pid for pid in procfs.read_pids() if (stat := procfs.read_stat(pid)) and stat.ppid == outer.pid)
        assert loss(inner, signal.SIGTERM) == why
        os.kill(inner, signal.SIGTERM)
        assert procfs.read_stat(inner).state in "SR"
        os.kill(inner, signal.SIGKILL)
        until(lambda: outer.poll() is not None)
    finally:
        outer.kill()
        outer.communicate()
