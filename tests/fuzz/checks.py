"""What has to hold for every text and every file, whatever is in it."""

from __future__ import annotations

import random
from math import inf
from pathlib import Path

from fallfromgrace import config
from fallfromgrace.errors import ConfigError, RuleSyntaxError
from fallfromgrace.expression import Measured, Trigger, Whole, evaluate, undecided, value_and_limit
from fallfromgrace.files import Contents
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.intervals import UNKNOWN, Interval, exactly

PARSERS = (parse_trigger, parse_action)


class Anything:
    """A view in which everything is anything."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def interval(self, found: Measured) -> Interval:
        low, high = sorted(self.dice.choice((0, 1, 5.5, 1 << 20, 1 << 62, 1e300)) for _ in "lh")
        known = exactly(low), Interval(low, high), Interval(low, inf), Interval(-high, low)
        return self.dice.choice((UNKNOWN, exactly(0), *known))

    def whole(self, whole: Whole) -> Interval:
        return self.dice.choice((UNKNOWN, exactly(0), exactly(16 << 30)))

    def wants(self, found: Measured | Whole) -> frozenset[str]:
        return frozenset({str(found)})


def check_text(text: str, valid: bool, dice: random.Random) -> int:
    """How many of the parsers can read it. AssertionError, or whatever else gets through, where something is wrong."""
    read = 0
    for parse in PARSERS:
        try:
            value = parse(text)
        except RuleSyntaxError as error:
            _check_place(error, text)
            continue
        read += 1
        again = parse(str(value))
        assert again == value, f"{value!r} reads back as {again!r}"
        assert str(again) == str(value), f"{value} becomes {again}"
        if isinstance(value, Trigger):
            _evaluate(value, dice)
    assert read or not valid, "this is valid, and cannot be read"
    return read


def _check_place(error: RuleSyntaxError, text: str) -> None:
    assert 0 <= error.start < error.end <= len(text) + 1, f"{error.start}:{error.end}"
    assert len(error.text) < 400, "a message longer than a page"


def _evaluate(trigger: Trigger, dice: random.Random) -> None:
    view = Anything(dice)
    for lasting in (trigger.fires, trigger.until):
        if lasting:
            evaluate(lasting.condition, view)
            list(undecided(lasting.condition, view))
            value_and_limit(lasting.condition, view)


def check_file(data: bytes) -> bool:
    """Whether a file with this in it can be used. Anything but ConfigError gets through."""
    try:
        config.understood([Contents(Path("x.conf"), data)])
    except ConfigError:
        return False
    return True
