"""Configuration files as what they mean, or everything that is wrong with them."""

from __future__ import annotations

import contextlib
import grp
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fallfromgrace import entries, files, fragments, monitors, textfile
from fallfromgrace.entries import Report
from fallfromgrace.errors import ConfigError, Problem, RuleSyntaxError, did_you_mean
from fallfromgrace.files import Contents
from fallfromgrace.fragments import Entry, Fragment, Listing, Text
from fallfromgrace.fragments import Mapping as Body
from fallfromgrace.monitors import INDENT, MONITOR_KEYS, SELECTORS, WrittenMonitor
from fallfromgrace.rules import Config, Selector, Settings
from fallfromgrace.textfile import Place

MOST_PROBLEMS = 200

# --- files ------------------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What a configuration means, with the texts that it was read from."""

    config: Config
    monitors: tuple[WrittenMonitor, ...]
    protect: tuple[tuple[Place, Selector], ...]
    files: tuple[Path, ...]


def load(path: Path) -> Config:
    """What a file and its drop-ins mean. Raises ConfigError with every problem of every file."""
    return read(path).config


def read(path: Path) -> Written:
    """The same, for who has something to say about its texts. Raises ConfigError."""
    problems: list[Problem] = []
    contents = files.gather(path, problems.append)
    with _feasible(path):
        return understood(contents, problems)


def understood(contents: Sequence[Contents], problems: Sequence[Problem] = ()) -> Written:
    """What the contents of files mean, if there were no problems with these before. Raises ConfigError."""
    found = [_fragment(each) for each in contents]
    unreadable = [*problems, *(problem for fragment in found for problem in fragment.problems)]
    lines = {(problem.path, problem.line) for problem in unreadable}
    faults: list[Problem] = []
    written = _written([entry for fragment in found for entry in fragment.entries], faults.append)
    # What a line that YAML could not read seems to mean is no second problem.
    unreadable += [fault for fault in faults if (fault.path, fault.line) not in lines]
    if unreadable:
        raise ConfigError(_first(unreadable))
    return written._replace(files=tuple(each.path for each in contents))


def no_monitor(name: str, found: Config, path: Path) -> str:
    """That a configuration has none of that name, and which it has."""
    known = [monitor.name for monitor in found.monitors]
    hint = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none'}"
    return f"{path} has no monitor '{name}'{hint}"


def _first(problems: list[Problem]) -> list[Problem]:
    """What is no configuration at all has a fault in each of its lines, and nobody reads them by the thousand."""
    if len(problems) <= MOST_PROBLEMS:
        return problems
    first = sorted(problems)[:MOST_PROBLEMS]
    text = f"there are {len(problems)} faults, of which the first {MOST_PROBLEMS} are told; put these right first"
    return [*first, Problem(first[0].path, 0, 0, text)]


def _fragment(contents: Contents) -> Fragment:
    try:
        with _feasible(contents.path):
            return fragments.read(textfile.parse(str(contents.path), contents.data))
    except ConfigError as error:
        return Fragment((), error.problems)


@contextlib.contextmanager
def _feasible(path: Path) -> Iterator[None]:
    """What is too much for this machine is a problem of the file."""
    try:
        yield
    except MemoryError:
        text = "there is not enough memory to read it"
    except RecursionError:
        text = "it is nested too deeply to be read; make it simpler"
    else:
        return
    raise ConfigError([Problem(str(path), 0, 0, text)])


# --- the keys of a file -----------------------------------------------------------------------------------------

# Looking more often costs more than it finds.
SHORTEST_INTERVAL = 1.0


def _written(found: list[Entry], report: Report) -> Written:
    entries.report_twice(found, report)
    settings: dict[str, Any] = {}
    written: list[WrittenMonitor] = []
    for key, node in found:
        if key.value in _SETTINGS:
            settings[key.value] = _SETTINGS[key.value](Entry(key, node), report)
        elif isinstance(node, Body):
            written += monitors.read(key, node, report)
        elif node is not None:
            report(key.place.problem(_no_setting(key.value, node)))
    protect = settings.pop("protect", ())
    given = {name.replace("-", "_"): value for name, value in settings.items() if value is not None}
    meant = Settings(protect=tuple(selector for _, selector in protect), **given)
    return Written(Config(meant, tuple(each.monitor for each in written)), tuple(written), protect, ())


def _no_setting(name: str, node: Text | Listing) -> str:
    near = did_you_mean(name, _SETTINGS)
    if name in MONITOR_KEYS:
        return INDENT.format(name)
    if isinstance(node, Listing) and not near:
        return f"'{name}' cannot be a list; write its cmdline and actions without '- ' before them"
    if isinstance(node, Text) and not node.value and not near:
        return f"'{name}' has nothing below it; write its cmdline and actions there, indented"
    return f"there is no setting '{name}'" + (near or "; a monitor has cmdline and actions below its name, indented")


def _interval(entry: Entry, report: Report) -> float | None:
    return entries.value(entry, _long_enough, "interval: 10s", report)


def _long_enough(text: str) -> float:
    seconds = entries.duration(text)
    if seconds < SHORTEST_INTERVAL:
        raise RuleSyntaxError("the interval is too short; write 1s or more", 0, len(text))
    return seconds


_PROTECT = "- exe: ^/usr/sbin/sshd$"


def _protect(entry: Entry, report: Report) -> tuple[tuple[Place, Selector], ...]:
    """Whom nothing is ever done to, each with the place where it is written."""
    key, node = entry
    if not isinstance(node, Listing) or not node.items:
        if node is not None:
            report(key.place.problem(f"protect takes a list; write protect: and below it, indented, {_PROTECT}"))
        return ()
    return tuple(each for item in node.items if item is not None for each in _protected(item, report))


def _protected(item: Text | Listing | Body, report: Report) -> Iterator[tuple[Place, Selector]]:
    if not isinstance(item, Body) or not item.entries:
        report(item.place.problem(f"this has to be exe, user or cmdline with a ':' behind it; write {_PROTECT}"))
        return
    entries.report_twice(item.entries, report)
    for key in (each.key for each in item.entries if each.key.value not in SELECTORS):
        near = "" if key.value in MONITOR_KEYS else did_you_mean(key.value, SELECTORS)
        hint = near or f"; it has {', '.join(SELECTORS)}"
        report(key.place.problem(f"protect has no '{key.value}'{hint}"))
    selector = monitors.selector({each.key.value: each for each in item.entries}, report)
    if selector is not None:
        yield item.entries[0].key.place, selector


def _process_events(entry: Entry, report: Report) -> bool | None:
    return entries.value(entry, entries.yes_or_no, "process-events: no", report)


def _status_group(entry: Entry, report: Report) -> int | None:
    return entries.value(entry, _gid, "status-group: adm", report)


# What the kernel takes for a group; the one number above it says that there is none.
_MOST_GID, _MOST_DIGITS = (1 << 32) - 2, 10


def _gid(text: str) -> int:
    if text.isascii() and text.isdecimal():
        if len(text) > _MOST_DIGITS or int(text) > _MOST_GID:
            raise RuleSyntaxError(f"there is no group with a number above {_MOST_GID}; write a name", 0, len(text))
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, ValueError):  # a NUL in it
        raise RuleSyntaxError(f"there is no group '{text}'; getent group lists them", 0, len(text)) from None


_SETTINGS: Mapping[str, Callable[[Entry, Report], object]] = {
    "interval": _interval,
    "process-events": _process_events,
    "protect": _protect,
    "status-group": _status_group,
}
