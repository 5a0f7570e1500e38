"""SIGHUP as fast as two processes can send it, while the configuration is rewritten, well and badly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.live.conftest import Running
from tests.torture import Figure
from tests.victims import Victim, marker, state, until, victim

TITLE = "HUP at full rate from two senders for 60 s"
GOAL = "limits unchanged, no crash, TERM within 1 s"
FULL = {"seconds": 60.0, "senders": 2, "within": 1.0}
SHORT = {"seconds": 3.0, "senders": 2, "within": 3.0}

# Sends until told to end, or until there is nobody any more; says how many.
_SENDER = """
import os, signal, sys
held, sent, ending = os.pidfd_open(int(sys.argv[1])), 0, []
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
print("ready", flush=True)
try:
    while not ending:
        signal.pidfd_send_signal(held, signal.SIGHUP)
        sent += 1
except ProcessLookupError:
    pass
print(sent)
"""
_RULES = """\
interval: {interval}s
victims:
  cmdline: ' {mark} '
  actions:
    rmem > 50m: stop @ 1h
    rmem > 60m: exec @ 1h echo once >> {once}
    rmem > {more}g: term
"""


def run(seconds: float, senders: int, within: float) -> Figure:
    mark = marker()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hups.")))
        path, once = place / "x.conf", place / "once"
        path.write_text(_RULES.format(interval=1, mark=mark, once=once, more=1))
        hog = stack.enter_context(victim(mark, mib=64))
        running = stack.enter_context(_daemon(path))
        until(lambda: once.exists() and state(hog.pid) == "T", "the hog is told of and stopped")
        sending = [stack.enter_context(_sender(running.process.pid)) for _ in range(senders)]
        running_on = _storm(path, once, mark, hog, running, seconds)
        _have_taken_up(running, path, _RULES.format(interval=1, mark=mark, once=once, more=9))
        took = _asked_to_end(running)
        sent = sum(_number(each) for each in sending)
        faults = [*running_on, *_faults(running, hog, once, seconds, took, within)]
        stayed, times = state(hog.pid), once.read_text().count("once")
        reloads, refused = (len(running.said(words)) for words in ("reloaded: ", "not reloaded"))
    said = (
        f"{sent:,} HUPs in {seconds:g} s, {reloads} reloads and {refused} refused, "
        f"the command of once an hour ran {times}x, the process that was stopped is '{stayed}', "
        f"TERM took {took * 1000:.0f} ms"
    )
    return Figure(said, not faults, tuple(faults))


@contextmanager
def _daemon(path: Path) -> Iterator[Running]:
    running = Running("-c", path)
    try:
        running.says("started, version")
        yield running
    finally:
        running.end()


@contextmanager
def _sender(pid: int) -> Iterator[subprocess.Popen[str]]:
    sender = subprocess.Popen([sys.executable, "-c", _SENDER, str(pid)], stdout=subprocess.PIPE, text=True)
    try:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n"
        yield sender
    finally:
        sender.kill()
        sender.communicate()


def _number(sender: subprocess.Popen[str]) -> int:
    sender.terminate()
    return int(sender.communicate(timeout=20)[0] or 0)


# --- meanwhile ---


def _storm(path: Path, once: Path, mark: str, hog: Victim, running: Running, seconds: float) -> list[str]:
    """Rewrite the configuration all the time; what goes wrong meanwhile."""
    dice, ends, faults = random.Random(mark), time.monotonic() + seconds, set[str]()
    while time.monotonic() < ends and running.process.poll() is None:
        _rewrite(
            path, _RULES.format(interval=dice.randrange(1, 9), mark=mark, once=once, more=dice.randrange(1, 9)), dice
        )
        time.sleep(dice.random() * 0.2)
        if state(hog.pid) != "T":
            faults.add(f"the stopped process was seen as '{state(hog.pid)}'")
    return sorted(faults)


def _have_taken_up(running: Running, path: Path, text: str) -> None:
    """A right one, so that there was at least one."""
    before = len(running.said("reloaded: "))
    _replace(path, text)
    until(lambda: len(running.said("reloaded: ")) > before or running.process.poll() is not None, "it is taken up")


def _rewrite(path: Path, text: str, dice: random.Random) -> None:
    """Whole and at once for the most part; else wrong, or only its first part, which a line of it is cut by."""
    kind = dice.random()
    if kind < 0.2:
        lines = text.splitlines(keepends=True)
        path.write_text("".join(lines[: dice.randrange(len(lines))]) + dice.choice(lines)[:-2])
        return
    _replace(path, text if kind < 0.8 else text.replace("term", "tern"))


def _replace(path: Path, text: str) -> None:
    other = path.with_name("new")
    other.write_text(text)
    os.replace(other, path)


# --- at the end ---


def _asked_to_end(running: Running) -> float:
    """How long it takes while the storm goes on."""
    began = time.monotonic()
    running.process.terminate()
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        running.process.kill()
    return time.monotonic() - began


def _faults(running: Running, hog: Victim, once: Path, seconds: float, took: float, within: float) -> Iterator[str]:
    running.end()
    if running.process.returncode:
        yield f"it ended with {running.process.returncode}: {running.lines[-5:]}"
    if took > within:
        yield f"TERM took {took:.2f} s"
    if ran := once.read_text().count("once") - 1:
        yield f"a command that runs once an hour ran {ran} times more"
    if stopped := len(running.said('action="stop', "result=sent")) - 1:
        yield f"what is stopped once was stopped {stopped} times more"
    if state(hog.pid) != "T":
        yield f"the stopped process is now '{state(hog.pid)}'"
    tried = len(running.said("configuration ", "reloaded"))
    if not max(1.0, seconds / 2 - 2) <= tried <= seconds + 4:
        yield f"{tried} times it was asked to reload in {seconds:g} s"
    yield from running.said("please report")
    yield from running.said("Traceback")
