"""What can be set of a running process: its niceness, and how soon the kernel's out-of-memory killer takes it."""

from __future__ import annotations

import errno
import os

from fallfromgrace.signalling import Pin


def adjust(word: str, pid: int, value: int, pin: Pin) -> None:
    """Set `nice` or `oom` of a process that is held. OSError where the kernel does not let us, or it has ended."""
    try:
        (_renice if word == "nice" else _set_oom_score)(pid, value, pin)
    except FileNotFoundError:  # its directory went with it
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None


def _renice(pid: int, value: int, pin: Pin) -> None:
    """Linux has a niceness for each thread. There is no descriptor for it: a thread whose number is used again between
    the two calls would be missed, and another one made nicer."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        pin.check()
        try:
            os.setpriority(os.PRIO_PROCESS, int(thread), value)
        except ProcessLookupError:  # a thread that has just ended
            continue
    pin.check()


def _set_oom_score(pid: int, value: int, pin: Pin) -> None:
    """The open file is that process's for good; a failure would be hidden until it is closed if it were buffered."""
    descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        pin.check()
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
