"""What YAML says when it cannot read a file, in plain words and with the cure."""

from __future__ import annotations

import re
from typing import NamedTuple

from fallfromgrace.textfile import TAB

# The longest text that YAML takes for a key.
_LONGEST_KEY = 1024


class Spot(NamedTuple):
    """A place in a file; both count from 0."""

    line: int
    column: int


class _Cure(NamedTuple):
    """What to say for YAML's words; `at_start` is for faults that are where a text or a bracket began."""

    words: re.Pattern[str]
    at_start: bool
    text: str


def _cure(words: str, text: str, at_start: bool = False) -> _Cure:
    return _Cure(re.compile(words), at_start, text)


_GOES_ON = "this line goes on with the text above; indent it like the other keys, or end the line above with ':'"
_UNLIKE = "this line is indented unlike those it belongs to; indent it like the other keys"
# What wrong indentation leads to.
INDENTATION = frozenset({_GOES_ON, _UNLIKE})

# The first that fits is said.
_CURES = (
    _cure(r"escape", "in double quotes a '\\' starts an escape, and this is none; use single quotes"),
    _cure(r"quoted scalar", "this quote is never closed", at_start=True),
    _cure(r"expected ':'", "there is no ':' in this line; a line is NAME: TEXT", at_start=True),
    _cure(r"<stream end>", "the file ends inside brackets; if they belong to a text, put it in single quotes"),
    _cure(
        r"flow (sequence|mapping)",
        "this bracket is never closed; if it belongs to a text, put the whole text in single quotes",
        at_start=True,
    ),
    _cure(r"found '[\]}]'", "this bracket was never opened; if it belongs to a text, put the text in single quotes"),
    _cure(
        r"entries are not allowed",
        "a list starts on a line of its own; a text that starts with '-' needs single quotes",
    ),
    _cure(r"keys are not allowed", "a text cannot start with '? '; put the whole text in single quotes"),
    _cure(r"but found ':'", "there is no name before this ':'"),
    _cure(r"node content", "a text is missing here; one that starts with a sign such as ',' needs single quotes"),
)
_INDICATED = re.compile(
    r"cannot start any token|tag handle|incompatible|duplicate"
    r"|ing (?:a block scalar|an alias|an anchor|a tag|a directive)"
)
# In `!rmem > 1g` YAML trips over the second word, its user over the first.
_TAGGED = re.compile(r"(?:^|\s)([!&]\S*)\s+$")
_ENDED = re.compile(r"expected (?:<block end>|'<document start>')")


def explain(words: str, start: Spot, found: Spot, lines: tuple[str, ...]) -> tuple[Spot, str]:
    """Where the fault is and what to say, from where YAML began what it could not finish and where it gave up."""
    if "mapping values" in words:
        return _second_colon(found, lines[found.line])
    if _INDICATED.search(words) or ("expected ':'" in words and lines[start.line][start.column] in "!&*"):
        spot = found if "next token" in words else start
        before = _TAGGED.search(lines[spot.line][: spot.column])
        spot = Spot(spot.line, before.start(1)) if before else spot
        return spot, indicator(spot, lines)
    for cure in _CURES:
        if cure.words.search(words):
            return start if cure.at_start else found, cure.text
    return found, _misfit(words, found, lines[found.line])


def indicator(spot: Spot, lines: tuple[str, ...]) -> str:
    """For a text that starts with a character that YAML keeps to itself."""
    line = lines[spot.line]
    character = line[spot.column : spot.column + 1]
    first = not line[: spot.column].strip()
    if character == "\t":
        return TAB
    if first and character == ">":
        return "a trigger cannot start with '>'; write what is measured before it, such as rmem > 500m"
    if first and character == "!":
        return "a key cannot start with '!'; for the opposite of a condition write not"
    return f"a text cannot start with '{character}'; put the whole text in single quotes"


def escaped(character: str) -> str:
    """For an escape in double quotes that made a character no one can see."""
    if character == "\b":
        return "in double quotes \\b is a backspace; use single quotes"
    return "in double quotes this is an invisible character; use single quotes"


def _second_colon(found: Spot, line: str) -> tuple[Spot, str]:
    if found.column > _LONGEST_KEY:
        return found, f"the text before this ':' has more than {_LONGEST_KEY} characters; shorten it"
    if re.search(r":\s", line[: found.column]):
        return found, "a second ': ' in one line; put the whole text after the first one in single quotes"
    column = len(line) - len(line.lstrip())
    return Spot(found.line, column), _GOES_ON


def _misfit(words: str, found: Spot, line: str) -> str:
    if not _ENDED.search(words):
        return f"YAML cannot read this: {words.strip()}"
    if line[: found.column].strip():
        return "nothing can follow the closing quote or bracket; put the whole text in single quotes, a ' in it as ''"
    return _UNLIKE
