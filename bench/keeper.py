"""Nothing of a bench is left running, whatever becomes of it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None).prctl


def die_with_parent() -> None:
    """To be called in a child: it is killed when whoever started it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kept(body: Callable[[], int]) -> int:
    """Run `body` in a child, and afterwards end all that is left of what it started, daemons too; its status.

    Orphans become ours, so their pids stay theirs until we reap them: nobody else can be hit.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        die_with_parent()
        os._exit(_status(body))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child is in our group, hears of it too, and ends
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    while left := _children():
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)  # its own children become ours now
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _status(body: Callable[[], int]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # either way what was begun is tidied up
    try:
        return body()
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    except BaseException:  # noqa: BLE001 - a child must never return to what its parent goes on with
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
