"""What was recorded of real processes, replayed: it says what the daemon said that ran beside it."""

import contextlib
import datetime
import json
import resource
import subprocess
import sys
import time

import pytest

from fallfromgrace import recording
from tests.builders import MIB
from tests.live.conftest import PROGRAM
from tests.live.test_rules import script, watching
from tests.loglines import date, event
from tests.victims import until, victim


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.rec"


@contextlib.contextmanager
def recorded(conf, path, every):
    """Recorded for as long as it lasts, from when the first samples can be read."""
    command = [sys.executable, str(PROGRAM), "record", "-c", str(conf), "--every", every, str(path)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: path.exists() and path.stat().st_size > 200)
        yield
        running.terminate()
        told = running.communicate(timeout=10)[1]
        assert running.returncode == 0, told
    finally:
        running.kill()
        running.communicate()


def replayed(conf, path, status=0):
    command = [sys.executable, str(PROGRAM), "replay", "--json", "-c", str(conf), str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == status, ran.stderr
    return json.loads(ran.stdout)


def grown(path, pid):
    """(seconds since the first sample, MiB) of a process in a recording."""
    with recording.opened(path) as found:
        frames = list(found)
    assert not found.damage
    samples = [
        (frame.at - frames[0].at, {who.pid: each for who, each in frame.samples.items() if who}) for frame in frames
    ]
    return [(since, each[pid]["rmem"] / MIB) for since, each in samples if pid in each]


def resident(pid):
    """MiB."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / MIB


def rate(points):
    """MiB a second, by least squares."""
    times, sizes = zip(*points, strict=True)
    middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
    above = sum((at - middle) * (size - mean) for at, size in points)
    return above / sum((at - middle) ** 2 for at in times)


def test_a_leak_crosses_two_limits_at_the_two_times_that_its_rate_says(configured, mark, path):
    """The leak is recorded once, under a limit that it does not come to, and replayed with two others.

    It has these yet to cross when the recording begins, which may be a second later.
    """
    with (
        victim(mark, mib=20, what="leak") as leak,
        recorded(configured(watching(mark, "rmem > 3g: kill")), path, "0.1s"),
    ):
        until(lambda: resident(leak.pid) > 500, "a large leak")
    points = grown(path, leak.pid)
    assert points[-1][1] > 450
    times = {}
    for limit in (300, 400):
        [found] = replayed(configured(watching(mark, f"rmem > {limit}m: term")), path)["happenings"]
        assert (found["pid"], found["action"]) == (leak.pid, "term")
        before = max(since for since, size in points if size <= limit)
        after = min(since for since, size in points if size > limit)
        assert before < found["since"] <= after + 0.06  # a tick after the sample at the latest
        times[limit] = found["since"]
    between = [point for point in points if 280 < point[1] < 420]
    assert times[400] - times[300] == pytest.approx(100 / rate(between), abs=0.3)
    nothing = replayed(configured(watching(mark, "rmem > 3g: kill")), path, status=1)
    assert nothing["happenings"] == []


# Holds as many MiB as it was told last, each in a mapping of its own, so that what it lets go is gone at once. Signals
# are nothing to it.
OBEDIENT = """
import mmap, signal, sys
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
held = []
print("ready", flush=True)
for line in sys.stdin:
    while len(held) < int(line):
        held.append(mmap.mmap(-1, 1 << 20))
        held[-1].write(b"x" * (1 << 20))
    while len(held) > int(line):
        held.pop().close()
"""

# Limits are far from all that it is told to hold, and rules stand in the order of their limits: where it is seen on its
# way up does not change who comes first.
RULES = (
    "rmem > 60m: [exec @ 1h true, nice 5]",
    "rmem > 60m for 1s: log lasting",
    "rmem > 60m and rmem < 135m: log @ 2s tick",
    "rmem > 100m until rmem < 50m: [log high, recovered log low]",
)
# What is stopped or killed is so before it is recorded, and in a replay there is nothing left to do. So these are
# compared with what a daemon says that only says so; a signal that comes to nothing also with one that sends it.
DRASTIC = ("rmem > 140m: stop @ 1h", "rmem > 190m: [term, after 1s kill]")
MILD = ("rmem > 140m: cont @ 1h", "rmem > 190m: [term, after 1s hup]")


@pytest.fixture
def obedient(mark):
    process = script(OBEDIENT, mark, stdin=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def holds(process, mib):
    print(mib, file=process.stdin, flush=True)


def live_through_all(running, process):
    """Each step some time after what it must not come together with.

    That a rule fires no more is seen once a second, in a replay by a sample that may be from just before that.
    """
    for mib, awaited, times, lasts in (
        (110, "text=tick", 2, 0.7),
        (5, "text=low", 1, 1.3),
        (75, "text=tick", 4, 0.7),
        (115, "text=tick", 5, 0.7),
        (160, "@ 1h", 2, 0.7),  # not exec, which is limited
        (220, "rmem > 190m", 2, 0.7),
    ):
        holds(process, mib)
        running.says(awaited, times=times)
        time.sleep(lasts)


def logged(lines):
    """(in which second, what, result) of each action in the daemon's log."""
    for line in lines:
        found = event(line)
        if found and "rule" in found:
            second = datetime.datetime.fromisoformat(date(line)).timestamp()
            yield second, _what(found, found.get("text", found.get("command", ""))), found["result"]


def _what(found, text):
    return found["monitor"], int(found["pid"]), found["rule"], found["action"], found.get("when", ""), text


@pytest.mark.parametrize(("mode", "more"), [((), MILD), (("-n",), DRASTIC)], ids=["acting", "dry-run"])
def test_a_replay_says_what_the_daemon_did(program, configured, mark, path, obedient, mode, more):
    conf = configured(watching(mark, *RULES, *more))
    running = program("-c", conf, *mode)
    with recorded(conf, path, "0.2s"):
        live_through_all(running, obedient)
    done = list(logged(running.lines))
    would = [(each["at"], _what(each, each["text"]), each["result"]) for each in replayed(conf, path)["happenings"]]
    assert [what for _, what, _ in would] == [what for _, what, _ in done]
    for (at, what, result), (second, _, came_of_it) in zip(would, done, strict=True):
        assert second - 1 <= at <= second + 2, what  # the log has whole seconds
        assert came_of_it == ("dry-run" if mode else result)
    calm, (first, second) = ("stop @ 1h", ("term", "kill")) if mode else ("cont @ 1h", ("term", "hup"))
    assert [(action, when, text) for _, (_, _, _, action, when, text), _ in done] == [
        ("exec @ 1h", "", "true"), ("nice 5", "", ""), ("log @ 2s", "", "tick"), ("log", "", "high"),
        ("log", "", "lasting"), ("log @ 2s", "", "tick"), ("log", "recovered", "low"),
        ("nice 5", "", ""), ("log @ 2s", "", "tick"), ("log", "", "lasting"), ("log @ 2s", "", "tick"),
        ("log", "", "high"), ("log @ 2s", "", "tick"), (calm, "", ""), (first, "", ""), (second, "", ""),
    ]  # fmt: skip
