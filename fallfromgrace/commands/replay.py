"""`replay`: what these rules would have done about what was recorded."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from fallfromgrace import config, exits, plot, recording, terminal
from fallfromgrace.curves import Curves, Panel
from fallfromgrace.forms import plain
from fallfromgrace.frames import Frame
from fallfromgrace.logs import one_line
from fallfromgrace.patience import Patience, limited
from fallfromgrace.progress import Progress
from fallfromgrace.protection import Self
from fallfromgrace.recording import Recording
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Config, counted
from fallfromgrace.simulation import simulate
from fallfromgrace.timeline import Columns, Doubts, Row, Seen, Tally, row
from fallfromgrace.units import format_duration, human_duration

_DATE, _CLOCK = "%Y-%m-%d", "%H:%M:%S"
# A pid that nobody has: we were not there.
_NOBODY = 0
# After so long without a frame nothing is made up any more, which would take for ever; and no calendar has later days.
_LONGEST_GAP, _LAST_DAY = 7 * 86400.0, 200_000_000_000.0


@dataclass(frozen=True, slots=True)
class Options:
    """By which rules, of which recording, and where to draw a picture of it (None: nowhere)."""

    config: Path
    file: Path
    as_json: bool = False
    plot: Path | None = None


def run(options: Options) -> int:
    """The exit status: 0 if anything would have been done, 1 if nothing would."""
    if options.plot:
        _check_plot(options.plot, options.file)
    rules = config.load(options.config)
    with recording.opened(options.file) as found, Progress("KiB replayed", found.size >> 10) as progress:
        replay = Replay(limited(rules, Patience(progress.tell)), found, progress, drawn=options.plot is not None)
        rows = list(replay.rows()) if options.as_json else list(_shown(replay, options, progress))
    if options.as_json:
        print(json.dumps(plain(_as_json(replay, options, rows)), indent=2))
    for note in (*replay.notes, *([f"{options.file}: {replay.damage}"] if replay.damage else [])):
        terminal.tell(note)
    if options.plot:
        title = f"{options.file.name}, by the rules of {options.config}: {counted(len(rows), 'action')}"
        plot.draw(replay.panels, title, replay.times, options.plot)
    return exits.OK if rows else exits.NO


def _check_plot(path: Path, file: Path) -> None:
    plot.check(path)
    with contextlib.suppress(OSError):  # one of the two is not there
        if os.path.samestat(os.lstat(path), os.stat(file)):  # where it is a link, only that is replaced
            raise exits.UsageError(f"--plot: {path} is the recording; write the name of another file")


class Replay:
    """A recording that goes by, with all that is found out meanwhile."""

    def __init__(self, rules: Config, found: Recording, progress: Progress, *, drawn: bool) -> None:
        self.rules = rules
        self.recording = found
        self.seen = Seen(rules)
        self.tally = Tally()
        self._gap = ""
        self._myself = Self(_NOBODY, found.header.only_uid)
        self._doubts = Doubts(found.header.facets)
        self._curves = Curves(rules, self._myself) if drawn else None
        self._progress = progress

    def rows(self) -> Iterator[Row]:
        """What would have been done, as it is found out."""
        frames = self._frames()
        first = next(frames, None)
        if first is None:
            return  # else there would be nobody at a time of our own making
        began, wall = first.at, self.wall(first.at)
        for happening in simulate(self.rules, _again(first, frames), self._myself, told=self._doubts.hear):
            if self._curves:
                self._curves.mark(happening)
            found = row(happening, began, wall)
            self.tally.add(found)
            yield found

    def _frames(self) -> Iterator[Frame]:
        for frame in self.recording:
            if self.seen.frames and frame.at > self.seen.ended + _LONGEST_GAP:
                self._gap = f"for {human_duration(frame.at - self.seen.ended)} there is no sample; the rest is left out"
                return
            self.seen.add(frame)
            if self._curves:
                self._curves.add(frame)
            self._progress.step(self.recording.done >> 10)
            yield frame

    def wall(self, at: float) -> float:
        """What people called a time."""
        return max(0.0, min(self.recording.header.wall + at - self.recording.header.monotonic, _LAST_DAY))

    @property
    def times(self) -> plot.Times:
        return plot.Times(self.seen.began, self.seen.ended, self.wall(self.seen.began))

    @property
    def panels(self) -> list[Panel]:
        return list(self._curves.panels) if self._curves else []

    @property
    def damage(self) -> str:
        """What is not there to be replayed."""
        return self.recording.damage or self._gap or ("" if self.seen.frames else "there is no sample in it")

    @property
    def notes(self) -> Iterator[str]:
        """What is to be known of what was found out."""
        yield from self._doubts.notes(self.seen.began)
        if self.seen.frames:
            yield from (f"{name}: nothing that was recorded matches" for name in self.seen.without)
        if self._curves and self._curves.left_out:
            yield f"the picture has no room for {counted(self._curves.left_out, 'more panel')}; draw fewer rules"


def _again(first: Frame, frames: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from frames


# --- how it is shown ---


def _shown(replay: Replay, options: Options, progress: Progress) -> Iterator[Row]:
    """The same rows, each printed as soon as it is known, between a heading and a summary."""
    page = _Page(replay, progress)
    page.say(_heading(replay, options), "bold")
    for each in replay.rows():
        page.add(each)
        yield each
    progress.hide()
    page.end()


class _Page:
    """What is written to stdout: on a terminal no wider than that, and with a date only where a day begins."""

    def __init__(self, replay: Replay, progress: Progress) -> None:
        self._replay = replay
        self._progress = progress
        self._width, self._colours = terminal.width(), terminal.colourful()
        self._clock = _CLOCK if self._width else f"{_DATE} {_CLOCK}"
        self._columns = Columns(replay.rules, len(time.strftime(self._clock)), self._width)
        self._day = ""

    def say(self, text: str, *styles: str) -> None:
        """A line, at once."""
        self._progress.hide()
        print(terminal.paint(terminal.cut(terminal.showable(text), self._width), *styles, on=self._colours), flush=True)

    def add(self, row: Row) -> None:
        """A row, below the names of the columns."""
        local = time.localtime(row.at)
        day, clock = time.strftime(_DATE, local), time.strftime(self._clock, local)
        if not self._day:
            self.say(self._columns.head, "dim")
        if day != self._day and self._width:
            self.say(day, "dim")
        self._day = day
        self.say(self._columns.line(row, clock))

    def end(self) -> None:
        """How much that was."""
        replay, tally = self._replay, self._replay.tally
        if not tally.total:
            self.say(f"nothing would have been done: {replay.seen.summary}", "bold")
            return
        self.say(f"{counted(tally.total, 'action')} would have been done: {replay.seen.summary}", "bold")
        for line in tally.lines():
            self.say(line)


def _heading(replay: Replay, options: Options) -> str:
    header = replay.recording.header
    began = time.strftime(f"{_DATE} {_CLOCK}", time.localtime(replay.wall(header.monotonic)))
    whose = "" if header.only_uid is None else f", by user {header.only_uid}, who may act on their own processes only"
    return one_line(f"{options.file}: recorded from {began} on, every {format_duration(header.every)}{whose}")


def _as_json(replay: Replay, options: Options, rows: list[Row]) -> object:
    header, seen = replay.recording.header, replay.seen
    about = {
        "file": str(options.file),
        "program": header.program,
        "config": header.config,
        "only_uid": header.only_uid,
        "at": replay.wall(seen.began) if seen.frames else replay.wall(header.monotonic),
        "seconds": seen.seconds,
        "every": header.every,
        "samples": seen.frames,
        "processes": seen.processes,
    }
    return {
        "recording": about,
        "happenings": [_happening(each) for each in rows],
        "damage": replay.damage,
        "notes": list(replay.notes),
    }


def _happening(row: Row) -> dict[str, object]:
    return {"for" if name == "whose" else name: value for name, value in row._asdict().items()}
