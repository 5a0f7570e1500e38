"""What `$NAME`, `$PID` and the other variables stand for, in the environment of a command and in texts."""

from __future__ import annotations

import functools
import pwd
import re
from collections.abc import Mapping

from fallfromgrace.expression import Sample
from fallfromgrace.rules import VARIABLE, Log, Notify
from fallfromgrace.verdict import Verdict


def values(verdict: Verdict, sample: Sample) -> dict[str, str]:
    """Every variable by its name; of a process only where the rule is about one, with `sample` what it uses."""
    cause = verdict.cause
    found = {
        "NAME": cause.monitor.name,
        "RULE": cause.rule.text,
        "VALUE": cause.value,
        "LIMIT": cause.limit,
        "ACTION": str(verdict.item.action) if verdict.item else "",
    }
    if cause.subject is None:
        return found
    process = verdict.process or cause.subject.process
    return found | {
        "PID": str(process.id.pid),
        "OWNER": owner(process.image.uid),
        "CMDLINE": process.image.shown,
        "RMEM": str(sample.get("rmem", "")),
        "VMEM": str(sample.get("vmem", "")),
    }


@functools.lru_cache(maxsize=64)
def owner(uid: int) -> str:
    """The name of a user, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def told_text(verdict: Verdict, sample: Sample) -> str:
    """What is told to somebody, its variables replaced; empty for what tells nothing."""
    if verdict.item is None or not isinstance(verdict.item.action, (Notify, Log)):
        return ""
    return expand(verdict.item.action.text, values(verdict, sample))


def expand(text: str, found: Mapping[str, str]) -> str:
    """A text with its variables replaced, once: what stands in them is not looked at again."""

    def value(match: re.Match[str]) -> str:
        return found.get(match["bare"] or match["braced"], match[0])

    return VARIABLE.sub(value, text)
