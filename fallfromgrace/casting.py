"""Who is in a test: the processes that it makes up, as they are written, and what cannot be so among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from math import inf
from typing import NamedTuple

from fallfromgrace import entries, monitors, units
from fallfromgrace.entries import Report, Value
from fallfromgrace.errors import Problem, RuleSyntaxError, did_you_mean
from fallfromgrace.expectation import BEGINNINGS, parse_time
from fallfromgrace.fragments import Entry, Text
from fallfromgrace.fragments import Mapping as Body
from fallfromgrace.rules import User
from fallfromgrace.series import UNKNOWN, Series, parse_series
from fallfromgrace.table import UNREADABLE
from fallfromgrace.units import parse_duration, parse_percentage, parse_rate, parse_size

# What is measured of a process and of the machine, with how to write it.
MEASURED = {
    **{name: f"{name}: 100m 600m+50mx10" for name in ("rmem", "vmem", "pmem", "umem", "swap")},
    "cpu": "cpu: 5% 90%",
    "cputime": "cputime: 1m+5sx10",
    "threads": "threads: 4",
    "fds": "fds: 10 800",
    "fdlimit": "fdlimit: 1024",
    "read": "read: 0 10m/s",
    "write": "write: 0 10m/s",
}
MACHINE = {
    "memory": "memory: 8g",
    "swaptotal": "swaptotal: 2g",
    "available": "available: 4g 4g 300m",
    "swapfree": "swapfree: 2g 1g",
    "load": "load: 0.5 8",
    "pressure": "pressure: 0 25%",
}
KEYS = {
    "cmdline": "cmdline: /usr/lib/firefox/firefox",
    "exe": "exe: /usr/bin/firefox",
    "user": "user: alice",
    "pid": "pid: 1234",
    "parent": "parent: firefox, which is the name of another process here",
    "starts": "starts: 20s",
    "ends": "ends: 4m",
    "age": "age: 1h",
    "stopped": "stopped: no yes yes no",
    **MEASURED,
}
BELONGS = "'{}' belongs to a process; indent it below the process's name"
_FIRST_PID, _LARGEST_PID = 1001, 1 << 22
_USER = User("1000", 1000)


class Actor(NamedTuple):
    """A process of a test. It is there from `starts` to `ends`, and `age` seconds old when it comes.

    What is measured has a value for each step from its start.
    """

    name: str
    pid: int
    cmdline: str
    exe: str
    user: User
    parent: str
    starts: float
    ends: float
    age: float
    stopped: Series
    measured: Mapping[str, Series]

    @property
    def born(self) -> float:
        """When it began, by its age."""
        return self.starts - self.age

    @property
    def lasts(self) -> float:
        """How many seconds it is there."""
        return self.ends - self.starts


class _Written(NamedTuple):
    """A process with the entries that it was read from."""

    actor: Actor
    entries: Mapping[str, Entry]

    def problem(self, key: str, text: str) -> Problem:
        """What is wrong with the value of one of its keys."""
        name, node = self.entries[key]
        return (node or name).place.problem(text)


# --- values -----------------------------------------------------------------------------------------------------


def _number(text: str) -> float:
    """A whole one."""
    if "." in text:
        raise ValueError(f"'{text}' is no whole number; write one such as 4")
    return units.parse_number(text)


def _truth(text: str) -> float:
    try:
        return float(entries.yes_or_no(text))
    except RuleSyntaxError as error:
        raise ValueError(error.text) from None


def _or_zero(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Nothing of something needs no unit."""
    return lambda text: 0 if text in ("0", "0.0") else parse(text)


_PARSE: Mapping[str, Callable[[str], float]] = {
    **dict.fromkeys(("rmem", "vmem", "pmem", "umem", "swap"), parse_size),
    **dict.fromkeys(("memory", "swaptotal", "available", "swapfree"), parse_size),
    **dict.fromkeys(("cpu", "pressure"), _or_zero(parse_percentage)),
    **dict.fromkeys(("read", "write"), _or_zero(parse_rate)),
    **dict.fromkeys(("threads", "fds", "fdlimit"), _number),
    "cputime": parse_time,
    "load": units.parse_number,
    "stopped": _truth,
}


def series(entry: Entry, example: str, report: Report) -> Series | None:
    """What is measured from step to step; None once it is reported why that cannot be."""
    return entries.value(entry, partial(parse_series, parse=_PARSE[entry.key.value]), example, report)


def _whole(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """With a fault that covers all of the text."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise RuleSyntaxError(str(error), 0, len(text)) from None

    return read


time = _whole(parse_time)
duration = _whole(parse_duration)


@_whole
def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= _LARGEST_PID):
        raise ValueError(f"'{text}' is no pid; write a number from 1 to {_LARGEST_PID}")
    return int(text)


# --- one process ------------------------------------------------------------------------------------------------


def read(body: Body, report: Report) -> tuple[Actor, ...]:
    """The processes of a test, in the order of the file; what is wrong is reported."""
    entries.report_twice(body.entries, report)
    found: list[_Written] = []
    for name, node in body.entries:
        if isinstance(node, Body):
            _report_name(name, report)
            entries.report_twice(node.entries, report)
            _report_unknown(node, report)
            found.append(_Written(_actor(name, node, report), {entry.key.value: entry for entry in node.entries}))
        elif node is not None:
            bare = f"'{name.value}' needs a cmdline below it, indented; write {KEYS['cmdline']}"
            report(name.place.problem(BELONGS.format(name.value) if name.value in KEYS else bare))
    _report_impossible(found, report)
    return tuple(_numbered([written.actor for written in found]))


def _report_name(name: Text, report: Report) -> None:
    if name.value in KEYS:
        report(name.place.problem(BELONGS.format(name.value)))
    elif name.value.lower() in BEGINNINGS:
        text = f"a process cannot have the name '{name.value}', for that is what may be done; write another"
        report(name.place.problem(text))
    elif not name.value or name.value.split() != [name.value]:
        report(name.place.problem("the name of a process is one word; write one such as firefox"))


def _report_unknown(body: Body, report: Report) -> None:
    for key in (each.key for each in body.entries if each.key.value not in KEYS):
        if key.value in MACHINE:
            hint = "; that is measured of the machine, below machine:"
        else:
            hint = did_you_mean(key.value, KEYS) or f"; it has {', '.join(KEYS)}"
        report(key.place.problem(f"a process has no '{key.value}'{hint}"))


def _actor(name: Text, body: Body, report: Report) -> Actor:
    found = {entry.key.value: entry for entry in body.entries}

    def given(key: str, parse: Callable[[str], Value], default: Value) -> Value:
        value = entries.value(found[key], parse, KEYS[key], report) if key in found else None
        return default if value is None else value

    measured = {key: each for key in MEASURED if key in found if (each := series(found[key], KEYS[key], report))}
    if "rmem" in measured:
        measured.setdefault("vmem", measured["rmem"])
    cmdline, exe = given("cmdline", str, ""), given("exe", str, "")
    if body.whole and not found.keys() & {"cmdline", "exe"}:
        report(name.place.problem(f"'{name.value}' has no cmdline; write {KEYS['cmdline']}"))
    return Actor(
        name=name.value,
        pid=given("pid", _pid, 0),
        cmdline=UNREADABLE if cmdline == UNKNOWN else cmdline or exe,
        exe=_exe(cmdline, exe),
        user=_user(found, report),
        parent=given("parent", str, ""),
        starts=given("starts", time, 0.0),
        ends=given("ends", time, inf),
        age=given("age", time, 0.0),
        stopped=(series(found["stopped"], KEYS["stopped"], report) if "stopped" in found else None) or (0.0,),
        measured=measured,
    )


def _exe(cmdline: str, exe: str) -> str:
    """What it executes: where nothing is said of it what its command line begins with."""
    if exe or cmdline == UNKNOWN or not cmdline.split():
        return "" if exe == UNKNOWN else exe
    return cmdline.split()[0]


def _user(found: Mapping[str, Entry], report: Report) -> User:
    if "user" not in found:
        return _USER
    if not isinstance(found["user"].value, Text):
        entries.value(found["user"], str, KEYS["user"], report)
        return _USER
    selector = monitors.selector({"user": found["user"]}, report)
    return selector.users[0] if selector and selector.users else _USER


# --- all of them ------------------------------------------------------------------------------------------------


def _numbered(actors: Sequence[Actor]) -> Iterator[Actor]:
    """With pids for those who were given none."""
    given = {actor.pid for actor in actors}
    free = (pid for pid in count(_FIRST_PID) if pid not in given)
    return (actor if actor.pid else actor._replace(pid=next(free)) for actor in actors)


def _report_impossible(found: Sequence[_Written], report: Report) -> None:
    """What each may be by itself, and cannot be beside the others."""
    by_name = {each.actor.name: each for each in found}
    by_pid: dict[int, _Written] = {}
    for each in found:
        actor = each.actor
        if actor.ends <= actor.starts:
            report(each.problem("ends", f"'{actor.name}' ends before it starts; write a later time"))
        if {"cpu", "cputime"} <= actor.measured.keys():
            report(each.problem("cputime", "cpu and cputime say the same twice; keep one of the two"))
        if actor.pid and by_pid.setdefault(actor.pid, each) is not each:
            other = by_pid[actor.pid].actor.name
            report(each.problem("pid", f"'{other}' has this pid already; write another"))
        if actor.parent and (fault := _no_parent(actor, {name: one.actor for name, one in by_name.items()})):
            report(each.problem("parent", fault))


def _no_parent(actor: Actor, actors: Mapping[str, Actor]) -> str:
    """Why what is said to be its parent cannot be; empty where it can."""
    parent = actors.get(actor.parent)
    if parent is None:
        hint = did_you_mean(actor.parent, actors) or f"; there are {', '.join(actors)}"
        return f"there is no process '{actor.parent}' in this test{hint}"
    if _below_itself(actor, actors):
        return f"'{actor.name}' would be below itself; write another parent"
    if parent.born > actor.born or parent.starts > actor.starts:
        return (
            f"'{parent.name}' is younger than '{actor.name}'; write a later starts or a smaller age for '{actor.name}'"
        )
    if parent.ends <= actor.starts:
        return f"'{parent.name}' has ended when '{actor.name}' starts; write an earlier starts, or no parent"
    return ""


def _below_itself(actor: Actor, actors: Mapping[str, Actor]) -> bool:
    seen = {actor.name}
    above = actors.get(actor.parent)
    while above and above.name not in seen:
        seen.add(above.name)
        above = actors.get(above.parent)
    return above is actor
