"""The daemon's figures as Prometheus's text, and what is there to use them with."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import fallfromgrace
from fallfromgrace import exits, published, timers
from fallfromgrace.commands import metrics
from fallfromgrace.commands.metrics import Options
from fallfromgrace.grammar import parse_action
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.memory import Memory
from fallfromgrace.published import Count, Loading, Looks, Published, Reload, RuleText, Spread, Watching
from fallfromgrace.state import Moment
from fallfromgrace.table import ProcessId

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")

from prometheus_client.parser import text_string_to_metric_families

from fallfromgrace import exposition

EXAMPLES = Path(__file__).parent.parent / "examples" / "prometheus"
SPREAD = Spread(count=7, seconds=0.5, bounds=(0.001, 0.01, 1.0), counts=(4, 2, 0, 1))
PROMTOOL = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")


def rule(trigger, *actions):
    """A rule as it is published; the normal form of its trigger is that without its blanks."""
    return RuleText(trigger.replace(" ", ""), trigger, actions)


def watching(name="m", *rules, observe=False, covered=0):
    return Watching(name, observe, rules, covered, ())


def loading(**other):
    return Loading(
        **{"monitors": 1, "rules": 1, "loaded": Moment(100.0, 1.0), "taken": 0, "refused": 0, "last": None, **other}
    )


def memory(*lives):
    """What is remembered, by (monitor, normal form, pid, phase)."""
    found = Memory()
    for monitor, trigger, pid, phase in lives:
        found.instances[(monitor, trigger), ProcessId(pid, pid) if pid else None] = Instance(phase=phase)
    return found


def daemon(*monitors, **other):
    """What a daemon publishes."""
    found = {
        "program": "1.2.3",
        "boot": "b",
        "pid": 4242,
        "start": 17,
        "config": "/etc/fall-from-grace.conf",
        "started": Moment(1000.5, 10.5),
        "written": Moment(2000.25, 1010.25),
        "interval": 10.0,
        "configuration": loading(),
        "monitors": monitors,
        "watched": 0,
        "actions": (),
        "counters": (),
        "looks": Looks(SPREAD, (0.1,)),
        "reactions": SPREAD,
        "cpu": 1.25,
        "memory": memory(),
    }
    return Published(**{**found, **other})


def text(*monitors, timers=0, **other):
    return exposition.text(daemon(*monitors, **other), timers).decode()


LABELS = ("version", "outcome", "monitor", "rule", "action", "result", "le")


def series(written):
    """Every sample by its name without our prefix and the values of its labels."""
    return {
        (
            sample.name.removeprefix("fall_from_grace_"),
            *(value for _, value in sorted(sample.labels.items(), key=lambda each: LABELS.index(each[0]))),
        ): sample.value
        for family in text_string_to_metric_families(written)
        for sample in family.samples
    }


FULL = daemon(
    watching("browser", rule("rmem > 1g", "term", "exec @ 1h true"), covered=3),
    watching("backup", rule("cpu > 9%", "log hello"), observe=True),
    watched=3,
    counters=(Count("browser", "rmem > 1g", "term", "sent", 2), Count("browser", "rmem > 1g", "term", "gone", 1)),
    memory=memory(("browser", "rmem>1g", 1, Phase.FIRING), ("browser", "rmem>1g", 2, Phase.FIRING)),
    configuration=loading(monitors=2, rules=2, taken=3, refused=1, last=Reload(Moment(150.0, 2.0), False, ("x",))),
)


def test_all_that_a_daemon_publishes_is_there():
    found = series(exposition.text(FULL, 5).decode())
    histograms = {
        (f"{name}_seconds_{what}", *le): value
        for name in ("look", "reaction")
        for what, *le, value in (
            ("bucket", "0.001", 4),
            ("bucket", "0.01", 6),
            ("bucket", "1.0", 6),
            ("bucket", "+Inf", 7),
            ("count", 7),
            ("sum", 0.5),
        )
    }
    assert found == {
        **histograms,
        ("up",): 1,
        ("build_info", "1.2.3"): 1,
        ("start_time_seconds",): 1000.5,
        ("status_written_time_seconds",): 2000.25,
        ("interval_seconds",): 10,
        ("monitors",): 2,
        ("rules",): 2,
        ("config_last_reload_successful",): 0,
        ("config_last_reload_time_seconds",): 150,
        ("config_reloads_total", "taken"): 3,
        ("config_reloads_total", "refused"): 1,
        ("processes", "browser"): 3,
        ("processes", "backup"): 0,
        ("watched_processes",): 3,
        ("firing", "browser", "rmem > 1g"): 2,
        ("firing", "backup", "cpu > 9%"): 0,
        ("pending", "browser", "rmem > 1g"): 0,
        ("pending", "backup", "cpu > 9%"): 0,
        ("armed_timers",): 5,
        ("actions_total", "browser", "rmem > 1g", "term", "sent"): 2,
        ("actions_total", "browser", "rmem > 1g", "term", "gone"): 1,
        ("actions_total", "browser", "rmem > 1g", "term", "denied"): 0,
        ("actions_total", "browser", "rmem > 1g", "term", "failed"): 0,
        ("actions_total", "browser", "rmem > 1g", "exec @ 1h", "started"): 0,
        ("actions_total", "browser", "rmem > 1g", "exec @ 1h", "queued"): 0,
        ("actions_total", "browser", "rmem > 1g", "exec @ 1h", "denied"): 0,
        ("actions_total", "browser", "rmem > 1g", "exec @ 1h", "failed"): 0,
        ("actions_total", "backup", "cpu > 9%", "log", "dry-run"): 0,
        ("actions_total", "backup", "cpu > 9%", "log", "denied"): 0,
        ("actions_total", "backup", "cpu > 9%", "log", "failed"): 0,
        ("cpu_seconds_total",): 1.25,
    }


def test_of_no_daemon_there_is_only_that():
    assert series(exposition.text(None, 0).decode()) == {("up",): 0}


@pytest.mark.parametrize(
    ("last", "successful", "read_at"),
    [
        (None, 1, 100),
        (Reload(Moment(150.0, 2.0), True, ()), 1, 150),
        (Reload(Moment(150.0, 2.0), False, ("x.conf:1:1: no",)), 0, 150),
    ],
)
def test_a_start_counts_as_a_configuration_that_was_taken(last, successful, read_at):
    found = series(text(configuration=loading(last=last)))
    assert found["config_last_reload_successful",] == successful
    assert found["config_last_reload_time_seconds",] == read_at


def test_pending_and_firing_are_counted_apart_and_a_rule_about_all_of_them_is_one():
    lives = [("m", "rmem>1g", 1, Phase.PENDING), ("m", "rmem>1g", 2, Phase.FIRING), ("m", "rmem>1g", 3, Phase.INACTIVE)]
    lives += [("m", "count<1", None, Phase.FIRING)]
    found = series(text(watching("m", rule("rmem > 1g"), rule("count < 1")), memory=memory(*lives)))
    assert found["pending", "m", "rmem > 1g"] == found["firing", "m", "rmem > 1g"] == 1
    assert (found["pending", "m", "count < 1"], found["firing", "m", "count < 1"]) == (0, 1)


def test_a_rule_that_the_configuration_has_no_more_makes_no_series():
    found = series(text(watching("m", rule("rmem > 1g")), memory=memory(("m", "rmem>9g", 1, Phase.FIRING))))
    assert [key for key in found if key[0] == "firing"] == [("firing", "m", "rmem > 1g")]


@pytest.mark.parametrize(
    "written",
    [
        "term",
        "kill tree",
        "stop group @ 10m",
        "nice 10",
        "oom -500 tree",
        "exec killall -9 x",
        "exec @ 1h true",
        "exec @ 1h30m logger '@ home'",
        "exec echo @ 5",
        "notify \"$NAME\"",
        "notify @ 1h hello there",
        'log "@ 1h"',
        "log @ 90s x",
    ],
)  # fmt: skip
def test_an_action_is_named_as_the_daemon_counts_it(written):
    action = parse_action(written).action
    found = series(text(watching("m", rule("rmem > 1g", str(action)))))
    assert ("actions_total", "m", "rmem > 1g", action.verb, "failed") in found


@pytest.mark.parametrize("action", ["", " ", "exec", "exec @", "new action"])
def test_an_action_of_another_version_is_no_fault(action):
    found = series(text(watching("m", rule("rmem > 1g", action))))
    assert ("actions_total", "m", "rmem > 1g", action, "failed") in found


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('a "quoted" one', 'a "quoted" one'),
        ("back\\slash", "back\\slash"),
        ("two\nlines", "two\\x0alines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("Schlüssel 鍵", "Schlüssel 鍵"),
    ],
)
def test_a_name_of_any_letters_is_a_label_on_one_line(name, shown):
    found = text(watching(name, covered=7))
    assert series(found)["processes", shown] == 7
    assert all(line.isprintable() for line in found.splitlines())


def test_what_would_be_the_same_series_is_one():
    found = text(watching("a\n", covered=1), watching("a\\x0a", covered=2))
    assert found.count("fall_from_grace_processes{") == 1
    assert series(found)["processes", "a\\x0a"] == 3


# --- the command ---


@pytest.fixture
def asked(monkeypatch):
    """A daemon that lives; each part can be set to something else."""

    def ask(found=FULL, lives=True):
        def read(path):
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(published, "read", read)
        monkeypatch.setattr(published, "lives", lambda _: lives)
        monkeypatch.setattr(timers, "armed", lambda memory, now: ("one", "two"))

    ask()
    return ask


@pytest.fixture
def prom(tmp_path):
    return tmp_path / "fall-from-grace.prom"


def test_the_figures_go_to_stdout(asked, capfdbinary):
    assert metrics.run(Options("x")) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == exposition.text(FULL, 2)


def test_a_closed_stdout_is_nobodys_fault(asked, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert metrics.run(Options("x")) == 0


def test_the_figures_go_to_a_file_that_everybody_may_read(asked, prom, capsys):
    before = os.umask(0o077)
    try:
        assert metrics.run(Options("x", prom)) == 0
    finally:
        os.umask(before)
    assert prom.read_bytes() == exposition.text(FULL, 2)
    assert stat.S_IMODE(prom.stat().st_mode) == 0o644
    assert os.listdir(prom.parent) == [prom.name]
    assert capsys.readouterr().out == ""


def test_whoever_reads_the_file_meanwhile_has_all_of_the_old_one(asked, prom):
    prom.write_text("old")
    with open(prom) as reader:
        assert metrics.run(Options("x", prom)) == 0
        assert reader.read() == "old"
    assert prom.read_bytes() == exposition.text(FULL, 2)


def test_until_it_is_whole_the_new_file_has_a_name_that_is_not_read(asked, prom, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "rename", lambda old, new: seen.append((Path(old), Path(old).read_bytes(), new)))
    metrics.run(Options("x", prom))
    [(temporary, data, to)] = seen
    assert (temporary.parent, data, to) == (prom.parent, exposition.text(FULL, 2), prom)
    assert not temporary.name.endswith(".prom")


def test_a_symbolic_link_is_replaced_and_what_it_leads_to_left_alone(asked, prom, tmp_path):
    (tmp_path / "other").write_text("other")
    prom.symlink_to("other")
    metrics.run(Options("x", prom))
    assert (tmp_path / "other").read_text() == "other"
    assert not prom.is_symlink()


@pytest.mark.parametrize("name", ["figures.txt", "figures", "prom", "x.prom.txt", ".", "x.PROM"])
def test_a_file_that_the_node_exporter_does_not_read_is_refused(name, tmp_path):
    with pytest.raises(exits.UsageError, match=r"reads '\*\.prom' only; write --textfile .*\.prom"):
        metrics.run(Options("x", tmp_path / name if name != "." else Path()))


GONE = exits.Failure("no daemon to ask")
DENIED = exits.NotPermitted("not yours")


@pytest.mark.parametrize(
    ("found", "lives", "status", "told"),
    [
        (GONE, True, 69, "no daemon to ask"),
        (DENIED, True, 77, "not yours"),
        (FULL, False, 69, r"\(pid 4242\) ran before the machine was started anew, or in another container"),
    ],
)
def test_a_daemon_that_cannot_be_asked_is_told_in_the_file_and_to_whoever_runs_it(
    found, lives, status, told, asked, prom, capsys
):
    asked(found, lives)
    prom.write_bytes(exposition.text(FULL, 2))
    for path in (prom, None):
        with pytest.raises(exits.Failure, match=told) as failed:
            metrics.run(Options("x", path))
        assert failed.value.status == status
    assert series(prom.read_text()) == {("up",): 0}
    assert capsys.readouterr().out == ""


def test_a_directory_that_is_not_there_is_named(asked, tmp_path):
    with pytest.raises(exits.Failure, match=f"there is no directory {tmp_path}/none; make it") as failed:
        metrics.run(Options("x", tmp_path / "none" / "x.prom"))
    assert failed.value.status == 69


def test_what_cannot_be_replaced_is_told_and_leaves_nothing(asked, prom):
    prom.mkdir()
    with pytest.raises(exits.Failure, match=f"cannot write {prom}: Is a directory"):
        metrics.run(Options("x", prom))
    assert os.listdir(prom.parent) == [prom.name]


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (PermissionError(13, "Permission denied"), 77, "only who may write to /d can"),
        (OSError(28, "No space left on device"), 69, "cannot write /d/x.prom: No space left on device"),
        (NotADirectoryError(20, "Not a directory"), 69, "there is no directory /d"),
        (OSError(30, "Read-only file system"), 69, "cannot write /d/x.prom: Read-only file system"),
    ],
)
def test_what_keeps_a_file_from_being_written_is_told_in_words(error, status, told, asked, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr(metrics.tempfile, "mkstemp", fails)
    with pytest.raises(exits.Failure, match=told) as failed:
        metrics.run(Options("x", Path("/d/x.prom")))
    assert failed.value.status == status


def test_a_directory_that_is_there_and_takes_no_files_is_not_said_to_be_missing(asked):
    with pytest.raises(exits.Failure, match=r"^cannot write /proc/x\.prom: (No such file|only who)"):
        metrics.run(Options("x", Path("/proc/x.prom")))


def test_without_the_library_it_says_how_to_get_it(asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "fallfromgrace.exposition")
    monkeypatch.delattr(fallfromgrace, "exposition")
    with pytest.raises(exits.Failure, match="apt-get install python3-prometheus-client, or pip install") as failed:
        metrics.run(Options("x"))
    assert failed.value.status == 69


# --- what there is to use them with ---


def names_in(written):
    return set(re.findall(r"fall_from_grace_\w+", written))


def names():
    """All names that a series can have."""
    return {f"fall_from_grace_{name}" for name, *_ in series(exposition.text(FULL, 0).decode())}


def test_alerts_ask_for_series_that_there_are():
    assert names_in((EXAMPLES / "alerts.yml").read_text()) <= names()
    assert names_in((EXAMPLES / "alerts.test.yml").read_text()) <= names()


def test_every_alert_is_tried():
    alerts = re.findall(r"alert: (\w+)", (EXAMPLES / "alerts.yml").read_text())
    tried = re.findall(r"- alertname: (\w+)", (EXAMPLES / "alerts.test.yml").read_text())
    assert sorted(alerts) == sorted(tried)


def test_the_list_for_people_names_all_figures_and_no_others():
    table = (EXAMPLES / "README.md").read_text().partition("## The figures")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {f"fall_from_grace_{name}" for row in rows for name in re.findall(r"`(\w+)", row)}
    assert told == {re.sub("_(bucket|sum|count)$", "", name) for name in names()}


@PROMTOOL
@pytest.mark.parametrize("found", [FULL, None])
def test_promtool_finds_nothing_wrong_with_the_text(found):
    ran = subprocess.run(["promtool", "check", "metrics"], input=exposition.text(found, 1), capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


@PROMTOOL
@pytest.mark.parametrize("arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")])
def test_promtool_finds_nothing_wrong_with_the_alerts(arguments):
    ran = subprocess.run(["promtool", *arguments], cwd=EXAMPLES, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for path in EXAMPLES.glob("fall-from-grace-metrics.*"):
        (tmp_path / path.name).write_text(path.read_text().replace("=/usr/sbin/fall-from-grace ", "=/bin/true "))
    units = sorted(map(str, tmp_path.glob("fall-from-grace-metrics.*")))
    assert len(units) == 2
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
