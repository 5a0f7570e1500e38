"""`metrics`: the daemon's figures as Prometheus's text, on stdout or in a file for its node exporter."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from fallfromgrace import exits, published, timers
from fallfromgrace.published import Published
from fallfromgrace.records import dataclass

# The node exporter reads no other file.
_SUFFIX = ".prom"
# Whoever the node exporter runs as has to read it.
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Options:
    """Whose figures, by the daemon's state file, and the file that they go to; None for stdout."""

    state: str
    textfile: Path | None = None


def run(options: Options) -> int:
    """The exit status: 0 if the daemon could be asked. If not, a file says so too, or nobody would be alarmed."""
    path = options.textfile
    if path and not path.name.endswith(_SUFFIX):
        raise exits.UsageError(f"the node exporter reads '*{_SUFFIX}' only; write --textfile {path}{_SUFFIX}")
    exposition = _exposition()
    try:
        found = _asked(options.state)
    except exits.Failure:
        if path:
            _replace(path, exposition.text(None, 0))
        raise
    data = exposition.text(found, len(timers.armed(found.memory, time.monotonic())))
    if path:
        _replace(path, data)
    elif sys.stdout:
        sys.stdout.buffer.write(data)  # UTF-8 whatever a terminal has
    return exits.OK


def _exposition() -> ModuleType:
    try:
        from fallfromgrace import exposition
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise exits.Failure(
            "'metrics' needs Python's prometheus_client, which is not installed: "
            "apt-get install python3-prometheus-client, or pip install 'fall-from-grace[metrics]'"
        ) from None
    return exposition


def _asked(state: str) -> Published:
    found = published.read(state)
    if not published.lives(found):
        raise exits.Failure(f"the daemon that wrote {state} (pid {found.pid}) {published.end(found)}; start one")
    return found


def _replace(path: Path, data: bytes) -> None:
    """Have this in the file at once: whoever reads it meanwhile gets all of the old one."""
    try:
        descriptor, name = tempfile.mkstemp(".new", f".{path.name}.", path.parent)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, _MODE)
                file.write(data)
            os.rename(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise _in_words(path, error) from None


def _in_words(path: Path, error: OSError) -> exits.Failure:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not path.parent.is_dir():
        directory = "make it, or name the one that the node exporter reads (its --collector.textfile.directory)"
        return exits.Failure(f"cannot write {path}: there is no directory {path.parent}; {directory}")
    if isinstance(error, PermissionError):
        return exits.NotPermitted(f"cannot write {path}: only who may write to {path.parent} can; be that user")
    return exits.Failure(f"cannot write {path}: {error.strerror}")
