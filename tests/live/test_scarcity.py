"""The real program where little is to be had: few descriptors, no events, or more processes than it can look at."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from fallfromgrace.connector import Connector, Unavailable
from tests.victims import until, victim


def watching(mark, *rules, settings="interval: 1s"):
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"{settings}\nvictims:\n  cmdline: '{mark}'\n  actions:\n{lines}"


@contextmanager
def crowd(mark, size):
    """Idle processes that end when we do."""
    started = [subprocess.Popen(["/bin/sh", "-c", "read x", mark], stdin=subprocess.PIPE) for _ in range(size)]
    try:
        yield started
    finally:
        for each in started:
            each.kill()
            each.communicate()


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is missing: apt-get install util-linux")
def test_with_64_descriptors_all_of_a_crowd_are_signalled_and_all_commands_are_run(program, configured, mark):
    with crowd(mark, 50) as started:
        path = configured(watching(mark, "rmem > 1: [usr1 @ 1h, exec echo hello]"))
        running = program("-c", path, within=["prlimit", "--nofile=64:64"])
        until(lambda: all(each.poll() == -signal.SIGUSR1 for each in started), "all got their signal")
        running.says("output=hello", times=20)
        assert not running.said("failed")


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is missing: apt-get install util-linux")
def test_a_shortage_of_descriptors_is_told_once_and_is_over_when_it_is(program, configured, mark):
    running = program("-c", configured(watching(mark, "count > 0: log $VALUE", settings="process-events: no")))
    pid = str(running.process.pid)
    subprocess.run(["prlimit", "--pid", pid, "--nofile=3:4096"], check=True)
    with crowd(mark, 2):
        running.says("not all processes can be looked at", "Too many open files")
        time.sleep(1.5)
        assert len(running.said("not all processes")) == 1
        assert not running.said("text=")
        subprocess.run(["prlimit", "--pid", pid, "--nofile=1024:4096"], check=True)
        running.says("text=2")


def test_without_events_who_is_new_is_noticed_within_seconds_though_the_interval_is_long(program, configured, mark):
    program("-c", configured(watching(mark, "rmem > 1: term", settings="interval: 1h\nprocess-events: no")))
    with victim(mark) as new:
        until(lambda: new.ended_by() == signal.SIGTERM, "it is terminated", seconds=5)


def have_events():
    try:
        Connector(None).close()
    except Unavailable as reason:
        return str(reason)
    return ""


@pytest.mark.skipif(have_events() != "", reason=have_events() or "-")
def test_with_events_who_is_new_is_noticed_at_once(program, configured, mark):
    program("-c", configured(watching(mark, "rmem > 1: usr1", settings="interval: 1h")))
    delays = []
    for _ in range(5):
        with crowd(mark, 1) as [new]:
            began = time.monotonic()
            until(lambda new=new: new.poll() == -signal.SIGUSR1, "it has its signal")
            delays.append(time.monotonic() - began)
    assert min(delays) < 0.5  # a look each second would take that long on the average


STORM = """
import os, sys, time
end = time.monotonic() + 2
while time.monotonic() < end:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("events", ["yes", "no"])
def test_during_a_fork_storm_the_rules_hold_and_afterwards_all_is_as_before(program, configured, mark, events):
    running = program("-c", configured(watching(mark, "rmem > 60m: term", settings=f"process-events: {events}")))
    storms = [subprocess.Popen([sys.executable, "-c", STORM]) for _ in range(2)]
    try:
        with victim(mark, mib=64) as during:
            until(lambda: during.ended_by() == signal.SIGTERM, "it is terminated")
    finally:
        for storm in storms:
            storm.wait()
    with victim(mark, mib=64) as afterwards:
        until(lambda: afterwards.ended_by() == signal.SIGTERM, "it is terminated")
    assert not running.said("report this")
    assert not running.said("for want of")
    assert len(os.listdir(f"/proc/{running.process.pid}/fd")) < 20


def test_who_grows_to_a_limit_far_below_the_interval_is_caught_on_the_way(program, configured, mark):
    """It leaks 160 MiB a second; a look every hour would never see it."""
    program("-c", configured(watching(mark, "rmem > 200m: term", settings="interval: 1h")))
    with victim(mark, mib=10, what="leak") as leaking:
        until(lambda: leaking.ended_by() == signal.SIGTERM, "it is terminated", seconds=10)
