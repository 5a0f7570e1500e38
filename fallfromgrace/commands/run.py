"""`run`: settle in, in the foreground or as a daemon, and become the process that watches."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from fallfromgrace import daemonize, exits, reading
from fallfromgrace.exits import Failure
from fallfromgrace.orders import NO_STATE, Orders
from fallfromgrace.records import dataclass

SYSLOG = "/dev/log"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; paths are absolute, and a daemon has a pid file.

    `state` is empty where nothing says where to keep it, NO_STATE where it is not to be kept.
    """

    config: str
    pidfile: str | None = None
    state: str = NO_STATE
    detach: bool = False
    dry_run: bool = False
    verbose: bool = False


def run(options: Options) -> int:
    """Watch until told to end; as a daemon, return as soon as that watches."""
    program = _program()
    daemonize.settle()
    if not options.detach:
        _become_resident(program, options, -1)
    if not os.path.exists(SYSLOG):
        exits.complain(f"{exits.PROGRAM}: there is no syslog at {SYSLOG}; nothing is logged until there is")
    return daemonize.detached(lambda waiting: _become_resident(program, options, waiting.fd))


def _program() -> list[str]:
    """What was executed to get here: the interpreter, its options, and the script."""
    if not os.path.isfile(sys.argv[0]):
        raise Failure(f"cannot find itself as '{sys.argv[0]}'; start it by the path of its program")
    interpreter = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    # Python looks for itself by the name that it was given, which may be none that can be found.
    return [sys.executable or os.readlink("/proc/self/exe"), *interpreter, os.path.abspath(sys.argv[0])]


def _become_resident(program: list[str], options: Options, waiting: int) -> NoReturn:
    """The same process, executed anew; meanwhile a child begins to read the configuration."""
    # One that comes now waits until there is somebody to take it; the mask outlives the execution.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    reader = reading.start(options.config)
    orders = Orders(
        config=reader.path,
        pidfile=options.pidfile or "",
        state=options.state,
        reader=reader.pid,
        pipe=reader.pipe,
        waiting=waiting,
        dry_run=int(options.dry_run),
        verbose=int(options.verbose),
    )
    for fd in orders.descriptors:
        os.set_inheritable(fd, True)
    try:
        os.execv(program[0], program + orders.words())  # noqa: S606 - ourselves
    except OSError as error:
        raise Failure(f"cannot execute {program[0]}: {error.strerror}") from error
