"""Processes forked off to do what must not be done in ours: it costs memory for good, or may hang."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection
from typing import NoReturn

from fallfromgrace import pressure

# Those who were killed and took longer to end: whoever is forked next, they are reaped before.
_lingering: set[int] = set()


def fork(body: Callable[[], None], *, keep: Collection[int], name: str) -> int:
    """The pid of a child in which `body` runs; OSError where there can be none. It exits with 0, or 1 after a fault.

    Of descriptors it has the standard ones and those to `keep`. It says nothing to anybody by itself. The name is for
    `ps`: who looks for the daemon by its own must not find others.
    """
    _lingering.difference_update([pid for pid in _lingering if _is_over(pid)])
    pid = os.fork()
    if pid == 0:
        _be_child(body, keep, name)
    return pid


def _be_child(body: Callable[[], None], keep: Collection[int], name: str) -> NoReturn:
    status = 1
    try:
        _let_go(keep)
        be_called(name)
        pressure.be_nobody_special(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        body()
        status = 0
    except BaseException:  # noqa: BLE001, S110 - the parent sees the status
        pass
    finally:
        os._exit(status)


def _let_go(keep: Collection[int]) -> None:
    """Of what the parent holds: should it end, its locks must not live on in us."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


def be_called(name: str) -> None:
    """Be this to ps and start-stop-daemon, not `python3`."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(name.encode())


def end(pid: int) -> bool:
    """Kill a child of ours that is not reaped, and reap it if that is soon; whether it was.

    One that hangs in the kernel ends when it can, and must not hold us up.
    """
    os.kill(pid, signal.SIGKILL)
    for _ in range(20):
        if _is_over(pid):
            return True
        time.sleep(0.005)
    _lingering.add(pid)
    return False


def _is_over(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
