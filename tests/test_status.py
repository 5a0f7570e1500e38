"""What `status` shows of a daemon: of this process, which is taken for one."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from fallfromgrace import cli, exits, files, published, terminal, unloaded
from fallfromgrace.commands import status
from fallfromgrace.commands.status import Options
from fallfromgrace.forms import encoded
from fallfromgrace.state import Moment
from fallfromgrace.verdict import Result
from tests.builders import HOSTILE, Life, monitor, process
from tests.test_published import NOBODY, changed, made
from tests.victims import Victim, marker, until

NOON = Moment(1709467200.0, 100_000.0)
RULES = {"rmem > 1G": ["stop @ 10m", "exec @ 1h x", "after 5m term"], "vmem > 1g for 1h": "kill"}
HEADING = f"fall-from-grace {published.__version__}, pid {os.getpid()}, up 3m23s, since 11:56:37"


def before(seconds, now=NOON):
    return Moment(now.wall - seconds, now.monotonic - seconds)


def lived(actions=RULES, **other):
    """A life of rules for a process with 2000 MiB that began 90 seconds ago."""
    life = Life(monitor(actions, **other))
    life.look(NOON.monotonic - 90, (process(100), 2000))
    return life


def said(seconds=3, **other):
    """A document that was written so long ago."""
    return made(written=before(seconds), of="another", **{"lived": lived(), **other})


def with_count(values, **count):
    """The same with an action that was counted."""
    one = {"monitor": "m", "rule": "rmem > 1G", "action": "kill", "result": "sent", "count": 1}
    return changed(values, ("status", "counters"), lambda counters: [*counters, {**one, **count}])


@pytest.fixture
def noon(monkeypatch):
    """It is noon in UTC, 100,000 seconds after the machine was started, and whatever is written is of this boot."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(status, "moment", lambda: NOON)
    monkeypatch.setattr(published, "of_now", lambda found: True)
    monkeypatch.setattr(published, "state_of", lambda pid: "S")
    monkeypatch.setattr(unloaded, "since", lambda found, mine: None)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def asked(tmp_path, capsys, monkeypatch):
    """Writes a document, asks for it, and gives the exit status, what was shown, and what was complained of."""

    def ask(values, *, as_json=False, width=None, colours=False):
        path = tmp_path / "status.json"
        path.write_bytes(encoded(values))
        monkeypatch.setattr(terminal, "width", lambda: width)
        monkeypatch.setattr(terminal, "colourful", lambda: colours)
        found = status.run(Options(str(path), as_json))
        return found, *capsys.readouterr()

    return ask


@pytest.fixture
def shown(asked, noon):
    """What is shown of a document, in lines."""
    return lambda values, **how: asked(values, **how)[1].splitlines()


# --- what is shown ---


def test_everything_is_shown_as_plain_text(asked, noon):
    values = with_count(with_count(said()), action="exec @ 1h", result="failed", count=3)
    code, out, err = asked(values)
    assert (code, err) == (exits.OK, "")
    assert out.splitlines() == [
        HEADING,
        "2 processes watched; everybody is looked at every 10s or more often",
        "/etc/x.conf: 1 monitor, 2 rules, loaded 11:59:07, 53s ago; reloads: 1 taken, 1 refused",
        "the last reload was refused 11:59:17, 43s ago; what was loaded before goes on:",
        "    x.conf:4:23: '10minutes' is not a time",
        "",
        "Monitors",
        "  PROCESSES  FIRING  PENDING  RULES  MONITOR",
        "          2       1        1      2  m",
        "",
        "Rules that fire or are pending",
        "  PHASE      FOR  STEP    PID  MONITOR  RULE",
        "  firing   1m30s  1 of 2  100  m        rmem > 1G",
        "  pending  1m30s  -       100  m        vmem > 1g for 1h",
        "",
        "Processes",
        "  PID  MONITOR  COMMAND",
        r"  100  m        hog \xff",
        "  101  m        hog",
        "",
        "Timers",
        "      IN  PID  MONITOR  WHAT                     RULE",
        "   3m30s  100  m        step 2: term             rmem > 1G",
        "   8m30s  100  m        may be stopped again",
        "  58m30s    -  m        exec @ 1h may run again",
        "  58m30s  100  m        fires, if it goes on     vmem > 1g for 1h",
        "",
        "Last actions",
        "        AT   AGO  PID  MONITOR  ACTION      RESULT  WHY",
        r"  11:59:48   12s  101  seen     term        denied  Operation not permitted; rmem > 100m (200m); "
        r"hog \x1b[31m\xff",
        "  11:58:57  1m3s  100  m        stop @ 10m  sent    rmem > 100m (200m); hog",
        "",
        "Actions since the start: 3 failed, 1 sent",
        "  COUNT  RESULT  ACTION     MONITOR  RULE",
        "      3  failed  exec @ 1h  m        rmem > 1G",
        "      1  sent    kill       m        rmem > 1G",
        "",
        "1.25s of CPU, 0.625% of one core since the start",
        "1 look, 3.0ms each; of the last 1 3.0ms each, 3.0ms the longest",
        "1 action done, 10.0ms after the look that found it due",
    ]


def test_what_has_not_happened_is_not_mentioned(shown):
    values = said(lived=Life())
    for name, nothing in (("actions", []), ("counters", []), ("cpu", 0)):
        values = changed(values, ("status", name), lambda _, nothing=nothing: nothing)
    for name in ("looks", "reactions"):
        none = {"count": 0, "seconds": 0, "bounds": [], "counts": [0]}
        values = changed(values, ("status", name), lambda _, none=none: dict(none))
    values["status"]["looks"]["last"] = []
    values["status"]["configuration"]["last"] = None
    assert shown(values) == [
        HEADING,
        "0 processes watched; everybody is looked at every 10s or more often",
        "/etc/x.conf: 0 monitors, 0 rules, loaded 11:59:07, 53s ago",
        "",
        "0.00s of CPU, 0.000% of one core since the start",
    ]


def test_who_only_observes_what_cannot_be_told_and_what_is_below_another_is_marked(shown):
    life = lived({"rmem > 1g": "term"}, observe=True, children=True)
    life.look(NOON.monotonic - 80, (process(100), {}))
    lines = shown(said(lived=life))
    assert "  PROCESSES  FIRING  PENDING  RULES  MONITOR" in lines
    assert "          2       1        0      1  [only observes] m" in lines
    assert "  firing  1m30s  1 of 1  100  m        [not known now] rmem > 1g" in lines
    assert "  101  m        hog" in lines
    values = changed(said(), ("status", "monitors", 0, "processes", 1, "below"), lambda _: 100)
    assert "  101  m        [below 100] hog" in shown(values)


def test_what_was_done_at_a_recovery_says_so(shown):
    values = changed(said(), ("status", "actions", 0, "recovered"), lambda _: True)
    assert any("  recovered stop @ 10m  sent" in line for line in shown(values))


def test_what_happened_on_another_day_has_its_date(shown):
    values = changed(said(), ("status", "actions", 0, "at"), lambda _: before(90_000)._asdict())
    assert any(line.startswith("  2024-03-02 11:00:00  1d1h  100  m") for line in shown(values))


def test_processes_that_the_daemon_does_not_list_are_counted(shown):
    lines = shown(changed(said(), ("status", "monitors", 0, "covered"), lambda _: 1002))
    assert "  ... and 1000 more that the daemon does not list" in lines


def test_a_rule_is_shown_as_it_was_written_and_named_by_its_normal_form_for_programs(asked, noon):
    assert "firing" in asked(said())[1]
    found = json.loads(asked(said(), as_json=True)[1])
    assert [(each["rule"], each["phase"]) for each in found["rules"]] == [
        ("rmem > 1g", "firing"),
        ("vmem > 1g for 1h", "pending"),
    ]


# --- whether it is of now ---


def test_what_is_older_than_two_and_a_half_intervals_is_said_to_be_old(shown):
    assert shown(said(25))[0].startswith("fall-from-grace ")
    late = "what follows was written 26s ago, though it should be every 10s"
    assert shown(said(26))[0] == f"{late}: the daemon is stopped or hangs, or cannot write its file"


def test_a_daemon_that_has_ended_is_shown_as_it_was_and_that_is_no_answer(asked, noon):
    code, out, err = asked(said(60, pid=NOBODY))
    end = f"the daemon that wrote this (pid {NOBODY}) has ended"
    assert code == exits.UNAVAILABLE
    assert err == f"fall-from-grace: {end}; start one, or name the file of another with --state FILE\n"
    first, heading, *rest = out.splitlines()
    assert first == f"{end}; what follows it wrote 1m ago"
    assert heading.endswith(f"pid {NOBODY}, ran 3m20s, since 11:55:40")
    assert "   4m30s  100  m        step 2: term             rmem > 1G" in rest  # as it was then


def test_a_daemon_of_another_boot_is_not_said_to_have_run_until_now(asked, monkeypatch):
    values = made(of="another", written=Moment(time.time() - 86_400, 1e7))
    code, out, err = asked(values)
    assert code == exits.UNAVAILABLE
    assert "ran before the machine was started anew, or in another container; start one" in err
    assert "what follows it wrote 1d ago" in out.splitlines()[0]
    assert ", ran 3m20s, since " in out


def test_a_clock_that_was_set_back_since_gives_no_negative_times(shown):
    values = changed(said(), ("status", "actions", 0, "at", "monotonic"), lambda _: NOON.monotonic + 50)
    assert any("  0s  100  m        stop @ 10m" in line for line in shown(values))


# --- who is stopped ---


def of_stopped(pid, seen=True):
    """A document in which a rule has stopped a process, 5 seconds ago, seen to be so or not."""
    life = Life(monitor({"rmem > 1g": "stop @ 10m"}))
    now = time.monotonic()
    for earlier, state in ((5, "S"), (4, "T"))[: 2 if seen else 1]:
        life.look(max(0.0, now - earlier), (process(pid, state=state), 2000))
    return made(lived=life)


def stopped(asked, values):
    found = json.loads(asked(values, as_json=True)[1])
    return [each["pid"] for each in found["stopped"]], [each["what"] for each in found["timers"]]


def test_whether_somebody_is_stopped_is_asked_of_the_kernel(asked):
    victim = Victim(marker())
    try:
        assert stopped(asked, of_stopped(victim.pid)) == ([], ["may be stopped again"])
        victim.process.send_signal(signal.SIGSTOP)
        until(lambda: published.state_of(victim.pid) == "T")
        assert stopped(asked, of_stopped(victim.pid, seen=False)) == ([victim.pid], [])
    finally:
        victim.close()
    assert stopped(asked, of_stopped(victim.pid)) == ([], [])


def test_of_who_is_hidden_from_us_the_daemon_knows_better(asked, monkeypatch):
    monkeypatch.setattr(published, "state_of", lambda pid: published.HIDDEN)
    assert stopped(asked, of_stopped(100)) == ([100], [])
    assert stopped(asked, of_stopped(100, seen=False)) == ([], ["may be stopped again"])


def test_who_is_stopped_has_a_table_with_what_it_runs(shown, monkeypatch):
    monkeypatch.setattr(published, "state_of", lambda pid: "T")
    lines = shown(said())
    at = lines.index("Stopped by rules, until continued")
    assert lines[at + 1 : at + 3] == ["  PID  MONITOR  BY          COMMAND", r"  100  m        stop @ 10m  hog \xff"]
    values = changed(said(), ("status", "monitors", 0, "processes"), lambda _: [])
    assert "  100  m        stop @ 10m  ?" in shown(values)


# --- for programs ---


def test_json_has_what_the_daemon_says_and_what_follows_from_it(asked, noon):
    values = json.loads(encoded(with_count(said())))
    code, out, _ = asked(values, as_json=True)
    found = json.loads(out)
    assert code == exits.OK
    for name in ("start", "interval", "configuration", "watched", "counters", "looks", "reactions", "cpu"):
        assert found[name] == values["status"][name]
    for name in ("program", "pid", "config", "started", "written"):
        assert found[name] == values[name]
    assert (found["lives"], found["age"]) == (True, 3.0)
    assert found["monitors"][0]["processes"][0]["cmdline"] == r"hog \udcff"
    assert [(each["result"], each["at"]) for each in found["actions"]] == [
        (each["result"], each["at"]) for each in values["status"]["actions"]
    ]
    assert found["timers"][0] == {
        "monitor": "m",
        "rule": "rmem > 1g",
        "what": "step 2: term",
        "seconds": 210.0,
        "pid": 100,
        "start": 100,
    }
    assert found["rules"][0] == {
        "monitor": "m",
        "rule": "rmem > 1g",
        "pid": 100,
        "start": 100,
        "phase": "firing",
        "seconds": 90.0,
        "step": 1,
        "steps": 2,
        "known": True,
    }


def test_json_of_a_daemon_that_has_ended_says_so(asked, noon):
    code, out, err = asked(said(pid=NOBODY), as_json=True)
    assert (code, json.loads(out)["lives"]) == (exits.UNAVAILABLE, False)
    assert "has ended" in err


# --- on a terminal ---


def hostile(values):
    """The same, with everything that is a text replaced by something that no terminal should see."""
    if isinstance(values, dict):
        return {name: hostile(each) for name, each in values.items()}
    if isinstance(values, (list, tuple)):
        return [hostile(each) for each in values]
    return HOSTILE if isinstance(values, str) else values


def test_what_is_no_table_ends_its_lines_between_words(shown):
    lines = shown(said(), width=60)
    at = lines.index("/etc/x.conf: 1 monitor, 2 rules, loaded 11:59:07, 53s ago;")
    assert lines[at + 1] == "    reloads: 1 taken, 1 refused"
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("width", [60, 100, 200])
def test_whatever_stands_in_the_file_the_layout_holds(shown, width):
    values = with_count(said())
    values = {**values, "status": hostile(values["status"]), "config": HOSTILE}
    lines = shown(values, width=width)
    tables = lines[lines.index("") :]
    assert len(tables) > 25
    assert max(map(terminal.columns, tables)) <= width
    assert all(line.isprintable() for line in lines)


def test_at_sixty_columns_the_last_column_gives_way_first(shown):
    long = "xulrunner-bin /usr/share/conkeror/application.ini -contentproc -childID 7"
    values = changed(said(), ("status", "monitors", 0, "processes", 0, "cmdline"), lambda _: long)
    lines = shown(values, width=60)
    assert f"  100  m        {long[:41]}..." in lines
    assert "  11:58:57  1m3s  100  m        stop @ 10m  sent    rmem ..." in lines
    assert f"  100  m        {long}" in shown(values, width=200)


def test_a_terminal_is_shown_no_more_rows_than_it_has_use_for(shown):
    def many(rows):
        return lambda found: [*found[:1]] * rows

    values = changed(said(), ("status", "actions"), many(25))
    values = changed(values, ("status", "monitors", 0, "processes"), many(25))
    lines = shown(values, width=100)
    assert lines.count("  ... and 15 more; --json shows them") == 1
    assert lines.count("  ... and 5 more; --json shows them") == 1
    assert not [line for line in shown(values) if line.startswith("  ...")]


def test_a_terminal_with_colours_shows_what_fires_and_what_failed_in_red(shown):
    lines = shown(said(), width=100, colours=True)
    assert lines[0] == f"\x1b[1m{HEADING}\x1b[0m"
    assert "\x1b[31m  firing   1m30s  1 of 2  100  m        rmem > 1G\x1b[0m" in lines
    assert "\x1b[33m  pending  1m30s  -       100  m        vmem > 1g for 1h\x1b[0m" in lines
    assert any(line.startswith("\x1b[31m  11:59:48") for line in lines)
    assert not [line for line in shown(said(), width=100) if "\x1b" in line]


# --- the configuration, as it is on the disk ---

SOUND, WRONG = "interval: 9s\n", "interval: soon\nm:\n  cmdline: x\n  childern: 1\n  actions:\n    rmem > 1g: term\n"


@pytest.fixture
def configured(tmp_path, asked):
    """Asks for a daemon that loaded a configuration so many seconds from now; it has this text now, or is gone."""
    path = tmp_path / "x.conf"

    def ask(text, *, loaded, living=True, as_json=False):
        if text is not None:
            path.write_text(text)
        values = changed(made(), ("config",), lambda _: str(path))
        for which in ("loaded", "last"):
            values = changed(values, ("status", "configuration", which), lambda found: moved(found, loaded))
        if not living:
            values = changed(values, ("pid",), lambda _: NOBODY)
        return asked(values, as_json=as_json)

    return ask


def moved(found, seconds):
    """A moment, or a reload, that was so many seconds from now."""
    at = {"wall": time.time() + seconds, "monotonic": time.monotonic() + seconds}
    return {**found, "at": at} if "at" in found else at


def test_of_a_configuration_that_was_not_changed_since_nothing_is_said(configured):
    code, out, _ = configured(WRONG, loaded=1)
    assert code == exits.OK
    assert "mistakes" not in out
    assert "loaded other rules" not in out


def test_a_change_that_was_not_loaded_is_told_with_the_cure(configured):
    code, out, _ = configured(SOUND, loaded=-1)
    assert code == exits.OK
    assert f"the daemon has loaded other rules than there are now; 'kill -HUP {os.getpid()}' makes it take these" in out


def test_what_an_editor_left_beside_drop_ins_is_no_change(tmp_path, asked):
    (path := tmp_path / "x.conf").write_text("#\n")
    (tmp_path / "x.d").mkdir()
    values = changed(made(), ("config",), lambda _: str(path))
    values = changed(values, ("status", "monitors"), lambda _: [])
    until(lambda: time.time() > files.changed_at([path]))
    for which in ("loaded", "last"):
        values = changed(values, ("status", "configuration", which), lambda found: moved(found, 0))
    until(lambda: time.time() > files.changed_at([path]) + 0.05)
    (tmp_path / "x.d" / "a.conf~").write_text("m:\n")
    code, out, _ = asked(values)
    assert code == exits.OK
    assert "the daemon has" not in out
    assert "was changed" not in out


def test_drop_ins_that_are_gone_are_missed(tmp_path, asked):
    (path := tmp_path / "x.conf").write_text("#\n")
    (drop_ins := tmp_path / "x.d").mkdir()
    values = changed(made(), ("config",), lambda _: str(path))
    until(lambda: time.time() > files.changed_at([tmp_path]))
    for which in ("loaded", "last"):
        values = changed(values, ("status", "configuration", which), lambda found: moved(found, 0))
    until(lambda: time.time() > values["status"]["configuration"]["loaded"]["wall"] + 0.05)
    drop_ins.rmdir()
    assert "the daemon has loaded other rules than there are now" in asked(values)[1]


@pytest.mark.parametrize("path", ["", "/", ".", "x.conf", "/proc/self/x.conf", "/etc/passwd/x.conf", "/" + "x" * 300])
def test_what_is_no_path_of_a_configuration_is_nothing_to_fail_at(asked, path):
    assert asked(changed(made(), ("config",), lambda _: path))[0] == exits.OK


def test_a_change_that_would_be_refused_is_told_with_what_is_wrong(configured, tmp_path):
    code, out, _ = configured(WRONG, loaded=-1)
    assert code == exits.OK
    assert "x.conf has mistakes; the daemon goes on by what it has loaded, and would not load this:" in out
    assert f"    {tmp_path}/x.conf:1:11: 'soon' is not a time" in out
    assert f"    {tmp_path}/x.conf:4:3: a monitor has no 'childern'; did you mean 'children'?" in out


def test_a_configuration_that_is_gone_is_told(configured, tmp_path):
    code, out, _ = configured(None, loaded=1)
    assert code == exits.OK
    assert f"    {tmp_path}/x.conf: there is no such file" in out


def test_why_no_daemon_starts_any_more_is_told(configured, tmp_path):
    code, out, _ = configured(WRONG, loaded=1, living=False)
    assert code == exits.UNAVAILABLE
    assert f"{tmp_path}/x.conf has mistakes, and no daemon starts with it:" in out
    assert "1:11: 'soon'" in out
    assert "has mistakes" not in configured(SOUND, loaded=-1, living=False)[1]


def test_of_many_mistakes_the_first_are_told(configured):
    out = configured("".join(f"a{number}: 1\n" for number in range(9)), loaded=-1)[1]
    assert "and 4 more; 'fall-from-grace check " in out
    assert "a4: " not in out


def test_whoever_is_not_its_user_does_not_judge(configured, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    out = configured(WRONG, loaded=-1)[1]
    assert "x.conf was changed after the daemon had loaded it;" in out
    assert "mistakes" not in out


def test_whoever_is_not_its_user_takes_an_editor_s_files_for_no_change(configured, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    (tmp_path / "x.d").mkdir()
    (tmp_path / "x.conf").write_text(SOUND)
    until(lambda: time.time() > files.changed_at([tmp_path / "x.conf"]) + 0.1)
    (tmp_path / "x.d" / ".a.conf.swp").touch()
    assert "was changed" not in configured(None, loaded=-0.05)[1]


def test_programs_are_told_too(configured, tmp_path):
    told = json.loads(configured(WRONG, loaded=-1, as_json=True)[1])["unloaded"]
    assert told["path"] == str(tmp_path / "x.conf")
    assert len(told["problems"]) == 2
    assert json.loads(configured(WRONG, loaded=1, as_json=True)[1])["unloaded"] is None


def test_where_no_daemon_could_start_that_is_told(tmp_path, capsys, monkeypatch):
    (path := tmp_path / "x.conf").write_text(WRONG)
    state = str(tmp_path / "none")
    monkeypatch.setattr(status, "DEFAULT_CONFIG", str(path))
    monkeypatch.setattr(published, "SYSTEM", state)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(exits.Failure, match="no daemon to ask"):
        status.run(Options(state))
    assert f"{path} has mistakes, and no daemon starts with it:\n    {path}:1:11: 'soon'" in capsys.readouterr().err


# --- the real command ---


def test_where_there_is_no_daemon_the_cure_is_told(tmp_path, capsys):
    assert cli.main(["status", "--state", str(tmp_path / "none")]) == exits.UNAVAILABLE
    assert capsys.readouterr().err.startswith("fall-from-grace: no daemon to ask: there is no ")


def test_the_command_shows_a_file(tmp_path, capsys):
    (path := Path(tmp_path) / "x.json").write_bytes(encoded(made()))
    assert cli.main(["status", "--json", "--state", str(path)]) == exits.OK
    assert json.loads(capsys.readouterr().out)["pid"] == os.getpid()


def test_where_stdout_was_closed_nobody_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    (path := Path(tmp_path) / "x.json").write_bytes(encoded(made()))
    assert cli.main(["status", "--state", str(path)]) == exits.OK


def test_a_rule_that_failed_shows_when_it_is_tried_again(shown):
    life = Life(monitor({"rmem > 1g": "term"}))
    life.look(NOON.monotonic - 4, (process(100), 2000), result=Result.FAILED)
    assert "  6s  100  m        term is tried again  rmem > 1g" in shown(said(lived=life))
