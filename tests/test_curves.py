import itertools
import math

import pytest

from fallfromgrace import curves
from fallfromgrace.curves import MOST_CURVES, MOST_MARKS, MOST_PANELS, MOST_SPANS, Curve, Curves
from fallfromgrace.frames import Frame
from fallfromgrace.protection import Self
from fallfromgrace.simulation import simulate
from fallfromgrace.units import Dimension
from tests.builders import MIB, config, monitor, process

GIB = 1 << 30
MACHINE = {"memory": 16 * GIB, "available": 8 * GIB}
MYSELF = Self(0, None)


def curve(points):
    made = Curve(None)
    for at, value in points:
        made.add(at, value)
    return made


# --- a curve ---


def test_a_short_curve_keeps_every_point():
    points = [(float(at), at % 7) for at in range(MOST_SPANS)]
    assert curve(points).points == points


@pytest.mark.parametrize("many", [MOST_SPANS + 1, 3000, 100_000])
def test_a_long_curve_keeps_a_bounded_number_of_points_in_order_from_all_of_its_time(many):
    kept = curve((float(at), math.sin(at / many * 20)) for at in range(many)).points
    assert MOST_SPANS / 2 <= len(kept) <= 2 * MOST_SPANS
    assert kept == sorted(kept)
    assert kept[0][0] == 0.0
    assert kept[-1][0] > many * (1 - 4 / MOST_SPANS)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(kept)]
    assert max(gaps) <= 8 * many / MOST_SPANS  # no part is coarser than the others


@pytest.mark.parametrize("extreme", [1000.0, -1000.0])
@pytest.mark.parametrize("when", [0, 1, 12_345, 49_999])
def test_the_highest_and_the_lowest_are_never_lost(extreme, when):
    kept = curve((float(at), extreme if at == when else at % 10) for at in range(50_000))
    assert (float(when), extreme) in kept.points
    assert kept.peak == max(extreme, 9.0)


def test_uneven_times_lose_nothing_at_their_ends():
    kept = curve([(at**3 / 1e6, float(at)) for at in range(5000)])
    assert len(kept.points) <= 2 * MOST_SPANS
    assert kept.points[-1][1] == 4999.0


# --- panels ---


def frame(at, there, machine=MACHINE):
    """MiB of rmem, or a whole sample, by process."""
    samples = {
        each.id: {"rmem": sample * MIB, "vmem": 2 * sample * MIB} if isinstance(sample, (int, float)) else sample
        for each, sample in there.items()
    }
    return Frame(float(at), tuple(there), {None: machine, **samples})


def drawn(actions, *frames, **other):
    made = Curves(config(monitor(actions, **other)), MYSELF)
    for each in frames:
        made.add(each)
    return made


A, B = process(10, "hog a"), process(20, "hog b")
KID = process(11, "kid", ppid=10)


def by_pid(panel):
    return {each.process.id.pid if each.process else None: each.points for each in panel.curves}


def test_there_is_a_panel_for_what_rules_compare_with_a_curve_for_each_process():
    [panel] = drawn({"rmem > 1g": "term", "rmem > 2g": "kill"}, frame(0, {A: 1, B: 5}), frame(1, {A: 2})).panels
    assert (panel.monitor, str(panel.what), panel.dimension) == ("m", "rmem", Dimension.SIZE)
    assert by_pid(panel) == {10: [(0.0, MIB), (1.0, 2 * MIB)], 20: [(0.0, 5 * MIB)]}
    assert [each.process.id.pid for each in panel.curves] == [20, 10]  # the highest first
    assert panel.limits == {"rmem > 1g": GIB, "rmem > 2g": 2 * GIB}


@pytest.mark.parametrize(
    ("trigger", "limits"),
    [
        ("1g < rmem", {"1g < rmem": GIB}),
        ("rmem > 25%", {"rmem > 25%": 4 * GIB}),
        ("rmem > 2g for 10m", {"rmem > 2g for 10m": 2 * GIB}),
        ("rmem > 2g until rmem < 1g", {"rmem > 2g": 2 * GIB, "until rmem < 1g": GIB}),
        ("1g < rmem < 2g", {"1g < rmem": GIB, "rmem < 2g": 2 * GIB}),
    ],
)
def test_limits_are_known_by_what_was_written(trigger, limits):
    assert drawn({trigger: "log x"}, frame(0, {A: 1})).panels[0].limits == limits


@pytest.mark.parametrize(
    ("trigger", "panels"),
    [
        ("vmem > rmem", {"vmem": {10: 600, 20: 40}, "rmem": {10: 300, 20: 20}}),
        ("rmem + vmem > 1g", {"rmem + vmem": {10: 900, 20: 60}}),
        ("tree.rmem > 1g", {"tree.rmem": {10: 307, 20: 20}}),
        ("group.rmem > 1g", {"group.rmem": {None: 320}}),
        ("rmem > 1g and system.available < 1g", {"rmem": {10: 300, 20: 20}, "system.available": {None: 8192}}),
    ],
)
def test_what_is_drawn_is_what_the_rule_sees(trigger, panels):
    made = drawn({trigger: "log x"}, frame(0, {A: 300, KID: 7, B: 20}))
    assert {
        str(panel.what): {pid: points[0][1] / MIB for pid, points in by_pid(panel).items()} for panel in made.panels
    } == panels


def test_rates_and_growth_are_drawn_from_when_they_are_known():
    frames = [frame(at, {A: {"rmem": at * MIB, "vmem": 0, "cputime": at / 2, "age": 99 + at}}) for at in range(30)]
    cpu, growth = drawn({"cpu > 90%": "term", "growth(rmem, 10s) > 1g": "term"}, *frames).panels
    assert {value for _, value in by_pid(cpu)[10]} == {50.0}
    assert {value for _, value in by_pid(growth)[10]} == {10 * MIB}
    assert by_pid(cpu)[10][0][0] == pytest.approx(10, abs=1)


def test_what_was_not_recorded_has_no_panel():
    assert drawn({"pmem > 1m": "term"}, frame(0, {A: 1})).panels == []


def test_what_is_no_number_for_a_picture_is_left_out():
    made = drawn({"rmem > 1g": "term"}, frame(0, {A: {"rmem": math.inf, "vmem": 1}}), frame(1, {A: 5}))
    assert by_pid(made.panels[0]) == {10: [(1.0, 5 * MIB)]}


def test_of_very_many_processes_the_largest_are_kept():
    crowd = {process(100 + each, "hog"): each for each in range(3 * MOST_CURVES)}
    rising, falling = dict(crowd), dict(reversed(crowd.items()))
    for there in (rising, falling):
        [panel] = drawn({"rmem > 1g": "term"}, frame(0, there), frame(1, there)).panels
        kept = sorted(each.process.id.pid for each in panel.curves)
        assert kept == list(range(100 + 2 * MOST_CURVES, 100 + 3 * MOST_CURVES))
        assert panel.left_out == 2 * MOST_CURVES


def test_one_who_grows_past_others_takes_a_place():
    crowd = {process(100 + each, "hog"): 10 + each for each in range(MOST_CURVES)}
    [panel] = drawn({"rmem > 1g": "term"}, frame(0, {**crowd, A: 1}), frame(1, {**crowd, A: 500})).panels
    assert by_pid(panel)[10] == [(1.0, 500 * MIB)]
    assert panel.left_out == 1
    assert len(panel.curves) == MOST_CURVES


# --- actions ---


def played(actions, *frames, **other):
    rules = config(monitor(actions, **other))
    made = Curves(rules, MYSELF)
    for each in frames:
        made.add(each)
    for happening in simulate(rules, frames, MYSELF):
        made.mark(happening)
    return made


def test_an_action_is_marked_where_the_rule_stood():
    [panel] = played({"rmem > 100m": "term"}, frame(0, {A: 50}), frame(1, {A: 150}), frame(2, {A: 160})).panels
    assert panel.marks == [(1.0, 150 * MIB, "term 10")]


def test_an_action_is_marked_in_each_panel_of_its_rule():
    trigger = "rmem > 100m and system.available < 9g until rmem < 20m"
    made = played({trigger: ["log a", "recovered log b"]}, frame(0, {A: 150}), frame(60, {A: 10}))
    assert {str(panel.what): panel.marks for panel in made.panels} == {
        "rmem": [(0.0, 150 * MIB, "log 10"), (60.0, 10 * MIB, "recovered log 10")],
        "system.available": [(0.0, 8 * GIB, "log 10"), (60.0, 8 * GIB, "recovered log 10")],
    }


def test_marks_are_bounded_and_what_is_left_out_is_counted():
    frames = [frame(at, {A: 150}) for at in range(MOST_MARKS + 50)]
    [panel] = played({"rmem > 100m": "log @ 1s x"}, *frames).panels
    assert len(panel.marks) == MOST_MARKS
    assert panel.unmarked == 50


def test_of_too_many_panels_those_with_actions_come_first_in_the_order_of_the_file(monkeypatch):
    monkeypatch.setattr(curves, "MOST_PANELS", 2)
    triggers = {"rmem > 1g": "log a", "vmem > 1g": "log b", "threads > 9": "log c", "rmem + vmem > 5m": "log d"}
    made = played(triggers, frame(0, {A: {"rmem": 3 * MIB, "vmem": 4 * MIB, "threads": 1}}))
    assert [str(panel.what) for panel in made.panels] == ["rmem", "rmem + vmem"]
    assert made.left_out == 2
    assert MOST_PANELS > 2
