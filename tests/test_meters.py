import math
import os
import re
import resource
import warnings
from pathlib import Path

import mock
import pytest

from fallfromgrace import meters, procfs
from fallfromgrace.readings import Facet
from fallfromgrace.table import ProcessId
from tests.victims import marker, victim

EVERYTHING = {"available", "memory", "swapfree", "swaptotal", "load", "pressure"}


def meminfo(name):
    return int(re.search(rf"^{name}: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)[1]) << 10


def test_the_numbers_are_those_of_the_kernel():
    found = meters.machine()
    assert (found["memory"], found["swaptotal"]) == (meminfo("MemTotal"), meminfo("SwapTotal"))
    assert 0 < found["available"] < found["memory"]
    assert abs(found["available"] - meminfo("MemAvailable")) < found["memory"] / 4
    assert 0 <= found["swapfree"] <= found["swaptotal"]
    assert found.keys() - {"pressure"} == EVERYTHING - {"pressure"}


def test_the_load_is_that_of_the_last_minute():
    with mock.patch.object(os, "getloadavg", return_value=(1.5, 2.5, 3.5)):
        assert meters.machine()["load"] == 1.5


@pytest.mark.parametrize(("read", "told"), [(12.5, {"pressure": 12.5}), (0.0, {"pressure": 0.0}), (None, {})])
def test_pressure_is_told_where_the_kernel_counts_it(read, told):
    with mock.patch.object(procfs, "read_pressure", return_value=read):
        found = meters.machine()
    assert {name: value for name, value in found.items() if name == "pressure"} == told


@pytest.mark.parametrize(
    ("reader", "missing"),
    [
        ("fallfromgrace.meters.psutil.virtual_memory", {"available", "memory"}),
        ("fallfromgrace.meters.psutil.swap_memory", {"swapfree", "swaptotal"}),
        ("fallfromgrace.meters.os.getloadavg", {"load"}),
        ("fallfromgrace.meters.procfs.read_pressure", {"pressure"}),
    ],
)
@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError, ValueError, KeyError("MemTotal")])
def test_what_cannot_be_read_is_left_out_and_costs_nothing_else(reader, missing, error):
    with mock.patch.object(procfs, "read_pressure", return_value=1.0), mock.patch(reader, side_effect=error):
        assert meters.machine().keys() == EVERYTHING - missing


def test_a_warning_about_swap_that_we_do_not_ask_for_is_not_passed_on():
    real = meters.psutil.swap_memory()

    def warning():
        warnings.warn("'sin' and 'sout' couldn't be determined", RuntimeWarning, stacklevel=1)
        return real

    with mock.patch.object(meters.psutil, "swap_memory", side_effect=warning):
        assert meters.machine()["swaptotal"] == real.total


# --- processes ---


def read(pid, facet):
    return meters.readers()[facet](ProcessId(pid, procfs.read_stat(pid).start))


def test_descriptors_are_counted_and_so_is_how_many_there_may_be():
    with victim(marker()) as hog:
        resource.prlimit(hog.pid, resource.RLIMIT_NOFILE, (77, 88))
        assert read(hog.pid, Facet.DESCRIPTORS) == {"fds": len(os.listdir(f"/proc/{hog.pid}/fd")), "fdlimit": 77}


def test_there_may_be_any_number_of_them():
    with mock.patch.object(procfs, "read_descriptor_limit", return_value=math.inf):
        assert read(os.getpid(), Facet.DESCRIPTORS)["fdlimit"] == math.inf


@pytest.mark.parametrize(
    ("error", "names"),
    [(PermissionError(), {"fdlimit"}), (FileNotFoundError(), None), (ProcessLookupError(), None)],
)
def test_what_may_not_be_read_is_unknown_and_who_is_gone_is_gone(error, names):
    with mock.patch("os.listdir", side_effect=error):
        found = meters.readers()[Facet.DESCRIPTORS](ProcessId(os.getpid(), 1))
    assert (found if found is None else found.keys()) == names
