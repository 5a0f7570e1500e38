"""The command line: arguments in, exit status out. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from fallfromgrace import __version__, exits
from fallfromgrace.arguments import WORDS, Command, Given
from fallfromgrace.dispatch import LANGUAGE
from fallfromgrace.exits import PROGRAM, UsageError

COMMANDS = LANGUAGE.commands
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_PURPOSE = "Watch processes that you did not start, and act when they use too much."
_STATUSES = """\
exit status:
  0 fine; 1 the answer is no: warnings with --strict, nothing matches, no
  monitor is about the process, a test differs, nothing would have been done;
  64 wrong command line; 69 already running, or there is no daemon to ask, or
  something is missing; 70 a fault of the program; 77 not permitted; 78 wrong
  configuration"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the exit status."""
    try:
        status = _obey(sys.argv[1:] if argv is None else argv)
        if sys.stdout:  # None if it was closed when we started
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        _let_go_of_output()
        return exits.OK
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where exceptions become exit statuses
        status, text = exits.explain(_named(error))
        exits.complain(text)
    return status


def _let_go_of_output() -> None:
    """What could not be written is not tried again: Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _named(error: Exception) -> Exception:
    """An error, or if that is one of writing to a full disk or the like, of no file that we have opened, in words."""
    if not isinstance(error, OSError) or error.filename is not None or error.errno not in _NO_ROOM:
        return error
    _let_go_of_output()
    return exits.Failure(f"cannot write the output: {error.strerror}")


def _obey(argv: Sequence[str]) -> int:
    given = LANGUAGE.parse(argv)
    if given["help"]:
        named = COMMANDS.get(given[WORDS][0]) if given[WORDS] else None
        print((_parser_of(named) if named else _parser()).format_help(), end="")
    elif given["version"]:
        print(f"{PROGRAM} {__version__}")
    else:
        return _command(given)
    return exits.OK


def _parser() -> argparse.ArgumentParser:
    width = max(len(command.named) for command in COMMANDS.values())
    told = "\n".join(f"  {command.named:{width}}  {command.help}" for command in COMMANDS.values())
    return LANGUAGE.parser(
        usage=f"{PROGRAM} [OPTION]... [COMMAND [WORD]...]",
        description=f"{_PURPOSE}\n\ncommands; '{PROGRAM} COMMAND --help' has the options of each:\n{told}",
        epilog=_STATUSES,
    )


def _parser_of(command: Command) -> argparse.ArgumentParser:
    told = f"{command.help[:1].upper()}{command.help[1:]}."
    return LANGUAGE.parser(command, usage=LANGUAGE.usage(command), description=told)


def _command(given: Given) -> int:
    command, words = _asked(given)
    if sys.flags.optimize > 1:
        raise UsageError("cannot run under 'python -OO' or PYTHONOPTIMIZE=2, which take the grammar away; use neither")
    return command.run(given, words)


def _asked(given: Given) -> tuple[Command, list[str]]:
    """The command and the words that follow it, which go together with each other and with the options."""
    _refuse_contradictions(given)
    name, *words = given[WORDS] or ["check" if given["test"] else "run"]
    if name not in COMMANDS:
        if not given["test"]:
            raise UsageError(_unknown(name))
        name, words = "check", given[WORDS]
    if name == "run" and (words or given["test"]):
        raise UsageError(f"'run' does not go with '{words[0] if words else '-t'}'; write -c FILE for a configuration")
    if name != "run" and given["daemon"]:
        raise UsageError(f"'{name}' starts nothing; write it without -d")
    LANGUAGE.refuse_misplaced(COMMANDS[name], given)
    LANGUAGE.refuse_words(COMMANDS[name], words)
    return COMMANDS[name], words


def _refuse_contradictions(given: Given) -> None:
    ways = [option for name, option in {"daemon": "-d", "foreground": "-f", "test": "-t"}.items() if given[name]]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} contradict each other; write one of them")


def _unknown(word: str) -> str:
    from fallfromgrace.errors import did_you_mean

    if os.path.exists(word):
        return f"'{word}' is no command; write '-c {word}' to use that file, or 'check {word}' to check it"
    return f"'{word}' is no command; write one of {', '.join(COMMANDS)}{did_you_mean(word, COMMANDS)}"
