"""`replay` of recordings that are made up, so that all times are exact."""

import io
import json
import re
import signal
import time

import pytest

from fallfromgrace import exits, terminal
from fallfromgrace.commands import replay
from fallfromgrace.commands.replay import Options
from fallfromgrace.errors import ConfigError
from fallfromgrace.frames import Frame
from fallfromgrace.readings import Facet
from fallfromgrace.recorded import Header
from fallfromgrace.recorder import Writer
from tests.builders import MIB, process

WALL, MONOTONIC = 1_795_000_000.0, 5000.0
CHEAP = (Facet.MACHINE, Facet.STAT, Facet.MEMORY, Facet.IO)
HOG = process(4121, "hog --leak", uid=0)
MACHINE = {"memory": 16 << 30, "available": 8 << 30}


def frame(at, *there, **more):
    """(process, MiB of rmem) at so many seconds after the beginning."""
    samples = {
        each.id: {"rmem": size * MIB, "vmem": 2 * size * MIB, "age": 5.0 + at, "stopped": 0, "cputime": at / 2, **more}
        for each, size in there
    }
    return Frame(MONOTONIC + at, tuple(each for each, _ in there), {None: MACHINE, **samples})


def leak(seconds, rate=5, every=1.0, who=HOG):
    """100 MiB, and 5 more each second."""
    return [frame(at * every, (who, 100 + rate * at * every)) for at in range(int(seconds / every) + 1)]


@pytest.fixture
def replayed(tmp_path, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGALRM)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def write(frames, cut=None, junk=b"", every=1.0, only_uid=None, facets=CHEAP):
        stream = io.BytesIO()
        header = Header("1.0.0", "boot", WALL, MONOTONIC, every, only_uid, "/etc/x.conf", facets)
        writer = Writer(stream, header, 64 << 20)
        for each in frames:
            assert writer.add(each)
        writer.close()
        (tmp_path / "x.rec").write_bytes(stream.getvalue()[:cut] + junk)

    def run(conf, frames, as_json=False, plot=None, **more):
        (tmp_path / "x.conf").write_text(conf)
        if frames is not None:
            write(frames, **more)
        status = replay.run(Options(tmp_path / "x.conf", tmp_path / "x.rec", as_json, plot and tmp_path / plot))
        out, run.told = capsys.readouterr()
        return status, json.loads(out) if as_json else out

    run.path = tmp_path / "x.rec"
    yield run
    signal.signal(signal.SIGALRM, handler)
    monkeypatch.undo()
    time.tzset()


def conf(*rules, name="hogs", cmdline="hog", head=""):
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"{head}\n{name}:\n  cmdline: {cmdline}\n  actions:\n{lines}"


def happened(document, *names):
    return [tuple(each[name] for name in names) for each in document["happenings"]]


# --- when ---


@pytest.mark.parametrize("limit", [150, 200, 333])
@pytest.mark.parametrize("every", [1.0, 0.5])
def test_a_leak_is_acted_upon_at_the_first_sample_above_the_limit(replayed, limit, every):
    status, found = replayed(conf(f"rmem > {limit}m: term"), leak(60, every=every), as_json=True)
    [(since, at, value)] = happened(found, "since", "at", "value")
    crossing = (limit - 100) / 5
    assert status == exits.OK
    assert crossing < since <= crossing + every + 0.05
    assert at == pytest.approx(WALL + since)
    assert float(value.removesuffix("m")) == pytest.approx(100 + 5 * (since // every) * every, abs=0.1)


def test_what_takes_time_takes_it(replayed):
    rules = "rmem > 150m for 7s: [log a, after 10s log b]", "rmem > 150m: log @ 15s c"
    _, found = replayed(conf(*rules), leak(60), as_json=True)
    assert [(text, round(since)) for text, since in happened(found, "text", "since")] == [
        ("c", 11), ("a", 18), ("c", 26), ("b", 28), ("c", 41), ("c", 56)
    ]  # fmt: skip


def test_two_limits_give_two_times_of_which_arithmetic_knows(replayed):
    """At 5 MiB a second 100 MiB more are 20 seconds later."""
    times = []
    for limit in (200, 300):
        [(since,)] = happened(replayed(conf(f"rmem > {limit}m: term"), leak(60), as_json=True)[1], "since")
        times.append(since)
    assert times[1] - times[0] == pytest.approx(20, abs=0.1)


def test_who_is_killed_is_gone_whatever_was_recorded(replayed):
    _, found = replayed(conf("rmem > 150m: kill", "rmem > 200m: log still there"), leak(60), as_json=True)
    assert happened(found, "action") == [("kill",)]


# --- how it is shown ---


def test_a_timeline_has_a_heading_columns_and_a_summary(replayed):
    status, out = replayed(conf("rmem > 150m: log $NAME uses $VALUE", "rmem > 200m: exec @ 1h x; y"), leak(60))
    assert status == exits.OK
    assert out.splitlines() == [
        f"{replayed.path}: recorded from 2026-11-18 11:06:40 on, every 1s",
        "TIME                 SINCE        MONITOR  PID      RULE         VALUE    ACTION"
        "                 RESULT   COMMAND",
        "2026-11-18 11:06:51  +11.0s       hogs     4121     rmem > 150m  155m     log hogs uses 155m"
        "     told     hog --leak",
        "2026-11-18 11:07:01  +21.0s       hogs     4121     rmem > 200m  205m     exec @ 1h x; y"
        "         started  hog --leak",
        "2 actions would have been done: 61 samples of 1 process in 1m",
        "  1  hogs  rmem > 150m  log",
        "  1  hogs  rmem > 200m  exec @ 1h",
    ]  # fmt: skip
    assert replayed.told == ""


def test_where_nothing_would_have_been_done_the_answer_is_no(replayed):
    status, out = replayed(conf("rmem > 10g: term"), leak(60))
    assert status == exits.NO
    assert out.splitlines()[1:] == ["nothing would have been done: 61 samples of 1 process in 1m"]


def test_programs_get_everything(replayed):
    status, found = replayed(conf("rmem > 150m: log $VALUE of $LIMIT"), leak(60), as_json=True, only_uid=0)
    assert status == exits.OK
    assert found == {
        "recording": {
            "file": str(replayed.path), "program": "1.0.0", "config": "/etc/x.conf", "only_uid": 0, "at": WALL,
            "seconds": 60.0, "every": 1.0, "samples": 61, "processes": 1,
        },
        "happenings": [{
            "at": WALL + 11, "since": 11.0, "monitor": "hogs", "pid": 4121, "for": None, "rule": "rmem > 150m",
            "value": "155m", "limit": "150m", "action": "log", "when": "", "result": "told", "text": "155m of 150m",
            "cmdline": "hog --leak",
        }],
        "damage": "",
        "notes": [],
    }  # fmt: skip


def test_monitors_that_only_observe_do_nothing(replayed):
    observing = conf("rmem > 150m: kill", "rmem > 200m: log x").replace("  actions", "  observe: yes\n  actions")
    _, found = replayed(observing, leak(60), as_json=True)
    assert happened(found, "action", "result") == [("kill", "dry-run"), ("log", "dry-run")]


def test_what_recovers_is_told_as_that(replayed):
    """At the next look, which is an interval later at most."""
    frames = [*leak(20), *(frame(at, (HOG, 50)) for at in range(21, 40))]
    _, found = replayed(conf("rmem > 150m: [log high, recovered log low]"), frames, as_json=True)
    assert happened(found, "when", "text") == [("", "high"), ("recovered", "low")]


@pytest.mark.parametrize("as_json", [False, True])
def test_whatever_a_command_line_is_it_does_no_harm(replayed, as_json):
    evil = process(7, "hog \x1b[2J\n\udcff\u202e$HOME 漢")
    out = replayed(conf('rmem > 150m: log "$CMDLINE"'), leak(20, who=evil), as_json=as_json)[1]
    if as_json:
        assert happened(out, "cmdline", "text") == [(r"hog " + "\x1b[2J\n" + r"\udcff" + "\u202e$HOME 漢",) * 2]
    else:
        assert all(line.isprintable() for line in out.splitlines())
        assert out.count(r"hog \x1b[2J\x0a\xff\u202e$HOME 漢") == 2


@pytest.fixture
def on_a_terminal(monkeypatch):
    monkeypatch.setattr(terminal, "width", lambda stream=None: 60)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


def test_on_a_terminal_no_line_is_wider_and_a_date_stands_where_a_day_begins(replayed, on_a_terminal):
    frames = [frame(at, (HOG, 200)) for at in range(0, 90_000, 300)]
    lines = replayed(conf("rmem > 150m: log @ 12h $NAME is rather large and goes on to be so"), frames)[1].splitlines()
    assert max(map(len, lines)) == 60
    days = [line for line in lines if re.fullmatch(r"2026-\d\d-\d\d", line)]
    assert days == ["2026-11-18", "2026-11-19"]
    assert [line[:8] for line in lines if "rmem > 150m  200m" in line] == ["11:06:40", "23:06:40", "11:06:40"]


def test_on_a_terminal_what_is_no_row_stands_out(replayed, on_a_terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR")
    lines = replayed(conf("rmem > 150m: term"), leak(20))[1].splitlines()
    styles = ["\x1b[1m", "\x1b[2m", "\x1b[2m", "11:06:51", "\x1b[1m", "  1  hog"]
    assert [line.startswith(style) for line, style in zip(lines, styles, strict=True)] == [True] * 6


def test_lines_appear_as_they_are_found(replayed, monkeypatch):
    """The recording is not read to its end before the first is printed."""
    printed, taken = [], []
    monkeypatch.setattr(replay._Page, "add", lambda self, row: printed.append((row.since, len(taken))))
    add = replay.Seen.add
    monkeypatch.setattr(replay.Seen, "add", lambda self, frame: taken.append(frame) or add(self, frame))
    replayed(conf("rmem > 150m: term", "rmem > 350m: term"), leak(60))
    assert [(round(since), seen) for since, seen in printed] == [(11, 13), (51, 53)]  # one frame ahead


def test_it_is_told_how_far_it_is(replayed, monkeypatch):
    steps = []
    monkeypatch.setattr(replay.Progress, "step", lambda self, done, note="": steps.append((done, self._total)))
    frames = [frame(at, *((process(pid, f"hog {pid * at}"), pid * at) for pid in range(2, 60))) for at in range(300)]
    replayed(conf("rmem > 100g: term"), frames)
    total = replayed.path.stat().st_size >> 10
    assert total > 10
    assert steps == sorted(steps)
    assert steps[-1] == (total, total)
    assert len({done for done, _ in steps}) > 2


def test_what_the_output_cannot_take_is_escaped(replayed, monkeypatch):
    written = io.BytesIO()
    replayed(conf("rmem > 150m: term"), leak(60, who=process(4121, "hog hög", uid=0)))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    replay.run(Options(replayed.path.with_name("x.conf"), replayed.path))
    assert b"h\\xf6g" in written.getvalue()


# --- what could not be judged ---


def test_what_was_not_recorded_is_told_once(replayed):
    status, _ = replayed(conf("pmem > 1m: term", "rmem > 150m: log x"), leak(60))
    assert status == exits.OK
    [note] = replayed.told.splitlines()
    why = "pmem was not recorded; record with a configuration that has this rule"
    assert note == f"hogs: rule 'pmem > 1m': {why} (process 4121, +0.0s to +1m00.0s)"


def test_that_the_largest_was_told_by_less_than_the_daemon_tells_it_by_is_told(replayed):
    other = process(4122, "hog two", uid=0)
    frames = [frame(at, (HOG, 200), (other, 300)) for at in range(5)]
    _, out = replayed(conf("group.rmem > 400m: term largest"), frames, as_json=True)
    assert happened(out, "pid", "action") == [(4122, "term largest")]
    why = (
        "who is the largest was told by rmem, for pmem was not recorded; record with a configuration that has this rule"
    )
    assert replayed.told == f"hogs: rule 'group.rmem > 400m': {why} (process 4122, at +0.0s)\n"
    replayed(conf("group.rmem > 400m: term largest"), frames, facets=(*CHEAP, Facet.ROLLUP))
    assert replayed.told == ""


def test_what_was_not_watched_for_long_enough_is_told_once(replayed):
    old = [frame(at, (HOG, 100), age=1e6 + at) for at in range(60)]
    replayed(conf("cpu > 40%: nice 5"), old)
    why = "cpu was not watched for long enough, or is stopped"
    assert replayed.told == f"hogs: rule 'cpu > 40%': {why} (process 4121, at +0.0s)\n"


def test_who_is_protected_or_anothers_is_told(replayed):
    rules = conf("rmem > 150m: kill", head="protect:\n  - cmdline: protected")
    guarded, other = process(1234, "hog protected", uid=77), process(1235, "hog other", uid=78)
    frames = [frame(at, (guarded, 200), (other, 200)) for at in range(5)]
    status, _ = replayed(rules, frames, only_uid=77)
    assert status == exits.NO
    assert replayed.told.splitlines() == [
        "hogs: rule 'rmem > 150m': nothing would have been done: it is protected (process 1234, at +0.0s)",
        "hogs: rule 'rmem > 150m': nothing would have been done: it belongs to another user (process 1235, at +0.0s)",
    ]


def test_a_monitor_that_finds_nobody_is_told(replayed):
    replayed(conf("rmem > 1: log x") + conf("rmem > 1: term", name="others", cmdline="never"), leak(5))
    assert replayed.told == "others: nothing that was recorded matches\n"


def test_notes_are_for_programs_too(replayed):
    _, found = replayed(conf("pmem > 1m: term", cmdline="'hog|x'"), leak(5), as_json=True)
    assert found["notes"] == replayed.told.splitlines()


# --- what is wrong with it ---


def test_what_came_before_the_damage_is_replayed(replayed):
    """Flushed every five seconds: some of it is there, whatever was cut off."""
    replayed(conf("rmem > 150m: term"), leak(600))
    size = replayed.path.stat().st_size
    status, out = replayed(conf("rmem > 150m: term"), leak(600), cut=size // 2)
    assert status == exits.OK
    assert "+11.0s" in out
    [note] = replayed.told.splitlines()
    samples = int(re.search(r"(\d+) samples", out)[1])
    assert 100 < samples < 500
    assert note.startswith(f"{replayed.path}: ")
    assert "it breaks off" in note
    assert f"{samples} frames" in note


def test_damage_is_told_to_programs(replayed):
    status, found = replayed(conf("rmem > 150m: term"), leak(60), as_json=True, junk=b"more")
    assert status == exits.OK
    assert "there is something behind its end" in found["damage"]
    assert found["notes"] == []


def test_a_recording_without_a_sample_is_told_as_that(replayed):
    """Nobody is there at no time: a rule about that must not fire."""
    status, out = replayed(conf("count < 1: log nobody"), [])
    assert status == exits.NO
    assert "nothing would have been done" in out
    assert replayed.told == f"{replayed.path}: there is no sample in it\n"


def test_a_rule_about_nobody_fires_where_nobody_was_recorded(replayed):
    _, found = replayed(conf("count < 1: log nobody"), [frame(0), frame(1)], as_json=True)
    assert happened(found, "since", "pid", "text") == [(0.0, None, "nobody")]


def test_time_that_goes_on_for_ever_is_not_waited_for(replayed):
    frames = [*leak(20), frame(1e9, (HOG, 500)), frame(1e12, (HOG, 500))]
    status, out = replayed(conf("rmem > 150m: log @ 1s x"), frames)
    assert status == exits.OK
    assert "21 samples" in out
    assert replayed.told == f"{replayed.path}: for 11574d1h there is no sample; the rest is left out\n"


@pytest.mark.parametrize(("wall", "first"), [(1e300, 0.0), (0.0, 1e12)])
def test_a_date_that_no_calendar_has_does_no_harm(replayed, monkeypatch, wall, first):
    monkeypatch.setattr("tests.test_replay.WALL", wall)
    monkeypatch.setattr("tests.test_replay.MONOTONIC", first)
    for as_json in (False, True):
        assert replayed(conf("rmem > 150m: term"), leak(20), as_json=as_json)[0] == exits.OK


@pytest.mark.parametrize("data", [b"", b"not a recording", b"\x1f\x8b", b"{}\n"])
def test_what_is_no_recording_is_told_as_that(replayed, data):
    replayed.path.write_bytes(data)
    with pytest.raises(exits.UsageError, match="is no recording"):
        replayed(conf("rmem > 150m: term"), None)


def test_a_recording_that_is_not_there_is_told_as_that(replayed):
    with pytest.raises(exits.UsageError, match="there is no file"):
        replayed(conf("rmem > 150m: term"), None)


def test_a_wrong_configuration_is_not_used(replayed):
    with pytest.raises(ConfigError):
        replayed(conf("rmem > 150x: term"), leak(5))


# --- the picture ---


def test_a_picture_is_drawn_besides(replayed):
    pytest.importorskip("matplotlib")
    status, out = replayed(conf("rmem > 150m: term"), leak(60), plot="x.svg")
    assert status == exits.OK
    assert "1 action would have been done" in out
    picture = replayed.path.with_name("x.svg").read_text()
    for text in ("hogs: rmem", "rmem &gt; 150m", "term 4121", "4121 hog --leak", "1 action"):
        assert text in picture


def test_of_nothing_there_is_a_picture_too(replayed):
    pytest.importorskip("matplotlib")
    assert replayed(conf("count < 1: log nobody"), [], plot="x.svg")[0] == exits.NO
    assert "no rule compares anything" in replayed.path.with_name("x.svg").read_text()


def test_what_the_picture_has_no_room_for_is_told(replayed):
    pytest.importorskip("matplotlib")
    rules = [f"growth(rmem, {seconds}s) > 100g: term" for seconds in range(10, 30)]
    replayed(conf(*rules), leak(60), plot="x.svg")
    assert "the picture has no room for 8 more panels; draw fewer rules" in replayed.told


def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(replayed, capsys):
    with pytest.raises(exits.UsageError, match="ends with"):
        replayed(conf("rmem > 150m: term"), leak(60), plot="x.gif")
    assert capsys.readouterr().out == ""


def test_a_recording_is_not_replaced_by_a_picture_of_it(replayed, tmp_path):
    pytest.importorskip("matplotlib")
    replayed(conf("rmem > 150m: term"), leak(60))
    recorded = replayed.path.rename(tmp_path / "x.svg")
    with pytest.raises(exits.UsageError, match=r"--plot: .*x\.svg is the recording; write the name of another file"):
        replay.run(Options(tmp_path / "x.conf", recorded, plot=tmp_path / ".." / tmp_path.name / "x.svg"))
