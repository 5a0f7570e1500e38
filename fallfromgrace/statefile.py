"""A file that only we write, replaced whole, and locked against another daemon for as long as we live.

What is wrong with it, or with the place that it is in, is an OSError or a Distrust.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator

from fallfromgrace.exits import PROGRAM, Failure
from fallfromgrace.pidfile import AlreadyRunning, PidFile

# A thousand rules that fire take 0.3 MB.
LARGEST = 16 << 20
_MODE = 0o640
_TURNS, _TURN_SECONDS = 20, 0.05
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_IRREGULAR = "it is not a regular file"

_CLOSED = os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _CLOSED
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSED
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _CLOSED


class Distrust(Exception):
    """What is there may be another's work."""


class Ungivable(Exception):
    """It cannot be given to a group, for this reason."""


class StateFile:
    """The file at one path; nothing is done to it before it is asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._directory, self._name = os.path.split(path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else has it for as long as this lasts; AlreadyRunning if somebody has. Its directory is made."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._directory, 0o755 if os.geteuid() == 0 else 0o700)
        with self._opened():  # or the lock would be anybody's
            lock = PidFile(f"{self.path}.lock")
        with contextlib.ExitStack() as held:
            try:
                _acquire(lock)
                held.enter_context(lock.written())
            except AlreadyRunning:
                raise
            except Failure as error:  # in words about pid files
                raise Distrust(f"{lock.path} cannot be locked: {_cause(error)}") from error
            yield

    def read(self) -> bytes | None:
        """What is in it, None if there is no such file."""
        with self._opened() as directory:
            try:
                descriptor = os.open(self._name, _READ, dir_fd=directory)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
                    raise Distrust(_IRREGULAR) from None
                raise
        try:
            _check(os.fstat(descriptor))
            return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))
        finally:
            os.close(descriptor)

    def replace(self, data: bytes, group: int | None = None) -> None:
        """Have this in it, or still what was in it, whatever happens meanwhile.

        Given to a group, that may read it; Ungivable if that cannot be.
        """
        with self._opened() as directory:
            descriptor = self._created(directory)
            try:
                _write(descriptor, data, group)
                os.rename(self._new, self._name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(self._new, dir_fd=directory)
                raise

    @property
    def in_our_place(self) -> bool:
        """Whether it is in a directory of our name, where nobody else has files that they need."""
        return self.path.endswith(f"/{PROGRAM}/status.json")

    def set_aside(self) -> str:
        """Give it another name, for somebody to look at; what it is called now."""
        with self._opened() as directory:
            os.rename(self._name, f"{self._name}.bad", src_dir_fd=directory, dst_dir_fd=directory)
        return f"{self.path}.bad"

    @property
    def _new(self) -> str:
        return f".{self._name}.new"

    def _created(self, directory: int) -> int:
        try:
            return os.open(self._new, _WRITE, _MODE, dir_fd=directory)
        except FileExistsError:  # of one of us that was killed
            os.unlink(self._new, dir_fd=directory)
            return os.open(self._new, _WRITE, _MODE, dir_fd=directory)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The directory, in which nobody can replace what is ours."""
        try:
            descriptor = os.open(self._directory, _DIRECTORY)
        except NotADirectoryError:
            raise Distrust(f"{self._directory} is no directory, or a symbolic link") from None
        try:
            self._check_directory(os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)

    def _check_directory(self, status: os.stat_result) -> None:
        if status.st_uid not in (0, os.geteuid()):
            raise Distrust(f"the directory {self._directory} is another user's")
        if status.st_mode & _BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            raise Distrust(f"others may write to the directory {self._directory}")


def _acquire(lock: PidFile) -> None:
    """A child that was forked just before its owner was killed has the lock, too, until it has let go of everything."""
    for _ in range(_TURNS):
        try:
            return lock.acquire()
        except AlreadyRunning as other:
            if other.pid is None or os.path.exists(f"/proc/{other.pid}"):
                raise
        time.sleep(_TURN_SECONDS)
    return lock.acquire()


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Distrust(_IRREGULAR)
    if status.st_uid != os.geteuid():
        raise Distrust("it is another user's")
    if status.st_mode & _BY_OTHERS:
        raise Distrust("others may write to it")
    if status.st_size > LARGEST:
        raise Distrust(f"it has more than {LARGEST >> 20} MiB")


def _cause(error: Failure) -> str:
    cause = error.__cause__
    return f"{cause.strerror}" if isinstance(cause, OSError) else "it is another's file"


def _write(descriptor: int, data: bytes, group: int | None) -> None:
    left = memoryview(data)
    try:
        if group is not None:
            _give(descriptor, group)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def _give(descriptor: int, group: int) -> None:
    try:
        os.fchown(descriptor, -1, group)
    except OSError as error:  # we are not in it, or it is unknown in a container
        raise Ungivable(error.strerror) from error
    os.fchmod(descriptor, _MODE)  # whatever our umask
