import pytest

from fallfromgrace.turns import Turns

SECONDS = 50


def turns(pids):
    made = Turns(SECONDS)
    for pid in pids:
        made.add(pid)
    return made


@pytest.mark.parametrize("elapsed", [0.3, 1, 5, 50, 500])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 1000])
def test_everybody_has_a_turn_in_time_over_and_over(count, elapsed):
    made, last, there = turns(range(count)), dict.fromkeys(range(count), 0.0), range(count)
    for step in range(1, 400):
        some = made.take(elapsed, there)
        assert len(some) <= count * elapsed / SECONDS + 1
        for pid in some:
            assert step * elapsed - last[pid] <= max(SECONDS + elapsed, elapsed)
            last[pid] = step * elapsed
    assert all(400 * elapsed - at <= SECONDS + 2 * elapsed for at in last.values())


def test_who_is_new_has_a_turn_in_time_though_more_and_more_come():
    made, last, there = turns(range(100)), dict.fromkeys(range(100), 0.0), set(range(100))
    for second in range(1, 300):
        there.add(1000 + second)
        made.add(1000 + second)
        last[1000 + second] = second
        for pid in made.take(1, there):
            assert second - last[pid] <= SECONDS + 1
            last[pid] = second
    assert all(300 - at <= SECONDS + 1 for at in last.values())


def test_after_many_have_ended_at_once_the_others_have_their_turns_in_time():
    made, there = turns(range(1000)), {999}
    assert 999 in made.take(1, there)
    assert made.take(1, there) == [999]


def test_who_is_not_there_any_more_is_dropped_and_may_come_again():
    made = turns([1, 2, 3])
    assert made.take(SECONDS, {1, 3}) == [1, 3]
    made.add(2)
    made.add(2)
    assert made.take(SECONDS, {1, 2, 3}) == [1, 3, 2]
