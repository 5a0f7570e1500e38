"""What a daemon says of itself in the file that it keeps, for whoever asks; it is shown, and decides nothing."""

from __future__ import annotations

import errno
import grp
import os
import stat
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NamedTuple, TypeVar

from fallfromgrace import __version__, procfs
from fallfromgrace.docket import RuleKey
from fallfromgrace.exits import PROGRAM, Failure, NotPermitted, UsageError
from fallfromgrace.forms import Form, Malformed, decoded, each, fields, flag, maybe, number, seconds, shown, text
from fallfromgrace.keeper import boot
from fallfromgrace.memory import Memory
from fallfromgrace.orders import NO_STATE
from fallfromgrace.state import FORMAT, Moment, restored
from fallfromgrace.statefile import LARGEST
from fallfromgrace.values import owner

# Where the daemon of the whole machine has it.
SYSTEM = f"/run/{PROGRAM}/status.json"

_T = TypeVar("_T")


class Reload(NamedTuple):
    """A configuration that was to be read anew, and what was wrong with it where it was not taken."""

    at: Moment
    taken: bool
    problems: tuple[str, ...]


class Loading(NamedTuple):
    """The configuration in force, and how many reloads there were."""

    monitors: int
    rules: int
    loaded: Moment
    taken: int
    refused: int
    last: Reload | None


class RuleText(NamedTuple):
    """A rule: the normal form of its trigger, that as it was written, and what it does."""

    trigger: str
    text: str
    actions: tuple[str, ...]


class Watched(NamedTuple):
    """A process that a monitor covers; `below` is the pid of the one that it was found below."""

    pid: int
    start: int
    below: int | None
    cmdline: str


class Watching(NamedTuple):
    """A monitor, and whom it covers: how many, and the first of them."""

    name: str
    observe: bool
    rules: tuple[RuleText, ...]
    covered: int
    processes: tuple[Watched, ...]


class Act(NamedTuple):
    """Something that was done, or tried; `seconds` passed from the look that found it due."""

    at: Moment
    monitor: str
    rule: str
    action: str
    pid: int | None
    cmdline: str
    value: str
    limit: str
    result: str
    detail: str
    recovered: bool
    seconds: float


class Count(NamedTuple):
    """How often an action had a result."""

    monitor: str
    rule: str
    action: str
    result: str
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class Spread(NamedTuple):
    """How long something took: how often, how long in all, and in each class; the last one has no upper bound."""

    count: int  # type: ignore[assignment]
    seconds: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


class Looks(NamedTuple):
    """How long looks took, all of them, and each of the last."""

    spread: Spread
    last: tuple[float, ...]


class Published(NamedTuple):
    """All that a daemon has written."""

    program: str
    boot: str
    pid: int
    start: int
    config: str
    started: Moment
    written: Moment
    interval: float
    configuration: Loading
    monitors: tuple[Watching, ...]
    watched: int
    actions: tuple[Act, ...]
    counters: tuple[Count, ...]
    looks: Looks
    reactions: Spread
    cpu: float
    memory: Memory

    @property
    def texts(self) -> dict[RuleKey, str]:
        """Rules as they were written, by monitor and normal form."""
        return {(each.name, rule.trigger): rule.text for each in self.monitors for rule in each.rules}


def read(path: str) -> Published:
    """What the daemon says whose file this is; Failure where there is none, NotPermitted where that is not for us."""
    data = _content(path)
    try:
        return _document(decoded(data), path)
    except Malformed as error:
        raise Failure(f"{path} is not as a daemon writes it: {error}") from None


# --- whether it is still there ---

# In place of the letter of a state: somebody is there whom we may not see.
HIDDEN = "?"
_ELSEWHERE = "ran before the machine was started anew, or in another container"


def lives(found: Published) -> bool:
    """Whether the very daemon that wrote this is there now."""
    if not of_now(found):
        return False
    known = procfs.read_stat(found.pid)
    return known.start == found.start and not known.ended if known else state_of(found.pid) == HIDDEN


def end(found: Published) -> str:
    """What has become of it, where it is not there now."""
    return "has ended" if of_now(found) else _ELSEWHERE


def of_now(found: Published) -> bool:
    """Whether pids and times are those of this start of the machine, and of this container."""
    return found.boot == boot()


def state_of(pid: int) -> str:
    """The kernel's letter for the state of a process; empty where there is none, HIDDEN where we may not know it."""
    state = procfs.read_state(f"/proc/{pid}")
    return state or (HIDDEN if _is_taken(pid) else "")


def _is_taken(pid: int) -> bool:
    """Whether there is such a process, also one that `hidepid` keeps from us."""
    try:
        os.close(os.pidfd_open(pid))
    except (OSError, AttributeError):  # nobody, or a kernel or a Python that cannot tell
        return False
    return True


# --- the file ---

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW


def _content(path: str) -> bytes:
    try:
        descriptor = os.open(path, _READ)
        try:
            return _all_of(descriptor, path)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise _absent(path) from None
    except PermissionError:
        raise NotPermitted(f"you may not read {path}{_readers(path)}") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Failure(f"{path} is a symbolic link, which is not followed; write --state with the file") from None
        reason = "it is not a regular file" if error.errno == errno.ENXIO else error.strerror
        raise Failure(f"{path} cannot be read: {reason}") from None


def _all_of(descriptor: int, path: str) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.ENXIO, "")
    with open(descriptor, "rb", closefd=False) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Failure(f"{path} has more than {LARGEST >> 20} MiB, which no daemon writes")
    return data


def _absent(path: str) -> Failure:
    other = f", such as {SYSTEM}, which is there" if path != SYSTEM and os.path.exists(SYSTEM) else ""
    if path == NO_STATE:
        return UsageError(
            f"a daemon that was started with '--state {NO_STATE}' says nothing; write --state FILE{other}"
        )
    if not path:
        return Failure(f"there is no XDG_RUNTIME_DIR to find a daemon's file in; write --state FILE{other}")
    return Failure(f"no daemon to ask: there is no {path}; start one, or name its file with --state FILE{other}")


def _readers(path: str) -> str:
    """Who may read it, as far as that can be known."""
    cure = "An administrator gives it to a group with the setting 'status-group'"
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return f", for the directory that it is in is closed to you. {cure}"
    group = f" and the group {_group(status.st_gid)}" if status.st_mode & stat.S_IRGRP else ""
    return f": only {owner(status.st_uid)}{group} may. {cure}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


# --- what is in it ---


def _document(values: object, path: str) -> Published:
    """What is in a document beside that is for others to read."""
    if not isinstance(values, dict) or "format" not in values:
        raise Malformed("it names no format")
    writer = f"{path} was written by {PROGRAM} {_printable(values.get('program'))}"
    if values["format"] != FORMAT:
        told = f"{writer}, in format {shown(values['format'])}; this is {__version__}, which reads format {FORMAT}"
        raise Failure(f"{told}: restart the daemon, so that both are of one version")
    if not values.get("status"):
        if values.get("program") == __version__:
            raise Failure(f"{writer}, which had no room to say what it does; its log has that")
        raise Failure(f"{writer}, which does not say what it does; restart the daemon, so that it is {__version__}")
    try:
        return _published(values)
    except Malformed as error:
        if values.get("program") == __version__:
            raise
        raise Failure(
            f"{writer}, and this is {__version__}, which cannot read it; restart the daemon: {error}"
        ) from None


def _printable(program: object) -> str:
    return shown(program)[1:-1] if isinstance(program, str) else "of no version"


def _published(values: dict[str, Any]) -> Published:
    found = _HEAD(values)
    status = fields({"status": _STATUS})({"status": values["status"]})["status"]
    now = time.monotonic() if found["boot"] == boot() else inf
    memory = fields({"memory": lambda value: restored(value, now)})({"memory": values.get("memory")})
    return Published(**found, **status, **memory)


def _among(forms: Mapping[str, Form[Any]]) -> Form[dict[str, Any]]:
    """An object with these. What a later program may say beside them is passed over."""
    form = fields(forms)

    def read(value: object) -> dict[str, Any]:
        known = {name: value[name] for name in forms if name in value} if isinstance(value, dict) else value
        return form(known)

    return read


def _made(kind: Callable[..., _T], **forms: Form[Any]) -> Form[_T]:
    """An object with these, as a value of a kind."""
    form = _among(forms)
    return lambda value: kind(**form(value))


def _path(value: object) -> str:
    found = text(value)
    if "\0" in found:
        raise Malformed(f"{shown(value)} is no path")
    return found


def _spread(value: object) -> Spread:
    found = _SPREAD(value)
    if len(found.counts) != len(found.bounds) + 1:
        raise Malformed(f"{len(found.counts)} counts for {len(found.bounds)} bounds")
    return found


def _looks(value: object) -> Looks:
    if not isinstance(value, dict):
        raise Malformed(f"{shown(value)} is no object")
    last = fields({"last": each(_DURATION)})({"last": value.get("last")})
    return Looks(_spread({name: value[name] for name in value if name != "last"}), **last)


# Times that a calendar has, and that can be reckoned with.
_WALL, _DURATION = seconds(253_402_300_799), seconds(1 << 40)
_MANY = number(0, 1 << 63)
_PID = number(1, 1 << 22)
_MOMENT = _made(Moment, wall=_WALL, monotonic=_DURATION)
_SPREAD = _made(Spread, count=_MANY, seconds=_DURATION, bounds=each(_DURATION), counts=each(_MANY))
_RELOAD = _made(Reload, at=_MOMENT, taken=flag, problems=each(text))
_RULE = _made(RuleText, trigger=text, text=text, actions=each(text))
_WATCHED = _made(Watched, pid=_PID, start=_MANY, below=maybe(_PID), cmdline=text)
_ACT = _made(
    Act,
    at=_MOMENT,
    **dict.fromkeys(("monitor", "rule", "action", "cmdline", "value", "limit", "result", "detail"), text),
    pid=maybe(_PID),
    recovered=flag,
    seconds=_DURATION,
)
_COUNT = _made(Count, **dict.fromkeys(("monitor", "rule", "action", "result"), text), count=_MANY)
_WATCHING = _made(Watching, name=text, observe=flag, rules=each(_RULE), covered=_MANY, processes=each(_WATCHED))
_LOADING = _made(Loading, monitors=_MANY, rules=_MANY, loaded=_MOMENT, taken=_MANY, refused=_MANY, last=maybe(_RELOAD))
_HEAD = _among({"program": text, "boot": text, "pid": _PID, "config": _path, "started": _MOMENT, "written": _MOMENT})
_STATUS = _among(
    {
        "start": _MANY,
        "interval": _DURATION,
        "configuration": _LOADING,
        "monitors": each(_WATCHING),
        "watched": _MANY,
        "actions": each(_ACT),
        "counters": each(_COUNT),
        "looks": _looks,
        "reactions": _spread,
        "cpu": _DURATION,
    }
)
