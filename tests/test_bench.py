"""The bench counts what it says, and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.victims import until

accounting = pytest.importorskip("bench.accounting", reason="the bench is not here")
from bench import crowd, native, report, victims  # noqa: E402 - see above
from bench.setting import new_marker  # noqa: E402

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler"),
]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("programs")
    for name in native.PROGRAMS:
        native.build(name, directory)
    return directory


def pids_with(word):
    """Who has a word in the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(entry.name))
    return found


def test_a_crowd_is_there_for_as_long_as_it_is_wanted(programs):
    marker = new_marker()
    with crowd.crowd(5, 2, marker, programs):
        until(lambda: len(pids_with(marker)) == 5)  # the command line of a new one is there a moment later
        assert [len(pids_with(crowd.group_word(marker, group))) for group in range(3)] == [1, 1, 0]
    assert not pids_with(marker)


@pytest.mark.parametrize(("size", "watched"), [(100, 8), (500, 40), (500, 50), (8000, 640), (5, 5)])
def test_as_many_of_a_crowd_are_watched_as_is_said(size, watched):
    lines = crowd.command_lines(size, watched, "mark")
    assert len(lines) == size
    groups = [sum(line.endswith(crowd.group_word("mark", group)) for line in lines) for group in range(crowd.GROUPS)]
    assert sum(groups) == watched
    assert max(groups) - min(groups) <= 1


def test_cpu_time_of_a_busy_process_is_counted_and_of_a_sleeping_one_is_not(programs):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    sleeping = subprocess.Popen([programs / "idle"])
    try:
        before, quiet = accounting.cpu_ns(busy.pid), accounting.cpu_ns(sleeping.pid)
        until(lambda: accounting.cpu_ns(busy.pid) - before > 50e6)
        assert accounting.cpu_ns(sleeping.pid) - quiet < 5e6
    finally:
        for each in (busy, sleeping):
            each.kill()
            each.wait()


def test_cpu_time_of_reaped_children_is_counted():
    spin = "import time\nwhile time.process_time() < 0.1: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}]); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        until(lambda: accounting.cpu_ns(parent.pid) > 100e6)
    finally:
        parent.communicate(b"\n")


def test_the_floor_looks_once_a_second(programs):
    floor = subprocess.Popen([programs / "floor"])
    try:
        until(lambda: accounting.cpu_ns(floor.pid) > 0)
        assert accounting.pss_kib(floor.pid) > 0
        assert floor.poll() is None
    finally:
        floor.kill()
        floor.wait()


def test_a_victim_knows_when_it_crossed_its_limit_and_was_signalled(programs):
    with victims.victims(1, programs, 16, new_marker()) as [victim]:
        victim.hold(8)
        sender = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.2; kill -USR1 {victim.process.pid}"])
        crossing = victim.grow(20)
        sender.wait()
    assert 0 < crossing.delay_ms < 20_000
    assert crossing.overshoot_mib == pytest.approx(4, abs=0.1)


def test_time_passes_at_once_for_who_is_preloaded(programs):
    code = (
        "import signal, time; n = time.monotonic(); signal.sigtimedwait([], 5000); print(time.monotonic() - n > 4999)"
    )
    environment = {**os.environ, "LD_PRELOAD": str(programs / "timewarp"), "TIMEWARP": "9000"}
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "True\n"
    assert time.monotonic() - began < 60


# Starts a daemon of the kind that leaves its parent and session, and ends when that is there.
_LEAVES_A_DAEMON = """
import subprocess, sys
from bench.keeper import kept
from tests.test_bench import pids_with, until

def body():
    subprocess.run(["sh", "-c", "setsid sh -c 'sleep 100; :' $0 >/dev/null 2>&1 &", sys.argv[1]])
    until(lambda: pids_with("sleep 100; :\\0" + sys.argv[1]))
    return 7

sys.exit(kept(body))
"""


def test_whatever_is_started_ends_with_the_bench():
    marker = new_marker()
    command = [sys.executable, "-c", _LEAVES_A_DAEMON, marker]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 7, ran.stderr
    assert not pids_with(marker)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [(range(1, 101), 0.99, 99), (range(1, 101), 0.5, 50), ([3], 0.99, 3), (range(1, 11), 0.9, 9)],
)
def test_a_quantile_is_the_nearest_rank(values, share, wanted):
    assert accounting.quantile(list(values), share) == wanted


def test_a_report_compares_turn_by_turn_and_says_what_was_not_reached():
    cost = {"500": {report.OURS: [1.0, 3.0], report.MONIT: [60.0, 60.0], report.FLOOR: [10.0, 10.0]}}
    results = {"machine": {"CPU": "a"}, "disturbance": {}, "skipped": {}, "phases": {"cost": cost}}
    text = report.render(results)
    assert "| CPU, N=500: ours / Monit | <= 1/30 | 1/30 (1/60 - 1/20) | yes |" in text
    cost["500"][report.OURS] = [3.0, 5.0]
    assert "1/15 (1/20 - 1/12) | **no** |" in report.render(results)
