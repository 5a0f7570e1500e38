"""How the program settles in as a process: in the foreground, or detached from whoever started it."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from fallfromgrace import exits
from fallfromgrace.exits import PROGRAM, SOFTWARE, Failure

UMASK = 0o022
Body = Callable[[Callable[[], None]], int]


def settle() -> None:
    """What holds in the foreground and detached alike; relative paths mean something else afterwards."""
    _open_standard_streams()
    _take_name()
    for fd in _open_descriptors():
        if fd > 2:  # our commands must not inherit what we were given by accident
            with contextlib.suppress(OSError):
                os.set_inheritable(fd, False)
    os.umask(UMASK)
    os.chdir("/")


def _take_name() -> None:
    """Be `fall-from-grace` to ps and start-stop-daemon, not `python3`."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(PROGRAM.encode())


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
    return [int(name) for name in os.listdir("/proc/self/fd")]


class _Report:
    """The daemon's end of the pipe on which whoever started it waits."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def ready(self) -> None:
        self.finish(exits.OK, "")

    def finish(self, status: int, text: str) -> None:
        """Tell the status and a message; the first word counts."""
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        # Whoever waited may have been interrupted; the daemon is none the worse for it.
        with contextlib.suppress(OSError), open(fd, "wb") as pipe:
            pipe.write(f"{status}\n{text}".encode(errors="backslashreplace"))


def detached(body: Body, keep: Sequence[int] = ()) -> int:
    """Run `body(ready)` as a daemon; returns, where it was called, as soon as the daemon is ready or has failed.

    The status is the daemon's own if it ends without having called `ready`; its error is printed on stderr.
    `keep` are the descriptors that the daemon keeps open.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()  # or the child would write it again
    child = _fork()
    if child == 0:
        os.close(reading)
        _be_daemon(_Report(writing), body, keep)
    os.close(writing)
    status, text = _wait(reading)
    os.waitpid(child, 0)
    if text:
        exits.complain(text)
    return status


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        raise Failure(f"cannot detach: {error.strerror}; write -f to stay in the foreground") from error


def _wait(reading: int) -> tuple[int, str]:
    with open(reading, "rb") as pipe:
        status, _, text = pipe.read().decode(errors="replace").partition("\n")
    if not status:
        return SOFTWARE, f"{PROGRAM}: the daemon died before it was ready, and could not say why"
    return int(status), text


def _be_daemon(report: _Report, body: Body, keep: Sequence[int]) -> NoReturn:
    """The child's whole life; it never returns to what its parent goes on with."""
    status, text = exits.OK, ""
    try:
        _enter_context([report.fd, *keep])
        status = body(report.ready)
    except BaseException as error:  # noqa: BLE001 - whoever waits is told about everything
        status, text = exits.explain(error)
    finally:
        report.finish(status, text)
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
