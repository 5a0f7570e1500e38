"""What a configuration means: settings, and monitors with their rules, as values.

`str` of an action is its normal form, which the grammar reads back to an equal action.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fallfromgrace.expression import Trigger
from fallfromgrace.table import Image
from fallfromgrace.units import format_duration

# The words for signals, the strongest first: of several asked for at once only that one is sent.
SIGNALS = ("kill", "term", "stop")
TERMINATING = frozenset({"kill", "term"})


@dataclass(frozen=True, slots=True)
class Signal:
    """Send the signal that `word` names; `limit` is the least number of seconds between two, None for once."""

    word: str
    limit: float | None = None

    def __str__(self) -> str:
        return self.word + _at(self.limit)


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command with `/bin/sh -c`; `limit` is the least number of seconds between two, None for once."""

    command: str
    limit: float | None = None

    @property
    def verb(self) -> str:
        """The action without its command."""
        return f"exec{_at(self.limit)}"

    def __str__(self) -> str:
        return f"{self.verb} {self.command}"


Action = Signal | Exec


def _at(limit: float | None) -> str:
    return "" if limit is None else f" @ {format_duration(limit)}"


@dataclass(frozen=True, slots=True)
class Item:
    """An action of a rule. `key` names it within its monitor, whatever the trigger: limits outlive a new threshold."""

    action: Action
    key: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do while a trigger holds; `text` is the trigger as its user wrote it."""

    text: str
    trigger: Trigger
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Monitor:
    """Which processes to look at, and the rules for them, in the order of the file."""

    name: str
    cmdline: re.Pattern[str]
    rules: tuple[Rule, ...]
    children: bool = False
    final: bool = False

    @property
    def selection(self) -> tuple[str, bool, bool]:
        """All that says which processes the monitor is about."""
        return self.cmdline.pattern, self.children, self.final

    def selects(self, image: Image) -> bool:
        """Whether the monitor is about processes that run this; its descendants come besides."""
        return self.cmdline.search(image.cmdline) is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole program; `interval` is the longest time, in seconds, between two looks."""

    interval: float = 10.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the configuration files say."""

    settings: Settings
    monitors: tuple[Monitor, ...]

    @property
    def summary(self) -> str:
        """How much there is, such as `2 monitors, 3 rules`."""
        rules = sum(len(monitor.rules) for monitor in self.monitors)
        return f"{counted(len(self.monitors), 'monitor')}, {counted(rules, 'rule')}"


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def make_rules(written: Iterable[tuple[str, Trigger, Iterable[Action]]]) -> tuple[Rule, ...]:
    """The rules of one monitor from (text, trigger, actions); an action written again gets a key of its own."""
    seen: Counter[str] = Counter()
    return tuple(
        Rule(text, trigger, tuple(_item(action, seen) for action in actions)) for text, trigger, actions in written
    )


def _item(action: Action, seen: Counter[str]) -> Item:
    text = str(action)
    seen[text] += 1
    return Item(action, text if seen[text] == 1 else f"{text} #{seen[text]}")
