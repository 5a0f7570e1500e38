"""A test as what a daemon would see: frames of its processes, made wherever something changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from typing import NamedTuple

from fallfromgrace.casting import Actor
from fallfromgrace.expression import Sample
from fallfromgrace.frames import Frame
from fallfromgrace.readings import COUNTERS
from fallfromgrace.records import replace
from fallfromgrace.rules import Config, Selector, User
from fallfromgrace.scenario import Scenario
from fallfromgrace.series import Track
from fallfromgrace.table import Image, Process, ProcessId
from fallfromgrace.units import LONGEST

_TICKS_A_SECOND = 100
# A number that only grows is known up to where it is known no more, or its process ends: it is read once just before.
_JUST_BEFORE = 0.001
# Where nothing becomes another, so many steps are looked at, evenly spread over all.
_MOST_LOOKS = 1000
# Users of whom this machine knows nothing have numbers that hardly anybody has.
_FIRST_STRANGER = 4_000_000_000


class Staged(NamedTuple):
    """What is seen at any time, when it changes, until when, and who is who in it."""

    frame: Callable[[float], Frame]
    times: tuple[float, ...]
    until: float
    names: Mapping[ProcessId, str]
    config: Config

    @property
    def frames(self) -> Iterator[Frame]:
        """What is seen from the beginning to the end."""
        return map(self.frame, self.times)


def staged(scenario: Scenario, config: Config) -> Staged:
    """What a test shows to a configuration. Users whom the machine does not know are the same ones in both."""
    strangers = _strangers(scenario.actors)
    step = scenario.step or config.settings.interval
    parts = [_Part(actor, step, strangers) for actor in scenario.actors]
    machine = {name: Track(series, step) for name, series in scenario.machine.items()}
    until = lasts(scenario, config)
    times = tuple(_times(scenario, step, until))
    names = {part.id: part.actor.name for part in parts}
    known = _acquainted(config, strangers) if strangers else config
    return Staged(partial(_frame, parts=parts, machine=machine), times, until, names, known)


def lasts(scenario: Scenario, config: Config) -> float:
    """How many seconds a test takes."""
    return scenario.until or _end(scenario, scenario.step or config.settings.interval)


# --- when -------------------------------------------------------------------------------------------------------


def _end(scenario: Scenario, step: float) -> float:
    """When the last value is there, and everything that is said to be, or to be done, by then."""
    times = [step, *(each.at for each in scenario.expected), *(at for at, _ in _changes(scenario, step))]
    return max(at for at in times if at < inf)


def _times(scenario: Scenario, step: float, until: float) -> list[float]:
    """The moments at which something is another, steps in between, and the end."""
    steps = int(until / step)
    times = {0.0, until, *(at * step for at in range(0, steps, 1 + steps // _MOST_LOOKS))}
    for at, cut in _changes(scenario, step):
        times |= {at, at - _JUST_BEFORE} if cut and at else {at}
    return sorted({round(at, 6) for at in times if at <= until})


def _changes(scenario: Scenario, step: float) -> Iterator[tuple[float, bool]]:
    """The times of a test, and whether something ends then that only grows."""
    for series in scenario.machine.values():
        yield from ((at * step, False) for at in range(len(series)))
    for actor in scenario.actors:
        rates = [series for name, series in actor.measured.items() if name in COUNTERS]
        yield actor.starts, False
        yield actor.ends, bool(rates)
        for series in (*actor.measured.values(), actor.stopped):
            yield from ((actor.starts + at * step, False) for at in range(len(series)) if at * step < actor.lasts)
        for series in rates:
            yield from ((actor.starts + at * step, True) for at in range(1, len(series)) if series[at] is None)


# --- who --------------------------------------------------------------------------------------------------------


class _Part:
    """A process of a test, at any time."""

    def __init__(self, actor: Actor, step: float, strangers: Mapping[str, int]) -> None:
        self.actor = actor
        # Clock ticks since the machine started, which was long ago.
        self.id = ProcessId(actor.pid, round((LONGEST + actor.born) * _TICKS_A_SECOND))
        self._image = Image(actor.cmdline, _uid(actor.user, strangers), actor.exe)
        self._stopped = Track(actor.stopped, step)
        self._tracks = {name: Track(series, step) for name, series in actor.measured.items()}

    def there(self, at: float) -> bool:
        return self.actor.starts <= at < self.actor.ends

    def process(self, at: float, parent: int) -> Process:
        stopped = bool(self._stopped.value(at - self.actor.starts))
        return Process(self.id, parent, self.actor.pid, "T" if stopped else "S", self._image)

    def sample(self, at: float) -> Sample:
        since = at - self.actor.starts
        found = dict(_measured(self._tracks, since))
        found["age"] = self.actor.age + since
        if (stopped := self._stopped.value(since)) is not None:
            found["stopped"] = stopped
        return found


def _measured(tracks: Mapping[str, Track], since: float) -> Iterator[tuple[str, float]]:
    """What can be read; of a rate what it is the change of."""
    for name, track in tracks.items():
        counter, factor = COUNTERS.get(name, (name, 1.0))
        value = track.total(since) if name in COUNTERS else track.value(since)
        if value is not None:
            yield counter, value / factor


def _frame(at: float, parts: Sequence[_Part], machine: Mapping[str, Track]) -> Frame:
    there = {part.actor.name: part for part in parts if part.there(at)}
    pids = {name: part.actor.pid for name, part in there.items()}
    processes = tuple(part.process(at, pids.get(part.actor.parent, 1)) for part in there.values())
    seen: dict[ProcessId | None, Sample] = {part.id: part.sample(at) for part in there.values()}
    return Frame(at, processes, {None: dict(_measured(machine, at)), **seen})


# --- users ------------------------------------------------------------------------------------------------------


def _strangers(actors: Iterable[Actor]) -> dict[str, int]:
    names = sorted({actor.user.name for actor in actors if actor.user.uid is None})
    return {name: _FIRST_STRANGER + number for number, name in enumerate(names)}


def _uid(user: User, strangers: Mapping[str, int]) -> int:
    return strangers[user.name] if user.uid is None else user.uid


def _acquainted(config: Config, strangers: Mapping[str, int]) -> Config:
    """The configuration on a machine that knows these users as well."""

    def known(selector: Selector) -> Selector:
        users = selector.users and tuple(
            User(user.name, strangers.get(user.name)) if user.uid is None else user for user in selector.users
        )
        return replace(selector, users=users)

    settings = replace(config.settings, protect=tuple(map(known, config.settings.protect)))
    monitors = tuple(replace(each, selector=known(each.selector)) for each in config.monitors)
    return Config(settings, monitors)
