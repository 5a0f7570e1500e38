"""What comes of a signal: the kernel may throw it away, and who sent it would never know."""

from __future__ import annotations

import os
import re
import signal
from typing import NamedTuple

# To these nobody can be deaf; CONT continues whatever else is done with it.
_HEEDED = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT})
# Beside the groups of a process, which may be many.
_LONGEST_STATUS = 1 << 16
_FIELDS = re.compile(rb"^(NSpid|Sig\w+):\t(.*)$", re.MULTILINE)


class Dispositions(NamedTuple):
    """Which signals are blocked, ignored and caught, as bits, and whether it is the first of a PID namespace."""

    blocked: int
    ignored: int
    caught: int
    first: bool


def parse(status: bytes) -> Dispositions | None:
    """From the text of /proc/PID/status; None where that is not in it."""
    found = dict(_FIELDS.findall(status))
    if not {b"SigBlk", b"SigIgn", b"SigCgt"} <= found.keys():
        return None
    pids = found.get(b"NSpid", b"").split()  # of each namespace that it is in, from ours down
    blocked, ignored, caught = (int(found[name], 16) for name in (b"SigBlk", b"SigIgn", b"SigCgt"))
    return Dispositions(blocked, ignored, caught, len(pids) > 1 and pids[-1] == b"1")


def loss(pid: int, number: signal.Signals) -> str:
    """Why a signal would be lost, to be read before it is sent; empty where it would not be, or nobody can say."""
    return "" if number in _HEEDED else _why(_read(pid), number)


def _why(found: Dispositions | None, number: signal.Signals) -> str:
    if found is None:
        return ""
    name, bit = number.name.removeprefix("SIG"), 1 << (number - 1)
    if found.ignored & bit:
        return f"it ignores {name}"
    if found.first and not (found.caught | found.blocked) & bit:  # what is blocked it may be waiting for
        return f"it is the first of its PID namespace and has no handler for {name}: the kernel drops it"
    return ""


def _read(pid: int) -> Dispositions | None:
    try:
        status = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse(os.read(status, _LONGEST_STATUS))
    except OSError:  # it has ended
        return None
    finally:
        os.close(status)
