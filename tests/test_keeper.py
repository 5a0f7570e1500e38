"""When the state is written, and what is told of one that cannot be."""

import errno
import os
from math import inf

import mock
import pytest

from fallfromgrace import keeper
from fallfromgrace.exits import PROGRAM
from fallfromgrace.forms import decoded, encoded
from fallfromgrace.keeper import Forgetful, Keeper, keeping
from fallfromgrace.memory import Memory
from fallfromgrace.rules import Settings
from fallfromgrace.state import Author, Moment, document
from fallfromgrace.statefile import LARGEST, Distrust, StateFile

AUTHOR = Author("1.0", "boot", 77, "/etc/x.conf", Moment(5.0, 900.0))
FULL = OSError(errno.ENOSPC, "No space left on device")


class Place:
    """A keeper with a clock of its own, and what it told; `cost` is how far apart it is read."""

    def __init__(self, directory):
        self.told, self.clock, self.cost = [], 1000.0, 0.0
        self.file = StateFile(f"{directory}/status.json")
        self.keeper = Keeper(self.file, AUTHOR, self.told.append, self.now)

    def now(self):
        self.clock += self.cost
        return Moment(self.clock, self.clock)

    @property
    def path(self):
        return self.file.path

    def left(self, memory=None, boot="boot", written=990.0):
        """What a daemon before this one has left."""
        author = AUTHOR._replace(boot=boot, pid=66)
        data = encoded(document(author, memory or Memory(), Moment(6.0, written)))
        with open(self.path, "wb") as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(data)
        return data


@pytest.fixture
def place(tmp_path):
    (tmp_path / PROGRAM).mkdir(0o755)
    return Place(tmp_path / PROGRAM)


@pytest.fixture
def elsewhere(tmp_path):
    return Place(tmp_path)


def memory():
    kept = Memory()
    kept.limits["m", "exec @ 1h x", None] = 980.0
    return kept


# --- when ---


def test_it_is_written_at_once_and_then_before_each_interval_is_over(place):
    assert place.keeper.due == -inf
    place.keeper.keep(Memory(), Settings(10.0))
    assert place.keeper.due == 1009.0
    place.clock = 1009.0
    place.keeper.keep(Memory(), Settings(1.0))
    assert place.keeper.due == pytest.approx(1009.9)


def test_what_was_done_is_written_at_once(place):
    place.keeper.keep(Memory(), Settings(10.0))
    place.keeper.note()
    assert place.keeper.due <= 1000.0


def test_what_takes_long_to_write_is_not_written_all_the_time(place):
    place.cost = 0.01
    place.keeper.keep(Memory(), Settings(10.0))
    place.keeper.note()
    assert place.keeper.due == pytest.approx(1000.21)
    place.keeper.note()
    assert place.keeper.due == pytest.approx(1000.21)


def test_a_state_is_taken_up_as_it_was_left(place):
    place.keeper.keep(memory(), Settings(10.0))
    past = place.keeper.recall(1001.0)
    assert (past.pid, past.written, past.memory.limits) == (77, 1000.0, memory().limits)
    assert place.told == []


def test_without_a_state_there_is_nothing_to_tell(place):
    assert place.keeper.recall(1000.0) is None
    assert place.told == []


# --- what is no state ---


def test_a_state_of_before_the_machine_was_started_anew_is_told_of_and_left_to_be_written_over(place):
    place.left(memory(), boot="another")
    assert place.keeper.recall(1000.0) is None
    why = "is of before the machine was started anew, or of another container"
    assert place.told == [f"{place.path} {why}: limits and what was stopped begin anew"]
    assert os.listdir(os.path.dirname(place.path)) == ["status.json"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:-20], "not JSON as it is written here"),
        (lambda data: b"", "not JSON"),
        (lambda data: b"\0" * 4096, "not JSON"),
        (lambda data: data.replace(b'"format":1', b'"format":2'), "no state of format 1"),
        (lambda data: data.replace(b"990.0", b"1001.0"), "written: monotonic: 1001.0 is yet to come"),
        (lambda data: data.replace(b"980.0", b"NaN"), "NaN is no number"),
        (lambda data: b'{"format":' + b"[" * 100_000, "recursion"),
        (lambda data: data.replace(b'"pid":66', b'"pid":66,"pid":66'), "a name that is there twice"),
        (lambda data: data.replace(b'"pid":66', b'"pid":' + b"6" * 10_000), "a number that is too long"),
    ],
)
def test_what_is_no_state_is_told_in_one_line_and_set_aside(spoil, told, place):
    data = spoil(place.left(memory()))
    with open(place.path, "wb") as file:
        file.write(data)
    assert place.keeper.recall(1000.0) is None
    [line] = place.told
    assert line.startswith(f"{place.path} is no state to go on from, ")
    assert told in line
    assert line.endswith(f"It is called {place.path}.bad now")
    with open(f"{place.path}.bad", "rb") as file:
        assert file.read() == data
    place.keeper.keep(memory(), Settings(10.0))
    assert place.keeper.recall(1001.0).memory.limits == memory().limits


def test_what_cannot_be_set_aside_is_told_of_and_written_over(place):
    place.left()
    os.chmod(place.path, 0o666)
    os.mkdir(f"{place.path}.bad")
    assert place.keeper.recall(1000.0) is None
    assert "It will be written over, for it cannot be set aside: Is a directory" in place.told[0]
    place.keeper.keep(memory(), Settings(10.0))
    assert place.keeper.recall(1001.0).memory.limits == memory().limits


def is_a_diary(path):
    with open(path, "x") as file:
        file.write("dear diary")


@pytest.mark.parametrize("make", [is_a_diary, os.mkdir])
def test_a_file_of_somebody_that_was_named_by_mistake_is_left_alone(make, elsewhere):
    make(elsewhere.path)
    before = os.lstat(elsewhere.path)
    assert elsewhere.keeper.recall(1000.0) is None
    assert "It is left alone: " in elsewhere.told[0]
    assert "write --state with another file" in elsewhere.told[0]
    elsewhere.keeper.note()
    assert elsewhere.keeper.due == inf
    elsewhere.keeper.keep(memory(), Settings(10.0))
    assert os.lstat(elsewhere.path) == before


def test_what_looks_like_a_state_is_set_aside_everywhere(elsewhere):
    data = elsewhere.left()[:50]
    with open(elsewhere.path, "wb") as file:
        file.write(data)
    assert elsewhere.keeper.recall(1000.0) is None
    assert elsewhere.told[0].endswith(".bad now")
    assert elsewhere.keeper.due == -inf


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_a_state_that_cannot_be_read_for_another_reason_stays_where_it_is(error, place):
    place.left()
    place.file.read = raising(error)
    assert place.keeper.recall(1000.0) is None
    assert place.told[0].startswith(f"{place.path} cannot be read: ")
    assert os.path.exists(place.path)


def raising(error):
    def call(*_):
        raise error

    return call


# --- what cannot be written ---


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FULL, "No space left on device"),
        (MemoryError(), "memory is short"),
        (Distrust("others may write to the directory /x"), "others may write to the directory /x"),
    ],
)
def test_what_cannot_be_written_is_told_once_until_it_can(error, told, place):
    replace = place.file.replace
    place.file.replace = raising(error)
    for _ in range(3):
        place.keeper.keep(memory(), Settings(10.0))
    assert place.told == [
        f"cannot write {place.path}: {told}. Until that is possible, "
        "when this daemon ends, its limits do, and who is stopped is forgotten"
    ]
    assert place.keeper.due == 1009.0
    place.file.replace = replace
    place.keeper.keep(memory(), Settings(10.0))
    place.keeper.keep(memory(), Settings(10.0))
    assert place.told[1:] == [f"{place.path} is written again"]


# --- whose it is ---


def test_two_daemons_do_not_write_the_same_file(place):
    told = []
    with keeping(place.path, "/x.conf", told.append) as first, keeping(place.path, "/x.conf", told.append) as second:
        assert (type(first), type(second)) == (Keeper, Forgetful)
    assert told == [
        f"another daemon (pid {os.getpid()}) keeps its state in {place.path}: when this daemon ends, its limits do, "
        "and who is stopped is forgotten; write --state with another file, or --state none"
    ]
    with keeping(place.path, "/x.conf", told.append) as third:
        assert isinstance(third, Keeper)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "there is no XDG_RUNTIME_DIR to keep a state in: "),
        ("/nonexistent/x/status.json", "no state can be kept in /nonexistent/x/status.json, No such file or directory"),
        ("/proc/self/stat/x", "no state can be kept in /proc/self/stat/x, /proc/self/stat is no directory"),
    ],
)
def test_where_there_is_no_place_for_a_state_it_is_told_and_nothing_is_kept(path, told):
    lines = []
    with keeping(path, "/x.conf", lines.append) as found:
        assert type(found) is Forgetful
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_what_a_daemon_writes_says_whose_it_is(place):
    with keeping(place.path, "/x.conf", place.told.append) as found:
        found.keep(memory(), Settings(10.0))
        past = found.recall(keeper.moment().monotonic)
    assert (past.pid, past.memory.limits) == (os.getpid(), memory().limits)


def test_an_error_inside_is_not_taken_for_one_of_the_file(place):
    with pytest.raises(OSError, match="inside"), keeping(place.path, "/x.conf", place.told.append):
        raise OSError("inside")
    assert place.told == []


# --- who may read it ---


def test_what_is_published_is_beside_what_is_remembered(place):
    place.keeper.keep(memory(), Settings(10.0), lambda written: {"written at": written.monotonic})
    found = decoded(place.file.read())
    assert (found["status"], found["memory"]["limits"][0]["action"]) == ({"written at": 1000.0}, "exec @ 1h x")


@pytest.mark.parametrize(
    "status",
    [mock.Mock(side_effect=MemoryError), lambda written: {"much": "x" * LARGEST}],
    ids=["memory is short", "too much for the next daemon to read"],
)
def test_what_cannot_be_published_is_told_once_and_what_is_remembered_is_kept_all_the_same(status, place):
    for _ in range(2):
        place.keeper.keep(memory(), Settings(10.0), status)
    assert place.keeper.recall(1001.0).memory.limits == memory().limits
    assert place.told == [f"what is done is not published in {place.path} now: it is too much, or memory is short"]
    place.keeper.keep(memory(), Settings(10.0), lambda written: {"little": 1})
    assert decoded(place.file.read())["status"] == {"little": 1}
    place.keeper.keep(memory(), Settings(10.0), status)
    assert len(place.told) == 2


def test_the_group_that_the_configuration_names_may_read_it(place):
    gid = os.getgroups()[-1] if os.geteuid() else 4
    place.keeper.keep(memory(), Settings(10.0, status_group=gid))
    status = os.stat(place.path)
    assert (status.st_gid, status.st_mode & 0o777, place.told) == (gid, 0o640, [])


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])  # of others, and unknown in a container
def test_a_group_that_it_may_not_be_given_to_is_told_once_and_it_is_written_all_the_same(number, place, monkeypatch):
    monkeypatch.setattr(os, "fchown", mock.Mock(side_effect=OSError(number, os.strerror(number))))
    for _ in range(2):
        place.keeper.keep(memory(), Settings(10.0, status_group=4))
    assert len(place.told) == 1
    assert "may not give" in place.told[0]
    assert os.strerror(number) in place.told[0]
    assert "status-group" in place.told[0]
    assert decoded(place.file.read())["pid"] == 77


def test_a_directory_that_may_not_be_written_to_for_a_while_is_not_taken_for_a_wrong_group(place, monkeypatch):
    gid = os.getgroups()[-1] if os.geteuid() else 4
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", mock.Mock(side_effect=PermissionError(errno.EPERM, "Operation not permitted")))
        place.keeper.keep(memory(), Settings(10.0, status_group=gid))
    place.keeper.keep(memory(), Settings(10.0, status_group=gid))
    assert [line.partition(" ")[0] for line in place.told] == ["cannot", place.path]
    assert os.stat(place.path).st_gid == gid
