"""The text of a configuration file, read without trusting it, with every character reported that must not be there."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.records import dataclass

LARGEST = 1 << 20
# A longer line is not shown with what is wrong in it; there may be thousands of faults in it.
LONGEST_SHOWN = 500
_EMPTY = "the file is empty; write a monitor, or a comment if there is to be none"
TAB = "this is a tab; write spaces"

# What YAML refuses, what it takes for the end of a line, and what no one would see. (A class of all others would take
# Python 5 ms to compile.)
_HIDDEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\ud800-\udc7f\udd00-\udfff\ufeff\ufffe\uffff"
# A byte that is not UTF-8 is decoded to one of these, its value in the last two digits.
_UNDECODED = r"\udc80-\udcff"

INVISIBLE = re.compile(f"[{_HIDDEN}{_UNDECODED}]")
_COMMENT = re.compile(r"(?:^|\s)#")
_BAD_BYTE = re.compile(f"[{_UNDECODED}]")
_BAD_CHARACTER = re.compile(f"[{_HIDDEN}]")
# Lines named after the first one with the same fault.
_MOST_LINES = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: `width` characters of the line `source`."""

    path: str
    line: int
    column: int
    source: str
    width: int = 1

    def problem(self, text: str) -> Problem:
        return Problem(self.path, self.line, self.column, text, self.source, self.width)

    def seen_from(self, other: Place) -> str:
        """This place in a message about another one."""
        return f"line {self.line}" if self.path == other.path else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class TextFile:
    """The lines as written, and the same with a blank for each character that YAML must not see."""

    path: str
    written: tuple[str, ...]
    lines: tuple[str, ...]
    problems: tuple[Problem, ...]

    def place(self, line: int, column: int, width: int = 1) -> Place:
        """The place at a line and column that count from 0."""
        source = self.written[line] if line < len(self.written) else ""
        return Place(self.path, line + 1, column + 1, source if len(source) <= LONGEST_SHOWN else "", width)


def parse(path: str, data: bytes) -> TextFile:
    """The text of a file. Raises ConfigError where there is no text to work with."""
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if not _BAD_CHARACTER.sub("", text).strip():
        raise ConfigError([Problem(path, 0, 0, _EMPTY)])
    written = tuple(text.split("\n"))
    file = TextFile(path, written, tuple(map(_cleaned, written)), ())
    return TextFile(path, written, file.lines, tuple(_problems(file)))


# --- characters -------------------------------------------------------------------------------------------------


def _cleaned(line: str) -> str:
    end = _code_end(line)
    return INVISIBLE.sub(" ", line[:end].replace("\t", " ") + line[end:])


def _code_end(line: str) -> int:
    """Where a comment seems to start; one inside quotes is looked at again when YAML has read it."""
    comment = _COMMENT.search(line)
    return comment.end() if comment else len(line)


def _problems(file: TextFile) -> Iterator[Problem]:
    lines = file.written
    yield from _first(file, _position(_BAD_BYTE), "the byte 0x{byte} is not UTF-8; save the file as UTF-8")
    yield from _first(file, lambda line: line.find("\t", 0, _code_end(line)), TAB)
    yield from _first(file, _position(_BAD_CHARACTER), "the invisible character U+{code} has no place here; remove it")
    if lines[-1]:
        text = "the last line has no end, so the file may be half written; end it with a newline"
        yield file.place(len(lines) - 1, len(lines[-1])).problem(text)


def _position(pattern: re.Pattern[str]) -> Callable[[str], int]:
    def position(line: str) -> int:
        match = pattern.search(line)
        return match.start() if match else -1

    return position


def _first(file: TextFile, position: Callable[[str], int], text: str) -> Iterator[Problem]:
    """One problem for all lines with the same fault: a file full of tabs is one mistake."""
    spots = [(number, column) for number, line in enumerate(file.written) if (column := position(line)) >= 0]
    if not spots:
        return
    line, column = spots[0]
    more = ", ".join(str(number + 1) for number, _ in spots[1 : _MOST_LINES + 1])
    more += ", ..." if len(spots) > _MOST_LINES + 1 else ""
    code = f"{ord(file.written[line][column]):04X}"
    yield file.place(line, column).problem(
        text.format(code=code, byte=code[-2:]) + (f" (also in line {more})" if more else "")
    )
