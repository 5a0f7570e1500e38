import re

import pytest

from fallfromgrace.expression import comparisons
from fallfromgrace.grammar import parse_trigger
from fallfromgrace.insight import measures
from fallfromgrace.picture import Level, urgency
from fallfromgrace.portrayal import Portrait, Texts, Turns, _telling, nearness
from fallfromgrace.rules import Selector
from fallfromgrace.verdict import Result
from tests.builders import MIB, Life, Seen, monitor, process

HOG, KID = process(100, "hog\x1b[31m"), process(101, "kid", ppid=100)
TEXTS = Texts(lambda uid: f"user{uid}", lambda text: text.replace("\x1b", "ESC"))


def pictured(life, verdicts, acts=True, turns=None, most=None):
    return tuple(Portrait(life.engine, life.seen, verdicts, TEXTS, turns or Turns(), acts).sections(most))


def lived(rule, actions, *looks, acts=True, **other):
    """The first rule of the hog after looks at (time, MiB); what fires is done at each but the last."""
    life = Life(monitor({rule: actions}), **other)
    for now, mib in looks[:-1]:
        life.look(now, (HOG, mib))
    [section] = pictured(life, life.sweep(looks[-1][0], [(HOG, looks[-1][1])]), acts)
    [row] = section.rows
    return row.gauges[0]


LADDER = ["log @ 5m x", "after 30s term", "after 30s kill"]


@pytest.mark.parametrize(
    ("rule", "actions", "looks", "state", "level"),
    [
        ("rmem > 100m", "term", [(0, 50)], "", Level.CALM),
        ("rmem > 100m", "term", [(0, 85)], "", Level.NEAR),
        ("rmem > 100m for 2m", "term", [(0, 200), (80, 200)], "pending 1m20s of 2m", Level.PENDING),
        ("rmem > 100m", "term", [(0, 200)], "firing, term now", Level.FIRING),
        ("rmem > 100m", "term", [(0, 200), (10, 200)], "firing, done", Level.FIRING),
        ("rmem > 100m", "term @ 1m", [(0, 200), (10, 200)], "firing, term @ 1m in 50s", Level.FIRING),
        ("rmem > 100m", LADDER, [(0, 200), (5, 200)], "firing 1/3, step 2 in 25s", Level.FIRING),
        ("rmem > 100m", LADDER, [(0, 200), (30, 200), (50, 200)], "firing 2/3, step 3 in 10s", Level.FIRING),
        ("rmem > 100m", LADDER, [(0, 200), (30, 200), (60, 200), (70, 200)], "firing 3/3, done", Level.FIRING),
        ("rmem > 100m until rmem < 50m", "term @ 1m", [(0, 200), (10, 70)], "firing, term @ 1m in 50s", Level.FIRING),
        ("rmem > 100m", "term @ 1m", [(0, 200), (10, 50)], "", Level.CALM),
    ],
)
def test_what_has_become_of_a_rule_is_said_in_a_few_words(rule, actions, looks, state, level):
    gauge = lived(rule, actions, *looks)
    assert (gauge.state, gauge.level) == (state, level)
    assert gauge.rule == rule


def test_without_a_daemon_nothing_is_done():
    assert lived("rmem > 100m", "term", (0, 200), acts=False).state == "would fire"


def test_who_is_protected_is_said_to_be_so():
    protect = [Selector(re.compile("hog"))]
    assert lived("rmem > 100m", "term", (0, 200), protect=protect).state == "firing, protected"
    assert lived("rmem > 100m", ["log x", "term"], (0, 200), (9, 200), protect=protect).state == "firing, protected"
    assert lived("rmem > 100m", ["term", "after 1m kill"], (0, 200), protect=protect).state == "firing 1/2, protected"


def test_that_one_of_several_is_protected_does_not_stand_for_all():
    """The other one was signalled, and is to be again."""
    crowd = [(process(101, "hog"), 500), (process(102, "hog holy"), 500)]
    life = Life(monitor({"group.rmem > 900m": "usr1 @ 1m"}), protect=[Selector(re.compile("holy"))])
    life.look(0, *crowd)
    [section] = pictured(life, life.sweep(10, crowd))
    assert section.gauges[0].state == "firing, usr1 @ 1m in 50s"


@pytest.mark.parametrize(
    ("sample", "state"),
    [({"rmem": MIB, "vmem": MIB}, "not known"), ({"rmem": 1, "cputime": 5.0, "age": 99.0}, "not known yet")],
)
def test_what_is_not_known_is_said_to_be_so(sample, state):
    life = Life(monitor({"cpu > 50%": "term"}))
    [section] = pictured(life, life.sweep(0, [(HOG, sample)]))
    [gauge] = section.rows[0].gauges
    assert (gauge.share, gauge.value, gauge.state) == (None, "unknown", state)


def test_what_cannot_be_exceeded_is_shown_in_few_characters():
    gauge = lived("pmem > 100m", "term", (0, 50))
    assert (gauge.value, gauge.limit) == ("<=50m", "100m")


def test_a_process_is_shown_with_what_it_uses_and_nothing_that_a_terminal_obeys():
    life, turns = Life(monitor({"rmem > 100m": "term"}, children=True)), Turns()
    for now in (0.0, 2.0):
        sample = {"rmem": 50 * MIB, "vmem": MIB, "cputime": now / 4, "stopped": 0.0, "age": 100.0}
        verdicts = life.sweep(now, [(HOG, sample), (KID, {"rmem": MIB, "vmem": MIB})])
        life.seen.readings.add([], {HOG.id: sample})
        turns.take(life.seen)
    [section] = pictured(life, verdicts, turns=turns)
    hog, kid = section.rows
    assert (section.name, section.note, section.total) == ("m", "2 processes", 2)
    assert hog[:6] == (100, "user1000", "50m", "25%", "hogESC[31m", "")
    assert (kid.note, kid.cpu) == ("below 100", "")


def test_who_has_ended_is_not_shown():
    life = Life(monitor({"rmem > 100m": "term"}))
    [section] = pictured(life, life.sweep(0, [(HOG, None)]))
    assert (section.rows, section.note) == ((), "nobody")


def test_who_is_stopped_is_shown_as_that():
    life = Life(monitor({"rmem > 100m": "term"}))
    [section] = pictured(life, life.sweep(0, [(HOG._replace(state="T"), 1)]))
    assert section.rows[0].note == "stopped"


def test_a_rule_about_all_that_is_covered_belongs_to_the_monitor():
    life = Life(monitor({"count < 4": "log few"}, observe=True))
    [section] = pictured(life, life.sweep(0, [(HOG, 1)]))
    [gauge] = section.gauges
    assert (gauge.value, gauge.limit, gauge.share, gauge.state) == ("1", "4", 4.0, "firing, log now")
    assert section.note == "1 process, observed only"
    assert section.rows[0].gauges == ()


def test_of_very_many_processes_only_those_nearest_to_their_limits_are_pictured():
    life = Life(monitor({"rmem > 1000m": "term", "vmem > 9g for 5m": "kill"}))
    seen = [(process(pid), pid) for pid in range(100, 200)] + [(process(7), {"rmem": MIB, "vmem": 10 << 30})]
    [section] = pictured(life, life.sweep(0, seen), most=4)
    assert sorted(row.pid for row in section.rows) == [7, 197, 198, 199]
    assert (section.total, section.note) == (101, "101 processes")


TRIGGERS = [
    ("rmem > 100m", {"rmem": 50 * MIB}, 0.5, "50m"),
    ("100m < rmem", {"rmem": 50 * MIB}, 0.5, "50m"),
    ("rmem < 100m", {"rmem": 50 * MIB}, 2.0, "50m"),
    ("not rmem > 100m", {"rmem": 50 * MIB}, 2.0, "50m"),
    ("not (rmem > 100m or rmem < 10m)", {"rmem": 50 * MIB}, 2.0, "50m"),
    ("rmem > 100m and vmem > 200m", {"rmem": 90 * MIB, "vmem": 20 * MIB}, 0.1, "20m"),
    ("rmem > 100m or vmem > 200m", {"rmem": 90 * MIB, "vmem": 20 * MIB}, 0.9, "90m"),
    ("rmem > 100m and cpu > 50%", {"rmem": 90 * MIB}, 0.9, "90m"),
    ("10m < rmem < 100m", {"rmem": 50 * MIB}, 2.0, "50m"),
    ("rmem == 100m", {"rmem": 50 * MIB}, None, "50m"),
    ("rmem > 0", {"rmem": 50 * MIB}, None, "50m"),
    ("rmem < 100m", {"rmem": 0}, None, "0"),
    ("cpu > 50%", {}, None, "unknown"),
    ("fds > 80%", {"fds": 40, "fdlimit": 100}, 0.5, "40"),
]


@pytest.mark.parametrize(("trigger", "read", "share", "value"), TRIGGERS)
def test_a_rule_is_as_near_to_its_limit_as_the_comparison_that_it_hangs_on(trigger, read, share, value):
    parsed, view = parse_trigger(trigger), Seen(**read)
    told = _telling(parsed.condition, measures(parsed.fires, view))
    assert nearness(parsed.condition, view) == pytest.approx(share)
    assert told.share == pytest.approx(share)
    if share != 2.0:
        assert told.value == value
    assert len(list(comparisons(parsed.condition))) == len(measures(parsed.fires, view))


def test_who_is_chosen_is_chosen_by_what_is_shown():
    life = Life(monitor({"rmem > 100m": "term", "rmem > 80m for 1m": "kill"}))
    verdicts = life.sweep(0, [(process(pid), pid - 40) for pid in range(100, 150)])
    portrait = Portrait(life.engine, life.seen, verdicts, TEXTS, Turns(), acts=True)
    for row in next(portrait.sections()).rows:
        [subject] = [each for each in life.seen.subjects if each.identity and each.identity.pid == row.pid]
        assert portrait._urgency(subject) == urgency(row.gauges)


def test_what_failed_is_tried_again():
    life = Life(monitor({"rmem > 100m": "term"}))
    life.look(0, (HOG, 200), result=Result.FAILED)
    [section] = pictured(life, life.sweep(4, [(HOG, 200)]))
    assert section.rows[0].gauges[0].state == "firing, term in 6s"
