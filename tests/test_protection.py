import re

import pytest

from fallfromgrace.protection import Bar, Self
from fallfromgrace.rules import Selector, Settings
from fallfromgrace.table import Descent
from tests.builders import OUR_PID, process

SSHD = Selector(exe=re.compile("^/usr/sbin/sshd$"))


@pytest.mark.parametrize(
    ("whom", "reason"),
    [
        (process(100, exe="/usr/bin/hog"), ""),
        (process(100), "it may be protected: what it executes cannot be read"),
        (process(1), "pid 1 is never acted upon"),
        (process(OUR_PID), "this is fall-from-grace itself"),
        (process(100, pgid=55), "this is a command of fall-from-grace"),
        (process(100, uid=1001), "it belongs to another user"),
        (process(100, "anything", exe="/usr/sbin/sshd"), "it is protected"),
        (process(100, "/usr/sbin/sshd", exe="/home/eve/hog"), ""),  # by the name that it gave itself
    ],
)
def test_some_are_never_acted_upon(whom, reason):
    bar = Bar(Settings(protect=(SSHD,)), Self(OUR_PID, 1000), frozenset({55}))
    assert bar(Descent(whom, whom, 0)) == reason


def test_root_acts_on_anybody():
    whom = process(100, uid=1001)
    assert Bar(Settings(), Self(OUR_PID), frozenset())(Descent(whom, whom, 0)) == ""
