"""Configuration files as what they mean, or everything that is wrong with them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fallfromgrace import fragments, textfile
from fallfromgrace.errors import ConfigError, Problem, RuleSyntaxError, did_you_mean
from fallfromgrace.expression import Trigger
from fallfromgrace.fragments import Entry, Fragment, Listing, Mapping, Node, Text
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.rules import Action, Config, Monitor, Rule, Settings, make_rules
from fallfromgrace.textfile import Place
from fallfromgrace.units import parse_duration

_Value = TypeVar("_Value")
_Report = Callable[[Problem], None]

# --- files ------------------------------------------------------------------------------------------------------

# Editors and package managers leave `x.conf~`, `x.conf.dpkg-old` and the like beside a file.
_DROP_IN = re.compile(r"[A-Za-z0-9_-]+\.conf")


def load(path: Path) -> Config:
    """What a file and its drop-ins mean. Raises ConfigError with every problem of every file."""
    unreadable: list[Problem] = []
    read = tuple(_fragments(path, unreadable))
    lines = {(problem.path, problem.line) for problem in unreadable}
    faults: list[Problem] = []
    config = _config([entry for fragment in read for entry in fragment.entries], faults.append)
    # What a line that YAML could not read seems to mean is no second problem.
    problems = unreadable + [fault for fault in faults if (fault.path, fault.line) not in lines]
    if problems:
        raise ConfigError(problems)
    return config


def files(path: Path) -> tuple[Path, ...]:
    """What `load` reads, in this order. Raises ConfigError where the directory cannot be listed."""
    return path, *drop_ins(path)


def drop_ins(path: Path) -> tuple[Path, ...]:
    """For `X.conf` the files in `X.d`, for any other name none."""
    if path.suffix != ".conf":
        return ()
    directory = path.with_suffix(".d")
    try:
        return tuple(sorted(each for each in directory.iterdir() if _DROP_IN.fullmatch(each.name)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        text = f"the directory for more files cannot be read: {error.strerror}"
        raise ConfigError([Problem(str(directory), 0, 0, text)]) from None


def _fragments(path: Path, problems: list[Problem]) -> Iterator[Fragment]:
    try:
        paths = files(path)
    except ConfigError as error:
        problems += error.problems
        paths = (path,)
    for each in paths:
        yield _fragment(each, problems)


def _fragment(path: Path, problems: list[Problem]) -> Fragment:
    try:
        fragment = fragments.read(textfile.read(path))
    except ConfigError as error:
        fragment = Fragment((), error.problems)
    problems += fragment.problems
    return fragment


# --- the keys of a file -----------------------------------------------------------------------------------------

# Looking more often costs more than it finds.
SHORTEST_INTERVAL = 1.0


def _config(entries: list[Entry], report: _Report) -> Config:
    _report_twice(entries, report)
    settings: dict[str, Any] = {}
    monitors: list[Monitor] = []
    for key, node in entries:
        if key.value in _SETTINGS:
            settings[key.value] = _value(key, node, _SETTINGS[key.value], f"{key.value}: 10s", report)
        elif isinstance(node, Mapping):
            monitors += _monitor(key, node, report)
        elif node is not None:
            report(key.place.problem(_no_setting(key.value, node)))
    given = {name: value for name, value in settings.items() if value is not None}
    return Config(Settings(**given), tuple(monitors))


def _report_twice(entries: Iterable[Entry], report: _Report) -> None:
    places: dict[str, Place] = {}
    for key, _ in entries:
        first = places.setdefault(key.value, key.place)
        if first is not key.place:
            report(key.place.problem(f"'{key.value}' is already in {first.seen_from(key.place)}; keep one of the two"))


def _no_setting(name: str, node: Text | Listing) -> str:
    near = did_you_mean(name, _SETTINGS)
    if name in _MONITOR_KEYS:
        return _INDENT.format(name)
    if isinstance(node, Listing):
        return f"'{name}' cannot be a list; write its cmdline and actions without '- ' before them"
    if not node.value and not near:
        return f"'{name}' has nothing below it; write its cmdline and actions there, indented"
    return f"there is no setting '{name}'" + (near or "; a monitor has cmdline and actions below its name, indented")


def _interval(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise RuleSyntaxError(str(error), 0, len(text)) from None
    if seconds < SHORTEST_INTERVAL:
        raise RuleSyntaxError("the interval is too short; write 1s or more", 0, len(text))
    return seconds


_SETTINGS: dict[str, Callable[[str], object]] = {"interval": _interval}

# --- the keys of a monitor --------------------------------------------------------------------------------------

# How to write each, for those who wrote nothing or something else.
_MONITOR_KEYS = {
    "cmdline": "cmdline: firefox",
    "children": "children: yes",
    "final": "final: yes",
    "actions": "actions: and below it, indented, rmem > 500m: term",
}
_INDENT = "'{}' belongs to a monitor; indent it below the monitor's name"
_REQUIRED = ("cmdline", "actions")
_TRUTHS = dict.fromkeys(("yes", "true", "on", "1"), True) | dict.fromkeys(("no", "false", "off", "0"), False)
_COMPARED = re.compile(r"[<>=]")


def _monitor(name: Text, body: Mapping, report: _Report) -> Iterator[Monitor]:
    found = _known(name, body, report)
    cmdline = _given(found, "cmdline", _regex, report)
    children = _given(found, "children", _yes_or_no, report)
    final = _given(found, "final", _yes_or_no, report)
    rules = _rules(*found["actions"], report) if "actions" in found else ()
    if cmdline is not None:
        yield Monitor(name.value, cmdline, rules, bool(children), bool(final))


def _known(name: Text, body: Mapping, report: _Report) -> dict[str, Entry]:
    """The keys of a monitor, each once; those unknown, twice or missing are reported."""
    found = {entry.key.value: entry for entry in body.entries}
    if name.value in _MONITOR_KEYS and not found.keys() & _MONITOR_KEYS.keys():
        report(name.place.problem(_INDENT.format(name.value)))
        return {}
    if not name.value.strip():
        report(name.place.problem("a monitor needs a name before the ':', such as firefox:"))
    _report_twice(body.entries, report)
    for key in (entry.key for entry in body.entries if entry.key.value not in _MONITOR_KEYS):
        report(key.place.problem(_no_key(key.value)))
    for missing in (each for each in _REQUIRED if each not in found and body.whole):
        report(name.place.problem(f"'{name.value}' has no {missing}; write {_MONITOR_KEYS[missing]}"))
    return found


def _no_key(name: str) -> str:
    if _COMPARED.search(name):
        return f"the trigger '{name}' belongs below actions; indent it there"
    known = f"; its keys are {', '.join(_MONITOR_KEYS)}"
    return f"a monitor has no '{name}'{did_you_mean(name, _MONITOR_KEYS) or known}"


def _given(found: dict[str, Entry], key: str, read: Callable[[str], _Value], report: _Report) -> _Value | None:
    return _value(*found[key], read, _MONITOR_KEYS[key], report) if key in found else None


def _regex(text: str) -> re.Pattern[str]:
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


def _yes_or_no(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise RuleSyntaxError(f"'{text}' is neither yes nor no; write one of {', '.join(_TRUTHS)}", 0, len(text))
    return _TRUTHS[text.lower()]


# --- rules ------------------------------------------------------------------------------------------------------

_EXEC = re.compile(r"\s*exec\b", re.IGNORECASE)


def _rules(actions: Text, node: Node | None, report: _Report) -> tuple[Rule, ...]:
    if not isinstance(node, Mapping):
        if node is not None:
            report(actions.place.problem(_no_rules(node)))
        return ()
    if not node.entries and node.whole:
        report(actions.place.problem(f"actions is empty; write {_MONITOR_KEYS['actions']}"))
    written: list[tuple[str, Trigger, list[Action]]] = []
    places: dict[str, Text] = {}
    for key, value in node.entries:
        trigger = _parsed(key, parse_trigger, report)
        acts = list(_actions(key, value, report))
        if trigger is not None:
            _report_same(key, places.setdefault(str(trigger), key), report)
            written.append((key.value, trigger, acts))
    return make_rules(written)


def _no_rules(node: Text | Listing) -> str:
    if isinstance(node, Listing):
        return "actions cannot be a list; write the triggers without '- ' before them"
    kind = f"cannot be '{node.value}'" if node.value else "is empty"
    return f"actions {kind}; write {_MONITOR_KEYS['actions']}"


def _report_same(key: Text, first: Text, report: _Report) -> None:
    if first is not key:
        where = first.place.seen_from(key.place)
        text = f"this is the same trigger as '{first.value}' in {where}; write the actions of both as a list below one"
        report(key.place.problem(text))


def _actions(trigger: Text, node: Node | None, report: _Report) -> Iterator[Action]:
    items = node.items if isinstance(node, Listing) else (node,)
    if not items:
        report(trigger.place.problem(_no_action(trigger.value)))
    for item in items:
        action = _action(trigger, item, report)
        if action is not None:
            yield action


def _action(trigger: Text, node: Node | None, report: _Report) -> Action | None:
    if isinstance(node, (Listing, Mapping)):
        text = "an action is one text; with ': ' in it, or '[' or '{' at its start, it needs single quotes around it"
        report(node.place.problem(text))
    elif node is not None and not node.value:
        report(trigger.place.problem(_no_action(trigger.value)))
    elif node is not None and node.comment and _EXEC.match(node.value):
        text = "this '#' starts a comment and cuts the command short; put the whole action in single quotes"
        report(node.comment.problem(text))
    elif node is not None:
        return _parsed(node, parse_action, report)
    return None


def _no_action(trigger: str) -> str:
    return f"the trigger '{trigger}' has no action; write {trigger}: term"


# --- texts ------------------------------------------------------------------------------------------------------


def _value(key: Text, node: Node | None, read: Callable[[str], _Value], example: str, report: _Report) -> _Value | None:
    """The value of a key that takes one text; None once it is reported why there is none."""
    if isinstance(node, Text) and node.value:
        return _parsed(node, read, report)
    if isinstance(node, Text):
        report(key.place.problem(f"'{key.value}' has nothing after its ':'; write {example}"))
    elif node is not None:
        text = f"'{key.value}' takes one text, as in {example}; with '[' or '{{' at its start it needs single quotes"
        report(node.place.problem(text))
    return None


def _parsed(text: Text, read: Callable[[str], _Value], report: _Report) -> _Value | None:
    try:
        return read(text.value)
    except RuleSyntaxError as error:
        report(text.part(error.start, error.end).problem(error.text))
        return None
