import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import cli, config, exits
from fallfromgrace.commands import test as command
from fallfromgrace.commands.test import Options
from fallfromgrace.errors import ConfigError
from tests.test_scenario import EXAMPLE

CONF = Path(__file__).parent.parent / "fall-from-grace.conf"
RULES = """\
m:
  cmdline: hog
  actions:
    rmem > 500m: log @ 1h $NAME uses $VALUE
    rmem > 900m: stop @ 10m
    rmem > 2g: kill
"""
PASSES = """\
one that grows:
  processes:
    a:
      cmdline: hog
      rmem: 100m 600m 1000m
  expect:
    - 10s a log @ 1h $NAME uses $VALUE
    - 20s a stop @ 10m
"""
FAILS = """\
one that fails:
  processes:
    a:
      cmdline: hog
      rmem: 100m 600m 1000m
    other: {cmdline: other}
  expect:
    - 10s a log @ 1h
    - 10s other log @ 1h
    - 20s a stop @ 5m
"""
SHOWN = """\
FAILED  one that fails ({}:1)
      10s  a      log @ 1h $NAME uses $VALUE  m: rmem > 500m (600m)
    - 10s  other  log @ 1h                    'm' is not about it, for its cmdline does not match
    - 20s  a      stop @ 5m                   no rule has this action; did you mean 'stop @ 10m'?
    + 20s  a      stop @ 10m                  m: rmem > 900m (1000m)
1 test, 1 failed
"""


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(RULES)
    return path


@pytest.fixture
def script(tmp_path):
    """Writes a file of tests."""

    def write(text, name="x.test.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_what_is_as_expected_is_fine(conf, script, capsys):
    assert command.run(Options(conf, (script(PASSES),))) == exits.OK
    assert capsys.readouterr() == ("ok      one that grows\n1 test, all as expected\n", "")


def test_a_difference_is_shown_in_the_order_of_time_and_says_why(conf, script, capsys):
    path = script(FAILS)
    assert command.run(Options(conf, (path,))) == exits.NO
    assert capsys.readouterr() == (SHOWN.format(path), "")


def test_every_test_of_every_file_is_run_and_one_that_fails_decides(conf, script, capsys):
    files = script(FAILS, "a"), script(PASSES + "nothing:\n  expect: nothing\n", "b")
    assert command.run(Options(conf, files)) == exits.NO
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert words == ["FAILED", "ok", "ok", "3"]


def test_a_terminal_has_colours(conf, script, capsys, monkeypatch):
    monkeypatch.setattr("fallfromgrace.terminal.colourful", lambda: True)
    command.run(Options(conf, (script(FAILS + PASSES),)))
    shown = capsys.readouterr().out.splitlines()
    red, green, dim = "\x1b[31m", "\x1b[32m", "\x1b[2m"
    begun = [re.match("\x1b.*?m|", line)[0] for line in shown]
    assert begun == [red, dim, red, red, green, green, ""]
    assert all(line.count("\x1b[0m") == 1 for line in shown[:-1])


@pytest.mark.parametrize("as_json", [False, True])
def test_the_name_of_a_file_cannot_write_to_the_terminal_by_itself(as_json, conf, script, capsys):
    assert command.run(Options(conf, (script(FAILS, "\x1b[31m\udcff"),), as_json)) == exits.NO
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31m\\xff:1" in out if not as_json else "\\u001b[31m\\\\udcff" in out


def test_what_the_output_cannot_take_is_escaped(conf, script, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert command.run(Options(conf, (script("größer:\n  expect: nothing\n"),))) == exits.OK
    assert written.getvalue() == b"ok      gr\\xf6\\xdfer\n1 test, all as expected\n"


@pytest.mark.parametrize(("text", "status"), [(PASSES, exits.OK), (FAILS, exits.NO)])
def test_that_nobody_reads_on_changes_no_answer(text, status, conf, script):
    """As `fall-from-grace test x | head -1` of a shell with pipefail: a failure must not pass for success."""
    program = Path(__file__).parent.parent / "bin" / "fall-from-grace"
    ours, its = os.pipe()
    os.close(ours)
    asked = [sys.executable, str(program), "test", "-c", str(conf), str(script(text))]
    ran = subprocess.run(asked, stdout=its, stderr=subprocess.PIPE, text=True)
    os.close(its)
    assert (ran.returncode, ran.stderr) == (status, "")


def test_a_terminal_sees_how_far_it_is(conf, script, capsys, monkeypatch):
    steps = []
    monkeypatch.setattr(command.Progress, "step", lambda self, done, note="": steps.append((done, note)))
    text = PASSES + PASSES.replace("one that", "another that")
    assert command.run(Options(conf, (script(text),))) == exits.OK
    assert [done for done, _ in steps] == [0, 10, 20, 20, 30, 40]
    assert {note for _, note in steps} == {"one that grows", "another that grows"}


def test_for_programs_there_is_json(conf, script, capsys):
    path = script(FAILS)
    assert command.run(Options(conf, (path,), as_json=True)) == exits.NO
    (found,) = json.loads(capsys.readouterr().out)
    lines = found.pop("lines")
    assert found == {"file": str(path), "line": 1, "test": "one that fails", "passed": False}
    assert [(each["mark"], each["at"], each["process"], each["action"]) for each in lines] == [
        (" ", 10, "a", "log @ 1h $NAME uses $VALUE"),
        ("-", 10, "other", "log @ 1h"),
        ("-", 20, "a", "stop @ 5m"),
        ("+", 20, "a", "stop @ 10m"),
    ]
    assert {**lines[3]} == {
        "mark": "+", "at": 20, "process": "a", "action": "stop @ 10m", "excuse": "", "monitor": "m",
        "rule": "rmem > 900m", "value": "1000m", "limit": "900m",
    }  # fmt: skip


# --- which configuration ----------------------------------------------------------------------------------------


def test_a_file_names_its_configuration_from_where_it_is(conf, script, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command.run(Options(None, (script(f"config: {conf.name}\n{PASSES}"),))) == exits.OK


def test_what_the_command_line_says_comes_first(conf, script):
    assert command.run(Options(conf, (script(f"config: nosuch.conf\n{PASSES}"),))) == exits.OK


def test_without_either_it_is_the_one_of_the_machine(conf, script, monkeypatch):
    monkeypatch.setattr(command, "DEFAULT_CONFIG", conf)
    assert command.run(Options(None, (script(PASSES),))) == exits.OK


# --- what is wrong ----------------------------------------------------------------------------------------------


def wrong(*files, conf=None):
    with pytest.raises(ConfigError) as caught:
        command.run(Options(conf, files))
    return [problem.headline for problem in caught.value.problems]


def test_nothing_is_run_while_anything_is_wrong_with_any_file(conf, script, tmp_path, capsys):
    conf.write_text("interval: 0s\n")
    files = script(PASSES, "a"), script(PASSES, "b"), script("x:\n  expct: nothing\n", "c"), tmp_path / "none"
    assert wrong(*files, tmp_path, conf=conf) == [
        f"{tmp_path}: cannot be read: Is a directory",
        f"{tmp_path}/c:1:1: 'x' does not say what it expects; write expect: and below it, indented, "
        "- 20s firefox stop @ 10m, or expect: nothing",
        f"{tmp_path}/c:2:3: a test has no 'expct'; did you mean 'expect'?",
        f"{tmp_path}/none: there is no such file",
        f"{conf}:1:11: '0s' is no time at all; write at least 1s",
    ]
    assert capsys.readouterr() == ("", "")


def test_a_file_that_is_too_large_is_none(conf, script):
    (said,) = wrong(script("#" * (1 << 20) + "\n"), conf=conf)
    assert said.endswith("x.test.yaml: the file is larger than 1 MiB; make several")


def test_a_monitor_that_is_not_there_is_told(conf, script):
    path = script(PASSES.replace("  processes", "  monitors: [m, n]\n  processes"))
    assert wrong(path, conf=conf) == [f"{path}:2:17: {conf} has no monitor 'n'; there are m"]


# --- what is played ---------------------------------------------------------------------------------------------


def test_others_do_what_they_like_when_a_test_is_about_some_monitors(conf, script):
    conf.write_text(RULES + "n:\n  cmdline: hog\n  actions: {rmem > 1m: log x}\n")
    assert command.run(Options(conf, (script(PASSES),))) == exits.NO
    path = script(PASSES.replace("  processes", "  monitors: m\n  processes"))
    assert command.run(Options(conf, (path,))) == exits.OK


def test_who_is_killed_is_gone(conf, script):
    text = "x:\n  until: 1h\n  processes: {a: {cmdline: hog, rmem: 3g}}\n  expect: [0s a log @ 1h, 0s a kill]\n"
    assert command.run(Options(conf, (script(text),))) == exits.OK


@pytest.mark.parametrize("conf_user", ["nobody-here", "4242"])
def test_users_need_not_be_on_this_machine(conf_user, conf, script):
    conf.write_text(RULES.replace("cmdline: hog", f"user: {conf_user}"))
    text = PASSES.replace("rmem:", f"user: {conf_user}\n      rmem:")
    assert command.run(Options(conf, (script(text),))) == exits.OK
    assert command.run(Options(conf, (script(PASSES),))) == exits.NO


@pytest.mark.parametrize(
    ("rule", "keys", "expected"),
    [
        ("cpu > 80%", "cpu: 5% 90%x3", "20s a log x"),
        ("cpu > 80% for 1m", "cpu: 90%, age: 1h", "1m10s a log x"),
        ("cpu > 80%", "cpu: 100% _x5 100%, age: 1h", "10s a log x"),
        ("read + write > 9m/s", "read: 0 5m/s, write: 0 5m/s", "20s a log x"),
        ("cputime > 1m", "cputime: 30s+10sx5", "40s a log x"),
        ("fds > 80%", "fds: 10 90, fdlimit: 100", "10s a log x"),
        ("swap > 1g", "swap: 0 2g", "10s a log x"),
        ("pmem > 1g", "rmem: 4g, pmem: 500m 2g", "10s a log x"),
        ("vmem > 1g", "rmem: 500m 2g", "10s a log x"),
        ("vmem > 1g", "rmem: 500m 2g, vmem: 600m 700m", "nothing"),
        ("rmem > 1g", "rmem: _ 2g", "10s a log x"),
        ("rmem > 25%", "rmem: 100m 3g", "10s a log x"),
        ("system.available < 10%", "rmem: 1m", "20s log x"),
        ("system.load > 4", "rmem: 1m", "20s log x"),
        ("age > 1h", "age: 59m50s", "10.25s a log x"),
        ("threads > 8", "threads: 1 9, starts: 20s", "30s a log x"),
        ("growth(rmem, 1m) > 100m", "rmem: 100m+20mx20", "1m a log x"),
        ("children > 0", "rmem: 1m", "30s a log x"),
        ("tree.rmem > 1500m", "rmem: 1g", "30s a log x"),
        ("count > 1", "rmem: 1m", "nothing"),
    ],
)
def test_all_that_is_measured_can_be_made_up(rule, keys, expected, conf, script, capsys):
    conf.write_text(f"m:\n  cmdline: hog\n  actions:\n    {rule}: log x\n")
    machine = "{memory: 8g, available: 4g 4g 300m, load: 0.5 1 8}"
    below = "{cmdline: other, parent: a, starts: 30s, rmem: 1g}"
    path = script(
        f"x:\n  until: 3m\n  machine: {machine}\n  processes:\n    a: {{cmdline: hog, {keys}}}\n    kid: {below}\n"
        f"  expect: {expected}\n"
    )
    assert command.run(Options(conf, (path,))) == exits.OK, capsys.readouterr().out


# --- the example that comes with it -------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path):
    """The configuration as it comes, all that it offers in use."""
    path = tmp_path / "fall-from-grace.conf"
    path.write_text(re.sub(r"^#(?=[a-z]|  )", "", CONF.read_text(), flags=re.M))
    return path


def test_the_example_is_a_test_of_every_monitor_of_the_configuration_that_comes_with_it(shipped, capsys):
    assert cli.main(["test", "--json", "-c", str(shipped), str(EXAMPLE)]) == exits.OK
    found = json.loads(capsys.readouterr().out)
    done = {(line["monitor"], line["rule"]) for each in found for line in each["lines"]}
    rules = {(monitor.name, rule.text) for monitor in config.load(shipped).monitors for rule in monitor.rules}
    assert done == rules


def test_the_example_notices_what_is_changed(shipped):
    text = shipped.read_text()
    changes = [
        ("rmem > 1g:", "rmem > 1200m:"),
        ("stop @ 10m", "stop @ 9m"),
        ("children: 1", "children: 0"),
        ("^/usr/lib/firefox", "/usr/lib/firefox"),
        ("rmem > 1500m: kill", "rmem > 1700m: kill"),
        ("for 1m until tree.pmem < 40%", "for 2m until tree.pmem < 40%"),
        ("until tree.pmem < 40%", "until tree.pmem < 30%"),
        ("after 5m term tree", "after 5m term"),
        ("after 30s kill tree", "after 40s kill tree"),
        ("for 10m: nice 10", "for 9m: nice 10"),
        ("count < 1 for 1m", "count < 1 for 2m"),
        ("user: 0", "user: 1"),
        ("observe: yes", "observe: no"),
        ("  - exe: ^/usr/sbin/sshd$", "  - exe: ^/usr/sbin/nosuch$"),
        ("rmem > 6g or", "rmem > 8g or"),
    ]
    for before, after in changes:
        assert text.count(before) >= 1, before
        shipped.write_text(text.replace(before, after, 1))
        assert command.run(Options(shipped, (EXAMPLE,))) == exits.NO, f"nobody notices {after}"


def test_the_command_says_what_is_wrong_and_exits_as_for_a_configuration(script, capsys):
    path = script("x:\n  expct: nothing\n")
    assert cli.main(["test", str(path)]) == exits.CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}:2:3: a test has no 'expct'; did you mean 'expect'?\n      expct: nothing\n      ^^^^^\n" in err
