"""Exit statuses, and what to tell the user about an exception that ends the program.

The numbers are those of sysexits.h. A daemon that cannot start never exits 1: init scripts take that for "it runs".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from fallfromgrace import __version__

OK = 0
NO = 1  # the answer is no: nothing matched, or with --strict there were warnings
USAGE = 64  # the command line is wrong
UNAVAILABLE = 69  # already running, or something that we need is not there
SOFTWARE = 70  # a fault of ours
NOPERM = 77
CONFIG = 78
INTERRUPTED = 130  # by Ctrl-C, as a shell would say it

PROGRAM = "fall-from-grace"

_MOST_FRAMES = 40


class Failure(Exception):
    """An end with a message that says all the user needs; each kind has its exit status."""

    status = UNAVAILABLE


class UsageError(Failure):
    """A command line that cannot be carried out; the message says what to write instead."""

    status = USAGE


class NotPermitted(Failure):
    """Something that the user who started us may not do."""

    status = NOPERM


class Fault(Failure):
    """A fault of ours; the message is all that there is to report."""

    status = SOFTWARE


def explain(error: BaseException) -> tuple[int, str]:
    """The exit status for an exception, and the lines for stderr."""
    from fallfromgrace.errors import ConfigError  # what ends well does not need it

    if isinstance(error, Fault):
        return error.status, str(error)
    if isinstance(error, Failure):
        return error.status, f"{PROGRAM}: {error}"
    if isinstance(error, ConfigError):
        return CONFIG, str(error)
    if isinstance(error, ModuleNotFoundError) and _foreign(error.name):
        return UNAVAILABLE, f"{PROGRAM}: the Python module '{error.name}' is missing; install it for this Python"
    return SOFTWARE, _report(error)


def _foreign(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] != "fallfromgrace"


def complain(text: str) -> None:
    """Say something on stderr, if there is anybody to hear it. What is in it may come from somebody else's file."""
    try:
        print("".join(map(_harmless, text)), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        # What is kept back would be tried again at the end, and the failure change our exit status.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for good


def _harmless(character: str) -> str:
    """What a terminal may be sent: no escape sequence, nothing that turns the text around."""
    if character.isprintable() or character in "\n\t" or "\udc80" <= character <= "\udcff":
        return character  # a byte that is no text is escaped by the stream
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def trace(error: BaseException) -> str:
    """Where an error came from, in lines, the first cause first.

    Made of what is loaded: `traceback` takes 0.4 MB, and by now its file may be that of another version, or cannot be
    opened for the very reason that there is an error.
    """
    try:
        return "".join(_trace(error))
    except Exception:  # noqa: BLE001 - whatever else is wrong by now
        return f"{type(error).__name__}\n"


def _trace(error: BaseException) -> Iterator[str]:
    chain = [error]
    while (before := _before(chain[-1])) and before not in chain:
        chain.append(before)
    for each in reversed(chain):
        yield "Traceback (most recent call last):\n"
        yield from _shortened(list(_frames(each)))
        yield f"{type(each).__name__}: {each}\n"


def _before(error: BaseException) -> BaseException | None:
    """What an error was caused by, or came while it was handled."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(error: BaseException) -> Iterator[str]:
    at = error.__traceback__
    while at:
        code = at.tb_frame.f_code
        yield f"  {code.co_filename}, line {at.tb_lineno}, in {code.co_name}\n"
        at = at.tb_next


def _shortened(lines: list[str]) -> list[str]:
    """A recursion that did not end has a thousand of them."""
    return lines if len(lines) <= _MOST_FRAMES else [*lines[:5], "  ...\n", *lines[5 - _MOST_FRAMES :]]


def _report(error: BaseException) -> str:
    versions = f"{PROGRAM} {__version__}, Python {sys.version.split()[0]}, {' '.join(os.uname()[0::2])}"
    return f"{trace(error)}{PROGRAM}: this is a fault of the program; please report it with these lines ({versions})"
