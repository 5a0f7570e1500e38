"""What a recording is made of, when its frames are taken, and what ends it; without processes and without a clock."""

import os
import signal
import stat
from types import SimpleNamespace

import pytest

from fallfromgrace import exits, recording
from fallfromgrace.commands import record
from fallfromgrace.commands.record import Options, next_tick
from fallfromgrace.readings import Facet
from fallfromgrace.source import Unready
from tests.builders import MIB, Crowd, process, table

CONF = "hogs:\n  cmdline: hog\n  exclude: spared\n  actions:\n    {rule}: term\n"
HOG = process(10, "hog", uid=0)
KID = process(11, "kid", ppid=10, uid=0)
OTHER = process(12, "other", uid=0)
SELF = process(os.getpid(), "record hog", uid=0)
EVERYTHING = {
    "rmem": MIB, "vmem": 2 * MIB, "cputime": 1, "threads": 1, "age": 5, "stopped": 0, "read_bytes": 0,
    "write_bytes": 0, "fds": 3, "fdlimit": 1024, "pmem": MIB, "umem": MIB, "swap": 0,
}  # fmt: skip
MACHINE = {"memory": 8 * MIB, "available": 4 * MIB}


class World:
    """A source that time goes by in: a hog and its child, and what a test adds to it."""

    def __init__(self):
        self.now = 1000.0
        self.there = [HOG, KID, OTHER, SELF]
        self.ended = set()
        self.unready = 0
        self.looked, self.reads = [], []
        self.look_takes = {}  # seconds, by the number of the look
        self.signal = (1e9, 0)  # when it comes, and which
        self.stopped_at = 1e9  # and continued when what is waited for is over

    def source(self, tell, patience=None):
        self.tell = tell
        return self

    def close(self):
        pass

    def configure(self, selects, process_events):
        assert not process_events
        self.selects = selects

    def prepare(self, facets):
        self.prepared = set(facets)

    def look(self, now):
        self.looked.append(now - 1000)
        if len(self.looked) <= self.unready:
            raise Unready
        self.now += self.look_takes.get(len(self.looked), 0)
        selected = {each.id.pid for each in self.there if self.selects(each.image)}
        return table(*(each for each in self.there if {each.id.pid, each.ppid} & selected))

    def measure(self, wants, now):
        seen = {None: MACHINE, **{each.id: EVERYTHING for each in self.there if each.id.pid not in self.ended}}
        crowd = Crowd(seen)
        found = crowd.measure(wants, now)
        self.reads += crowd.reads
        return found

    def sigtimedwait(self, numbers, seconds):
        at, number = self.signal
        if number in numbers and at <= self.now + seconds:
            self.now, self.signal = max(self.now, at), (1e9, 0)
            return SimpleNamespace(si_signo=number)
        self.now += seconds
        if self.stopped_at <= self.now:
            self.stopped_at = 1e9
            return SimpleNamespace(si_signo=0x5EED)  # Python hands out whatever is in its memory
        return None


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(record, "LinuxSource", world.source)
    monkeypatch.setattr(record.time, "monotonic", lambda: world.now)
    monkeypatch.setattr(record.signal, "sigtimedwait", world.sigtimedwait)
    monkeypatch.setattr(record.privileges, "lacking", lambda config: [])
    monkeypatch.setattr(record.privileges, "acts_on_everybody", lambda: True)
    handler = signal.getsignal(signal.SIGALRM)
    yield world
    signal.signal(signal.SIGALRM, handler)


@pytest.fixture
def recorded(world, tmp_path, capsys):
    path = tmp_path / "x.rec"
    (tmp_path / "x.conf").write_text(CONF.format(rule="rmem > 1g"))

    def run(**options):
        run.status = record.run(Options(tmp_path / "x.conf", path, **{"seconds": 3.0, **options}))
        out, err = capsys.readouterr()
        assert not out
        run.told = [line.removeprefix(f"{path}: ") for line in err.splitlines()]
        with recording.opened(path) as found:
            run.header, frames = found.header, list(found)
        assert not found.damage
        return frames

    run.path, run.conf = path, tmp_path / "x.conf"
    return run


# --- who and what ---


def pids(frame):
    return [each.id.pid for each in frame.processes]


def test_whom_the_monitors_are_about_and_who_is_below_is_recorded(recorded):
    frames = recorded()
    assert [pids(each) for each in frames] == [[10, 11]] * 4
    assert frames[0].samples[None] == MACHINE
    assert frames[0].samples[HOG.id] == {
        name: value for name, value in EVERYTHING.items() if name not in {"fds", "fdlimit", "pmem", "umem", "swap"}
    }
    assert recorded.status == exits.OK
    assert recorded.told == [f"4 frames of 2 processes over 3s, {recorded.path.stat().st_size} bytes; its 3s are over"]


def test_everybody_is_recorded_if_that_is_wanted_but_never_we_ourselves(recorded):
    assert pids(recorded(everybody=True)[0]) == [10, 11, 12]


@pytest.mark.parametrize(
    ("rule", "facets"),
    [("rmem > 1g", set()), ("pmem > 1g", {Facet.ROLLUP}), ("fds > 80%", {Facet.DESCRIPTORS})],
)
def test_what_is_dear_is_measured_if_a_rule_is_about_it(rule, facets, recorded, world):
    recorded.conf.write_text(CONF.format(rule=rule))
    recorded()
    always = {Facet.MACHINE, Facet.STAT, Facet.MEMORY, Facet.IO}
    assert set(recorded.header.facets) == world.prepared == {each.facet for each in world.reads} == always | facets


@pytest.mark.parametrize("action", ["term largest", "[log x, after 1m kill largest]", "oom 500 largest"])
def test_what_says_who_is_the_largest_is_measured_if_an_action_is_for_that(action, recorded, world):
    recorded.conf.write_text(CONF.format(rule="rmem > 1g").replace(": term", f": {action}"))
    recorded()
    assert Facet.ROLLUP in recorded.header.facets
    assert Facet.ROLLUP in world.prepared


def test_the_header_says_of_what_it_is(recorded, monkeypatch):
    monkeypatch.setattr(record.privileges, "acts_on_everybody", lambda: False)
    recorded(every=0.5)
    header = recorded.header
    assert (header.every, header.only_uid, header.config) == (0.5, os.geteuid(), str(recorded.conf))
    assert (header.program, header.monotonic) == (record.__version__, 1000)


def test_who_ends_while_it_is_measured_is_in_no_frame(recorded, world):
    world.ended.add(11)
    assert [pids(each) for each in recorded()] == [[10]] * 4


@pytest.mark.parametrize("there", [[OTHER], [process(10, "hog, spared")], []])
def test_where_there_is_nobody_yet_this_is_told_once_and_it_goes_on(there, recorded, world):
    world.there = there
    assert len(recorded()) == 4
    assert recorded.told[0] == f"nothing that runs is what {recorded.conf} is about; what comes is recorded"
    assert len(recorded.told) == 2


def test_what_cannot_be_seen_is_told(recorded, monkeypatch):
    monkeypatch.setattr(record.privileges, "lacking", lambda config: ["others are hidden"])
    recorded()
    assert recorded.told[0] == "others are hidden"


# --- when ---


@pytest.mark.parametrize(
    ("tick", "since", "then"), [(0, 0.0, 1), (0, 0.9, 1), (0, 1.0, 2), (0, 1.1, 2), (3, 2.999, 4), (3, 7.5, 8)]
)
def test_a_tick_that_was_missed_is_left_out(tick, since, then):
    assert next_tick(tick, since, 1.0) == then


def test_frames_do_not_drift_however_long_each_takes(recorded, world):
    world.look_takes = {1: 0.3, 2: 0.6, 4: 2.5}
    recorded(seconds=9.0, every=1.0)
    assert world.looked == [0, 1, 2, 3, 6, 7, 8, 9]


@pytest.mark.parametrize(("every", "seconds"), [(0.1, 0.3), (0.1, 12.0), (0.3, 12.0), (1.0, 12.0), (4.0, 12.0)])
def test_it_lasts_as_long_as_it_should(every, seconds, recorded):
    frames = recorded(every=every, seconds=seconds)
    assert frames[-1].at == pytest.approx(1000 + seconds)
    assert len(frames) == round(seconds / every) + 1


def test_it_begins_when_everybody_was_read_once(recorded, world):
    world.unready = 3
    frames = recorded(seconds=2.0)
    assert [each.at for each in frames] == pytest.approx([1000.15, 1001.15, 1002.15])


# --- what ends it ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_well(number, recorded, world):
    world.signal = (1005.5, number)
    assert len(recorded(seconds=None)) == 6
    assert recorded.told == [
        f"6 frames of 2 processes over 5s, {recorded.path.stat().st_size} bytes; ended by {signal.Signals(number).name}"
    ]
    assert recorded.status == exits.OK


def test_to_be_stopped_and_continued_ends_nothing(recorded, world):
    world.stopped_at = 1001.5
    assert len(recorded(seconds=5.0)) == 6
    assert recorded.told[-1].endswith("; its 5s are over")


def test_a_signal_that_is_ignored_is_ignored(recorded, world):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        world.signal = (1001.5, signal.SIGHUP)
        assert len(recorded(seconds=5.0)) == 6
    finally:
        signal.signal(signal.SIGHUP, before)


def test_before_and_after_signals_are_what_they_were(recorded):
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, record._ENDING) - record._ENDING
    recorded()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_size_ends_it_well(recorded, world):
    recorded(seconds=None, size=1200)
    assert recorded.path.stat().st_size <= 1200
    assert recorded.told[-1].endswith("; another frame would make it too large")
    assert recorded.status == exits.OK


def test_a_disk_that_is_full_is_a_failure_that_says_what_there_is(recorded, monkeypatch):
    class Full(record.Writer):
        def _write(self, data):
            if self.frames == 2:
                raise record.Unwritable("No space left on device")
            super()._write(data)

    monkeypatch.setattr(record, "Writer", Full)
    with pytest.raises(exits.Failure) as caught:
        recorded(every=6.0, seconds=None)
    assert caught.value.status == exits.UNAVAILABLE
    assert str(caught.value).startswith(f"cannot write on in {recorded.path}: No space left on device; it has 2 frames")


def test_a_disk_that_is_full_from_the_first_is_a_failure(recorded, monkeypatch):
    def full(*_):
        raise record.Unwritable("No space left on device")

    monkeypatch.setattr(record, "Writer", full)
    with pytest.raises(exits.Failure, match=r"cannot write .*x\.rec: No space left on device"):
        recorded()
    assert not recorded.path.exists(), "it would be in the way of the next attempt"


# --- the file ---


def test_the_file_is_for_nobody_else_to_read(recorded):
    recorded()
    assert stat.S_IMODE(recorded.path.stat().st_mode) == 0o600


def refused(recorded, kind=exits.UsageError, **options):
    with pytest.raises(kind) as caught:
        recorded(**options)
    assert type(caught.value) is kind
    return str(caught.value)


def test_what_is_there_is_left_as_it_is(recorded, tmp_path):
    recorded.path.write_text("mine")
    told = f"{recorded.path} is there already, and is left as it is; write another name, or remove it"
    assert refused(recorded) == told
    assert recorded.path.read_text() == "mine"
    recorded.path.unlink()
    recorded.path.symlink_to(tmp_path / "nothing")
    assert refused(recorded) == told
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("no/x.rec", "there is no directory no for x.rec; make it, or write another name"),
        ("/dev/null/x.rec", "there is no directory /dev/null for x.rec; make it, or write another name"),
        ("/proc/x.rec", "there is no directory /proc for x.rec; make it, or write another name"),
    ],
)
def test_a_file_that_cannot_be_is_told_with_what_to_do(file, told, world, recorded):
    with pytest.raises(exits.UsageError) as caught:
        record.run(Options(recorded.conf, record.Path(file)))
    assert str(caught.value) == told


def test_a_file_that_may_not_be_is_told(recorded, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(record.os, "open", refuse)
    with (
        pytest.raises(exits.NotPermitted, match=r"cannot make /x\.rec: Permission denied"),
        record._created(record.Path("/x.rec")),
    ):
        pass


def test_without_monitors_it_takes_all(recorded):
    recorded.conf.write_text("interval: 5s\n")
    told = f"{recorded.conf} has no monitors, so it is about nobody; write --all for everybody"
    assert refused(recorded) == told
    assert not recorded.path.exists()
    assert pids(recorded(everybody=True)[0]) == [10, 11, 12]


def test_a_configuration_that_is_wrong_leaves_no_file(recorded):
    recorded.conf.write_text("x: [\n")
    with pytest.raises(record.config.ConfigError):
        recorded()
    assert not recorded.path.exists()
