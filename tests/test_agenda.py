"""When to look at whom again. Times are seconds of a made-up clock."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.agenda import GROWTH_RATE, TICK_SECONDS, Agenda, Part, next_of, tick
from fallfromgrace.readings import Subject
from fallfromgrace.table import ProcessId, Size
from tests.builders import MIB

ONE, TWO = ProcessId(1, 1), ProcessId(2, 2)
SUBJECT, OTHER = Subject("m", ONE), Subject("m", TWO)
GIB = 1024 * MIB


def part(rmem=inf, vmem=inf, members=(ONE,)):
    return Part(members, rmem, vmem)


def agenda(*parts, interval=10.0, room=0.0, now=0.0, again=inf):
    made = Agenda(interval)
    made.judged(SUBJECT, again, parts, room, now)
    return made


def sizes(*mib):
    return {identity: Size(each * MIB, 2 * each * MIB) for identity, each in zip((ONE, TWO), mib, strict=False)}


@pytest.mark.parametrize(
    ("at", "seconds", "found"),
    [(0.0, 0.05, 0.0), (0.01, 0.05, 0.05), (3.0, 0.05, 3.0), (3.001, 0.05, 3.05), (4.01, 0.25, 4.25), (inf, 0.05, inf)],
)
def test_a_tick_is_the_first_that_is_not_before(at, seconds, found):
    assert tick(at, seconds) == found


@pytest.mark.parametrize(
    ("period", "now", "found"),
    [(10, 0, 10), (10, 3, 10), (10, 9.9995, 20), (10, 10.002, 20), (0.05, 1.0, 1.05), (0.05, 1.049, 1.05)],
)
def test_the_next_of_a_period_is_later_than_now_and_never_a_moment_later(period, now, found):
    assert next_of(period, now) == pytest.approx(found)


@pytest.mark.parametrize(
    ("room", "at"),
    [
        (0, 0.05), (50 * MIB, 0.05), (99 * MIB, 0.05), (103 * MIB, 0.1), (256 * MIB, 0.25), (600 * MIB, 0.5),
        (GIB, 1.0), (3 * GIB, 2.0), (8 * GIB, 8.0), (9.9 * GIB, 8.0), (10 * GIB, 10.0), (inf, 10.0),
    ],
)  # fmt: skip
def test_the_nearer_the_limit_the_sooner_the_next_look_and_at_the_interval_at_last(room, at):
    assert agenda(part(rmem=room), room=room).next == at


@given(room=st.floats(0, 20 * GIB), now=st.floats(0, 1e6), interval=st.sampled_from([1.0, 5.0, 10.0, 60.0, 3600.0]))
def test_who_grows_by_a_gibibyte_a_second_is_looked_at_before_a_tick_has_passed_beyond_the_limit(room, now, interval):
    at = agenda(part(rmem=room), room=room, now=now, interval=interval).next
    assert now < at <= now + interval + 1e-3
    assert (at - now) * GROWTH_RATE - room <= 1.03 * TICK_SECONDS * GROWTH_RATE


def test_who_is_within_limits_is_put_down_for_later_and_who_is_not_is_judged():
    made = agenda(part(rmem=500 * MIB))
    made.judged(OTHER, inf, [part(rmem=500 * MIB, members=(TWO,))], 0, 0.0)
    assert made.watched(0.05) == {ONE, TWO}
    made.watch(sizes(100, 501), 0.05)
    assert made.due(0.05) == [OTHER]
    assert made.next == 0.05
    made.judged(OTHER, inf, (), inf, 0.05)
    assert made.next == 0.25
    assert made.due(0.25) == []


@pytest.mark.parametrize(
    ("parts", "mib", "crossed"),
    [
        ([part(rmem=100 * MIB)], (100,), False),
        ([part(rmem=100 * MIB - 1)], (100,), True),
        ([part(vmem=150 * MIB)], (100,), True),  # twice its resident size
        ([part(rmem=150 * MIB, members=(ONE, TWO))], (100, 50), False),
        ([part(rmem=150 * MIB, members=(ONE, TWO))], (100, 51), True),
        ([part(rmem=150 * MIB), part(rmem=150 * MIB, members=(ONE, TWO))], (100, 51), True),
        ([part(rmem=150 * MIB, members=(ONE, TWO))], (100,), False),  # the other has ended
        ([part(rmem=0)], (), False),
    ],
)
def test_a_limit_is_for_the_sum_of_those_who_live(parts, mib, crossed):
    made = agenda(*parts)
    made.watch(sizes(*mib), 0.05)
    assert bool(made.due(0.05)) is crossed


def test_nobody_is_due_before_their_time_and_all_stay_so_until_it_was_done():
    made = agenda(part(rmem=GIB), again=3.0, room=GIB)
    assert (made.watched(0.5), made.due(0.5), made.next) == (set(), [], 1.0)
    assert made.watched(1.0) == made.watched(1.0) == {ONE}
    made.watch(sizes(1), 1.0)
    assert made.watched(1.0) == set()
    assert made.due(3.0) == made.due(3.0) == [SUBJECT]


def test_a_new_judgement_takes_the_place_of_the_old_one():
    made = agenda(part(rmem=GIB), again=3.0)
    made.judged(SUBJECT, 7.0, [part(rmem=2 * GIB)], 2 * GIB, 0.0)
    assert made.watched(0.05) == set()
    made.watch({}, 0.05)
    assert made.next == 2.0
    assert made.due(3.0) == []


def test_who_is_to_be_judged_at_two_times_is_so_at_the_first():
    made = Agenda(10.0)
    made.judge(SUBJECT, 5.0)
    made.judge(SUBJECT, 9.0)
    made.judge(SUBJECT, 2.0)
    assert made.next == 2.0


def test_who_is_gone_is_struck_off():
    made = agenda(part(rmem=GIB), again=3.0)
    made.judged(OTHER, inf, [part(rmem=GIB, members=(TWO,))], 0, 0.0)
    made.keep({OTHER})
    assert made.watched(10.0) == {TWO}
    assert made.due(10.0) == []
    made.keep(())
    made.watch({}, 10.0)
    assert made.next == inf


def test_who_cannot_be_read_for_a_moment_is_read_again_soon():
    made = agenda(part(rmem=10 * GIB), interval=3600.0, room=60 * MIB)
    made.watch({}, made.next)
    assert made.next <= 1.05


def test_watches_that_were_given_up_are_not_kept():
    made = Agenda(3600.0)
    for number in range(1000):
        made.judged(SUBJECT, inf, [part(vmem=1e15)], 1e15, number * 0.05)
    assert sum(map(len, made._watching._at.values())) == 1


def test_a_group_that_is_nobody_is_looked_at_like_others():
    made = agenda(part(rmem=GIB, members=()), room=GIB)
    assert made.watched(1.0) == set()
    made.watch({}, 1.0)
    assert made.next == 2.0


def test_many_who_are_watched_cost_few_wake_ups():
    made, now, wakes = Agenda(10.0), 0.0, 0
    for number in range(50):
        made.judged(Subject("m", ProcessId(number, 1)), inf, [part(rmem=GIB)], (520 + 9 * number) * MIB, 0.0)
    while now < 9.9:
        now, wakes = made.next, wakes + 1
        made.watch({}, now)
    assert wakes <= 12


def test_while_all_sizes_stay_as_they_are_who_was_watched_is_so_again_when_they_may_not():
    made = agenda(part(rmem=100 * MIB), room=50 * MIB)
    made.rest(7.31)
    assert made.next == 0.05  # it was not watched since
    made.watch(sizes(50), 0.05)
    made.rest(7.31)
    assert made.next == 7.35  # its own time, had it been watched all the while
    made.watch({}, 7.31)
    made.rest(9.0)
    assert made.next == 7.35
    made.watch(sizes(101), 7.35)
    assert made.due(7.35) == [SUBJECT]
