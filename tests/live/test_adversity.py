import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fallfromgrace import procfs
from tests.victims import until, victim

needs_prlimit = pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is missing: apt-get install util-linux")


def configuration(mark, *rules, settings="interval: 1s"):
    return f"{settings}\nvictims:\n  cmdline: '{mark}'\n  actions:\n" + "".join(f"    {rule}\n" for rule in rules)


def limit_descriptors(running, soft):
    subprocess.run(["prlimit", "--pid", str(running.process.pid), f"--nofile={soft}:4096"], check=True)


def readers(pid):
    """The children that read its configuration."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in children if (stat := procfs.read_stat(child)) and stat.comm == "fall-from-conf"]


@needs_prlimit
def test_a_reload_while_there_are_no_descriptors_is_refused_and_it_lives_on(program, configured, mark):
    running = program("-c", configured(configuration(mark, "rmem > 1: log found")))
    limit_descriptors(running, 3)
    running.hup()
    running.says("not reloaded")
    assert running.process.poll() is None
    limit_descriptors(running, 1024)
    with victim(mark):
        running.says("text=found")


@needs_prlimit
def test_it_ends_well_while_there_are_no_descriptors_though_it_has_stopped_somebody(program, configured, mark):
    with victim(mark):  # first, or it might be stopped before it is ready
        running = program("-c", configured(configuration(mark, "rmem > 1: stop @ 1h")))
        running.says("result=sent")
        limit_descriptors(running, 3)
        assert running.end() == 0
    assert running.said("ended")


def test_while_the_configuration_is_being_read_it_watches_and_can_be_ended(program, configured, mark):
    """The reader hangs, as on a file of a server that does not answer."""
    running = program("-c", configured(configuration(mark, "rmem > 1: log found")))
    time.sleep(1)  # two reloads are at least so long apart
    many = "".join(f"m{n}:\n  cmdline: {mark}-{n}\n  actions:\n    rmem > {n + 1}g: log x\n" for n in range(1000))
    configured(many + configuration(mark, "rmem > 1: log found"))
    running.hup()
    until(lambda: readers(running.process.pid), "it reads")
    (reader,) = readers(running.process.pid)
    os.kill(reader, signal.SIGSTOP)
    with victim(mark):
        running.says("text=found")
    assert not running.said("reloaded")
    assert running.end() == 0
    until(lambda: "Z" in state(reader) or not state(reader), "nobody reads any more")


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_without_events_a_zombie_counts_no_more_within_seconds_though_its_list_entry_stays(program, configured, mark):
    rules = ("count < 1: log nobody", "count > 0: log somebody")
    with victim(mark) as old:
        time.sleep(6)  # who is young is read again every second anyway
        running = program("-c", configured(configuration(mark, *rules, settings="interval: 1s\nprocess-events: no")))
        running.says("text=somebody")
        os.kill(old.pid, signal.SIGKILL)  # and is not waited for
        began = time.monotonic()
        running.says("text=nobody")
        assert time.monotonic() - began < 5
