"""What may be written to a terminal: how wide a line, and whether in colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TextIO

from fallfromgrace import exits
from fallfromgrace.logs import one_line

# What a terminal that does not know its size is taken for.
_USUAL_WIDTH = 80
_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}


def width(stream: TextIO | None = None) -> int | None:
    """The columns of a terminal, None for a pipe or a file, where lines may have any length; of stdout if not given."""
    stream = sys.stdout if stream is None else stream
    try:
        return (os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH) if stream.isatty() else None
    except (AttributeError, OSError, ValueError):  # closed when we started, or since; or it is no file at all
        return None


def moves(stream: TextIO | None = None) -> bool:
    """Whether it is a terminal that can do more than show line after line."""
    return width(stream) is not None and os.environ.get("TERM", "dumb") not in ("", "dumb")


def colourful(stream: TextIO | None = None) -> bool:
    """Whether it is a terminal with colours, and nobody asked for none; see no-color.org."""
    return moves(stream) and not os.environ.get("NO_COLOR")


def encoding() -> str:
    """That of stdout; where that was closed when we started, whatever is written is written to nobody."""
    return getattr(sys.stdout, "encoding", None) or "ascii"


def tell(text: str) -> None:
    """A text on stderr, in one line with nothing in it but what can be shown."""
    exits.complain(one_line(text))


def showable(text: str) -> str:
    """A text in which what stdout cannot take is escaped."""
    return text.encode(encoding(), errors="backslashreplace").decode(encoding())


def paint(text: str, *styles: str, on: bool) -> str:
    """A text in `bold`, `dim`, `red`, `yellow` or `green`; as it is where colours are not `on`."""
    if not on or not styles or not text:
        return text
    return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[0m"


def columns(text: str) -> int:
    """How many columns a printable text takes: some characters take two, some none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    import unicodedata  # 1 MB that most texts do without

    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, room: int | None) -> str:
    """As much of a text as fits into so many columns; all of it for None."""
    if room is None or columns(text) <= room:
        return text
    return text[:room] if text.isascii() else "".join(_fitting(text, room))


def shortened(text: str, room: int) -> str:
    """As much of a text as there is room for, and dots for the rest."""
    if columns(text) <= room:
        return text
    dots = "..."[: max(0, min(3, room - 1))]
    return cut(text, room - len(dots)) + dots


def placed(text: str, width: int, *, right: bool = False) -> str:
    """A text with blanks behind it that takes so many columns, or to the right, with blanks before it."""
    blank = " " * (width - columns(text))
    return blank + text if right else text + blank


def _fitting(text: str, room: int) -> Iterator[str]:
    for character in text:
        room -= _columns_of(character)
        if room < 0:
            return
        yield character
