"""`top`: whom the monitors are about, how near they are to their limits, what is due, and what the daemon did; live."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fallfromgrace import __version__, config, exits, files, published, terminal
from fallfromgrace.arguments import DEFAULT_CONFIG
from fallfromgrace.canvas import Brush, Canvas, Ended, Event, glyphs
from fallfromgrace.errors import ConfigError
from fallfromgrace.logs import one_line
from fallfromgrace.memory import Memory
from fallfromgrace.observer import Observer, Scene, as_daemon
from fallfromgrace.pen import Paper, Ruler
from fallfromgrace.picture import Picture
from fallfromgrace.portrayal import Portrait, Texts, Turns
from fallfromgrace.published import Published
from fallfromgrace.readings import Facet
from fallfromgrace.records import dataclass, replace
from fallfromgrace.rules import Config
from fallfromgrace.screen import lines, plain
from fallfromgrace.tidings import Basis, coming, deeds, heading
from fallfromgrace.values import owner


@dataclass(frozen=True, slots=True)
class Options:
    """Without a configuration it is that of the daemon which keeps `state`, or the usual one; `every` is seconds."""

    config: Path | None
    state: str
    once: bool = False
    every: float = 2.0


# What cannot be had is told on the screen for so long.
_TOLD_SECONDS = 60.0
_MOST_TOLD = 2


def run(options: Options) -> int:
    """The exit status."""
    if not terminal.moves():
        return _run_plain(options)
    return _run_once(options) if options.once else _run_live(options)


def _run_live(options: Options) -> int:
    """However it is ended, that is what was asked for."""
    notes = Notes()
    with (
        contextlib.suppress(Ended),
        contextlib.closing(Watch(options, notes.add)) as watch,
        Canvas() as canvas,
    ):
        while True:
            due, picture = time.monotonic() + options.every, watch.picture(canvas.paper.height, notes.recent())
            event = Event.RESIZED
            while event is Event.RESIZED:
                paper = canvas.paper
                canvas.draw(lines(picture._replace(hint=canvas.hint), paper), paper)
                event = canvas.wait(due)
            if event is Event.QUIT:
                break
    return exits.OK


def _run_once(options: Options) -> int:
    """As much as a screen has room for, with a line left for what is typed next."""
    brush, size = Brush(), os.get_terminal_size(1)
    paper = Paper(size.columns or 80, max(2, (size.lines or 24) - 1), brush.ruler, glyphs())
    with contextlib.closing(Watch(options, terminal.tell)) as watch:
        print("\n".join(brush.painted(lines(watch.picture(paper.height), paper))))
    return exits.OK


def _run_plain(options: Options) -> int:
    """Everything, as often, until nobody reads it any more."""
    paper = Paper(terminal.width(), ruler=Ruler(terminal.columns, terminal.cut))
    with contextlib.closing(Watch(options, terminal.tell)) as watch:
        while True:
            due = time.monotonic() + options.every
            print("\n".join(map(plain, lines(watch.picture(), paper))), flush=True)
            if options.once or _is_left_alone(due):
                return exits.OK
            print()


def _is_left_alone(until: float) -> bool:
    """Whether whoever reads our output goes away before a time, or there never was anybody."""
    if sys.stdout is None:  # whatever has its number by now is something else
        return True
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


def legible(text: str) -> str:
    """A text on one line, of characters that stdout can take."""
    return terminal.showable(one_line(text))


class Notes:
    """What was told, for some time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}

    def add(self, text: str) -> None:
        self._told[text] = self._clock()

    def recent(self) -> tuple[str, ...]:
        """The last ones of these."""
        since = self._clock() - _TOLD_SECONDS
        self._told = {text: at for text, at in self._told.items() if at > since}
        return tuple(self._told)[-_MOST_TOLD:]


class Daemon:
    """The daemon that keeps a file, as long as there is one; `problem` is why that cannot be known."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._read: tuple[int, int, int] | None = None
        self._said: Published | None = None
        self.found: Published | None = None
        self.problem = ""

    def look(self) -> bool:
        """Whether it is another one than before, says something new, or is gone."""
        before, anew = self.found, self._reread()
        self.found = self._said if self._said and published.lives(self._said) else None
        return anew or self.found is not before

    def _reread(self) -> bool:
        seen = _signature(self._state)
        if seen == self._read:
            return False
        self._read, self._said, self.problem = seen, None, ""
        if seen is not None:
            try:
                self._said = published.read(self._state)
            except exits.Failure as error:
                self.problem = str(error)
        return True


def _signature(path: str) -> tuple[int, int, int] | None:
    """What changes when a file does; None where there is none, or where that is not to be known."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except PermissionError:
        return 0, 0, 0
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


class _Observer(Observer):
    """Reads also what no rule asks for."""

    def complete_rows(self, scene: Scene) -> None:
        """How large everybody is, and how much they have computed."""
        look = scene.look
        covered = {identity for each in look.covered for identity in each.identities}
        wants = {
            want
            for each in covered
            for facet in (Facet.STAT, Facet.MEMORY)
            for want in look.readings.missing(each, facet)
        }
        self.read(look, wants)


class Watch:
    """A picture at each turn: of what an observer sees, by the rules of the daemon, if there is one."""

    def __init__(self, options: Options, tell: Callable[[str], None]) -> None:
        self._asked = options.config
        self._tell = tell
        self._daemon = Daemon(options.state)
        self._turns = Turns()
        self._texts = Texts(lambda uid: legible(owner(uid)), legible)
        self._daemon.look()
        self._loaded = self._whose()
        self._load()
        self._observer = self._begin()

    def close(self) -> None:
        self._observer.close()

    def picture(self, most: int | None = None, warnings: tuple[str, ...] = ()) -> Picture:
        """What there is now; of all processes the `most` urgent ones."""
        if self._daemon.look():
            self._follow()
        scene = self._observer.observe()
        self._observer.complete_rows(scene)
        self._turns.take(scene.look)
        return self._picture(scene, most, warnings)

    def _picture(self, scene: Scene, most: int | None, warnings: tuple[str, ...]) -> Picture:
        found, now = self._daemon.found, time.monotonic()
        portrait = Portrait(scene.engine, scene.look, scene.verdicts, self._texts, self._turns, acts=self._acts)
        watched = len({identity for each in scene.look.covered for identity in each.identities})
        basis = Basis(self._config, os.path.abspath(self._path), files.changed_at(files.named(self._path)))
        head = heading(found, basis, watched, now, __version__)
        told = (*filter(None, (self._daemon.problem, self._problem)), *head.warnings, *warnings)
        return Picture(
            title=legible(head.title),
            facts=legible(head.facts),
            warnings=tuple(map(legible, told)),
            sections=tuple(portrait.sections(most)),
            coming=tuple(coming(found, now, legible)) if found else (),
            deeds=tuple(deeds(found, now, legible)) if found else (),
        )

    # --- the daemon, and its configuration ---

    def _whose(self) -> tuple[object, ...]:
        """Which configuration is in force: another daemon, or a reload, makes it another one."""
        found = self._daemon.found
        return (found.pid, found.start, found.config, found.configuration.loaded.monotonic) if found else ()

    @property
    def _acts(self) -> bool:
        """Whether a daemon does what is shown."""
        found = self._daemon.found
        return found is not None and found.config == os.path.abspath(self._path)

    def _load(self) -> None:
        self._problem = ""
        found = self._daemon.found
        path = self._asked or Path(found.config if found else DEFAULT_CONFIG)
        self._path, self._config = path, config.load(path)

    def _begin(self) -> _Observer:
        found = self._daemon.found
        myself = as_daemon(found.pid) if found else None
        observer = _Observer(_as_by(found, self._config), self._tell, myself=myself)
        if found:
            observer.assume(found.memory)
        return observer

    def _follow(self) -> None:
        """The daemon has said something, or is another one; without one its configuration stays."""
        found, whose = self._daemon.found, self._whose()
        if found and whose != self._loaded:
            self._loaded = whose
            self._change()
        self._observer.assume(found.memory if found else Memory())

    def _change(self) -> None:
        try:
            self._load()
        except ConfigError as error:
            told = error.problems[0].headline
            self._problem = f"the configuration cannot be read now, so this goes by the one before: {told}"
            return
        observer, self._observer = self._observer, self._begin()
        observer.close()


def _as_by(daemon: Published | None, loaded: Config) -> Config:
    """The configuration as the daemon goes by it, which may act on nothing at all."""
    observing = {each.name for each in daemon.monitors if each.observe} if daemon else set()
    monitors = tuple(replace(each, observe=True) if each.name in observing else each for each in loaded.monitors)
    return replace(loaded, monitors=monitors)
