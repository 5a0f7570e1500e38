"""The pipe on which whoever starts a daemon waits, to hear that it is ready, or why it has ended."""

from __future__ import annotations

import contextlib
import os

from fallfromgrace.exits import OK, PROGRAM, SOFTWARE


class Readiness:
    """The daemon's end of the pipe; a negative descriptor where nobody waits."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def ready(self) -> None:
        self.finish(OK, "")

    def finish(self, status: int, text: str) -> None:
        """Tell the status and a message; the first word counts."""
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        # Whoever waited may have been interrupted; the daemon is none the worse for it.
        with contextlib.suppress(OSError), open(fd, "wb") as pipe:
            pipe.write(f"{status}\n{text}".encode(errors="backslashreplace"))


def pair() -> tuple[int, Readiness]:
    """The descriptor to wait on, and the end for the daemon."""
    reading, writing = os.pipe()
    return reading, Readiness(writing)


def wait(reading: int) -> tuple[int, str]:
    """The status and the message that the daemon tells, or that none came."""
    with open(reading, "rb") as pipe:
        status, _, text = pipe.read().decode(errors="replace").partition("\n")
    if not status:
        return SOFTWARE, f"{PROGRAM}: the daemon died before it was ready, and could not say why"
    return int(status), text
