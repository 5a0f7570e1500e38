"""The kernel's process events: who was born, runs another program or as another user, or has ended, told at once.

They come over netlink, from what the kernel calls the process connector.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# From the kernel's headers: linux/netlink.h, linux/connector.h, linux/cn_proc.h, linux/filter.h, asm/socket.h.
_NETLINK_CONNECTOR = 11
_DONE = 3  # the type of a message that is complete
_PROCESSES = 1  # the connector's number for process events, and the multicast group that they come in
_LISTEN, _IGNORE = 1, 2
_ACKNOWLEDGED, _FORK, _EXEC, _UID, _EXIT = 0, 1, 2, 4, 0x80000000
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_LOAD, _TO_X, _IF, _IF_X, _RETURN = 0x20, 0x07, 0x15, 0x1D, 0x06

# A netlink header, a connector header, and what is wanted.
_REQUEST = struct.Struct("=IHHII IIIIHH I")
# Of an event: what it answers, what happened, and up to four numbers about that.
_EVENT = struct.Struct("=28xI4xI12xIIII")
_LONGEST = 128  # bytes of a message; they have 76

# What passes, as a program for the kernel's packet filter. A line is what to do, how many lines to skip if that is so,
# how many if it is not, and a number; numbers are loaded as if the network had sent them.
_INSTRUCTION = struct.Struct("=HBBI")
_FILTER = (
    (_LOAD, 0, 0, 36),  # what happened
    (_IF, 12, 0, socket.htonl(_ACKNOWLEDGED)),
    (_IF, 3, 0, socket.htonl(_FORK)),
    (_IF, 6, 0, socket.htonl(_EXEC)),
    (_IF, 5, 0, socket.htonl(_UID)),
    (_IF, 4, 9, socket.htonl(_EXIT)),
    (_LOAD, 0, 0, 60),  # a fork: the child is the first thread of its process, and has its number
    (_TO_X, 0, 0, 0),
    (_LOAD, 0, 0, 64),
    (_IF_X, 4, 5, 0),
    (_LOAD, 0, 0, 52),  # the others: who it is about is the first thread of its process
    (_TO_X, 0, 0, 0),
    (_LOAD, 0, 0, 56),
    (_IF_X, 0, 1, 0),
    (_RETURN, 0, 0, 0xFFFFFFFF),  # all of it
    (_RETURN, 0, 0, 0),  # nothing
)

# Bytes for events that wait, taken only while they do. The kernel makes twice of it and reckons 832 for each event:
# there is room for 10,000.
SPACE = 4 << 20
# Events in one batch, 60 ms: several times what there is room for, so that nothing is left waiting for a next signal,
# and yet a fork storm does not keep us here.
MOST = 50_000
# Seconds; the kernel answers in 0.2 ms, or not at all.
PATIENCE = 0.5

_CONTAINER = "the kernel's process events cannot be used in a container"
_NAMESPACES = (
    ("pid", 0xEFFFFFFC, f"{_CONTAINER}, since they have the pids of outside (it has a PID namespace of its own)"),
    ("user", 0xEFFFFFFD, f"{_CONTAINER} that has a user namespace of its own"),
)
_REASONS = {
    errno.EPERM: "only root, with CAP_NET_ADMIN, may have the kernel's process events",
    errno.EACCES: "the kernel's process events are forbidden by the security policy of this machine",
    errno.ECONNREFUSED: f"{_CONTAINER} that has a network namespace of its own",
    errno.EPROTONOSUPPORT: "this kernel is built without process events (CONFIG_CONNECTOR)",
    errno.EAFNOSUPPORT: "the kernel's process events need netlink sockets, which are not allowed here",
    errno.ETIMEDOUT: f"the kernel does not answer in {PATIENCE:g} s; it may be built without CONFIG_PROC_EVENTS",
}


class Unavailable(Exception):
    """There are no process events here; the text says why."""


class Batch(NamedTuple):
    """What happened since the last one; a pid in both has ended and belongs to another process by now."""

    ended: set[int]
    changed: set[int]  # born, another program or another user; not who has ended since
    lost: bool  # the kernel had no space left for all: look at everybody, after this batch was taken


NOTHING = Batch(set(), set(), False)


class Connector:
    """A subscription to the events of all processes. It is of the process that makes it, which gets its signals."""

    def __init__(self, wake: int | None, space: int = SPACE) -> None:
        """`wake` is the signal that tells of events, `space` is in bytes. Raises Unavailable."""
        self._lost = self._emptied = False
        self._waiting = select.poll()
        with _in_words():
            _check_namespaces()
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
            try:
                self._subscribe(wake, space)
            except OSError:
                self._socket.close()
                raise

    def drain(self) -> Batch:
        """What happened since the last time; never waits. 1.1 us an event, 1 us where there is none."""
        if not self._lost and not self._waiting.poll(0):
            return NOTHING  # most often; to receive would make an exception of it
        self._emptied = False
        ended, changed = fold(self._received())
        lost = self._lost
        # Until all is read that had waited, the kernel goes on to drop what happens.
        self._lost = lost and not self._emptied
        return Batch(ended, changed, lost)

    def close(self) -> None:
        """Older kernels go on making events for nobody if they are not told."""
        with contextlib.suppress(OSError):
            self._ask(_IGNORE)
        self._socket.close()

    def _received(self) -> Iterator[bytes]:
        """The messages that wait."""
        receive = self._socket.recvfrom
        for _ in range(MOST):
            try:
                message, (sender, _) = receive(_LONGEST)
            except BlockingIOError:  # noqa: PERF203 - each message may be the last, or tell of others that are lost
                self._emptied = True
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._lost = True
            else:
                if sender == 0:  # the kernel; other programs with CAP_NET_ADMIN can send here, too
                    yield message

    # --- subscribing ---

    def _subscribe(self, wake: int | None, space: int) -> None:
        # All this before the subscription, so that it holds for the first event.
        let_through_processes(self._socket)
        _set_space(self._socket, space)
        if wake is not None:
            _wake_with(self._socket, wake)
        self._socket.bind((0, _PROCESSES))
        self._ask(_LISTEN)
        self._await_answer(time.monotonic() + PATIENCE)
        self._socket.setblocking(False)
        self._waiting.register(self._socket, select.POLLIN)

    def _ask(self, what: int) -> None:
        size, ours = _REQUEST.size, self._socket.getsockname()[0]
        header = size, _DONE, 0, 0, 0
        self._socket.send(_REQUEST.pack(*header, _PROCESSES, _PROCESSES, 0, ours, 4, 0, what))

    def _await_answer(self, deadline: float) -> None:
        """OSError where the kernel refuses, or does not answer; others' answers come here, too."""
        ours = (self._socket.getsockname()[0] + 1) & 0xFFFFFFFF  # the kernel adds one to what it was given
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            message, (sender, _) = self._socket.recvfrom(_LONGEST)
            if sender or len(message) < _EVENT.size:
                continue
            answered, kind, error, *_ = _EVENT.unpack_from(message)
            if (answered, kind) == (ours, _ACKNOWLEDGED):
                if error:
                    raise OSError(error, os.strerror(error))
                return
        raise TimeoutError


def fold(messages: Iterable[bytes]) -> tuple[set[int], set[int]]:
    """Which pids have `ended` and `changed`; it may be called with whatever is no message."""
    ended, changed = set[int](), set[int]()
    read, size = _EVENT.unpack_from, _EVENT.size
    for message in messages:
        if len(message) < size:
            continue
        _, kind, _, pid, _, child = read(message)
        if kind == _FORK:
            changed.add(child)
        elif kind == _EXIT:
            ended.add(pid)
            changed.discard(pid)
        elif kind in (_EXEC, _UID):
            changed.add(pid)
    return ended, changed


# --- the socket ---


def let_through_processes(sock: socket.socket) -> None:
    """Have the kernel drop what is about threads, and all events but forks, execs, changes of the user, and exits.

    Without it each thread that starts and ends costs us as much as a process.
    """
    program = array("B", b"".join(_INSTRUCTION.pack(*line) for line in _FILTER))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(_FILTER), program.buffer_info()[0]))


def _set_space(sock: socket.socket, space: int) -> None:
    """As much as asked for where we may, else as much as anybody may have."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, space)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, space)


def _wake_with(sock: socket.socket, signal_number: int) -> None:
    """Have the kernel send us a signal, 10 us after something happened; while one is pending there is no second one.

    What comes between the end of a batch and the wait for the signal has sent it by then: nothing is slept over.
    """
    fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETSIG, signal_number)
    fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)


# --- where there are none ---


def _check_namespaces() -> None:
    """Some kernels do not answer from within a container, others tell of pids that are not its own."""
    for name, initial, reason in _NAMESPACES:
        if os.stat(f"/proc/self/ns/{name}").st_ino != initial:
            raise Unavailable(reason)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Unavailable(_REASONS[errno.ETIMEDOUT]) from None
    except OSError as error:
        text = f"the kernel's process events cannot be had: {error.strerror}"
        raise Unavailable(_REASONS.get(error.errno or 0, text)) from None
