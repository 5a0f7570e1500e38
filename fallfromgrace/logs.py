"""The log: one printable line for each event, on stderr or to syslog, whatever bytes an event is about.

Writing never blocks, never raises, and to syslog loses no line without saying so: what we watch may stop or starve
whoever reads the log.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Protocol

from fallfromgrace.exits import PROGRAM
from fallfromgrace.rules import Exec, counted
from fallfromgrace.table import UNREADABLE
from fallfromgrace.verdict import Kind, Outcome, Result, Verdict

# The priorities of syslog.
ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7

# A line is at most this long, in bytes: every syslog daemon takes that much, and no attacker fills a disk with one.
LONGEST_LINE = 1024
# What remains of it for the text, beside time, name and pid.
LONGEST_TEXT = 960
# How much of a value is shown; the smaller limits are tried in turn where the line would be too long.
VALUE_LIMITS = (300, 200, 120, 60, 20)

_BARE = re.compile(r"[A-Za-z0-9_./:@%+-]+")
_SHORT = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r"}


class Log(Protocol):
    """Where events are written; `priority` is one of the constants above."""

    def write(self, priority: int, text: str) -> None: ...

    def catch_up(self, now: float) -> None:
        """Say how many lines were lost, if some were and it can be said by now."""


# --- lines ---


def fields(**values: object) -> str:
    """`key=value` pairs in order, quoted and escaped where they are not plain, on one line of bounded length."""
    line = ""
    for limit in VALUE_LIMITS:
        line = " ".join(f"{key}={_quoted(str(value), limit)}" for key, value in values.items())
        if len(line.encode()) <= LONGEST_TEXT:
            break
    return line


def _quoted(value: str, limit: int) -> str:
    shown = _cut((_escape(character) for character in value[: limit + 1]), limit)
    return shown if _BARE.fullmatch(shown) else f'"{shown}"'


def _escape(character: str) -> str:
    return _SHORT.get(character) or _visible(character)


def _visible(character: str) -> str:
    """A character, or what stands for it; `\\xNN` is always a byte, of what may not even be text."""
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that could not be decoded
        code -= 0xDC00
    elif code > 0x7F:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return f"\\x{code:02x}"


def _cut(pieces: Iterator[str], limit: int) -> str:
    """The pieces joined, within so many bytes; `...` stands for what was left out, never half an escape."""
    kept: list[str] = []
    room = limit
    for piece in pieces:
        kept.append(piece)
        room -= len(piece.encode())
        if room < 0:
            break
    else:
        return "".join(kept)
    while kept and room < 3:
        room += len(kept.pop().encode())
    return "".join(kept) + "..."


def one_line(text: str, limit: int = LONGEST_TEXT) -> str:
    """A text with all that is not printable escaped, within so many bytes."""
    return _cut((_visible(character) for character in text[: limit + 1]), limit)


_PRIORITIES = {Result.DENIED: WARNING, Result.FAILED: WARNING, Result.GONE: INFO, Result.REFUTED: INFO}
_TOLD = {Kind.UNKNOWN: WARNING, Kind.PROTECTED: NOTICE, Kind.SPARED: NOTICE}


def outcome_line(outcome: Outcome) -> tuple[int, str]:
    """The priority and the line for what was done about a verdict."""
    detail = {"detail": outcome.detail} if outcome.detail else {}
    priority = _PRIORITIES.get(outcome.result, NOTICE)
    return priority, _line(outcome.verdict, outcome.text, {"result": outcome.result.value, **detail})


def verdict_line(verdict: Verdict) -> tuple[int, str]:
    """The priority and the line for a verdict that is only told, such as that the process is protected."""
    more = {"result": verdict.kind.value, "reason": verdict.reason}
    return _TOLD.get(verdict.kind, DEBUG), _line(verdict, "", more)


def _line(verdict: Verdict, text: str, more: dict[str, str]) -> str:
    process, cause = verdict.process, verdict.cause
    whose = {"cmdline": shown_cmdline(process.image.cmdline)} if process else {}
    return fields(
        monitor=cause.monitor.name,
        **_whom(verdict),
        rule=cause.rule.text,
        value=cause.value,
        **_action(verdict, text),
        **more,
        **whose,
    )


def shown_cmdline(cmdline: str) -> str:
    """A command line for people: also that of a process which lets nobody read it."""
    return "(cannot be read)" if cmdline == UNREADABLE else cmdline


def _whom(verdict: Verdict) -> dict[str, int]:
    """The process that the action is for, and where that is another one the process that the rule fires for."""
    target = verdict.process.id if verdict.process else None
    subject = verdict.cause.key.identity
    found = {"pid": target.pid} if target else {}
    return {**found, "for": subject.pid} if subject and subject != target else found


def _action(verdict: Verdict, text: str) -> dict[str, str]:
    if verdict.item is None:
        return {}
    action = verdict.item.action
    when = {"when": "recovered"} if verdict.cause.recovered else {}
    told = {"command": action.text} if isinstance(action, Exec) else {"text": text} if text else {}
    return {"action": action.verb, **when, **told}


# --- where they go ---


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Descriptor:
    """A stream that keeps nothing back and never waits: OSError where a line cannot be written whole.

    A terminal is opened anew for that, because O_NONBLOCK on the one that we were given would be for all who share it,
    and a terminal says that it has room when it has room for a single byte.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._cut = False  # what was written last, in the middle of a line
        with contextlib.suppress(OSError):
            if os.isatty(fd):
                self._fd = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str, /) -> None:
        data = b"\n" * self._cut + text.encode(errors="backslashreplace")
        written = os.write(self._fd, data)
        self._cut = written != len(data)
        if self._cut:
            raise BlockingIOError(errno.EAGAIN, "written in part")

    def flush(self) -> None:
        """Nothing is kept back."""


# Between two attempts to say what was lost, while there is nothing else to say.
_CATCH_UP_SECONDS = 1.0


class _Counting:
    """A log that counts the lines which it cannot deliver, and says how many as soon as it can again."""

    def __init__(self, verbose: bool) -> None:
        self._least = DEBUG if verbose else INFO
        self._lost = 0
        self._tried_at = -inf

    def write(self, priority: int, text: str) -> None:
        if priority > self._least:
            return
        delivered = False
        with contextlib.suppress(MemoryError):
            # Not past what is lost already, or the count would stand in the wrong place.
            delivered = self._tells_lost() and self._deliver(priority, text)
        if not delivered:
            self._lost += 1

    def catch_up(self, now: float) -> None:
        """See Log; tried once a second, with whoever takes lines by now."""
        if self._lost and now >= self._tried_at + _CATCH_UP_SECONDS:
            self._tried_at = now
            self.close()
            with contextlib.suppress(MemoryError):
                self._tells_lost()

    def close(self) -> None:
        """Let go of what is open; the next line opens it again."""

    def _tells_lost(self) -> bool:
        """Whether there is nothing more to say of what was lost."""
        if self._lost and self._deliver(WARNING, f"{counted(self._lost, 'line')} lost"):
            self._lost = 0
        return not self._lost

    def _deliver(self, priority: int, text: str) -> bool:
        raise NotImplementedError


class StderrLog(_Counting):
    """Lines on a stream, with the time in front, or for systemd's journal with the priority."""

    def __init__(
        self, stream: Stream, journal: bool = False, verbose: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(verbose)
        self._stream = stream
        self._journal = journal
        self._clock = clock

    def _deliver(self, priority: int, text: str) -> bool:
        head = f"<{priority}>" if self._journal else time.strftime("%Y-%m-%d %H:%M:%S ", time.localtime(self._clock()))
        # A closed pipe or a full disk is no reason to stop watching.
        with contextlib.suppress(OSError, ValueError):
            if _has_room(self._stream):
                self._stream.write(f"{head}{one_line(text)}\n")
                self._stream.flush()
                return True
        return False


def _has_room(stream: Stream) -> bool:
    """Whether a line can be written without waiting for whoever reads; a pipe that says so has room for 4 KiB.

    Not by O_NONBLOCK: a terminal or a pipe is shared with whoever started us, and would not block them either.
    """
    if not isinstance(stream, Descriptor):
        return True
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    return bool(poll.poll(0))


# RFC 3164 has English months, whatever the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FACILITY_DAEMON = 3 << 3
# What every syslog daemon must take, for one that refuses more.
_SHORT_LINE = 480
# Whoever reads does not keep up, or is stopped: the connection itself is sound.
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


class SyslogLog(_Counting):
    """Lines to syslog, over a socket that never blocks: a rule of ours may stop syslogd itself."""

    def __init__(
        self,
        address: str = "/dev/log",
        ident: str = PROGRAM,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(verbose)
        self._address = address
        self._tag = f"{ident}[{os.getpid()}]"
        self._clock = clock
        self._socket: socket.socket | None = None

    def _deliver(self, priority: int, text: str) -> bool:
        longest = LONGEST_LINE
        for _ in range(3):  # as it is, on a new socket, and shorter
            error = self._send(self._line(priority, text, longest))
            if not error or error in _FULL:
                return not error
            if error == errno.EMSGSIZE:
                longest = _SHORT_LINE
            else:
                self.close()  # syslogd was started anew: once more, on a new socket
        return False

    def _line(self, priority: int, text: str, longest: int) -> bytes:
        now = time.localtime(self._clock())
        date = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        head = f"<{_FACILITY_DAEMON | priority}>{date} {self._tag}: "
        return (head + one_line(text, longest - len(head))).encode()

    def _send(self, line: bytes) -> int:
        """The error's number, or 0."""
        try:
            if self._socket is None:
                self._socket = _connect(self._address)
            if self._socket.type == socket.SOCK_STREAM:
                line += b"\0"  # ends a line there, as the C library has it
            if self._socket.send(line, socket.MSG_NOSIGNAL) == len(line):
                return 0
        except OSError as error:
            return error.errno or errno.EIO
        self.close()  # a stream took half a line: the rest must not be glued to the next
        return errno.EAGAIN

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connect(address: str) -> socket.socket:
    try:
        return _connect_as(socket.SOCK_DGRAM, address)
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
    return _connect_as(socket.SOCK_STREAM, address)


def _connect_as(kind: socket.SocketKind, address: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, kind)
    try:
        found.setblocking(False)
        found.connect(address)
    except OSError:
        found.close()
        raise
    return found
