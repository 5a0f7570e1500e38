import io
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace import logs
from fallfromgrace.logs import NOTICE, StderrLog, SyslogLog, fields, outcome_line, verdict_line
from fallfromgrace.verdict import Kind, Outcome, Result
from tests.builders import process, verdict
from tests.loglines import date, event, parse

NOON = 1_795_000_000.0
# Whatever can be in a text of ours: also what stands for bytes that are none, and halves of characters.
ANYTHING = st.text(st.characters(), max_size=60) | st.binary(max_size=60).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=8)


@given(st.dictionaries(KEYS, ANYTHING, min_size=1, max_size=4))
def test_what_was_written_is_read_back(values):
    """Sixty characters are at most 600 bytes of escapes, so that a value may be cut, at a whole character."""
    read = parse(fields(**values))
    assert list(read) == list(values)
    for key, value in values.items():
        whole = read[key] == value
        assert whole or (read[key].endswith("...") and value.startswith(read[key][:-3]))


@given(ANYTHING.filter(lambda value: len(value) <= 25))
def test_what_is_short_is_never_cut(value):
    assert parse(fields(key=value)) == {"key": value}


@given(st.dictionaries(KEYS, ANYTHING, min_size=1, max_size=12))
def test_a_value_never_breaks_out_of_its_line(values):
    line = fields(**values)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert list(parse(line)) == list(values)


ACTIONS = ["term", "stop @ 10m", "exec @ 1h logger \"$NAME\" 'a=b'", 'log "x" y=$VALUE', "nice 5 tree", "oom 500 group"]


@given(
    action=st.sampled_from(ACTIONS),
    result=st.sampled_from(Result),
    cmdline=ANYTHING,
    name=ANYTHING,
    detail=ANYTHING,
    text=ANYTHING,
    recovered=st.booleans(),
    shared=st.booleans(),
)
def test_every_line_about_an_outcome_is_an_event(action, result, cmdline, name, detail, text, recovered, shared):
    whom = None if shared else process(4121, cmdline)
    asked = verdict(action, name=name, process=whom, recovered=recovered)
    read = parse(outcome_line(Outcome(asked, result, detail, text))[1])
    assert (read["result"], read["value"]) == (result.value, "200m")
    assert read["action"] == asked.item.action.verb
    assert read.get("pid") == (None if shared else "4121")
    assert ("when" in read) is recovered
    assert read["monitor"] == name or read["monitor"].endswith("...")


@given(kind=st.sampled_from(Kind), cmdline=ANYTHING, reason=ANYTHING, name=ANYTHING)
def test_every_line_about_a_verdict_is_an_event(kind, cmdline, reason, name):
    read = parse(verdict_line(verdict(kind=kind, process=process(4121, cmdline), reason=reason, name=name))[1])
    assert (read["result"], read["pid"], read["rule"]) == (kind.value, "4121", "rmem > 100m")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "started, version 1.0.0",
        "key",
        "key=",
        "=value",
        "Key=value",
        'key="value',
        'key=va"lue',
        r'key="\q"',
        r'key="\x1"',
        r'key="\u12"',
        "a=1  b=2",
        " a=1",
        "a=1 ",
        "a=1\tb=2",
        "a=1 a=2",
        "a=é",
        'a="x"b=2',
    ],
)
def test_what_the_daemon_never_writes_is_no_event(text):
    with pytest.raises(ValueError, match=r"this is no event|a key stands twice"):
        parse(text)


EVENT = r'monitor="a b" pid=12 command="logger \"$X\""'
VALUES = {"monitor": "a b", "pid": "12", "command": 'logger "$X"'}


@pytest.mark.parametrize("journal", [False, True])
def test_a_line_on_stderr_is_its_event_behind_the_date_or_the_priority(journal):
    stream = io.StringIO()
    StderrLog(stream, journal=journal, clock=lambda: NOON).write(NOTICE, EVENT)
    [line] = stream.getvalue().splitlines()
    assert event(line) == VALUES
    if not journal:
        assert re.fullmatch(r"2026-11-\d\d \d\d:\d\d:\d\d", date(line))


def test_a_line_to_syslog_is_its_event_behind_all_that_syslog_wants(monkeypatch):
    sent = []
    monkeypatch.setattr(SyslogLog, "_send", lambda self, line: sent.append(line) or 0)
    SyslogLog(clock=lambda: NOON).write(NOTICE, EVENT)
    assert [event(line.decode()) for line in sent] == [VALUES]
    assert len(sent[0]) <= logs.LONGEST_LINE


@pytest.mark.parametrize("text", ["started, version 1.0.0: 1 monitor", "ended", "3 lines lost"])
def test_prose_is_no_event(text):
    assert event(f"2026-11-03 16:10:11 {text}") is None


def test_a_line_that_begins_as_an_event_must_be_one_to_its_end():
    with pytest.raises(ValueError, match="this is no event"):
        event('2026-11-03 16:10:11 monitor=x and then "more"')


def test_what_is_on_no_stderr_has_no_date():
    with pytest.raises(ValueError, match="no date"):
        date("monitor=x")
