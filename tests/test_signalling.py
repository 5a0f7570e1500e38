import errno
import os
import signal

import mock
import pytest

from fallfromgrace import procfs
from fallfromgrace.signalling import pinned
from fallfromgrace.table import ProcessId
from tests.victims import marker, state, until, victim


def identity(pid):
    return ProcessId(pid, procfs.read_stat(pid).start)


def answering(number):
    """A kernel that answers pidfd_open with an error: one without it, or in want of something, cannot be had."""
    return mock.patch("os.pidfd_open", side_effect=OSError(number, os.strerror(number)))


@pytest.fixture(params=["descriptor", "number"])
def way(request):
    """Both ways to hold a process."""
    if request.param == "descriptor":
        yield
    else:
        with answering(errno.ENOSYS):
            yield


def test_a_signal_reaches_the_process_that_is_held(way):
    with victim(marker()) as hog:
        with pinned(identity(hog.pid)) as pin:
            pin.check()
            pin.send(signal.SIGTERM)
        until(lambda: hog.ended_by() == signal.SIGTERM)


def test_who_has_ended_is_not_signalled(way):
    with victim(marker()) as hog, pinned(identity(hog.pid)) as pin:
        hog.process.kill()
        hog.process.wait()
        for attempt in (pin.check, lambda: pin.send(signal.SIGTERM)):
            with pytest.raises(ProcessLookupError):
                attempt()


def test_a_pid_that_nobody_has_cannot_be_held():
    with victim(marker()) as hog:
        gone = identity(hog.pid)
        hog.process.kill()
        hog.process.wait()
    with pytest.raises(ProcessLookupError), pinned(gone):
        pass


def test_by_number_another_process_with_the_pid_is_not_signalled():
    with victim(marker()) as innocent, answering(errno.ENOSYS):
        earlier = ProcessId(innocent.pid, identity(innocent.pid).start - 1)
        with pinned(earlier) as pin, pytest.raises(ProcessLookupError):
            pin.send(signal.SIGTERM)
        assert state(innocent.pid) in "SR"


def test_a_descriptor_is_closed_again():
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    with victim(marker()) as hog:
        during = descriptors()
        for _ in range(5):
            with pinned(identity(hog.pid)):
                assert descriptors() == during + 1
        assert descriptors() == during
    assert descriptors() == before


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EINVAL, ProcessLookupError), (errno.EMFILE, OSError), (errno.EPERM, PermissionError)]
)
def test_what_the_kernel_refuses_is_told_apart(number, error):
    with answering(number), pytest.raises(error), pinned(ProcessId(1, 1)):
        pass
