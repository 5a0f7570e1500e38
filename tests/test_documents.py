"""Every example in the documentation is read by the real parser."""

import os
import re
from pathlib import Path

import pytest

from fallfromgrace import actions, config, exits
from fallfromgrace.errors import ConfigError
from fallfromgrace.grammar import parse_action, parse_trigger
from tests.builders import verdict

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text()
CONF = HERE / "fall-from-grace.conf"


def blocks(language="", text=README):
    """The fenced blocks of a language, those of none by default."""
    return [block for name, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if name == language]


def lines_below(heading):
    """The lines of the first block of no language below a heading, without their explanations."""
    block = blocks(text=README[README.index(f"### {heading}") :])[0]
    return [re.split(r" {3,}", line)[0] for line in block.splitlines()]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_monitor_of_the_readme_is_a_configuration(text, tmp_path):
    path = tmp_path / "readme.conf"
    path.write_text(text)
    assert all(monitor.rules for monitor in config.load(path).monitors)


def test_the_readme_has_examples_of_everything():
    assert (len(blocks("yaml")), len(lines_below("Triggers")), len(lines_below("Actions"))) == (2, 10, 8)


@pytest.mark.parametrize("text", lines_below("Triggers"))
def test_every_trigger_of_the_readme_is_one(text):
    parse_trigger(text)


@pytest.mark.parametrize("text", lines_below("Actions"))
def test_every_action_of_the_readme_is_one(text):
    parse_action(text)


def test_the_mistakes_shown_in_the_readme_are_told_like_that(tmp_path, monkeypatch):
    shown = next(block for block in blocks() if block.startswith("my.conf:"))
    monkeypatch.chdir(tmp_path)
    Path("my.conf").write_text("m:\n  cmdline: x\n  actions:\n    rmem > 1g: stop @ 10minutes\n  childern: 1\n")
    with pytest.raises(ConfigError) as caught:
        config.load(Path("my.conf"))
    assert f"{caught.value}\n" == shown


def test_the_configuration_as_it_comes_watches_nothing(tmp_path):
    path = tmp_path / "as-it-comes.conf"
    path.write_text(CONF.read_text())
    loaded = config.load(path)
    assert (loaded.monitors, loaded.settings.interval) == ((), 10.0)


def test_what_the_configuration_offers_can_be_used_by_taking_the_marks_away(tmp_path):
    """A line that begins with `# ` or is only `#` is prose, one that begins with `#` and no space is an example."""
    path = tmp_path / "all-used.conf"
    path.write_text(re.sub(r"^#(?=[a-z]|  )", "", CONF.read_text(), flags=re.M))
    monitors = config.load(path).monitors
    assert [(monitor.name, len(monitor.rules)) for monitor in monitors] == [
        ("browser", 2),
        ("leaky", 2),
        ("anything", 1),
    ]


def test_the_readme_names_every_exit_status():
    statuses = {exits.OK, exits.USAGE, exits.UNAVAILABLE, exits.SOFTWARE, exits.NOPERM, exits.CONFIG}
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", README, re.M)} == statuses


def test_the_readme_names_every_variable_of_a_command():
    decided = verdict("exec x")
    ours = set(actions._environment(decided, decided.item.action)) - set(os.environ)
    table = README[README.index("| variable |") : README.index("**Never acted upon**")]
    assert ours <= set(re.findall(r"\$([A-Z]+)", table))
