"""What is certain about a regex from its parse tree: that it finds something everywhere, or wherever another does."""

from __future__ import annotations

import functools
import importlib
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from fallfromgrace.rules import Searches

# In 3.10 only the old name is known, since 3.11 that one warns.
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

# An operator by its name, as not every Python has all of them, and what belongs to it.
_Item = tuple[str, Any]


class _Edge(Enum):
    """An end of the text; the value is what stands for it in a tree, and where a look away from the text goes."""

    START = (("AT_BEGINNING", "AT_BEGINNING_STRING"), -1)
    END = (("AT_END", "AT_END_STRING"), 1)


@functools.lru_cache(maxsize=4096)
def finds_anything(pattern: Searches, *, in_lines: bool = False) -> bool:
    """Whether a search certainly finds something in every text, or `in_lines` in every one without a line break."""
    return _finds_anything(_tree(pattern), in_lines or bool(pattern.flags & re.DOTALL))


def covers(wide: Searches, narrow: Searches) -> bool:
    """Whether `wide` certainly finds something in every command line or path in which `narrow` does."""
    if wide == narrow or finds_anything(wide):
        return True
    if wide.pattern in (".", ".+"):  # without blanks at its end, what is not empty has more than line breaks
        return narrow.search("") is None
    return wide.flags == narrow.flags and _is_part(_alike(wide), _tree(narrow))


def _is_part(wide: Sequence[_Item], narrow: Sequence[_Item]) -> bool:
    """Whether all of one, if there is anything, stands somewhere in the other one, in a row."""
    starts = range(len(narrow) - len(wide) + 1) if wide else ()
    return any(narrow[start] == wide[0] and narrow[start : start + len(wide)] == wide for start in starts)


@functools.lru_cache(maxsize=4096)
def _alike(pattern: Searches) -> tuple[_Item, ...]:
    """A regex of which every part matches the same wherever it stands; nothing where one does not."""
    items = _tree(pattern)
    return items if all(operator in {"LITERAL", "NOT_LITERAL", "IN", "ANY", "AT"} for operator, _ in items) else ()


@functools.lru_cache(maxsize=4096)
def _tree(pattern: Searches) -> tuple[_Item, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given when it was compiled
        return _items(_parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))


def _items(tree: Iterable[tuple[Any, Any]]) -> tuple[_Item, ...]:
    return tuple((str(operator), value) for operator, value in tree)


def _finds_anything(items: Sequence[_Item], in_lines: bool) -> bool:
    """Whether it matches nothing at one end of any text, or takes all that is between the two."""
    if _all_empty(items, _Edge.START) or _all_empty(items, _Edge.END):
        return True
    return any(
        _takes_all(*item, in_lines) and _all_empty(items[:at], _Edge.START) and _all_empty(items[at + 1 :], _Edge.END)
        for at, item in enumerate(items)
    )


def _takes_all(operator: str, value: Any, in_lines: bool) -> bool:
    if operator in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, body = value
        return in_lines and (least, most) == (0, _parser.MAXREPEAT) and _items(body) == (("ANY", None),)
    return any(_finds_anything(branch, in_lines) for branch in _branches(operator, value))


def _branches(operator: str, value: Any) -> list[tuple[_Item, ...]]:
    """The ways through a group."""
    if operator == "SUBPATTERN":
        return [_items(value[-1])]
    return [_items(branch) for branch in value[1]] if operator == "BRANCH" else []


def _all_empty(items: Iterable[_Item], edge: _Edge) -> bool:
    return all(_is_empty(operator, value, edge) for operator, value in items)


def _is_empty(operator: str, value: Any, edge: _Edge) -> bool:
    """Whether something can match nothing at this end of a text, whatever the text is."""
    ends, away = edge.value
    if operator == "AT":
        return str(value) in ends
    if operator in ("MAX_REPEAT", "MIN_REPEAT"):
        return value[0] == 0 or _all_empty(_items(value[2]), edge)
    if operator == "ASSERT":
        return _all_empty(_items(value[1]), edge)
    if operator == "ASSERT_NOT":  # there is nothing to be seen beyond the end
        return bool(value[0] == away and value[1].getwidth()[0] > 0)
    return any(_all_empty(branch, edge) for branch in _branches(operator, value))
