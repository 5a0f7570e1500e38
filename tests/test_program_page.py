"""The manual page of the program says what is so: it has every command, option and exit status, and no others."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fallfromgrace import arguments, casting, cli, dispatch, exits, scenario
from tests import test_manual
from tests.test_manual import Block, Prose, plain, read, runs

PAGE = Path(__file__).parent.parent / "man" / "fall-from-grace.8"
TEXT = PAGE.read_text()
PARTS = list(read(TEXT))
PROSE = [part for part in PARTS if isinstance(part, Prose)]
COMMANDS_SHOWN = [line for part in PARTS if isinstance(part, Block) for line in part.lines]
OPTIONS = {**dispatch.LANGUAGE.options, **dispatch.LANGUAGE.always}


def tags(section):
    return [part for part in PROSE if part.tag and part.section == section]


def lines_of(section):
    """The lines below a heading without macros, as a reader sees them."""
    body = TEXT.split(f"\n.SH {section}\n")[1].split("\n.SH ")[0]
    return [plain(line.replace("\\ ", " ")) for line in body.splitlines() if not line.startswith(".")]


def headings(section):
    body = TEXT.split(f"\n.SH {section}\n")[1].split("\n.SH ")[0]
    return [plain(found) for found in re.findall(r"^\.SS (.*)$", body, re.M)]


# --- what is on the page is so, and what is so is on the page ---


def test_it_has_the_sections_of_a_program_in_their_usual_order():
    assert re.findall(r"^\.SH (.*)$", TEXT, re.M) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "TESTS", "LOG", "SIGNALS", "ENVIRONMENT", "FILES",
        "EXIT STATUS", "EXAMPLES", "SEE ALSO", "BUGS",
    ]  # fmt: skip


def test_the_synopsis_is_the_usage_of_each_command():
    assert lines_of("SYNOPSIS") == [dispatch.LANGUAGE.usage(command) for command in cli.COMMANDS.values()]


def test_every_command_is_explained_with_the_words_that_it_takes():
    assert headings("COMMANDS") == [command.named for command in cli.COMMANDS.values()]


def test_every_option_is_explained_with_its_value():
    told = [plain(tag.text) for tag in tags("OPTIONS")]
    assert told == [f"{', '.join(each.flags)} {each.value}".rstrip() for each in OPTIONS.values()]


def test_every_exit_status_is_explained():
    statuses = {exits.OK, exits.NO, exits.USAGE, exits.UNAVAILABLE, exits.SOFTWARE, exits.NOPERM, exits.CONFIG}
    assert [int(plain(tag.text)) for tag in tags("EXIT STATUS")] == sorted({*statuses, exits.INTERRUPTED})


def test_every_variable_of_the_environment_that_is_read_is_explained():
    sources = [path.read_text() for path in Path(cli.__file__).parent.rglob("*.py")]
    read_here = {name for text in sources for name in re.findall(r'environ(?:\.get\(|\[)"(\w+)"', text)}
    named = {name for tag in tags("ENVIRONMENT") for name in plain(tag.text).split(", ")}
    assert named == read_here - {"PATH"}


@pytest.mark.parametrize(
    "usual",
    [arguments.DEFAULT_CONFIG, arguments.DEFAULT_STATE, "2s", "0.5s", "1s", "0.1s", "64m", "64k"],
)
def test_what_is_taken_for_what_is_not_given_is_told(usual):
    assert usual in " ".join(lines_of("OPTIONS"))


def test_those_defaults_are_so():
    assert (dispatch._USUAL_TOP, dispatch._OFTENEST_TOP) == (2.0, 0.5)
    assert (dispatch._USUAL_RECORD, dispatch._OFTENEST_RECORD) == (1.0, 0.1)
    assert (dispatch._USUAL_RECORDING, dispatch._SMALLEST_RECORDING) == (64 << 20, 64 << 10)


def test_every_option_that_is_named_exists_and_every_command():
    flags = {flag for option in OPTIONS.values() for flag in option.flags}
    bold = {word for part in PROSE for shown in part.bold for word in shown.split()}
    assert {word for word in bold if word.startswith("-")} <= flags
    assert set(re.findall(r"\\fB([a-z]+)\\fR: ", TEXT)) <= set(cli.COMMANDS)


def test_every_key_of_a_test_is_explained():
    body = TEXT.split("\n.SH TESTS\n")[1].split("\n.SH ")[0]
    bold = {plain(shown) for shown in re.findall(r"\\fB(.*?)\\fR", body)}
    assert {plain(tag.text) for tag in tags("TESTS")} == scenario.KEYS.keys()
    assert {*scenario.KEYS, *casting.KEYS} <= bold


@pytest.mark.parametrize("line", COMMANDS_SHOWN)
def test_every_command_that_is_shown_can_be_written(line):
    program, *words = shlex.split(line)
    assert program == "fall-from-grace"
    given = dispatch.LANGUAGE.parse(words)
    command, _ = cli._asked(given)
    for option, measure in (("every", arguments.seconds), ("for", arguments.seconds), ("size", arguments.size)):
        measure(given, option, 1)
    assert command.name in cli.COMMANDS


def test_commands_are_shown():
    assert len(COMMANDS_SHOWN) > 8


# --- how it looks ---


def test_man_has_nothing_to_complain_about():
    assert runs("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(PAGE))[1] == ""


def test_mandoc_has_nothing_to_complain_about():
    assert runs("mandoc", "-T", "lint", str(PAGE)) == ("", "")


def test_it_fits_into_a_terminal_and_what_is_to_be_typed_is_shown_as_it_is_tested_here(monkeypatch):
    monkeypatch.setattr(test_manual, "PAGE", PAGE)
    lines = test_manual.rendered()
    assert [line for line in lines if len(line) > 80 or line.endswith("\N{HYPHEN}")] == []
    shown = {line.strip() for line in lines}
    assert [line for line in COMMANDS_SHOWN if line not in shown] == []
