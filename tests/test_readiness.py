import os

import pytest

from fallfromgrace import readiness
from fallfromgrace.readiness import Readiness


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (lambda end: end.ready(), (0, "")),
        (lambda end: end.finish(78, "x.conf:1: wrong\nand more"), (78, "x.conf:1: wrong\nand more")),
        (lambda end: end.finish(70, "\udcff"), (70, "\\udcff")),
        (lambda end: (end.ready(), end.finish(70, "too late")), (0, "")),
        (
            lambda end: os.close(end.fd),
            (70, "fall-from-grace: the daemon died before it was ready, and could not say why"),
        ),
    ],
)
def test_the_first_word_counts(said, heard):
    reading, end = readiness.pair()
    said(end)
    assert readiness.wait(reading) == heard


def test_where_nobody_waits_or_they_have_gone_nothing_happens():
    Readiness(-1).finish(70, "oh")
    reading, end = readiness.pair()
    os.close(reading)
    end.finish(70, "oh")
    assert end.fd == -1
