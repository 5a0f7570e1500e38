"""Sizes and durations, as text and as numbers.

Sizes are whole bytes with powers of 1024; durations are seconds.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum


class Dimension(Enum):
    """What a number measures; the value is the word used in messages."""

    SIZE = "a size"
    DURATION = "a time"


_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.IGNORECASE)
_SIZE_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION_FACTORS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A century: longer than any machine runs, and far below where a float of seconds loses its fractions.
_LONGEST = Decimal(100 * 366 * 86400)
_LARGEST = 1 << 62


def parse_size(text: str) -> int:
    """Bytes of `900m`, `2.2k`, `1GiB`, `2097152`; a fraction of a byte is rounded half up. ValueError if none."""
    match = _SIZE.fullmatch(text)
    if not match or not text.isascii():
        raise ValueError(f"'{text}' is not a size; write a number with k, m, g or t, such as 500m")
    factor = _SIZE_FACTORS[match[2].lower()] if match[2] else 1
    size = int((Decimal(match[1]) * factor).to_integral_value(ROUND_HALF_UP)) if len(text) < 40 else _LARGEST + 1
    if size > _LARGEST:
        raise ValueError(f"'{text}' is larger than any memory")
    return size


def parse_duration(text: str) -> float:
    """Seconds of `10m`, `1h30m`, `0.5s`. ValueError if the text is no duration, or is not above zero."""
    if not _DURATION.fullmatch(text) or not text.isascii():
        raise ValueError(f"'{text}' is not a time; write a number with s, m, h or d, such as 10m")
    if len(text) > 40:
        raise ValueError("that is a longer time than any machine runs")
    parts = _DURATION_PART.findall(text)
    seconds = sum((Decimal(number) * _DURATION_FACTORS[unit.lower()] for number, unit in parts), Decimal(0))
    if seconds <= 0:
        raise ValueError(f"'{text}' is no time at all; write at least 1s")
    if seconds > _LONGEST:
        raise ValueError(f"'{text}' is longer than any machine runs")
    return float(seconds)


def format_size(size: int) -> str:
    """The shortest exact text: 1073741824 is `1g`, 2253 is `2253`; `parse_size` gives the same number back."""
    for unit, factor in reversed(_SIZE_FACTORS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: float) -> str:
    """The shortest exact text: 600.0 is `10m`; `parse_duration` gives the same number back."""
    for unit, factor in reversed(_DURATION_FACTORS.items()):
        if seconds % factor == 0:
            return f"{int(seconds) // factor}{unit}"
    return f"{Decimal(repr(seconds)):f}s"


def human_size(size: float) -> str:
    """For people, rounded to a tenth: 956301312 is `912m`, 1288490189 is `1.2g`."""
    for unit, factor in reversed(_SIZE_FACTORS.items()):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size:.0f}"
