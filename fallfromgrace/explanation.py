"""What `explain` has found out about one process, as lines for people and as values for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

from fallfromgrace.columns import aligned
from fallfromgrace.forms import plain
from fallfromgrace.insight import Due, Story
from fallfromgrace.lifecycle import Phase
from fallfromgrace.logs import one_line
from fallfromgrace.rules import Monitor, Rule, Step
from fallfromgrace.terminal import paint
from fallfromgrace.units import format_duration, human_duration


class Explained(NamedTuple):
    """The process. `parents` are the pids above it and their names; `barred` is why nothing is ever done to it."""

    pid: int
    start: int
    owner: str
    cmdline: str
    exe: str
    stopped: bool
    age: float
    parents: tuple[tuple[int, str], ...]
    barred: str


class Relation(NamedTuple):
    """What a monitor has to do with it. `below` is the pid of the one that it was found below, `why` says why it is not
    covered, and `reached` which rules act on it all the same, since they do on the tree of one above it."""

    monitor: Monitor
    covered: bool
    below: int | None = None
    why: str = ""
    reached: tuple[str, ...] = ()
    stories: tuple[Story, ...] = ()


class Basis(NamedTuple):
    """What it was found out by: a configuration, and what a daemon remembers; `written` is how long ago it did so."""

    config: str
    daemon: int | None
    written: float
    notes: tuple[str, ...]


class Explanation(NamedTuple):
    """Everything, as it was at a moment."""

    process: Explained
    basis: Basis
    relations: tuple[Relation, ...]
    now: float
    ended: bool = False


# --- for people ---


def lines(found: Explanation, width: int | None, colours: bool) -> Iterator[str]:
    """What is read; on a terminal no wider than that."""
    yield from _wrapped(_heading(found.process, width), "", width)
    yield from (line for text in _particulars(found) for line in _wrapped(text, "  ", width))
    for relation in found.relations:
        if relation.covered:
            yield ""
            yield from _monitor(relation, found.now, width, colours)
    others = [relation for relation in found.relations if not relation.covered]
    if others:
        yield from ("", "Not about it:")
        yield from (line for each in others for line in _wrapped(_why_not(each), "  ", width))


def _heading(process: Explained, width: int | None) -> str:
    cmdline = one_line(process.cmdline, _MOST_LINES * width) if width else one_line(process.cmdline)
    return f"{process.pid} of {one_line(process.owner)}: {cmdline or '(without arguments)'}"


# Of a command line on a terminal.
_MOST_LINES = 3


def _particulars(found: Explanation) -> Iterator[str]:
    process = found.process
    executes = f"executes {one_line(process.exe)}" if process.exe else "what it executes cannot be read"
    above = ", ".join(f"{pid} ({one_line(name)})" for pid, name in process.parents)
    told = [executes, f"started {human_duration(process.age)} ago", f"child of {above}" if above else ""]
    yield "; ".join(filter(None, told))
    if process.stopped:
        yield "it is stopped"
    if process.barred:
        yield f"nothing is ever done to it: {process.barred}"
    yield _basis(found.basis)
    yield from (f"note: {one_line(note)}" for note in found.basis.notes)


def _basis(basis: Basis) -> str:
    config = one_line(basis.config)
    if basis.daemon is None:
        return f"by {config}, as a daemon that starts now would see it"
    return f"by {config}, as the daemon (pid {basis.daemon}) remembered it {human_duration(basis.written)} ago"


def _monitor(relation: Relation, now: float, width: int | None, colours: bool) -> Iterator[str]:
    monitor = relation.monitor
    how = "selects it" if relation.below is None else f"covers it, below {relation.below}"
    observed = ", and only observes" if monitor.observe else ""
    yield from _wrapped(f"{one_line(monitor.name)} {how}{observed}", "", width)
    for story in relation.stories:
        yield from _rule(story, width, colours)
        yield from (f"      {line}".rstrip()[:width] for line in aligned(list(_rows(story))))
        first, *more = (line for text in _prospects(story, now) for line in _wrapped(text, "      ", width))
        yield from (paint(first, *_STYLES[story.phase], on=colours), *more)


def _does(rule: Rule) -> str:
    """All its actions as they could be written in one line."""
    steps = [Step(item.action) for item in rule.rungs[0].items]
    for rung in rule.rungs[1:]:
        first, *rest = rung.items
        steps += [Step(first.action, rung.after), *(Step(item.action) for item in rest)]
    return "; ".join(map(str, [*steps, *(Step(item.action, recovered=True) for item in rule.recovered)]))


def _rule(story: Story, width: int | None, colours: bool) -> Iterator[str]:
    about = " (about all that is covered)" if story.identity is None else ""
    trigger = one_line(story.rule.text)
    for line in _wrapped(f"{trigger}: {one_line(_does(story.rule))}{about}", "  ", width):
        yield line.replace(f"  {trigger}:", f"  {paint(trigger, 'bold', on=colours)}:", 1)


_TRUTHS = {True: "true", False: "false", None: "?"}


def _rows(story: Story) -> Iterator[tuple[str, ...]]:
    for before, measures in (("", story.measures), ("until ", story.until_measures)):
        for each in measures:
            share = "" if each.share is None else f"{100 * min(each.share, _MOST_SHARE):.0f}%"
            yield _TRUTHS[each.holds], before + each.text, f"{each.value}, limit {each.limit}", share


_MOST_SHARE = 99.99


def _prospects(story: Story, now: float) -> Iterator[str]:
    yield _phase(story, now)
    for due in story.due:
        if now < due.at < inf:
            yield f"limit: {one_line(due.action)}: again in {human_duration(due.at - now)}"
    yield f"next: {one_line(story.next)}"


_STYLES = {Phase.FIRING: ("red",), Phase.PENDING: ("yellow",), Phase.INACTIVE: ()}


def _phase(story: Story, now: float) -> str:
    ago = "" if story.since is None else f" for {human_duration(max(0.0, now - story.since))}"
    if story.phase is Phase.PENDING:
        return f"pending: has held{ago} of {format_duration(story.rule.trigger.fires.seconds)}"
    if story.phase is Phase.INACTIVE:
        return f"has not fired{ago}" if ago else "does not fire"
    steps = len(story.rule.rungs)
    return f"firing{ago}" + (f", step {story.rung + 1} of {steps}" if steps > 1 else "")


def _why_not(relation: Relation) -> str:
    told = f"{one_line(relation.monitor.name)}: {one_line(relation.why)}"
    return "; ".join([told, *(f"but {one_line(each)}" for each in relation.reached)])


def _wrapped(text: str, indent: str, width: int | None) -> Iterable[str]:
    """In as many lines as it takes; in a pipe in one."""
    if width is None or len(indent) + len(text) <= width:
        return [indent + text]
    room = max(width, len(indent) + 20)
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


# --- for programs ---


def as_json(found: Explanation) -> object:
    """Plain values; times are in seconds from now, None for never."""
    return plain(_as_values(found))


def _as_values(found: Explanation) -> dict[str, object]:
    process, basis = found.process, found.basis
    parents = [{"pid": pid, "name": name} for pid, name in process.parents]
    return {
        "pid": process.pid,
        "process": {**process._asdict(), "parents": parents},
        "ended": found.ended,
        "config": basis.config,
        "daemon": None if basis.daemon is None else {"pid": basis.daemon, "written": basis.written},
        "notes": basis.notes,
        "monitors": [_relation(each, found.now) for each in found.relations],
    }


def _relation(relation: Relation, now: float) -> dict[str, object]:
    return {
        "monitor": relation.monitor.name,
        "observe": relation.monitor.observe,
        "covered": relation.covered,
        "below": relation.below,
        "why": relation.why,
        "reached": relation.reached,
        "rules": [_story(story, now) for story in relation.stories],
    }


def _story(story: Story, now: float) -> dict[str, object]:
    return {
        "rule": story.rule.text,
        "trigger": story.rule.key,
        "actions": [str(item.action) for item in story.rule.items],
        "about": "all that is covered" if story.identity is None else "the process",
        "holds": story.holds,
        "measures": story.measures,
        "until": story.until if story.rule.trigger.until else None,
        "until_measures": story.until_measures,
        "phase": story.phase.value,
        "for": None if story.since is None else now - story.since,
        "known": story.known,
        "step": story.rung + 1 if story.phase is Phase.FIRING else 0,
        "steps": len(story.rule.rungs),
        "due": [_due(each, now) for each in story.due],
        "next": story.next,
    }


def _due(due: Due, now: float) -> dict[str, object]:
    return {"action": due.action, "in": None if due.at == inf else max(0.0, due.at - now)}
