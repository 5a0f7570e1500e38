import pytest

from fallfromgrace.turns import Turns


@pytest.mark.parametrize("elapsed", [0.3, 1, 5, 50, 500])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 1000])
def test_everybody_has_one_turn_in_time(count, elapsed):
    turns, taken, passed = Turns(range(count), 50), [], 0.0
    while turns:
        some = turns.take(elapsed)
        passed += elapsed
        assert len(some) <= count * elapsed / 50 + 1
        taken += some
    assert taken == list(range(count))
    assert passed <= max(50 + elapsed, elapsed)


def test_turns_are_in_the_order_of_the_pids():
    assert Turns({7, 100, 30}, 1).take(1) == [7, 30, 100]


def test_when_all_had_theirs_there_are_no_more():
    turns = Turns([1], 50)
    assert turns
    assert turns.take(1) == [1]
    assert not turns
    assert turns.take(1) == []
