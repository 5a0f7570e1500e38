"""Tests of a configuration: made-up processes, what they use from step to step, and what is to be done about it.

A file has a test for each key at the left margin. What is wrong with one is told as it is of a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from math import inf
from typing import NamedTuple

from fallfromgrace import casting, entries, fragments, textfile
from fallfromgrace.casting import Actor
from fallfromgrace.entries import Report
from fallfromgrace.errors import ConfigError, Problem, did_you_mean
from fallfromgrace.expectation import EXAMPLE, Expectation, parse_expectation
from fallfromgrace.fragments import Entry, Listing, Node, Text
from fallfromgrace.fragments import Mapping as Body
from fallfromgrace.monitors import MONITOR_KEYS
from fallfromgrace.rules import WORDED
from fallfromgrace.series import Series
from fallfromgrace.textfile import Place

KEYS = {
    "step": "step: 10s",
    "until": "until: 5m",
    "monitors": "monitors: browser, or monitors: [browser, editor]",
    "machine": f"machine: and below it, indented, {casting.MACHINE['memory']}",
    "processes": "processes: and below it, indented, the name of one, and below that its cmdline",
    "expect": f"expect: and below it, indented, - {EXAMPLE}, or expect: nothing",
}
_CONFIG = "config: fall-from-grace.conf"
_A_TEST = "a test has processes and expect below its name, indented"
_NOTHING = "nothing"
_INDENT = "'{}' belongs to a test; indent it below the test's name"
_CUT = "this '#' starts a comment and cuts the expectation short; put the whole of it in single quotes"
_WORDED = re.compile(rf"\b(?:{'|'.join(WORDED)})\b", re.IGNORECASE)


class Scenario(NamedTuple):
    """A test; without `step` one is the interval of the configuration, without `until` it ends with what is written.

    With `monitors` it is about these only, and what others do does not matter.
    """

    name: str
    place: Place
    step: float | None
    until: float | None
    monitors: tuple[Text, ...]
    machine: Mapping[str, Series]
    actors: tuple[Actor, ...]
    expected: tuple[Expectation, ...]


class Script(NamedTuple):
    """A file of tests; `config` is what it says whose rules they are about, empty where it does not."""

    config: str
    scenarios: tuple[Scenario, ...]


def read(path: str, data: bytes) -> Script:
    """What a file says. Raises ConfigError with everything that is wrong with it."""
    if not data.strip():
        raise ConfigError([Problem(path, 0, 0, f"the file is empty; {_A_TEST}")])
    fragment = fragments.read(textfile.parse(path, data))
    lines = {problem.line for problem in fragment.problems}
    faults: list[Problem] = []
    script = _script(fragment.entries, faults.append)
    if not script.scenarios and not (fragment.problems or faults):
        faults.append(Problem(path, 0, 0, f"there is no test in it; {_A_TEST}"))
    # What a line that YAML could not read seems to mean is no second problem.
    problems = [*fragment.problems, *(fault for fault in faults if fault.line not in lines)]
    if problems:
        raise ConfigError(problems)
    return script


def _script(found: tuple[Entry, ...], report: Report) -> Script:
    entries.report_twice(found, report)
    config = ""
    scenarios: list[Scenario] = []
    for key, node in found:
        if key.value == "config":
            config = entries.value(Entry(key, node), str, _CONFIG, report) or ""
        elif isinstance(node, Body) and key.value not in KEYS:
            scenarios.append(_scenario(key, node, report))
        elif node is not None:
            report(key.place.problem(_no_setting(key.value)))
    return Script(config, tuple(scenarios))


def _no_setting(name: str) -> str:
    if name in KEYS:
        return _INDENT.format(name)
    near = did_you_mean(name, ["config"])
    return f"there is no setting '{name}'" + (near or f"; {_A_TEST}")


# --- one test ---------------------------------------------------------------------------------------------------


def _scenario(name: Text, body: Body, report: Report) -> Scenario:
    found = {entry.key.value: entry for entry in body.entries}
    if not name.value.strip():
        report(name.place.problem("a test needs a name before the ':', such as a browser that grows:"))
    entries.report_twice(body.entries, report)
    for key in (each.key for each in body.entries if each.key.value not in KEYS):
        report(key.place.problem(_no_key(key.value)))
    if body.whole and "expect" not in found:
        report(name.place.problem(f"'{name.value}' does not say what it expects; write {KEYS['expect']}"))
    step, until = (
        entries.value(found[key], casting.duration, KEYS[key], report) if key in found else None
        for key in ("step", "until")
    )
    monitors = entries.several(found["monitors"], KEYS["monitors"], report) if "monitors" in found else ()
    actors = casting.read(below, report) if (below := _below(found, "processes", report)) else ()
    machine = _machine(found, report)
    names = _names(found)
    # Where YAML's reading ended inside, what is left of a list is no second problem.
    asked = body.whole and "expect" in found
    expected = tuple(_expected(found["expect"], names, until or inf, report)) if asked else ()
    return Scenario(name.value, name.place, step, until, monitors, machine, actors, expected)


def _no_key(name: str) -> str:
    if name in casting.KEYS:
        return casting.BELONGS.format(name)
    if name in MONITOR_KEYS:
        return f"'{name}' belongs to a monitor; a test is about those of the configuration that -c names, or {_CONFIG}"
    known = f"; its keys are {', '.join(KEYS)}"
    return f"a test has no '{name}'{did_you_mean(name, KEYS) or known}"


def _below(found: Mapping[str, Entry], key: str, report: Report) -> Body | None:
    """What is below a key that has others below it; None once it is reported that there is nothing."""
    if key not in found:
        return None
    name, node = found[key]
    if isinstance(node, Body):
        return node
    if node is not None:
        report(name.place.problem(f"'{key}' needs something below it; write {KEYS[key]}"))
    return None


def _names(found: Mapping[str, Entry]) -> list[str]:
    """Of all processes, also of those with which something is wrong."""
    node = found["processes"].value if "processes" in found else None
    return [entry.key.value for entry in node.entries] if isinstance(node, Body) else []


def _machine(found: Mapping[str, Entry], report: Report) -> dict[str, Series]:
    body = _below(found, "machine", report)
    measured: dict[str, Series] = {}
    if body:
        entries.report_twice(body.entries, report)
    for entry in body.entries if body else ():
        name = entry.key.value
        if name not in casting.MACHINE:
            report(entry.key.place.problem(_not_of_the_machine(name)))
        elif series := casting.series(entry, casting.MACHINE[name], report):
            measured[name] = series
    return measured


def _not_of_the_machine(name: str) -> str:
    if name in casting.MEASURED:
        return casting.BELONGS.format(name)
    hint = did_you_mean(name, casting.MACHINE) or f"; it has {', '.join(casting.MACHINE)}"
    return f"the machine has no '{name}'{hint}"


# --- what it expects --------------------------------------------------------------------------------------------


def _expected(entry: Entry, names: list[str], until: float, report: Report) -> Iterator[Expectation]:
    key, node = entry
    if isinstance(node, Text) and node.value.lower() == _NOTHING:
        return
    items: tuple[Node | None, ...] = node.items if isinstance(node, Listing) else (node,)
    if isinstance(node, Body) or not items or (isinstance(node, Text) and not node.value):
        report(key.place.problem(f"'expect' takes a list; write {KEYS['expect']}"))
        return
    for item in items:
        if isinstance(item, Text):
            yield from _expectation(item, names, until, report)
        elif item is not None:
            text = "an expectation is one text; with ': ' in it, or '[' or '{' at its start, it needs single quotes"
            report(item.place.problem(text))


def _expectation(text: Text, names: list[str], until: float, report: Report) -> Iterator[Expectation]:
    if text.comment and _WORDED.search(text.value):
        report(text.comment.problem(_CUT))
        return
    found = entries.parsed(text, partial(parse_expectation, names=names), report)
    if found and found.at > until:
        report(text.spot(r"\S+").problem("the test has ended by then; write a longer until, or leave that out"))
    elif found:
        yield found
