"""What a daemon has written is read whole, or refused in plain words; and whether that daemon is still there."""

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace import __version__, procfs, published
from fallfromgrace.exits import Failure, NotPermitted, UsageError
from fallfromgrace.forms import encoded
from fallfromgrace.keeper import boot
from fallfromgrace.ledger import Ledger
from fallfromgrace.state import Author, Moment, document
from fallfromgrace.statefile import LARGEST
from fallfromgrace.verdict import Outcome, Result
from tests.builders import Life, monitor, process, table, verdict
from tests.strategies import patiently
from tests.victims import AS_USER, Victim, marker, runs_as_user, until

NOBODY = (1 << 22) - 1
HERE = boot()


def life(now):
    """Rules that wait, fire, have acted and have stopped somebody by now."""
    lived = Life(
        monitor(
            {
                "rmem > 500m": ["stop @ 10m", "exec @ 1h x", "after 5m term"],
                "rmem > 600m for 1h": "kill",
                "vmem > 1t until vmem < 1g for 1m": "kill",
            }
        ),
        monitor({"rmem > 1g": "term"}, "seen", observe=True),
    )
    for earlier in (130, 120, 0):
        lived.look(max(0.0, now - earlier), (process(100, "hog \x1b[31m\udcff"), 700), (process(101, ppid=100), 100))
    return lived


def status(lived, written):
    """What a daemon says that did something and was reloaded twice."""

    def ago(seconds):
        return max(0.0, written.monotonic - seconds)  # the machine may be up for no longer

    ledger = Ledger(0, lambda: 1.25)
    ledger.started(ago(100))
    ledger.looked(0.003)
    ledger.acted(Outcome(verdict("stop @ 10m"), Result.SENT), ago(60), ago(60) + 0.01)
    denied = verdict("term", name="seen", process=process(101, "hog \x1b[31m\udcff"))
    ledger.acted(Outcome(denied, Result.DENIED, "Operation not permitted"), ago(9), ago(9))
    ledger.reloaded(lived.engine.config, ago(50))
    ledger.refused(["x.conf:4:23: '10minutes' is not a time"], ago(40))
    # Not by the engine itself, which would forget who is not seen.
    seen = table(process(100, "hog \udcff"), process(101, ppid=100))
    covered = Life(*lived.engine.config.monitors).engine.look(seen, (), written.monotonic).covered
    return ledger.status(lived.engine.config, covered, written)


def made(*, pid=0, written=None, of=HERE, lived=None, program=__version__):
    """A document, as plain values. The daemon is this process, if no other is given."""
    written = written or Moment(time.time(), time.monotonic())
    lived, pid = lived or life(written.monotonic), pid or os.getpid()
    started = Moment(written.wall - 200, max(0.0, written.monotonic - 200))
    author = Author(program, of, pid, "/etc/x.conf", started)
    values = document(author, lived.engine.memory, written, status(lived, written))
    known = procfs.read_stat(pid)
    values["status"]["start"] = known.start if known else 0
    return values


@pytest.fixture
def path(tmp_path):
    return tmp_path / "status.json"


@pytest.fixture
def read(path):
    """Reads a document that was written from plain values, or from bytes."""

    def through(values):
        path.write_bytes(values if isinstance(values, bytes) else encoded(values))
        return published.read(str(path))

    return through


@pytest.fixture
def refused(read):
    """What is said of a document that cannot be read."""

    def through(values, kind=Failure):
        with pytest.raises(kind) as error:
            read(values)
        assert type(error.value) is kind
        return str(error.value)

    return through


# --- what is in it ---


def test_all_that_a_daemon_says_is_read(read):
    written = Moment(time.time(), time.monotonic())
    found = read(made(written=written))
    assert (found.program, found.pid, found.config, found.written) == (__version__, os.getpid(), "/etc/x.conf", written)
    assert (found.interval, found.watched, found.cpu) == (10.0, 2, 1.25)
    loading = found.configuration
    assert (loading.monitors, loading.rules, loading.taken, loading.refused) == (2, 4, 1, 1)
    assert loading.last
    assert (loading.last.taken, loading.last.problems) == (
        False,
        ("x.conf:4:23: '10minutes' is not a time",),
    )
    assert [(each.name, each.observe, each.covered) for each in found.monitors] == [("m", False, 2), ("seen", True, 2)]
    assert found.monitors[0].rules[0] == ("rmem > 500m", "rmem > 500m", ("stop @ 10m", "exec @ 1h x", "term"))
    assert found.monitors[0].processes[0] == (100, 100, None, "hog \udcff")
    assert [(act.action, act.pid, act.result) for act in found.actions] == [
        ("stop @ 10m", 100, "sent"),
        ("term", 101, "denied"),
    ]
    assert found.actions[0].seconds == pytest.approx(0.01)
    assert found.counters == ()  # of rules that the reload took away
    assert found.looks.last == (0.003,)
    assert len(found.looks.spread.counts) == len(found.looks.spread.bounds) + 1
    assert found.reactions.count == 1


def test_what_is_remembered_comes_with_it(read):
    lived = life(time.monotonic())
    memory = read(made(lived=lived)).memory
    assert memory.instances == lived.engine.memory.instances
    assert memory.clocks == lived.engine.memory.clocks


def test_what_of_a_document_is_for_others_is_left_to_them(read):
    assert read({**made(), "more": 1}).watched == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2, "program": "9.9"}, "was written by fall-from-grace 9.9, in format 2; this is "),
        ({"format": 2, "program": "\x1b[31m"}, r"was written by fall-from-grace \x1b[31m, in format 2"),
        ({"format": "x" * 99}, f"in format 'xxxx{'x' * 55}; this is {__version__}, which reads format 1: restart"),
        ({"format": 2, "program": None}, "was written by fall-from-grace of no version"),
        ({"status": {}, "program": "0.9"}, "fall-from-grace 0.9, which does not say what it does; restart the daemon"),
        ({"status": {}}, f"{__version__}, which had no room to say what it does; its log has that"),
        ({"status": 7, "program": "0.9"}, "0.9, and this is " + __version__ + ", which cannot read it; restart the "),
        ({"status": 7}, "is not as a daemon writes it: status: no object with start, interval"),
        ({"pid": 0}, "pid: 0 is no number from 1 to 4194304"),
        ({"memory": None}, "is not as a daemon writes it: memory: no object with"),
        ({"written": {"wall": 1e300, "monotonic": 1}}, "written: wall: 1e+300 is yet to come"),
    ],
)
def test_what_another_program_wrote_is_said_to_be_that(refused, change, told):
    assert told in refused({**made(), **change})


def test_an_older_program_that_says_nothing_is_told_apart_from_what_is_malformed(refused):
    values = made(program="0.9")
    del values["status"]
    assert "which does not say what it does; restart the daemon, so that it is" in refused(values)


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b'{"a": 1}', b"\xff", b"[" * 100_000, b"9" * 10_000, b'"\\ud800"'])
def test_what_is_no_document_is_refused_in_a_line(refused, data):
    told = refused(data)
    assert "is not as a daemon writes it: " in told
    assert "\n" not in told
    assert len(told) < 400


def test_a_document_that_ends_early_is_refused_wherever_that_is(refused):
    whole = encoded(made())
    for end in range(len(whole) - 1):
        assert "is not as a daemon writes it: not JSON as it is written here" in refused(whole[:end])


def places(values, at=()):
    yield at
    found = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in found:
        yield from places(value, (*at, key))


def changed(values, place, change):
    values = copy.deepcopy(values)
    within = values
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = change(within[place[-1]])
    return values


def test_every_part_of_a_status_that_is_something_else_is_refused(read):
    good = json.loads(json.dumps(made()))
    read(good)
    for place in list(places(good["status"], ("status",)))[1:]:
        for wrong in (-1, {"more": 1}, [[]], 1e300):
            with pytest.raises(Failure):
                read(changed(good, place, lambda _, wrong=wrong: wrong))


def test_every_field_of_a_status_is_needed_and_what_a_later_program_says_beside_them_is_passed_over(read):
    good = json.loads(json.dumps(made()))
    for place in places(good["status"], ("status",)):
        found = good
        for key in place:
            found = found[key]
        if isinstance(found, dict):
            more = read(changed(good, place, lambda value: {**value, "more": [1]}))
            assert more._replace(memory=None) == read(good)._replace(memory=None)
            for name in found:
                with pytest.raises(Failure):
                    read(changed(good, place, lambda value, name=name: {k: v for k, v in value.items() if k != name}))


def test_what_is_remembered_is_known_whole_or_not_at_all(refused):
    told = refused({**changed(made(), ("memory",), lambda memory: {**memory, "more": 1}), "program": "1.1"})
    assert "was written by fall-from-grace 1.1, and this is " in told


def test_a_path_that_no_file_can_have_is_refused(refused):
    assert "config: '/etc/x\\x00.conf' is no path" in refused({**made(), "config": "/etc/x\0.conf"})


def test_counts_have_to_fit_to_their_bounds(refused):
    told = refused(changed(made(), ("status", "reactions", "counts"), lambda counts: counts[1:]))
    assert "status: reactions: 12 counts for 12 bounds" in told


@patiently
@given(st.data())
def test_whatever_becomes_of_a_document_it_is_read_or_refused(tmp_path_factory, data):
    whole = bytearray(WHOLE)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    path.write_bytes(whole)
    try:
        published.read(str(path))
    except Failure as refusal:
        told = str(refusal)
        assert told.startswith(str(path))


WHOLE = encoded(made())


# --- the file ---


def asked(path):
    with pytest.raises(Failure) as error:
        published.read(str(path))
    return error.value


def test_where_there_is_no_file_there_is_nobody_to_ask(path, monkeypatch):
    monkeypatch.setattr(published, "SYSTEM", str(path))
    told = f"no daemon to ask: there is no {path}; start one, or name its file with --state FILE"
    assert str(asked(path)) == told
    monkeypatch.setattr(published, "SYSTEM", "/proc/version")
    assert str(asked(path)) == f"{told}, such as /proc/version, which is there"
    assert asked(path).status == 69


def test_where_nothing_says_which_file_the_cure_is_told(monkeypatch):
    monkeypatch.setattr(published, "SYSTEM", "/none")
    assert str(asked("")) == "there is no XDG_RUNTIME_DIR to find a daemon's file in; write --state FILE"


def test_a_daemon_that_keeps_nothing_cannot_be_asked():
    error = asked("none")
    assert isinstance(error, UsageError)
    assert "a daemon that was started with '--state none' says nothing" in str(error)


def test_what_is_no_plain_file_is_neither_read_nor_waited_for(tmp_path):
    (link := tmp_path / "link").symlink_to("/etc/hostname")
    os.mkfifo(fifo := tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    assert "is a symbolic link, which is not followed" in str(asked(link))
    for place in (fifo, tmp_path, tmp_path / "socket", "/dev/null"):
        assert str(asked(place)) == f"{place} cannot be read: it is not a regular file"
    assert str(asked("/etc/hostname/x")) == "/etc/hostname/x cannot be read: Not a directory"


def test_more_than_a_daemon_writes_is_not_read(path):
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    assert str(asked(path)) == f"{path} has more than 16 MiB, which no daemon writes"


as_user = pytest.mark.skipif(not runs_as_user(), reason="needs root, setpriv, and a Python that others may run")
# Another user may be kept out of where we are, and has what is loaded by then.
ASK = f"""
import sys; sys.path.insert(0, {str(Path(published.__file__).parents[1])!r})
from fallfromgrace import exits, published
try: published.read(sys.argv[1])
except exits.Failure as error: print(error.status, error)
"""


@pytest.fixture
def others():
    """A directory that others may look into."""
    place = Path("/tmp") / f"{marker()}"
    place.mkdir(0o755)
    yield place
    shutil.rmtree(place)


@as_user
@pytest.mark.parametrize(
    ("gid", "mode", "who"),
    [(0, 0o640, "root and the group root"), (4, 0o640, "root and the group adm"), (4, 0o600, "root"),
     (54321, 0o640, "root and the group 54321")],
)  # fmt: skip
def test_who_may_not_read_it_is_told_who_may_and_how_that_is_changed(others, gid, mode, who):
    path = others / "status.json"
    path.write_bytes(WHOLE)
    os.chown(path, 0, gid)
    path.chmod(mode)
    ran = subprocess.run([*AS_USER, sys.executable, "-c", ASK, path], capture_output=True, text=True, check=True)
    cure = "An administrator gives it to a group with the setting 'status-group'"
    assert ran.stdout == f"77 you may not read {path}: only {who} may. {cure}\n"


@as_user
def test_a_closed_directory_is_told_of(others):
    others.chmod(0o700)
    ran = subprocess.run([*AS_USER, sys.executable, "-c", ASK, others / "x"], capture_output=True, text=True)
    told = f"77 you may not read {others / 'x'}, for the directory that it is in is closed to you. An administrator"
    assert ran.stdout.startswith(told)


def test_what_the_kernel_refuses_is_not_our_fault(path, monkeypatch):
    path.write_bytes(WHOLE)

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(published.os, "open", refuse)
    assert isinstance(asked(path), NotPermitted)


# --- whether it is there ---


def test_a_daemon_lives_as_long_as_its_very_process_does(read):
    assert published.lives(read(made()))
    assert not published.lives(read(made(pid=NOBODY)))
    assert not published.lives(read(changed(made(), ("status", "start"), lambda start: start - 1)))


def test_a_zombie_has_ended(read):
    child = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.read_stat(child.pid).start
        assert not published.lives(read(made(pid=child.pid)))
        assert published.state_of(child.pid) == "Z"
    finally:
        child.wait()
    assert published.state_of(child.pid) == ""


def test_a_daemon_of_another_boot_or_container_does_not_live_here(read):
    found = read(made(of="another"))
    assert not published.of_now(found)
    assert not published.lives(found)


def test_times_of_another_boot_are_not_compared_with_ours(read):
    later = Moment(time.time(), time.monotonic() + 1e6)
    assert read(made(of="another", written=later)).written == later
    with pytest.raises(Failure, match=r"memory: .* is yet to come"):
        read(made(written=later))


def test_a_daemon_that_is_hidden_from_us_is_taken_to_live(read, monkeypatch):
    monkeypatch.setattr(procfs, "read_stat", lambda pid: None)
    monkeypatch.setattr(procfs, "read_state", lambda home: "")
    found = read(made())
    assert published.lives(found)
    assert not published.lives(found._replace(pid=NOBODY))
    monkeypatch.delattr(published.os, "pidfd_open")  # nor can every kernel tell
    assert not published.lives(found)


def test_a_stopped_process_is_seen_to_be_stopped():
    victim = Victim(marker())
    try:
        victim.process.send_signal(signal.SIGSTOP)
        until(lambda: published.state_of(victim.pid) == "T")
    finally:
        victim.close()
