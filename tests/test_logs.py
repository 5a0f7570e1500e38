import contextlib
import io
import os
import re
import socket
import time

import mock
import pytest

from fallfromgrace import logs
from fallfromgrace.logs import DEBUG, ERROR, INFO, NOTICE, WARNING, StderrLog, SyslogLog, fields, outcome_line
from fallfromgrace.records import replace
from fallfromgrace.table import UNREADABLE
from fallfromgrace.verdict import Kind, Outcome, Result
from tests.builders import process, verdict

NOON = time.mktime((2026, 11, 3, 16, 10, 11, 0, 0, -1))


def noon():
    return NOON


# --- lines ---


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("conkeror", "conkeror"),
        (4121, "4121"),
        ("a.b/c:d@e%f+g-h_1", "a.b/c:d@e%f+g-h_1"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb\tc\rd", r'"a\nb\tc\rd"'),
        ("\x1b[2J\0\x7f", r'"\x1b[2J\x00\x7f"'),
        ("é 漢", '"é 漢"'),
        ("\u202egpj.exe", r'"\u202egpj.exe"'),  # would be shown backwards
        ("\x85", r'"\u0085"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("\ud800", r'"\ud800"'),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r'"caf\xe9"'),
    ],
)
def test_a_value_is_bare_if_plain_and_else_quoted_and_escaped(value, shown):
    assert fields(key=value) == f"key={shown}"


def test_pairs_keep_their_order():
    assert fields(b=1, a="x y", c="") == 'b=1 a="x y" c=""'


@pytest.mark.parametrize("unit", ["x", "é", "漢", "\x1b", '"', "\\", "\udcff", "\U000e0001", "x\n"])
def test_a_very_long_value_is_cut_to_about_300_bytes_never_within_an_escape(unit):
    shown = fields(cmdline=unit * 1_000_000).removeprefix("cmdline=").strip('"')
    assert shown.endswith("...")
    assert 280 <= len(shown.encode()) <= 300
    assert re.fullmatch(r'(?:\\(?:["\\nrt]|x..|u....|U.{8})|[^\\"])*', shown)


def test_a_value_of_just_the_limit_is_not_cut():
    assert fields(key="x" * 300) == "key=" + "x" * 300
    assert fields(key="x" * 301) == "key=" + "x" * 297 + "..."


def test_long_values_share_the_line_and_short_ones_stay_whole():
    line = fields(pid=4121, rule="r" * 5000, command="c" * 5000, detail="d" * 5000, cmdline="é" * 5000)
    assert len(line.encode()) <= logs.LONGEST_TEXT
    assert line.startswith("pid=4121 rule=rrr")
    assert line.count("...") == 4


def test_whatever_the_bytes_it_is_one_printable_line():
    every = bytes(range(256)).decode("utf-8", "surrogateescape") + "".join(map(chr, range(0x2000, 0x2070)))
    for start in range(0, len(every), 16):
        line = fields(cmdline=every[start : start + 16])
        assert line.isprintable()
        assert line.encode()


# --- what became of verdicts ---


def test_an_outcome_tells_monitor_process_rule_value_action_and_result():
    asked = verdict("term", "rmem > 900m", name="conkeror", value="912m", process=process(4121, "hog -x"))
    assert outcome_line(Outcome(asked, Result.SENT)) == (
        NOTICE,
        'monitor=conkeror pid=4121 rule="rmem > 900m" value=912m action=term result=sent cmdline="hog -x"',
    )


def test_a_limit_is_part_of_a_signal():
    assert ' action="stop @ 10m" ' in outcome_line(Outcome(verdict("stop @ 10m"), Result.SENT))[1]


def test_a_command_has_a_field_of_its_own():
    line = outcome_line(Outcome(verdict('exec @ 1h logger "$PID"'), Result.STARTED))[1]
    assert r' action="exec @ 1h" command="logger \"$PID\"" result=started ' in line


def test_a_failure_has_its_detail():
    line = outcome_line(Outcome(verdict(), Result.DENIED, "Operation not permitted"))[1]
    assert ' result=denied detail="Operation not permitted" cmdline=' in line


def told(asked, result=Result.SENT, text=""):
    return outcome_line(Outcome(asked, result, text=text))[1]


HOG, KIN = process(100, "hog"), process(101, "kin", ppid=100)
ABOUT_ALL = {"process": None, "name": "crowd", "sample": {"count": 4}, "value": "4"}


@pytest.mark.parametrize(
    ("asked", "whom"),
    [
        (verdict(process=HOG), "pid=100"),
        (verdict("term tree", process=KIN, root=HOG, depth=1, subject=HOG), "pid=101 for=100"),
        (verdict("term group", process=HOG, subject=KIN), "pid=100 for=101"),
        # The same, as it was when the rule was judged: it runs by now, or was stopped, or nobody's child.
        (verdict(process=HOG, subject=HOG._replace(state="T")), "pid=100"),
        (verdict(process=HOG._replace(ppid=2), subject=HOG), "pid=100"),
    ],
)
def test_a_line_tells_whom_the_action_is_for_and_if_that_is_another_one_whom_the_rule_fires_for(asked, whom):
    assert told(asked).partition(" rule=")[0] == f"monitor=m {whom}"


def test_a_line_of_a_rule_about_no_single_process_has_none():
    asked = verdict("exec @ 1h x", "count > 3", **ABOUT_ALL)
    assert told(asked, Result.STARTED) == (
        'monitor=crowd rule="count > 3" value=4 action="exec @ 1h" command=x result=started'
    )


def test_a_command_line_that_cannot_be_read_is_told_to_be_that():
    assert told(verdict(process=process(100, UNREADABLE))).endswith(' cmdline="(cannot be read)"')


def test_what_is_sent_to_one_of_all_that_a_monitor_covers_is_told_with_its_pid():
    asked = verdict("term", "count > 3", value="4")
    asked = replace(asked, cause=replace(asked.cause, subject=None))
    assert told(asked) == 'monitor=m pid=100 rule="count > 3" value=4 action=term result=sent cmdline=hog'


@pytest.mark.parametrize(
    ("action", "text", "shown"),
    [
        ("term", "", "action=term"),
        ("stop tree @ 10m", "", 'action="stop tree @ 10m"'),
        ("nice 5 group", "", 'action="nice 5 group"'),
        ("oom -500", "", 'action="oom -500"'),
        ("log @ 1h $NAME is large", "m is large", 'action="log @ 1h" text="m is large"'),
        ("notify $NAME", "m", "action=notify text=m"),
        ("notify $NAME", "", "action=notify"),
        ("exec logger $NAME", "", 'action=exec command="logger $NAME"'),
    ],
)
def test_a_line_has_the_action_and_its_words_as_they_were_told(action, text, shown):
    assert told(verdict(action), text=text).partition(" value=200m ")[2] == f"{shown} result=sent cmdline=hog"


def test_what_is_done_because_a_process_has_recovered_is_told_to_be_that():
    asked = verdict("log x", recovered=True)
    assert " action=log when=recovered text=x result=told " in told(asked, Result.TOLD, "x")


@pytest.mark.parametrize("result", list(Result))
def test_the_priority_follows_the_result(result):
    priority = {Result.GONE: INFO, Result.REFUTED: INFO, Result.DENIED: WARNING, Result.FAILED: WARNING}
    assert outcome_line(Outcome(verdict(), result))[0] == priority.get(result, NOTICE)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.FIRE])
def test_a_verdict_that_is_only_told_has_its_reason(kind):
    priority, line = logs.verdict_line(verdict(kind=kind, reason="pid 1 is never acted upon"))
    assert priority == {Kind.PROTECTED: NOTICE, Kind.SPARED: NOTICE, Kind.UNKNOWN: WARNING}.get(kind, DEBUG)
    assert f' action=term result={kind.value} reason="pid 1 is never acted upon" cmdline=hog' in line


def test_a_verdict_about_a_rule_as_a_whole_names_no_action():
    line = logs.verdict_line(replace(verdict(kind=Kind.UNKNOWN, reason="pmem cannot be read"), item=None))[1]
    assert " value=200m result=unknown reason=" in line


# --- stderr ---


def test_a_line_on_stderr_has_the_time_in_front():
    stream = io.StringIO()
    StderrLog(stream, clock=noon).write(NOTICE, "started")
    assert stream.getvalue() == "2026-11-03 16:10:11 started\n"


def test_a_line_for_the_journal_has_the_priority_in_front():
    stream = io.StringIO()
    StderrLog(stream, journal=True).write(WARNING, "started")
    assert stream.getvalue() == "<4>started\n"


@pytest.mark.parametrize(("verbose", "shown"), [(False, "<6>i\n"), (True, "<6>i\n<7>d\n")])
def test_debug_lines_are_for_verbose(verbose, shown):
    stream = io.StringIO()
    log = StderrLog(stream, journal=True, verbose=verbose)
    log.write(INFO, "i")
    log.write(DEBUG, "d")
    assert stream.getvalue() == shown


def test_a_text_of_several_lines_cannot_forge_one():
    stream = io.StringIO()
    StderrLog(stream, journal=True).write(ERROR, "a\n<5>result=sent\x1b[2J" + "x" * 5000)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith(r"<3>a\x0a<5>result=sent\x1b[2J")
    assert len(line) <= logs.LONGEST_LINE


def test_nobody_reading_stderr_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    log = StderrLog(logs.Descriptor(writing))
    log.write(NOTICE, "x")
    log.write(NOTICE, "y")
    os.close(writing)
    log.write(NOTICE, "z")


def test_a_full_disk_is_no_error():
    with open("/dev/full", "wb", buffering=0) as full:
        StderrLog(logs.Descriptor(full.fileno())).write(NOTICE, "x")


def test_a_line_that_was_cut_short_by_a_full_disk_is_not_continued_by_the_next(tmp_path, monkeypatch):
    written, room = bytearray(), 20

    def write(fd, data):
        taken = data[: max(0, room - len(written))]
        written.extend(taken)
        return len(taken)

    monkeypatch.setattr(logs, "_has_room", lambda stream: True)
    with open(tmp_path / "log", "wb") as file:
        log = StderrLog(logs.Descriptor(file.fileno()), journal=True)
        monkeypatch.setattr(os, "write", write)
        log.write(NOTICE, "first")
        log.write(NOTICE, "second, of which not all fits")
        room = 1000
        log.write(NOTICE, "third")
    assert written.decode().splitlines() == ["<5>first", "<5>second, ", "<4>1 line lost", "<5>third"]


def test_a_log_that_runs_out_of_memory_counts_the_line(monkeypatch):
    stream = io.StringIO()
    log = StderrLog(stream, journal=True)
    with monkeypatch.context() as short:
        short.setattr(logs, "one_line", mock.Mock(side_effect=MemoryError))
        log.write(NOTICE, "a")
        log.write(NOTICE, "b")
        log.catch_up(0.0)
    log.catch_up(1.0)
    assert stream.getvalue() == "<4>2 lines lost\n"


# --- syslog ---


class Syslogd:
    """Listens where a syslog daemon would; `lines` takes all that has come."""

    def __init__(self, path, kind=socket.SOCK_DGRAM):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind(path)
        self.socket.setblocking(False)
        if kind == socket.SOCK_STREAM:
            self.socket.listen()

    def lines(self):
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(self.socket.recv(65536).decode())
        return received

    def stop(self):
        self.socket.close()
        os.unlink(self.path)


@pytest.fixture
def start(tmp_path):
    path, started = str(tmp_path / "log"), []

    def start(kind=socket.SOCK_DGRAM):
        started.append(Syslogd(path, kind))
        return started[-1]

    start.path = path
    yield start
    for each in started:
        each.socket.close()


@pytest.fixture
def log(start):
    log = SyslogLog(start.path, "fall-from-grace", clock=noon)
    yield log
    log.close()


def texts(lines):
    return [line.partition("]: ")[2] for line in lines]


def test_a_line_to_syslog_has_facility_daemon_the_time_and_our_pid(start, log):
    syslogd = start()
    log.write(NOTICE, "started")
    assert syslogd.lines() == [f"<29>Nov  3 16:10:11 fall-from-grace[{os.getpid()}]: started"]


def test_debug_lines_go_to_syslog_only_if_verbose(start, log):
    syslogd = start()
    log.write(DEBUG, "d")
    verbose = SyslogLog(start.path, verbose=True)
    verbose.write(DEBUG, "e")
    verbose.close()
    assert texts(syslogd.lines()) == ["e"]


def test_without_a_syslogd_nothing_is_raised_and_the_loss_is_told_later(start, log):
    log.write(NOTICE, "a")
    log.write(NOTICE, "b")
    syslogd = start()
    log.write(NOTICE, "c")
    log.write(NOTICE, "d")
    assert texts(syslogd.lines()) == ["2 lines lost", "c", "d"]


def test_what_was_lost_is_told_as_soon_as_it_can_be_though_nothing_else_is(start, log):
    log.write(NOTICE, "a")
    log.catch_up(0.0)
    syslogd = start()
    log.catch_up(0.5)  # not more often than once a second
    assert syslogd.lines() == []
    log.catch_up(1.0)
    log.catch_up(2.0)
    assert texts(syslogd.lines()) == ["1 line lost"]


def test_where_nothing_is_lost_there_is_nothing_to_catch_up_with(start, log):
    syslogd = start()
    log.write(NOTICE, "a")
    log.catch_up(0.0)
    assert texts(syslogd.lines()) == ["a"]


def test_one_that_keeps_its_socket_and_never_reads_again_does_not_stand_in_the_way_of_its_successor(start, log):
    hung = start()
    for number in range(1000):
        log.write(NOTICE, f"n{number}")
    os.unlink(hung.path)
    successor = start()
    log.catch_up(0.0)
    lost = 1000 - len(hung.lines())
    assert texts(successor.lines()) == [f"{lost} lines lost"]
    hung.socket.close()


def test_a_syslogd_that_was_started_anew_is_found_and_no_line_is_lost(start, log):
    first = start()
    log.write(NOTICE, "a")
    assert texts(first.lines()) == ["a"]
    first.stop()
    second = start()
    log.write(NOTICE, "b")
    assert texts(second.lines()) == ["b"]


def test_a_syslogd_that_does_not_read_blocks_nothing_and_every_line_is_accounted_for(start, log):
    syslogd = start()
    for number in range(1000):
        log.write(NOTICE, f"n{number}")
    taken = texts(syslogd.lines())
    assert 0 < len(taken) < 1000
    log.write(NOTICE, "again")
    assert texts(syslogd.lines()) == [f"{1000 - len(taken)} lines lost", "again"]


def test_a_line_to_syslog_has_at_most_a_kibibyte(start, log):
    syslogd = start()
    log.write(NOTICE, "é" * 300_000)
    (line,) = syslogd.lines()
    assert 1000 < len(line.encode()) <= 1024
    assert line.endswith("é...")


class Picky(socket.socket):
    def send(self, line, flags=0):
        if len(line) > 500:
            raise OSError(90, "Message too long")
        return super().send(line, flags)


def test_a_syslogd_that_takes_only_short_lines_gets_a_short_one(start, log, monkeypatch):
    syslogd = start()
    monkeypatch.setattr(socket, "socket", Picky)
    log.write(NOTICE, "x" * 900)
    assert [len(line) for line in syslogd.lines()] == [480]


def test_one_that_is_started_anew_and_takes_only_short_lines_loses_none(start, log, monkeypatch):
    first = start()
    log.write(NOTICE, "a")
    first.stop()
    monkeypatch.setattr(socket, "socket", Picky)
    second = start()
    log.write(NOTICE, "x" * 900)
    assert [len(line) for line in second.lines()] == [480]


def test_a_stream_socket_will_do(start, log):
    syslogd = start(socket.SOCK_STREAM)
    log.write(NOTICE, "a")
    log.write(NOTICE, "b")
    connection, _ = syslogd.socket.accept()
    with connection:
        first, second, rest = connection.recv(4096).decode().split("\0")
    assert texts([first, second]) == ["a", "b"]
    assert rest == ""


def test_a_stream_that_is_full_blocks_nothing_and_the_loss_is_told_on_a_new_one(start, log):
    syslogd = start(socket.SOCK_STREAM)
    log.write(NOTICE, "x")
    connection, _ = syslogd.socket.accept()
    for _ in range(2000):
        log.write(NOTICE, "x" * 800)
    connection.close()
    log.write(NOTICE, "again")
    received = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = syslogd.socket.accept()
            with connection:
                received += connection.recv(1 << 20)
    assert re.search(r"\d+ lines lost\0.*: again\0$", received.decode(), re.DOTALL)


def test_the_address_may_be_no_socket_at_all(tmp_path):
    dangling = tmp_path / "dangling"
    dangling.symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "x" / "y", "/dev/null", dangling, "x" * 200):
        log = SyslogLog(str(path))
        log.write(NOTICE, "x")
        log.catch_up(0.0)


@pytest.mark.parametrize("length", [10, 100, 800])
def test_a_terminal_or_pipe_that_nobody_reads_does_not_block_and_what_it_lost_is_counted(length):
    """A terminal in its usual mode says that it has room when one byte fits."""
    for reading, writing in (os.openpty(), os.pipe()):
        log = StderrLog(logs.Descriptor(writing), journal=True)
        for _ in range(100_000 // length):
            log.write(NOTICE, "x" * length)  # 64 KiB fit into a pipe, 4 KiB into a terminal
        seen = b""
        while b"lines lost" not in seen:
            seen += os.read(reading, 65536)
            log.write(NOTICE, "y")
        assert re.search(rb"<4>\d+ lines lost", seen)
        os.close(reading)
        os.close(writing)
