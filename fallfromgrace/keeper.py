"""When what is remembered is written to the state file, and taken from it at the start.

It is written after the look in which something was done, not before: whoever is killed between the two does the same
once more. Written before, it would be taken for done and not be done at all: a process that takes all memory would
live on for as long as the limit is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from math import inf

from fallfromgrace import __version__
from fallfromgrace.forms import Malformed, decoded, encoded
from fallfromgrace.memory import Memory
from fallfromgrace.pidfile import AlreadyRunning
from fallfromgrace.rules import Settings
from fallfromgrace.state import Author, Bygone, Moment, Past, document, recalled
from fallfromgrace.statefile import LARGEST, Distrust, StateFile, Ungivable

# Of an interval: so that what is written is not older than one, although waiting ends a little late.
_SHARE = 0.9
# Writing a thousand rules that fire takes 8 ms; it is not done again before so many times that.
_REST = 20
# How a state begins.
_OURS = b'{"format":'
_ANEW = "limits and what was stopped begin anew"
_LOST = "when this daemon ends, its limits do, and who is stopped is forgotten"


# What is published beside what is remembered, at a moment.
Status = Callable[[Moment], Mapping[str, object]]


def _no_status(_: Moment) -> Mapping[str, object]:
    return {}


class Forgetful:
    """Keeps nothing."""

    due = inf

    def recall(self, now: float) -> Past | None:
        """What a daemon before this one has left."""
        return None

    def note(self) -> None:
        """Something was done that must not be forgotten."""

    def keep(self, memory: Memory, settings: Settings, status: Status = _no_status) -> None:
        """Write it down, and what `status` says. To be called at `due`, which is put down anew, and at the end."""


def moment() -> Moment:
    """Now."""
    return Moment(time.time(), time.monotonic())


class Keeper(Forgetful):
    """Keeps the state in a file; what goes wrong with that is told, and stands in nobody's way."""

    def __init__(
        self, file: StateFile, author: Author, tell: Callable[[str], None], now: Callable[[], Moment] = moment
    ) -> None:
        self._file = file
        self._author = author
        self._tell = tell
        self._now = now
        self._leaves_alone = False
        self._fails = False
        self._leaves_out = False
        self._ungivable: int | None = None
        self._rests_until = -inf
        self.due = -inf

    def recall(self, now: float) -> Past | None:
        data = None
        try:
            data = self._file.read()
            return None if data is None else recalled(decoded(data), self._author.boot, now)
        except Bygone:
            self._tell(f"{self._file.path} is of before the machine was started anew, or of another container: {_ANEW}")
        except (Distrust, Malformed) as error:
            self._set_aside(data, str(error))
        except (OSError, MemoryError) as error:
            self._tell(f"{self._file.path} cannot be read: {_reason(error)}: {_ANEW}")
        return None

    def _set_aside(self, data: bytes | None, why: str) -> None:
        told = f"{self._file.path} is no state to go on from, {why}: {_ANEW}"
        looks_ours = data is not None and (not data or data.startswith(_OURS))
        if not looks_ours and not self._file.in_our_place:  # somebody's work, named by mistake
            self._leaves_alone, self.due = True, inf
            self._tell(f"{told}. It is left alone: {_LOST}; write --state with another file")
            return
        try:
            self._tell(f"{told}. It is called {self._file.set_aside()} now")
        except (OSError, Distrust) as error:
            self._tell(f"{told}. It will be written over, for it cannot be set aside: {_reason(error)}")

    def note(self) -> None:
        if not self._leaves_alone:
            self.due = min(self.due, self._rests_until)

    def keep(self, memory: Memory, settings: Settings, status: Status = _no_status) -> None:
        if self._leaves_alone:
            return
        began = self._now()
        self.due = began.monotonic + _SHARE * settings.interval
        try:
            self._replace(self._document(memory, began, status), settings.status_group)
        except (OSError, Distrust, MemoryError) as error:
            self._failed(_reason(error))
        else:
            self._succeeded()
        took = self._now().monotonic - began.monotonic
        self._rests_until = began.monotonic + _REST * took

    def _document(self, memory: Memory, began: Moment, status: Status) -> bytes:
        """What is to stand in the file. What is published is left out where it is too much, rather than all be lost."""
        with contextlib.suppress(MemoryError):
            data = encoded(document(self._author, memory, began, status(began)))
            if len(data) <= LARGEST:  # else nobody would read it
                self._leaves_out = False
                return data
        if not self._leaves_out:
            self._tell(f"what is done is not published in {self._file.path} now: it is too much, or memory is short")
        self._leaves_out = True
        return encoded(document(self._author, memory, began))

    def _replace(self, data: bytes, group: int | None) -> None:
        if group is not None and group != self._ungivable:
            try:
                return self._file.replace(data, group)
            except Ungivable as error:
                self._ungivable = group
                cure = "run as root, or as a member of it, or give it to another with status-group"
                told = f"may not give {self._file.path} to the group {group} ({error}), which cannot read it now"
                self._tell(f"{told}: {cure}")
        return self._file.replace(data)

    def _failed(self, why: str) -> None:
        if not self._fails:
            self._tell(f"cannot write {self._file.path}: {why}. Until that is possible, {_LOST}")
        self._fails = True

    def _succeeded(self) -> None:
        if self._fails:
            self._tell(f"{self._file.path} is written again")
        self._fails = False


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "memory is short"
    return (isinstance(error, OSError) and error.strerror) or str(error)


@contextlib.contextmanager
def keeping(path: str, config: str, tell: Callable[[str], None]) -> Iterator[Forgetful]:
    """What keeps the state of this daemon for as long as this lasts; where that cannot be, it is told."""
    with contextlib.ExitStack() as held:
        try:
            keeper = _locked(path, config, tell, held)
        except AlreadyRunning as other:
            who = "another daemon" + (f" (pid {other.pid})" if other.pid else "")
            keeper = _without(f"{who} keeps its state in {path}", tell)
        except (OSError, Distrust) as error:
            keeper = _without(f"no state can be kept in {path}, {_reason(error)}", tell)
        yield keeper


def _locked(path: str, config: str, tell: Callable[[str], None], held: contextlib.ExitStack) -> Forgetful:
    if not path:
        return _without("there is no XDG_RUNTIME_DIR to keep a state in", tell)
    author, file = Author(__version__, boot(), os.getpid(), config, moment()), StateFile(path)
    held.enter_context(file.locked())
    return Keeper(file, author, tell)


def _without(why: str, tell: Callable[[str], None]) -> Forgetful:
    tell(f"{why}: {_LOST}; write --state with another file, or --state none")
    return Forgetful()


def boot() -> str:
    """Which start of the machine this is, and which of its PID namespaces: elsewhere pids are others'."""
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return f"{file.read(64).decode('ascii', 'replace').strip()} {os.readlink('/proc/self/ns/pid')}"
