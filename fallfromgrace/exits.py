"""Exit statuses, and what to tell the user about an exception that ends the program.

The numbers are those of sysexits.h. A daemon that cannot start never exits 1: init scripts take that for "it runs".
"""

from __future__ import annotations

import os
import sys

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
    """Say something on stderr, if there is anybody to hear it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        # What is kept back would be tried again at the end, and the failure change our exit status.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for good


def trace(error: BaseException) -> str:
    """Where an error came from, in lines. It never fails: it may be for want of descriptors that there is an error."""
    try:
        import traceback  # 0.4 MB, which one that runs well need not have

        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001 - whatever else is wrong by now
        return _short_trace(error)


def _short_trace(error: BaseException) -> str:
    """The same with nothing but what is there already."""
    lines, at = [], error.__traceback__
    while at:
        code = at.tb_frame.f_code
        lines.append(f"  {code.co_filename}, line {at.tb_lineno}, in {code.co_name}\n")
        at = at.tb_next
    return "".join([*lines, f"{type(error).__name__}: {error}\n"])


def _report(error: BaseException) -> str:
    versions = f"{PROGRAM} {__version__}, Python {sys.version.split()[0]}, {' '.join(os.uname()[0::2])}"
    return f"{trace(error)}{PROGRAM}: this is a fault of the program; please report it with these lines ({versions})"
