import pytest

from fallfromgrace.roster import NOBODY, Kin, Roster


def kin(ppid=1, start=0, image=1):
    return Kin(start, ppid, image, image)


def roster(**parents):
    """Everybody by the parent, such as _20=10; they started in the order of their pids."""
    made = Roster()
    for name, ppid in parents.items():
        pid = int(name.strip("_"))
        made.put(pid, kin(ppid, pid))
    return made


FAMILY = {"_10": 1, "_20": 10, "_30": 20, "_31": 20, "_40": 1, "_50": 40}


@pytest.mark.parametrize(
    ("roots", "found"),
    [
        ([], set()),
        ([30], {30}),
        ([10], {10, 20, 30, 31}),
        ([20, 40], {20, 30, 31, 40, 50}),
        ([10, 20], {10, 20, 30, 31}),  # one below the other
    ],
)
def test_all_that_descend_are_below_at_any_depth(roots, found):
    assert roster(**FAMILY).below(roots) == found


def test_who_is_older_than_its_parent_is_no_child_of_it():
    made = roster(_10=1, _20=10)
    made.put(30, kin(10, start=9))
    assert made.below([10]) == {10, 20}


def test_a_cycle_of_readings_made_while_pids_changed_hands_is_cut():
    made = Roster()
    for pid, ppid in [(10, 20), (20, 30), (30, 10)]:
        made.put(pid, kin(ppid, start=5))
    assert made.below([20]) == {10, 20, 30}


def test_who_gets_another_parent_is_below_that():
    made = roster(**FAMILY)
    made.put(20, kin(40, 20))
    assert made.below([10]) == {10}
    assert made.below([40]) == {40, 50}  # 20 is older
    made.put(50, kin(30, 50))
    assert made.below([40]) == {40}
    assert made.below([20]) == {20, 30, 31, 50}


def test_who_ends_leaves_its_children_to_be_read_again():
    made = roster(**FAMILY)
    assert made.drop(20) == {30, 31}
    assert made.drop(30) == set()
    assert made.below([10]) == {10}
    assert made.drop(20) == {31}  # not read again yet
    assert made.drop(99) == set()


def test_the_parent_may_be_told_of_after_its_children():
    made = roster(_30=20, _31=20)
    made.put(20, kin(1, 20))
    assert made.below([20]) == {20, 30, 31}


def test_who_is_nobody_is_below_nobody():
    made = roster(_10=1, _20=10)
    made.put(20, NOBODY)
    assert made.below([10]) == {10}
    assert made.pids == {10, 20}


def test_nothing_is_kept_of_those_who_ended():
    made = roster(**FAMILY)
    for pid in [*made.pids]:
        made.drop(pid)
    assert len(made) == 0
    assert not made._kin
    assert not made._children
