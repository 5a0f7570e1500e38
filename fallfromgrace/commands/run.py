"""`run`: the parts put together, in the foreground or as a daemon."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fallfromgrace import config, daemonize, exits, loop
from fallfromgrace.actions import Performer
from fallfromgrace.logs import ERROR, Descriptor, Log, StderrLog, SyslogLog
from fallfromgrace.pidfile import PidFile
from fallfromgrace.protection import Self
from fallfromgrace.rules import Config
from fallfromgrace.source import PsutilSource
from fallfromgrace.systemd import sd_notify, to_journal

SYSLOG = "/dev/log"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; paths are absolute, and a daemon has a pid file."""

    config: Path
    pidfile: str | None = None
    detach: bool = False
    dry_run: bool = False
    verbose: bool = False


def run(options: Options) -> int:
    """Watch until told to end; as a daemon, return as soon as that watches."""
    daemonize.settle()
    found = config.load(options.config)
    lock = PidFile(options.pidfile) if options.pidfile else None
    if lock:
        lock.acquire()
    if options.detach and lock:
        return _detach(options, found, lock)
    log = StderrLog(Descriptor(2), journal=to_journal(2), verbose=options.verbose)
    return _watch(options, found, lock, log, ready=lambda: None)


def _detach(options: Options, found: Config, lock: PidFile) -> int:
    if not os.path.exists(SYSLOG):
        exits.complain(f"{exits.PROGRAM}: there is no syslog at {SYSLOG}; nothing is logged until there is")
    try:
        status = daemonize.detached(lambda ready: _daemon(options, found, lock, ready), [lock.fileno()])
    except exits.Failure:
        lock.release()
        raise
    # The pid file goes only if the daemon has ended. If we do not know, because Ctrl-C ended our waiting, it stays.
    if status != exits.OK:
        lock.release()
    return status


def _daemon(options: Options, found: Config, lock: PidFile, ready: Callable[[], None]) -> int:
    with contextlib.closing(SyslogLog(SYSLOG, verbose=options.verbose)) as log:
        try:
            return _watch(options, found, lock, log, ready)
        except Exception as error:
            for line in exits.explain(error)[1].splitlines():
                log.write(ERROR, line)  # after `ready` nobody else hears of it
            raise


def _watch(options: Options, found: Config, lock: PidFile | None, log: Log, ready: Callable[[], None]) -> int:
    def tell_ready() -> None:
        ready()
        sd_notify("READY=1")

    loop.block_signals()  # before anybody can know our pid
    source, user = PsutilSource(), os.geteuid()
    with lock.written() if lock else contextlib.nullcontext():
        return loop.Loop(
            found,
            load=lambda: config.load(options.config),
            source=source,
            performer=Performer(source, dry_run=options.dry_run, log=log),
            log=log,
            myself=Self(os.getpid(), None if user == 0 else user),
            ready=tell_ready,
            notify=sd_notify,
        ).run()
