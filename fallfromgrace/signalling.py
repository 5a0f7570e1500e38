"""Signals that reach the process they are meant for, and no other that was given its pid since."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fallfromgrace import procfs
from fallfromgrace.table import ProcessId


class Pin(Protocol):
    """A hold on one process: as long as `check` passes, what was read by its pid since is about that process."""

    def send(self, signal_number: int) -> None:
        """ProcessLookupError where it has ended, PermissionError where the kernel does not let us."""

    def check(self) -> None:
        """ProcessLookupError where it has ended."""


class _DescriptorPin:
    """A pid file descriptor, pidfd_open(2): the kernel itself keeps the process apart from any later one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, signal_number: int) -> None:
        signal.pidfd_send_signal(self._descriptor, signal_number)

    def check(self) -> None:
        self.send(0)


class _NumberPin:
    """For kernels before 5.3: the start time is compared just before. A pid that changes hands between the two
    system calls, or within one clock tick, is not noticed."""

    def __init__(self, identity: ProcessId) -> None:
        self._identity = identity

    def send(self, signal_number: int) -> None:
        self.check()
        os.kill(self._identity.pid, signal_number)

    def check(self) -> None:
        stat = procfs.read_stat(self._identity.pid)
        if stat is None or stat.start != self._identity.start:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


@contextmanager
def pinned(identity: ProcessId) -> Iterator[Pin]:
    """Hold a process by its pid. What it *is* has to be read again now: the pid may have changed hands before.

    ProcessLookupError where no process has the pid; OSError where the hold cannot be had.
    """
    descriptor = _open(identity.pid)
    if descriptor is None:
        yield _NumberPin(identity)
        return
    try:
        yield _DescriptorPin(descriptor)
    finally:
        os.close(descriptor)


def _open(pid: int) -> int | None:
    """A descriptor of the process, None where the kernel has none."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return None
        if error.errno == errno.EINVAL:  # the pid is a mere thread's by now
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        raise
