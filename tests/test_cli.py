import os
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import cli
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
        ("chekc", "'chekc' is no command; write one of run, check, match; did you mean 'check'?"),
        ("reload", "'reload' is no command; write one of run, check"),
        ("/", "'/' is no command; write '-c /' to use that file, or 'check /' to check it"),
        ("run x.conf", "'run' does not go with 'x.conf'; write -c FILE for a configuration"),
        ("run -t", "'run' does not go with '-t'"),
        ("-d -f", "-d and -f contradict each other; write one of them"),
        ("-t -d", "-d and -t contradict each other; write one of them"),
        ("check -d", "'check' starts nothing; write it without -d"),
        ("--strict", "--strict is for 'check'; write it there, or leave it out"),
        ("run --strict", "--strict is for 'check'; write it there, or leave it out"),
        ("run -p= -d", "-p needs the name of a file"),
        ("-c= -t", "-c needs the name of a file"),
        ("--state=", "--state needs the name of a file"),
    ],
)
def test_a_wrong_command_line_exits_64_and_says_what_to_write(line, message, asked, capsys):
    assert cli.main(line.split()) == 64
    told = capsys.readouterr()
    assert told.err.startswith(f"fall-from-grace: {message}")
    assert told.err.count("\n") == 1
    assert (told.out, asked) == ("", [])


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
