"""Delivery is tested on real session buses and real terminals; only who shows notifications is made here."""

import contextlib
import errno
import fcntl
import os
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import tty
from pathlib import Path

import mock
import pytest

from fallfromgrace import notify, spawn
from fallfromgrace.logs import NOTICE
from fallfromgrace.notify import Message, Notifier
from fallfromgrace.spawn import Spawner
from fallfromgrace.verdict import Result
from tests.builders import Lines
from tests.victims import until

pytestmark = pytest.mark.usefixtures("awaited_signals")

ME = os.getuid()
OTHER = 65534  # nobody
STRANGER = 54321  # in no passwd file
ROOT = pytest.mark.skipif(ME != 0, reason="only root can act as another user")
PACKAGES = {
    "notify-send": "libnotify-bin",
    "gdbus": "libglib2.0-bin",
    "busctl": "systemd",
    "dbus-daemon": "dbus-daemon",
}


def needs(tool):
    missing = not shutil.which(tool)
    return pytest.mark.skipif(missing, reason=f"{tool} is missing: apt-get install {PACKAGES[tool]}")


def known(uid):
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


BUS = needs("dbus-daemon")
NAMED = pytest.mark.skipif(not known(ME), reason="dbus-daemon serves only users in the passwd file")
TOOLS = [pytest.param(tool, marks=needs(tool)) for tool in ("notify-send", "gdbus", "busctl")]
HOSTILE = "\x1b]0;pwned\x07 $(id) `id` %s \\074b\\076 \\377 <b>&amp;' \"-x\n\udcff \u202e\u00e9"
SEEN = "\\x1b]0;pwned\\x07 $(id) `id` %s \\074b\\076 \\377 <b>&amp;' \"-x\\x0a\\xff \\u202e\u00e9"


def message(uid=ME, text="too large", title="hogs"):
    return Message(uid=uid, title=title, text=text, owner="m", label="monitor=hogs")


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def spawner(log, terminal):  # terminals stay until nothing is told any more: their names are soon those of others
    made = Spawner(log)
    yield made
    for running in made._running:
        os.killpg(running.pid, signal.SIGKILL)
    made._queue.clear()
    settle(made)
    for pipe in made._pipes:
        if pipe.open:
            os.close(pipe.descriptor)


def settle(spawner, *serving, now=0.0):
    """Tend, and let others serve, until nothing runs or waits any more, with the clock standing still."""

    def done():
        for desktop in serving:
            desktop.serve()
        spawner.tend(now)
        return not spawner.busy

    until(done)


@pytest.fixture
def root():
    """Directories like those in /run/user; every user can go through, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="ffg-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def runtime(root):
    """Makes the runtime directory of a user."""

    def make(uid=ME):
        directory = root / "run" / str(uid)
        directory.mkdir(mode=0o700, parents=True)
        os.chown(directory, uid, -1)
        return directory

    return make


@pytest.fixture
def only(root):
    """A PATH with nothing but some programs; `scripts` are made here."""

    def make(*programs, **scripts):
        directory = root / "bin"
        directory.mkdir()
        for name in programs:
            (directory / name).symlink_to(shutil.which(name))
        for name, text in scripts.items():
            made = directory / name.replace("_", "-")
            made.write_text(f"#!/bin/sh\n{text}\n")
            made.chmod(0o755)
        return str(directory)

    return make


@pytest.fixture
def notifier(spawner, log, root):
    def make(*terminals, path=notify._PATH):
        return Notifier(spawner, log, runtime_root=f"{root}/run", terminals=lambda _: terminals, path=path)

    return make


# --- the other side: a session bus, and who shows notifications on it ---

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""


def listens(path):
    """Whether somebody would answer; there is a moment before they do when the socket is there."""
    with socket.socket(socket.AF_UNIX) as asks:
        return not asks.connect_ex(str(path))


@pytest.fixture
def session(runtime, root):
    """Starts the session bus of a user, which nobody serves yet; its socket."""
    started = []

    def start(uid=ME):
        path = runtime(uid) / "bus"
        config = root / "bus.conf"
        config.write_text(CONFIG.format(path))
        as_user = {"user": uid, "group": uid, "extra_groups": []} if uid != ME else {}
        started.append(
            subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"], **as_user)
        )
        until(lambda: listens(path))
        return str(path)

    yield start
    for process in started:
        process.kill()
        process.wait()


CALL, RETURN, ERROR = 1, 2, 3
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = range(1, 9)


def padded(data, to):
    return data + bytes(-len(data) % to)


def string(text):
    return struct.pack("<I", len(text.encode())) + text.encode() + b"\0"


def strings(*texts):
    body = b""
    for text in texts:
        body = padded(body, 4) + string(text)
    return body


INTROSPECTION = (
    '<node><interface name="org.freedesktop.Notifications"><method name="Notify">'
    + "".join(f'<arg direction="in" type="{kind}"/>' for kind in ("s", "u", "s", "s", "s", "as", "a{sv}", "i"))
    + '<arg direction="out" type="u"/></method></interface></node>'
)


class Desktop:
    """Speaks just enough D-Bus to be org.freedesktop.Notifications; answers only while it is told to `serve`."""

    def __init__(self, path):
        self.shown = []  # (the caller's uid, app name, summary, body)
        self._serial = 0
        self._data = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5)
        self._socket.connect(path)
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(ME).encode().hex().encode() + b"\r\n")
        assert self._socket.recv(1000).startswith(b"OK")
        self._socket.sendall(b"BEGIN\r\n")
        self._ask("Hello")
        self._ask("RequestName", "su", padded(strings("org.freedesktop.Notifications"), 4) + bytes(4))

    def serve(self):
        """Answer all that has come, without waiting for more."""
        while select.select([self._socket], [], [], 0)[0]:
            kind, serial, header, body = self._next()
            if kind == CALL:
                self._answer(serial, header, body)

    def close(self):
        self._socket.close()

    def _answer(self, serial, header, body):
        reply = {REPLY_SERIAL: serial, DESTINATION: header[SENDER]}
        if header[MEMBER] == "Notify":
            uid = struct.unpack_from("<I", self._ask("GetConnectionUnixUser", "s", strings(header[SENDER])))[0]
            self.shown.append((uid, *self._notification(body)))
            self._send(RETURN, reply | {SIGNATURE: "u"}, struct.pack("<I", len(self.shown)))
        elif header[MEMBER] == "Introspect":
            self._send(RETURN, reply | {SIGNATURE: "s"}, strings(INTROSPECTION))
        elif header[MEMBER] == "GetServerInformation":
            self._send(RETURN, reply | {SIGNATURE: "ssss"}, strings("test", "test", "1", "1.2"))
        else:
            self._send(ERROR, reply | {ERROR_NAME: "org.freedesktop.DBus.Error.UnknownMethod"})

    def _notification(self, body):
        name, at = self._string(body, 0)
        _, at = self._string(body, padded_length(at) + 4)  # behind the id that is replaced; the icon
        summary, at = self._string(body, at)
        return name, summary, self._string(body, at)[0]

    def _string(self, data, at):
        at = padded_length(at)
        length = struct.unpack_from("<I", data, at)[0]
        return data[at + 4 : at + 4 + length].decode(), at + 5 + length

    def _ask(self, member, signature="", body=b""):
        """Call the bus itself; the body of its answer."""
        bus = "org.freedesktop.DBus"
        header = {PATH: "/org/freedesktop/DBus", INTERFACE: bus, MEMBER: member, DESTINATION: bus}
        asked = self._send(CALL, header | ({SIGNATURE: signature} if signature else {}), body)
        while True:
            kind, serial, header, body = self._next()
            if header.get(REPLY_SERIAL) == asked:
                assert kind == RETURN, body
                return body
            if kind == CALL:
                self._answer(serial, header, body)

    def _send(self, kind, header, body=b""):
        types = {PATH: "o", SIGNATURE: "g", REPLY_SERIAL: "u"}
        packed = b""
        for code, value in header.items():
            packed = padded(packed, 8) + bytes([code, 1]) + types.get(code, "s").encode() + b"\0"
            if code == SIGNATURE:
                packed += bytes([len(value)]) + value.encode() + b"\0"
            else:
                packed += struct.pack("<I", value) if code == REPLY_SERIAL else string(value)
        self._serial += 1
        head = b"l" + bytes([kind, 0, 1]) + struct.pack("<III", len(body), self._serial, len(packed))
        self._socket.sendall(padded(head + packed, 8) + body)
        return self._serial

    def _next(self):
        """The next message: its kind, serial, header and body."""
        _, kind, _, _, length, serial, fields = struct.unpack("<cBBBIII", self._take(16))
        packed = self._take(fields + -fields % 8)[:fields]
        return kind, serial, self._header(packed), self._take(length)

    def _header(self, packed):
        header, at = {}, 0
        while at < len(packed):
            code, kind = packed[at], chr(packed[at + 2])
            if kind == "g":
                length = packed[at + 4]
                header[code], at = packed[at + 5 : at + 5 + length].decode(), at + 6 + length
            elif kind == "u":
                header[code], at = struct.unpack_from("<I", packed, at + 4)[0], at + 8
            else:
                header[code], at = self._string(packed, at + 4)
            at += -at % 8
        return header

    def _take(self, length):
        while len(self._data) < length:
            received = self._socket.recv(65536)
            assert received, "the bus has closed the connection"
            self._data += received
        taken, self._data = self._data[:length], self._data[length:]
        return taken


def padded_length(at):
    return at + -at % 4


@pytest.fixture
def desktop(session):
    """Starts the session bus of a user, with somebody to show notifications."""
    made = []

    def start(uid=ME):
        made.append(Desktop(session(uid)))
        return made[-1]

    yield start
    for each in made:
        each.close()


# --- the desktop ---


@BUS
@NAMED
@pytest.mark.parametrize("tool", TOOLS)
def test_the_desktop_shows_the_text_literally_by_whichever_program_there_is(
    notifier, spawner, log, desktop, only, tool
):
    shows = desktop()
    assert notifier(path=only(tool)).tell(message(text=HOSTILE, title="-t <i>'\\"), 0.0) is Result.STARTED
    settle(spawner, shows)
    body = SEEN.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shows.shown == [(ME, "fall-from-grace", "fall-from-grace: -t <i>'\\", body)]
    assert log == [(NOTICE, "monitor=hogs via=desktop")]


def speaks_for(directory):
    """A session bus as far as can be seen from outside."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(directory / "bus"))
    os.chown(directory / "bus", directory.stat().st_uid, -1)
    return directory


# What a notify-send of ours finds around it.
LOOKS_AROUND = """
{ id -u; id -g; id -G; echo $(grep -E 'NoNewPrivs|Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2); } > "$HOME/who"
env > "$HOME/env"
printf '%s\\n' "$@" > "$HOME/arguments"
streams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)
echo "$streams" > "$HOME/streams"
"""
NO_CAPABILITIES = "0000000000000000"


@pytest.fixture
def around(notifier, spawner, log, runtime, only, monkeypatch):
    """What a program that tells a user finds around it, by name."""

    def look(uid):
        directory = speaks_for(runtime(uid))
        monkeypatch.setattr(notify, "_home", lambda _: str(directory))
        path = f"{only(notify_send=LOOKS_AROUND)}:{os.defpath}"
        assert notifier(path=path).tell(message(uid), 0.0) is Result.STARTED
        settle(spawner)
        assert log == [(NOTICE, "monitor=hogs via=desktop")]
        return {found.name: found.read_text().splitlines() for found in directory.iterdir() if found.is_file()}

    return look


def groups_of(uid):
    """What the user database says, as `id` shows it; nothing of a user it does not know but the group `nogroup`."""
    if not (user := known(uid)):
        return ["65534", {"65534"}]
    return [str(user.pw_gid), {str(each) for each in os.getgrouplist(user.pw_name, user.pw_gid)}]


@ROOT
@pytest.mark.parametrize("uid", [OTHER, STRANGER])
def test_another_user_is_told_as_that_user_who_can_make_nothing_more_of_it(around, uid):
    ours = os.getgroups()
    os.setgroups([*ours, 4242])
    try:
        user, group, groups, rights = around(uid)["who"]
    finally:
        os.setgroups(ours)
    assert [user, group, set(groups.split())] == [str(uid), *groups_of(uid)]
    *capabilities, no_new_privileges = rights.split()
    assert (set(capabilities), no_new_privileges) == ({NO_CAPABILITIES}, "1")


@ROOT
def test_a_user_whose_number_is_anothers_name_is_not_taken_for_them():
    """setpriv looks for a name first."""
    assert "--reuid=+1000" in notify._as_user(1000)


def test_nothing_of_ours_is_in_what_a_user_can_reach(around):
    found = around(ME)
    names = {line.partition("=")[0] for line in found["env"]} - {"PWD", "OLDPWD", "SHLVL", "_"}
    texts = {"PROGRAM", "TITLE", "TITLE_GVARIANT", "TEXT", "TEXT_GVARIANT", "TEXT_UNCOMPRESSED"}
    assert names == {"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "HOME", "PATH", "LC_ALL"} | texts
    assert found["arguments"] == ["--app-name=fall-from-grace", "--", "fall-from-grace: hogs", "too large"]
    assert found["streams"] == [os.devnull] * 3


@ROOT
@BUS
@NAMED
def test_another_users_desktop_is_told_and_takes_us_for_that_user(notifier, spawner, log, desktop):
    shows = desktop(OTHER)
    assert notifier().tell(message(OTHER), 0.0) is Result.STARTED
    settle(spawner, shows)
    assert shows.shown == [(OTHER, "fall-from-grace", "fall-from-grace: hogs", "too large")]
    assert log == [(NOTICE, "monitor=hogs via=desktop")]


@BUS
@NAMED
def test_a_long_text_is_shown_in_part(notifier, spawner, desktop):
    shows = desktop()
    notifier().tell(message(text="\\<'" * 50_000, title="t" * 50_000), 0.0)
    settle(spawner, shows)
    [(_, _, summary, body)] = shows.shown
    assert (len(summary), len(body)) == (217, notify.LONGEST_TEXT + 340 * len("lt;"))
    assert body.endswith("...")


@BUS
@NAMED
def test_one_at_a_time_so_that_they_are_shown_in_order(notifier, spawner, desktop):
    shows = desktop()
    tells = notifier()
    assert [tells.tell(message(text=f"{n}"), 0.0) for n in range(4)] == [Result.STARTED] + [Result.QUEUED] * 3
    settle(spawner, shows)
    assert [body for *_, body in shows.shown] == ["0", "1", "2", "3"]


# --- terminals ---


class Terminal:
    """A terminal of a user, and what is on its screen."""

    def __init__(self, uid=ME, mode=0o620, utf8=True):
        self.master, self.slave = os.openpty()
        self.path = os.ttyname(self.slave)
        os.set_blocking(self.master, False)
        os.set_blocking(self.slave, False)
        tty.setraw(self.slave)
        attributes = termios.tcgetattr(self.slave)
        attributes[0] = attributes[0] & ~notify._IUTF8 | (notify._IUTF8 if utf8 else 0)
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        os.chown(self.path, uid, -1)
        os.chmod(self.path, mode)

    def screen(self, least=0):
        """What has come; of that which will, wait for so many bytes."""
        until(lambda: self._waiting() >= least)
        return os.read(self.master, 1_000_000) if self._waiting() else b""

    def fill(self):
        """What is written goes from one buffer to another; when both are full, nothing moves any more."""
        self._write_all_it_takes()
        until(lambda: self._waiting() > 4000)
        self._write_all_it_takes()

    def _waiting(self):
        return struct.unpack("i", fcntl.ioctl(self.master, termios.FIONREAD, bytes(4)))[0]

    def _write_all_it_takes(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.slave, b"x" * 4096)

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    made = []

    def make(*arguments, **other):
        made.append(Terminal(*arguments, **other))
        return made[-1]

    yield make
    for each in made:
        each.close()


TOLD = b"\r\nfall-from-grace: hogs: too large\r\n"
BY_TERMINAL = [(NOTICE, 'monitor=hogs via=terminals detail="no session"')]
BY_LOG = [(NOTICE, 'monitor=hogs via=log detail="no session" text="too large"')]


def test_without_a_session_all_terminals_are_told_at_once(notifier, log, terminal):
    one, other = terminal(), terminal()
    assert notifier(one.path, other.path).tell(message(), 0.0) is Result.SENT
    assert [each.screen(len(TOLD)) for each in (one, other)] == [TOLD, TOLD]
    assert log == BY_TERMINAL


@ROOT
def test_a_terminal_of_another_user_is_told(notifier, log, terminal):
    theirs = terminal(OTHER)
    notifier(theirs.path).tell(message(OTHER), 0.0)
    assert theirs.screen(len(TOLD)) == TOLD
    assert log == BY_TERMINAL


def test_a_terminal_shows_no_character_that_controls_it(notifier, terminal):
    shows = terminal()
    notifier(shows.path).tell(message(text=HOSTILE, title="\x9b2J"), 0.0)
    expected = f"\r\nfall-from-grace: \\u009b2J: {SEEN}\r\n".encode()
    assert shows.screen(len(expected)) == expected


def test_a_terminal_that_does_not_say_that_it_reads_utf_8_is_shown_none(notifier, terminal):
    """The second byte of this letter is a control character to it."""
    shows = terminal(utf8=False)
    notifier(shows.path).tell(message(text="\u06db2J"), 0.0)
    expected = b"\r\nfall-from-grace: hogs: \\u06db2J\r\n"
    assert shows.screen(len(expected)) == expected


@pytest.mark.parametrize("uid", [ME, pytest.param(OTHER, marks=ROOT)])
def test_a_terminal_with_mesg_n_is_left_alone(notifier, log, terminal, uid):
    closed = terminal(uid, mode=0o600)
    notifier(closed.path).tell(message(uid), 0.0)
    assert closed.screen() == b""
    assert log == BY_LOG


@ROOT
def test_a_terminal_of_somebody_else_is_left_alone(notifier, log, terminal):
    theirs = terminal(OTHER)
    notifier(theirs.path).tell(message(), 0.0)
    assert theirs.screen() == b""
    assert log == BY_LOG


def test_what_is_no_terminal_is_left_alone(notifier, log, terminal, tmp_path):
    link, plain, queue = (tmp_path / name for name in ("link", "plain", "queue"))
    link.symlink_to(terminal().path)
    plain.write_text("")
    plain.chmod(0o660)
    os.mkfifo(queue)
    queue.chmod(0o660)
    reads = os.open(queue, os.O_RDONLY | os.O_NONBLOCK)
    notifier(str(link), str(plain), str(queue), str(tmp_path / "missing")).tell(message(), 0.0)
    assert (plain.read_text(), os.read(reads, 100)) == ("", b"")
    os.close(reads)
    assert log == BY_LOG


def test_a_terminal_that_is_full_or_held_is_not_waited_for(notifier, log, terminal):
    full, held = terminal(), terminal()
    full.fill()
    termios.tcflow(held.slave, termios.TCOOFF)  # Ctrl-S
    notifier(full.path, held.path).tell(message(), 0.0)
    assert held.screen() == b""
    assert log == BY_LOG


def test_a_terminal_that_takes_a_part_is_not_told(notifier, log, terminal):
    with mock.patch("os.write", return_value=10):
        notifier(terminal().path).tell(message(), 0.0)
    assert log == BY_LOG


def test_of_a_user_with_very_many_terminals_some_are_told(spawner, log, root):
    asked = []
    paths = (asked.append(n) or f"/nowhere/{n}" for n in range(10_000))
    Notifier(spawner, log, runtime_root=str(root), terminals=lambda _: paths).tell(message(), 0.0)
    assert len(asked) == notify.MOST_TERMINALS


def test_the_terminals_of_a_user_are_found_unless_they_say_mesg_n(terminal):
    mine, closed = terminal(), terminal(mode=0o600)
    found = set(notify.terminals_of(ME))
    assert mine.path in found
    assert closed.path not in found
    assert mine.path not in set(notify.terminals_of(STRANGER))


# --- one after the other ---


def test_nothing_is_left_open(notifier, terminal, spawner):
    shows = terminal()
    before = os.listdir("/proc/self/fd")
    notifier(shows.path, "/dev/null", "/nowhere").tell(message(), 0.0)
    assert os.listdir("/proc/self/fd") == before


@BUS
@NAMED
@pytest.mark.parametrize("tool", TOOLS)
def test_a_session_in_which_nobody_shows_notifications_leaves_it_to_the_terminals(
    notifier, spawner, log, session, terminal, only, tool
):
    session()
    shows = terminal()
    assert notifier(shows.path, path=only(tool)).tell(message(), 0.0) is Result.STARTED
    settle(spawner)
    assert shows.screen(len(TOLD)) == TOLD
    [(_, line)] = log
    assert line.startswith('monitor=hogs via=terminals detail="status ')


@BUS
@NAMED
@pytest.mark.parametrize("tool", TOOLS)
def test_a_notification_server_that_hangs_leaves_it_to_the_terminals_in_time(
    notifier, spawner, log, desktop, terminal, only, tool
):
    hangs = desktop()
    shows = terminal()
    notifier(shows.path, path=only(tool)).tell(message(), 0.0)
    until(lambda: select.select([hangs._socket], [], [], 0)[0])
    assert spawner.next_wake == notify.DESKTOP_SECONDS
    spawner.tend(notify.DESKTOP_SECONDS - 0.1)
    assert not log
    settle(spawner, now=notify.DESKTOP_SECONDS)
    assert shows.screen(len(TOLD)) == TOLD
    assert [text for _, text in log] == [
        'monitor=hogs sent=SIGTERM result=sent reason="it takes too long"',
        'monitor=hogs via=terminals detail="status -15"',
    ]


def test_the_log_is_told_what_nobody_else_takes(notifier, log):
    assert notifier().tell(message(text=HOSTILE), 0.0) is Result.SENT
    [(priority, line)] = log
    assert priority == NOTICE
    assert line.startswith('monitor=hogs via=log detail="no session" text="\\x1b]0;pwned')
    assert line.isprintable()


NO_BUS = {
    "nothing": lambda directory: None,
    "a file": lambda directory: (directory / "bus").write_text(""),
    "a link": lambda directory: (directory / "bus").symlink_to(speaks_for(directory.parent) / "bus"),
}


@pytest.mark.parametrize("what", NO_BUS)
def test_what_is_no_session_bus_is_not_asked(notifier, spawner, log, runtime, only, what):
    NO_BUS[what](runtime())
    notifier(path=only(notify_send="exit 0")).tell(message(), 0.0)
    settle(spawner)
    assert log == [(NOTICE, 'monitor=hogs via=log detail="no session bus" text="too large"')]


@ROOT
def test_the_bus_of_somebody_else_is_not_asked(notifier, spawner, log, runtime, only):
    directory = speaks_for(runtime(OTHER))
    os.chown(directory / "bus", STRANGER, -1)
    notifier(path=only(notify_send="exit 0")).tell(message(OTHER), 0.0)
    settle(spawner)
    assert log == [(NOTICE, 'monitor=hogs via=log detail="no session bus" text="too large"')]


def test_a_machine_with_no_program_for_it_is_told_so(notifier, spawner, log, runtime, only):
    speaks_for(runtime())
    notifier(path=only()).tell(message(), 0.0)
    settle(spawner)
    assert log == [(NOTICE, 'monitor=hogs via=log detail="no notify-send, gdbus or busctl" text="too large"')]


def test_a_program_that_fails_is_followed_by_the_next(notifier, spawner, log, runtime, only):
    speaks_for(runtime())
    notifier(path=only(notify_send="exit 1", gdbus="exit 1", busctl="exit 0")).tell(message(), 0.0)
    settle(spawner)
    assert log == [(NOTICE, "monitor=hogs via=desktop")]


def test_a_user_reaches_no_session_of_others(notifier, log, runtime):
    speaks_for(runtime(ME))
    with mock.patch("os.geteuid", return_value=STRANGER):
        notifier().tell(message(ME), 0.0)
    assert log == [(NOTICE, 'monitor=hogs via=log detail="another user\'s session" text="too large"')]


@ROOT
def test_what_keeps_us_from_becoming_the_user_is_told(notifier, spawner, log, runtime, monkeypatch):
    speaks_for(runtime(OTHER))
    monkeypatch.setattr(notify, "_SETPRIV", "/bin/false")
    notifier().tell(message(OTHER), 0.0)
    settle(spawner)
    assert log == [(NOTICE, 'monitor=hogs via=log detail="status 1" text="too large"')]


# --- what the spawner does not take ---


@pytest.fixture
def hanging(notifier, runtime, only, terminal):
    """A desktop that hangs, and a terminal: who tells them, and the terminal."""
    speaks_for(runtime())
    shows = terminal()
    return notifier(shows.path, path=f"{only(notify_send='exec sleep 60')}:{os.defpath}"), shows


def test_a_full_queue_leaves_it_to_the_terminals_at_once(hanging, log):
    tells, shows = hanging
    results = [tells.tell(message(), 0.0) for _ in range(spawn.MOST_QUEUED_EACH + 2)]
    assert results == [Result.STARTED] + [Result.QUEUED] * spawn.MOST_QUEUED_EACH + [Result.SENT]
    assert shows.screen(len(TOLD)) == TOLD
    assert log == [(NOTICE, 'monitor=hogs via=terminals detail="too many wait for the desktop"')]


@pytest.mark.parametrize(
    "drop",
    [
        lambda spawner: spawner.tend(1000.1 + spawn.MOST_WAITING_SECONDS),
        lambda spawner: spawner.keep({"other"}),
    ],
    ids=["late", "monitor gone"],
)
def test_what_is_dropped_from_the_queue_is_left_to_the_terminals(hanging, spawner, log, drop):
    tells, shows = hanging
    tells.tell(message(), 1000.0)
    tells.tell(message(), 1000.0)
    spawner.tend(1000.0)
    assert not log
    drop(spawner)
    assert shows.screen(len(TOLD)) == TOLD
    assert 'via=terminals detail="the desktop\'s turn never came"' in log.text()


def test_a_hanging_desktop_takes_one_place_and_no_monitors_share(hanging, spawner):
    tells, _ = hanging
    for _ in range(10):
        tells.tell(message(), 0.0)
    assert len(spawner.groups) == 1
    for _ in range(spawn.MOST_RUNNING_EACH):
        assert spawner.start(spawn.Command("exec sleep 60", "m", {"PATH": os.defpath}, "label"), 0.0)


LATER, NEVER = OSError(errno.EAGAIN, "Resource temporarily unavailable"), OSError(errno.ENOENT, "No such file")


def test_what_cannot_be_started_now_is_left_to_the_terminals(hanging):
    tells, shows = hanging
    with mock.patch("os.posix_spawn", side_effect=LATER):
        assert tells.tell(message(), 0.0) is Result.SENT
    assert shows.screen(len(TOLD)) == TOLD


def test_what_cannot_be_started_now_nor_told_a_terminal_may_be_tried_again(notifier, log, runtime):
    speaks_for(runtime())
    with mock.patch("os.posix_spawn", side_effect=LATER), pytest.raises(OSError, match="temporarily"):
        notifier().tell(message(), 0.0)
    assert not log


def test_what_can_never_be_started_is_left_to_the_log(notifier, log, runtime):
    speaks_for(runtime())
    with mock.patch("os.posix_spawn", side_effect=NEVER):
        assert notifier().tell(message(), 0.0) is Result.SENT
    assert log == [(NOTICE, 'monitor=hogs via=log detail="No such file" text="too large"')]
