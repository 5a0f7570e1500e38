"""Frames looked at as if they were processes."""

from math import inf

import pytest

from fallfromgrace.frames import Frame
from fallfromgrace.readings import Facet, Want
from fallfromgrace.table import Size
from fallfromgrace.world import World
from tests.builders import process

HOG, KID = process(100), process(101, "kid", ppid=100)
SAMPLE = {"rmem": 10, "vmem": 20, "cputime": 1.0, "age": 5.0, "threads": 2, "read_bytes": 100}
LATER = {"rmem": 30, "vmem": 40, "cputime": 3.0, "age": 7.0, "threads": 6, "read_bytes": 300}


def world(*frames):
    return World(Frame(at, tuple(processes), samples) for at, processes, samples in frames)


def two_seconds():
    return world((10.0, [HOG], {HOG.id: SAMPLE}), (12.0, [HOG], {HOG.id: LATER}))


@pytest.mark.parametrize(
    ("now", "facet", "found"),
    [
        (10.0, Facet.MEMORY, {"rmem": 10, "vmem": 20}),
        (11.5, Facet.MEMORY, {"rmem": 10, "vmem": 20}),  # nobody saw anything else
        (12.0, Facet.MEMORY, {"rmem": 30, "vmem": 40}),
        (99.0, Facet.MEMORY, {"rmem": 30, "vmem": 40}),
        (11.0, Facet.STAT, {"cputime": 2.0, "age": 6.0, "threads": 2}),
        (11.5, Facet.IO, {"read_bytes": 250}),
        (13.0, Facet.STAT, {"cputime": 3.0, "age": 8.0, "threads": 6}),
        (10.0, Facet.ROLLUP, {}),
    ],
)
def test_values_hold_until_the_next_frame_counters_and_age_go_on(now, facet, found):
    seen = two_seconds()
    seen.look(now)
    assert seen.measure([Want(HOG.id, facet)], now) == {HOG.id: found}


def test_the_machine_is_measured_too():
    seen = world((10.0, [], {None: {"available": 5, "memory": 8, "load": 0.5}}))
    assert seen.measure([Want(None, Facet.MACHINE)], 10.0) == {None: {"available": 5, "memory": 8, "load": 0.5}}


def test_who_is_not_there_is_not_measured_and_has_no_size():
    seen = world((10.0, [HOG], {HOG.id: SAMPLE}), (12.0, [], {}))
    assert seen.sizes([HOG.id, KID.id]) == {HOG.id: Size(10, 20)}
    seen.look(12.0)
    assert seen.sizes([HOG.id]) == {}
    assert seen.measure([Want(HOG.id, Facet.MEMORY)], 12.0) == {}


def test_what_was_not_measured_of_a_size_comes_to_no_limit():
    seen = world((10.0, [HOG, KID], {HOG.id: {"rmem": 10}, KID.id: {"age": 1.0}}))
    assert seen.sizes([HOG.id, KID.id]) == {HOG.id: Size(10, 0)}


def test_the_table_is_the_same_object_as_long_as_nobody_came_went_or_runs_something_else():
    stopped = HOG._replace(state="T")
    other = HOG._replace(image=HOG.image._replace(cmdline="other"))
    seen = world(
        (10.0, [HOG], {}),
        (11.0, [stopped], {}),
        (12.0, [stopped, KID], {}),
        (13.0, [other, KID], {}),
        (14.0, [KID], {}),
    )
    tables = [seen.look(now) for now in (10.0, 10.5, 11.0, 12.0, 13.0, 14.0)]
    assert tables[0] is tables[1] is tables[2]
    assert len({id(each) for each in tables}) == 4
    assert [len(each) for each in tables] == [1, 1, 1, 2, 2, 1]


def test_who_was_ended_stays_so_whatever_frames_say():
    seen = world((10.0, [HOG, KID], {HOG.id: SAMPLE}), (12.0, [HOG, KID], {HOG.id: LATER}))
    seen.end(HOG.id)
    assert [each.id for each in seen.look(10.0)] == [KID.id]
    assert [each.id for each in seen.look(12.0)] == [KID.id]
    assert seen.measure([Want(HOG.id, Facet.MEMORY)], 12.0) == {}
    assert seen.reread(100) is None


def test_several_frames_can_be_passed_at_once_and_the_next_one_is_known():
    seen = world(*((float(at), [HOG], {HOG.id: {"rmem": at, "vmem": at}}) for at in range(5)))
    assert (seen.began, seen.next_look()) == (0.0, 1.0)
    seen.look(3.2)
    assert (seen.sizes([HOG.id])[HOG.id].rmem, seen.next_look()) == (3, 4.0)
    seen.look(4.0)
    assert seen.next_look() == inf


def test_without_frames_there_is_nobody():
    seen = World([])
    assert (len(seen.look(0.0)), seen.next_look(), seen.measure([Want(None, Facet.MACHINE)], 0.0)) == (
        0,
        inf,
        {None: {}},
    )


def test_frames_are_taken_one_ahead_and_not_all_at_once():
    taken = []

    def frames():
        for at in range(100):
            taken.append(at)
            yield Frame(float(at), (), {})

    seen = World(frames())
    assert taken == [0, 1]
    seen.look(5.0)
    assert taken[-1] == 6


def test_a_pid_is_read_whole():
    seen = two_seconds()
    assert seen.reread(100) == (HOG, SAMPLE)
    assert seen.reread(7) is None
