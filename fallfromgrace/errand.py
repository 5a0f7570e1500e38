"""A child of ours that reads files of processes, since that may hang for ever: then it is the child that is ended.

Command lines and proportional memory take a lock of the memory that they are about, and others may hold that as long as
they like. The child puts what it reads onto a board that both can see, so that a whole batch costs us two system calls,
and what was read before it hung is not lost with it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import mmap
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from fallfromgrace import pressure, procfs

ARGUMENTS, ROLLUP = 0, 1
_FILES = ("cmdline", "smaps_rollup")
# Not ours: who looks for the daemon by its name must not find this one.
_NAME = b"fall-from-proc"

# Pids in one batch: what fits into a message.
MOST = 1000
_LONGEST_STAT = 4096
# How many answers are complete, where the next one begins, and how long its stat line is, if that is there already.
_PROGRESS = struct.Struct("=III")
# How long the stat line is, how long what was read, or less than 0 by the number of the error, and how many seconds
# that took. Both follow.
_ANSWER = struct.Struct("=iid")
_SPACE = 128 << 10  # bytes of a board; no more of it is taken than was ever needed


class Answer(NamedTuple):
    """What was read of a process, both through one hold on it: so it is of one and the same."""

    stat: bytes
    content: bytes
    took: float


class Errand:
    """One child. It ends when we do, also while it hangs. Raises OSError where none can be had."""

    def __init__(self, root: str, limit: int) -> None:
        """`limit` is how much of a file is read, in bytes."""
        self.broken = False  # it has ended by itself
        self._over = True
        self._asked: Sequence[int] = ()
        self._board = mmap.mmap(-1, _SPACE)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, its:
            self.pid = os.fork()
            if self.pid == 0:
                _live(_Child(root, limit, its, self._board))
            self._line = ours.detach()
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)

    def __del__(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        line, self._line = getattr(self, "_line", -1), -1
        if line >= 0:
            os.close(line)

    def ask(self, what: int, pids: Sequence[int]) -> None:
        """Have it read a file of each; of those for whom there is no space the answer is never complete."""
        self._asked, self._over = pids, False
        _PROGRESS.pack_into(self._board, 0, 0, _PROGRESS.size, 0)
        try:
            os.write(self._line, struct.pack(f"={1 + len(pids)}i", what, *pids))
        except OSError:
            self.broken = True

    def wait(self, seconds: float) -> bool:
        """Whether it has done what it could, or is no more, in that time."""
        if self._over or self.broken:
            return True
        if self._poll.poll(max(0.0, seconds) * 1000):
            try:
                self._over = bool(os.read(self._line, 1))
            except OSError:
                self._over = False
            self.broken = not self._over
            return True
        return False

    @property
    def done(self) -> int:
        """How many answers are complete."""
        count: int = _PROGRESS.unpack_from(self._board)[0]
        return count

    @property
    def at(self) -> tuple[int, bytes]:
        """The pid that it is at, and its stat line, empty if that was not read."""
        done, place, length = _PROGRESS.unpack_from(self._board)
        start = place + _ANSWER.size
        return self._asked[done], self._board[start : start + length]

    def answers(self) -> Iterator[tuple[int, Answer | OSError | None]]:
        """What is complete, in the order of the question; None for who is gone, an error for a want of our own."""
        place = _PROGRESS.size
        for pid in self._asked[: self.done]:
            stat, length, took = _ANSWER.unpack_from(self._board, place)
            place += _ANSWER.size
            if length < 0:
                yield pid, _our_own_want(-length)
            else:
                middle, end = place + stat, place + stat + length
                yield pid, Answer(self._board[place:middle], self._board[middle:end], took)
                place = end

    @property
    def is_held(self) -> bool:
        """Whether something in the kernel holds it up, and not want of a processor, or somebody who has stopped it."""
        stat = procfs.read_stat(self.pid)
        return stat is not None and stat.state in "DS"

    def end(self) -> None:
        """Nobody waits for it any more; see `ended`."""
        self._hang_up()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # whether it is still ours
            os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether it is gone for good. In the depths of the kernel it may live on for a while."""
        try:
            gone = os.waitpid(self.pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            gone = True
        if gone:
            self._board.close()
        return gone


def _our_own_want(number: int) -> OSError | None:
    return OSError(number, os.strerror(number)) if number in procfs.OUR_OWN_WANT else None


# --- in the child ---


class _Child(NamedTuple):
    root: str
    limit: int
    line: socket.socket
    board: mmap.mmap


def _live(child: _Child) -> NoReturn:
    """Its whole life: it ends with the line to us, without a word to anybody."""
    try:
        gc.disable()
        gc.freeze()  # to look for garbage would make all memory its own
        _become_nobody(child.line.fileno())
        while batch := child.line.recv(4 * (1 + MOST)):
            _hold_to(child.line, busy=True)
            what, *pids = struct.unpack(f"={len(batch) // 4}i", batch)
            _read_all(child, _FILES[what], pids)
            _hold_to(child.line, busy=False)
            child.line.send(b".")
    except BaseException:  # noqa: BLE001, S110 - we see that it is gone
        pass
    finally:
        os._exit(0)


def _become_nobody(line: int) -> None:
    """Nothing is held, handled or kept back that the parent holds, handles and keeps back.

    Its memory stays where it is, as the parent's does: while it waits for a page of its own, it seems to hang.
    """
    pressure.lock_memory(lambda _: None)
    pressure.be_nobody_special(0)
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in os.listdir("/proc/self/fd"):
        if int(name) != line:
            with contextlib.suppress(OSError):
                os.close(int(name))
    with contextlib.suppress(OSError):
        comm = os.open("/proc/self/comm", os.O_WRONLY)
        os.write(comm, _NAME)
        os.close(comm)


def _hold_to(line: socket.socket, busy: bool) -> None:
    """While we are busy the kernel ends us when the other end is closed: who hangs does not see it."""
    if busy:
        fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, os.O_ASYNC if busy else 0)  # SIGIO
    with contextlib.suppress(BlockingIOError):
        if not line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            os._exit(0)  # it was closed before


def _read_all(child: _Child, name: str, pids: Sequence[int]) -> None:
    place = _PROGRESS.size
    for done, pid in enumerate(pids):
        if place + _ANSWER.size + _LONGEST_STAT + child.limit > _SPACE:
            return
        place = _answer(child, name, pid, done, place)
        _PROGRESS.pack_into(child.board, 0, done + 1, place, 0)


def _answer(child: _Child, name: str, pid: int, done: int, place: int) -> int:
    """Put an answer onto the board, the stat line before anything is read that may hang; where the next one begins."""
    stat, content, took = b"", b"", 0.0
    start = place + _ANSWER.size
    try:
        home = os.open(f"{child.root}/{pid}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            stat = _content(home, "stat", _LONGEST_STAT)
            child.board[start : start + len(stat)] = stat
            _PROGRESS.pack_into(child.board, 0, done, place, len(stat))
            began = time.monotonic()
            content = _content(home, _path(home, stat, name), child.limit)
            took = time.monotonic() - began
        finally:
            os.close(home)
    except OSError as error:
        _ANSWER.pack_into(child.board, place, 0, -(error.errno or errno.EIO), 0)
        return start
    end = start + len(stat) + len(content)
    child.board[start + len(stat) : end] = content
    _ANSWER.pack_into(child.board, place, len(stat), len(content), took)
    return end


def _path(home: int, stat: bytes, name: str) -> str:
    """Where a file is to be found below a process's directory: of a zombie with living threads with one of these."""
    if stat.rpartition(b") ")[2][:1].decode() not in procfs.ENDED:
        return name
    survivor = procfs.resolve(procfs.parse_stat(stat), f"/proc/self/fd/{home}").survivor
    return f"task/{survivor}/{name}" if survivor else name


def _content(home: int, name: str, limit: int) -> bytes:
    file = os.open(name, os.O_RDONLY, dir_fd=home)
    try:
        return os.read(file, limit)
    finally:
        os.close(file)
