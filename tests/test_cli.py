import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import cli, dispatch
from fallfromgrace.commands import check, run
from fallfromgrace.commands.run import Options
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.pidfile import AlreadyRunning

HERE = Path(__file__).parent.parent
ETC = Path("/etc/fall-from-grace.conf")
STATE = "/run/fall-from-grace/status.json"


@pytest.fixture
def asked(monkeypatch):
    """What the commands were asked for; they do nothing."""
    asked = []
    monkeypatch.setattr(run, "run", lambda options: asked.append(options) or 0)
    monkeypatch.setattr(check, "run", lambda paths, quiet, strict: asked.append((list(paths), quiet, strict)) or 0)
    return asked


@pytest.fixture
def wanted(monkeypatch):
    """What another command was asked for, as a dictionary; it does nothing."""
    wanted = []

    def ask(line):
        command = importlib.import_module(f"fallfromgrace.commands.{line.split()[0]}")
        monkeypatch.setattr(command, "run", lambda options: wanted.append(options) or 0)
        assert cli.main(line.split()) == 0
        [options] = wanted
        return options, command.Options

    return ask


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def as_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


# --- what is asked for ---


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", Options(str(ETC), state=STATE)),
        ("run", Options(str(ETC), state=STATE)),
        ("-f", Options(str(ETC), state=STATE)),
        ("-c /x.conf", Options("/x.conf", state=STATE)),
        ("--config=/x.conf run", Options("/x.conf", state=STATE)),
        ("run -c /x.conf", Options("/x.conf", state=STATE)),
        ("-v run -n", Options(str(ETC), state=STATE, dry_run=True, verbose=True)),
        ("-nv -p /run/x.pid", Options(str(ETC), "/run/x.pid", STATE, dry_run=True, verbose=True)),
        ("-d -p /run/x.pid", Options(str(ETC), "/run/x.pid", STATE, detach=True)),
        ("run --daemon --pidfile /run/x.pid", Options(str(ETC), "/run/x.pid", STATE, detach=True)),
        ("--state /x.json run", Options(str(ETC), state="/x.json")),
        ("run --state=none", Options(str(ETC), state="none")),
    ],
)
@pytest.mark.usefixtures("as_root")
def test_running_is_asked_for_with_options_before_and_after_the_command(line, options, asked):
    assert cli.main(line.split()) == 0
    assert asked == [options]


@pytest.mark.parametrize(
    ("line", "paths", "quiet"),
    [
        ("check", [ETC], False),
        ("-t", [ETC], True),
        ("check -t", [ETC], True),
        ("-c /x.conf check", [Path("/x.conf")], False),
        ("-v -n -p /run/x.pid -t -c /x.conf", [Path("/x.conf")], True),  # as init scripts do, with all they have
        ("check a.conf b.conf", [Path("a.conf"), Path("b.conf")], False),
        ("check a.conf -v b.conf", [Path("a.conf"), Path("b.conf")], False),
        ("-t a.conf", [Path("a.conf")], True),
    ],
)
def test_checking_is_asked_for_by_the_command_or_by_t(line, paths, quiet, asked):
    assert cli.main(line.split()) == 0
    assert asked == [(paths, quiet, False)]


@pytest.mark.parametrize(
    ("line", "quiet"), [("check --strict", False), ("--strict check", False), ("-t --strict", True)]
)
def test_warnings_count_when_strict(line, quiet, asked):
    assert cli.main(line.split()) == 0
    assert asked == [([ETC], quiet, True)]


SYSTEMS = {"state": STATE}


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("match", {"config": ETC}),
        ("match -c x.conf conkeror", {"config": Path("x.conf"), "name": "conkeror"}),
        ("match --json --cmdline x", {"config": ETC, "cmdline": "x", "as_json": True}),
        ("explain 12", {"config": None, **SYSTEMS, "pid": 12, "as_json": False}),
        ("explain -c x 12 --json --state y", {"config": Path("x"), "state": "y", "pid": 12, "as_json": True}),
        ("status", {**SYSTEMS, "as_json": False}),
        ("status --json --state y", {"state": "y", "as_json": True}),
        ("test a", {"config": None, "files": (Path("a"),), "as_json": False}),
        ("test a b --json -c x", {"config": Path("x"), "files": (Path("a"), Path("b")), "as_json": True}),
        ("top", {"config": None, **SYSTEMS, "once": False, "every": 2.0}),
        ("top -c x --once --every 0.5s", {"config": Path("x"), **SYSTEMS, "once": True, "every": 0.5}),
        (
            "record a",
            {"config": ETC, "file": Path("a"), "everybody": False, "every": 1.0, "seconds": None, "size": 64 << 20},
        ),
        (
            "record -c x --all --every 1m --for 1h30m --size 2g a",
            {
                "config": Path("x"),
                "file": Path("a"),
                "everybody": True,
                "every": 60.0,
                "seconds": 5400.0,
                "size": 2 << 30,
            },
        ),
        ("replay a", {"config": ETC, "file": Path("a"), "as_json": False, "plot": None}),
        ("replay a --json --plot b -c x", {"config": Path("x"), "file": Path("a"), "as_json": True, "plot": Path("b")}),
        ("metrics", {**SYSTEMS, "textfile": None}),
        ("metrics --textfile a.prom --state y", {"state": "y", "textfile": Path("a.prom")}),
    ],
)
@pytest.mark.usefixtures("as_root")
def test_each_command_is_asked_for_what_is_written(line, options, wanted):
    asked, kind = wanted(line)
    assert asked == kind(**options)


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("runtime", "systems", "own", "read"),
    [
        ("user", False, False, "user/fall-from-grace/status.json"),
        ("user", False, True, "user/fall-from-grace/status.json"),
        ("user", True, True, "user/fall-from-grace/status.json"),
        ("user", True, False, "run/status.json"),
        ("", True, False, "run/status.json"),
        ("", False, False, ""),
    ],
)
def test_a_user_asks_their_own_daemon_or_the_systems_where_they_have_none(
    runtime, systems, own, read, wanted, tmp_path, monkeypatch
):
    monkeypatch.setattr(dispatch, "DEFAULT_STATE", str(tmp_path / "run/status.json"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime and str(tmp_path / runtime))
    for there, name in ((systems, "run/status.json"), (own, "user/fall-from-grace/status.json")):
        if there:
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).touch()
    assert wanted("status")[0].state == (read and str(tmp_path / read))


def test_relative_paths_are_those_of_where_we_were_started(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["-c", "x.conf", "-p", "sub/x.pid", "--state", "./none"])
    assert asked == [Options(str(tmp_path / "x.conf"), str(tmp_path / "sub/x.pid"), str(tmp_path / "none"))]


def test_a_directory_that_is_gone_is_told(asked, tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["-c", "x.conf"]) == 64
    assert "write 'x.conf' with its whole path" in capsys.readouterr().err


@pytest.mark.usefixtures("as_root")
def test_roots_daemon_has_its_pid_file_in_run(asked):
    cli.main(["-d"])
    assert asked[0].pidfile == "/run/fall-from-grace.pid"


@pytest.mark.usefixtures("as_user")
def test_a_users_daemon_has_its_pid_file_in_the_users_runtime_directory(asked, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    cli.main(["-d"])
    assert asked[0].pidfile == "/run/user/1000/fall-from-grace.pid"


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("runtime", "state"), [("/run/user/1000", "/run/user/1000/fall-from-grace/status.json"), ("", "")]
)
def test_a_users_state_is_in_the_users_runtime_directory_or_nowhere(runtime, state, asked, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    cli.main([])
    assert asked[0].state == state


@pytest.mark.usefixtures("as_user")
def test_a_user_without_a_runtime_directory_is_asked_for_a_pid_file(asked, monkeypatch, capsys):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert cli.main(["-d"]) == 64
    assert "write -p FILE" in capsys.readouterr().err
    assert asked == []


# --- what is wrong, said ---


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "unrecognized arguments: --nope"),
        ("--dry", "unrecognized arguments: --dry"),
        ("-c", "argument -c/--config: expected one argument"),
        ("chekc", f"'chekc' is no command; write one of {', '.join(cli.COMMANDS)}; did you mean 'check'?"),
        ("reload", "'reload' is no command; write one of run, check"),
        ("/", "'/' is no command; write '-c /' to use that file, or 'check /' to check it"),
        ("run x.conf", "'run' does not go with 'x.conf'; write -c FILE for a configuration"),
        ("run -t", "'run' does not go with '-t'"),
        ("-d -f", "-d and -f contradict each other; write one of them"),
        ("-t -d", "-d and -t contradict each other; write one of them"),
        ("-t -f", "-f and -t contradict each other; write one of them"),
        ("check -d", "'check' starts nothing; write it without -d"),
        ("--strict", "--strict is for 'check'; write it there, or leave it out"),
        ("run --strict", "--strict is for 'check'; write it there, or leave it out"),
        ("run -p= -d", "-p needs the name of a file"),
        ("-c= -t", "-c needs the name of a file"),
        ("--state=", "--state needs the name of a file"),
        ("status --state=", "--state needs the name of a file"),
        ("replay --plot= x", "--plot needs the name of a file"),
        ("-t status", "-t is for 'check'; write it there, or leave it out"),
        ("match -n", "-n is for 'run'; write it there, or leave it out"),
        ("--once status", "--once is for 'top'; write it there, or leave it out"),
        ("--every 5s", "--every is for 'top' and 'record'; write it there, or leave it out"),
        ("check --json", "--json is for 'match', 'explain', 'status', 'test' and 'replay'; write it there"),
        ("status -c x.conf", "-c is for 'run', 'check', 'match', 'explain', 'top', 'test', 'record' and 'replay'"),
        ("top -d", "'top' starts nothing; write it without -d"),
        ("match a b", "'match' does not go with 'b'; write 'fall-from-grace match [-c FILE]"),
        ("match --cmdline x name", "'match' takes one monitor's name, or --cmdline REGEX"),
        ("status x", "'status' does not go with 'x'; write 'fall-from-grace status [--state FILE] [--json]'"),
        ("explain", "'explain' needs a PID; write 'fall-from-grace explain [-c FILE] [--state FILE] [--json] PID'"),
        ("explain 1 2", "'explain' does not go with '2'; write"),
        ("explain firefox", "'firefox' is no process id; write a number above 0"),
        ("explain 0", "'0' is no process id"),
        ("explain -5", "'-5' is no process id"),
        ("explain \u0663", "'\u0663' is no process id"),
        ("explain 99999999999", "'99999999999' is no process id"),
        ("test", "'test' needs a FILE; write 'fall-from-grace test [-c FILE] [--json] FILE...'"),
        ("record", "'record' needs a FILE; write"),
        ("record a b", "'record' does not go with 'b'; write"),
        ("top --every 5", "--every: '5' is not a time; write a number with s, m, h or d, such as 10m"),
        ("top --every 0.4s", "--every: '0.4s' is too short; write 0.5s or more"),
        ("record --every 0.05s x", "--every: '0.05s' is too short; write 0.1s or more"),
        ("record --every 5s --for 1s x", "--for: '1s' is too short; write 5s or more"),
        ("record --size 5 x", "--size: '5' is too small; write 64k or more"),
        ("record --size 5s x", "--size: '5s' is not a size; write a number with k, m, g or t, such as 500m"),
        ("status --state none", "a daemon with '--state none' tells nothing; write the file of another one"),
    ],
)
def test_a_wrong_command_line_exits_64_and_says_what_to_write(line, message, asked, capsys):
    assert cli.main(line.split()) == 64
    told = capsys.readouterr()
    assert told.err.startswith(f"fall-from-grace: {message}")
    assert told.err.count("\n") == 1
    assert (told.out, asked) == ("", [])


@pytest.mark.parametrize("command", ["check", "test", "record", "replay"])
def test_a_file_without_a_name_is_told(command, asked, capsys):
    assert cli.main([command, ""]) == 64
    assert capsys.readouterr().err.startswith(f"fall-from-grace: '{command}' needs the name of a file")


def test_bytes_that_are_no_text_are_told_too(asked, capfd):
    assert cli.main([b"\xff\n".decode("utf-8", "surrogateescape")]) == 64


def ends_with(error, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(run, "run", fail)
    return cli.main([])


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConfigError([Problem("x.conf", 1, 2, "wrong", "mistake")]), 78, "x.conf:1:2: wrong\n    mistake\n     ^\n"),
        (AlreadyRunning("/run/x.pid", 7), 69, "fall-from-grace: already running as pid 7 (pid file /run/x.pid)"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_becomes_a_status_and_a_message(error, status, text, monkeypatch, capsys):
    assert ends_with(error, monkeypatch) == status
    assert capsys.readouterr().err.startswith(text)


def test_a_fault_of_ours_exits_70_with_a_traceback_and_a_request(monkeypatch, capsys):
    assert ends_with(ZeroDivisionError(), monkeypatch) == 70
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert "please report it" in told


# --- the program itself ---


def program(*arguments, **options):
    environment = {**os.environ, **options.pop("environment", {})}
    command = [sys.executable, *options.pop("python", []), str(HERE / "bin" / "fall-from-grace"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False, **options)


def test_help_names_every_command_option_and_status():
    done = program("--help")
    assert (done.returncode, done.stderr) == (0, "")
    options = ("-c", "-d", "-f", "-n", "-p", "-t", "-v", "--strict", "--version")
    for word in (*cli.COMMANDS, *options, " 1 ", "64", "69", "70", "77", "78"):
        assert word in done.stdout


def test_the_help_fits_into_a_usual_terminal():
    done = program("--help", environment={"COLUMNS": "80"})
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_a_help_of_its_own_with_its_options_and_no_others(command, capsys):
    assert cli.main([command, "--help"]) == 0
    told, found = capsys.readouterr().out, cli.COMMANDS[command]
    assert told.startswith(("usage: fall-from-grace [run] ", f"usage: fall-from-grace {command} "))
    options = set(re.findall(r"^  (?:-\w[^\n]*?, )?--([\w-]+)", told, re.M))
    assert options == {*found.options, "help", "version"}
    assert all(f"[{dispatch.LANGUAGE.options[name].flags[0]}" in told for name in found.options)


def test_help_is_given_whatever_else_is_missing_or_wrong(capsys):
    for line in ("-h", "explain -h", "nonsense -h", "-h -t", "-d -f -h"):
        assert cli.main(line.split()) == 0
    assert capsys.readouterr().out.count("usage: ") == 5


def test_every_option_is_some_commands_and_every_commands_options_exist():
    assert {name for command in cli.COMMANDS.values() for name in command.options} == set(dispatch.LANGUAGE.options)


def test_the_version_is_told():
    done = program("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fall-from-grace 1.")


HEAVY = {"psutil", "yaml", "ply", "daemon", "subprocess"}


@pytest.mark.parametrize(
    ("arguments", "heavy"), [(["--version"], set()), (["--nope"], set()), (["-t"], {"yaml", "ply"})]
)
def test_only_what_is_used_is_loaded(arguments, heavy, tmp_path):
    (tmp_path / "x.conf").write_text("hog:\n  cmdline: hog\n  actions:\n    rmem > 1g: term\n")
    done = program(*arguments, "-c", str(tmp_path / "x.conf"), python=["-X", "importtime"])
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert loaded & HEAVY == heavy


def test_python_without_docstrings_is_told_instead_of_a_traceback():
    done = program("-t", environment={"PYTHONOPTIMIZE": "2"})
    assert done.returncode == 64
    assert "PYTHONOPTIMIZE=2" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_error():
    done = subprocess.run(
        ["sh", "-c", '{ "$0" "$1" --help; echo $? >&2; } | true', sys.executable, str(HERE / "bin/fall-from-grace")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "0\n"


def test_output_that_cannot_be_written_is_told_and_not_taken_for_a_fault_of_ours():
    command = [sys.executable, str(HERE / "bin/fall-from-grace"), "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.stderr == "fall-from-grace: cannot write the output: No space left on device\n"
    assert done.returncode == 69


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    command = f'exec "$0" "$1" --version {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(HERE / "bin/fall-from-grace")], timeout=60, check=False
    )
    assert done.returncode == 0


def test_a_wrong_command_line_is_told_even_to_nobody():
    done = program("--nope", stdin=subprocess.DEVNULL)
    assert done.returncode == 64
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(HERE / "bin/fall-from-grace"), "--nope"]
        assert subprocess.run(command, stderr=full, timeout=60, check=False).returncode != 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("run", "where the daemon tells what it does, or none"),
        ("status", "the file of the daemon"),
        ("explain", "the configuration, instead of the daemon's"),
        ("match", "the configuration (/etc/fall-from-grace.conf)"),
        ("top", "so often, such as 0.5s or 5s (2s)"),
        ("record", "so often, such as 0.5s or 5s (1s)"),
    ],
)
def test_the_help_of_a_command_says_what_an_option_means_there(command, told, capsys):
    assert cli.main([command, "--help"]) == 0
    assert told in " ".join(capsys.readouterr().out.split()).replace("fall- from", "fall-from")
