import pytest

from fallfromgrace import terminal
from fallfromgrace.frames import Frame
from fallfromgrace.readings import Facet
from fallfromgrace.simulation import Happening
from fallfromgrace.table import UNREADABLE
from fallfromgrace.timeline import Columns, Doubts, Seen, Tally, row, since_text
from fallfromgrace.verdict import Kind, Outcome, Result
from tests.builders import config, monitor, process, verdict

BEGAN, WALL = 100.0, 1_795_000_000.0


def rowed(action="term", at=112.3, result=Result.SENT, text="", **other):
    return row(Happening(at, Outcome(verdict(action, **other), result, text=text)), BEGAN, WALL)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "+0.0s"),
        (12.34, "+12.3s"),
        (59.96, "+1m00.0s"),
        (62.3, "+1m02.3s"),
        (3599.9, "+59m59.9s"),
        (3600, "+1h00m00.0s"),
        (90061.5, "+25h01m01.5s"),
    ],
)
def test_a_time_since_the_beginning_is_told_to_a_tenth_of_a_second(seconds, text):
    assert since_text(seconds) == text


def test_a_row_has_both_times_and_all_that_the_log_has():
    found = rowed("log a $NAME", name="conkeror", process=process(4121, "hog -x"), text="a conkeror")
    assert found._asdict() == {
        "at": pytest.approx(WALL + 12.3), "since": pytest.approx(12.3), "monitor": "conkeror", "pid": 4121,
        "whose": None, "rule": "rmem > 100m", "value": "200m", "limit": "100m", "action": "log", "when": "",
        "result": "sent", "text": "a conkeror", "cmdline": "hog -x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "doing"),
    [
        ({"action": "stop @ 10m"}, "stop @ 10m"),
        ({"action": 'exec @ 1h logger "$PID"'}, 'exec @ 1h logger "$PID"'),
        ({"action": "notify @ 1h $NAME", "text": "m"}, "notify @ 1h m"),
        ({"action": "log back", "text": "back", "recovered": True}, "recovered log back"),
        ({"action": "kill tree", "process": process(101), "subject": process(100)}, "kill tree for 100"),
        ({"action": "kill tree", "process": process(100), "subject": process(100)}, "kill tree"),
    ],
)
def test_an_action_is_told_with_what_it_takes_to_understand_it(asked, doing):
    assert rowed(**asked).doing == doing


def test_what_is_about_no_process_has_none():
    found = rowed("exec x", process=None, sample={"count": 4})
    assert (found.pid, found.whose, found.cmdline) == (None, None, "")


def test_a_command_line_that_cannot_be_read_is_told_as_that():
    assert rowed(process=process(5, UNREADABLE)).cmdline == "(cannot be read)"


LONG = config(monitor({"group.rmem > 100m until group.rmem < 60m": ["exec @ 1h logger much", "term"]}, name="漢字" * 8))


@pytest.mark.parametrize("room", [60, 80, 100, 200])
def test_what_was_done_can_be_read_however_little_room_there_is(room):
    columns = Columns(LONG, 8, room)
    trigger = "group.rmem > 100m until group.rmem < 60m"
    shown = columns.line(rowed("exec @ 1h logger much", name="漢字" * 8, trigger=trigger), "12:00:00")
    before = shown[: shown.index("exec")]
    assert terminal.columns(before) == columns.head.index("ACTION") <= room - 8
    assert "group." in before
    assert ("SINCE" in columns.head, "RESULT" in columns.head) == (room > 60, room > 80)


CONFIG = config(monitor({"rmem > 100m": "term", "rmem > 1g": "kill"}, name="conkeror"))


def test_rows_stand_below_each_other_and_below_their_names():
    columns = Columns(CONFIG, 8)
    first = columns.line(rowed(name="conkeror", process=process(4121, "hog -x")), "12:00:00")
    second = columns.line(rowed("kill", at=5000, trigger="rmem > 1g", value="1.5g"), "13:00:00")
    assert [columns.head, first, second] == [
        "TIME      SINCE        MONITOR   PID      RULE         VALUE    ACTION  RESULT   COMMAND",
        "12:00:00  +12.3s       conkeror  4121     rmem > 100m  200m     term    sent     hog -x",
        "13:00:00  +1h21m40.0s  m         100      rmem > 1g    1.5g     kill    sent     hog",
    ]


def test_whatever_is_in_a_row_it_is_one_printable_line():
    bad = "a\nb\x1b[2J\udcff\u202e"
    rules = config(monitor({"rmem > 100m": f"log {bad}"}, name=bad))
    line = Columns(rules, 8).line(rowed(f"log {bad}", name=bad, text=bad, process=process(1, bad)), "12:00:00")
    assert line.isprintable()
    assert line.count(r"a\x0ab\x1b[2J\xff\u202e") == 3


def test_very_long_names_and_rules_do_not_make_wide_columns():
    wide = config(monitor({"rmem > 100m": "exec " + "x" * 500}, name="n" * 500))
    assert len(Columns(wide, 8).head) < 180


def test_a_configuration_without_monitors_has_columns():
    assert Columns(config(), 8).head.startswith("TIME ")


def test_actions_are_counted_by_rule_and_action():
    tally = Tally()
    for _ in range(10):
        tally.add(rowed("log a", text="a"))
    for asked in ({"action": "kill", "trigger": "rmem > 1g"}, {"action": "log b", "recovered": True, "name": "other"}):
        tally.add(rowed(**asked))
    assert tally.total == 12
    assert list(tally.lines()) == [
        "  10  m      rmem > 100m  log",
        "   1  m      rmem > 1g    kill",
        "   1  other  rmem > 100m  recovered log",
    ]


def test_of_nothing_there_are_no_lines():
    assert list(Tally().lines()) == []


# --- what there was to see ---


def test_frames_and_different_processes_are_counted():
    seen, hog, other = Seen(CONFIG), process(1, "hog"), process(2, "other")
    again = process(1, "hog", start=99)
    for at, there in ((5.0, (hog,)), (6.0, (hog, other)), (7.5, (again,))):
        seen.add(Frame(at, there, {}))
    assert (seen.frames, seen.processes, seen.began, seen.seconds) == (3, 3, 5.0, 2.5)
    assert seen.summary == "3 samples of 3 processes in 2.5s"


def test_a_monitor_that_is_about_nobody_who_was_there_is_named():
    rules = config(monitor({"rmem > 1": "term"}, name="a", cmdline="hog"), monitor({}, name="b", cmdline="never"))
    seen = Seen(rules)
    assert list(seen.without) == ["a", "b"]
    seen.add(Frame(1.0, (process(1, "hog"),), {}))
    assert list(seen.without) == ["b"]
    seen.add(Frame(2.0, (process(1, "never mind"),), {}))  # it executes something else
    assert list(seen.without) == []


# --- what could not be judged ---

ALL = tuple(Facet)


def heard(*told, facets=ALL):
    doubts = Doubts(facets)
    for at, each in told:
        doubts.hear(at, each)
    return list(doubts.notes(BEGAN))


def test_what_is_done_or_only_waits_is_no_doubt():
    kinds = (Kind.FIRE, Kind.PENDING, Kind.LIMITED, Kind.SHADOWED)
    assert heard(*((1.0, verdict(kind=kind, reason="because")) for kind in kinds)) == []


def test_what_is_protected_is_told_once_for_a_rule_with_whom_and_when():
    first, second = (verdict(kind=Kind.PROTECTED, reason="it is protected", process=process(pid)) for pid in (7, 8))
    rule = "m: rule 'rmem > 100m': nothing would have been done: it is protected"
    assert heard((101.0, first)) == [f"{rule} (process 7, at +1.0s)"]
    assert heard((101.0, first), (161.0, first)) == [f"{rule} (process 7, +1.0s to +1m01.0s)"]
    assert heard((101.0, first), (102.0, second)) == [f"{rule} (2 processes, +1.0s to +2.0s)"]


@pytest.mark.parametrize(
    ("trigger", "reason", "facets", "told"),
    [
        ("pmem > 1m", "pmem cannot be read", (Facet.STAT,), "pmem was not recorded; record with a configuration"),
        ("pmem > 1m", "pmem cannot be read", ALL, "pmem could not be read"),
        ("tree.pmem > 1m", "tree.pmem cannot be read", (Facet.STAT,), "tree.pmem was not recorded"),
        ("read > 1m/s", "read cannot be read", (Facet.STAT,), "read was not recorded"),
        ("growth(fds, 1h) > 9", "growth(fds, 1h) cannot be read", (Facet.STAT,), "growth(fds, 1h) was not recorded"),
        ("system.load > 9", "system.load cannot be read", (Facet.STAT,), "system.load was not recorded"),
        ("system.load > 9", "system.load cannot be read", ALL, "system.load could not be read"),
    ],
)
def test_what_was_not_recorded_is_told_apart_from_what_could_not_be_read(trigger, reason, facets, told):
    sample = {"pmem": 0, "tree__pmem": 0}
    asked = verdict(trigger=trigger, kind=Kind.UNKNOWN, reason=reason, sample=sample)
    [note] = heard((100.0, asked), facets=facets)
    assert note.startswith(f"m: rule '{trigger}': {told}")


def test_what_was_not_watched_for_long_enough_is_told_with_until_when():
    reason = "cpu was not watched for long enough, or is stopped"
    asked = verdict(trigger="cpu > 9%", kind=Kind.EARLY, reason=reason)
    [note] = heard((100.0, asked), (109.0, asked))
    assert note == f"m: rule 'cpu > 9%': {reason} (process 100, +0.0s to +9.0s)"
