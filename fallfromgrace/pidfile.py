"""The pid file: a lock that ends with its owner, however that ends, and the owner's pid in it for others.

The lock is flock's, so that a crash leaves nothing that is in the way: what nobody has locked is simply taken over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator

from fallfromgrace.exits import Failure, NotPermitted

# A pid and a newline need eleven bytes; a longer file is somebody's work, which we must not overwrite.
LONGEST = 64
# Each turn takes another daemon that ended between two system calls of ours.
TURNS = 100


class PidFileError(Failure):
    """A pid file that cannot be had."""


class AlreadyRunning(PidFileError):
    """The pid file is locked: its owner lives. `pid` is None while the owner is still starting."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.pid = pid
        who = "another one is just starting" if pid is None else f"already running as pid {pid}"
        super().__init__(f"{who} (pid file {path}); for a second one, write -p with another file")


class PidFile:
    """The pid file at one path; nothing is done to it before `acquire`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._owner = 0

    def fileno(self) -> int:
        """The descriptor that carries the lock: whoever forks must keep it open in the child."""
        return self._fd

    def acquire(self) -> None:
        """Lock the file for as long as we live; AlreadyRunning where another one has."""
        for _ in range(TURNS):
            fd = self._open()
            try:
                if self._lock(fd):
                    self._fd, self._owner, fd = fd, os.getpid(), -1
                    return
            finally:
                if fd >= 0:
                    os.close(fd)
        raise PidFileError(f"the pid file {self.path} is replaced all the time; write -p with another file")

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Our pid is in the file for as long as this lasts; then the file goes."""
        self._owner = os.getpid()
        try:
            os.pwrite(self._fd, f"{self._owner}\n".encode(), 0)
        except OSError as error:
            self.release()
            raise PidFileError(f"cannot write the pid file {self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Remove the file and unlock it; nothing in a process that is merely a child of the owner."""
        if self._fd < 0 or self._owner != os.getpid():
            return
        # Removed before it is unlocked: afterwards it might be the next owner's.
        with contextlib.suppress(OSError):
            if self._still_there(self._fd):
                os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            return os.open(self.path, flags, 0o644)
        except OSError as error:
            raise _refusal(self.path, error) from error

    def _lock(self, fd: int) -> bool:
        """Whether the file is ours now; not if its name belongs to another file meanwhile."""
        self._check(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._still_there(fd):
                raise AlreadyRunning(self.path, _pid_in(fd)) from None
            return False
        if not self._still_there(fd):
            return False
        os.ftruncate(fd, 0)  # the pid of one that crashed must not be taken for ours
        return True

    def _check(self, fd: int) -> None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise PidFileError(f"{self.path} is not a regular file; write -p with another one")
        if status.st_size > LONGEST:
            raise PidFileError(f"{self.path} is not a pid file: it has {status.st_size} bytes; write -p with another")
        if not _A_PID.fullmatch(os.pread(fd, LONGEST, 0)):
            raise PidFileError(f"{self.path} is not a pid file: it has something else in it; write -p with another")

    def _still_there(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(self.path))
        except FileNotFoundError:
            return False


# What one of ours can hold; NULs are left by a crash of the machine.
_A_PID = re.compile(rb"[\s\d\0]*")


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, LONGEST, 0).strip()
    return int(text) if text.isdigit() else None


def _refusal(path: str, error: OSError) -> Failure:
    if error.errno == errno.ELOOP:
        return PidFileError(f"the pid file {path} is a symbolic link; write -p with the file itself")
    text = f"cannot open the pid file {path}: {error.strerror}; write -p with another file"
    forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return NotPermitted(text) if forbidden else PidFileError(text)
