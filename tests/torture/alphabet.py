"""Command lines and names that are made to be mistaken for something else, in the log.

Each is that of a real process, which is read, judged, and told of as the daemon does it, both on a stream and to a
syslog listener; the real program tells of them, too. What a line says is read back, and must be what was there.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from fallfromgrace import procfs, source
from fallfromgrace.actions import Performer
from fallfromgrace.linux import LinuxSource
from fallfromgrace.logs import StderrLog, SyslogLog, outcome_line
from tests.builders import Lines, verdict
from tests.torture import Figure
from tests.torture._daemon import daemon
from tests.torture._disguise import LIBC, show_arguments, show_name
from tests.victims import marker, until

TITLE = "256 byte values and surrogates in a command line"
GOAL = "one printable line each"
FULL = {"real": 1}
SHORT = {"real": 20}  # the program is told of every twentieth

_LONGEST_LINE = 1024
_FORGED = b"\n2026-01-01 00:00:00 monitor=forged pid=1 result=sent"
_ODD = [
    b"", b" ", b"\xc3", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xff\xfe", _FORGED,
    b"\x1b[2J\x1b]0;title\x07", "\x9b31m".encode(), "\u202etxt.exe".encode(), "\u2028\u2029\u200b\ufeff\u00ad".encode(),
    "\uffff\U000e0041\U0010ffff\ue000".encode(), "e\u0301".encode(), b'" result=sent x="', b"\\", b"\\\\n\\x41", b"'",
    b"$(reboot) `reboot` $PID ${NAME}", b"%s%n{0}", b"a=b c=d", b"x" * 100_000, b"\xff" * 10_000, b"\n" * 10_000,
]  # fmt: skip
_TEXTS = [bytes([value]) + b"x" for value in range(1, 256)] + [b"x" + bytes([value]) for value in range(1, 256)] + _ODD
_HUGE = [b"y" * 100_000] * 20
# What a process may make of its own command line, without an end or with NULs in it.
_OVERWRITTEN = [b"a\0b\0\0c", b"\0\0\0", b"no end" * 100, b"\xe2\x82" * 100, b"a\0" + _FORGED]
_NAMES = [b"ev) R 1 1 1", b"\n", b"", b"\xc3", b") (", b"a\nState:\tZ", b"\xff" * 15, b"(((((", b"x" * 14 + b"\xc3"]

_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_SHORT = {"n": "\n", "t": "\t", "r": "\r"}


class Living(NamedTuple):
    """A process, and what its command line is."""

    pid: int
    cmdline: str


def run(real: int) -> Figure:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as living:
        mark = marker().encode()
        crowd = list(_crowd(mark, living))
        faults = [
            *_told(Path(directory), [*crowd, *_disguised(living)]),
            *_told_by_the_program(Path(directory), mark, crowd[::real]),
        ]
    said = (
        f"{len(crowd) + len(_OVERWRITTEN) + len(_NAMES)} processes, {len(crowd[::real])} also told of by the program: "
    )
    said += f"{len(faults)} wrong lines" if faults else "one printable line each, that reads back"
    return Figure(said, not faults, tuple(faults))


# --- the processes ---


def _crowd(mark: bytes, living: ExitStack) -> Iterator[Living]:
    waiting, never = os.pipe()
    living.callback(os.close, waiting)
    living.callback(os.close, never)
    for arguments in [*([text] for text in _TEXTS), _HUGE, [b"a", b"", b"b", b""]]:
        words = [b"/bin/sh", b"-c", b"read x; :", mark, *arguments]
        pid = os.posix_spawn(words[0], words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, waiting, 0)], setsigmask=[])
        living.callback(_end, pid)
        yield Living(pid, _shown(b" ".join(words)))


def _shown(arguments: bytes) -> str:
    text = arguments.replace(b"\0", b" ").decode(errors="surrogateescape").rstrip()
    return text if len(text) <= source.LONGEST_CMDLINE else text[: source.LONGEST_CMDLINE] + source.CUT


def _disguised(living: ExitStack) -> Iterator[Living]:
    for name in _NAMES:
        yield Living(_forked(b"named", name, living), "named")
    for text in _OVERWRITTEN:
        yield Living(_forked(text, b"plain", living), "")


def _forked(text: bytes, name: bytes, living: ExitStack) -> int:
    told, telling = os.pipe()
    if not (pid := os.fork()):
        try:
            show_arguments(text)
            show_name(name)
            os.write(telling, b".")
            while True:
                LIBC.pause()
        finally:
            os._exit(1)
    living.callback(_end, pid)
    os.close(telling)
    os.read(told, 1)
    os.close(told)
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- what is told of them ---


def _told(place: Path, crowd: Sequence[Living]) -> Iterator[str]:
    """What is wrong with the lines of each, on a stream and to a listener."""
    performer = Performer(LinuxSource(lambda text: None), dry_run=False, log=Lines(), myself=0)
    address, path = str(place / "log-socket"), place / "stream"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, open(path, "w", encoding="utf-8") as stream:
        listener.bind(address)
        listener.settimeout(10)
        with closing(SyslogLog(address, clock=lambda: 0.0)) as syslog:
            for each in crowd:
                priority, line = _line(performer, each)
                before = path.stat().st_size
                StderrLog(stream, clock=lambda: 0.0).write(priority, line)
                syslog.write(priority, line)
                streamed = path.read_bytes()[before:]
                yield from _wrong("stream", streamed, b"1970-01-01 00:00:00 ", b"\n", each)
                head = f"<29>Jan  1 00:00:00 fall-from-grace[{os.getpid()}]: ".encode()
                yield from _wrong("syslog", listener.recv(1 << 20), head, b"", each)


def _line(performer: Performer, each: Living) -> tuple[int, str]:
    """What the log is told when a rule fires for somebody."""
    stat = procfs.read_stat(each.pid)
    assert stat
    assert stat.ppid == os.getpid()  # whatever its name imitates
    found = performer._source.reread(each.pid)
    assert found
    decided = verdict("log $CMDLINE", "rmem > 1k", process=found[0], cmdline="", sample=found[1])
    with ExitStack() as held:
        return outcome_line(performer.carry_out(performer.prepare(decided, held), 0.0))


def _wrong(where: str, data: bytes, head: bytes, end: bytes, each: Living) -> Iterator[str]:
    """What is wrong with a line, if anything."""
    try:
        if not data.startswith(head) or not data.endswith(end):
            raise ValueError("it does not begin or end as a line")
        text = data[len(head) : len(data) - len(end)].decode()
        if not text.isprintable() or len(data) > _LONGEST_LINE:
            raise ValueError("it is not printable, or too long")
        _read_back(text, each)
    except ValueError as error:
        yield f"{where}: {error}: {data[:300]!r}"


def _read_back(line: str, each: Living) -> None:
    """ValueError unless a line says what it is about."""
    found, place = {}, 0
    while place < len(line):
        if not (match := _FIELD.match(line, place)) or match[1] in found:
            raise ValueError(f"it is no field: {line[place : place + 40]!r}")
        found[match[1]], place = match[2], match.end()
    if found["pid"] != str(each.pid) or found["result"] != "told":
        raise ValueError("it is about something else")
    said = _unescaped(found["cmdline"])
    if each.cmdline and said != each.cmdline and not (said.endswith("...") and each.cmdline.startswith(said[:-3])):
        raise ValueError(f"it says another command line: {said[:100]!r}")


def _unescaped(value: str) -> str:
    def character(match: re.Match[str]) -> str:
        kind, digits = match[1][0], match[1][1:]
        if not digits:
            return _SHORT.get(kind, kind)
        code = int(digits, 16)
        return chr(code + 0xDC00 if kind == "x" and code > 0x7F else code)  # a byte that was no text

    return _ESCAPE.sub(character, value.removeprefix('"').removesuffix('"'))


def _told_by_the_program(place: Path, mark: bytes, crowd: Sequence[Living]) -> Iterator[str]:
    """The same of the real program, which finds them all at once."""
    rule = f"m:\n  cmdline: {mark.decode()}\n  actions:\n    rmem > 1k: log $CMDLINE\n"
    with daemon(place, rule) as running:
        until(lambda: len(running.said("action=log")) >= len(_TEXTS), "all are told of")
        lines = (place / "log").read_bytes().splitlines(keepends=True)
    for each in crowd:
        mine = [line for line in lines if f" pid={each.pid} ".encode() in line]
        if len(mine) != 1:
            yield f"program: {len(mine)} lines about {each.cmdline[:100]!r}"
        for line in mine:
            yield from _wrong("program", line, line[:20], b"\n", each)
