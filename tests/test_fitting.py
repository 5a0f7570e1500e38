import time

import pytest

from fallfromgrace.fitting import fit
from fallfromgrace.picture import Gauge, Level, Row, Section


def gauge(share=0.5, level=Level.CALM):
    return Gauge(f"rmem > {share}", share, "1m", "2m", "", level)


def row(pid, *shares):
    return Row(pid, "alice", "1m", "", "x", "", tuple(map(gauge, shares)))


def section(name, *rows, gauges=(), total=None):
    return Section(name, "", tuple(gauges), rows, len(rows) if total is None else total)


def pids(fitted):
    return {part.section.name: [each.pid for each in part.rows] for part in fitted.parts}


A = section("a", row(1, 0.1), row(2, 0.9), row(3, 0.5))
B = section("b", row(4, 0.8), row(5, 0.2))


def test_all_is_shown_where_there_is_room_the_nearest_to_its_limit_first():
    fitted = fit([A, B], 12)
    assert pids(fitted) == {"a": [2, 3, 1], "b": [4, 5]}
    assert (fitted.height, fitted.hidden) == (12, 0)
    assert fit([A, B], None) == fitted


def test_where_there_is_not_those_nearest_to_their_limits_are_whatever_monitor_finds_them():
    fitted = fit([A, B], 11)
    assert pids(fitted) == {"a": [2, 3], "b": [4]}
    assert [part.hidden for part in fitted.parts] == [1, 1]
    assert fitted.height <= 11


def test_the_last_process_needs_no_line_that_says_that_there_are_more():
    asked = [section("a", row(1, 0.9), row(2, 0.1))]
    assert pids(fit(asked, 5)) == {"a": [1, 2]}
    assert pids(fit(asked, 4)) == {"a": [1]}


def test_who_fires_comes_before_who_is_nearer():
    firing = Row(9, "", "", "", "", "", (gauge(0.01, Level.FIRING),))
    assert pids(fit([section("a", row(1, 0.99), firing)], 4)) == {"a": [9]}


def test_a_monitor_without_room_is_counted():
    fitted = fit([section(f"m{n}", row(n, 0.1 * n)) for n in range(8)], 8)
    assert list(pids(fitted)) == ["m6", "m7"]
    assert fitted.hidden == 6


def test_one_that_takes_no_more_room_than_to_say_so_is_shown():
    fitted = fit([section("a", row(1, 0.1), row(2, 0.2)), section("b")], 5)
    assert (pids(fitted), fitted.hidden, fitted.height) == ({"a": [2], "b": []}, 0, 5)


def test_what_was_not_even_pictured_is_counted_too():
    [part] = fit([section("a", row(1, 0.1), total=500)], 100).parts
    assert part.hidden == 499


def test_of_one_with_very_many_rules_the_most_urgent_ones_are_shown_in_their_order():
    many = row(1, *(n / 100 for n in range(100)))
    [part] = fit([section("a", many)], 8).parts
    assert [each.share for each in part.rows[0].gauges] == [0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
    assert part.rows[0].note == "94 more rules"


def test_of_very_many_rules_about_all_that_is_covered_too():
    [part] = fit([section("a", gauges=[gauge(n / 100) for n in range(100)])], 5).parts
    assert [each.share for each in part.section.gauges] == [0.96, 0.97, 0.98, 0.99]
    assert part.section.note == "96 more rules"


@pytest.mark.parametrize("room", range(0, 30))
def test_it_never_takes_more_room_than_there_is_and_nobody_is_lost(room):
    sections = [
        section("a", *(row(n, n / 10, 0.3) for n in range(6)), gauges=[gauge()]),
        section("b"),
        section("c", *(row(n, n / 9) for n in range(3))),
    ]
    fitted = fit(sections, room)
    assert fitted.height <= max(room, 1)
    assert len(fitted.parts) + fitted.hidden == 3
    assert all(len(part.rows) + part.hidden == part.section.total for part in fitted.parts)


@pytest.mark.parametrize("sections", [
    [section("a", *(row(n, n / 1e4) for n in range(10_000)))],
    [section(f"m{n}", row(n, n / 1e4), gauges=[gauge()]) for n in range(10_000)],
])  # fmt: skip
def test_ten_thousand_are_sorted_quickly(sections):
    began = time.thread_time()
    assert fit(sections, 50).height <= 50
    assert time.thread_time() - began < 1
