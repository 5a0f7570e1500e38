"""Reading in a child gives what reading gives, and whatever becomes of the child is told."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fallfromgrace import config, procfs, reading
from fallfromgrace.errors import ConfigError
from fallfromgrace.exits import Failure, Fault, explain
from fallfromgrace.grammar import DEEPEST_TRIGGER

HERE = Path(__file__).parent.parent
RICH = """\
interval: 20s
protect:
  - exe: ^/usr/sbin/sshd$
    user: root
  - cmdline: '(?i)important'
hog:
  cmdline: '^(?P<what>hog|pig)\\b .*--big'
  exe: '/hog$'
  exclude: 'small[[]'
  user: [root, 12345]
  children: yes
  final: yes
  actions:
    rmem > 900m for 2m until rmem < 800m or growth(rmem, 10m) < 0:
      - notify @ 1h "$NAME uses $VALUE"
      - after 30s stop tree @ 10m
      - after 5m kill
      - recovered log "$NAME is well"
    not (cpu > 50% and read > 1m/s): nice 10
    tree.pmem + 1m > 25%: oom 500 group
  observe: yes
all:
  user: root
  actions:
    system.available < 5%: term largest
    count < 1: exec @ 1m touch /tmp/x
"""


@pytest.fixture
def written(tmp_path):
    """Write a configuration; its path."""

    def write(text):
        path = tmp_path / "x.conf"
        path.write_text(text)
        return str(path)

    return write


def load(path):
    return reading.finish(reading.start(path))


def in_child(monkeypatch, read):
    monkeypatch.setattr(reading, "_read", read)


def no_children():
    """None that is one of ours; other tests may have left others."""
    ours = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    assert not [pid for pid in ours if (stat := procfs.read_stat(pid)) and stat.comm == "fall-from-conf"]


# --- what was read ---


def test_a_configuration_is_what_it_would_be_here(written):
    path = written(RICH)
    here, there = config.load(Path(path)), load(path)
    assert there == here
    for ours, theirs in zip(here.monitors, there.monitors, strict=True):
        assert ours.selector.cmdline is None or ours.selector.cmdline.flags == theirs.selector.cmdline.flags
        for rule, same in zip(ours.rules, theirs.rules, strict=True):
            assert [rule.key, rule.ladder, rule.growths] == [same.key, same.ladder, same.growths]
    no_children()


def test_so_is_everything_that_is_wrong_with_it(written):
    path = written("hog:\n  cmdline: '('\n  actions:\n    rmem > 1x: term\n    vmem > 1g: tern\n")
    with pytest.raises(ConfigError) as here:
        config.load(Path(path))
    with pytest.raises(ConfigError) as there:
        load(path)
    assert there.value.problems == here.value.problems
    assert len(here.value.problems) == 3


def test_there_is_room_for_more_than_a_pipe_holds(written):
    actions = "".join(f"    rmem > {size}m: term\n" for size in range(20))
    path = written("".join(f"monitor{i}:\n  cmdline: hog{i}\n  actions:\n{actions}" for i in range(100)))
    assert len(load(path).monitors) == 100


@pytest.mark.parametrize("levels", range(DEEPEST_TRIGGER - 2, DEEPEST_TRIGGER + 3))
def test_what_is_nested_as_deeply_as_the_language_allows_comes_through(levels, written):
    trigger = "rmem > 1g"
    for level in range(levels):
        trigger = f"({trigger}) {('and', 'or')[level % 2]} vmem > 1g"
    path = written(f"hog:\n  cmdline: hog\n  actions:\n    {trigger}: term\n")
    try:
        here = config.load(Path(path))
    except ConfigError:
        assert levels >= DEEPEST_TRIGGER
    else:
        assert load(path) == here


def test_regular_expressions_warn_nobody_of_other_versions_of_python(written, recwarn):
    assert load(written("hog:\n  cmdline: 'a[[]'\n  actions:\n    rmem > 1g: term\n"))
    # Since Python 3.12 a fork is worth a warning, too, where there are threads, such as xdist's.
    assert not [each for each in recwarn if issubclass(each.category, FutureWarning)]


# --- what becomes of the child ---


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.parametrize("hang", [signal.pause, stop], ids=["hangs", "is stopped"])
def test_one_that_takes_too_long_is_ended(hang, monkeypatch):
    in_child(monkeypatch, lambda path: hang())
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=r"^/x\.conf: it is not read after 0\.2 s; see what holds up this file"):
        reading.finish(reading.start("/x.conf"), 0.2)
    assert time.monotonic() - begun < 10
    no_children()


def die(signal_number):
    os.kill(os.getpid(), signal_number)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda path: die(signal.SIGKILL), "its reader was ended by SIGKILL"),
        (lambda path: die(signal.SIGTERM), "its reader was ended by SIGTERM"),
        (lambda path: os._exit(3), "its reader exited with 3"),
        (lambda path: sys.exit("no"), "its reader exited with 1"),
        (lambda path: lambda: 0, "its reader exited with 1"),  # what cannot be told
    ],
)
def test_one_that_dies_is_a_problem_of_the_configuration(end, told, monkeypatch):
    in_child(monkeypatch, end)
    with pytest.raises(ConfigError) as found:
        load("/x.conf")
    assert str(found.value) == f"/x.conf: it could not be read: {told}; see whether memory is short"
    no_children()


def raiser(error):
    def load(path):
        raise error

    return load


def test_one_that_has_too_little_memory_says_so(monkeypatch):
    monkeypatch.setattr(config, "load", raiser(MemoryError()))
    with pytest.raises(ConfigError, match="there is not enough memory to read it"):
        load("/x.conf")


def test_a_fault_of_ours_comes_with_the_childs_traceback(monkeypatch):
    monkeypatch.setattr(config, "load", raiser(ZeroDivisionError("oh")))
    with pytest.raises(Fault) as found:
        load("/x.conf")
    status, text = explain(found.value)
    assert status == 70
    assert text.startswith("Traceback")
    assert "ZeroDivisionError: oh" in text
    assert "please report it" in text


def test_a_missing_module_is_named(monkeypatch):
    monkeypatch.setattr(config, "load", raiser(ModuleNotFoundError("No module named 'yaml'", name="yaml")))
    with pytest.raises(ModuleNotFoundError) as found:
        load("/x.conf")
    assert explain(found.value)[0] == 69


def test_where_there_can_be_no_child_nothing_is_left_open(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Failure, match="for want of a process: Resource temporarily unavailable"):
        load("/x.conf")
    assert os.listdir("/proc/self/fd") == before


# --- what the child is like ---


def test_it_keeps_no_lock_of_ours(tmp_path, monkeypatch):
    in_child(monkeypatch, lambda path: signal.pause())
    held = open(tmp_path / "x.pid", "w")  # noqa: SIM115 - closed below, before the child ends
    fcntl.flock(held, fcntl.LOCK_EX)
    child = reading.start("/x.conf")
    try:
        comm = Path(f"/proc/{child.pid}/comm")
        deadline = time.monotonic() + 20
        while comm.read_text() != "fall-from-conf\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        held.close()  # as our end would
        with open(tmp_path / "x.pid") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        with pytest.raises(ConfigError):
            reading.finish(child, 0)


def test_it_says_and_does_nothing_of_ours():
    code = """
import atexit, sys
from fallfromgrace import reading
atexit.register(print, "at the end")
print("once", end=" ")
reading._read = lambda path: sys.exit()
try:
    reading.finish(reading.start("/x.conf"))
except reading.ConfigError:
    print("told", end=" ")
"""
    ran = subprocess.run([sys.executable, "-E", "-c", code], cwd=HERE, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("once told at the end\n", "")


def test_it_lives_where_signals_are_blocked(written):
    blocked = {signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        assert load(written(RICH))
        assert signal.sigtimedwait({signal.SIGCHLD}, 10)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_only_the_child_has_what_reading_takes(written):
    code = f"""
import sys
before = set(sys.modules)
from fallfromgrace import reading
assert reading.finish(reading.start({written(RICH)!r})).monitors
print(*set(sys.modules) - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=60, check=True)
    assert not {"yaml", "ply", "ply.yacc", "pathlib", "fallfromgrace.config"} & set(ran.stdout.split())
    assert "fallfromgrace.rules" in ran.stdout.split()
