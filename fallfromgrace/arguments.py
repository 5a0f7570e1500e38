"""What commands and options look like on a command line: help made of their tables, and what does not go together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, TypeVar

from fallfromgrace.exits import PROGRAM, UsageError

# What was given, by the long names of the options; the words that are none are under WORDS.
Given = Mapping[str, Any]
WORDS = "words"
FILE = "FILE"
DEFAULT_CONFIG = f"/etc/{PROGRAM}.conf"
DEFAULT_STATE = f"/run/{PROGRAM}/status.json"
# What is done where no command is written.
USUAL = "run"
Number = TypeVar("Number", int, float)


class Option(NamedTuple):
    """`value` is the word for its value in the help, FILE for the name of a file, empty if it has none."""

    name: str
    help: str
    value: str = ""
    short: str = ""

    @property
    def flags(self) -> list[str]:
        """All that can be written for it, the shortest first."""
        return [self.short, f"--{self.name}"] if self.short else [f"--{self.name}"]

    @property
    def usage(self) -> str:
        """As it stands in a usage line."""
        return f"[{self.flags[0]} {self.value}]" if self.value else f"[{self.flags[0]}]"


class Command(NamedTuple):
    """`words` is what follows it, as it stands in a usage line; `passed_over` are options that it bears and ignores.

    `meant` has the help of options that mean something else here than elsewhere.
    """

    name: str
    words: str
    help: str
    run: Callable[[Given, list[str]], int]
    options: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    meant: Mapping[str, str] = MappingProxyType({})

    @property
    def fewest(self) -> int:
        """How many words it needs."""
        return int(bool(self.words) and not self.words.startswith("["))

    @property
    def most(self) -> int | None:
        """How many it takes."""
        return None if self.words.endswith("...") else int(bool(self.words))

    @property
    def named(self) -> str:
        """The command as it is shown in a list of all."""
        return f"{self.name} {self.words}".rstrip()


class Language:
    """All commands and options of a program, in the order in which they are shown."""

    def __init__(self, commands: Sequence[Command], options: Sequence[Option], always: Sequence[Option]) -> None:
        self.commands = {command.name: command for command in commands}
        self.options = {option.name: option for option in options}
        self.always = {option.name: option for option in always}

    def parse(self, argv: Sequence[str]) -> Given:
        """What stands in a command line, options before and after the words; a UsageError is told."""
        return vars(self.parser().parse_intermixed_args(argv))

    def parser(self, command: Command | None = None, **texts: Any) -> argparse.ArgumentParser:
        """One for a command, or for everything; the texts are those of its help."""
        shape = argparse.RawDescriptionHelpFormatter
        parser = _Parser(prog=PROGRAM, add_help=False, allow_abbrev=False, formatter_class=shape, **texts)
        parser.add_argument(WORDS, nargs="*", help=argparse.SUPPRESS)
        group = parser.add_argument_group("options" if command else "options, before or after the command")
        mine = [each for each in self.options.values() if command is None or each.name in command.options]
        for option in (*mine, *self.always.values()):
            told = command.meant.get(option.name, option.help) if command else self._whose(option) + option.help
            kind: dict[str, Any] = {"metavar": option.value} if option.value else {"action": "store_true"}
            group.add_argument(*option.flags, dest=option.name, help=told, **kind)
        return parser

    def usage(self, command: Command) -> str:
        """The command with all that it takes."""
        options = [each.usage for each in self.options.values() if each.name in command.options]
        name = f"[{USUAL}]" if command.name == USUAL else command.name
        return " ".join(filter(None, [PROGRAM, name, *options, command.words]))

    def refuse_misplaced(self, command: Command, given: Given) -> None:
        """A UsageError for an option that is another command's, and for one that needs a file and has none."""
        for name, option in self.options.items():
            if given[name] == "" and option.value.startswith(FILE):
                raise UsageError(f"{option.flags[0]} needs the name of a file; write one behind it")
            if given[name] not in (None, False) and name not in command.options + command.passed_over:
                whose = _listed(self._owners(name))
                raise UsageError(f"{option.flags[0]} is for {whose}; write it there, or leave it out")

    def refuse_words(self, command: Command, words: Sequence[str]) -> None:
        """A UsageError for too many or too few."""
        if len(words) < command.fewest:
            raise UsageError(f"'{command.name}' needs {_article(command.words)}; write '{self.usage(command)}'")
        if command.most is not None and len(words) > command.most:
            extra = words[command.most]
            raise UsageError(f"'{command.name}' does not go with '{extra}'; write '{self.usage(command)}'")
        if "" in words and FILE in command.words:
            raise UsageError(f"'{command.name}' needs the name of a file; what is given is empty")

    def _owners(self, name: str) -> list[str]:
        return [command.name for command in self.commands.values() if name in command.options]

    def _whose(self, option: Option) -> str:
        # What has a letter is used without a command, too.
        names = self._owners(option.name)
        return "" if option.short or USUAL in names else f"with {', '.join(names)}: "


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{PROGRAM} --help' shows what can be written")


def _listed(names: Sequence[str]) -> str:
    *most, last = [f"'{name}'" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _article(words: str) -> str:
    return f"a {words.split()[0].rstrip('.')}"


def seconds(given: Given, option: str, least: float) -> float | None:
    """A time, at least so long, or None where it is not given; a UsageError says what is wrong with it."""
    from fallfromgrace.units import format_duration, parse_duration

    return _measured(given, option, parse_duration, least, f"is too short; write {format_duration(least)} or more")


def size(given: Given, option: str, least: int) -> int | None:
    """A size in bytes, likewise."""
    from fallfromgrace.units import format_size, parse_size

    return _measured(given, option, parse_size, least, f"is too small; write {format_size(least)} or more")


def _measured(
    given: Given, option: str, parse: Callable[[str], Number], least: Number, too_little: str
) -> Number | None:
    text = given[option]
    if text is None:
        return None
    try:
        measured = parse(text)
    except ValueError as error:
        raise UsageError(f"--{option}: {error}") from None
    if measured < least:
        raise UsageError(f"--{option}: '{text}' {too_little}")
    return measured
