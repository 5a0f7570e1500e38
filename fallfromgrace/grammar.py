"""The language of triggers and actions, with ply: text in, trees of typed values out.

    trigger    : condition
    condition  : conjunction | condition OR conjunction
    conjunction: negation | conjunction AND negation
    negation   : comparison | NOT negation | '(' condition ')'
    comparison : operand OPERATOR operand
    operand    : METRIC | LITERAL
    action     : SIGNAL [limit] | EXEC [limit] REST
    limit      : '@' DURATION

The docstring of each `p_` function is its production, that of each `t_` function its pattern.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import Any, NamedTuple

from ply import lex, yacc

from fallfromgrace import expression, rules, units
from fallfromgrace.errors import RuleSyntaxError, did_you_mean
from fallfromgrace.expression import METRICS, And, Comparison, Metric, Not, Or, Quantity, Trigger
from fallfromgrace.units import Dimension

if sys.flags.optimize > 1:
    raise ImportError("fall-from-grace cannot run under 'python -OO': its grammar is in docstrings")

# Longer or deeper conditions are no one's, and what walks a tree recurses.
LONGEST_TRIGGER = 1000
DEEPEST_TRIGGER = 20
SHORTEST_LIMIT = 1.0
# The kernel takes at most 128 KiB for one argument, MAX_ARG_STRLEN.
LONGEST_COMMAND = 30_000


class Literal(NamedTuple):
    """A number with its unit, as written: what it means depends on what it is compared with."""

    text: str
    start: int


# --- words ---

tokens = ("AND", "OR", "NOT", "METRIC", "LITERAL", "OPERATOR", "SIGNAL", "EXEC", "DURATION", "REST")
literals = "()@"
states = (("action", "exclusive"), ("command", "exclusive"), ("duration", "exclusive"), ("rest", "exclusive"))

_CONNECTIVES = {"and": "AND", "or": "OR", "not": "NOT"}
_ACTIONS = (*rules.SIGNALS, "exec")
_TRIGGER_HINT = "a trigger is written like rmem > 500m"
_SLIPS = {
    "=>": ">=",
    "=<": "<=",
    "=": "==",
    "<>": "!=",
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "!": "not",
}

t_ANY_ignore = " \n"


def t_LITERAL(t: Any) -> Any:
    r"\d[\w.]*%?"
    t.value = Literal(t.value, t.lexpos)
    return t


def t_METRIC(t: Any) -> Any:
    r"[A-Za-z_][\w.]*"
    word = t.value.lower()
    t.type = _CONNECTIVES.get(word, "METRIC")
    if t.type == "METRIC":
        if word not in METRICS:
            raise _error(t, _not_measured(t.value, t.lexer.lexdata[: t.lexpos]), t.value)
        t.value = Metric(word)
    return t


_UNIT = re.compile("[kmgt](i?b)?|gigs?|megs?", re.IGNORECASE)


def _not_measured(word: str, before: str) -> str:
    number = re.search(r"(\d[\d.]*)\s+$", before)
    if number and _UNIT.fullmatch(word):
        return f"there is a space between {number[1]} and {word}; write {number[1]}{word[0].lower()}"
    if word.lower() in ("for", "until"):
        return f"'{word}' does not belong here; {_TRIGGER_HINT}"
    hint = did_you_mean(word, METRICS) or "; write rmem (resident memory) or vmem (virtual memory)"
    return f"'{word}' is not something that can be measured{hint}"


def t_SLIP(t: Any) -> Any:
    r"=>|=<|=(?!=)|<>|&&?|\|\|?|!(?!=)"
    raise _error(t, f"'{t.value}' is not in the language; write '{_SLIPS[t.value]}'", t.value)


t_OPERATOR = r"<=|>=|==|!=|<|>"


def t_action_WORD(t: Any) -> Any:
    r"[A-Za-z_][\w-]*"
    word = t.value.lower()
    if word not in _ACTIONS:
        hint = did_you_mean(word, _ACTIONS) or f"; an action is one of {', '.join(_ACTIONS)}"
        raise _error(t, f"'{t.value}' is not an action{hint}", t.value)
    t.type = "EXEC" if word == "exec" else "SIGNAL"
    t.value = word
    if word == "exec":
        t.lexer.begin("command")
    return t


def t_action_DURATION(t: Any) -> Any:
    r"\d\S*"
    return _duration(t)


def t_command_AT(t: Any) -> Any:
    r"@"
    t.type = "@"
    t.lexer.begin("duration")
    return t


def t_duration_DURATION(t: Any) -> Any:
    r"\S+"
    t.lexer.begin("rest")
    return _duration(t)


def t_command_rest_REST(t: Any) -> Any:
    r"\S(.|\n)*"
    return t


def t_ANY_error(t: Any) -> None:
    character = t.value[0]
    if character.isspace():
        raise _error(t, f"{character!r} only looks like a space; write a plain one", character)
    raise _error(t, f"'{character}' does not belong here" if character.isprintable() else _hidden(character), character)


def _hidden(character: str) -> str:
    return f"{character!r} does not belong here; remove it"


def _duration(t: Any) -> Any:
    try:
        t.value = units.parse_duration(t.value)
    except ValueError as error:
        raise _error(t, str(error), t.value) from None
    return t


def _error(t: Any, text: str, value: str) -> RuleSyntaxError:
    return RuleSyntaxError(text, t.lexpos, t.lexpos + len(value))


# --- triggers ---


def p_trigger(p: Any) -> None:
    "trigger : condition"
    p[0] = Trigger(p[1])


def p_condition(p: Any) -> None:
    "condition : alternatives"
    p[0] = _joined(Or, p[1])


def p_conjunction(p: Any) -> None:
    "conjunction : necessities"
    p[0] = _joined(And, p[1])


def p_list(p: Any) -> None:
    """alternatives : conjunction
    necessities  : negation"""
    p[0] = (p[1],)


def p_list_more(p: Any) -> None:
    """alternatives : alternatives OR conjunction
    necessities  : necessities AND negation"""
    p[0] = (*p[1], p[3])


def p_negation(p: Any) -> None:
    "negation : NOT negation"
    p[0] = _not_too_deep(p, Not(p[2]))


def p_group(p: Any) -> None:
    "negation : '(' condition ')'"
    p[0] = _not_too_deep(p, p[2])


def p_negation_comparison(p: Any) -> None:
    "negation : comparison"
    p[0] = p[1]


def p_comparison(p: Any) -> None:
    "comparison : operand OPERATOR operand"
    p[0] = _comparison(p[1], p[2], p[3])


def p_operand(p: Any) -> None:
    """operand : METRIC
    | LITERAL"""
    p[0] = p[1]


def _not_too_deep(p: Any, condition: expression.Condition) -> expression.Condition:
    if expression.depth(condition) > DEEPEST_TRIGGER:
        raise RuleSyntaxError(f"this is nested deeper than {DEEPEST_TRIGGER} levels", p.lexpos(1))
    return condition


def _joined(kind: type, parts: tuple[Any, ...]) -> Any:
    return parts[0] if len(parts) == 1 else kind(parts)


def _comparison(left: Metric | Literal, operator: str, right: Metric | Literal) -> Comparison:
    if isinstance(left, Literal) and isinstance(right, Literal):
        text = "this compares two constants; one side has to be measured, such as rmem"
        raise RuleSyntaxError(text, left.start, right.start + len(right.text))
    return Comparison(_quantified(left, right), operator, _quantified(right, left))


def _quantified(operand: Metric | Literal, other: Metric | Literal) -> expression.Operand:
    """A literal as the quantity that the other side makes of it; a metric as it is."""
    if isinstance(operand, Metric):
        return operand
    assert isinstance(other, Metric)
    try:
        return Quantity(units.parse_size(operand.text), Dimension.SIZE)
    except ValueError as error:
        text = f"{other} is a size and {operand.text} is a time" if _is_duration(operand.text) else str(error)
        raise RuleSyntaxError(text, operand.start, operand.start + len(operand.text)) from None


def _is_duration(text: str) -> bool:
    try:
        return units.parse_duration(text) > 0
    except ValueError:
        return False


# --- actions ---


def p_signal(p: Any) -> None:
    "action : SIGNAL limit"
    if p[1] == "stop" and p[2] is None:
        raise RuleSyntaxError(
            "stop needs to know how long the process may run before it is stopped again, such as stop @ 10m",
            p.lexpos(1),
            p.lexpos(1) + len(p[1]),
        )
    p[0] = rules.Signal(p[1], p[2])


def p_exec(p: Any) -> None:
    "action : EXEC limit REST"
    if len(p[3]) > LONGEST_COMMAND:
        raise RuleSyntaxError(f"a command has at most {LONGEST_COMMAND} characters; put it into a script", p.lexpos(3))
    p[0] = rules.Exec(p[3].rstrip(" \n"), p[2])


def p_limit(p: Any) -> None:
    "limit : '@' DURATION"
    if p[2] < SHORTEST_LIMIT:
        raise RuleSyntaxError("that is too often; write at least 1s", p.lexpos(2), p.lexpos(2) + 1)
    p[0] = p[2]


def p_no_limit(p: Any) -> None:
    "limit :"
    p[0] = None


def p_error(t: Any) -> None:
    if t is None:
        raise RuleSyntaxError("it ends too early", -1)
    raise RuleSyntaxError("does not belong here", t.lexpos, t.lexer.lexpos)


# --- reading ---


@functools.cache
def _lexer() -> Any:
    return lex.lex(module=sys.modules[__name__], reflags=int(re.UNICODE), errorlog=lex.NullLogger())


@functools.cache
def _parser(start: str) -> Any:
    # Two start symbols share the words: each leaves the other's unused, which is all there is to warn about.
    # The module that `tabmodule` names does not exist, so that no stale table is ever picked up.
    return yacc.yacc(
        module=sys.modules[__name__],
        start=start,
        tabmodule="fallfromgrace._no_such_table",
        write_tables=False,
        debug=False,
        errorlog=yacc.NullLogger(),
    )


def _parse(text: str, start: str, state: str) -> Any:
    lexer = _lexer().clone()  # what an error leaves behind in a lexer must not reach the next text
    lexer.begin(state)
    return _parser(start).parse(text, lexer=lexer)


def parse_trigger(text: str) -> Trigger:
    """The tree of a trigger such as `rmem > 900m`. Raises RuleSyntaxError."""
    if len(text) > LONGEST_TRIGGER:
        raise RuleSyntaxError(f"a trigger has at most {LONGEST_TRIGGER} characters", 0, len(text))
    try:
        trigger: Trigger = _parse(text, "trigger", "INITIAL")
    except RuleSyntaxError as error:
        raise _explained(error, text, _TRIGGER_HINT) from None
    return trigger


def parse_action(text: str) -> rules.Action:
    """The value of an action such as `stop @ 10m`. Raises RuleSyntaxError."""
    try:
        action: rules.Action = _parse(text, "action", "action")
    except RuleSyntaxError as error:
        raise _explained(error, text, _action_hint(text)) from None
    return action


def _action_hint(text: str) -> str:
    word = text.split("@")[0].split()[:1]
    plain = re.sub(r"\W.*", "", word[0]) if word else ""
    if word and word[0].lower() == "exec":
        return "exec needs a command: exec logger hello, or exec @ 1h logger hello"
    if word and word[0].lower() == "stop":
        return "write stop @ 10m"
    return f"write {plain}, or {plain} @ 10m" if plain else "an action is written like term or stop @ 10m"


def _explained(error: RuleSyntaxError, text: str, hint: str) -> RuleSyntaxError:
    """What the parser alone could say only barely, with the place and a hint how it is written."""
    if error.start < 0:
        return RuleSyntaxError(f"{error.text}; {hint}", len(text), len(text) + 1)
    if error.text == "does not belong here":
        return RuleSyntaxError(f"'{text[error.start : error.end]}' {error.text}; {hint}", error.start, error.end)
    if error.text.endswith("does not belong here"):
        return RuleSyntaxError(f"{error.text}; {hint}", error.start, error.end)
    return error
