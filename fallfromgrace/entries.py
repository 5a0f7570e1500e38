"""Values out of the entries of a configuration file, and what to say where there is none."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import TypeVar

from fallfromgrace.errors import Problem, RuleSyntaxError
from fallfromgrace.fragments import Entry, Listing, Node, Text
from fallfromgrace.textfile import Place
from fallfromgrace.units import parse_duration

Value = TypeVar("Value")
Report = Callable[[Problem], None]


def report_twice(entries: Iterable[Entry], report: Report) -> None:
    """Report every key that stands in two places."""
    places: dict[str, Place] = {}
    for key, _ in entries:
        first = places.setdefault(key.value, key.place)
        if first is not key.place:
            report(key.place.problem(f"'{key.value}' is already in {first.seen_from(key.place)}; keep one of the two"))


def value(entry: Entry, read: Callable[[str], Value], example: str, report: Report) -> Value | None:
    """The value of a key that takes one text; None once it is reported why there is none."""
    key, node = entry
    if isinstance(node, Text) and node.value:
        return parsed(node, read, report)
    if isinstance(node, Text):
        report(key.place.problem(f"'{key.value}' has nothing after its ':'; write {example}"))
    elif node is not None:
        text = f"'{key.value}' takes one text, as in {example}; with '[' or '{{' at its start it needs single quotes"
        report(node.place.problem(text))
    return None


def several(entry: Entry, example: str, report: Report) -> tuple[Text, ...]:
    """The texts of a key that takes one or a list of them; nothing once it is reported why there are none."""
    key, node = entry
    nodes: tuple[Node | None, ...] = node.items if isinstance(node, Listing) else (node,)
    texts = tuple(each for each in nodes if isinstance(each, Text) and each.value)
    if None not in nodes and len(texts) < max(1, len(nodes)):
        report(key.place.problem(f"'{key.value}' takes a text or a list of texts; write {example}"))
        return ()
    return texts


def parsed(text: Text, read: Callable[[str], Value], report: Report) -> Value | None:
    """What a text means; None once it is reported why it means nothing."""
    try:
        return read(text.value)
    except RuleSyntaxError as error:
        report(text.part(error.start, error.end).problem(error.text))
        return None


# --- what a text may have to be ---

TRUTHS = dict.fromkeys(("yes", "true", "on", "1"), True) | dict.fromkeys(("no", "false", "off", "0"), False)


def yes_or_no(text: str) -> bool:
    """Raises RuleSyntaxError, as do the others."""
    if text.lower() not in TRUTHS:
        raise RuleSyntaxError(f"'{text}' is neither yes nor no; write one of {', '.join(TRUTHS)}", 0, len(text))
    return TRUTHS[text.lower()]


def regex(text: str) -> re.Pattern[str]:
    """A regular expression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about other versions of Python
            return re.compile(text)
    except re.error as error:
        cure = "put a \\ before a character that stands for itself"
        start = error.pos or 0
        raise RuleSyntaxError(f"this is not a regular expression: {error.msg}; {cure}", start, start + 1) from None
    except (OverflowError, RecursionError):
        raise RuleSyntaxError("this regular expression is too large; make it simpler", 0, len(text)) from None
    except ValueError as error:  # flags that contradict each other, numbers of thousands of digits
        raise RuleSyntaxError(f"this is not a regular expression: {error}", 0, len(text)) from None


def duration(text: str) -> float:
    """Seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise RuleSyntaxError(str(error), 0, len(text)) from None
