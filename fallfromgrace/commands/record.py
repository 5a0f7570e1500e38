"""`record`: keeps what is seen of the processes that the monitors are about, for `replay`.

With 300 processes and a frame a second it takes 2 % of a core, and 5 % where a rule is about `pmem`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from math import floor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fallfromgrace import __version__, config, exits, privileges
from fallfromgrace.engine import Engine
from fallfromgrace.frames import Frame
from fallfromgrace.keeper import boot
from fallfromgrace.linux import LinuxSource
from fallfromgrace.observer import AGAIN_SECONDS, others
from fallfromgrace.patience import Patience, limited
from fallfromgrace.progress import Progress
from fallfromgrace.readings import FACETS, Facet, Want
from fallfromgrace.recorded import Header
from fallfromgrace.recorder import Unwritable, Writer
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Adjust, Config, Signal, Target, counted
from fallfromgrace.source import Source, Unready
from fallfromgrace.table import ProcessTable
from fallfromgrace.units import human_duration, human_size

# What costs little is measured for whatever rules are yet to be written, the rest if there are rules about it.
_ALWAYS = frozenset({Facet.MACHINE, Facet.STAT, Facet.MEMORY, Facet.IO})
# What is a matter of how fractions of a second are reckoned.
_ROUNDING = 1e-6
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to record, into which file, how often and for how long (None: until told to end), in how many bytes."""

    config: Path
    file: Path
    everybody: bool = False
    every: float = 1.0
    seconds: float | None = None
    size: int = 64 << 20


def run(options: Options) -> int:
    """Record until something ends it, which is told. Raises Failure where the file cannot be written."""
    wanted = _wanted(options)
    with _created(options.file) as stream, Ending() as ending, Progress("frames", _expected(options)) as progress:
        patience = Patience(progress.tell)
        with contextlib.closing(LinuxSource(progress.tell, patience=patience)) as source:
            for lack in privileges.lacking(wanted):
                progress.tell(lack)
            camera = Camera(source, limited(wanted, patience), options.everybody)
            progress.tell(Session(options, camera, ending, progress).record(stream))
    return exits.OK


def _wanted(options: Options) -> Config:
    found = config.load(options.config)
    if not found.monitors and not options.everybody:
        raise exits.UsageError(f"{options.config} has no monitors, so it is about nobody; write --all for everybody")
    return found


def _expected(options: Options) -> int | None:
    """How many frames there will be, if that is known."""
    return None if options.seconds is None else 1 + floor(options.seconds / options.every)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """A new file, for nobody else to read: command lines may have secrets in them."""
    try:
        descriptor = os.open(path, _NEW, 0o600)
    except OSError as error:
        raise _uncreated(path, error) from error
    with open(descriptor, "wb", buffering=0) as stream:
        try:
            yield stream
        finally:
            if not stream.tell():  # it would be in the way of the next attempt
                with contextlib.suppress(OSError):
                    path.unlink()


def _uncreated(path: Path, error: OSError) -> exits.Failure:
    if isinstance(error, FileExistsError):
        return exits.UsageError(f"{path} is there already, and is left as it is; write another name, or remove it")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return exits.UsageError(f"there is no directory {path.parent} for {path.name}; make it, or write another name")
    kind = exits.NotPermitted if isinstance(error, PermissionError) else exits.Failure
    return kind(f"cannot make {path}: {error.strerror}")


# --- what is there ---


class Camera:
    """Sees who is there to be recorded, and what they use."""

    def __init__(self, source: Source, wanted: Config, everybody: bool) -> None:
        myself = privileges.ourselves()
        self.only_uid = myself.only_uid
        self._engine = Engine(wanted, myself)
        self._source = source
        self.facets = tuple(sorted(_ALWAYS | self._engine.facets | _for_largest(wanted)))
        source.configure((lambda image: True) if everybody else self._engine.selects, process_events=False)
        source.prepare(self.facets)

    def frame(self, now: float) -> Frame | None:
        """Everybody but ourselves; None as long as not all could be read once."""
        try:
            table = self._source.look(now)
        except Unready:
            return None
        seen = list(others(table))
        wants = [Want(process.id, facet) for process in seen for facet in self.facets if facet is not Facet.MACHINE]
        found = self._source.measure([Want(None, Facet.MACHINE), *wants], now)
        return Frame(now, tuple(process for process in seen if process.id in found), found)

    def covers_anybody(self, frame: Frame) -> bool:
        """Whether the monitors are about somebody in it."""
        look = self._engine.look(ProcessTable(frame.processes), (), frame.at)
        return any(covered.descents for covered in look.covered)


def _for_largest(wanted: Config) -> frozenset[Facet]:
    """By what the daemon finds the largest, if an action is for that."""
    actions = [item.action for monitor in wanted.monitors for rule in monitor.rules for item in rule.items]
    asked = any(isinstance(each, (Signal, Adjust)) and each.target is Target.LARGEST for each in actions)
    return frozenset({FACETS["pmem"]} if asked else ())


# --- one after the other ---


class Ending:
    """The signals that end us: while this lasts they wait until we are ready for them."""

    def __enter__(self) -> Ending:
        # Those that are ignored, as nohup has it, are not waited for.
        self._awaited = {number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN}
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._awaited)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while signal.sigtimedwait(self._awaited, 0):
            pass  # whoever is impatient sends several
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, until: float) -> str:
        """The name of one that has come by then; empty if none has."""
        info = signal.sigtimedwait(self._awaited, max(0.0, until - time.monotonic()))
        # Python makes one up where we were stopped, and continued when the time was over.
        return signal.Signals(info.si_signo).name if info and info.si_signo in self._awaited else ""


def next_tick(tick: int, since: float, every: float) -> int:
    """The next that is still to come, so many seconds after the first: what was missed is left out."""
    return max(tick, floor(since / every)) + 1


class Session:
    """One recording, from its first frame to its last."""

    def __init__(self, options: Options, camera: Camera, ending: Ending, progress: Progress) -> None:
        self._options = options
        self._camera = camera
        self._ending = ending
        self._progress = progress
        self._first = self._last = time.monotonic()

    def record(self, stream: BinaryIO) -> str:
        """What was recorded, and what has ended it. Raises Failure."""
        path = self._options.file
        header = self._header()
        try:
            writer = Writer(stream, header, self._options.size)
        except Unwritable as error:
            raise exits.Failure(f"cannot write {path}: {error}") from error
        try:
            with contextlib.closing(writer):
                why = self._film(writer)
        except Unwritable as error:
            raise exits.Failure(f"cannot write on in {path}: {error}; it has {self._summary(writer)}") from error
        return f"{path}: {self._summary(writer)}; {why}"

    def _header(self) -> Header:
        return Header(
            program=__version__,
            boot=boot(),
            wall=time.time(),
            monotonic=self._first,
            every=self._options.every,
            only_uid=self._camera.only_uid,
            config=os.path.abspath(self._options.config),
            facets=self._camera.facets,
        )

    def _film(self, writer: Writer) -> str:
        """Frame after frame; what has ended that."""
        every, seconds, tick = self._options.every, self._options.seconds, 0
        while True:
            now = time.monotonic()
            frame = self._camera.frame(now)
            if frame is None:
                due = now + AGAIN_SECONDS
            elif not self._keep(writer, frame):
                return writer.full
            else:
                tick = next_tick(tick, time.monotonic() - self._first, every)
                due = self._first + tick * every
                if seconds is not None and tick * every > seconds + _ROUNDING:
                    return f"its {human_duration(seconds)} are over"
            if name := self._ending.wait(due):
                return f"ended by {name}"

    def _keep(self, writer: Writer, frame: Frame) -> bool:
        if not writer.frames:
            self._first = frame.at
            if not self._options.everybody and not self._camera.covers_anybody(frame):
                nobody = f"nothing that runs is what {self._options.config} is about"
                self._progress.tell(f"{nobody}; what comes is recorded")
        kept = writer.add(frame)
        if kept:
            self._last = frame.at
            self._progress.step(writer.frames, f"{counted(writer.processes, 'process')}, {_bytes(writer.size)}")
        return kept

    def _summary(self, writer: Writer) -> str:
        frames, over = counted(writer.frames, "frame"), human_duration(self._last - self._first)
        return f"{frames} of {counted(writer.processes, 'process')} over {over}, {_bytes(writer.size)}"


def _bytes(size: int) -> str:
    return human_size(size) if size >= 1024 else counted(size, "byte")
