"""Processes that hang whoever reads their command lines, and those whose first thread has ended."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests import stalling
from tests.victims import state, until, victim

needs_stall = pytest.mark.skipif(stalling.lacking() != "", reason=stalling.lacking() or "-")


@pytest.fixture
def stall(tmp_path):
    with stalling.stall(tmp_path) as made:
        yield made


def monitor(name, selector, *rules):
    return f"{name}:\n  {selector}\n  actions:\n" + "".join(f"    {rule}\n" for rule in rules)


@needs_stall
def test_the_victims_do_hang_whoever_reads_them(stall, mark):
    (pid,) = stall.victims(mark)
    until(lambda: stalling.hangs(pid, 0.3), "it hangs", seconds=5)
    stall.close()
    until(lambda: not state(pid), "it is gone")


@needs_stall
def test_while_others_hang_a_hog_is_acted_upon_and_those_who_hang_are_found_by_their_program(
    stall, program, configured, mark
):
    before = stall.victims(mark, count=3, mib=30)
    path = configured(
        "interval: 1s\n"
        + monitor("hog", f"cmdline: {mark}-hog", "rmem > 20m: term")
        + monitor("stalled", f"exe: {stall.program}$", "rmem > 25m: log found $PID")
    )
    running = program("-c", path)
    after = stall.victims(mark, count=3, mib=30)
    began = time.monotonic()
    with victim(f"{mark}-hog", mib=32) as hog:
        until(lambda: hog.ended_by() == signal.SIGTERM, "it is terminated")
    assert time.monotonic() - began < 5
    for pid in (*before, *after):
        running.says(f'text="found {pid}"')
        running.says("cannot be read", f"process {pid} ")
    assert running.end() == 0


@needs_stall
@pytest.mark.parametrize("events", ["yes", "no"])
def test_to_begin_to_hang_saves_nobody(stall, program, configured, mark, events):
    path = configured(
        f"interval: 1s\nprocess-events: {events}\n"
        + monitor("victims", f"cmdline: {mark}", "rmem > 25m for 3s: kill", "rmem > 25m: log seen $PID")
    )
    (pid,) = stall.victims(mark, mib=30, when="later")
    running = program("-c", path)
    running.says(f'text="seen {pid}"')
    os.kill(pid, signal.SIGUSR1)
    until(lambda: stalling.hangs(pid, 0.2), "it hangs")
    running.says("action=kill", "result=sent", f"pid={pid}")


needs_compiler = pytest.mark.skipif(not shutil.which("gcc"), reason="takes gcc to make one who hangs in an exec")


@needs_stall
@needs_compiler
@pytest.mark.parametrize("events", ["yes", "no"])
def test_who_hangs_in_an_exec_keeps_nobody_and_is_not_saved(tmp_path, program, configured, mark, events):
    path = configured(
        f"interval: 1s\nprocess-events: {events}\n"
        + monitor("hog", f"cmdline: {mark}-hog", "rmem > 20m: term")
        + monitor("unknown", f"cmdline: {mark}-unknown", "rmem > 2m: log found $PID")
        + monitor("known", f"cmdline: {mark}-known", "rmem > 20m: log seen $PID", "rmem > 20m for 8s: kill")
        + monitor(
            "measured", f"cmdline: {mark}-known", "read > 1g/s or cputime > 1h or threads > 99 or fds > 999: log odd"
        )
    )
    with stalling.stall(tmp_path, stalling.who_executes(tmp_path)) as stall:
        (unknown,) = stall.victims(f"{mark}-unknown", mib=30, when="0")
        until(lambda: stalling.hangs(unknown, 0.3, "stat"), "it hangs", seconds=5)
        running = program("-c", path)
        running.says(f"process {unknown} ", "cannot be looked at")
        (known,) = stall.victims(f"{mark}-known", mib=30, when="4")
        running.says(f'text="seen {known}"')
        until(lambda: stalling.hangs(known, 0.3, "stat"), "it hangs too", seconds=10)
        with victim(f"{mark}-hog", mib=32) as hog:
            until(lambda: hog.ended_by() == signal.SIGTERM, "the hog is terminated", seconds=5)
        running.says("action=kill", "result=sent", f"pid={known}")
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 1


# Ends its first thread when it is told to, and sleeps on in another one.
LEADERLESS = """
import ctypes, sys, threading, time
held = bytearray(b"x") * (40 << 20)
threading.Thread(target=time.sleep, args=(60,)).start()
print("ready", flush=True)
sys.stdin.readline()
ctypes.CDLL(None).syscall(int(sys.argv[2]), 0)
"""
SYS_EXIT = {"x86_64": 60, "aarch64": 93, "riscv64": 93}.get(platform.machine())
needs_exit = pytest.mark.skipif(SYS_EXIT is None, reason="the number of exit(2) is not known for this processor")


@contextmanager
def leaderless(mark):
    """A process of which only another thread lives, as soon as `end_the_first` is called."""
    words = [sys.executable, "-c", LEADERLESS, mark, str(SYS_EXIT)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def end_the_first_thread(process):
    process.stdin.write(b"\n")
    process.stdin.flush()
    with_zombie = f"/proc/{process.pid}/stat"

    def is_zombie():
        with open(with_zombie, "rb") as stat:
            return b") Z " in stat.read()

    until(is_zombie, "its first thread has ended")


@needs_exit
@pytest.mark.parametrize("events", ["yes", "no"])
@pytest.mark.parametrize("when", ["before the start", "while it is watched"])
def test_a_process_without_its_first_thread_is_acted_upon(program, configured, mark, events, when):
    path = configured(
        f"interval: 1s\nprocess-events: {events}\n"
        + monitor("victims", f"cmdline: {mark}", "rmem > 30m: log seen", "pmem > 30m for 3s: kill")
    )
    with leaderless(mark) as process:
        if when == "before the start":
            end_the_first_thread(process)
        running = program("-c", path)
        running.says("text=seen")
        if when != "before the start":
            end_the_first_thread(process)
        until(lambda: process.poll() == -signal.SIGKILL, "it is killed")
        running.says("action=kill", "result=sent")


@needs_exit
def test_match_shows_a_process_without_its_first_thread(mark):
    from tests.live.conftest import PROGRAM

    with leaderless(mark) as process:
        end_the_first_thread(process)
        ran = subprocess.run(
            [sys.executable, PROGRAM, "match", "--cmdline", mark], capture_output=True, text=True, check=False
        )
        assert str(process.pid) in ran.stdout
