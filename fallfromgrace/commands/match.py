"""`match`: which running processes the monitors are about, which they leave alone and why, and what these hold."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fallfromgrace import config, entries, exits, privileges, terminal
from fallfromgrace.columns import aligned
from fallfromgrace.coverage import Covered
from fallfromgrace.engine import Engine
from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.expression import Metric, Scope
from fallfromgrace.forms import plain
from fallfromgrace.intervals import Interval
from fallfromgrace.linux import LinuxSource
from fallfromgrace.logs import one_line
from fallfromgrace.looks import Look
from fallfromgrace.observer import everybody, others
from fallfromgrace.patience import Patience, Pattern, limited
from fallfromgrace.progress import Progress
from fallfromgrace.readings import Facet, Want
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Config, Monitor, Selector, Settings, counted
from fallfromgrace.table import Descent, Process, ProcessId
from fallfromgrace.units import human_size
from fallfromgrace.values import owner


@dataclass(frozen=True, slots=True)
class Options:
    """What to look for: one monitor of a configuration or all of them, or what a regex finds."""

    config: Path
    name: str | None = None
    cmdline: str | None = None
    as_json: bool = False


class Row(NamedTuple):
    """A process as it is shown; sizes are bytes, None where they cannot be read."""

    pid: int
    owner: str
    below: int | None  # the process that it was found below
    note: str  # why it is left alone; empty where it is not
    rmem: int | None
    pmem: int | None
    tree_rmem: int | None
    tree_pmem: int | None
    cmdline: str


class _Found(NamedTuple):
    """What a monitor is about: as a whole, and each process."""

    monitor: str
    group: dict[str, int | None]
    rows: list[Row]


# So many processes are read between two words about how far it is; a single large one may take a second.
_AT_A_TIME = 25


def run(options: Options) -> int:
    """The exit status: 0 if anything matches, 1 if nothing does."""
    wanted = limited(_wanted(options), Patience(terminal.tell))
    engine = Engine(wanted, privileges.ourselves())
    with contextlib.closing(LinuxSource(terminal.tell)) as source:
        source.configure(lambda image: True, process_events=False)
        table, now = everybody(source)
        look = engine.look(others(table), (), now)
        # All monitors are asked, for an earlier one may be final.
        asked = [covered for covered in look.covered if options.name in (None, covered.monitor.name)]
        _measure(source, look, list(_concerned(asked, look)), now)
    found = [_Found(covered.monitor.name, _group(covered, look), list(_rows(covered, look))) for covered in asked]
    if options.as_json:
        print(json.dumps(plain([_as_json(each) for each in found]), indent=2))
    else:
        print(terminal.showable("\n\n".join(_shown(found))))
    return exits.OK if any(covered.descents for covered in asked) else exits.NO


def _wanted(options: Options) -> Config:
    if options.cmdline is not None:
        try:
            selector = Selector(entries.regex(options.cmdline))
        except RuleSyntaxError as error:
            raise exits.UsageError(f"'{options.cmdline}': {error.text}") from None
        return Config(Settings(), (Monitor("--cmdline", selector, ()),))
    loaded = config.load(options.config)
    if options.name is None or any(monitor.name == options.name for monitor in loaded.monitors):
        return loaded
    raise exits.UsageError(config.no_monitor(options.name, loaded, options.config))


# --- what is there ---


def _listed(covered: Covered, look: Look) -> Iterator[tuple[Descent, str]]:
    """Whom a monitor is about, and whom it would be about were they not left alone; each with what bars acting."""
    for descent in covered.descents:
        yield descent, look.bar(descent)
    for process in look.table:
        if process.id not in covered.identities and (why := _left_alone(covered, process)):
            yield Descent(process, process, 0), why


def _left_alone(covered: Covered, process: Process) -> str:
    selector, image = covered.monitor.selector, process.image
    why = covered.spared.get(process.id, "")
    if why and selector.matches(image):
        return why
    searched = ("cmdline", selector.cmdline, image.cmdline), ("exe", selector.exe, image.exe)
    stopped = (key for key, pattern, text in searched if isinstance(pattern, Pattern) and pattern.stopped(text))
    return next((f"not found: the search by {key} took too long" for key in stopped), "")


def _concerned(asked: Sequence[Covered], look: Look) -> set[ProcessId]:
    listed = (descent for covered in asked for descent, _ in _listed(covered, look))
    return {each.process.id for descent in listed for each in look.tree(descent)}


def _measure(source: LinuxSource, look: Look, concerned: Sequence[ProcessId], now: float) -> None:
    with Progress("reading what processes hold", len(concerned)) as progress:
        for first in range(0, len(concerned), _AT_A_TIME):
            some = concerned[first : first + _AT_A_TIME]
            wants = [Want(identity, facet) for identity in some for facet in (Facet.MEMORY, Facet.ROLLUP)]
            look.readings.add(wants, source.measure(wants, now))
            progress.step(first + len(some))


def _rows(covered: Covered, look: Look) -> Iterator[Row]:
    return (_row(covered, descent, look, note) for descent, note in _listed(covered, look))


def _row(covered: Covered, descent: Descent, look: Look, note: str) -> Row:
    sight, process = look.sight_of(covered, descent), descent.process
    return Row(
        pid=process.id.pid,
        owner=owner(process.image.uid),
        below=descent.root.id.pid if descent.depth else None,
        note=note,
        rmem=_known(sight.interval(Metric("rmem"))),
        pmem=_known(sight.interval(Metric("pmem"))),
        tree_rmem=_known(sight.interval(Metric("rmem", Scope.TREE))),
        tree_pmem=_known(sight.interval(Metric("pmem", Scope.TREE))),
        cmdline=process.image.shown,
    )


def _known(size: Interval) -> int | None:
    return int(size.low) if size.known else None


def _group(covered: Covered, look: Look) -> dict[str, int | None]:
    sight = look.sight_of(covered, None)
    sizes = {name: _known(sight.interval(Metric(name, Scope.GROUP))) for name in ("rmem", "pmem")}
    return {"count": len(covered.descents), **sizes}


# --- how it is shown ---


def _as_json(found: _Found) -> dict[str, object]:
    return {"monitor": found.monitor, **found.group, "processes": found.rows}


_HEAD = ("PID", "OWNER", "RMEM", "PMEM", "TREE RMEM", "TREE PMEM", "COMMAND")
_RIGHT = (0, 2, 3, 4, 5)  # the numbers


def _shown(found: Sequence[_Found]) -> Iterator[str]:
    """A block of lines for each monitor, in columns; on a terminal no wider than that."""
    width, colours = terminal.width(), terminal.colourful()
    for each in found:
        columns = aligned([_HEAD, *map(_cells, each.rows)], _RIGHT) if each.rows else ()
        styles = [("bold",), ("dim",), *(("dim",) if row.note else () for row in each.rows)]
        lines = zip((_summary(each), *(f"  {line}" for line in columns)), styles, strict=False)
        yield "\n".join(terminal.paint(terminal.cut(line, width), *style, on=colours) for line, style in lines)


def _summary(found: _Found) -> str:
    name, count = one_line(found.monitor), found.group["count"]
    if not count:
        return f"{name}: nothing matches"
    rmem, pmem = _size(found.group["rmem"]), _size(found.group["pmem"])
    return f"{name}: {counted(count, 'process')}, rmem {rmem} (shared pages counted in each), pmem {pmem}"


def _cells(row: Row) -> tuple[str, ...]:
    sizes = [_size(size) for size in (row.rmem, row.pmem, row.tree_rmem, row.tree_pmem)]
    notes = [f"below {row.below}"] if row.below else []
    notes += [row.note] if row.note else []
    told = f"[{'; '.join(notes)}] " if notes else ""
    return (str(row.pid), row.owner, *sizes, told + one_line(row.cmdline))


def _size(size: int | None) -> str:
    return "?" if size is None else human_size(size)
