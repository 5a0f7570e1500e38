"""What the engine concluded about a process, and what came of it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from fallfromgrace.expression import Sample, View, evaluate
from fallfromgrace.readings import Again, Subject
from fallfromgrace.records import dataclass
from fallfromgrace.rules import Item, Log, Monitor, Notify, Rule, Settings, Signal
from fallfromgrace.table import Descent, Process


class Kind(Enum):
    """What the engine wants done; only FIRE is performed, the others are there to be explained."""

    FIRE = "fire"
    PENDING = "pending"  # the condition holds, but not for long enough yet
    LIMITED = "limited"  # its limit has not run out
    SHADOWED = "shadowed"  # a stronger signal goes to the same process in the same look
    PROTECTED = "protected"  # the process is never acted upon
    SPARED = "spared"  # it is in the tree of what the rule fires for, but the monitor leaves it alone
    EARLY = "early"  # what the trigger measures was not watched for long enough
    UNKNOWN = "unknown"  # what the trigger measures could not be read


class Result(Enum):
    """What became of a verdict that was performed."""

    SENT = "sent"
    SET = "set"
    STARTED = "started"
    QUEUED = "queued"
    TOLD = "told"
    DRY_RUN = "dry-run"
    GONE = "gone"  # the process ended before the action
    REFUTED = "refuted"  # read again just before the action, the rule no longer held
    DENIED = "denied"  # the kernel does not let us
    FAILED = "failed"

    @property
    def delivered(self) -> bool:
        """Whether this uses up the action's limit; what was not delivered is tried again."""
        return self in _DELIVERED


_DELIVERED = frozenset({Result.SENT, Result.SET, Result.STARTED, Result.QUEUED, Result.TOLD, Result.DRY_RUN})


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a rule fires, or fires no more: for whom, by what was seen, and whether it did so before this look.

    `subject` is the process that the rule was judged for, None for a rule about all that a monitor covers.
    """

    settings: Settings
    monitor: Monitor
    rule: Rule
    subject: Descent | None
    sight: View
    value: str
    limit: str
    fresh: bool = True
    recovered: bool = False

    @property
    def key(self) -> Subject:
        return Subject(self.monitor.name, self.subject.process.id if self.subject else None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One action of one rule for one process, and what is to become of it.

    `target` has the process that the action is for, and the one above it that the monitor selected; None for an action
    that is for no process. `item` is None where the rule as a whole is meant. `reason` says why nothing is done.
    """

    kind: Kind
    cause: Cause
    item: Item | None
    target: Descent | None
    reason: str = ""

    @property
    def monitor(self) -> Monitor:
        return self.cause.monitor

    @property
    def rule(self) -> Rule:
        return self.cause.rule

    @property
    def process(self) -> Process | None:
        return self.target.process if self.target else None

    @property
    def wants_signal(self) -> bool:
        """Whether a signal is to be sent, of which a process gets one in a look."""
        return self.kind is Kind.FIRE and self.item is not None and isinstance(self.item.action, Signal)

    @property
    def only_tells(self) -> bool:
        """Whether it does nothing to the process, so that even one that is protected may be told of."""
        return self.item is not None and isinstance(self.item.action, (Notify, Log))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a verdict; `detail` is the reason of a failure in words, `text` what was told to somebody."""

    verdict: Verdict
    result: Result
    detail: str = ""
    text: str = ""


class Reread(NamedTuple):
    """What was read anew just before acting, None for who has ended: the target, the one above it that the monitor
    selected, and the process that the rule fires for with what it uses."""

    target: Process
    root: Process | None
    subject: Process | None
    sample: Sample
    below: bool = True  # whether every parent up to the root is still one


NO_LONGER = "the condition no longer holds"


def refutation(verdict: Verdict, now: Reread) -> str:
    """Why a verdict about a process no longer stands, given what was read anew; empty where it still does."""
    target, cause = verdict.target, verdict.cause
    assert target
    if now.root is None or now.root.id != target.root.id:
        return "what it was found by has ended"
    if target.depth and (now.target.ppid != target.process.ppid or not now.below):
        return "it is no longer a child of what it was found below"
    return _no_more_meant(verdict, target, now) or _no_cause(cause, now)


def _no_more_meant(verdict: Verdict, target: Descent, now: Reread) -> str:
    """What was said of an image holds of the same one, and is not asked again: that may be dear."""
    if now.root and now.root.image != target.root.image and not verdict.monitor.selects(now.root.image):
        return "what it was found by runs something else now"
    if now.target.image == target.process.image:
        return ""
    protection = "" if verdict.only_tells else verdict.cause.settings.protects(now.target.image)
    reason = verdict.monitor.excludes(now.target.image) or protection
    return f"{reason} now" if reason else ""


def _no_cause(cause: Cause, now: Reread) -> str:
    """Whether the rule would not fire any more. What is about several processes, or takes time, is not read again."""
    if cause.subject is None or cause.recovered:
        return ""
    if now.subject is None or now.subject.id != cause.subject.process.id:
        return "the process that the rule fires for has ended"
    trigger, again = cause.rule.trigger, Again(cause.sight, now.sample)
    if trigger.until and evaluate(trigger.until.condition, again).truth and not trigger.until.seconds:
        return "it has recovered"
    if (cause.fresh or not trigger.until) and not evaluate(trigger.condition, again).truth:
        return NO_LONGER
    return ""
