"""Every example in the documentation is read by the real parser."""

import os
import re
from pathlib import Path

import pytest

from fallfromgrace import actions, cli, config, exits, monitors, rules
from fallfromgrace.errors import ConfigError
from fallfromgrace.expression import METRICS, Scope
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.verdict import Kind, Result
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
def test_every_configuration_of_the_readme_is_one(text, tmp_path):
    path = tmp_path / "readme.conf"
    path.write_text(text)
    loaded = config.load(path)
    assert loaded.monitors or loaded.settings.protect
    assert all(monitor.rules for monitor in loaded.monitors)


def test_the_readme_has_examples_of_everything():
    assert (len(blocks("yaml")), len(lines_below("Triggers")), len(lines_below("Actions"))) == (4, 19, 16)


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
    loaded = config.load(path)
    assert len(loaded.settings.protect) == 1
    assert [(monitor.name, len(monitor.rules)) for monitor in loaded.monitors] == [
        ("browser", 2),
        ("leaky", 2),
        ("build", 1),
        ("encoder", 1),
        ("mailserver", 1),
        ("anything", 2),
    ]


def test_the_readme_names_every_exit_status():
    statuses = {exits.OK, exits.NO, exits.USAGE, exits.UNAVAILABLE, exits.SOFTWARE, exits.NOPERM, exits.CONFIG}
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", README, re.M)} == statuses


def table_below(head, text=README):
    """The words in code of the first column of the table that begins with a line."""
    rows = text[text.index(f"| {head} |") :].split("\n\n", 1)[0].splitlines()[2:]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_the_readme_names_every_variable_of_a_command():
    ours = set(actions._environment(actions.Ready(verdict("exec x"), {}, None))) - set(os.environ)
    named = {word.removeprefix("$") for word in table_below("variable")}
    assert (ours, set(rules.VARIABLES)) == (named, named)


def test_the_readme_names_every_key_of_a_monitor_all_that_is_measured_and_every_signal():
    assert table_below("key") == list(monitors.MONITOR_KEYS)
    assert sorted(table_below("measured")) == sorted(
        name for name, (_, scope) in METRICS.items() if scope in (Scope.OWN, Scope.SYSTEM)
    )
    [signals] = re.findall(r"^The signals are (.*)\.$", README, re.M)
    assert sorted(re.findall("`(.*?)`", signals)) == sorted(rules.SIGNALS)


def test_the_readme_names_every_result_that_the_log_can_have():
    results = {result.value for result in Result} | {kind.value for kind in Kind if kind is not Kind.FIRE}
    assert set(table_below("result")) == results


def test_the_readme_names_every_option():
    named = {word.split()[0] for word in table_below("option")}
    shown = cli._parser().format_help()
    known = {short or long for short, long in re.findall(r"^  (?:(-\w)[^\n]*?, )?(--[\w-]+)", shown, re.M)}
    assert named - {"--dry-run"} == known
