"""What a configuration means: settings, and monitors with their rules, as values.

`str` of an action and of a step is its normal form, which the grammar reads back to an equal value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import ClassVar, NamedTuple, Protocol

from fallfromgrace.expression import RATES, Growth, Measured, Metric, Scope, Trigger
from fallfromgrace.records import dataclass, field
from fallfromgrace.table import Runs
from fallfromgrace.units import format_duration

# The words for signals, the strongest first: of several asked for at once only that one is sent.
SIGNALS = ("kill", "abrt", "quit", "term", "int", "hup", "stop", "cont", "usr1", "usr2")
TERMINATING = frozenset({"kill", "abrt", "quit", "term", "int", "hup"})

# The variables of a command, and in the texts of `notify` and `log`; the first are of a process and there only.
PROCESS_VARIABLES = ("PID", "OWNER", "CMDLINE", "RMEM", "VMEM")
VARIABLES = ("NAME", "RULE", "VALUE", "LIMIT", "ACTION", *PROCESS_VARIABLES)
# `$PID` or `${PID}`.
VARIABLE = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})", re.ASCII)


class Target(Enum):
    """Whom an action is for; the value is how it is written."""

    ITSELF = ""  # the process; for a rule about what a monitor covers, all of these
    TREE = "tree"  # the process and its descendants
    GROUP = "group"  # what the monitor covers
    LARGEST = "largest"  # the one of these with the most memory

    @property
    def written(self) -> str:
        return f" {self.value}" if self.value else ""


@dataclass(frozen=True, slots=True)
class Signal:
    """Send the signal that `word` names; `limit` is the least number of seconds between two, None for once."""

    word: str
    limit: float | None = None
    target: Target = Target.ITSELF

    @property
    def verb(self) -> str:
        """The action without its text."""
        return f"{self.word}{self.target.written}{_at(self.limit)}"

    def __str__(self) -> str:
        return self.verb


@dataclass(frozen=True, slots=True)
class Adjust:
    """Set what `word` names, `nice` or `oom` (the kernel's oom_score_adj), to a value, once."""

    word: str
    value: int
    target: Target = Target.ITSELF
    limit: ClassVar[float | None] = None

    @property
    def verb(self) -> str:
        return f"{self.word} {self.value}{self.target.written}"

    def __str__(self) -> str:
        return self.verb


@dataclass(frozen=True, slots=True)
class _Worded:
    """An action with a text of its own; `limit` is the least number of seconds between two, None for once."""

    text: str
    limit: float | None = None
    word: ClassVar[str]

    @property
    def verb(self) -> str:
        return f"{self.word}{_at(self.limit)}"

    def __str__(self) -> str:
        return f"{self.verb} {self.text}"


@dataclass(frozen=True, slots=True)
class Exec(_Worded):
    """Run the text with `/bin/sh -c`."""

    word: ClassVar[str] = "exec"


@dataclass(frozen=True, slots=True)
class _Quotable(_Worded):
    """A text from which one surrounding pair of quotes is taken off."""

    def __str__(self) -> str:
        return f"{self.verb} {_quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Notify(_Quotable):
    """Tell the owner of the process."""

    word: ClassVar[str] = "notify"


@dataclass(frozen=True, slots=True)
class Log(_Quotable):
    """Write a line to the log."""

    word: ClassVar[str] = "log"


Action = Signal | Adjust | Exec | Notify | Log
WORDED: dict[str, type[Exec] | type[Notify] | type[Log]] = {each.word: each for each in (Exec, Notify, Log)}
ADJUSTABLE = {"nice": (-20, 19), "oom": (-1000, 1000)}


def _at(limit: float | None) -> str:
    return "" if limit is None else f" @ {format_duration(limit)}"


def unquoted(text: str) -> str:
    """A text without one surrounding pair of quotes."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _quoted(text: str) -> str:
    """A text that reads back as itself: with quotes around it where it would be taken for something else."""
    plain = text.strip() == text and unquoted(text) == text and not text.startswith("@")
    return text if plain else f'"{text}"'


@dataclass(frozen=True, slots=True)
class Step:
    """An action as written in a rule: at once, `after` some seconds of firing, or when it has `recovered`."""

    action: Action
    after: float | None = None
    recovered: bool = False

    def __str__(self) -> str:
        before = f"after {format_duration(self.after)} " if self.after is not None else ""
        return f"{'recovered ' if self.recovered else before}{self.action}"


@dataclass(frozen=True, slots=True)
class Item:
    """An action of a rule.

    `key` names it within its monitor, whatever the trigger: limits outlive a new threshold. `own` names it within its
    rule: what a rule has done outlives changes of other rules.
    """

    action: Action
    key: str
    own: str


class Rung(NamedTuple):
    """What is done from `after` seconds after the rung before it was reached, and until the next one is."""

    after: float
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do while a trigger holds; `text` is the trigger as its user wrote it, `key` its normal form.

    There is always a first rung, which is reached at once and may be empty. What does not change from look to look is
    here, so that it is found out once: whether the rule is about all that the monitor covers, whether it looks at what
    is below a process or at all that is covered, which numbers have to be remembered for it, and the ages that it
    compares with.
    """

    text: str
    trigger: Trigger
    rungs: tuple[Rung, ...]
    recovered: tuple[Item, ...] = ()
    key: str = field(init=False)
    shared: bool = field(init=False)
    sees_tree: bool = field(init=False)
    sees_group: bool = field(init=False)
    remembered: tuple[Measured, ...] = field(init=False)
    growths: tuple[Growth, ...] = field(init=False)
    ages: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        seen = self.trigger.measured
        growths = tuple(each for each in seen if isinstance(each, Growth))
        metrics = [each.metric if isinstance(each, Growth) else each for each in seen]
        rates = tuple(each for each in seen if isinstance(each, Metric) and each.name in RATES)
        for name, value in (
            ("key", str(self.trigger)),
            ("shared", self.trigger.shared),
            ("sees_tree", any(each.scope is Scope.TREE or each.name == "children" for each in metrics)),
            ("sees_group", any(each.scope is Scope.GROUP or each.name == "count" for each in metrics)),
            ("remembered", growths + rates + tuple(each.metric for each in growths if each.metric.name in RATES)),
            ("growths", growths),
            ("ages", tuple(self.trigger.ages)),
        ):
            object.__setattr__(self, name, value)

    @property
    def ladder(self) -> tuple[object, ...]:
        """All that it does and when, to be compared with what another configuration says."""
        rungs = tuple((rung.after, tuple(item.own for item in rung.items)) for rung in self.rungs)
        return rungs, tuple(item.own for item in self.recovered)

    @property
    def items(self) -> Iterator[Item]:
        """All its actions."""
        for rung in self.rungs:
            yield from rung.items
        yield from self.recovered


class User(NamedTuple):
    """A user as written, and the uid; None where there is no such user."""

    name: str
    uid: int | None


class Searches(Protocol):
    """A regular expression: what it finds is something true, and a text where that cannot be known, which says why."""

    @property
    def pattern(self) -> str: ...
    @property
    def flags(self) -> int: ...
    def search(self, string: str, /) -> object: ...
    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Selector:
    """Which processes are meant: all that is given has to match."""

    cmdline: Searches | None = None
    exe: Searches | None = None
    users: tuple[User, ...] | None = None

    def misses(self, image: Runs) -> str:
        """The first of its keys that does not match, what is dear to read last; empty where all do."""
        if self.cmdline and not self.cmdline.search(image.cmdline):
            return "cmdline"
        if self._misses_user(image):
            return "user"
        if self.exe and not (image.exe and self.exe.search(image.exe)):
            return "exe"
        return ""

    def matches(self, image: Runs) -> bool:
        return not self.misses(image)

    def guards(self, image: Runs) -> str:
        """Why what runs this is protected by this; empty where it is not. What cannot be known counts as a match."""
        cmdline = self.cmdline.search(image.cmdline) if self.cmdline else True
        if not cmdline or self._misses_user(image):
            return ""
        exe = (self.exe.search(image.exe) if image.exe else _NO_EXE) if self.exe else True
        return _counted_as("protected", cmdline, exe) if exe else ""

    def _misses_user(self, image: Runs) -> bool:
        return self.users is not None and image.uid not in {user.uid for user in self.users}


_NO_EXE = "what it executes cannot be read"


def _counted_as(what: str, *found: object) -> str:
    """What a process is by what was found, or why it may be."""
    unknown = next((each for each in found if isinstance(each, str)), "")
    return f"it may be {what}: {unknown}" if unknown else f"it is {what}"


@dataclass(frozen=True, slots=True)
class Monitor:
    """Which processes to look at, and the rules for them, in the order of the file."""

    name: str
    selector: Selector
    rules: tuple[Rule, ...]
    children: bool = False
    final: bool = False
    exclude: Searches | None = None
    observe: bool = False

    @property
    def selection(self) -> tuple[object, ...]:
        """All that says which processes the monitor is about."""
        return self.selector, self.exclude, self.children, self.final, self.observe

    def selects(self, image: Runs) -> bool:
        """Whether the monitor is about processes that run this; its descendants come besides."""
        return not self.excludes(image) and self.selector.matches(image)

    def excludes(self, image: Runs) -> str:
        """Why processes that run this are left out, whatever they were found by; empty where they are not."""
        found = self.exclude.search(image.cmdline) if self.exclude else None
        return _counted_as("excluded", found) if found else ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole program.

    `interval` is the longest time, in seconds, between two looks; `process_events`, whether the kernel is to tell of
    new processes where it does; `status_group`, the gid of those who may read the state file.
    """

    interval: float = 10.0
    protect: tuple[Selector, ...] = ()
    process_events: bool = True
    status_group: int | None = None

    def protects(self, image: Runs) -> str:
        """Why processes that run this are never acted upon; empty where they may be."""
        return next(filter(None, (selector.guards(image) for selector in self.protect)), "")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the configuration files say."""

    settings: Settings
    monitors: tuple[Monitor, ...]

    @property
    def summary(self) -> str:
        """How much there is, such as `2 monitors, 3 rules`."""
        rules = sum(len(monitor.rules) for monitor in self.monitors)
        return f"{counted(len(self.monitors), 'monitor')}, {counted(rules, 'rule')}"


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`, `2 processes`."""
    several = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else several}"


def make_rules(written: Iterable[tuple[str, Trigger, Iterable[Step]]]) -> tuple[Rule, ...]:
    """The rules of one monitor from (text, trigger, steps); an action written again gets a key of its own."""
    seen: Counter[str] = Counter()
    return tuple(_rule(text, trigger, list(steps), seen) for text, trigger, steps in written)


def _rule(text: str, trigger: Trigger, steps: Iterable[Step], seen: Counter[str]) -> Rule:
    rungs, recovered, own = [Rung(0.0, ())], [], Counter[str]()
    for step in steps:
        item = Item(step.action, _numbered(step.action, seen), _numbered(step.action, own))
        if step.recovered:
            recovered.append(item)
        elif step.after is not None:
            rungs.append(Rung(step.after, (item,)))
        else:
            rungs[-1] = rungs[-1]._replace(items=(*rungs[-1].items, item))
    return Rule(text, trigger, tuple(rungs), tuple(recovered))


def _numbered(action: Action, seen: Counter[str]) -> str:
    text = str(action)
    seen[text] += 1
    return text if seen[text] == 1 else f"{text} #{seen[text]}"
