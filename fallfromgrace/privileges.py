"""What we may do to others' processes and know of them, and what of it a configuration asks for in vain."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from fallfromgrace import procfs
from fallfromgrace.protection import Self
from fallfromgrace.rules import Config

# Those that make a difference to us, by their numbers in linux/capability.h.
_CAPABILITIES = {
    1: "DAC_OVERRIDE",
    2: "DAC_READ_SEARCH",
    5: "KILL",
    6: "SETGID",
    7: "SETUID",
    12: "NET_ADMIN",
    14: "IPC_LOCK",
    19: "SYS_PTRACE",
    21: "SYS_ADMIN",
    23: "SYS_NICE",
    24: "SYS_RESOURCE",
}
_EFFECTIVE = re.compile(rb"^CapEff:\t([0-9a-f]+)", re.MULTILINE)

_EXE = "so `exe` finds none of them"
_NOT_READ = f"what other users' processes execute cannot be read without CAP_SYS_PTRACE, {_EXE}"
_REFUSED = (
    "what process 1 executes, and so perhaps others, cannot be read, though we have CAP_SYS_PTRACE:"
    " `exe` does not find these"
)
_HIDDEN = (
    "other users' processes are hidden from us (/proc is mounted with hidepid), so no monitor finds them;"
    " it takes CAP_SYS_PTRACE, or the group that is named as gid= there"
)


def effective(root: str = "/proc") -> frozenset[str]:
    """The capabilities that we have: a user may have some, and root may lack some."""
    with open(f"{root}/self/status", "rb") as status:
        found = _EFFECTIVE.search(status.read())
    held = int(found[1], 16) if found else 0
    return frozenset(name for number, name in _CAPABILITIES.items() if held >> number & 1)


def acts_on_everybody(root: str = "/proc") -> bool:
    """Whether we may signal other users' processes. Root is nobody special without the capability, as in containers."""
    return "KILL" in effective(root)


def ourselves() -> Self:
    """We as who acts: a user on nobody else's processes."""
    return Self(os.getpid(), None if acts_on_everybody() else os.geteuid())


class Lacks:
    """Tells what a configuration asks for and nobody will ever hear of, since we may not see it; each once."""

    def __init__(self, tell: Callable[[str], None], root: str = "/proc") -> None:
        self._tell = tell
        self._root = root
        self._told: list[str] = []

    def note(self, config: Config) -> None:
        """A configuration is in force from now on."""
        found = lacking(config, self._root)
        for text in found:
            if text not in self._told:
                self._tell(text)
        self._told = found


def lacking(config: Config, root: str = "/proc") -> list[str]:
    """What its selectors cannot see. What its rules cannot read is told of each process, as unknown."""
    if _hides_others(root):
        return [_HIDDEN]
    if not any(monitor.selector.exe for monitor in config.monitors):
        return []
    if "SYS_PTRACE" not in effective(root):
        return [_NOT_READ]
    return [_REFUSED] if _is_refused(root) else []


def _hides_others(root: str) -> bool:
    """Every PID namespace has a process 1, and that is root's."""
    return not procfs.read_state(f"{root}/1")


def _is_refused(root: str) -> bool:
    """Of all others somebody might make the answer hang."""
    try:
        os.readlink(f"{root}/1/exe")
    except PermissionError:
        return True
    except OSError:
        return False
    return False
