"""The configuration is read by a child that ends: what that takes is 5 MB, which we would never get rid of.

It tells what it read through a pipe, and is as safe to believe as we are: it is a copy of us. What only one side of it
needs is imported there: who starts a child may be about to execute itself anew, in a hurry.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from fallfromgrace import children, exits
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.exits import Failure, Fault

if TYPE_CHECKING:
    from fallfromgrace.rules import Config

# A thousand monitors with two thousand rules take 0.6 s; what takes longer than this is not going to end.
LONGEST_SECONDS = 30.0
# Not ours: who looks for the daemon by its name must not find its reader.
_NAME = "fall-from-conf"


class Reading(NamedTuple):
    """A child of ours that reads a configuration, and the descriptor on which it tells what it read."""

    path: str
    pid: int
    pipe: int


class Reader:
    """A reading beside other work, which it never holds up. SIGIO tells that there is more; see `over`."""

    def __init__(self, path: str, now: float, keep: Collection[int] = ()) -> None:
        self._reading = start(path, keep)
        self._data, self._complete = bytearray(), False
        self.deadline = now + LONGEST_SECONDS
        fcntl.fcntl(self._reading.pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._reading.pipe, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def over(self, now: float) -> bool:
        """Take what is there; whether that was all, or all that is waited for."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reading.pipe, 1 << 16):
                self._data += chunk
            self._complete = True
        return self._complete or now >= self.deadline

    def result(self) -> Config:
        """What was read, once it is over. Raises ConfigError with everything that is wrong with the configuration,
        Failure where it is not that which keeps it from being read."""
        return _concluded(self._reading, bytes(self._data) if self._complete else None, LONGEST_SECONDS)

    def end(self) -> None:
        """Nobody wants to know any more."""
        os.close(self._reading.pipe)
        children.end(self._reading.pid)


def start(path: str, keep: Collection[int] = ()) -> Reading:
    """Begin to read, with these descriptors; every Reading has to be finished."""
    try:
        reading, writing = os.pipe()
    except OSError as error:
        raise Failure(f"cannot read the configuration, for want of a descriptor: {error.strerror}") from error
    try:
        pid = children.fork(lambda: _be_reader(path, writing), keep=(writing, *keep), name=_NAME)
    except OSError as error:
        os.close(reading)
        raise Failure(f"cannot read the configuration, for want of a process: {error.strerror}") from error
    finally:
        os.close(writing)
    return Reading(path, pid, reading)


def finish(reading: Reading, seconds: float = LONGEST_SECONDS) -> Config:
    """Wait for what was read; see `Reader.result`. After so many seconds the child is ended."""
    return _concluded(reading, _all_of(reading.pipe, time.monotonic() + seconds), seconds)


def _concluded(reading: Reading, data: bytes | None, seconds: float) -> Config:
    os.close(reading.pipe)
    if data is None:
        children.end(reading.pid)
        raise _useless(reading, f"it is not read after {seconds:g} s; see what holds up this file, or make it smaller")
    _, status = os.waitpid(reading.pid, 0)
    if status:
        raise _useless(reading, f"it could not be read: {_end(status)}; see whether memory is short")
    return _taken(data)


def _all_of(descriptor: int, deadline: float) -> bytes | None:
    """What comes until the other end is closed, None if it is not in time."""
    poll, data = select.poll(), bytearray()
    poll.register(descriptor, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return bytes(data)
        data += chunk
    return None


def _end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"its reader was ended by {signal.Signals(-code).name}" if code < 0 else f"its reader exited with {code}"


def _useless(reading: Reading, text: str) -> ConfigError:
    return ConfigError([Problem(reading.path, 0, 0, text)])


def _taken(data: bytes) -> Config:
    import pickle
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # regular expressions are compiled anew: about other versions of Python
        told: Config | tuple[Problem, ...] | Exception = pickle.loads(data)  # noqa: S301 - see above
    if isinstance(told, Exception):
        raise told
    if isinstance(told, tuple):
        raise ConfigError(told)
    return told


# --- in the child ---


def _be_reader(path: str, writing: int) -> None:
    """The child's whole life. It leaves without a word to anybody but through the pipe."""
    import pickle

    signal.alarm(2 * int(LONGEST_SECONDS))  # if nobody is left to end us
    data = pickle.dumps(_read(path), pickle.HIGHEST_PROTOCOL)
    with open(writing, "wb", closefd=False) as pipe:  # its end tells that we have ended
        pipe.write(data)


def load_all() -> None:
    """Import all that a reload may need: what reads a configuration, tells what is wrong with it, and measures."""
    import difflib  # noqa: F401 - who finds what was meant
    import pickle  # noqa: F401

    from fallfromgrace import config  # noqa: F401

    with contextlib.suppress(ImportError):  # psutil is missing, which is told if it is needed
        from fallfromgrace import meters  # noqa: F401


def _read(path: str) -> Config | tuple[Problem, ...] | Exception:
    try:
        from pathlib import Path

        from fallfromgrace import config

        return config.load(Path(path))
    except ConfigError as error:
        return error.problems
    except ModuleNotFoundError as error:
        return error
    except MemoryError:
        return (Problem(path, 0, 0, "there is not enough memory to read it"),)
    except OSError as error:
        return (Problem(path, 0, 0, f"it could not be read: {error.strerror}"),)
    except Exception as error:  # noqa: BLE001 - the parent tells of it
        return Fault(exits.explain(error)[1])
