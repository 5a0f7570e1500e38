"""Commands that run beside the sweep: started, drained, timed and reaped without ever being waited for."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from math import inf

from fallfromgrace.logs import DEBUG, INFO, WARNING, Log, fields
from fallfromgrace.records import dataclass, field
from fallfromgrace.rules import counted
from fallfromgrace.shortage import share

MOST_RUNNING = 16
# For one owner, so that hanging commands of one monitor leave room for those of others.
MOST_RUNNING_EACH = 4
MOST_QUEUED_EACH = 64
# Then what it was to be run for is long past, and its `$PID` perhaps another process's.
MOST_WAITING_SECONDS = 60.0
# Pipes that are still open though their command has ended.
MOST_LEFT = 128
TIMEOUT_SECONDS = 60.0
KILL_SECONDS = 5.0  # between TERM and KILL
LONGEST_OUTPUT = 4096  # bytes that go to the log, in at most so many lines; the rest is read and thrown away
MOST_LINES = 40
_CHUNK = 65536

# The pid of a command that is not started yet; there is no group of this number, nor a process.
_NOBODY = -1

# Commands get every signal as a shell would start them: Python ignores SIGPIPE, and we block what we wait for.
_DEFAULTED = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


# What keeps a command from being started now, but not for ever.
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class QueueFull(Exception):
    """More commands are waiting than will ever be run in time."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, which monitor owns it, and the log fields that say for whom.

    `argv`, whose first is an absolute path, is run instead of `text` by a shell. Commands with the same `share`, that
    of the owner if empty, run `most` at a time. `ended` is told once how it ended, None if it never began, and then
    says itself in the log what that means.
    """

    text: str
    owner: str
    environment: Mapping[str, str]
    label: str
    asked: float = 0.0
    argv: tuple[str, ...] = ()
    timeout: float = TIMEOUT_SECONDS
    share: str = ""
    most: int = MOST_RUNNING_EACH
    ended: Callable[[int | None], None] | None = None

    def shares_with(self, other: Command) -> bool:
        return (self.share or self.owner) == (other.share or other.owner)


@dataclass(slots=True)
class _Running:
    command: Command
    pid: int  # of the shell, and of the group that it leads
    started: float
    pipe: _Pipe
    deadline: float
    status: int | None = None  # once it is reaped: from then on its number may be a stranger's
    signals: list[int] = field(default_factory=lambda: [signal.SIGTERM, signal.SIGKILL])


@dataclass(slots=True)
class _Pipe:
    """The reading end of a command's output; open until all that the command left running has closed it."""

    descriptor: int
    head: bytearray = field(default_factory=bytearray)
    open: bool = True

    def drain(self) -> None:
        """Read what is there, at most one pipe's capacity: a flood is slowed down by its own full pipe, not us."""
        if not self.open:
            return
        try:
            chunk = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return
        self.head += chunk[: LONGEST_OUTPUT - len(self.head)]
        if not chunk:
            self.close()

    def close(self) -> None:
        os.close(self.descriptor)
        self.open = False


class Spawner:
    """At most `MOST_RUNNING` commands at a time; the others wait, the longest waiting first.

    `oom_score` is what commands get at least, should ours be lower. Nothing here blocks. Call `tend` on SIGCHLD, on
    SIGIO (a pipe has something to read) and at `next_wake`.
    """

    def __init__(self, log: Log, oom_score: int = 0) -> None:
        self._log = log
        self._oom_score = max(0, oom_score)
        self._running: list[_Running] = []
        self._pipes: list[_Pipe] = []
        self._queue: list[Command] = []
        self._told_waiting = False
        self._over: list[tuple[Command, int | None]] = []

    @property
    def groups(self) -> frozenset[int]:
        """The process groups of commands that are not reaped yet."""
        return frozenset(each.pid for each in self._running if each.status is None)

    @property
    def next_wake(self) -> float:
        """When a command that is still running has run too long."""
        return min((each.deadline for each in self._running), default=inf)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to tend."""
        return not (self._running or self._queue or self._pipes or self._over)

    @property
    def busy(self) -> int:
        """How many commands are running or waiting."""
        return len(self._running) + len(self._queue)

    @property
    def leftovers(self) -> str:
        """What would be left behind if we ended now, to be told; empty where nothing would be."""
        running, waiting = counted(len(self._running), "command"), counted(len(self._queue), "command")
        told = f", {running} left running" if self._running else ""
        return told + (f", {waiting} never started" if self._queue else "")

    def start(self, command: Command, now: float) -> bool:
        """Run a command, or queue it: whether it was started at once. OSError where it cannot be, QueueFull."""
        waiting = sum(command.shares_with(each) for each in self._queue)
        if not waiting and self._has_room(command):
            self._spawn(command, now)
            return True
        if waiting >= MOST_QUEUED_EACH:
            raise QueueFull(f"{waiting} commands of this monitor are waiting already")
        self._queue.append(command)
        return False

    def _has_room(self, command: Command) -> bool:
        beside = sum(command.shares_with(running.command) for running in self._running)
        return len(self._running) < MOST_RUNNING and beside < command.most

    def _spawn(self, command: Command, now: float) -> None:
        """All that can fail comes before the command: one that runs, and that we do not know of, would be run again."""
        reading, writing = os.pipe()
        try:
            started = _Running(command, _NOBODY, now, _Pipe(reading), now + command.timeout)
            _raise_sigio_for(reading)
            self._begin(started, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)

    def _begin(self, started: _Running, output: int) -> None:
        """Where it cannot be started, what was noted is struck off again; memory may be short, and `pop` takes none."""
        self._running.append(started)
        try:
            self._pipes.append(started.pipe)
            started.pid = _posix_spawn(started.command, output, self._oom_score)
        except BaseException:
            self._running.pop()
            if self._pipes and self._pipes[-1] is started.pipe:
                self._pipes.pop()
            raise

    def tend(self, now: float) -> None:
        """Read outputs, take note of commands that ended, end those that run too long, start those that wait."""
        for pipe in self._pipes:
            pipe.drain()
        for each in list(self._running):
            if self._ended(each, now):
                self._running.remove(each)
        self._close_oldest()
        self._pipes = [pipe for pipe in self._pipes if pipe.open]
        for each in self._running:
            self._limit_time(each, now)
        late = f"it has waited for {MOST_WAITING_SECONDS:g} s"
        self._drop_queued(late, lambda command: now - command.asked > MOST_WAITING_SECONDS)
        self._start_queued(now)
        self._tell_ended()

    def _tell_ended(self) -> None:
        """Last, when all is in order again: who is told may start a command, or fail and leave the others for later."""
        while self._over:
            command, status = self._over.pop(0)
            if command.ended:
                command.ended(status)

    def _ended(self, running: _Running, now: float) -> bool:
        """Whether it has, and that was told; what fails in between is done at the next time, and no reaping again."""
        if running.status is None and not self._reaped(running, now):
            return False
        running.pipe.drain()  # what it wrote between our reading and its end
        self._report(running, now)
        self._over.append((running.command, running.status))
        return True

    def _reaped(self, running: _Running, now: float) -> bool:
        if not os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        if len(running.signals) == 1:
            self._send(running, now)  # it heeded TERM; what else is in its group, and did not, is still told by it
        running.status = os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1])
        return True

    def _report(self, running: _Running, now: float) -> None:
        status = running.status
        label = f"{running.command.label} {fields(status=status, seconds=f'{now - running.started:.1f}')}"
        if not running.command.ended:
            self._log.write(WARNING if status else DEBUG, label)
        lines = filter(None, running.pipe.head.decode(errors="surrogateescape").splitlines())
        for line in islice(lines, MOST_LINES):
            self._log.write(INFO, f"{running.command.label} {fields(output=line)}")

    def _limit_time(self, running: _Running, now: float) -> None:
        if now < running.deadline or not running.signals or running.status is not None:
            return
        name = signal.Signals(running.signals[0]).name
        result = self._send(running, now)
        self._log.write(
            WARNING, f"{running.command.label} {fields(sent=name, result=result, reason='it takes too long')}"
        )

    def _send(self, running: _Running, now: float) -> str:
        """The next signal to a whole group; what came of it."""
        number = running.signals.pop(0)
        running.deadline = now + KILL_SECONDS if running.signals else inf
        try:
            os.killpg(running.pid, number)  # the leader is our own child and not reaped: the number is still its
        except OSError as error:  # nobody left, or it became another user's
            return error.strerror or str(error)
        return "sent"

    def _start_queued(self, now: float) -> None:
        for command in list(self._queue):
            if not self._has_room(command):
                continue
            try:
                self._spawn(command, now)
            except OSError as error:
                if error.errno in PASSING:
                    self._tell_waiting(command, error)
                    return
                self._never(command, error.strerror or str(error))
            self._told_waiting = False
            self._queue.remove(command)

    def _tell_waiting(self, command: Command, error: OSError) -> None:
        """Once, until something can be started again."""
        if not self._told_waiting:
            self._log.write(WARNING, f"{command.label} {fields(result='waiting', detail=error.strerror)}")
        self._told_waiting = True

    def _drop_queued(self, why: str, stale: Callable[[Command], bool]) -> None:
        for command in [each for each in self._queue if stale(each)]:
            self._queue.remove(command)
            self._never(command, why)

    def _never(self, command: Command, why: str) -> None:
        self._log.write(WARNING, f"{command.label} {fields(result='failed', detail=why)}")
        self._over.append((command, None))

    def abandon(self) -> None:
        """Give up what waits, since we end: who wants to know how a command ended is told that it never began."""
        waiting, self._queue = self._queue, []
        self._over += [(command, None) for command in waiting]
        self._tell_ended()

    def keep(self, owners: Collection[str]) -> None:
        """Drop what waits for monitors that are no longer there."""
        self._drop_queued("its monitor is gone", lambda command: command.owner not in owners)
        self._tell_ended()

    def _close_oldest(self) -> None:
        """What commands left running holds their pipes open; of too many the oldest are closed."""
        running = {id(each.pipe) for each in self._running}
        left = [pipe for pipe in self._pipes if pipe.open and id(pipe) not in running]
        for pipe in left[: max(0, len(left) - share(MOST_LEFT))]:
            pipe.close()


def _raise_sigio_for(descriptor: int) -> None:
    """Let the kernel send us SIGIO when there is something to read, so that one wait serves signals and pipes."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK | os.O_ASYNC)


# The kernel's out-of-memory killer is told to spare us, which children inherit; what we run is nobody special.
_NOBODY_SPECIAL = 'echo "$0" > /proc/self/oom_score_adj; exec "$@"'


def _words(command: Command, oom_score: int) -> list[bytes]:
    words = command.argv or ("/bin/sh", "-c", command.text)
    if _our_oom_score() < oom_score:
        words = ("/bin/sh", "-c", _NOBODY_SPECIAL, str(oom_score), *words)
    return [_bytes(word) for word in words]


def _our_oom_score() -> int:
    with open("/proc/self/oom_score_adj", "rb", buffering=0) as adjustment:
        return int(adjustment.read())


def _posix_spawn(command: Command, output: int, oom_score: int) -> int:
    try:
        words = _words(command, oom_score)
        return os.posix_spawn(
            words[0],
            words,
            {_bytes(name): _bytes(text) for name, text in command.environment.items()},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_DEFAULTED,
        )
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error)) from None


def _bytes(text: str) -> bytes:
    """UTF-8 whatever the locale: what somebody put into a command line must not keep a command from being started."""
    return text.encode(errors="surrogateescape")
