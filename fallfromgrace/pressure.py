"""To be there still when memory is short: our pages stay, and the kernel ends others before us.

Where that is not allowed we do without: `tell` is told why, and nothing fails.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable

from fallfromgrace import privileges

# As a service manager sets it. -1000 would make us immune, also to what is our own fault.
SPARED = -900

_OOM_SCORE = "/proc/self/oom_score_adj"
# From the kernel's headers: the pages that are there, those that come, and both only when they are used: without the
# last one everything that is mapped would be brought in at once, 27 MB and not 15.
_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD


def lock_memory(tell: Callable[[str], None]) -> None:
    """Keep what we use from being swapped out, and our program from being read anew from a busy disk."""
    if refused := _mlockall() if _has_no_limit() else "it takes CAP_IPC_LOCK, or ulimit -l unlimited":
        tell(f"memory is not locked, so we may be slow when it is short: {refused}")


def _has_no_limit() -> bool:
    """Whether all that we may ever need can be locked: under a limit, it would be refused to us one day.

    A capability in a user namespace of its own does not lift it.
    """
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with contextlib.suppress(OSError):
        return "IPC_LOCK" in privileges.effective() and os.stat("/proc/self/ns/user").st_ino == _INITIAL_USER_NAMESPACE
    return False


def _mlockall() -> str:
    """Why it could not be done; empty where it was."""
    try:
        import ctypes  # 0.3 MB, for those who may
    except ImportError as error:
        return str(error)
    libc = ctypes.CDLL(None, use_errno=True)
    return os.strerror(ctypes.get_errno()) if libc.mlockall(_CURRENT | _FUTURE | _ON_FAULT) else ""


def spare_us(tell: Callable[[str], None]) -> int:
    """Have the kernel end others before us when memory runs out; the score that our children are to have instead."""
    before = 0
    try:
        before = _oom_score()
        if before > SPARED:
            _set_oom_score(SPARED)
    except OSError as error:
        tell(f"the kernel is not told to spare us when memory runs out: {error.strerror}")
    return max(0, before)


def be_nobody_special(oom_score: int) -> None:
    """For a child, which inherits from us that it is spared."""
    with contextlib.suppress(OSError):
        if _oom_score() < oom_score:
            _set_oom_score(oom_score)


def _oom_score() -> int:
    with open(_OOM_SCORE, "rb", buffering=0) as file:
        return int(file.read())


def _set_oom_score(score: int) -> None:
    with open(_OOM_SCORE, "wb", buffering=0) as file:  # with a buffer it would be told too late what is refused
        file.write(b"%d" % score)
