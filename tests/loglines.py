"""The daemon's log read back: a line is one event, `key=value` pairs with single blanks between them.

A key is lower-case letters. A value is bare if it has only letters, digits and `_./:@%+-` and is not empty. Any other
stands in double quotes; in these a backslash begins what stands for one character: `\\"` and `\\\\` for the two that
mean something, `\\n`, `\\t` and `\\r`, and of what cannot be shown `\\uNNNN` or `\\UNNNNNNNN` for a character and
`\\xNN` for a byte, which from 80 on belongs to no text. A value that ends with `...` may have been cut.
"""

from __future__ import annotations

import re

_CODES = r"x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}"
_VALUE = rf'[A-Za-z0-9_./:@%+-]+|"(?:[^"\\]|\\(?:["\\ntr]|{_CODES}))*"'
_PAIR = re.compile(rf"(?P<key>[a-z]+)=(?P<value>{_VALUE})")
_LINE = re.compile(rf"{_PAIR.pattern}(?: [a-z]+=(?:{_VALUE}))*")
_ESCAPE = re.compile(rf"\\(?:(?P<plain>[\"\\ntr])|(?P<code>{_CODES}))")
_PLAIN = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
# What stands in front of an event: the date on stderr, the priority for the journal, both and more to syslog.
_HEAD = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) |<\d+>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d fall-from-grace\[\d+\]: )?"
)


def parse(event: str) -> dict[str, str]:
    """The values of an event by their keys, in order; ValueError for what is none."""
    if not _LINE.fullmatch(event):
        raise ValueError(f"this is no event: {event}")
    pairs = [(pair["key"], _value(pair["value"])) for pair in _PAIR.finditer(event)]
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key stands twice: {event}")
    return found


def _value(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text[1:-1]) if text.startswith('"') else text


def _unescaped(escape: re.Match[str]) -> str:
    if escape["plain"]:
        return _PLAIN[escape["plain"]]
    code = int(escape["code"][1:], 16)
    # A byte that is no text is what Python has for one.
    return chr(code + 0xDC00 if escape["code"].startswith("x") and code > 0x7F else code)


def event(line: str) -> dict[str, str] | None:
    """What a whole line says, as it is on stderr or as syslog gets it; None where it is prose, such as `ended`."""
    head = _HEAD.match(line)
    text = line[head.end() :] if head else line
    return parse(text) if _PAIR.match(text) else None


def date(line: str) -> str:
    """When a line on stderr was written."""
    head = _HEAD.match(line)
    if not head or not head["date"]:
        raise ValueError(f"there is no date in front: {line}")
    return head["date"]
