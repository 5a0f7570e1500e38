"""Half-written files: of every sample configuration, every beginning."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fallfromgrace import config
from fallfromgrace.errors import ConfigError
from fallfromgrace.files import Contents
from fallfromgrace.rules import Config
from tests.torture import Figure

TITLE = "every prefix of every sample configuration"
GOAL = "0 accepted that cut a line"
FULL = {"every": 1, "files": 1000}
SHORT = {"every": 12, "files": 12}

_HERE = Path(__file__).parents[2]


class _Seen(NamedTuple):
    """A prefix that can be used: where it ends, and what it means."""

    end: int
    means: Config


def run(every: int, files: int) -> Figure:
    """All prefixes of so many files around the ends of lines, and each so-and-so-many'th of the others."""
    tried = used = inside = 0
    faults: list[str] = []
    samples = dict(itertools.islice(_samples(), files))
    for name, data in samples.items():
        ends = _ends(data, every)
        seen = [_Seen(end, means) for end in ends if (means := _meaning(data[:end]))]
        tried, used = tried + len(ends), used + len(seen)
        inside += sum(1 for each in seen if re.match(rb"[ \t]+[^\s#]", data[each.end :]))
        whole = _meaning(data)
        if not whole:
            faults.append(f"{name} is no configuration")
            continue
        faults += [f"{name}, {each.end} bytes: {fault}" for each in seen if (fault := _fault(data, each, whole))]
    said = (
        f"{tried:,} prefixes of {len(samples)} files, {used:,} can be used, all of them whole lines; "
        f"{inside:,} of these end inside a monitor"
    )
    return Figure(said, not faults, tuple(faults))


def _samples() -> Iterator[tuple[str, bytes]]:
    from tests import test_documents, test_manual

    as_it_comes = (_HERE / "fall-from-grace.conf").read_text()
    yield "fall-from-grace.conf", as_it_comes.encode()
    yield "fall-from-grace.conf, all used", re.sub(r"^#(?=[a-z]|  )", "", as_it_comes, flags=re.M).encode()
    yield "demo.conf", (_HERE / "demo" / "demo.conf").read_bytes()
    for path in sorted((_HERE / "tests" / "config").glob("*.good.yaml")):
        yield path.name, path.read_bytes()
        yield f"{path.name} with \\r\\n", path.read_bytes().replace(b"\n", b"\r\n")
    for number, text in enumerate(test_documents.blocks("yaml")):
        yield f"README {number}", text.encode()
    for block in test_manual.WHOLE:
        yield f"man page, {block.section} {block.heading}", block.text.encode()


def _ends(data: bytes, every: int) -> list[int]:
    """The whole is no prefix."""
    return [end for end in range(len(data)) if end % every == 0 or b"\n" in data[max(0, end - 2) : end + 2]]


def _meaning(data: bytes) -> Config | None:
    try:
        return config.understood([Contents(Path("x.conf"), data)]).config
    except ConfigError:
        return None


def _fault(data: bytes, seen: _Seen, whole: Config) -> str:
    """Why a prefix must not be used."""
    if data[seen.end - 1 : seen.end] != b"\n":
        return "a line is cut"
    cut = [each for each in _said(seen.means) - _said(whole) if not _goes_on(each, _said(whole))]
    return f"it says what the whole does not: {cut[0]}" if cut else ""


def _said(means: Config) -> set[str]:
    """What is done to whom, as texts."""
    return {
        f"{monitor.name}/{rule.text}/{item.action}"
        for monitor in means.monitors
        for rule in monitor.rules
        for item in rule.items
    }


def _goes_on(text: str, whole: set[str]) -> bool:
    """Whether it is the beginning of a text of several lines, by whole lines: YAML folds some of these to spaces."""
    return any(full.startswith((f"{text} ", f"{text}\n")) for full in whole)
