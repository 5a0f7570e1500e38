"""The owner of a process is told: on the desktop of their session, else on their terminals, else in the log.

What they are told may have been chosen by an attacker, and what it is told through belongs to the user: no shell and
no terminal interprets it, and nothing here waits for anything of theirs.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

from fallfromgrace.exits import PROGRAM
from fallfromgrace.logs import NOTICE, Log, fields, one_line
from fallfromgrace.records import dataclass
from fallfromgrace.spawn import PASSING, Command, QueueFull, Spawner
from fallfromgrace.verdict import Result

# How long a session may take: it answers at once, or its notification server hangs.
DESKTOP_SECONDS = 10.0
LONGEST_TITLE = 200
LONGEST_TEXT = 1024
# Of one user: nobody looks at more, and somebody may open thousands to keep us busy.
MOST_TERMINALS = 64

_SETPRIV = "/usr/bin/setpriv"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_NOGROUP = 65534
_TERMINAL = re.compile("/dev/(pts/[0-9]|tty[1-9])")
_IUTF8 = 0o40000  # the terminal reads UTF-8; not in the termios module

# Servers may take a text for markup. (The library for it has every entity of HTML: 0.5 MB.)
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

# What the script says by its status, beside that of the last program that it tried.
_DETAILS = {None: "the desktop's turn never came", 3: "no session bus", 4: "no notify-send, gdbus or busctl"}

# Runs as the user, who alone can be harmed by what is in their runtime directory: looking there ourselves could hang,
# for they may mount a file system of their own on it. `--`, or GVariant's quotes, keep texts from being options.
_SCRIPT = """
exec >/dev/null 2>&1
bus=$XDG_RUNTIME_DIR/bus
[ -S "$bus" ] && [ -O "$bus" ] && [ ! -L "$bus" ] || exit 3
command -v notify-send || command -v gdbus || command -v busctl || exit 4
name=org.freedesktop.Notifications
path=/org/freedesktop/Notifications
notify-send --app-name="$PROGRAM" -- "$TITLE" "$TEXT_UNCOMPRESSED" && exit
gdbus call --session --dest=$name --object-path=$path --method=$name.Notify \
    "'$PROGRAM'" 'uint32 0' "''" "$TITLE_GVARIANT" "$TEXT_GVARIANT" '@as []' '@a{sv} {}' 'int32 -1' && exit
busctl --user -- call $name $path $name Notify 'susssasa{sv}i' "$PROGRAM" 0 '' "$TITLE" "$TEXT" 0 0 -1
"""


@dataclass(frozen=True, slots=True)
class Message:
    """What to tell whom. `title` is the monitor's name, `label` the log fields that say about whom it is."""

    uid: int
    title: str
    text: str
    owner: str
    label: str


def terminals_of(uid: int) -> Iterator[str]:
    """The terminals of a user that others may write to (`mesg y`)."""
    for path in filter(_TERMINAL.match, _devices()):
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if _is_open_to_others(found, uid):
            yield path


def _devices() -> Iterator[str]:
    for directory in ("/dev/pts", "/dev"):
        with suppress(OSError):
            yield from (f"{directory}/{name}" for name in os.listdir(directory))


class Notifier:
    """Tells owners by the first way that works, and the log which one that was."""

    def __init__(
        self,
        spawner: Spawner,
        log: Log,
        *,
        runtime_root: str = "/run/user",
        terminals: Callable[[int], Iterable[str]] = terminals_of,
        path: str = _PATH,
    ) -> None:
        self._spawner = spawner
        self._log = log
        self._runtime_root = runtime_root
        self._terminals = terminals
        self._path = path

    def tell(self, message: Message, now: float) -> Result:
        """STARTED or QUEUED where the desktop is tried first, SENT where it was done at once.

        OSError where neither was possible, but may be later. However the desktop fails, the rest follows.
        """
        if why := self._out_of_reach(message.uid):
            return self._fall_back(message, why)
        try:
            started = self._spawner.start(self._command(message, now), now)
        except QueueFull:
            return self._fall_back(message, "too many wait for the desktop")
        except OSError as error:
            return self._fall_back(message, error.strerror or str(error), error if error.errno in PASSING else None)
        return Result.STARTED if started else Result.QUEUED

    def _out_of_reach(self, uid: int) -> str:
        """Why there is no use in trying the desktop, as far as can be seen without touching what is the user's."""
        if os.geteuid() not in (0, uid):
            return "another user's session"
        try:
            return "" if str(uid) in os.listdir(self._runtime_root) else "no session"
        except OSError:
            return "no session"

    def _command(self, message: Message, now: float) -> Command:
        """One at a time for each user, whichever monitors ask.

        A user whose notification server hangs thus delays their own messages only, and keeps one command waiting, not
        all that a monitor may run.
        """
        as_user = () if message.uid == os.geteuid() else _as_user(message.uid)
        return Command(
            text="",
            owner=message.owner,
            environment=_environment(message, f"{self._runtime_root}/{message.uid}", self._path),
            label=message.label,
            asked=now,
            argv=(*as_user, "/bin/sh", "-c", _SCRIPT),
            timeout=DESKTOP_SECONDS,
            share=f"notify {message.uid}",
            most=1,
            ended=partial(self._desktop_ended, message),
        )

    def _desktop_ended(self, message: Message, status: int | None) -> None:
        if status == 0:
            self._log.write(NOTICE, f"{message.label} via=desktop")
        else:
            self._fall_back(message, _DETAILS.get(status, f"status {status}"))

    def _fall_back(self, message: Message, why: str, passing: OSError | None = None) -> Result:
        """Tell the terminals, or else raise what will pass, or else tell the log."""
        if self._tell_terminals(message):
            self._log.write(NOTICE, f"{message.label} {fields(via='terminals', detail=why)}")
        elif passing:
            raise passing
        else:
            self._log.write(NOTICE, f"{message.label} {fields(via='log', detail=why, text=message.text)}")
        return Result.SENT

    def _tell_terminals(self, message: Message) -> bool:
        """Whether any took it; all are told, for nobody knows at which one the user sits."""
        line = f"{PROGRAM}: {_title(message)}: {_text(message)}"
        paths = islice(self._terminals(message.uid), MOST_TERMINALS)
        took = [_takes(path, message.uid, line) for path in paths]
        return any(took)


def _title(message: Message) -> str:
    return one_line(message.title, LONGEST_TITLE)


def _text(message: Message) -> str:
    return one_line(message.text, LONGEST_TEXT)


# --- the desktop ---


def _as_user(uid: int) -> tuple[str, ...]:
    """What runs the rest of its arguments as a user, who must not be able to make more of it.

    The number of a user whom nobody knows may be that of some group. `+`, because names may be digits.
    """
    try:
        groups = f"--regid=+{pwd.getpwuid(uid).pw_gid}", "--init-groups"
    except KeyError:
        groups = f"--regid=+{_NOGROUP}", "--clear-groups"
    return _SETPRIV, f"--reuid=+{uid}", *groups, "--inh-caps=-all", "--no-new-privs", "--"


def _environment(message: Message, runtime: str, path: str) -> dict[str, str]:
    """All that the script gets, nothing of ours; the texts in the form that each program takes literally."""
    title = f"{PROGRAM}: {_title(message)}"
    text = _text(message).translate(_MARKUP)
    return {
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
        "XDG_RUNTIME_DIR": runtime,
        "HOME": _home(message.uid),
        "PATH": path,
        "LC_ALL": "C.UTF-8",  # should a program ask what the texts are encoded in
        "PROGRAM": PROGRAM,
        "TITLE": title,
        "TITLE_GVARIANT": _gvariant(title),
        "TEXT": text,
        "TEXT_GVARIANT": _gvariant(text),
        "TEXT_UNCOMPRESSED": text.replace("\\", "\\\\"),  # notify-send makes \074 a <
    }


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def _gvariant(text: str) -> str:
    """A string as gdbus reads it; what is not quoted might be read as something else."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# --- terminals ---


def _is_open_to_others(found: os.stat_result, uid: int) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_uid == uid and bool(found.st_mode & stat.S_IWGRP)


def _takes(path: str, uid: int, line: str) -> bool:
    """Whether a terminal took a line whole; one that is full or held does not, and is not waited for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not os.isatty(descriptor) or not _is_open_to_others(os.fstat(descriptor), uid):
            return False
        data = b"\r\n%b\r\n" % line.encode(_encoding(descriptor), errors="backslashreplace")
        return os.write(descriptor, data) == len(data)
    except (OSError, termios.error):
        return False
    finally:
        os.close(descriptor)


def _encoding(descriptor: int) -> str:
    """UTF-8 only where the terminal says so: to others some of its bytes are control characters."""
    return "utf-8" if termios.tcgetattr(descriptor)[0] & _IUTF8 else "ascii"
