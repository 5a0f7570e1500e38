"""What is there for one's own desktop: a unit for systemd, and a configuration to begin with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fallfromgrace import cli

HERE = Path(__file__).parent.parent
UNIT = HERE / "desktop" / "fall-from-grace.service"
SYSTEM_UNIT = HERE / "debian" / "fall-from-grace.service"
CONF = HERE / "examples" / "desktop.conf"
SCENARIOS = HERE / "examples" / "desktop.test.yaml"


def settings(path: Path) -> dict[str, list[str]]:
    """What is set, each as often as it is."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z]\w+)=(.*)$", path.read_text().replace("\\\n", ""), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing: apt-get install systemd")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path):
    ran = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(UNIT)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_unit_does_not_try_again_what_that_does_not_cure():
    assert set(settings(UNIT)["RestartPreventExitStatus"][0].split()) == {"64", "69", "78", "127"}


@pytest.mark.parametrize("name", ["Type", "WatchdogSec", "WatchdogSignal", "Restart", "RestartSec", "KillMode"])
def test_the_unit_is_as_patient_as_the_system_s(name):
    assert settings(UNIT)[name] == settings(SYSTEM_UNIT)[name]


def test_what_the_rules_of_a_user_start_is_as_free_as_the_user():
    about_itself = "Description Documentation Type ExecStart ExecReload SyslogIdentifier WatchdogSec WatchdogSignal"
    when_it_ends = "Restart RestartSec RestartPreventExitStatus KillMode OOMPolicy WantedBy"
    assert set(settings(UNIT)) == {*about_itself.split(), *when_it_ends.split()}


@pytest.fixture
def example(tmp_path):
    """Where nobody else may write, as others may to a checkout."""
    for path in (CONF, SCENARIOS):
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


def test_the_example_is_fine(example, capsys):
    assert cli.main(["check", "--strict", str(example / CONF.name)]) == 0
    assert "fine" in capsys.readouterr().out


def test_the_example_only_tells_until_it_is_told_otherwise():
    monitors = re.findall(r"^  cmdline: ", CONF.read_text(), re.MULTILINE)
    assert len(monitors) == len(re.findall(r"^  observe: yes$", CONF.read_text(), re.MULTILINE)) > 2


def test_the_example_does_what_its_tests_say(example, capsys):
    assert cli.main(["test", str(example / SCENARIOS.name)]) == 0
    assert "4 tests, all as expected" in capsys.readouterr().out
