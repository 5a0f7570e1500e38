import os
import re
import warnings
from pathlib import Path

import mock
import pytest

from fallfromgrace import machine, procfs

EVERYTHING = {"available", "memory", "swapfree", "swaptotal", "load", "pressure"}


def meminfo(name):
    return int(re.search(rf"^{name}: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)[1]) << 10


def test_the_numbers_are_those_of_the_kernel():
    found = machine.measure()
    assert (found["memory"], found["swaptotal"]) == (meminfo("MemTotal"), meminfo("SwapTotal"))
    assert 0 < found["available"] < found["memory"]
    assert abs(found["available"] - meminfo("MemAvailable")) < found["memory"] / 4
    assert 0 <= found["swapfree"] <= found["swaptotal"]
    assert found.keys() - {"pressure"} == EVERYTHING - {"pressure"}


def test_the_load_is_that_of_the_last_minute():
    with mock.patch.object(os, "getloadavg", return_value=(1.5, 2.5, 3.5)):
        assert machine.measure()["load"] == 1.5


@pytest.mark.parametrize(("read", "told"), [(12.5, {"pressure": 12.5}), (0.0, {"pressure": 0.0}), (None, {})])
def test_pressure_is_told_where_the_kernel_counts_it(read, told):
    with mock.patch.object(procfs, "read_pressure", return_value=read):
        found = machine.measure()
    assert {name: value for name, value in found.items() if name == "pressure"} == told


@pytest.mark.parametrize(
    ("reader", "missing"),
    [
        ("fallfromgrace.machine.psutil.virtual_memory", {"available", "memory"}),
        ("fallfromgrace.machine.psutil.swap_memory", {"swapfree", "swaptotal"}),
        ("fallfromgrace.machine.os.getloadavg", {"load"}),
        ("fallfromgrace.machine.procfs.read_pressure", {"pressure"}),
    ],
)
@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError, ValueError, KeyError("MemTotal")])
def test_what_cannot_be_read_is_left_out_and_costs_nothing_else(reader, missing, error):
    with mock.patch.object(procfs, "read_pressure", return_value=1.0), mock.patch(reader, side_effect=error):
        assert machine.measure().keys() == EVERYTHING - missing


def test_a_warning_about_swap_that_we_do_not_ask_for_is_not_passed_on():
    real = machine.psutil.swap_memory()

    def warning():
        warnings.warn("'sin' and 'sout' couldn't be determined", RuntimeWarning, stacklevel=1)
        return real

    with mock.patch.object(machine.psutil, "swap_memory", side_effect=warning):
        assert machine.measure()["swaptotal"] == real.total
