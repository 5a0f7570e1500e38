"""The fast source and the plain one say the same: of what was recorded, and of a crowd that never stands still."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fallfromgrace import events
from fallfromgrace.connector import Unavailable
from fallfromgrace.linux import LinuxSource
from fallfromgrace.readings import Facet, Want
from fallfromgrace.reference import PsutilSource
from tests.proctree import Proc
from tests.victims import marker, until

RECORDED = Path(__file__).parent / "recorded" / "proc.json"


def said(table):
    """All that a table says but what the processes were doing at that moment."""
    return {process._replace(state="") for process in table}


# --- what was recorded ---


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    proc = Proc(tmp_path)
    proc.unpack(RECORDED)
    return proc


def no_events():
    raise Unavailable("not here")


@pytest.fixture
def both(recorded):
    fast = LinuxSource(lambda _: None, recorded.root, connect=no_events, budget=100)
    yield fast, PsutilSource(recorded.root)
    fast.close()


@pytest.mark.parametrize(
    ("what", "selects", "count"),
    [
        ("everybody", lambda image: True, 9),
        ("a server and all below", lambda image: "server" in image.cmdline, 4),
        ("a worker below it", lambda image: image.cmdline.startswith("sh -c"), 2),
        ("by the program", lambda image: image.exe == "/usr/bin/python3.11", 1),
        ("by the user", lambda image: image.uid == 65534, 1),
        ("who has no arguments", lambda image: not image.cmdline.strip(), 0),
        ("nobody", lambda image: False, 0),
    ],
)
def test_of_a_recorded_machine_both_tell_the_same_table(both, what, selects, count):
    tables = []
    for source in both:
        source.configure(selects, process_events=False)
        tables.append(list(source.look(1000)))
    assert tables[0] == tables[1]
    assert len(tables[0]) == count


def test_of_a_recorded_machine_both_tell_the_same_of_what_is_used(both):
    found = []
    for source in both:
        source.configure(lambda image: True, process_events=False)
        source.prepare(list(Facet))
        identities = [process.id for process in source.look(1000)]
        wants = [Want(identity, facet) for identity in identities for facet in Facet if facet is not Facet.MACHINE]
        samples = {
            identity: {name: value for name, value in sample.items() if name != "age"}  # goes on
            for identity, sample in source.measure(wants, 1000).items()
        }
        found.append((samples, source.sizes(identities), [source.reread(identity.pid) for identity in identities]))
    assert found[0] == found[1]
    assert len(found[0][0]) == 9
    names = {name for sample in found[0][0].values() for name in sample}
    assert names == {
        "rmem", "vmem", "pmem", "umem", "swap", "cputime", "threads", "stopped", "fds", "fdlimit",
        "read_bytes", "write_bytes",
    }  # fmt: skip


def test_the_record_holds_what_is_odd():
    files = json.loads(RECORDED.read_text())["files"]
    stats = [content for name, content in files.items() if name.endswith("/stat")]
    assert {"Z", "T", "S"} <= {stat.rpartition(")")[2].split()[0] for stat in stats}
    assert any(")" in stat.rpartition(")")[0] for stat in stats)
    assert any(int(stat.rpartition(")")[2].split()[6]) & 0x200000 for stat in stats)


# --- a crowd ---

# For two seconds it starts processes that fork, run something else, leave children behind and end; those that are left
# behind become its own. Then it says "still", and only reaps.
CROWD = """
import ctypes, os, random, select, signal, sys, time
mark, seed = sys.argv[1:3]
random.seed(int(seed))
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER

def run(*arguments):
    os.execv("/bin/sh", list(arguments))

def is_forked():
    time.sleep(random.random() / 2)

def has_children():
    run("sh", "-c", f"sleep {random.random():.2f}; sleep 0.{random.randrange(9)}; : {mark}")

def becomes_another():
    run("sh", "-c", f"sleep 0.{random.randrange(5)}; exec sleep {random.random() * 2:.2f} # {mark}")

def becomes_one_of_them():
    run("sh", "-c", f"sleep 0.2; exec sh -c 'sleep {random.random():.2f}; : {mark}'")

def leaves_children():
    run("sh", "-c", f"sleep 0.4 & sleep 60 & sh -c 'sleep 50; :' & : {mark}; exit")

def stays():
    run("sh", "-c", f"sleep 60 & sh -c 'sleep 60; : inner {mark}'; : {mark}")

def leaves_one_of_them():
    run("sh", "-c", f"sh -c 'sleep 60; : left {mark}' & exit")

rare = (leaves_children, stays, leaves_one_of_them)
often = (is_forked, has_children, becomes_another, becomes_one_of_them)

def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

began = time.monotonic()
while time.monotonic() < began + 2:
    acts = random.choice(rare if random.random() < 0.1 else often)
    if not os.fork():
        acts()
        os._exit(0)
    time.sleep(random.random() / 30)
    reap()
print("still", flush=True)
while not select.select([0], [], [], 0.01)[0]:
    reap()
"""


class Crowd:
    """Real processes with a word in their command lines, or below such; they are a session, and end together."""

    def __init__(self, seed):
        self.mark = marker()
        arguments = [sys.executable, "-c", CROWD, self.mark, str(seed)]
        self.top = subprocess.Popen(arguments, stdin=-1, stdout=-1, start_new_session=True)

    def selects(self, image):
        return self.mark in image.cmdline

    @property
    def still(self):
        return bool(select.select([self.top.stdout], [], [], 0)[0])

    def end(self):
        os.killpg(self.top.pid, signal.SIGKILL)
        self.top.communicate()


@pytest.fixture(
    params=[(mode, seed) for mode in ("events", "polling") for seed in (1, 2)], ids=lambda p: f"{p[0]}{p[1]}"
)
def churning(request):
    """A crowd, and a fast source that looks at it."""
    mode, seed = request.param
    told = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {events.WAKE})
    fast = LinuxSource(told.append)
    crowd = Crowd(seed)
    try:
        fast.configure(crowd.selects, process_events=mode == "events")
        if mode == "events" and not fast.wakes:
            pytest.skip("; ".join(told))
        yield crowd, fast
        assert told == []
    finally:
        crowd.end()
        fast.close()
        while signal.sigtimedwait({events.WAKE}, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def who(table):
    return {(process.id, process.image) for process in table}


@pytest.mark.alone
def test_both_say_the_same_of_a_crowd_that_never_stands_still(churning):
    crowd, fast = churning
    plain = PsutilSource()
    plain.configure(crowd.selects, process_events=False)
    # Without events a second, and what two looks take on a busy machine.
    promised = 0.0 if fast.wakes else 1.0
    since, looks, most = {}, 0, 0
    while not crowd.still:
        began = time.monotonic()
        seen = who(plain.look(began))
        since = {each: since.get(each, time.monotonic()) for each in seen}
        due = {each for each, at in since.items() if at < began and at + promised < began}
        found = who(fast.look(time.monotonic()))
        ended = {each for each in due - found if not os.path.exists(f"/proc/{each[0].pid}")}
        again = who(plain.look(began)) if due - found - ended else set()
        assert not (due - found - ended) & again, "seen by the other one for long enough"
        looks, most = looks + 1, max(most, len(found))
        time.sleep(0.02)
    assert looks > 5
    assert most > 5
    until(lambda: same(fast, plain, time.monotonic()), "both say the same", 10)


def same(fast, plain, now):
    """Both, one after the other; a `sleep` may end between the two."""
    table = fast.look(now)
    found = said(table) == said(plain.look(now))
    if found:
        identities = [process.id for process in table]
        assert fast.sizes(identities).keys() <= set(identities)
    return found and len(table) > 5
