"""The real program where memory is short: what it does so as to be there still."""

import os
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest

from fallfromgrace import privileges
from tests.torture.memory import squeezed
from tests.victims import until, victim


def status(pid, field):
    """A number of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def oom_score(pid):
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def watching(mark, *rules):
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"interval: 1s\nvictims:\n  cmdline: '{mark}'\n  actions:\n{lines}"


def readers(pid):
    """The children that read for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for each in children if Path(f"/proc/{each}/comm").read_text() == "fall-from-proc\n"]


@pytest.mark.skipif("IPC_LOCK" not in privileges.effective(), reason="needs CAP_IPC_LOCK")
def test_what_it_uses_is_locked_and_costs_no_more_than_that(program, configured, mark):
    running = program("-c", configured(watching(mark, "rmem > 1g: term")))
    pid = running.process.pid
    until(lambda: readers(pid), "a child that reads")
    [reads] = readers(pid)
    for each in (pid, reads):  # the child reads for it, and must not seem to hang when it waits for a page of its own
        locked, resident = (status(each, field) for field in ("VmLck", "VmRSS"))
        assert locked > 5000
        assert resident < 24_000  # KiB; all that it has mapped would be more


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv (util-linux)")
def test_without_the_right_to_lock_it_runs_as_well(program, configured, mark):
    path = configured(watching(mark, "rmem > 1g: term"))
    running = program("-v", "-c", path, within=["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"])
    running.says("memory is not locked")
    assert status(running.process.pid, "VmLck") == 0


def test_its_commands_are_not_spared_more_than_it_was(program, configured, mark):
    """Whatever it may have for itself."""
    ours = oom_score(os.getpid())
    running = program("-c", configured(watching(mark, "rmem > 1: exec cat /proc/self/oom_score_adj")))
    with victim(mark):
        running.says(f"output={max(0, ours)}")
    if "SYS_RESOURCE" in privileges.effective():
        assert oom_score(running.process.pid) <= -900


def test_squeezed_and_let_go_it_is_the_same_process_and_acts(program, configured, mark):
    running = program("-c", configured(watching(mark, "rmem > 60m: term", "rmem > 1: [log @ 1s x, exec @ 1s true]")))
    with squeezed(running.process.pid, 0), victim(mark):
        for _ in range(20):
            running.hup()
            time.sleep(0.1)
    with victim(mark, mib=64) as hog:
        until(lambda: hog.ended_by() == signal.SIGTERM, "it is terminated")
    assert resource.prlimit(running.process.pid, resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert not running.said("report this")
