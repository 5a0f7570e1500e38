import errno
import os

import pytest

from fallfromgrace.shortage import OVER_SECONDS, Shortage

ERROR = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_shortage_is_told_once_however_long_it_lasts_and_the_next_one_again():
    told = []
    shortage = Shortage(told.append)
    for now in range(200):
        shortage.note(ERROR, now)
    assert told == ["not all processes can be looked at (Too many open files); it is tried again at each look"]
    shortage.note(ERROR, 199 + OVER_SECONDS)
    assert len(told) == 1
    shortage.note(ERROR, 201 + 2 * OVER_SECONDS)
    assert len(told) == 2


def test_who_could_not_be_read_is_told_apart_and_costs_nobody_else():
    told, read = [], []

    def reader(pid):
        if pid % 2:
            raise ERROR
        read.append(pid)

    assert Shortage(told.append).each(range(6), reader, 0) == {1, 3, 5}
    assert read == [0, 2, 4]
    assert len(told) == 1


def test_what_is_no_shortage_is_not_taken_for_one():
    def fault(pid):
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any
        Shortage(print).each([1], fault, 0)
