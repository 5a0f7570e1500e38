"""The words of triggers and actions, with ply: text in, tokens with typed values out.

The docstring of each `t_` function is its pattern. A trigger is read in the state INITIAL. An action begins in the
state `action`; behind `exec`, `notify` and `log` only a limit is read, and the rest of the text is one token.
"""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Iterable
from typing import Any

from ply import lex

from fallfromgrace.dimensions import Literal, Reading, Span
from fallfromgrace.errors import RuleSyntaxError, did_you_mean
from fallfromgrace.expression import METRICS, PROCESS_METRICS, SYSTEM_METRICS, Metric, Scope
from fallfromgrace.rules import ADJUSTABLE, SIGNALS, WORDED, Target

if sys.flags.optimize > 1:
    raise ImportError("fall-from-grace cannot run under 'python -OO': its grammar is in docstrings")

tokens = (
    *("AND", "OR", "NOT", "FOR", "UNTIL", "GROWTH", "MEASURED", "LITERAL", "COMPARED"),
    *("AFTER", "RECOVERED", "SIGNAL", "ADJUST", "WORDED", "TARGET", "NUMBER", "DURATION", "REST"),
)
literals = "()@,+-*/"
states = (("action", "exclusive"), ("command", "exclusive"), ("duration", "exclusive"), ("rest", "exclusive"))

t_ANY_ignore = " \n"

TRIGGER_HINT = "a trigger is written like rmem > 500m"


def error_at(t: Any, text: str) -> RuleSyntaxError:
    """The error for a token."""
    return RuleSyntaxError(text, t.lexpos, t.lexpos + len(t.value))


# --- triggers ---

_KEYWORDS = {"and": "AND", "or": "OR", "not": "NOT", "for": "FOR", "until": "UNTIL", "growth": "GROWTH"}
# What people write elsewhere; of the signs that are not ASCII some look like one that is.
_SLIPS = {
    **{"=>": ">=", "=<": "<=", "=": "==", "===": "==", "<>": "!="},
    **{"&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"},
    **{"\u2264": "<=", "\u2265": ">=", "\u2260": "!=", "\u00d7": "*", "\u00f7": "/"},
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    **{"while": "and", "when": "and", "unless": "and not", "during": "for"},
    **{"above": ">", "over": ">", "exceeds": ">", "below": "<", "under": "<"},
}
_RUN_ON = re.compile(r"(\d[\d.]*[a-z]*?)(and|or|for|until)|(and|or|not|for|until)(\d[\w.]*)", re.IGNORECASE | re.ASCII)


def t_LITERAL(t: Any) -> Any:
    r"\d[\w.]*(?:%|/[sS]\b)?"
    _check_run_on(t)
    t.value = Literal(t.value, Span(t.lexpos, t.lexpos + len(t.value)))
    return t


def _check_run_on(t: Any) -> None:
    """`1gand` and `for5m` are two words each."""
    if run_on := _RUN_ON.fullmatch(t.value):
        first, second = filter(None, run_on.groups())
        raise error_at(t, f"there is no space between '{first}' and '{second}'; write {first} {second}")


def t_MEASURED(t: Any) -> Any:
    r"[A-Za-z_][\w.]*"
    word = t.value.lower()
    t.type = _KEYWORDS.get(word, "MEASURED")
    if t.type == "MEASURED":
        if word not in METRICS:
            _check_run_on(t)
            raise error_at(t, _apart(t) or _not_joined(t) or _not_measured(t.value))
        t.value = Reading(Metric(*METRICS[word]), Span(t.lexpos, t.lexpos + len(word)))
    return t


# --- a word that is none ---

_NUMBER_BEFORE = re.compile(r"(\d[\d.]*) +$")
_SIZE_BEFORE = re.compile(r"(\d[\w.]*) */ *$")
_WORD_BEFORE = re.compile(r"([\w.]+|[)%]) *$")
_UNIT = re.compile("([kmgt](i?b)?|(gig|meg)s?)|([smhd]|(sec|min|hour|day)(ond|ute)?s?)", re.IGNORECASE | re.ASCII)
_PERCENT = ("%", "percent")
_SECOND = ("s", "sec", "second")


def _apart(t: Any) -> str:
    """What to say of `5 minutes`, `10 m/s` and `10m / s`; nothing of other words."""
    before, after = _before(t), t.lexer.lexdata[t.lexpos + len(t.value) :][:2]
    if (size := _SIZE_BEFORE.search(before)) and t.value.lower() in _SECOND:
        return f"a rate is written without spaces, and with s for the second: {size[1]}/s"
    unit = "%" if t.value.lower() in _PERCENT else t.value[0].lower() if _UNIT.fullmatch(t.value) else ""
    number = _NUMBER_BEFORE.search(before)
    if not number or not unit:
        return ""
    cure = f"{number[1]}{unit}{'/s' if after.lower() == '/s' else ''}"
    return f"there is a space between {number[1]} and {t.value}; write {cure}"


def _before(t: Any) -> str:
    """The text in front of a token, as far as it is looked at."""
    text: str = t.lexer.lexdata[max(0, t.lexpos - 100) : t.lexpos]
    return text


def _not_joined(t: Any) -> str:
    """What to say where a word stands behind something measured, or behind a number; nothing elsewhere."""
    word = _WORD_BEFORE.search(_before(t))
    if not word or word[1].lower() in _KEYWORDS:
        return ""
    if t.value.lower() in _SLIPS:
        return f"'{t.value}' is not in the language; write '{_SLIPS[t.value.lower()]}'"
    return f"'{t.value}' does not belong here{did_you_mean(t.value, _KEYWORDS)}"


_KNOWN_ELSEWHERE = {
    **dict.fromkeys(("rss", "res", "mem", "memory", "ram"), "rmem"),
    **dict.fromkeys(("vsz", "vms", "virt", "virtual"), "vmem"),
    **{"pss": "pmem", "uss": "umem", "nice": "cpu", "runtime": "age", "uptime": "age", "nproc": "count"},
    **dict.fromkeys(("files", "nofile", "fd"), "fds"),
    **dict.fromkeys(("io", "disk"), "read"),
    "free": "system.available",
}
_OF_THE_MACHINE = {**dict.fromkeys(("mem", "memory", "ram", "free"), "available"), "swap": "swapfree"}
_SCOPES = tuple(scope.value.rstrip(".") for scope in Scope if scope is not Scope.OWN)
# Everything but what has a scope in front of it.
_BARE = {**{each: f"system.{each}" for each in SYSTEM_METRICS}, **{each: each for each in (*PROCESS_METRICS, "growth")}}


def _not_measured(word: str) -> str:
    scope, _, name = word.lower().rpartition(".")
    if scope in ("tree", "group") and name in METRICS:
        return _not_summed(scope, name)
    meant = _meant(scope, name)
    hint = f"did you mean '{meant}'?" if meant else "write rmem (resident memory), cpu, age or another of those in "
    hint += "" if meant else "fall-from-grace.conf(5)"
    if scope == "system" and not meant:
        hint = f"of the machine there are {', '.join(f'system.{each}' for each in SYSTEM_METRICS)}"
    return f"'{word}' is not something that can be measured; {hint}"


def _meant(scope: str, name: str) -> str:
    """What is measured under a name that is nearly this one, or has this name elsewhere; nothing if none is."""
    if name in _SCOPES or not name:  # `tree`, `tree.` or `rmem.tree`
        swapped, scope = scope, name or scope
        return next((each for each in (f"{scope}.{swapped}", scope) if each in METRICS), _EXAMPLES.get(scope, ""))
    if not scope:
        return _KNOWN_ELSEWHERE.get(name) or _BARE.get(_nearest(name, _BARE), "")
    scope = _nearest(scope, _SCOPES)
    if scope == "system":
        name = _OF_THE_MACHINE.get(name) or _nearest(name, SYSTEM_METRICS)
        return f"system.{name}" if name else ""
    name = _KNOWN_ELSEWHERE.get(name) or _nearest(name, PROCESS_METRICS)
    return f"{scope}.{name}" if f"{scope}.{name}" in METRICS else name


_EXAMPLES = {"tree": "tree.rmem", "group": "group.rmem", "system": "system.available"}


def _nearest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")


def _not_summed(scope: str, name: str) -> str:
    why = {
        "count": "count is of all that the monitor covers",
        "children": "children counts every descendant already",
        "age": "ages are not added up",
    }
    return f"there is no {scope}.{name}: {why[name]}; write {name}"


def t_SLIP(t: Any) -> Any:
    r"=>|=<|===|=(?!=)|<>|&&?|\|\|?|!(?!=)|[\u2010-\u2014\u2212\u2260\u2264\u2265\u00d7\u00f7]"
    raise error_at(t, f"'{t.value}' is not in the language; write '{_SLIPS[t.value]}'")


def t_COMMA(t: Any) -> Any:
    r"(?<=\d),(?=\d)"
    raise error_at(t, "a number has no ',' in it; one and a half is 1.5, and a thousand is 1000")


def t_POINT(t: Any) -> Any:
    r"\.\d[\w.]*%?"
    raise error_at(t, f"'{t.value}' has no digit before its '.'; write 0{t.value}")


t_COMPARED = r"<=|>=|==|!=|<|>"


# --- actions ---

ACTIONS = {
    **dict.fromkeys(SIGNALS, "SIGNAL"),
    **dict.fromkeys(ADJUSTABLE, "ADJUST"),
    **dict.fromkeys(WORDED, "WORDED"),
}
_BEGINNINGS = {**ACTIONS, "after": "AFTER", "recovered": "RECOVERED"}
_TARGETS = {target.value: "TARGET" for target in Target if target.value}
_WORDS = {**_BEGINNINGS, **_TARGETS}


# Where an action begins: at the start, or behind what says when.
_AT_START = re.compile(r"\s*(recovered\s+|after\s+\S+\s+)?", re.IGNORECASE)
# Of those that people want to run some look like an action.
_COMMANDS = frozenset(("killall", "pkill", "logger", "notify-send", "systemctl", "echo", "mail", "sh"))


def t_action_WORD(t: Any) -> Any:
    r"[A-Za-z_][\w-]*"
    word = t.value.lower()
    if word not in _WORDS:
        raise error_at(t, _apart(t) or _no_action(t))
    t.type, t.value = _WORDS[word], word
    if t.type == "WORDED":
        t.lexer.begin("command")
    return t


def _no_action(t: Any) -> str:
    word = t.value.lower()
    if not _AT_START.fullmatch(t.lexer.lexdata, 0, t.lexpos):
        return f"'{t.value}' does not belong here{did_you_mean(word, _TARGETS)}"
    if word in _COMMANDS:
        return f"'{t.value}' is not an action; a command is run with exec: exec {t.value}"
    signal = word.removeprefix("sig")
    if signal in SIGNALS:
        return f"'{t.value}' is not an action; did you mean '{signal}'?"
    hint = did_you_mean(word, _BEGINNINGS) or f"; an action is one of {', '.join(ACTIONS)}"
    return f"'{t.value}' is not an action{hint}"


def t_action_NUMBER(t: Any) -> Any:
    r"[-+]?\d[^\s@]*"
    return t


def t_command_AT(t: Any) -> Any:
    r"@"
    t.type = "@"
    t.lexer.begin("duration")
    return t


def t_duration_DURATION(t: Any) -> Any:
    r"\S+"
    t.lexer.begin("rest")
    return t


def t_command_rest_REST(t: Any) -> Any:
    r"\S[\s\S]*"
    return t


# --- what is no word ---


def t_ANY_error(t: Any) -> None:
    t.value = t.value[0]
    if apart := _apart(t):
        raise error_at(t, apart)
    if t.value.isspace():
        raise error_at(t, f"{t.value!r} only looks like a space; write a plain one")
    if not t.value.isprintable():
        raise error_at(t, f"{t.value!r} does not belong here; remove it")
    if t.value in "\"'":
        raise error_at(t, f"{t.value!r} does not belong here; write this without quotes")
    raise error_at(t, f"'{t.value}' does not belong here")


@functools.cache
def _lexer() -> Any:
    return lex.lex(module=sys.modules[__name__], reflags=int(re.UNICODE), errorlog=lex.NullLogger())


def lexer(state: str) -> Any:
    """A lexer of its own for one text: what an error leaves behind in it must not reach the next."""
    fresh = _lexer().clone()
    fresh.begin(state)
    return fresh
