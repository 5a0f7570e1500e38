"""The configuration is read by a child that ends: what that takes is 5 MB, which we would never get rid of.

It tells what it read through a pipe, and is as safe to believe as we are: it is a copy of us. What only one side of it
needs is imported there: who starts a child may be about to execute itself anew, in a hurry.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from fallfromgrace import exits
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.exits import Failure, Fault

if TYPE_CHECKING:
    from fallfromgrace.rules import Config

# A thousand monitors with two thousand rules take 0.6 s; what takes longer than this is not going to end.
LONGEST_SECONDS = 30.0
# Not ours: who looks for the daemon by its name must not find its reader.
_NAME = b"fall-from-conf"


class Reading(NamedTuple):
    """A child of ours that reads a configuration, and the descriptor on which it tells what it read."""

    path: str
    pid: int
    pipe: int


def load(path: str) -> Config:
    """What a configuration says. Raises ConfigError with everything that is wrong with it, Failure where it is not
    the configuration that keeps it from being read."""
    return finish(start(path))


def start(path: str) -> Reading:
    """Begin to read; every Reading has to be finished."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise Failure(f"cannot read the configuration, for want of a process: {error.strerror}") from error
    if pid == 0:
        _be_reader(path, writing)
    os.close(writing)
    return Reading(path, pid, reading)


def finish(reading: Reading, seconds: float = LONGEST_SECONDS) -> Config:
    """Wait for what was read; see `load`. After so many seconds the child is ended."""
    with open(reading.pipe, "rb", buffering=0) as pipe:
        data = _all_of(pipe.fileno(), time.monotonic() + seconds)
    if data is None:
        os.kill(reading.pid, signal.SIGKILL)  # our own child, not reaped
    _, status = os.waitpid(reading.pid, 0)
    if data is None:
        raise _useless(reading, f"it is not read after {seconds:g} s; see what holds up this file, or make it smaller")
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


def _be_reader(path: str, writing: int) -> NoReturn:
    """The child's whole life. It leaves without a word to anybody but through the pipe."""
    status = 1
    try:
        import pickle

        _let_go(writing)
        data = pickle.dumps(_read(path), pickle.HIGHEST_PROTOCOL)
        with open(writing, "wb", closefd=False) as pipe:  # its end tells that we have ended
            pipe.write(data)
        status = 0
    except BaseException:  # noqa: BLE001, S110 - the parent sees the status
        pass
    finally:
        os._exit(status)


def _let_go(writing: int) -> None:
    """Of what the parent holds: should it end, its locks must not live on in us."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (0, 1, 2, writing):
            with contextlib.suppress(OSError):
                os.close(int(name))
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(_NAME)


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
    except Exception as error:  # noqa: BLE001 - the parent tells of it
        return Fault(exits.explain(error)[1])
