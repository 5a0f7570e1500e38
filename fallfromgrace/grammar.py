"""The language of triggers and actions, with ply: text in, trees of typed values out.

    trigger    : lasting [ UNTIL lasting ]
    lasting    : condition [ FOR duration ]
    condition  : conjunction { OR conjunction }
    conjunction: negation { AND negation }
    negation   : NOT negation | '(' condition ')' | comparison
    comparison : sum COMPARED sum [ COMPARED sum ]
    sum        : product { ('+' | '-') product }
    product    : operand { ('*' | '/') operand }
    operand    : [ '-' ] LITERAL | MEASURED | GROWTH '(' MEASURED ',' duration ')' | '(' sum ')'

    step       : [ RECOVERED | AFTER duration ] action
    action     : SIGNAL [ target ] [ limit ] | ADJUST NUMBER [ target ] | WORDED [ limit ] REST
    limit      : '@' duration

The docstring of each `p_` function is its production; the words are in `lexer`.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

from ply import yacc

from fallfromgrace import dimensions, expression, rules, units
from fallfromgrace.dimensions import Reading, Span
from fallfromgrace.errors import RuleSyntaxError, did_you_mean
from fallfromgrace.expression import And, Growth, Lasting, Not, Or, Trigger
from fallfromgrace.lexer import ACTIONS, TRIGGER_HINT, lexer, tokens  # noqa: F401 - ply looks for `tokens` here

# Longer or deeper conditions are no one's, and what walks a tree recurses.
LONGEST_TRIGGER = 1000
DEEPEST_TRIGGER = 20
SHORTEST_LIMIT = 1.0
# The kernel takes at most 128 KiB for one argument, MAX_ARG_STRLEN.
LONGEST_COMMAND = 30_000
LONGEST_TEXT = 1000

# --- triggers ---


def p_trigger(p: Any) -> None:
    "trigger : lasting"
    p[0] = Trigger(p[1])


def p_trigger_until(p: Any) -> None:
    "trigger : lasting UNTIL lasting"
    p[0] = Trigger(p[1], p[3])


def p_lasting(p: Any) -> None:
    "lasting : condition"
    p[0] = Lasting(p[1])


def p_lasting_for(p: Any) -> None:
    "lasting : condition FOR duration"
    p[0] = Lasting(p[1], p[3])


def p_duration_literal(p: Any) -> None:
    "duration : LITERAL"
    p[0] = _duration(*p[1][:2])


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
    "comparison : sum COMPARED sum"
    p[0] = dimensions.comparison(p[1], p[2], p[3])


def p_comparison_between(p: Any) -> None:
    "comparison : sum COMPARED sum COMPARED sum"
    if p[2][0] != p[4][0] or p[2][0] not in "<>":
        text = f"'{p[2]}' and '{p[4]}' do not go together; write 1g < rmem < 2g, or two comparisons with and"
        raise RuleSyntaxError(text, p.lexpos(4), p.lexpos(4) + len(p[4]))
    p[0] = dimensions.between(p[1], p[2], p[3], p[4], p[5])


def p_calculation(p: Any) -> None:
    """sum : sum '+' product
    | sum '-' product
    product : product '*' operand
    | product '/' operand"""
    p[0] = dimensions.Step(p[1], p[2], p[3], Span(p[1].span.start, p[3].span.end))
    if p[0].depth > DEEPEST_TRIGGER:
        raise RuleSyntaxError(f"this calculates in more than {DEEPEST_TRIGGER} steps", *p[0].span)


def p_calculation_part(p: Any) -> None:
    """sum : product
    product : operand
    operand : LITERAL
    | MEASURED"""
    p[0] = p[1]


def p_operand_negative(p: Any) -> None:
    "operand : '-' LITERAL"
    p[0] = p[2]._replace(negative=True, span=Span(p.lexpos(1), p[2].span.end))


def p_operand_growth(p: Any) -> None:
    "operand : GROWTH '(' MEASURED ',' duration ')'"
    span = Span(p.lexpos(1), p.lexpos(6) + 1)
    if p[5] < SHORTEST_LIMIT:
        raise RuleSyntaxError("growth is over 1s at least; write a longer time", *span)
    p[0] = Reading(Growth(p[3].operand, p[5]), span)


def p_operand_group(p: Any) -> None:
    "operand : '(' sum ')'"
    p[0] = p[2]._replace(span=Span(p.lexpos(1), p.lexpos(3) + 1))


def _not_too_deep(p: Any, condition: expression.Condition) -> expression.Condition:
    if expression.depth(condition) > DEEPEST_TRIGGER + 1:
        raise RuleSyntaxError(f"this is nested deeper than {DEEPEST_TRIGGER} levels", p.lexpos(1))
    return condition


def _joined(kind: type[And] | type[Or], parts: tuple[expression.Condition, ...]) -> expression.Condition:
    """One part as it is; of several those of the same kind are taken apart: `(a and b) and c` has three."""
    flat = tuple(each for part in parts for each in (part.parts if isinstance(part, kind) else (part,)))
    return flat[0] if len(flat) == 1 else kind(flat)


def _duration(text: str, span: Span) -> float:
    try:
        return units.parse_duration(text)
    except ValueError as error:
        raise RuleSyntaxError(str(error), *span) from None


# --- actions ---


def p_step(p: Any) -> None:
    "step : action"
    p[0] = rules.Step(p[1])


def p_step_after(p: Any) -> None:
    "step : AFTER number action"
    p[0] = rules.Step(p[3], after=_duration(*p[2]))


def p_step_recovered(p: Any) -> None:
    "step : RECOVERED action"
    p[0] = rules.Step(p[2], recovered=True)


def p_number(p: Any) -> None:
    "number : NUMBER"
    p[0] = p[1], Span(p.lexpos(1), p.lexpos(1) + len(p[1]))


def p_signal(p: Any) -> None:
    "action : SIGNAL target limit"
    if p[1] == "stop" and p[3] is None:
        raise RuleSyntaxError(
            "stop needs to know how long the process may run before it is stopped again, such as stop @ 10m",
            p.lexpos(1),
            p.lexpos(1) + len(p[1]),
        )
    p[0] = rules.Signal(p[1], p[3], p[2])


def p_adjust(p: Any) -> None:
    "action : ADJUST number target"
    text, span = p[2]
    lowest, highest = rules.ADJUSTABLE[p[1]]
    if not re.fullmatch(r"[-+]?\d{1,4}", text, re.ASCII) or not lowest <= int(text) <= highest:
        hint = "; a higher one is nicer to others" if p[1] == "nice" else ""
        raise RuleSyntaxError(f"{p[1]} takes a whole number from {lowest} to {highest}{hint}", *span)
    p[0] = rules.Adjust(p[1], int(text), p[3])


def p_target(p: Any) -> None:
    """target : TARGET
    |"""
    p[0] = rules.Target(p[1] if len(p) > 1 else "")


def p_worded(p: Any) -> None:
    "action : WORDED limit REST"
    made = rules.WORDED[p[1]]
    text = p[3].rstrip(" \n")
    if made is rules.Exec:
        _limit_length(p, text, LONGEST_COMMAND, "; put it into a script")
    else:
        _check_variables(text, p.lexpos(3))
        text = rules.unquoted(text)
        _limit_length(p, text, LONGEST_TEXT, "")
    if not text.strip():
        raise RuleSyntaxError(f"there is nothing between the quotes; write what to {p[1]}", p.lexpos(3), _end(p, 3))
    p[0] = made(text, p[2])


def _end(p: Any, number: int) -> int:
    end: int = p.lexpos(number) + len(p[number])
    return end


def _limit_length(p: Any, text: str, most: int, cure: str) -> None:
    if len(text) > most:
        kind = "a command" if cure else "a text"
        raise RuleSyntaxError(f"{kind} has at most {most} characters{cure}", p.lexpos(3))


def _check_variables(text: str, start: int) -> None:
    """Of these texts we replace the variables ourselves, so that one misspelt would stay as it is, unnoticed."""
    for found in rules.VARIABLE.finditer(text):
        name = found["bare"] or found["braced"]
        if name not in rules.VARIABLES:
            hint = did_you_mean(f"${name}", [f"${each}" for each in rules.VARIABLES])
            hint = hint or f"; there are {', '.join(f'${each}' for each in rules.VARIABLES)}"
            raise RuleSyntaxError(f"there is no ${name}{hint}", start + found.start(), start + found.end())


def p_limit(p: Any) -> None:
    """limit : '@' NUMBER
    | '@' DURATION"""
    seconds = _duration(p[2], Span(p.lexpos(2), _end(p, 2)))
    if seconds < SHORTEST_LIMIT:
        raise RuleSyntaxError("that is too often; write at least 1s", p.lexpos(2), _end(p, 2))
    p[0] = seconds


def p_no_limit(p: Any) -> None:
    "limit :"
    p[0] = None


def p_error(t: Any) -> None:
    if t is None:
        raise RuleSyntaxError("it ends too early", -1)
    raise RuleSyntaxError("does not belong here", t.lexpos, t.lexer.lexpos)


# --- reading ---


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


def parse_trigger(text: str) -> Trigger:
    """The tree of a trigger such as `rmem > 900m for 2m`. Raises RuleSyntaxError."""
    if len(text) > LONGEST_TRIGGER:
        raise RuleSyntaxError(f"a trigger has at most {LONGEST_TRIGGER} characters", 0, len(text))
    try:
        trigger: Trigger = _parser("trigger").parse(text, lexer=lexer("INITIAL"))
    except RuleSyntaxError as error:
        raise _explained(error, text, _trigger_hint(text, error)) from None
    if len(str(trigger)) > LONGEST_TRIGGER:  # which has to be read too
        told = f"a trigger has at most {LONGEST_TRIGGER} characters, with the spaces around its operators"
        raise RuleSyntaxError(told, 0, len(text))
    return trigger


def parse_action(text: str) -> rules.Step:
    """The value of an action of a rule, such as `after 5m stop tree @ 10m`. Raises RuleSyntaxError."""
    try:
        step: rules.Step = _parser("step").parse(text, lexer=lexer("action"))
    except RuleSyntaxError as error:
        raise _explained(error, text, _action_hint(text, error)) from None
    return step


# --- hints ---

_OPERAND_ENDS = re.compile(r"(?!.*\b(?:and|or|not|for|until)\s*$).*[\w%)]\s*", re.IGNORECASE | re.DOTALL)
_IN_GROWTH = re.compile(r"\bgrowth\s*(?:\([^()]*)?$", re.IGNORECASE)
_ENDS_WITH_FOR = re.compile(r"\bfor\s*$", re.IGNORECASE)
_ENDS_WITH_UNTIL = re.compile(r"\buntil\s*$", re.IGNORECASE)
_HALF_JOINED = re.compile(r"\b(?:and|or)\b[^<>=]*$", re.IGNORECASE)
_BEHIND_FOR = re.compile(r"\bfor\s+\S+\s*$", re.IGNORECASE)
_FOR_HINT = "'for' is for the whole condition and stands at its end: (rmem > 1g or cpu > 90%) for 5m"
_UNTIL_HINT = "a trigger has one 'until' at most, behind a condition: rmem > 1g until rmem < 500m"


def _trigger_hint(text: str, error: RuleSyntaxError) -> str:
    before, word = (text, "") if error.start < 0 else (text[: error.start], text[error.start : error.end].lower())
    opened = before.count("(") - before.count(")")
    if _IN_GROWTH.search(before):
        return "growth is written like growth(rmem, 10m) > 100m"
    if _ENDS_WITH_FOR.search(before):
        return "write how long it has to last: rmem > 1g for 5m"
    if word == "until" or _ENDS_WITH_UNTIL.search(before):
        return _UNTIL_HINT
    if word == "for" or (word and _BEHIND_FOR.search(before)):
        return _FOR_HINT
    if word in ("and", "or") or _HALF_JOINED.search(before):
        return "'and' and 'or' stand between whole comparisons: rmem > 1g and cpu > 90%"
    if opened > 0 and not word and _OPERAND_ENDS.fullmatch(before):
        return "a ')' is missing"
    if opened <= 0 and word == ")":
        return "there is no '(' that it closes"
    return TRIGGER_HINT


_BEGINNING = re.compile(r"\s*(?:recovered\s+|after\s+\S+\s+)?([a-z]*)", re.IGNORECASE)
_BEGUN_TWICE = re.compile(r"\s*(?:recovered|after\s+\S+)\s+(?:recovered|after)\b", re.IGNORECASE)
_JOINING = (",", ";", "&", "+", "and", "then", "or")
_COMMAND = re.compile(r"\s*[./~$]\S*")
_HINTS = {
    "exec": "exec needs a command: exec logger hello, or exec @ 1h logger hello",
    "notify": "notify needs a text: notify $NAME uses $VALUE, or notify @ 1h $NAME uses $VALUE",
    "log": "log needs a text: log $NAME uses $VALUE, or log @ 1h $NAME uses $VALUE",
    "stop": "write stop @ 10m, or stop tree @ 10m",
    "nice": "write nice 10, or nice 10 tree",
    "oom": "write oom 500, or oom 500 tree",
    "after": "write how long after, and what is then done: after 30s kill",
    "recovered": "write what is then done: recovered log $NAME is fine again",
    **{target.value: f"it stands behind what is done: term {target.value}" for target in rules.Target if target.value},
}


def _action_hint(text: str, error: RuleSyntaxError) -> str:
    misplaced = text[error.start : error.end].lower() if error.start > 0 else ""
    if _BEGUN_TWICE.match(text):
        return "an action has either after or recovered before it, and only once"
    if command := _COMMAND.match(text):
        return f"a command is run with exec: exec {command[0].strip()}"
    begins = _BEGINNING.match(text)
    word = begins[1].lower() if begins else ""
    if word in ACTIONS and (misplaced in _JOINING or misplaced in ACTIONS):
        return f"several actions are a list, each in a line of its own: - {word}"
    if word in ACTIONS and misplaced in ("after", "recovered"):
        return "it stands before what is done: after 30s kill"
    hint = f"write {word}, {word} tree or {word} tree @ 10m"
    return _HINTS.get(word, hint if word in ACTIONS else "an action is written like term or stop @ 10m")


_TIME_BEFORE = re.compile(r"(\d[\w.]*)\s+$")
# A longer word is not repeated as a whole in what is said of it.
_LONGEST_SHOWN = 60
_TOO_LONG = re.compile(rf"([^\s']{{{_LONGEST_SHOWN}}})[^\s']+")


def _explained(error: RuleSyntaxError, text: str, hint: str) -> RuleSyntaxError:
    """What the parser alone could say only barely, with the place and a hint how it is written."""
    said, start, end = error.text, error.start, error.end
    if start < 0:
        said, start, end = f"{said}; {hint}", len(text), len(text) + 1
    elif said == "does not belong here":
        said = _in_two_words(text[:start], text[start:end]) or f"'{text[start:end]}' {said}"
    if said.endswith("does not belong here"):
        said = f"{said}; {hint}"
    return RuleSyntaxError(_TOO_LONG.sub(r"\1...", said), start, end)


def _in_two_words(before: str, word: str) -> str:
    """What to say of `1h 30m`; nothing of other words."""
    first = _TIME_BEFORE.search(before[-_LONGEST_SHOWN:])
    if not first:
        return ""
    try:
        units.parse_duration(first[1])
        units.parse_duration(word)
    except ValueError:
        return ""
    return f"there is a space between {first[1]} and {word}; write {first[1]}{word}"
