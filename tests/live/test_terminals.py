"""Every command in a real terminal of several widths, and in a pipe."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.live.conftest import PROGRAM
from tests.live.tmux import needs_tmux
from tests.victims import until, victim

pytestmark = needs_tmux

SCENARIO = """\
{name}:
  processes:
    hog:
      cmdline: {mark}
      rmem: 1m 20m
  expect:
    - 1s hog {expected}
"""
# The words of each command, what it shows, and its exit status.
COMMANDS = {
    "check": ("-c {conf}", r"1 monitor, 2 rules", 0),
    "match": ("-c {conf}", r"leaks: 1 process, rmem", 0),
    "explain": ("-c {conf} --state {state} {pid}", r"next: fires in \d+m", 0),
    "status": ("--state {state}", r"1 process watched", 0),
    "top": ("--once -c {conf} --state {state}", r"pending \d+", 0),
    "test": ("-c {conf} {good} {bad}", r"2 tests, 1 failed", 1),
    "record": ("-c {conf} --for 0.5s --every 0.1s {new}", r"frames? of 1 process over", 0),
    "replay": ("-c {conf} {recorded}", r"log +told|log it", 0),
    "metrics": ("--state {state}", r"fall_from_grace_cpu_seconds_total \d", 0),
}
OPTIONAL = {"top": "rich", "metrics": "prometheus_client"}


@pytest.fixture
def asked(program, configured, mark, tmp_path):
    """The command line of each command, about one victim that a real daemon watches."""
    conf = configured(
        f"interval: 1s\nleaks:\n  cmdline: {mark}\n  actions:\n    rmem > 10m for 9m: log much\n    rmem > 9m: log it\n"
    )
    state = tmp_path / "status.json"
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(SCENARIO.format(name="as it is", mark=mark, expected="log it"))
    bad.write_text(SCENARIO.format(name="as it is not", mark=mark, expected="term"))
    with victim(mark, 40) as hog:
        program("-c", conf, "--state", state)
        until(lambda: state.exists() and "leaks" in state.read_text() and '"told"' in state.read_text(), "a state")
        recorded = tmp_path / "recorded"
        words = ["record", "-c", str(conf), "--for", "0.3s", "--every", "0.1s", str(recorded)]
        subprocess.run([sys.executable, str(PROGRAM), *words], capture_output=True, check=True, timeout=60)
        names = {"conf": conf, "state": state, "good": good, "bad": bad, "recorded": recorded, "pid": hog.pid}

        def command(name, new):
            words = COMMANDS[name][0].format(**names, new=tmp_path / new)
            return [sys.executable, str(PROGRAM), name, *shlex.split(words)]

        yield command


def lacks(name):
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_in_a_terminal_it_keeps_to_its_width(name, asked, tmux):
    lacks(name)
    _, shows, status = COMMANDS[name]
    for width in (60, 100, 200):
        tmux.resize(width, 50)
        tmux.clear()
        tmux.type(f"{shlex.join(asked(name, f'new{width}'))} 2>&1; echo status=$?", "Enter")
        text = tmux.shows(r"^status=\d+")
        # What is no table goes on in the next line, and a table may be cut.
        assert re.search(shows, text.replace("\n", "")) or width == 60, text
        assert f"status={status}\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_in_a_pipe_it_is_plain_text(name, asked):
    lacks(name)
    _, shows, status = COMMANDS[name]
    ran = subprocess.run(asked(name, "new"), capture_output=True, text=True, timeout=60, check=False)
    assert re.search(shows, ran.stdout + ran.stderr)
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "\r" not in ran.stdout + ran.stderr
    assert ran.returncode == status
