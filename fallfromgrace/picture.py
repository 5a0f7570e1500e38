"""What `top` shows, as values: how near everybody is to their limits, what is due when, and what the daemon did."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """How urgent a rule is."""

    CALM = 0
    NEAR = 1  # to its limit
    PENDING = 2
    FIRING = 3


class Gauge(NamedTuple):
    """A rule for one process, or for all that a monitor covers; `share` is how much of its limit is reached."""

    rule: str
    share: float | None
    value: str
    limit: str
    state: str = ""
    level: Level = Level.CALM


class Row(NamedTuple):
    """A process, and what the rules say of it."""

    pid: int
    owner: str
    rmem: str
    cpu: str
    command: str
    note: str = ""
    gauges: tuple[Gauge, ...] = ()


class Section(NamedTuple):
    """A monitor: the rules about all that it covers, and each process, or the most urgent of very many."""

    name: str
    note: str
    gauges: tuple[Gauge, ...] = ()
    rows: tuple[Row, ...] = ()
    total: int = 0  # how many processes there are


class Entry(NamedTuple):
    """Something that was done, or is to come; `well` is whether that is as it should be."""

    when: str
    who: str
    what: str
    well: bool = True


class Picture(NamedTuple):
    """All of it; `warnings` are what is not as it should be, `hint` how to go on."""

    title: str
    facts: str
    hint: str = ""
    warnings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    coming: tuple[Entry, ...] = ()
    deeds: tuple[Entry, ...] = ()


def urgency(gauges: Sequence[Gauge]) -> tuple[int, float]:
    """What makes one come before others: how urgent its most urgent rule is."""
    return max(((int(each.level), each.share or 0.0) for each in gauges), default=(-1, 0.0))
