"""The little that systemd and we have to tell each other."""

from __future__ import annotations

import contextlib
import os
import socket


def sd_notify(state: str) -> None:
    """Tell systemd, if it started us, about our state, such as `READY=1`."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket: no file, its name begins with NUL
        address = "\0" + address[1:]
    # Whoever set the variable may be gone: then nobody waits for an answer either.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.settimeout(1.0)
        notify.sendto(state.encode(), address)


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
