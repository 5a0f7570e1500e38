"""What is in the language, and yet hardly what its user means: the warnings of `check`."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from fallfromgrace import backtracking, entries, files, lint_commands, lint_never, lint_samples
from fallfromgrace.config import Written
from fallfromgrace.errors import Problem, did_you_mean
from fallfromgrace.expression import Growth, Scope
from fallfromgrace.fragments import Entry, Text
from fallfromgrace.lint_patterns import finds_anything
from fallfromgrace.monitors import WrittenMonitor, WrittenRule
from fallfromgrace.rules import Exec, Searches, Selector, User
from fallfromgrace.textfile import Place

# For all regexes together; those that are left are not tried.
_MOST_SECONDS = 5.0
_MOST_SHOWN = 20


def warnings(written: Written) -> tuple[Problem, ...]:
    """In the order of the files. Only in the main thread, as searches are timed with a signal."""
    regexes = [*_regexes_of_monitors(written), *_regexes_of_protect(written)]
    found = chain(
        chain.from_iterable(map(files.passed_over, written.files[:1])),
        lint_never.warnings(written.monitors),
        chain.from_iterable(map(_of_monitor, written.monitors)),
        chain.from_iterable(_of_protected(place, selector) for place, selector in written.protect),
        (regex.place.problem(regex.too_wide) for regex in regexes if finds_anything(regex.pattern, in_lines=True)),
        _slow(regexes),
    )
    return tuple(sorted(found))


# --- regexes ---


class _Regex(NamedTuple):
    """A regex, what to call it and where, and what to say of one that matches everything."""

    pattern: re.Pattern[str]
    name: str
    place: Place
    too_wide: str


# What such a regex comes to, and where it is alone what else to write.
_EVERYTHING = {
    "cmdline": ("every command line", "write . if every process is meant"),
    "exe": ("the path of every program", "write . if every process is meant"),
    "exclude": ("every command line, so that no process is left", "leave it out"),
}


def _regexes_of_monitors(written: Written) -> Iterator[_Regex]:
    for each in written.monitors:
        for key, pattern in _patterns(each.monitor.selector, each.monitor.exclude).items():
            what, cure = _EVERYTHING[key]
            if _keys(each.monitor.selector) > 1:
                cure = "leave it out"
            text = f"this matches {what}, as it matches the empty text; correct it, or {cure}"
            yield _Regex(pattern, "this", _place(each.entries[key]), text)


def _regexes_of_protect(written: Written) -> Iterator[_Regex]:
    for place, selector in written.protect:
        all_of_us = ", so that nothing is ever done to anybody" if _keys(selector) == 1 else ""
        for key, pattern in _patterns(selector).items():
            name, (what, _) = f"the {key} '{pattern.pattern}'", _EVERYTHING[key]
            text = f"{name} matches {what}, as it matches the empty text{all_of_us}; correct it, or leave it out"
            yield _Regex(pattern, name, place, text)


def _patterns(selector: Selector, exclude: Searches | None = None) -> dict[str, re.Pattern[str]]:
    found = {"cmdline": selector.cmdline, "exe": selector.exe, "exclude": exclude}
    return {key: pattern for key, pattern in found.items() if isinstance(pattern, re.Pattern)}


def _keys(selector: Selector) -> int:
    return len(_patterns(selector)) + (selector.users is not None)


def _place(entry: Entry) -> Place:
    return entry.value.place if entry.value else entry.key.place


def _slow(regexes: Iterable[_Regex]) -> Iterator[Problem]:
    """Those with which somebody can keep us busy by the mere name of a process."""
    deadline = time.monotonic() + _MOST_SECONDS
    attacks: dict[re.Pattern[str], str | None] = {}
    for pattern, name, place, _ in regexes:
        if pattern not in attacks and time.monotonic() < deadline:
            attacks[pattern] = backtracking.attack(pattern)
        if attack := attacks.get(pattern):
            cure = "leave out repeats that can match the same as another, as in (a+)+ or .*.*"
            yield place.problem(f"{name} takes very long on some texts, such as {_shown(attack)}; {cure}")


def _shown(text: str) -> str:
    """The beginning of a text that may be long, and hold anything."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:_MOST_SHOWN])
    return f"'{shown}...'" if len(text) > _MOST_SHOWN else f"'{shown}'"


# --- users ---


def _of_monitor(written: WrittenMonitor) -> Iterator[Problem]:
    users = written.monitor.selector.users or ()
    for user, text in zip(users, _user_texts(written.entries.get("user")), strict=False):
        if user.uid is None:
            yield text.place.problem(_unknown(user, "found"))
    for rule in written.rules:
        yield from chain(_shared_pages(rule), _clashes(rule), _commands(rule))


def _user_texts(entry: Entry | None) -> tuple[Text, ...]:
    return entries.several(entry, "", lambda _: None) if entry else ()


def _unknown(user: User, done: str) -> str:
    hint = did_you_mean(user.name, (each.pw_name for each in pwd.getpwall())) or "; correct the name, or leave it out"
    return f"there is no user '{user.name}', so that nobody is {done} by that name{hint}"


def _of_protected(place: Place, selector: Selector) -> Iterator[Problem]:
    """What is said of one entry of `protect`."""
    for user in selector.users or ():
        if user.uid is None:
            yield place.problem(_unknown(user, "protected"))
    pattern = selector.cmdline
    if pattern and _keys(selector) == 1 and not finds_anything(pattern, in_lines=True) and _is_roots(place.path):
        text = "anybody can start a process with such a command line, which is then protected too; add exe or user"
        yield place.problem(text)


def _is_roots(path: str) -> bool:
    """Whether a file is meant for processes of all users."""
    try:
        return os.geteuid() == 0 or os.stat(path).st_uid == 0
    except OSError:
        return False


# --- rules ---


def _shared_pages(rule: WrittenRule) -> Iterator[Problem]:
    metrics = (each.metric if isinstance(each, Growth) else each for each in rule.trigger.measured)
    for name in {str(each) for each in metrics if each.name == "rmem" and each.scope in (Scope.TREE, Scope.GROUP)}:
        better = name.replace("rmem", "pmem")
        text = f"{name} counts memory that processes share once for each of them; {better} divides it among them"
        yield rule.text.spot(rf"\b{re.escape(name)}\b").problem(text)


def _clashes(rule: WrittenRule) -> Iterator[Problem]:
    clash = lint_samples.clash(rule.trigger)
    if clash:
        example = f", as with {clash.example}" if clash.example else ""
        text = f"'{clash.part}' can be true while the condition is{example}, and then the rule does not fire"
        cure = "write an until that is false wherever the condition is true"
        yield rule.text.spot(r"\buntil\b.*").problem(f"{text}; {cure}")


def _commands(rule: WrittenRule) -> Iterator[Problem]:
    for text, step in rule.steps:
        if isinstance(step.action, Exec):
            start = text.value.rfind(step.action.text)  # what is before it can be a part of it, but not what is behind
            for first, last, fault in lint_commands.missing(step.action.text):
                yield text.part(start + first, start + last).problem(fault)
