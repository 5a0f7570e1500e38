"""Sizes, durations, rates, percentages and numbers, as text and as numbers.

Sizes are whole bytes with powers of 1024; durations are seconds, rates bytes a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum


class Dimension(Enum):
    """What a number measures; the value is the word used in messages."""

    SIZE = "a size"
    DURATION = "a time"
    RATE = "a rate"
    COUNT = "a count"
    PERCENT = "a percentage"
    RATIO = "a ratio"  # like divided by like
    LOAD = "a load"


_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.IGNORECASE)
_SIZE_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION_FACTORS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A century: longer than any machine runs, and far below where a float of seconds loses its fractions.
LONGEST = 100 * 366 * 86400
_LARGEST = 1 << 62
# A number is large enough for anything and, many times multiplied, still far from where a float ends. The least
# percentage can be written as a ratio.
LARGEST_NUMBER = 10**12
_LEAST_NUMBER, _LEAST_PERCENTAGE = 1e-11, 1e-9
_MOST_CHARACTERS = 40
_SCALE: int = 10**_MOST_CHARACTERS
_TOO_LONG = f"this number is too long; {_MOST_CHARACTERS} digits are enough for anything"


def _scaled(number: str) -> int:
    """A decimal, exactly, in units of the last digit that one can have."""
    whole, _, fraction = number.partition(".")
    return int(whole + fraction.ljust(_MOST_CHARACTERS, "0"))


def parse_size(text: str) -> int:
    """Bytes of `900m`, `2.2k`, `1GiB`, `2097152`; a fraction of a byte is rounded half up. ValueError if none."""
    match = _SIZE.fullmatch(text)
    if not match or not text.isascii():
        raise ValueError(f"'{text}' is not a size; write a number with k, m, g or t, such as 500m")
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(_TOO_LONG)
    factor = _SIZE_FACTORS[match[2].lower()] if match[2] else 1
    size = (2 * _scaled(match[1]) * factor + _SCALE) // (2 * _SCALE)
    if size > _LARGEST:
        raise ValueError(f"'{text}' is larger than any memory")
    return size


def parse_duration(text: str) -> float:
    """Seconds of `10m`, `1h30m`, `0.5s`. ValueError if the text is no duration, or is not above zero."""
    if not _DURATION.fullmatch(text) or not text.isascii():
        raise ValueError(f"'{text}' is not a time; write a number with s, m, h or d, such as 10m")
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(_TOO_LONG)
    parts = _DURATION_PART.findall(text)
    scaled = sum(_scaled(number) * _DURATION_FACTORS[unit.lower()] for number, unit in parts)
    if scaled <= 0:
        raise ValueError(f"'{text}' is no time at all; write at least 1s")
    if scaled > LONGEST * _SCALE:
        raise ValueError(f"'{text}' is longer than any machine runs")
    return scaled / _SCALE


def parse_rate(text: str) -> int:
    """Bytes a second of `10m/s`. ValueError if none."""
    if text[-2:].lower() != "/s":
        raise ValueError(f"'{text}' is not a rate; write a size a second, such as 10m/s")
    return parse_size(text[:-2])


def parse_number(text: str) -> float:
    """`4`, `2.5`; whole numbers are ints. ValueError if none."""
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise ValueError(f"'{text}' is not a number; write one such as 4 or 2.5")
    if len(text) > _MOST_CHARACTERS + 2:  # the longest percentage can be written as a ratio
        raise ValueError(_TOO_LONG)
    return _of_use(text, float(text) if "." in text else int(text), _LEAST_NUMBER)


def _of_use(text: str, number: float, least: float) -> float:
    if number > LARGEST_NUMBER:
        raise ValueError(f"'{text}' is a larger number than anything has")
    if 0 < number < least:
        raise ValueError(f"'{text}' is next to nothing; write 0")
    return number


def parse_percentage(text: str) -> float:
    """`25` of `25%`. ValueError if none."""
    number = text.removesuffix("%")
    if number == text or not _NUMBER.fullmatch(number) or not text.isascii():
        raise ValueError(f"'{text}' is not a percentage; write one such as 25%")
    if len(number) > _MOST_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return _of_use(text, parse_number(number), _LEAST_PERCENTAGE)


def format_number(number: float) -> str:
    """The shortest exact text, without an exponent: 4.0 is `4`."""
    if number == int(number):
        return str(int(number))
    sign = "-" if number < 0 else ""
    digits, _, exponent = repr(abs(number)).partition("e")
    return sign + (f"0.{'0' * (-int(exponent) - 1)}{digits.replace('.', '')}" if exponent else digits)


def format_size(size: int) -> str:
    """The shortest exact text: 1073741824 is `1g`, 2253 is `2253`; `parse_size` gives the same number back."""
    for unit, factor in reversed(_SIZE_FACTORS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def format_duration(seconds: float) -> str:
    """The shortest exact text: 600.0 is `10m`; `parse_duration` gives the same number back. Zero is `0`."""
    if not seconds:
        return "0"
    for unit, factor in reversed(_DURATION_FACTORS.items()):
        if seconds % factor == 0:
            return f"{int(seconds) // factor}{unit}"
    return f"{format_number(seconds)}s"


def human_size(size: float) -> str:
    """For people, rounded to a tenth: 956301312 is `912m`, 1288490189 is `1.2g`."""
    for unit, factor in reversed(_SIZE_FACTORS.items()):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size:.0f}"


def human_duration(seconds: float) -> str:
    """For people, the two largest units: 93784 is `1d2h`, 0.25 is `0.2s`."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    parts: list[str] = []
    left = round(seconds)
    for unit, factor in reversed(_DURATION_FACTORS.items()):
        count, left = divmod(left, factor)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2])


def human_number(number: float) -> str:
    """For people, rounded to a tenth."""
    return f"{number:.1f}".removesuffix(".0")


def _whole_or_tenth(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 10 else human_number(number)


_HUMAN: Mapping[Dimension, Callable[[float], str]] = {
    Dimension.SIZE: human_size,
    Dimension.DURATION: human_duration,
    Dimension.RATE: lambda number: f"{human_size(number)}/s",
    Dimension.COUNT: human_number,
    Dimension.PERCENT: lambda number: f"{_whole_or_tenth(number)}%",
    Dimension.RATIO: lambda number: f"{_whole_or_tenth(number * 100)}%",
    Dimension.LOAD: lambda number: f"{number:.2f}",
}


def human(number: float, dimension: Dimension) -> str:
    """A number as people read it: `912m`, `2m30s`, `10m/s`, `93%`."""
    sign = "-" if number < 0 else ""
    return sign + _HUMAN[dimension](abs(number))


_FORMATS: Mapping[Dimension, Callable[[float], str]] = {
    Dimension.SIZE: lambda number: format_size(int(number)),
    Dimension.DURATION: format_duration,
    Dimension.RATE: lambda number: f"{format_size(int(number))}/s" if number else "0",
    Dimension.COUNT: format_number,
    Dimension.PERCENT: lambda number: f"{format_number(number)}%",
    Dimension.RATIO: format_number,
    Dimension.LOAD: format_number,
}


def exact(number: float, dimension: Dimension) -> str:
    """The text that reads back as the number."""
    sign = "-" if number < 0 else ""
    return sign + _FORMATS[dimension](abs(number))


_LEFT_OUT = {Dimension.SIZE: "b", Dimension.DURATION: "s", Dimension.RATE: "/s"}


def exact_with_unit(number: float, dimension: Dimension) -> str:
    """The same, with the unit also where it can be left out: 2253 bytes are `2253b`."""
    text = exact(number, dimension)
    return text + _LEFT_OUT.get(dimension, "") if _NUMBER.fullmatch(text.removeprefix("-")) else text
