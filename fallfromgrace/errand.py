"""A child of ours that reads files of processes, since that may hang for ever: then it is the child that is ended.

Most of what the kernel tells of a process, the stat line too, takes a lock of that or of its memory, and others may
hold these as long as they like. The child puts what it reads onto a board that both can see, so that a whole batch
costs us two system calls, and what was read before it hung is not lost with it.
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
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, NoReturn

from fallfromgrace import pressure, procfs

# What can be asked: always the stat line, and for arguments also what is executed.
ARGUMENTS, ROLLUP, STAT, IO = range(4)
_FILES = ("cmdline", "smaps_rollup", "", "io")
# Not ours: who looks for the daemon by its name must not find this one.
NAME = "fall-from-proc"

# Pids in one batch: what fits into a message.
MOST = 1000
_LONGEST_STAT, _LONGEST_LINK = 4096, 4096
# How many answers are complete, where the next one begins, how long its stat line is, if that is there already, and how
# long what it executes, less than 0 as long as that is not.
_PROGRESS = struct.Struct("=IIIi")
# How long the stat line is, what it executes, and what was read, or less than 0 by the number of the error, and how
# many seconds that took. All three follow.
_ANSWER = struct.Struct("=iiid")
_SPACE = 128 << 10  # bytes of a board; no more of it is taken than was ever needed


class Answer(NamedTuple):
    """What was read of a process, all through one hold on it: so it is of one and the same."""

    stat: bytes
    content: bytes
    took: float
    exe: str | None = None


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
            ended, self._alive = os.pipe()
            try:
                self.pid = os.fork()
                if self.pid == 0:
                    _live(_Child(root, limit, its, ended, self._board))
            except OSError:
                self._hang_up()
                raise
            finally:
                os.close(ended)
            self._line = ours.detach()
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)

    def __del__(self) -> None:
        self._hang_up()

    def _hang_up(self) -> None:
        held = getattr(self, "_line", -1), getattr(self, "_alive", -1)
        self._line = self._alive = -1
        for descriptor in held:
            if descriptor >= 0:
                os.close(descriptor)

    def ask(self, what: int, pids: Sequence[int]) -> None:
        """Have it read a file of each; of those for whom there is no space the answer is never complete."""
        self._asked, self._over = pids, False
        _PROGRESS.pack_into(self._board, 0, 0, _PROGRESS.size, 0, -1)
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
    def at(self) -> tuple[int, bytes, str | None]:
        """The pid that it is at, its stat line, empty if that was not read, and what it executes, None if not."""
        done, place, stat, link = _PROGRESS.unpack_from(self._board)
        start = place + _ANSWER.size
        middle = start + stat
        pid = self._asked[min(done, len(self._asked) - 1)]  # it may go on meanwhile, and be over
        return pid, self._board[start:middle], self._link(middle, link)

    def _link(self, place: int, length: int) -> str | None:
        return None if length < 0 else os.fsdecode(self._board[place : place + length])

    def answers(self) -> Iterator[tuple[int, Answer | OSError | None]]:
        """What is complete, in the order of the question; None for who is gone, an error for a want of our own."""
        place = _PROGRESS.size
        for pid in self._asked[: self.done]:
            stat, link, length, took = _ANSWER.unpack_from(self._board, place)
            place += _ANSWER.size
            if length < 0:
                yield pid, _our_own_want(-length)
            else:
                content = place + stat + max(0, link)
                exe = self._link(place + stat, link)
                yield pid, Answer(self._board[place : place + stat], self._board[content : content + length], took, exe)
                place = content + length

    @property
    def is_held(self) -> bool:
        """Whether something in the kernel holds it up, and not want of a processor, or somebody who has stopped it."""
        state = procfs.read_state(f"/proc/{self.pid}")
        return state != "" and state in "DS"

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
    ended: int  # the end of a pipe of which we hold the other one for as long as we want it
    board: mmap.mmap


def _live(child: _Child) -> NoReturn:
    """Its whole life: it ends with the line to us, without a word to anybody."""
    try:
        gc.disable()
        gc.freeze()  # to look for garbage would make all memory its own
        _become_nobody({child.line.fileno(), child.ended})
        _end_with(child.ended)
        while batch := child.line.recv(4 * (1 + MOST)):
            what, *pids = struct.unpack(f"={len(batch) // 4}i", batch)
            _read_all(child, what, pids)
            child.line.send(b".")
    except BaseException:  # noqa: BLE001, S110 - we see that it is gone
        pass
    finally:
        os._exit(0)


def _become_nobody(keep: Collection[int]) -> None:
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
        if int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
    with contextlib.suppress(OSError):
        comm = os.open("/proc/self/comm", os.O_WRONLY)
        os.write(comm, NAME.encode())
        os.close(comm)


def _end_with(pipe: int) -> None:
    """The kernel ends us with SIGIO when the other end is closed: who hangs would not see it.

    Nothing is ever written to it. A socket would not do: it also tells, perhaps late, that there is room in it.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(pipe, 0)
    if poll.poll(0):
        os._exit(0)  # it was closed before


def _read_all(child: _Child, what: int, pids: Sequence[int]) -> None:
    place = _PROGRESS.size
    for done, pid in enumerate(pids):
        if place + _ANSWER.size + _LONGEST_STAT + _LONGEST_LINK + child.limit > _SPACE:
            return
        place = _answer(child, what, pid, done, place)
        _PROGRESS.pack_into(child.board, 0, done + 1, place, 0, -1)


def _answer(child: _Child, what: int, pid: int, done: int, place: int) -> int:
    """Put an answer onto the board, each part before anything else is read that may hang; where the next one begins."""
    start = place + _ANSWER.size
    link, content, took = -1, b"", 0.0
    try:
        home = os.open(f"{child.root}/{pid}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            stat = _content(home, "stat", _LONGEST_STAT)
            end = _put(child.board, start, stat)
            _PROGRESS.pack_into(child.board, 0, done, place, len(stat), -1)
            where = _where(home, stat)
            if what == ARGUMENTS:
                exe = _link(home, f"{where}exe")
                link, end = len(exe), _put(child.board, end, exe)
                _PROGRESS.pack_into(child.board, 0, done, place, len(stat), link)
            if name := _FILES[what]:
                began = time.monotonic()
                content = _permitted(home, f"{where}{name}", child.limit)
                took = time.monotonic() - began
        finally:
            os.close(home)
    except OSError as error:
        _ANSWER.pack_into(child.board, place, 0, -1, -(error.errno or errno.EIO), 0)
        return start
    _ANSWER.pack_into(child.board, place, len(stat), link, len(content), took)
    return _put(child.board, end, content)


def _put(board: mmap.mmap, place: int, content: bytes) -> int:
    end = place + len(content)
    board[place:end] = content
    return end


def _where(home: int, stat: bytes) -> str:
    """Where to read below a process's directory: of a zombie with living threads of one of these."""
    if stat.rpartition(b") ")[2][:1].decode() not in procfs.ENDED:
        return ""
    survivor = procfs.resolve(procfs.parse_stat(stat), f"/proc/self/fd/{home}").survivor
    return f"task/{survivor}/" if survivor else ""


def _link(home: int, name: str) -> bytes:
    """Where a link leads; empty where we may not know."""
    try:
        return os.fsencode(os.readlink(name, dir_fd=home)).removesuffix(b" (deleted)")[:_LONGEST_LINK]
    except OSError as error:
        if error.errno in procfs.OUR_OWN_WANT:
            raise
        return b""


def _content(home: int, name: str, limit: int) -> bytes:
    file = os.open(name, os.O_RDONLY, dir_fd=home)
    try:
        return os.read(file, limit)
    finally:
        os.close(file)


def _permitted(home: int, name: str, limit: int) -> bytes:
    """Nothing where it is not for us: the process is there all the same."""
    try:
        return _content(home, name, limit)
    except PermissionError:
        return b""
