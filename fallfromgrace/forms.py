"""JSON and the values in it, read strictly: a form gives what a value means, or says where it is malformed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from math import inf, isfinite
from typing import Any, NoReturn, TypeVar

_T = TypeVar("_T")

Form = Callable[[object], _T]


class Malformed(Exception):
    """A value that is not what it should be: where it stands, and what is wrong with it."""


def encoded(value: object) -> bytes:
    """The value as JSON, in one line of ASCII."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def plain(value: Any) -> Any:
    """As JSON has it, by the names of fields where there are any. Texts from others may hold bytes that are no text."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def decoded(data: bytes) -> object:
    """The value that JSON says, such as we write it; everything else is malformed, whatever it does to a parser."""
    try:
        return _DECODER.decode(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON as it is written here: {str(error)[:100]}") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name that is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError("a number that is too long")
    return int(digits)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


# Reading a number takes a time that is quadratic in its length.
_LONGEST_NUMBER = 20
_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole, parse_constant=_refuse)


def fields(forms: Mapping[str, Form[Any]]) -> Form[dict[str, Any]]:
    """An object with exactly these."""

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict) or value.keys() != forms.keys():
            raise Malformed(f"no object with {', '.join(forms)}")
        return {name: _at(name, form, value[name]) for name, form in forms.items()}

    return read


def each(form: Form[_T]) -> Form[tuple[_T, ...]]:
    """A list of such."""

    def read(value: object) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise Malformed(f"{shown(value)} is no list")
        return tuple(_at(str(place), form, one) for place, one in enumerate(value))

    return read


def row(*forms: Form[Any]) -> Form[tuple[Any, ...]]:
    """A list of exactly these."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(forms):
            raise Malformed(f"{shown(value)} is no list of {len(forms)}")
        return tuple(form(one) for form, one in zip(forms, value, strict=True))

    return read


def maybe(form: Form[_T]) -> Form[_T | None]:
    """Such, or nothing."""
    return lambda value: None if value is None else form(value)


def number(least: int, most: int) -> Form[int]:
    """A whole one."""

    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Malformed(f"{shown(value)} is no number from {least} to {most}")
        return value

    return read


def seconds(most: float = inf) -> Form[float]:
    """A time, not after `most`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
            raise Malformed(f"{shown(value)} is no time")
        if value > most:
            raise Malformed(f"{shown(value)} is yet to come")
        return value

    return read


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise Malformed(f"{shown(value)} is no text")
    return value


def flag(value: object) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise Malformed(f"{shown(value)} is neither true nor false")
    return value


def shown(value: object) -> str:
    """As much of a value as a line has room for."""
    return "this" if isinstance(value, (dict, list)) else repr(value)[:60]


def _at(place: str, form: Form[_T], value: object) -> _T:
    try:
        return form(value)
    except Malformed as error:
        raise Malformed(f"{place}: {error}") from None
