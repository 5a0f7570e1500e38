from contextlib import contextmanager

from fallfromgrace.deferral import Deferral


class Patience:
    """One whose `spent` a test sets."""

    def __init__(self):
        self.spent, self.brief = 100.0, False

    @contextmanager
    def briefly(self):
        self.brief = True
        yield
        self.brief = False


def test_without_patience_nobody_waits():
    deferral = Deferral(None)
    with deferral.briefly():
        assert not deferral.puts_off(42, 1)
    assert not deferral
    assert deferral.unasked == set()


def test_patterns_are_brief_for_the_length_of_a_look():
    patience = Patience()
    with Deferral(patience).briefly():
        assert patience.brief
    assert not patience.brief


def test_who_waits_is_not_asked_again_unless_it_runs_something_else():
    deferral = Deferral(Patience())
    with deferral.briefly():
        deferral.add(42, 7)
        assert deferral.puts_off(42, 7)
        assert not deferral.puts_off(42, 8)
        assert not deferral.puts_off(42, None)
        assert not deferral.puts_off(43, 7)
        deferral.drop(42)
        assert not deferral.puts_off(42, 7)
    assert deferral.unasked == set()


def test_when_half_a_second_was_spent_the_others_are_not_asked_at_this_look():
    patience = Patience()
    deferral = Deferral(patience)
    with deferral.briefly():
        patience.spent += 0.49
        assert not deferral.puts_off(42, 1)
        patience.spent += 0.02
        assert deferral.puts_off(43, 1)
    assert deferral.unasked == {43}
    with deferral.briefly():
        assert not deferral.puts_off(43, 1)
    assert deferral.unasked == set()


def test_as_many_are_taken_up_as_there_is_time_for_each_in_turn():
    patience = Patience()
    deferral = Deferral(patience)
    for pid in (1, 2, 3, 4, 5):
        deferral.add(pid, pid)
    rounds = []
    for _ in range(3):
        rounds.append([])
        for pid in deferral.take_up():
            rounds[-1].append(pid)
            patience.spent += 0.11
            if pid == 1 and len(rounds) == 1:
                deferral.add(pid, 9)  # it runs something else by now
    assert rounds == [[1, 2], [3, 4], [5, 1]]
    assert not deferral
