"""What stays: the process that watches, executed anew with nothing in it but what that takes.

To understand arguments and to leave a terminal takes libraries, which a running daemon would keep for good: 2 MB.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence

from fallfromgrace import children, exits, loop, orders, pressure, privileges, procfs, reading
from fallfromgrace.actions import Performer
from fallfromgrace.exits import PROGRAM
from fallfromgrace.keeper import Forgetful, keeping
from fallfromgrace.ledger import Ledger
from fallfromgrace.linux import LinuxSource
from fallfromgrace.logs import DEBUG, ERROR, NOTICE, WARNING, Descriptor, Log, StderrLog, SyslogLog
from fallfromgrace.orders import Orders
from fallfromgrace.patience import Patience, limited
from fallfromgrace.pidfile import PidFile
from fallfromgrace.privileges import Lacks
from fallfromgrace.provisions import Provisions
from fallfromgrace.readiness import Readiness
from fallfromgrace.rules import Config
from fallfromgrace.systemd import Systemd, to_journal

SYSLOG = "/dev/log"


def main(words: Sequence[str]) -> int:
    """Watch until told to end; the exit status, also to who waits."""
    waiting = Readiness(-1)
    try:
        given = orders.parse(words)
        waiting = Readiness(given.waiting)
        status, text = _obey(given, waiting.ready), ""
    except KeyboardInterrupt:
        status, text = exits.INTERRUPTED, ""
    except BaseException as error:  # noqa: BLE001 - whoever waits is told about everything
        status, text = exits.explain(error)
    if text and waiting.fd < 0:
        exits.complain(text)
    waiting.finish(status, text)
    return status


def _obey(given: Orders, ready: Callable[[], None]) -> int:
    children.be_called(PROGRAM)
    try:
        for fd in given.descriptors:
            os.set_inheritable(fd, False)
        os.waitid(os.P_PID, given.reader, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # whether it is ours to end
    except OSError as error:
        raise exits.UsageError(orders.NOT_BY_HAND) from error
    found = reading.finish(reading.Reading(given.config, given.reader, given.pipe))
    with _locked(given.pidfile) as lock:
        if given.waiting >= 0:
            return _as_daemon(given, found, lock, ready)
        log = StderrLog(Descriptor(2), journal=to_journal(2), verbose=bool(given.verbose))
        return _watch(given, found, lock, log, ready)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[PidFile | None]:
    if not path:
        yield None
        return
    lock = PidFile(path)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _as_daemon(given: Orders, found: Config, lock: PidFile | None, ready: Callable[[], None]) -> int:
    with contextlib.closing(SyslogLog(SYSLOG, verbose=bool(given.verbose))) as log:
        try:
            return _watch(given, found, lock, log, ready)
        except Exception as error:
            for line in exits.explain(error)[1].splitlines():
                log.write(ERROR, line)  # after `ready` nobody else hears of it
            raise


def _watch(given: Orders, found: Config, lock: PidFile | None, log: Log, ready: Callable[[], None]) -> int:
    loop.block_signals()  # before anybody can know our pid
    oom_score = _brace(log)
    with contextlib.ExitStack() as ours:
        source, limit = _eyes(log)
        ours.callback(source.close)
        provisions = ours.enter_context(contextlib.closing(Provisions()))
        systemd = ours.enter_context(contextlib.closing(Systemd()))
        if lock:
            ours.enter_context(lock.written())

        def tell_ready() -> None:
            ready()
            systemd.tell("READY=1")
            _provide(provisions, log)

        return loop.Loop(
            found,
            limit=limit,
            read=lambda now: reading.Reader(given.config, now, provisions.descriptors),
            source=source,
            performer=Performer(source, dry_run=bool(given.dry_run), log=log, oom_score=oom_score),
            log=log,
            myself=privileges.ourselves(),
            keeper=ours.enter_context(_keeping(given, log)),
            ledger=_ledger(),
            ready=tell_ready,
            notify=systemd.tell,
            alive=systemd.alive,
            patience=systemd.patience,
        ).run()


def _brace(log: Log) -> int:
    """Be there still when memory is short; the OOM score of what we start."""

    def tell(text: str) -> None:
        log.write(DEBUG, text)

    pressure.lock_memory(tell)
    return pressure.spare_us(tell)


def _eyes(log: Log) -> tuple[LinuxSource, Callable[[Config], Config]]:
    """What looks at processes, and what makes a configuration one that may be used: nothing that others choose holds
    it up, and what it asks for in vain is told."""

    def tell(text: str) -> None:
        log.write(NOTICE, text)

    patience, lacks = Patience(tell), Lacks(tell)

    def limit(config: Config) -> Config:
        lacks.note(config)
        return limited(config, patience)

    return LinuxSource(tell, patience=patience), limit


def _keeping(given: Orders, log: Log) -> contextlib.AbstractContextManager[Forgetful]:
    """What keeps the state; limits of a dry run are not real."""
    if given.dry_run or given.state == orders.NO_STATE:
        return contextlib.nullcontext(Forgetful())
    return keeping(given.state, given.config, lambda text: log.write(WARNING, text))


def _ledger() -> Ledger:
    """What is published; by when we began, others know whether it is still ours."""
    myself = procfs.read_stat(os.getpid())
    return Ledger(myself.start if myself else 0, lambda: sum(os.times()[:4]), _slept)


def _slept() -> float:
    """For how long the machine was suspended since it was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def _provide(provisions: Provisions, log: Log) -> None:
    """Nobody waits for it: it takes a tenth of a second."""
    try:
        provisions.gather(reading.load_all)
    except exits.Failure as error:
        log.write(NOTICE, f"what a reload needs cannot be kept ({error}); restart the daemon if it is upgraded")
