"""What the program tells itself when it executes itself anew to stay; see resident."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fallfromgrace.exits import UsageError

FLAG = "--resident"
# In place of a file; a path would be absolute.
NO_STATE = "none"
NOT_BY_HAND = f"{FLAG} is what the program tells itself; leave it out"


class Orders(NamedTuple):
    """What it is to do: absolute paths, empty where there is none; the child that is reading the configuration; and
    who waits, see Readiness.

    Nobody waits in the foreground, where there is a terminal, or whatever is in its place, to tell.
    """

    config: str
    pidfile: str
    state: str
    reader: int
    pipe: int
    waiting: int
    dry_run: int
    verbose: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What it gets from whoever executes it."""
        return tuple(fd for fd in (self.pipe, self.waiting) if fd >= 0)

    def words(self) -> list[str]:
        """As arguments, which `ps` shows."""
        return [FLAG, *(f"{name}={value}" for name, value in self._asdict().items())]


def parse(words: Sequence[str]) -> Orders:
    """The same from arguments, less the flag."""
    given = [word.partition("=") for word in words]
    if tuple(name for name, _, _ in given) != Orders._fields:
        raise UsageError(NOT_BY_HAND)
    config, pidfile, state, *numbers = (value for _, _, value in given)
    try:
        return Orders(config, pidfile, state, *map(int, numbers))
    except ValueError:
        raise UsageError(NOT_BY_HAND) from None
