"""A thousand commands at once, of a daemon that was started in the worst of places.

All is within a PID namespace of its own. The daemon inherits descriptors, ignored and blocked signals, a umask, a
niceness and limits. One process fires every rule of seventeen monitors, and each command writes down how it found
things; one leaves a crowd in the background, and one hangs.
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from fallfromgrace import procfs
from tests.torture import Figure, _namespace
from tests.torture._daemon import Daemon, daemon
from tests.victims import marker, victim

TITLE = "1,000 commands due at once"
GOAL = "at most 16 alive, 0 zombies, clean masks and descriptors"
FULL = {"each": 62, "left": 1000, "hangs": True}
SHORT = {"each": 5, "left": 50, "hangs": False}

needs = _namespace.needs

MONITORS = 16
# Of one monitor so many are more than may wait: what is refused is told, and tried again.
CROWDED = 72
MOST_ALIVE = 16
# A command that has ended is reaped when the daemon is next awake; on a machine with nothing to spare that is not soon.
_LONGEST_ZOMBIE_SECONDS = 5.0
_IGNORABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
# Signals 32 and 33 belong to the C library.
_OURS = ~(3 << 31)
_NICE, _OOM, _FILES = 1, 500, 2222

_LOOK = (
    "cat /proc/self/status /proc/self/limits /proc/self/stat > {place}/$$; ls -l /proc/self/fd >> {place}/$$; "
    "echo cwd=$(pwd) umask=$(umask) oom=$(cat /proc/self/oom_score_adj) >> {place}/$$; mv {place}/$$ {place}/$$.told"
)


def run(each: int, left: int, hangs: bool) -> Figure:
    found = _namespace.run(__name__, each=each, left=left, hangs=hangs)
    said = (
        "{due} commands due at once: {ran} ran, {refused} times one was refused and told, at most {alive} "
        "alive, the longest a zombie for {zombie:.2f} s, {dirty} found things unclean, {descriptors:+} descriptors"
    ).format(**found)
    if hangs:
        said += "; one that hung was ended with its group"
    return Figure(said, not found["faults"], tuple(found["faults"]))


def inside(each: int, left: int, hangs: bool) -> dict[str, Any]:
    """What is found, by the first process of a namespace."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "told").mkdir()
        mark = marker()
        with daemon(place, _configuration(mark, place / "told", each, left, hangs), preexec_fn=_spoil) as running:
            before = running.descriptors
            with victim(mark):
                return _watched(running, place / "told", each, left, hangs, before)


def _configuration(mark: str, place: Path, each: int, left: int, hangs: bool) -> str:
    look = _LOOK.format(place=place)
    monitors = [_monitor(f"m{n}", mark, [look] * each) for n in range(MONITORS - 1)]
    monitors.append(_monitor("crowded", mark, [look] * CROWDED))
    crowd = f"for n in $(seq {left}); do sleep 20 & done; {look}"
    monitors.append(_monitor("leaves", mark, [crowd]))
    if hangs:
        monitors.append(
            _monitor("hangs", mark, ['trap "" TERM; (trap "" TERM; exec sleep 1000) & sleep 1000; sleep 1000'])
        )
    return "interval: 1s\n" + "".join(monitors)


def _monitor(name: str, mark: str, commands: list[str]) -> str:
    rules = "".join(f"    rmem > {n}: 'exec {text}'\n" for n, text in enumerate(commands))
    return f"{name}:\n  cmdline: ' {mark} '\n  actions:\n{rules}"


def _spoil() -> None:
    """Be the worst parent that a daemon may have."""
    for number in (7, 8, 50, 51):
        os.dup2(os.open("/dev/null", os.O_RDWR), number)
        os.set_inheritable(number, True)
    for number in _IGNORABLE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORABLE)
    os.umask(0o077)
    os.nice(_NICE)
    Path("/proc/self/oom_score_adj").write_text(str(_OOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _watched(running: Daemon, place: Path, each: int, left: int, hangs: bool, before: int) -> dict[str, Any]:
    due = (MONITORS - 1) * each + CROWDED + 1
    watch = Watch(running)
    told: list[Path] = []
    deadline = time.monotonic() + 120
    while len(told) < due and time.monotonic() < deadline:
        watch.look()
        told = list(place.glob("*.told"))
        time.sleep(0.002)
    watch.settle()
    dirty = [fault for path in told for fault in _unclean(path)]
    faults = (
        watch.faults + dirty + ([] if len(told) == due else [f"only {len(told)} of {due} ran: {running.lines[-3:]}"])
    )
    descriptors = running.descriptors - before
    if descriptors > 20:  # its keeper of the victim, pipes of what was left behind and of what hangs
        faults.append(f"{descriptors} descriptors more than before")
    if hangs:
        faults += _hung(running, watch)
    refused = len(running.said("commands of this monitor are waiting already"))
    if not refused:
        faults.append("nothing was refused")
    if status := running.end():
        faults.append(f"it ended with {status}")
    return {
        "due": due, "ran": len(told), "refused": refused, "alive": watch.most, "zombie": watch.longest,
        "dirty": len(dirty), "descriptors": descriptors, "faults": faults[:20],
    }  # fmt: skip


class Watch:
    """Counts commands and zombies, again and again."""

    def __init__(self, running: Daemon) -> None:
        self._running = running
        self._since: dict[int, float] = {}
        self.most = 0
        self.longest = 0.0

    def look(self) -> None:
        now = time.monotonic()
        stats = {pid: stat for pid in self._running.children if (stat := procfs.read_stat(pid))}
        commands = [stat for pid, stat in stats.items() if stat.pgid == pid and not stat.ended]
        self.most = max(self.most, len(commands))
        zombies = [pid for pid, stat in stats.items() if stat.ended]
        self._since = {pid: self._since.get(pid, now) for pid in zombies}
        self.longest = max([self.longest, *(now - since for since in self._since.values())])

    def settle(self) -> None:
        """Wait until there are no zombies, or there have been some for too long."""
        self.look()
        while self._since and self.longest <= _LONGEST_ZOMBIE_SECONDS:
            time.sleep(0.01)
            self.look()

    @property
    def faults(self) -> list[str]:
        found = [f"{self.most} commands at once"] if self.most > MOST_ALIVE else []
        return found + ([f"a zombie for {self.longest:.1f} s"] if self.longest > _LONGEST_ZOMBIE_SECONDS else [])


def _unclean(path: Path) -> list[str]:
    """What a command found that it should not have."""
    text = path.read_text()
    lines = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    stat = next(line for line in text.splitlines() if " (cat) " in line).rpartition(")")[2].split()
    shell = int(path.stem)
    found = {
        "blocked": int(lines["SigBlk"], 16) & _OURS,
        "ignored": int(lines["SigIgn"], 16) & _OURS,
        "descriptors": {line.split()[8] for line in text.splitlines() if " -> " in line} - {"0", "1", "2", "3"},
        "session": int(stat[3]) - shell,
        "group": int(stat[2]) - shell,
        "niceness": int(stat[16]) - min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICE),
        "place": "cwd=/ umask=0022 oom=500" not in text,
        "core": "Max core file size        0                    0" not in text,
        "files": f"Max open files            {_FILES}                 {_FILES}" not in text,
        "input": "0 -> /dev/null" not in text,
    }
    return [f"{what}: {value}" for what, value in found.items() if value]


def _hung(running: Daemon, watch: Watch) -> list[str]:
    """What is wrong with the end of a command that hangs, and of its group."""
    [group] = [pid for pid in running.children if (stat := procfs.read_stat(pid)) and stat.pgid == pid]
    deadline = time.monotonic() + 80
    while not running.said("monitor=hangs", "status=-9") and time.monotonic() < deadline:
        watch.look()
        time.sleep(0.05)
    faults = [name for name in ("SIGTERM", "SIGKILL") if not running.said("monitor=hangs", f"sent={name}", "too long")]
    stats = filter(None, map(procfs.read_stat, procfs.read_pids()))
    faults += [f"{stat.comm} is left of its group" for stat in stats if stat.pgid == group and not stat.ended]
    return faults + watch.faults
