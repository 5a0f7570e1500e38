"""The command line: arguments in, exit status out. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fallfromgrace import __version__, exits
from fallfromgrace.exits import PROGRAM, UsageError
from fallfromgrace.orders import NO_STATE

DEFAULT_CONFIG = "/etc/fall-from-grace.conf"
DEFAULT_STATE = f"/run/{PROGRAM}/status.json"
COMMANDS = ("run", "check", "match")
# Options of one command only.
_BELONGS = {"strict": "check", "json": "match", "cmdline": "match"}
USAGE = f"""{PROGRAM} [OPTION]... [run]
       {PROGRAM} [OPTION]... -d
       {PROGRAM} [OPTION]... check [--strict] [FILE]...
       {PROGRAM} [OPTION]... match [--json] [NAME | --cmdline REGEX]"""
EPILOG = """\
commands:
  run                   watch processes and act on them; this is also done if no command is given
  check [FILE]...       say what is wrong with configuration files, and warn of what is probably not meant
  match [NAME]          show which running processes a monitor finds, or all monitors do, and what these hold

exit status:
  0 fine; 1 nothing matches, or with --strict there are warnings; 64 wrong command line;
  69 already running, or something is missing; 70 a fault of the program; 77 not permitted; 78 wrong configuration"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{PROGRAM} --help' shows what can be written")


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        usage=USAGE,
        description="Watch processes that you did not start, and act when they use too much.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    add = parser.add_argument_group("options, before or after the command").add_argument
    add("-c", "--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"the configuration ({DEFAULT_CONFIG})")
    add("-d", "--daemon", action="store_true", help="detach, write a pid file, log to syslog")
    add("-f", "--foreground", action="store_true", help="stay in the foreground, log on stderr; this is the default")
    add("-n", "--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("-p", "--pidfile", metavar="FILE", help="the pid file; in the foreground there is none without this")
    add("--state", metavar="FILE", help=f"where limits are kept over a restart, or none ({DEFAULT_STATE})")
    add("-t", "--test", action="store_true", help="check the configuration, silently if all is well")
    add("--strict", action="store_true", help="with check or -t: exit with 1 if there are warnings")
    add("--cmdline", metavar="REGEX", help="with match: look for this, whatever the configuration says")
    add("--json", action="store_true", help="with match: for programs to read")
    add("-v", "--verbose", action="store_true", help="log more")
    add("-h", "--help", action="store_true", help="show this, and exit")
    add("-V", "--version", action="store_true", help="show the version, and exit")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the exit status."""
    try:
        status = _obey(sys.argv[1:] if argv is None else argv)
        if sys.stdout:  # None if it was closed when we started
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain at its end
        return exits.OK
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where exceptions become exit statuses
        status, text = exits.explain(error)
        exits.complain(text)
    return status


def _obey(argv: Sequence[str]) -> int:
    parser = _parser()
    given = parser.parse_intermixed_args(argv)
    if given.help:
        print(parser.format_help(), end="")
    elif given.version:
        print(f"{PROGRAM} {__version__}")
    else:
        return _command(given)
    return exits.OK


def _command(given: argparse.Namespace) -> int:
    command, words = _words(given)
    if sys.flags.optimize > 1:
        raise UsageError("cannot run under 'python -OO' or PYTHONOPTIMIZE=2, which take the grammar away; use neither")
    return {"check": _check, "match": _match, "run": _run}[command](given, words)


def _words(given: argparse.Namespace) -> tuple[str, list[str]]:
    """The command and the files that follow it."""
    _refuse_contradictions(given)
    command, *words = given.words or ["check" if given.test else "run"]
    if command not in COMMANDS:
        if given.test:
            return "check", given.words
        raise UsageError(_unknown(command))
    if command == "run" and (words or given.test):
        raise UsageError(f"'run' does not go with '{words[0] if words else '-t'}'; write -c FILE for a configuration")
    _refuse_misplaced(given, command)
    if command == "match" and len(words) + bool(given.cmdline) > 1:
        raise UsageError("'match' takes one monitor's name, or --cmdline REGEX")
    return command, words


def _refuse_misplaced(given: argparse.Namespace, command: str) -> None:
    for option, belongs_to in _BELONGS.items():
        if command != belongs_to and getattr(given, option):
            raise UsageError(f"--{option} is for '{belongs_to}'; write it there, or leave it out")
    if command != "run" and given.daemon:
        raise UsageError(f"'{command}' starts nothing; write it without -d")


def _refuse_contradictions(given: argparse.Namespace) -> None:
    for option, path in (("-c", given.config), ("-p", given.pidfile), ("--state", given.state)):
        if path == "":
            raise UsageError(f"{option} needs the name of a file; write one behind it")
    if given.daemon and (given.foreground or given.test):
        other = "-f" if given.foreground else "-t"
        raise UsageError(f"-d and {other} contradict each other; write one of them")


def _unknown(word: str) -> str:
    from fallfromgrace.errors import did_you_mean

    if os.path.exists(word):
        return f"'{word}' is no command; write '-c {word}' to use that file, or 'check {word}' to check it"
    return f"'{word}' is no command; write one of {', '.join(COMMANDS)}{did_you_mean(word, COMMANDS)}"


def _check(given: argparse.Namespace, words: Sequence[str]) -> int:
    from pathlib import Path

    from fallfromgrace.commands import check

    return check.run([Path(word) for word in words or [given.config]], given.test, given.strict)


def _match(given: argparse.Namespace, words: Sequence[str]) -> int:
    from pathlib import Path

    from fallfromgrace.commands import match

    name = words[0] if words else None
    return match.run(match.Options(Path(given.config), name, given.cmdline, given.json))


def _run(given: argparse.Namespace, _: Sequence[str]) -> int:
    # First what is wrong with the arguments: finding out costs nothing.
    pidfile = given.pidfile or (_default_pidfile() if given.daemon else None)
    config, pidfile, state = _absolute(given.config), pidfile and _absolute(pidfile), _state(given.state)

    from fallfromgrace.commands import run

    options = run.Options(config, pidfile, state, given.daemon, given.dry_run, given.verbose)
    return run.run(options)


def _default_pidfile() -> str:
    directory = _runtime_directory()
    if not directory:
        raise UsageError("there is no XDG_RUNTIME_DIR for the pid file; write -p FILE with -d")
    return os.path.join(directory, f"{PROGRAM}.pid")


def _state(asked: str | None) -> str:
    if asked:
        return asked if asked == NO_STATE else _absolute(asked)
    directory = _runtime_directory()
    return os.path.join(directory, PROGRAM, "status.json") if directory else ""


def _runtime_directory() -> str:
    """Where what runs has its files; empty for a user without one."""
    return "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "")


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise UsageError(f"the current directory is gone; write '{path}' with its whole path") from None
