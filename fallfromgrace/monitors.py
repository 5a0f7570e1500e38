"""The entries of a monitor as what they mean: selectors, flags, rules."""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from fallfromgrace import entries
from fallfromgrace.entries import Report
from fallfromgrace.errors import did_you_mean
from fallfromgrace.expression import Trigger
from fallfromgrace.fragments import Entry, Listing, Node, Text
from fallfromgrace.fragments import Mapping as Body
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.rules import (
    PROCESS_VARIABLES,
    VARIABLE,
    Adjust,
    Log,
    Monitor,
    Notify,
    Selector,
    Signal,
    Step,
    Target,
    User,
    make_rules,
)

# How to write each, for those who wrote nothing or something else.
SELECTORS = {
    "cmdline": "cmdline: firefox",
    "exe": "exe: ^/usr/bin/firefox$",
    "user": "user: alice, or user: [alice, bob]",
}
MONITOR_KEYS = {
    **SELECTORS,
    "exclude": "exclude: --type=renderer",
    "children": "children: yes",
    "final": "final: yes",
    "observe": "observe: yes",
    "actions": "actions: and below it, indented, rmem > 500m: term",
}
INDENT = "'{}' belongs to a monitor; indent it below the monitor's name"
_COMPARED = re.compile(r"[<>=]")


class WrittenRule(NamedTuple):
    """A rule with the texts that it was read from."""

    text: Text
    trigger: Trigger
    steps: tuple[tuple[Text, Step], ...]


class WrittenMonitor(NamedTuple):
    """A monitor with the entries that it was read from."""

    name: Text
    entries: Mapping[str, Entry]
    rules: tuple[WrittenRule, ...]
    monitor: Monitor


def read(name: Text, body: Body, report: Report) -> Iterator[WrittenMonitor]:
    """The monitor, if there is enough to make one; what is wrong is reported."""
    found = _known(name, body, report)
    chosen = selector(found, report)
    exclude = _given(found, "exclude", entries.regex, report)
    flags = {key: bool(_given(found, key, entries.yes_or_no, report)) for key in ("children", "final", "observe")}
    rules = tuple(_rules(found["actions"], report)) if "actions" in found else ()
    if chosen is not None and (exclude is not None or "exclude" not in found):
        made = make_rules((rule.text.value, rule.trigger, [step for _, step in rule.steps]) for rule in rules)
        yield WrittenMonitor(name, found, rules, Monitor(name.value, chosen, made, exclude=exclude, **flags))


def _known(name: Text, body: Body, report: Report) -> dict[str, Entry]:
    """The keys of a monitor, each once; those unknown, twice or missing are reported."""
    found = {entry.key.value: entry for entry in body.entries}
    if name.value in MONITOR_KEYS and not found.keys() & MONITOR_KEYS.keys():
        report(name.place.problem(INDENT.format(name.value)))
        return {}
    if not name.value.strip():
        report(name.place.problem("a monitor needs a name before the ':', such as firefox:"))
    entries.report_twice(body.entries, report)
    for key in (entry.key for entry in body.entries if entry.key.value not in MONITOR_KEYS):
        report(key.place.problem(_no_key(key.value)))
    if body.whole:
        _report_missing(name, found, report)
    return found


def _report_missing(name: Text, found: Mapping[str, Entry], report: Report) -> None:
    if not found.keys() & SELECTORS.keys():
        text = f"'{name.value}' has no cmdline, exe or user to find processes by; write {SELECTORS['cmdline']}"
        report(name.place.problem(text))
    if "actions" not in found:
        report(name.place.problem(f"'{name.value}' has no actions; write {MONITOR_KEYS['actions']}"))


def _no_key(name: str) -> str:
    if _COMPARED.search(name):
        return f"the trigger '{name}' belongs below actions; indent it there"
    known = f"; its keys are {', '.join(MONITOR_KEYS)}"
    return f"a monitor has no '{name}'{did_you_mean(name, MONITOR_KEYS) or known}"


def _given(
    found: Mapping[str, Entry], key: str, read: Callable[[str], entries.Value], report: Report
) -> entries.Value | None:
    return entries.value(found[key], read, MONITOR_KEYS[key], report) if key in found else None


# --- whom it is about ---


def selector(found: Mapping[str, Entry], report: Report) -> Selector | None:
    """What `cmdline`, `exe` and `user` say; None where one of them is wrong, or none is there."""
    given = found.keys() & SELECTORS.keys()
    patterns = {
        key: entries.value(found[key], entries.regex, SELECTORS[key], report) for key in sorted(given - {"user"})
    }
    users = tuple(map(_user, entries.several(found["user"], SELECTORS["user"], report))) if "user" in given else None
    if not given or None in patterns.values() or users == ():
        return None
    return Selector(users=users, **patterns)


_LONGEST_UID = len(str(2**32))


def _user(text: Text) -> User:
    """A user by name or number; one whom the machine does not know is nobody."""
    if text.value.isascii() and text.value.isdigit():
        return User(text.value, int(text.value) if len(text.value) <= _LONGEST_UID else None)
    try:
        return User(text.value, pwd.getpwnam(text.value).pw_uid)
    except (KeyError, ValueError):
        return User(text.value, None)


# --- rules ---

_WORDED = re.compile(r"\s*(?:recovered\s+|after\s+\S+\s+)?(exec|notify|log)\b", re.IGNORECASE)


def _rules(entry: Entry, report: Report) -> Iterator[WrittenRule]:
    actions, node = entry
    if not isinstance(node, Body):
        if node is not None:
            report(actions.place.problem(_no_rules(node)))
        return
    if not node.entries and node.whole:
        report(actions.place.problem(f"actions is empty; write {MONITOR_KEYS['actions']}"))
    places: dict[str, Text] = {}
    for key, value in node.entries:
        trigger = entries.parsed(key, parse_trigger, report)
        steps = tuple(_steps(key, value, report))
        if trigger is not None:
            _report_same(key, places.setdefault(str(trigger), key), report)
            _report_misplaced(trigger, steps, report)
            yield WrittenRule(key, trigger, steps)


def _no_rules(node: Text | Listing) -> str:
    if isinstance(node, Listing):
        return "actions cannot be a list; write the triggers without '- ' before them"
    kind = f"cannot be '{node.value}'" if node.value else "is empty"
    return f"actions {kind}; write {MONITOR_KEYS['actions']}"


def _report_same(key: Text, first: Text, report: Report) -> None:
    if first is not key:
        where = first.place.seen_from(key.place)
        text = f"this is the same trigger as '{first.value}' in {where}; write the actions of both as a list below one"
        report(key.place.problem(text))


def _report_misplaced(trigger: Trigger, steps: tuple[tuple[Text, Step], ...], report: Report) -> None:
    """What an action says of a process, where its rule is about none."""
    for text, step in steps if trigger.shared else ():
        action = step.action
        if isinstance(action, (Signal, Adjust)) and action.target is Target.TREE:
            cure = "so there is no tree; write group or largest"
            report(text.spot(r"\btree\b").problem(f"'{trigger}' is about no single process, {cure}"))
        elif isinstance(action, (Notify, Log)):
            for found in VARIABLE.finditer(text.value):
                if (found["bare"] or found["braced"]) in PROCESS_VARIABLES:
                    cure = f"so there is no {found[0]}; leave it out"
                    report(text.part(*found.span()).problem(f"'{trigger}' is about no single process, {cure}"))


def _steps(trigger: Text, node: Node | None, report: Report) -> Iterator[tuple[Text, Step]]:
    items = node.items if isinstance(node, Listing) else (node,)
    if not items:
        report(trigger.place.problem(_no_action(trigger.value)))
    for item in items:
        step = _step(trigger, item, report)
        if step is not None and isinstance(item, Text):
            yield item, step


def _step(trigger: Text, node: Node | None, report: Report) -> Step | None:
    if isinstance(node, (Listing, Body)):
        text = "an action is one text; with ': ' in it, or '[' or '{' at its start, it needs single quotes around it"
        report(node.place.problem(text))
    elif node is not None and not node.value:
        report(trigger.place.problem(_no_action(trigger.value)))
    elif node is not None and node.comment and (worded := _WORDED.match(node.value)):
        what = "command" if worded[1].lower() == "exec" else "text"
        text = f"this '#' starts a comment and cuts the {what} short; put the whole action in single quotes"
        report(node.comment.problem(text))
    elif node is not None:
        return entries.parsed(node, parse_action, report)
    return None


def _no_action(trigger: str) -> str:
    return f"the trigger '{trigger}' has no action; write {trigger}: term"
