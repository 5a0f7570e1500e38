"""From what stands in a command line to what a command is asked for; each is imported when it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallfromgrace import arguments
from fallfromgrace.arguments import DEFAULT_CONFIG, DEFAULT_STATE, FILE, Command, Given, Language, Option
from fallfromgrace.exits import PROGRAM, UsageError
from fallfromgrace.orders import NO_STATE

if TYPE_CHECKING:
    from pathlib import Path

_OFTENEST_TOP, _USUAL_TOP = 0.5, 2.0
_OFTENEST_RECORD, _USUAL_RECORD = 0.1, 1.0
_SMALLEST_RECORDING, _USUAL_RECORDING = 64 << 10, 64 << 20
# No process has a number of more digits.
_LONGEST_PID = 10


def _run(given: Given, _: Sequence[str]) -> int:
    # First what is wrong with the arguments: finding out costs nothing.
    pidfile = given["pidfile"] or (_default_pidfile() if given["daemon"] else None)
    config, pidfile, state = _absolute(_config(given)), pidfile and _absolute(pidfile), _state_to_keep(given)

    from fallfromgrace.commands import run

    options = run.Options(config, pidfile, state, given["daemon"], given["dry-run"], given["verbose"])
    return run.run(options)


def _check(given: Given, words: Sequence[str]) -> int:
    from fallfromgrace.commands import check

    return check.run(_paths(words or [_config(given)]), given["test"], given["strict"])


def _match(given: Given, words: Sequence[str]) -> int:
    if words and given["cmdline"] is not None:
        raise UsageError("'match' takes one monitor's name, or --cmdline REGEX")

    from fallfromgrace.commands import match

    name = words[0] if words else None
    return match.run(match.Options(_path(_config(given)), name, given["cmdline"], given["json"]))


def _explain(given: Given, words: Sequence[str]) -> int:
    state, pid = _state_to_read(given), _pid(words[0])

    from fallfromgrace.commands import explain

    return explain.run(explain.Options(_given_path(given, "config"), state, pid, given["json"]))


def _status(given: Given, _: Sequence[str]) -> int:
    state = _state_to_read(given)

    from fallfromgrace.commands import status

    return status.run(status.Options(state, given["json"]))


def _top(given: Given, _: Sequence[str]) -> int:
    state, every = _state_to_read(given), arguments.seconds(given, "every", _OFTENEST_TOP) or _USUAL_TOP

    from fallfromgrace.commands import top

    return top.run(top.Options(_given_path(given, "config"), state, given["once"], every))


def _test(given: Given, words: Sequence[str]) -> int:
    from fallfromgrace.commands import test

    return test.run(test.Options(_given_path(given, "config"), tuple(_paths(words)), given["json"]))


def _record(given: Given, words: Sequence[str]) -> int:
    every = arguments.seconds(given, "every", _OFTENEST_RECORD) or _USUAL_RECORD
    seconds = arguments.seconds(given, "for", every)
    size = arguments.size(given, "size", _SMALLEST_RECORDING) or _USUAL_RECORDING

    from fallfromgrace.commands import record

    return record.run(record.Options(_path(_config(given)), _path(words[0]), given["all"], every, seconds, size))


def _replay(given: Given, words: Sequence[str]) -> int:
    from fallfromgrace.commands import replay

    options = replay.Options(_path(_config(given)), _path(words[0]), given["json"], _given_path(given, "plot"))
    return replay.run(options)


def _metrics(given: Given, _: Sequence[str]) -> int:
    state = _state_to_read(given)

    from fallfromgrace.commands import metrics

    return metrics.run(metrics.Options(state, _given_path(given, "textfile")))


# --- what is given, or stands for what is not ---


def _config(given: Given) -> str:
    return str(given["config"] or DEFAULT_CONFIG)


def _path(name: str) -> Path:
    from pathlib import Path

    return Path(name)


def _paths(names: Sequence[str]) -> list[Path]:
    return [_path(name) for name in names]


def _given_path(given: Given, option: str) -> Path | None:
    return _path(given[option]) if given[option] else None


def _pid(word: str) -> int:
    if len(word) <= _LONGEST_PID and word.isascii() and word.isdigit() and int(word):
        return int(word)
    raise UsageError(f"'{word}' is no process id; write a number above 0, such as 'match' shows")


def _default_pidfile() -> str:
    directory = _runtime_directory()
    if not directory:
        raise UsageError("there is no XDG_RUNTIME_DIR for the pid file; write -p FILE with -d")
    return os.path.join(directory, f"{PROGRAM}.pid")


def _state_to_keep(given: Given) -> str:
    asked = str(given["state"] or _usual_state())
    return asked if asked in ("", NO_STATE) else _absolute(asked)


def _state_to_read(given: Given) -> str:
    """A user who runs no daemon means the system's, if there is one."""
    if given["state"] == NO_STATE:
        raise UsageError(f"a daemon with '--state {NO_STATE}' tells nothing; write the file of another one")
    if given["state"]:
        return str(given["state"])
    own = _usual_state()
    return own if os.path.exists(own) or not os.path.lexists(DEFAULT_STATE) else DEFAULT_STATE


def _usual_state() -> str:
    directory = _runtime_directory()
    return os.path.join(directory, PROGRAM, os.path.basename(DEFAULT_STATE)) if directory else ""


def _runtime_directory() -> str:
    """Where what runs has its files; empty for a user without one."""
    return "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "")


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise UsageError(f"the current directory is gone; write '{path}' with its whole path") from None


# --- all that can be written ---

_READ = {"state": f"the file of the daemon ({DEFAULT_STATE})"}
_DAEMON_FIRST = {"config": f"the configuration, instead of the daemon's ({DEFAULT_CONFIG} if there is none)"}
_DAEMONS = ("foreground", "dry-run", "pidfile", "state", "verbose")

_COMMANDS = (
    Command("run", "", "watch processes and act on them; also done without a command", _run,
            ("config", "daemon", *_DAEMONS)),
    # An init script asks -t with all the options that it has for the daemon.
    Command("check", "[FILE]...", "say what is wrong with configurations, or hardly meant", _check,
            ("config", "test", "strict"), passed_over=_DAEMONS),
    Command("match", "[NAME]", "show which processes monitors find, and what these hold", _match,
            ("config", "cmdline", "json")),
    Command("explain", "PID", "show what each rule makes of a process, and what comes next", _explain,
            ("config", "state", "json"), meant=_READ | _DAEMON_FIRST),
    Command("status", "", "show what the daemon watches, what it did, and what is due", _status, ("state", "json"),
            meant=_READ),
    Command("top", "", "show what is watched, and how near to its limits, live", _top,
            ("config", "state", "once", "every"),
            meant=_READ | _DAEMON_FIRST | {"every": "so often, such as 0.5s or 5s (2s)"}),
    Command("test", "FILE...", "compare what rules do with what tests of them expect", _test, ("config", "json"),
            meant={"config": "the configuration, instead of the one that tests name"}),
    Command("record", "FILE", "write down what processes use, for replay", _record,
            ("config", "all", "every", "for", "size"), meant={"every": "so often, such as 0.5s or 5s (1s)"}),
    Command("replay", "FILE", "show what rules would have done at what was recorded", _replay,
            ("config", "json", "plot")),
    Command("metrics", "", "print what the daemon counts, for Prometheus", _metrics, ("state", "textfile"),
            meant=_READ),
)  # fmt: skip

_OPTIONS = (
    Option("config", f"the configuration ({DEFAULT_CONFIG})", FILE, "-c"),
    Option("daemon", "detach, write a pid file, log to syslog", short="-d"),
    Option("foreground", "stay in the foreground, log on stderr; this is the default", short="-f"),
    Option("dry-run", "say what would be done, and do nothing", short="-n"),
    Option("pidfile", "the pid file; in the foreground there is none without this", FILE, "-p"),
    Option("state", f"where the daemon tells what it does, or none ({DEFAULT_STATE})", FILE),
    Option("test", "check the configuration, silently if all is well", short="-t"),
    Option("strict", "warnings make the exit status 1, also with -t"),
    Option("cmdline", "look for this, whatever the configuration says", "REGEX"),
    Option("json", "for programs to read"),
    Option("once", "show it once, and end"),
    Option("all", "all processes, not only those that a monitor is about"),
    Option("every", "so often, such as 0.5s or 5s", "T"),
    Option("for", "for so long; without this until Ctrl-C", "T"),
    Option("size", "at most so much (64m)", "S"),
    Option("plot", "draw it, too", f"{FILE}.svg"),
    Option("textfile", "write it there, for node_exporter", f"{FILE}.prom"),
    Option("verbose", "log more", short="-v"),
)

_ALWAYS = (
    Option("help", "show this, or the help of a command, and exit", short="-h"),
    Option("version", "show the version, and exit", short="-V"),
)

LANGUAGE = Language(_COMMANDS, _OPTIONS, _ALWAYS)
