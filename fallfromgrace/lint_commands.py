"""Commands of `exec` whose program is not there.

Of what a shell may do only the plainest is understood: where it is not certain that a word is run, nothing is said.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

# What commands find programs by wherever we are started; our own PATH may be the more, or the less.
_USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where commands run.
_DIRECTORY = "/"

_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t] | \\\n | \#[^\n]* )
  | (?P<redirection> \d* (?: >> | >\| | >& | <& | <> | >(?!\() | <(?![<(]) ) )
  | (?P<operator> && | \|\| | ;(?!;) | & | \| | \n | \( | \) )
  | (?P<word> (?: [^\s;&|<>()'"\\`$] | \\. | '[^']*' | "(?: [^"\\`$] | \\. | \$(?![({]) )*" | \$(?![({]) )+
      (?= [\s;&|<>()] | \Z ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_PLAIN = re.compile(r"[\w./+:@%,=-]+")
# After these a word is a command, or means another program than before; or nothing is run any more.
_LAST = re.compile(
    r"!|\{|\}|\[\[|case|coproc|do|done|elif|else|esac|fi|for|function|if|in|select|then|time|until|while"
    r"|\.|alias|break|builtin|cd|chdir|command|continue|declare|enable|eval|exec|exit|export|hash|local|popd|pushd"
    r"|readonly|return|set|shopt|source|trap|typeset|unalias|unset|PATH=.*",
    re.DOTALL,
)
_BUILTIN = re.compile(
    r":|\[|bg|bind|caller|compgen|complete|compopt|dirs|disown|echo|false|fc|fg|getopts|help|history|jobs|kill|let"
    r"|logout|mapfile|printf|pwd|read|readarray|shift|suspend|test|times|true|type|ulimit|umask|wait"
)


def missing(command: str) -> Iterator[tuple[int, int, str]]:
    """From where to where in a command a program stands that cannot be run, with what is wrong and what to write."""
    for start, end in _programs(command):
        text = _fault(command[start:end])
        if text:
            yield start, end, text


class _Simple(NamedTuple):
    """A command between two operators: where its words are, what ends it, and what comes behind."""

    words: list[tuple[int, int]]
    ended: str
    rest: str


def _simple(command: str) -> Iterator[_Simple]:
    """The commands of a text, up to where it is not understood."""
    words: list[tuple[int, int]] = []
    at, redirected = 0, False
    while token := _TOKEN.match(command, at):
        at = token.end()
        if token["operator"]:
            yield _Simple(words, token[0], command[at:])
            words = []
        elif token["word"] and not redirected:
            words.append(token.span())
        redirected = bool(token["redirection"] or (token["blank"] and redirected))
    yield _Simple(words, "", command[at:])


def _programs(command: str) -> Iterator[tuple[int, int]]:
    """Where the words are that are certainly run as programs."""
    for words, ended, rest in _simple(command):
        named = [command[slice(*span)] for span in words]
        assigned = sum(1 for _ in takewhile(_ASSIGNMENT.match, named))
        if ended in ("(", ")", "||") or any(map(_LAST.fullmatch, named[: assigned + 1])):
            return
        if "||" in rest and ended in ("&&", ""):  # something else may be run where there is no such program
            return
        if any(map(_is_name, named[assigned : assigned + 1])):
            yield words[assigned]
        if ended == "&&":
            return


def _is_name(word: str) -> bool:
    return bool(_PLAIN.fullmatch(word)) and not _BUILTIN.fullmatch(word)


def _fault(word: str) -> str:
    if "/" in word:
        return _fault_of_path(word)
    directories = f"{os.environ.get('PATH', os.defpath)}:{_USUAL_PATH}".split(":")
    if any(_there(os.path.join(_DIRECTORY, directory, word)) for directory in directories):
        return ""
    return f"there is no program '{word}'; correct its name, install it, or write its whole path"


def _fault_of_path(word: str) -> str:
    path = os.path.join(_DIRECTORY, word)
    if not _there(path):
        if path != word:
            path = os.path.normpath(path)
            return f"there is no '{path}', which this is, as commands run in {_DIRECTORY}; write its whole path"
        return f"there is no '{path}'; correct the path, or install it"
    if os.path.isdir(path):
        return f"'{path}' is a directory; write which program in it"
    if os.path.isfile(path) and not os.stat(path).st_mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return f"'{path}' may not be executed; run chmod +x {path}"
    return ""


def _there(path: str) -> bool:
    """Whether there is something; also if we may not know."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
