"""How the program settles in as a process: in the foreground, or detached from whoever started it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from fallfromgrace import exits, readiness
from fallfromgrace.exits import Failure
from fallfromgrace.readiness import Readiness

UMASK = 0o022


def settle() -> None:
    """What holds in the foreground and detached alike; relative paths mean something else afterwards."""
    _open_standard_streams()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or we could not wait for a child, where our starter ignored it
    for fd in _open_descriptors():
        if fd > 2:  # our commands must not inherit what we were given by accident
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, False)
    os.umask(UMASK)
    os.chdir("/")


def _open_standard_streams() -> None:
    """Fill what of 0, 1 and 2 was closed when we started: the next file opened would get it, and our messages."""
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        os.set_inheritable(null, True)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(fd, mode, closefd=False, errors="backslashreplace")  # noqa: SIM115 - for good
            setattr(sys, name, stream)


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError as error:
        raise Failure(f"cannot read /proc, which is all that it watches: {error.strerror}; mount it") from error


def detached(body: Callable[[Readiness], int]) -> int:
    """Run `body` as a daemon; returns, where it was called, as soon as the daemon is ready or has failed.

    The status is the daemon's own if it ends without having been ready; its error is printed on stderr.
    """
    reading, waiting = readiness.pair()
    sys.stdout.flush()  # or the child would write it again
    child = _fork()
    if child == 0:
        os.close(reading)
        _be_daemon(waiting, body)
    os.close(waiting.fd)
    status, text = readiness.wait(reading)
    os.waitpid(child, 0)
    if text:
        exits.complain(text)
    return status


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        raise Failure(f"cannot detach: {error.strerror}; write -f to stay in the foreground") from error


def _be_daemon(waiting: Readiness, body: Callable[[Readiness], int]) -> NoReturn:
    """The child's whole life; it never returns to what its parent goes on with."""
    status, text = exits.OK, ""
    try:
        _enter_context([waiting.fd])
        status = body(waiting)
    except BaseException as error:  # noqa: BLE001 - whoever waits is told about everything
        status, text = exits.explain(error)
    finally:
        waiting.finish(status, text)
        os._exit(status)


def _enter_context(keep: list[int]) -> None:
    # With streams of its own choice, python-daemon leaves 0, 1 and 2 close-on-exec.
    with open(os.devnull, "r+b", buffering=0) as null:
        _close_all_but({0, 1, 2, null.fileno(), *keep})
        with _low_descriptor_limit():
            from daemon import DaemonContext

            DaemonContext(
                detach_process=True,
                umask=UMASK,
                working_directory="/",
                files_preserve=keep,
                stdin=null,
                stdout=null,
                stderr=null,
                signal_map={},  # its default ignores three signals, and so would our commands
                prevent_core=False,  # a limit of zero could never be lifted again for our commands
            ).open()


def _close_all_but(keep: set[int]) -> None:
    for fd in _open_descriptors():
        if fd not in keep:
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.contextmanager
def _low_descriptor_limit() -> Iterator[None]:
    """Let python-daemon see how many descriptors are open, in place of how many there might be.

    Up to 2.3 it makes a set of all that the hard limit allows, when imported or when opened: 146 MB for a million.
    Lowering the limit itself would be for good where we are not root, for our commands too.
    """
    real, count = resource.getrlimit, max(_open_descriptors()) + 1

    def getrlimit(which: int, /) -> tuple[int, int]:
        return (count, count) if which == resource.RLIMIT_NOFILE else real(which)

    resource.getrlimit = getrlimit  # type: ignore[assignment, unused-ignore]
    try:
        yield
    finally:
        resource.getrlimit = real
