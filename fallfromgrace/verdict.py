"""What the engine concluded about a process, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fallfromgrace.expression import Sample, evaluate
from fallfromgrace.rules import Item, Monitor, Rule, Signal
from fallfromgrace.table import Descent, Process


class Kind(Enum):
    """What the engine wants done; only FIRE is performed, the others are there to be explained."""

    FIRE = "fire"
    LIMITED = "limited"  # its limit has not run out
    SHADOWED = "shadowed"  # a stronger signal goes to the same process in the same look
    PROTECTED = "protected"  # the process is never acted upon
    UNKNOWN = "unknown"  # what the trigger measures could not be read


class Result(Enum):
    """What became of a verdict that was performed."""

    SENT = "sent"
    STARTED = "started"
    QUEUED = "queued"
    DRY_RUN = "dry-run"
    GONE = "gone"  # the process ended before the action
    REFUTED = "refuted"  # read again just before the action, the rule no longer held
    DENIED = "denied"  # the kernel does not let us
    FAILED = "failed"

    @property
    def delivered(self) -> bool:
        """Whether this uses up the action's limit; what was not delivered is tried again."""
        return self in _DELIVERED


_DELIVERED = frozenset({Result.SENT, Result.STARTED, Result.QUEUED, Result.DRY_RUN})


@dataclass(frozen=True, slots=True)
class Verdict:
    """One action of one rule for one process, and what is to become of it.

    `descent` has the process, and the one above it that the monitor selected. `value` and `limit` are for people.
    `reason` says why nothing is done, where that is so.
    """

    kind: Kind
    monitor: Monitor
    rule: Rule
    item: Item
    descent: Descent
    sample: Sample
    value: str
    limit: str
    reason: str = ""

    @property
    def process(self) -> Process:
        return self.descent.process

    @property
    def wants_signal(self) -> bool:
        """Whether a signal is to be sent, of which a process gets one in a look."""
        return self.kind is Kind.FIRE and isinstance(self.item.action, Signal)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a verdict; `detail` is the reason of a failure, in words."""

    verdict: Verdict
    result: Result
    detail: str = ""


def refutation(verdict: Verdict, process: Process, root: Process | None, sample: Sample) -> str:
    """Why a verdict no longer stands, given what was read anew just before acting; empty where it still does.

    `process` and `root` are those of the verdict's descent; `root` is None where it has ended.
    """
    if root is None or root.id != verdict.descent.root.id:
        return "what it was found by has ended"
    if verdict.descent.depth and process.ppid != verdict.process.ppid:
        return "it is no longer a child of what it was found below"
    if not verdict.monitor.selects(root.image):
        return "what it was found by runs something else now"
    if evaluate(verdict.rule.trigger.condition, sample) is not True:
        return "the condition no longer holds"
    return ""
