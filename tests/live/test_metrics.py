"""A real daemon's figures, by the real command, from a real node exporter over HTTP."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.live.conftest import PROGRAM
from tests.victims import until, victim

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")

from prometheus_client.parser import text_string_to_metric_families

EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
NEEDS_EXPORTER = pytest.mark.skipif(not EXPORTER, reason="prometheus-node-exporter is not installed")


def metrics(state, *arguments):
    command = [sys.executable, str(PROGRAM), "metrics", "--state", str(state), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def status(state):
    """What the daemon says of itself by now."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(state.read_text())["status"]
    return None


def counted(state, many):
    return (found := status(state)) and sum(each["count"] for each in found["counters"]) == many


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def scrape(tmp_path):
    """What a node exporter says that reads the files of a directory, by (name, labels)."""
    address = f"127.0.0.1:{free_port()}"
    (directory := tmp_path / "textfiles").mkdir()
    command = [EXPORTER, "--collector.disable-defaults", "--collector.textfile", f"--web.listen-address={address}"]
    with open(tmp_path / "exporter.log", "wb") as log:
        exporter = subprocess.Popen([*command, f"--collector.textfile.directory={directory}"], stdout=log, stderr=log)

    def read():
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return figures(answer.read().decode())

    def answers():
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(read())

    try:
        until(lambda: exporter.poll() is not None or answers(), "the node exporter answers")
        assert exporter.poll() is None, (tmp_path / "exporter.log").read_text()
        yield read, directory / "fall-from-grace.prom"
    finally:
        exporter.kill()
        exporter.wait()


def figures(text):
    families = text_string_to_metric_families(text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def of(found, name, **labels):
    return found[(f"fall_from_grace_{name}", *sorted(labels.items()))]


@NEEDS_EXPORTER
def test_what_a_daemon_did_reaches_who_asks_the_node_exporter(scrape, program, configured, mark, tmp_path):
    read, prom = scrape
    name, warns, ends = 'the "hogs"', "rmem > 60m", "rmem > 1t"
    rules = f"    {warns}: [exec @ 1h true, nice 5]\n    {ends}: kill\n"
    path = configured(f"interval: 1s\n'{name}':\n  cmdline: {mark}\n  actions:\n{rules}")
    state = tmp_path / "status.json"
    with victim(mark, mib=64):
        running = program("-c", path, "--state", state)
        running.says("result=set")
        until(lambda: counted(state, 2), "both actions are written")
        ran = metrics(state, "--textfile", prom)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        found = read()
    assert of(found, "up") == 1
    assert of(found, "processes", monitor=name) == of(found, "watched_processes") == 1
    assert of(found, "firing", monitor=name, rule=warns) == 1
    assert of(found, "firing", monitor=name, rule=ends) == 0
    for action, result in (("exec @ 1h", "started"), ("nice 5", "set")):
        assert of(found, "actions_total", monitor=name, rule=warns, action=action, result=result) == 1
    assert of(found, "actions_total", monitor=name, rule=ends, action="kill", result="sent") == 0
    assert of(found, "armed_timers") == 1
    assert of(found, "rules") == 2
    assert of(found, "reaction_seconds_count") == 2
    assert of(found, "look_seconds_count") > 0
    assert of(found, "cpu_seconds_total") > 0
    assert of(found, "config_last_reload_successful") == 1
    assert found["node_textfile_scrape_error",] == 0
    assert ("node_textfile_mtime_seconds", ("file", str(prom))) in found  # by which an alert finds it

    running.hup()
    running.says("configuration reloaded")
    path.write_text("hogs: 1: 2\n")
    running.hup()
    running.says("configuration not reloaded")
    until(lambda: status(state)["configuration"]["refused"], "the refusal is written")
    assert metrics(state, "--textfile", prom).returncode == 0
    found = read()
    assert of(found, "config_last_reload_successful") == 0
    assert (
        of(found, "config_reloads_total", outcome="taken"),
        of(found, "config_reloads_total", outcome="refused"),
    ) == (1, 1)

    running.end()
    ran = metrics(state, "--textfile", prom)
    assert ran.returncode == 69
    assert "has ended" in ran.stderr
    assert [(key, value) for key, value in read().items() if key[0].startswith("fall_")] == [
        (("fall_from_grace_up",), 0)
    ]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_promtool_finds_nothing_wrong_with_what_is_printed(program, configured, mark, tmp_path):
    path = configured(f'interval: 1s\nhogs:\n  cmdline: {mark}\n  actions:\n    rmem > 60m: log "$NAME"\n')
    state = tmp_path / "status.json"
    with victim(mark, mib=64):
        program("-c", path, "--state", state).says("result=told")
        until(lambda: counted(state, 1), "the action is written")
        ran = metrics(state)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r'^fall_from_grace_actions_total\{.*result="told".*\} 1\.0$', ran.stdout, re.MULTILINE)
    checked = subprocess.run(["promtool", "check", "metrics"], input=ran.stdout, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_where_there_is_no_daemon_that_is_told_and_nothing_printed(tmp_path):
    ran = metrics(tmp_path / "none.json")
    assert (ran.returncode, ran.stdout) == (69, "")
    assert ran.stderr.startswith("fall-from-grace: ")
    assert "Traceback" not in ran.stderr
