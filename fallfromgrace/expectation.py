"""What a test expects to be done: `2m firefox stop @ 10m`, and whether something that was done is that."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from fallfromgrace.errors import RuleSyntaxError, did_you_mean
from fallfromgrace.grammar import parse_action
from fallfromgrace.lexer import ACTIONS
from fallfromgrace.rules import WORDED, Action, Exec, Log, Notify
from fallfromgrace.units import parse_duration

# Where an action may begin that is not one that is simply done: what a monitor with `observe` only says it would do.
WOULD, RECOVERED, AFTER = "would", "recovered", "after"
BEGINNINGS = (*ACTIONS, RECOVERED, AFTER, WOULD)
EXAMPLE = "20s firefox stop @ 10m"
_TOLD = (Exec, Notify, Log)
_SOME_TEXT = "x"
_ZERO = re.compile(r"0+(?:\.0+)?[smhd]?", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"\s*(\S+)\s*")
_WOULD = re.compile(rf"\s*{WOULD}\s+", re.IGNORECASE)
_WITHOUT_TEXT = re.compile(rf"\s*(?:recovered\s+)?(?:{'|'.join(WORDED)})(?:\s*@\s*\S+)?\s*", re.IGNORECASE)


class Deed(NamedTuple):
    """Something that is done: an action, whether because a rule fires no more, and whether it is only said."""

    action: Action
    recovered: bool = False
    observed: bool = False

    @property
    def verb(self) -> str:
        """The same without a text."""
        return self._with_beginning(self.action.verb)

    def __str__(self) -> str:
        return self._with_beginning(str(self.action))

    def _with_beginning(self, action: str) -> str:
        would = f"{WOULD} " if self.observed else ""
        return f"{would}{RECOVERED} {action}" if self.recovered else f"{would}{action}"


class Expectation(NamedTuple):
    """What is to be done at a time, in seconds, to whom: empty where it is for no process.

    With `any_text` the action's text may be any.
    """

    at: float
    process: str
    deed: Deed
    any_text: bool = False

    @property
    def shown(self) -> str:
        """What is done, in normal form."""
        return self.deed.verb if self.any_text else str(self.deed)

    def means(self, process: str, deed: Deed) -> bool:
        """Whether this is what was done, whenever it was."""
        return process == self.process and (deed.verb == self.deed.verb if self.any_text else deed == self.deed)


def parse_expectation(text: str, names: Collection[str]) -> Expectation:
    """What `2m firefox stop @ 10m` expects, in a test whose processes have these names. Raises RuleSyntaxError."""
    time = _WORD.match(text)
    if not time:
        raise RuleSyntaxError(f"there is nothing here; write a time and what is done, such as {EXAMPLE}", 0, len(text))
    at = _time(time[1], time.start(1))
    word = _WORD.match(text, time.end())
    if not word:
        raise RuleSyntaxError(f"there is nothing behind the time; write what is done, such as {EXAMPLE}", 0, len(text))
    process = word[1] if word[1] in names else ""
    if not process and word[1].partition("@")[0].lower() not in BEGINNINGS:
        raise RuleSyntaxError(_nobody(word[1], names), *word.span(1))
    deed, any_text = _deed(text, word.end() if process else word.start(1))
    if not process and not isinstance(deed.action, _TOLD):
        cure = f"write the name of a process before it, such as {EXAMPLE}"
        raise RuleSyntaxError(f"'{deed}' is for a process; {cure}", word.start(1), len(text))
    return Expectation(at, process, deed, any_text)


def _time(word: str, start: int) -> float:
    try:
        return parse_time(word)
    except ValueError as error:
        raise RuleSyntaxError(f"{error}; an expectation is written like {EXAMPLE}", start, start + len(word)) from None


def parse_time(text: str) -> float:
    """Seconds, 0 included. Raises ValueError."""
    return 0.0 if _ZERO.fullmatch(text) else parse_duration(text)


def format_time(seconds: float) -> str:
    """For people, to a hundredth of a second: 130 is `2m10s`."""
    whole, hundredths = divmod(round(seconds * 100), 100)
    hours, rest = divmod(whole, 3600)
    minutes, whole = divmod(rest, 60)
    second = f"{whole}.{hundredths:02}".rstrip("0") if hundredths else f"{whole}"
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{second}s" if second != "0" else ""]
    return "".join(parts) or "0s"


def _nobody(word: str, names: Collection[str]) -> str:
    hint = did_you_mean(word, [*names, *BEGINNINGS])
    known = f"; its processes are {', '.join(names)}" if names else "; it has no processes"
    return f"'{word}' is neither a process of this test nor an action{hint or known}"


def _deed(text: str, start: int) -> tuple[Deed, bool]:
    """What is done, and whether its text is left out."""
    would = _WOULD.match(text, start)
    start = would.end() if would else start
    written = text[start:]
    any_text = bool(_WITHOUT_TEXT.fullmatch(written))
    try:
        step = parse_action(f"{written} {_SOME_TEXT}" if any_text else written)
    except RuleSyntaxError as error:
        raise RuleSyntaxError(error.text, start + error.start, start + error.end) from None
    if step.after is not None:
        cure = "leave it out; the time before it says when it is done"
        raise RuleSyntaxError(f"an expectation has no 'after'; {cure}", start, start + len(AFTER))
    return Deed(step.action, step.recovered, bool(would)), any_text
