"""`test`: what a configuration does to made-up processes, beside what was expected of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from fallfromgrace import config, exits, scenario, staging, terminal
from fallfromgrace.arguments import DEFAULT_CONFIG
from fallfromgrace.columns import aligned
from fallfromgrace.comparison import Pair, compared, done
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.excuses import Evidence, Hearing, excuse
from fallfromgrace.expectation import format_time
from fallfromgrace.forms import plain
from fallfromgrace.frames import Frame
from fallfromgrace.logs import one_line
from fallfromgrace.patience import Patience, limited
from fallfromgrace.progress import Progress
from fallfromgrace.protection import Self
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Config, counted
from fallfromgrace.scenario import Scenario, Script
from fallfromgrace.simulation import simulate
from fallfromgrace.textfile import LARGEST

# We act as root, and are none of those who are made up.
_NOBODY = Self(0)
_COLOURS = {"-": "red", "+": "green", " ": "dim"}


@dataclass(frozen=True, slots=True)
class Options:
    """The files of tests, and the configuration that they are about, whatever they say; None if that was not given."""

    config: Path | None
    files: tuple[Path, ...]
    as_json: bool = False


# Of which file, and by whose rules.
_Play = tuple[Path, Scenario, Config]


class Line(NamedTuple):
    """What was expected and not done (`-`), done and not expected (`+`), or both (` `).

    `excuse` is why it was not done; the monitor and what follows is by what it was.
    """

    mark: str
    at: float
    process: str
    action: str
    excuse: str = ""
    monitor: str = ""
    rule: str = ""
    value: str = ""
    limit: str = ""

    @property
    def note(self) -> str:
        return self.excuse or f"{self.monitor}: {self.rule} ({self.value})"


class Finding(NamedTuple):
    """What came of one test."""

    path: Path
    scenario: Scenario
    lines: tuple[Line, ...]

    @property
    def passed(self) -> bool:
        return all(line.mark == " " for line in self.lines)


def run(options: Options) -> int:
    """The exit status: 0 if all that was expected is done and nothing else, 1 if not."""
    findings = list(_findings(_plays(options)))
    if options.as_json:
        text = json.dumps(plain([_as_json(each) for each in findings]), indent=2)
    else:
        text = terminal.showable("\n".join(_shown(findings, colours=terminal.colourful())))
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read it has seen enough, and what failed has failed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return exits.OK if all(finding.passed for finding in findings) else exits.NO


# --- what there is to test --------------------------------------------------------------------------------------


def _plays(options: Options) -> list[_Play]:
    """Every test of every file with its configuration. Raises ConfigError with all that is wrong with any of them."""
    problems: list[Problem] = []
    load = cache(_loaded)
    plays = [play for path in options.files for play in _of_file(path, options.config, load, problems)]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return plays


def _of_file(path: Path, asked: Path | None, load: Callable[[Path], Config], problems: list[Problem]) -> list[_Play]:
    try:
        script = scenario.read(str(path), _data(path))
        where = _configuration(path, script, asked)
        rules = load(where)
    except ConfigError as error:
        problems += error.problems
        return []
    problems += (fault for each in script.scenarios for fault in _unknown(each, rules, where))
    return [(path, each, rules) for each in script.scenarios]


def _unknown(play: Scenario, rules: Config, where: Path) -> Iterator[Problem]:
    """The monitors that a test is about and that the configuration does not have."""
    known = {monitor.name for monitor in rules.monitors}
    for name in (each for each in play.monitors if each.value not in known):
        yield name.place.problem(config.no_monitor(name.value, rules, where))


def _data(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        text = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(str(path), 0, 0, text)]) from None
    if len(data) > LARGEST:
        raise ConfigError([Problem(str(path), 0, 0, f"the file is larger than {LARGEST >> 20} MiB; make several")])
    return data


def _configuration(path: Path, script: Script, asked: Path | None) -> Path:
    return asked or (path.parent / script.config if script.config else Path(DEFAULT_CONFIG))


def _loaded(path: Path) -> Config:
    return limited(config.load(path), Patience(terminal.tell))


# --- what comes of it -------------------------------------------------------------------------------------------


def _findings(plays: Sequence[_Play]) -> Iterator[Finding]:
    lengths = [staging.lasts(scenario, rules) for _, scenario, rules in plays]
    with Progress("seconds played", round(sum(lengths))) as progress:
        for before, (path, scenario, rules) in zip(accumulate(lengths, initial=0.0), plays, strict=False):

            def step(at: float, before: float = before, name: str = scenario.name) -> None:
                progress.step(round(before + at), one_line(name))

            yield _found(path, scenario, rules, step)


def _found(path: Path, play: Scenario, rules: Config, step: Callable[[float], None]) -> Finding:
    stage = staging.staged(play, rules)
    heard = Hearing(stage.times)
    frames = _passing(stage.frames, step)
    happened = simulate(stage.config, frames, _NOBODY, told=heard.hear, until=stage.until, eager=True)
    found = [each for at, outcome in happened for each in done(at, outcome, stage.names)]
    asked = {name.value for name in play.monitors}
    pairs = compared(play.expected, [each for each in found if not asked or each.monitor in asked])
    unexpected = [each for expected, each in pairs if each and not expected]
    evidence = Evidence(stage.config, asked, stage.names, heard.told, unexpected)
    return Finding(path, play, tuple(_line(pair, evidence, stage) for pair in pairs))


def _passing(frames: Iterable[Frame], step: Callable[[float], None]) -> Iterator[Frame]:
    """The same, and a word about each when the next one is asked for."""
    for frame in frames:
        yield frame
        step(frame.at)


def _line(pair: Pair, evidence: Evidence, stage: staging.Staged) -> Line:
    expected, was_done = pair
    if was_done:
        at, process, deed, *cause = was_done
        return Line(" " if expected else "+", at, process, str(deed), "", *cause)
    assert expected
    reason = excuse(expected, evidence, stage.frame(expected.at))
    return Line("-", expected.at, expected.process, expected.shown, reason)


# --- how it is shown --------------------------------------------------------------------------------------------


def _shown(findings: Sequence[Finding], *, colours: bool) -> Iterator[str]:
    for finding in findings:
        word, colour = ("ok", "green") if finding.passed else ("FAILED", "red")
        place = "" if finding.passed else f" ({finding.path}:{finding.scenario.place.line})"
        yield terminal.paint(f"{word:8}", colour, on=colours) + one_line(finding.scenario.name + place)
        if not finding.passed:
            yield from _difference(finding.lines, colours=colours)
    failed = sum(not finding.passed for finding in findings)
    yield f"{counted(len(findings), 'test')}, {f'{failed} failed' if failed else 'all as expected'}"


def _difference(lines: Sequence[Line], *, colours: bool) -> Iterator[str]:
    cells = [(format_time(line.at), line.process, one_line(line.action), one_line(line.note)) for line in lines]
    for line, row in zip(lines, aligned(cells, right=[0]), strict=True):
        yield terminal.paint(f"    {line.mark} {row}".rstrip(), _COLOURS[line.mark], on=colours)


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "file": str(finding.path),
        "line": finding.scenario.place.line,
        "test": finding.scenario.name,
        "passed": finding.passed,
        "lines": finding.lines,
    }
