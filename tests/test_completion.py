"""The completion for bash, asked as bash asks it, and by typing."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from fallfromgrace import cli, dispatch

COMPLETION = Path(__file__).parent.parent / "completion" / "fall-from-grace"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(not BASH, reason="bash is missing: apt-get install bash")

ASK = 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _fall_from_grace; printf "%s\\n" "${COMPREPLY[@]}"'
LOCAL = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LC_ALL": "C.UTF-8"}


def offered(*words, cwd="/"):
    """What is offered for the last word."""
    command = [BASH, "--norc", "-uc", ASK, "bash", str(COMPLETION), "fall-from-grace", *words]
    ran = subprocess.run(command, env=LOCAL, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines() if ran.stdout != "\n" else []


def flags(names):
    return {flag for name in names for flag in {**OPTIONS}[name].flags}


OPTIONS = {**dispatch.LANGUAGE.options, **dispatch.LANGUAGE.always}


# --- it is in step with the program ---


def test_every_command_is_offered_and_no_other():
    assert offered("") == list(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_options_of_each_command_are_offered_and_no_others(command):
    assert set(offered(command, "-")) == flags([*cli.COMMANDS[command].options, "help"])


def test_without_a_command_those_of_run_are_offered_and_those_that_make_do_without_one():
    assert set(offered("-")) == flags([*cli.COMMANDS["run"].options, "test", "strict", "help", "version"])


@pytest.mark.parametrize("name", OPTIONS)
def test_what_has_a_value_is_known_and_what_has_none(name, tmp_path):
    (tmp_path / "a file").touch()
    for flag in OPTIONS[name].flags:
        after = offered(flag, "", cwd=tmp_path)
        assert ("run" not in after) == bool(OPTIONS[name].value) or name == "test"
        assert ("a file" in after) == (OPTIONS[name].value.startswith("FILE") or name == "test")


@pytest.mark.parametrize("name", ["every", "for", "size"])
def test_offered_times_and_sizes_can_be_used(name):
    read = {"every": dispatch.arguments.seconds, "for": dispatch.arguments.seconds, "size": dispatch.arguments.size}[
        name
    ]
    values = offered("record", f"--{name}", "")
    assert [value for value in values if not read({name: value}, name, 0.5)] == []
    assert len(values) > 3


# --- what comes after what ---


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ch"], ["check"]),
        (["-n", "ru"], ["run"]),
        (["-c", "x", "m"], ["match", "metrics"]),
        (["-nc", "x", "to"], ["top"]),
        (["--state", "=", "x", "sta"], ["status"]),
        (["--state=x", "sta"], ["status"]),
        (["run", ""], []),
        (["status", ""], []),
        (["top", "--on"], ["--once"]),
        (["status", "--o"], []),
        (["record", "--size", "6"], ["64m"]),
        (["record", "--size", "=", "6"], ["64m"]),
        (["record", "--size", "="], ["16m", "64m", "256m", "1g"]),
        (["record", "--size=6"], ["--size=64m"]),
        (["match", "--cmdline", ""], []),
        (["nonsense", ""], []),
    ],
)
def test_what_is_offered_depends_on_what_stands_before(words, found):
    assert offered(*words) == found


@pytest.mark.parametrize(
    "words",
    [
        ["check"], ["check", "x.conf"], ["test"], ["test", "x"], ["record"], ["replay", "--json"], ["-t"], ["-c"],
        ["--config"], ["-c", "="], ["run", "-nvp"], ["status", "--state"], ["replay", "x", "--plot"],
        ["metrics", "--textfile"], ["record", "--every", "5s"],
    ],
)  # fmt: skip
def test_files_are_offered_where_one_is_needed(words, tmp_path):
    for name in ("a file", "b;$(x)", "other"):
        (tmp_path / name).touch()
    assert sorted(offered(*words, "", cwd=tmp_path)) == ["a file", "b;$(x)", "other"]
    assert offered(*words, "o", cwd=tmp_path) == ["other"]


@pytest.mark.parametrize(
    "words", [["record", "x"], ["replay", "x"], ["explain", "1"], ["match", "x"], ["status"], ["top"]]
)
def test_no_more_is_offered_than_a_command_takes(words, tmp_path):
    (tmp_path / "file").touch()
    assert offered(*words, "", cwd=tmp_path) == []


def test_processes_are_offered_by_their_numbers():
    mine = str(os.getpid())
    assert mine in offered("explain", "")
    assert mine in offered("explain", mine[:-1])
    assert offered("explain", f"{mine}0000000") == []
    assert offered("explain", "x") == []


CONF = """\
# comment:
interval: 5s
protect:
  - exe: x
browser:
  cmdline: x
'two words': # why
  cmdline: x
"$(touch bad)":
  cmdline: x
back`touch bad`:   \n"""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "x.conf").write_text(CONF)
    (tmp_path / "x.d").mkdir()
    (tmp_path / "x.d" / "more.conf").write_text("mail:\n  exe: y\n")
    return tmp_path


MONITORS = ["browser", r"two\ words", r"\$\(touch\ bad\)", r"back\`touch\ bad\`", "mail"]


@pytest.mark.parametrize(
    "words", [["-c", "x.conf", "match"], ["match", "-c", "x.conf"], ["match", "--config", "=", "x.conf"],
              ["match", "--config=x.conf"], ["match", "--json", "-c", "./x.conf"]]
)  # fmt: skip
def test_the_monitors_of_the_configuration_are_offered_and_nothing_in_it_is_ever_executed(words, conf):
    assert offered(*words, "", cwd=conf) == MONITORS
    assert not (conf / "bad").exists()


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("b", ["browser", MONITORS[3]]),
        ("two\\ w", [MONITORS[1]]),
        ("'two w", ["two words"]),
        ('"tw', ["two words"]),
        ("x", []),
    ],
)
def test_a_name_can_be_typed_with_any_marks(typed, found, conf):
    assert offered("-c", "x.conf", "match", typed, cwd=conf) == found


def test_a_configuration_in_the_home_directory_is_found(conf, monkeypatch):
    monkeypatch.setitem(LOCAL, "HOME", str(conf))
    assert offered("-c", "~/x.conf", "match", "br") == ["browser"]


def test_a_configuration_that_is_not_there_or_would_hang_has_no_monitors(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "none.conf", "."):
        assert offered("-c", name, "match", "", cwd=tmp_path) == []


# --- by typing ---


class Typing:
    """An interactive bash that has the completion and nothing else."""

    def __init__(self, cwd):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(cwd)
            environment = {**LOCAL, "PS1": "READY ", "TERM": "dumb", "INPUTRC": "/dev/null"}
            os.execve(BASH, [BASH, "--norc", "--noprofile", "-i"], environment)
        self.wait("READY ")

    def wait(self, pattern):
        """What is on the terminal, when that matches."""
        seen, deadline = "", time.monotonic() + 30
        while not re.search(pattern, seen):
            assert select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0], seen
            seen += os.read(self.fd, 4096).decode()
        return seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)  # hangs up
        os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self.fd, text.encode())


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("fall-from-grace che\t", "fall-from-grace check "),
        ("fall-from-grace check a\t", r"fall-from-grace check a\\ file "),
        ("fall-from-grace check 'a\t", r"fall-from-grace check 'a file' "),
        ("fall-from-grace status --sta\t", "fall-from-grace status --state "),
        ("fall-from-grace status --state=a\t", r"fall-from-grace status --state=a\\ file "),
        ("fall-from-grace -c x.conf match tw\t", r"fall-from-grace -c x.conf match two\\ words "),
        ("fall-from-grace -c x.conf match 'tw\t", r"fall-from-grace -c x.conf match 'two words"),
        ("fall-from-grace record --size 6\t", "fall-from-grace record --size 64m "),
    ],
)
def test_typing_completes_into_what_can_be_used(typed, becomes, conf):
    (conf / "a file").touch()
    with Typing(conf) as bash:
        bash.type(f"source {COMPLETION}\n")
        bash.wait("READY $")
        bash.type(typed)
        bash.wait(becomes)
