"""What README.md tells a newcomer to type, typed exactly like that on a clean Debian, by whom it says.

Each journey begins on a Debian of its own, so that nothing helps but what is written for it. `KNOWN` says who runs a
block and what is true afterwards: a block that it does not know is a failure. With README_TEST_FULL=1 `make test` is
run, too, and the tests that belong to the build of the package.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from tests.install.building import files_of_git
from tests.install.roots import CHECKOUT, READER, ROOT, Impossible, Root, Said, Terminal, User, clean_debian
from tests.victims import until

README = (CHECKOUT / "README.md").read_text()
FULL = bool(os.environ.get("README_TEST_FULL"))

PLACE = f"{READER.home}/fall-from-grace"
VENV_PROGRAM = f"{READER.home}/.local/share/fall-from-grace/bin/fall-from-grace"
SERVICE = "/etc/init.d/fall-from-grace"
DROP_INS = "/etc/fall-from-grace.d"
PIDFILE = "/run/fall-from-grace.pid"
FIREFOX = 4242  # the process that README.md has explained
# The reader at the next login: ~/.profile has found ~/.local/bin.
LOGGED_IN = READER._replace(path=f"{READER.home}/.local/bin:{READER.path}")
RUNTIME = "/run/user/reader"

# Sections that somebody reads who wants one thing; what is below a heading of its own is a section of its own.
JOURNEYS = {
    "try it": ["Try it"],
    "package": ["As a Debian package", "Configure", "Administration"],
    "for yourself": ["For yourself", "On your own desktop"],
}
# Sections whose commands take another machine than this: see tests/live/test_privileges.py and tests/package/ansible.
ELSEWHERE = {"What it needs", "On many machines"}


# --- what README.md shows -------------------------------------------------------


class Block(NamedTuple):
    """Commands: the line that they begin on, the paragraph before them, and they."""

    line: int
    before: str
    text: str


def blocks(heading: str) -> list[Block]:
    """Those of a section, in their order."""
    [found] = re.finditer(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", README, re.M | re.S)
    shown = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S).finditer(README, found.start(1), found.end(1))
    return [Block(README.count("\n", 0, each.start(1)) + 1, before(each.start()), each[1]) for each in shown]


def before(start: int) -> str:
    return README[:start].rstrip().rpartition("\n\n")[2]


def commands(block: Block) -> list[str]:
    """Its lines without what they say about themselves."""
    return [re.split(r" +# ", line)[0] for line in block.text.splitlines()]


EVERY = [block for headings in JOURNEYS.values() for heading in headings for block in blocks(heading)]


# --- what a reader has by then --------------------------------------------------

SCENARIO = """\
a browser is told of:
  processes:
    browser:
      cmdline: firefox
      rmem: 2m
  expect:
    - 0s browser log
"""


def rules(root: Root) -> None:
    """The example at the top of README.md, and a rule that fires."""
    example = re.findall(r"^```yaml\n(.*?)^```$", README, re.M | re.S)[0]
    root.write(f"{DROP_INS}/example.conf", example)
    root.write(f"{DROP_INS}/firefox.conf", "firefox:\n  cmdline: ^firefox\n  actions:\n    rmem > 1k: log too large\n")
    root.write(f"{ROOT.home}/my.conf", example)
    root.write(f"{ROOT.home}/my.test.yaml", SCENARIO)


def processes(root: Root) -> None:
    """Those that the commands name: the example's, and a browser with the number that is asked for."""
    root.does(f"""
        run() {{ (exec -a "$1" sleep 600) </dev/null >/dev/null 2>&1 & }}
        run "xulrunner-bin /usr/share/conkeror"
        until [ "${{pid-}}" = {FIREFOX} ]; do
            [ -z "${{pid-}}" ] || kill "$pid"
            echo {FIREFOX - 1} >/proc/sys/kernel/ns_last_pid
            run "firefox --private"; pid=$!
        done""")


def rules_and_processes(root: Root) -> None:
    rules(root)
    processes(root)


def a_boot(root: Root) -> None:
    """As far as packages ask for one before they start a service: there is an init, and it is in runlevel 2."""
    root.does("[ -e /sbin/init ] || ln -s /bin/true /sbin/init")
    root.does("printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel && chmod +x /sbin/runlevel")


def manual_pages(root: Root) -> None:
    """Part of every Debian but the smallest."""
    root.does("apt-get install -y --no-install-recommends man-db", seconds=120)


def a_login(root: Root) -> None:
    """As far as the daemon asks for one."""
    root.does(f"install -d -m 700 -o {READER.name} -g {READER.name} {RUNTIME}")
    root.variables.append(f"XDG_RUNTIME_DIR={RUNTIME}")


def no_service(root: Root) -> None:
    root.does(f"{SERVICE} stop")


def a_service(root: Root) -> None:
    root.does(f"{SERVICE} start")
    the_service_runs(root)


# --- what is true afterwards ----------------------------------------------------


def nothing_more(root: Root, said: str) -> None:
    """It ended well, and what comes next shows the rest."""


def says(*words: str) -> Callable[[Root, str], None]:
    def check(_: Root, said: str) -> None:
        assert [word for word in words if word not in said] == [], said

    return check


def says_nothing(_: Root, said: str) -> None:
    assert said == ""


def the_environment_has_the_program(root: Root, _: str) -> None:
    version = root.does(".venv/bin/fall-from-grace --version", READER, PLACE)
    assert version == root.does(". .venv/bin/activate; fall-from-grace --version", READER, PLACE) != ""


def there_is_a_package(root: Root, _: str) -> None:
    assert len(root.does("ls dist/fall-from-grace_*.deb", READER, PLACE).split()) == 1


def the_program_runs(program: str) -> Callable[[Root, str], None]:
    def check(root: Root, _: str) -> None:
        assert root.does(f"{program} --version", READER).startswith("fall-from-grace ")

    return check


def the_unit_finds_the_program(root: Root, _: str) -> None:
    """As its own shell looks for it."""
    [path] = set(re.findall(r'PATH="(.*?)"', root.does("cat ~/.config/systemd/user/fall-from-grace.service", READER)))
    found = root.does(f'PATH="{path.replace("$$", "$")}"; command -v fall-from-grace', READER)
    assert found.strip() == f"{READER.home}/.local/bin/fall-from-grace"


def the_service_runs(root: Root, _: str = "") -> None:
    assert "is running" in root.does(f"{SERVICE} status")
    assert root.does("fall-from-grace -t") == ""
    assert "pid" in root.does("fall-from-grace status")


def the_rules_are_used(root: Root, _: str) -> None:
    until(lambda: str(FIREFOX) in root.does("fall-from-grace status"), f"process {FIREFOX} in status")
    every_word_does_what_it_says(root)
    a_mistake_is_told_and_changes_nothing(root)


def every_word_does_what_it_says(root: Root) -> None:
    """Those that stand behind the first one."""
    [block] = [block for block in EVERY if f"{SERVICE} reload" in block.text]
    words = re.findall(r"[a-z-]+", block.text.partition("# and ")[2])
    for word in sorted(words, key=["force-reload", "restart", "status", "stop", "start"].index):
        root.does(f"{SERVICE} {word}")
    the_service_runs(root)


def a_mistake_is_told_and_changes_nothing(root: Root) -> None:
    mistaken = f"{DROP_INS}/mistaken.conf"
    pid = root.does(f"cat {PIDFILE}")
    root.write(mistaken, "leak:\n  cmdline: leak\n  actions:\n    rmem > 1g: stop @ 10minutes\n")
    for word in ("reload", "restart"):
        refused(root, word, f"{mistaken}:4:")
    assert "is running" in root.does(f"{SERVICE} status")
    assert root.does(f"cat {PIDFILE}") == pid
    no_service(root)
    refused(root, "start", f"{mistaken}:4:")
    root.does(f"rm {mistaken}")
    a_service(root)


def refused(root: Root, word: str, place: str) -> None:
    said = root.run(f"{SERVICE} {word}")
    assert said.status == 6, said
    assert place in said.text, said
    assert f"{word} refused" in said.text, said


def a_daemon_runs_until_it_is_killed(root: Root, _: str) -> None:
    assert "is running" in root.does(f"{SERVICE} status")
    root.does(f"kill $(cat {PIDFILE})")
    it_ends(root, PIDFILE)


def it_ends(root: Root, pidfile: str) -> None:
    until(lambda: root.run(f"test -e {pidfile}").status != 0, "its pid file is gone")


def a_second_one_is_refused(root: Root, _: str) -> None:
    assert "/.config/fall-from-grace.conf: 3 monitors" in root.does("fall-from-grace status", LOGGED_IN)
    said = root.run("fall-from-grace -d -c ~/.config/fall-from-grace.conf", LOGGED_IN)
    assert (said.status, "already running as pid" in said.text) == (69, True), said


def shows(word: str) -> Callable[[Root, Terminal], bool]:
    return lambda _, terminal: word in terminal.text


def writes(file: str) -> Callable[[Root, Terminal], bool]:
    return lambda root, _: root.run(f"test -s {ROOT.home}/{file}").status == 0


# --- what is known of the blocks ------------------------------------------------


class Step(NamedTuple):
    """What is known of what is typed: by whom, and what is true afterwards."""

    user: User
    then: Callable[[Root, str], object] = nothing_more
    first: Callable[[Root], object] = lambda _: None
    # Of what stays in the foreground: whether it is there yet, and the keys that end it.
    stays: Callable[[Root, Terminal], bool] | None = None
    keys: str = "\x03"  # Ctrl-C
    where: str = PLACE
    seconds: float = 120
    wanted: bool = True


Here = partial(Step, ROOT, where=ROOT.home)

# By words that are in no other block. Where each line is for itself, lines stand for what is known of a block.
KNOWN: dict[str, Step | dict[str, Step]] = {
    # Try it
    "install -y make": Step(ROOT),
    "make setup": Step(READER, the_environment_has_the_program, seconds=200),
    "make demo": Step(READER, says("action=term", "the leak has ended by SIGTERM")),
    "make test": Step(READER, says(" passed"), seconds=900, wanted=FULL),
    "busybox stress-ng": Step(ROOT),
    # Install
    "apt-get build-dep": Step(ROOT, seconds=200),
    "make deb": Step(READER, there_is_a_package, seconds=900 if FULL else 120),
    "install -y ./dist/": Step(ROOT, the_service_runs, first=a_boot),
    "recommends pipx": Step(ROOT),
    "pipx install .": Step(READER, the_program_runs("~/.local/bin/fall-from-grace")),
    "python3 -m venv": Step(READER, the_program_runs(VENV_PROGRAM)),
    # Configure
    "man 5": {
        "man 5 fall-from-grace.conf": Here(says("FALL-FROM-GRACE.CONF(5)"), first=manual_pages),
        "man -l man/fall-from-grace.conf.5": Step(READER, says("FALL-FROM-GRACE.CONF(5)")),
    },
    "check my.conf": {
        "fall-from-grace -t": Here(says_nothing, first=rules_and_processes),
        "fall-from-grace check my.conf": Here(says("my.conf: 1 monitor, 3 rules, fine")),
        "fall-from-grace match -c my.conf": Here(says("xulrunner-bin /usr/share/conkeror")),
        "fall-from-grace -n -c my.conf": Here(stays=shows("started, version")),
    },
    # Administration
    f"{SERVICE} reload": Here(the_rules_are_used),
    "as a daemon: detach": {
        "fall-from-grace": Here(stays=shows("started, version"), first=no_service),
        "fall-from-grace -d": Here(a_daemon_runs_until_it_is_killed),
    },
    "explain": {
        "fall-from-grace check --strict my.conf": Here(says("my.conf: 1 monitor, 3 rules, fine"), first=a_service),
        "fall-from-grace match conkeror": Here(says("xulrunner-bin /usr/share/conkeror")),
        "fall-from-grace match --cmdline firefox": Here(says(str(FIREFOX))),
        f"fall-from-grace explain {FIREFOX}": Here(says("firefox selects it", "rmem > 1k")),
        "fall-from-grace status": Here(says(str(FIREFOX), "rmem > 1k")),
        "fall-from-grace top": Here(stays=shows(str(FIREFOX)), keys="q"),
        "fall-from-grace test my.test.yaml": Here(says("a browser is told of")),
        "fall-from-grace record night.rec": Here(stays=writes("night.rec")),
        "fall-from-grace replay night.rec": Here(says(str(FIREFOX), "log too large")),
        "fall-from-grace metrics": Here(says("# TYPE fall")),
    },
    # On your own desktop; what takes a systemd is in tests/package/desktop
    "cp -i examples/desktop.conf": Step(READER),
    "cp desktop/": Step(READER, the_unit_finds_the_program),
    "systemctl --user": Step(READER, wanted=False),
    "XDG_RUNTIME_DIR": {
        "fall-from-grace -c ~/.config/fall-from-grace.conf": Step(
            LOGGED_IN, stays=shows("started, version"), first=a_login
        ),
        "fall-from-grace -d -c ~/.config/fall-from-grace.conf": Step(LOGGED_IN, a_second_one_is_refused),
        'kill "$(cat "$XDG_RUNTIME_DIR/fall-from-grace.pid")"': Step(
            LOGGED_IN, lambda root, _: it_ends(root, f"{RUNTIME}/fall-from-grace.pid")
        ),
    },
}


def steps(block: Block) -> dict[str, Step]:
    """What is typed at a time, and what is known of it. What is new is to be entered above."""
    found = [about for words, about in KNOWN.items() if words in block.text]
    assert len(found) == 1, f"README.md:{block.line}: {len(found)} entries of KNOWN are about\n{block.text}"
    if isinstance(found[0], Step):
        return {block.text: found[0]}
    assert commands(block) == list(found[0]), f"README.md:{block.line} has other lines than KNOWN"
    return dict(zip(block.text.splitlines(), found[0].values(), strict=True))


@pytest.mark.parametrize("block", EVERY, ids=lambda block: f"README.md:{block.line}")
def test_every_block_is_known(block):
    assert steps(block)


def test_all_that_is_known_is_there():
    assert [words for words in KNOWN if not any(words in block.text for block in EVERY)] == []


def test_no_section_with_commands_is_passed_over():
    shown = {heading for heading in re.findall(r"^##+ (.*)$", README, re.M) if blocks(heading)}
    assert shown - ELSEWHERE == {heading for headings in JOURNEYS.values() for heading in headings}


@pytest.mark.parametrize("heading", ["Try it", "As a Debian package", "For yourself", "Administration"])
def test_the_paragraph_before_a_block_says_who_runs_it(heading):
    for block in blocks(heading):
        says_root = re.search(r"\bas root\b", block.before, re.I)
        assert {step.user for step in steps(block).values()} == {ROOT if says_root else READER}, block


# --- the journeys ---------------------------------------------------------------


def checkout() -> bytes:
    """What git has of this, or would take, as a tar file."""
    tar = ["tar", "--create", "--null", "--no-recursion", "--files-from=-"]
    names = "\0".join(files_of_git()).encode()
    return subprocess.run(tar, cwd=CHECKOUT, input=names, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture
def debian():
    """A clean Debian, and a user there with a copy of the checkout as git makes it with that umask."""
    try:
        with clean_debian() as root:
            root.does(f"useradd --create-home --shell /bin/bash {READER.name}")
            root.does(f"mkdir {PLACE} && tar -x -C {PLACE} && chmod -R g+w {PLACE}", READER, given=checkout())
            if not FULL:
                root.variables.append("DEB_BUILD_OPTIONS=nocheck")
            yield root
    except Impossible as lack:
        pytest.skip(f"{lack}: nothing was tested")


def typed(root: Root, text: str, step: Step) -> Said:
    if not step.stays:
        return root.run(text, step.user, step.where, seconds=step.seconds)
    with root.terminal(text, step.user, step.where) as terminal:
        until(lambda: step.stays(root, terminal) or terminal.ended, f"it stays: {text}", step.seconds)
        assert step.stays(root, terminal), terminal.text
        return terminal.press(step.keys)


def take(root: Root, text: str, step: Step) -> None:
    """It ends well, and what should be true then is true."""
    step.first(root)
    said = typed(root, text, step)
    assert said.status == 0, f"status {said.status}\n{said.text}"
    step.then(root, said.text)


@pytest.mark.parametrize("journey", JOURNEYS)
def test_what_readme_says_is_so_on_a_clean_debian(debian, journey):
    for block in [block for heading in JOURNEYS[journey] for block in blocks(heading)]:
        for text, step in steps(block).items():
            if step.wanted:
                started = time.monotonic()
                take(debian, text, step)
                print(f"README.md:{block.line}, {step.user.name}, {time.monotonic() - started:.1f} s: {text.strip()}")
