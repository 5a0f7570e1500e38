import subprocess
import sys

import pytest

# A process with no more memory than it has, down to the last of it: `held` keeps what was left.
_SQUEEZED = """
import os, resource
from fallfromgrace.reserve import Reserve

def mapped():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()

def take(size):
    try:
        while True:
            held.append(bytes(size))
    except MemoryError:
        pass

reserve, held = Reserve(), []
resource.setrlimit(resource.RLIMIT_AS, (mapped(), resource.RLIM_INFINITY))
for size in (1 << 16, 1 << 12, 64):
    take(size)
{then}
"""


def squeezed(then):
    done = subprocess.run(
        [sys.executable, "-c", _SQUEEZED.format(then=then)], capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def test_there_is_room_once_it_was_let_go():
    assert squeezed("reserve.let_go(); print(len(bytes(1 << 19)))") == (0, "524288\n", "")


def test_without_that_there_is_none():
    status, _, told = squeezed("print(len(bytes(1 << 19)))")
    assert status == 1
    assert "MemoryError" in told


@pytest.mark.parametrize("then", ["reserve.restore()", "reserve.let_go(); take(1 << 16); reserve.restore()"])
def test_to_hold_it_again_is_no_error_where_there_is_none(then):
    assert squeezed(then) == (0, "", "")


def test_it_is_held_again_when_there_is_room():
    held_again = "reserve.let_go(); reserve.restore(); take(1 << 16); reserve.let_go(); print(len(bytes(1 << 19)))"
    assert squeezed(held_again) == (0, "524288\n", "")
