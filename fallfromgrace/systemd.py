"""The little that systemd and we have to tell each other."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from math import inf

# Whoever reads does not keep up: it is told later. Other errors mean that nobody waits for an answer.
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
# States that are kept until they can be told; more than a reload and the end are never wanted at once.
_MOST_OWED = 8


class Systemd:
    """Whoever started us and wants to know how we are, if anybody does; it is told without ever waiting for it.

    What is needed for that is had from the beginning: a daemon that is short of descriptors is not hung.
    """

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # An abstract socket is no file; its name begins with NUL.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._owed: list[bytes] = []
        self._period = _watchdog_seconds() if address else inf
        self._told_at = -inf
        with contextlib.suppress(OSError):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @property
    def patience(self) -> float:
        """Seconds between two signs of life at the most; half of what systemd waits before it takes us for hung."""
        return self._period / 2

    def tell(self, state: str) -> None:
        """Tell of our state, such as `READY=1`, now or as soon as there is room for it."""
        if self._socket:
            self._owed = [*self._owed, state.encode()][-_MOST_OWED:]
            self._tell_owed()

    def alive(self, now: float) -> None:
        """Give a sign of life, if somebody waits for one: once a second, and more often only for who is impatient."""
        if self._owed:
            self._tell_owed()
        due = self._socket and self._period < inf and now >= self._told_at + min(1.0, self._period / 4)
        if due and not self._owed and self._send(b"WATCHDOG=1"):
            self._told_at = now

    def close(self) -> None:
        """Nothing more is to be told."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _tell_owed(self) -> None:
        while self._owed and self._send(self._owed[0]):
            del self._owed[0]

    def _send(self, state: bytes) -> bool:
        """Whether that is done with: it was told, or there is nobody to tell."""
        assert self._socket
        try:
            self._socket.sendto(state, socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            return error.errno not in _FULL
        return True


def _watchdog_seconds() -> float:
    """How long systemd waits for a sign of life; inf where it does not, or waits for somebody else's."""
    period, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (period.isascii() and period.isdigit()) or whose not in ("", str(os.getpid())):
        return inf
    return int(period) / 1e6 or inf


def to_journal(fd: int) -> bool:
    """Whether what is written to a descriptor goes to systemd's journal.

    The variable alone does not tell: a terminal that systemd started hands it on to every program in it.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))
