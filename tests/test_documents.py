"""Every example in the documentation is read by the real parser."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import __version__, actions, cli, config, exits, monitors, privileges, rules
from fallfromgrace.agenda import Agenda
from fallfromgrace.connector import Batch, Unavailable
from fallfromgrace.errors import ConfigError
from fallfromgrace.events import Events
from fallfromgrace.expression import METRICS, Scope
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.kept import Kept
from fallfromgrace.readings import Facet
from fallfromgrace.rollups import Rollups
from fallfromgrace.shortage import Shortage
from fallfromgrace.units import parse_size
from fallfromgrace.usage import Usage
from fallfromgrace.verdict import Kind, Result
from tests import torture
from tests.builders import verdict

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text()
CONTRIBUTING = (HERE / "CONTRIBUTING.md").read_text()
SECURITY = (HERE / "SECURITY.md").read_text()
CONF = HERE / "fall-from-grace.conf"
UNIT = HERE / "debian" / "fall-from-grace.service"
STRICT = HERE / "debian" / "signals-only.conf"


def blocks(language="", text=README):
    """The fenced blocks of a language, those of none by default."""
    return [block for name, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if name == language]


def lines_below(heading):
    """The lines of the first block of no language below a heading, without their explanations."""
    block = blocks(text=README[README.index(f"### {heading}") :])[0]
    return [re.split(r" {3,}", line)[0] for line in block.splitlines()]


SCENARIOS = [text for text in blocks("yaml") if "expect:" in text]
CONFIGURATIONS = [text for text in blocks("yaml") if text not in SCENARIOS]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_every_configuration_of_the_readme_is_one(text, tmp_path):
    path = tmp_path / "readme.conf"
    path.write_text(text)
    loaded = config.load(path)
    assert loaded.monitors or loaded.settings.protect
    assert all(monitor.rules for monitor in loaded.monitors)


def test_the_readme_has_examples_of_everything():
    assert (len(CONFIGURATIONS), len(lines_below("Triggers")), len(lines_below("Actions"))) == (4, 19, 16)


@pytest.mark.parametrize("text", SCENARIOS)
def test_every_test_of_the_readme_is_one_of_the_example(text):
    assert text in (HERE / "examples" / "fall-from-grace.test.yaml").read_text()


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
    table = README[README.index("| exit status |") :].split("\n\n", 1)[0]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.M)} == statuses


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


class Losing:
    """Process events of which some are lost, and then none any more."""

    def __init__(self):
        self.lost = iter([True])

    def drain(self):
        return Batch(set(), set(), next(self.lost, False))

    def close(self):
        pass


def unavailable():
    raise Unavailable("there are none")


def without_psutil(tell, monkeypatch):
    monkeypatch.delattr("fallfromgrace.meters", raising=False)
    monkeypatch.setitem(sys.modules, "fallfromgrace.meters", None)
    Usage(tell, Shortage(tell), Kept(dict, budget=0), None, Rollups()).prepare({Facet.MACHINE})


def test_the_readme_names_all_that_is_said_of_what_cannot_be_had(monkeypatch):
    said = []
    Events(said.append, unavailable).use(True)
    losing = Events(said.append, Losing)
    losing.use(True)
    losing.drain(0)
    losing.caught_up(1)
    losing.drain(100)
    Shortage(said.append).note(OSError(24, "Too many open files"), 0)
    without_psutil(said.append, monkeypatch)
    said += [privileges._NOT_READ, privileges._REFUSED, privileges._HIDDEN]
    told = table_below("in the log")
    assert [[words for words in told if words in line] for line in said] == [
        [told[0]],
        [told[0]],
        *([w] for w in told[1:]),
    ]


def lines_of_the_table_of_looks():
    """What is below its limit by so many bytes is looked at again within so many seconds."""
    rows = README[README.index("| below its limit by |") :].split("\n\n", 1)[0].splitlines()[2:]
    found = [re.match(r"\| (?:up to )?(.*?iB) \| ([\d.]+ m?s)", row) for row in rows]
    return [(parse_size(each[1].replace(" ", "")), float(each[2].split()[0]), each[2].split()[1]) for each in found]


@pytest.mark.parametrize(("room", "number", "unit"), lines_of_the_table_of_looks())
def test_the_readme_says_how_soon_who_is_near_a_limit_is_looked_at(room, number, unit):
    for interval in (10, 3600):
        assert Agenda(interval)._period(room) <= number * {"s": 1, "ms": 0.001}[unit]


def modules_of_the_map():
    table = CONTRIBUTING[CONTRIBUTING.index("| module |") :].split("\n\n", 1)[0].splitlines()[2:]
    return [name for row in table for name in re.findall("`([^`]+)`", row.split("|")[1])]


def test_the_package_the_program_and_the_changelog_are_of_one_version():
    packaged = re.match(r"fall-from-grace \((\S+)\)", (HERE / "debian" / "changelog").read_text())
    assert packaged
    # Debian sorts what `~` begins before the release itself.
    assert packaged[1].replace("~", ".") == __version__
    newest = re.search(r"^## (\S+)", (HERE / "CHANGELOG.md").read_text(), re.M)
    assert newest
    assert newest[1].strip("[]") == ("Unreleased" if "dev" in __version__ else __version__)


def test_every_module_is_on_the_map_once():
    package = HERE / "fallfromgrace"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    named = [name for name in modules_of_the_map() if not name.endswith(("*", "/"))]
    groups = {each.removesuffix("*") for each in modules_of_the_map() if each.endswith("*")}
    assert sorted(named) == sorted(each for each in modules if not each.startswith(tuple(groups)))


def test_every_target_that_is_named_can_be_made():
    made = set(re.findall(r"^([a-z-]+):", (HERE / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z-]+)", " ".join(re.findall("`(make [a-z-]+)`", README + CONTRIBUTING)))) <= made


def test_the_readme_names_every_option():
    named = {word.split()[0] for word in table_below("option")}
    shown = cli._parser().format_help()
    known = {short or long for short, long in re.findall(r"^  (?:(-\w)[^\n]*?, )?(--[\w-]+)", shown, re.M)}
    assert named - {"--dry-run"} == known


def test_the_page_on_security_has_every_row_of_the_torture_in_its_order():
    named = table_below("row", SECURITY)
    assert [name for name in named if name in torture.ROWS] == list(torture.ROWS)


def test_the_page_on_security_names_only_what_there_is():
    named = set(re.findall(r"\*(\w+)\*", SECURITY)) - {"Known limits"}
    assert named - {"limits"} <= set(table_below("row", SECURITY))
    assert [path for path in re.findall(r"`([\w/]+\.py)`", SECURITY) if not (HERE / "tests" / path).exists()] == []


@pytest.mark.parametrize("text", [README, SECURITY], ids=["README", "SECURITY"])
def test_every_link_leads_to_a_file_that_the_package_has_too_or_is_taken_out_there(text):
    shipped = (HERE / "debian" / "docs").read_text().split() + (HERE / "debian" / "examples").read_text().split()
    rules = (HERE / "debian" / "rules").read_text().replace("\\", "")
    for link in re.findall(r"\]\(([^):#]+)\)", text):
        assert (HERE / link).exists()
        assert link in shipped or str(Path(link).parent) in shipped or link in rules


# --- the systemd unit ---

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is missing: apt-get install systemd"
)


@pytest.fixture
def unit(tmp_path):
    """A copy of the unit, for what is to be added to it, with a program that is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/usr/sbin/fall-from-grace", "/bin/true"))
    return path


def add(unit, dropin):
    home = unit.with_name(f"{unit.name}.d")
    home.mkdir()
    (home / dropin.name).write_text(dropin.read_text().replace("/usr/sbin/fall-from-grace", "/bin/true"))


def analyze(*words):
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True, timeout=60)


@needs_systemd
@pytest.mark.parametrize("dropins", [[], [STRICT]], ids=["as it comes", "signals only"])
def test_systemd_has_nothing_to_say_against_the_unit(unit, dropins):
    for dropin in dropins:
        add(unit, dropin)
    ran = analyze("verify", "--man=no", unit)
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if unit.name in line]) == (0, [])


def exposure(unit):
    """What `systemd-analyze security` makes of it; empty where it cannot, as before version 250."""
    found = re.search(r"exposure level for \S+ ([\d.]+)", analyze("security", "--offline=yes", unit).stdout)
    return found[1] if found else ""


@needs_systemd
def test_the_readme_has_the_exposure_of_the_unit(unit):
    if "systemd 252 " not in analyze("--version").stdout:
        pytest.skip("each version of systemd reckons in its own way: needs 252")
    [(as_it_comes, strict)] = re.findall(r"exposure of ([\d.]+), and\s+([\d.]+) with `signals-only.conf`", README)
    assert exposure(unit) == as_it_comes
    add(unit, STRICT)
    assert exposure(unit) == strict


def settings(path):
    return re.findall(r"^([A-Z]\w+)=(.*)$", path.read_text(), re.M)


def test_the_unit_sets_nothing_that_the_readme_says_is_left_open():
    table = README[README.index("| not set |") :].split("\n\n", 1)[0]
    left_open = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:-1])))
    assert len(left_open) > 15
    assert not left_open & {name for name, _ in settings(UNIT)}


def test_no_unit_of_ours_hides_processes_or_takes_its_users_away():
    """It would see nobody, or be allowed nothing, and never know."""
    hiding = {"ProtectProc", "ProcSubset", "PrivateUsers", "PrivatePIDs", "PrivateNetwork"}
    for path in (UNIT, STRICT):
        assert not hiding & {name for name, _ in settings(path)}
