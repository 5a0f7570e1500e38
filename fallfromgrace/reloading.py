"""A reload: the configuration is read anew beside all other work, and taken up whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from fallfromgrace import exits
from fallfromgrace.errors import ConfigError
from fallfromgrace.reading import Reader
from fallfromgrace.rules import Config

# At least so long between two reloads: a storm of requests must not keep us from looking.
_APART_SECONDS = 1.0


class Reloading:
    """`read` begins to read, `notify` is told when a reload begins and when it is over, whatever came of it.

    `refuse` is told why a configuration is not used: what is wrong with it, or in words why it could not be read;
    `fault` of what should not happen.
    """

    def __init__(
        self,
        read: Callable[[float], Reader],
        refuse: Callable[[ConfigError | str], None],
        fault: Callable[[str, Exception, float], None],
        notify: Callable[[str], None],
    ) -> None:
        self._read = read
        self._refuse = refuse
        self._fault = fault
        self._notify = notify
        self._at: float | None = None
        self._began_at = -inf
        self._reader: Reader | None = None

    @property
    def asked(self) -> bool:
        """Whether one is to begin."""
        return self._at is not None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to go on with."""
        return self._at is None and self._reader is None

    @property
    def next_wake(self) -> float:
        """When to go on, if nothing tells before that there is something to take."""
        if self._reader:
            return self._reader.deadline
        return inf if self._at is None else self._at

    def ask(self, now: float) -> None:
        """Have the configuration read anew, as soon as that may be."""
        if self._at is None:
            self._at = max(now, self._began_at + _APART_SECONDS)

    def go_on(self, now: float, take_up: Callable[[Config], None]) -> bool:
        """Do what can be done without waiting; whether one is over, a new configuration taken up or not."""
        over = True  # also if to tell what came of it fails: systemd must not wait for ever
        try:
            over = self._step(now, take_up)
        finally:
            if over:
                self.end()
                self._notify("READY=1")
        return over

    def _step(self, now: float, take_up: Callable[[Config], None]) -> bool:
        try:
            if self._at is not None and not self._reader and now >= self._at:
                self._begin(now)
            if not self._reader or not self._reader.over(now):
                return False
            reader, self._reader = self._reader, None
            take_up(reader.result())
        except ConfigError as error:
            self._refuse(error)
        except (exits.Failure, ImportError) as error:
            self._refuse(exits.explain(error)[1])
        except Exception as error:  # noqa: BLE001 - it must not keep us from looking
            self._fault("the reload", error, now)
        return True

    def _begin(self, now: float) -> None:
        self._at, self._began_at = None, now
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reader = self._read(now)

    def end(self) -> None:
        """Nobody wants to know any more."""
        reader, self._reader = self._reader, None
        if reader:
            reader.end()
