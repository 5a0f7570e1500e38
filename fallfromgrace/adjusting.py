"""What can be set of a running process: its niceness, and how soon the kernel's out-of-memory killer takes it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from fallfromgrace.signalling import Pin


def adjust(word: str, pid: int, value: int, pin: Pin) -> None:
    """Set `nice` or `oom` of a process that is held. OSError where the kernel does not let us, or it has ended."""
    try:
        (_renice if word == "nice" else _set_oom_score)(pid, value, pin)
    except FileNotFoundError:  # its directory went with it
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None


def _renice(pid: int, value: int, pin: Pin) -> None:
    """Linux has a niceness for each thread, and sets it by number only."""
    threads = os.open(f"/proc/{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pin.check()  # so this directory, which is a process's for good, is that of the one that is held
        for thread in os.listdir(threads):
            _renice_thread(thread, value, threads)
        pin.check()
    finally:
        os.close(threads)


def _renice_thread(thread: str, value: int, threads: int) -> None:
    """A thread may end, and its number be given again, between two system calls: that cannot be kept from happening,
    but it is noticed."""
    if not _has(threads, thread):
        return
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, int(thread), value)
        if not _has(threads, thread) and os.getpriority(os.PRIO_PROCESS, int(thread)) == value:
            raise OSError(
                errno.EAGAIN, f"its thread {thread} ended meanwhile: another process with this number may have got it"
            )


def _has(threads: int, thread: str) -> bool:
    """Whether a number is that of a thread of the process whose directory this is."""
    try:
        os.stat(thread, dir_fd=threads)
    except OSError:
        return False
    return True


def _set_oom_score(pid: int, value: int, pin: Pin) -> None:
    """The open file is that process's for good; a failure would be hidden until it is closed if it were buffered."""
    descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        pin.check()
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
