import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from fallfromgrace import exits
from fallfromgrace.commands import top
from fallfromgrace.commands.top import Daemon, Notes, Options, Watch, legible
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.procfs import read_stat
from fallfromgrace.published import Loading, RuleText, Watching
from fallfromgrace.state import Moment
from fallfromgrace.table import ProcessId
from tests.test_tidings import daemon
from tests.victims import marker, victim

PROGRAM = Path(__file__).parents[1] / "bin" / "fall-from-grace"
CONF = """\
victims:
  cmdline: {mark}
  actions:
    rmem > 1g for 5m: log much
    count > 5: log many
nobody:
  cmdline: no such thing at all
  actions: {{rmem > 1g: term}}
"""


@pytest.fixture
def mark():
    return marker()


@pytest.fixture
def conf(tmp_path, mark):
    path = tmp_path / "x.conf"
    path.write_text(CONF.format(mark=mark))
    return path


@pytest.fixture(autouse=True)
def patience():
    """The alarm of the searches is given back."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


# --- in a pipe ---


def ran(*arguments, **environment):
    command = [sys.executable, PROGRAM, "top", "--state", "/nonexistent/status.json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **environment})


def test_in_a_pipe_it_is_plain_lines_and_once_is_one_block(conf, mark):
    with victim(mark, 20) as hog:
        found = ran("--once", "-c", conf)
    assert (found.returncode, found.stderr) == (exits.OK, "")
    head, facts, *_ = found.stdout.splitlines()
    assert re.fullmatch(r"fall-from-grace \S+: no daemon runs; this is what one would see that starts now", head)
    assert facts == f"1 process watched, 2 monitors, 3 rules, interval 10s, {conf}"
    assert "\x1b" not in found.stdout
    assert re.search(r"^victims: 1 process$", found.stdout, re.M)
    assert re.search(r"^    count > 5 +##-{8} +20% +1 / 5$", found.stdout, re.M)
    assert re.search(rf"^ +{hog.pid}  \S+ +[\d.]+m +  .*{mark}", found.stdout, re.M)
    assert re.search(r"^    rmem > 1g for 5m  -{10} +\d% +[\d.]+m / 1g$", found.stdout, re.M)
    assert re.search(r"^nobody: nobody$", found.stdout, re.M)


def test_without_rich_too(conf):
    code = "import sys; sys.modules['rich'] = None; from fallfromgrace.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "top", "--once", "--state", "/nonexistent/x", "-c", conf]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=PROGRAM.parents[1])
    assert (found.returncode, found.stderr) == (exits.OK, "")
    assert "victims: nobody" in found.stdout


def test_it_goes_on_until_nobody_reads_any_more(conf):
    command = [sys.executable, PROGRAM, "top", "--every", "0.5s", "--state", "/nonexistent/x", "-c", conf]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        blocks = 0
        while blocks < 3:
            blocks += running.stdout.readline().startswith("fall-from-grace ")
        running.stdout.close()
        assert running.wait(20) == exits.OK
        assert running.stderr.read() == ""
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


def test_who_reads_no_more_is_noticed_before_there_is_more_to_say(conf):
    command = [sys.executable, PROGRAM, "top", "--every", "10m", "--state", "/nonexistent/x", "-c", conf]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(20) == exits.OK
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


def test_on_a_terminal_that_can_do_nothing_else_plain_lines_are_no_wider_than_that(conf, mark):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    command = [sys.executable, PROGRAM, "top", "--once", "--state", "/nonexistent/x", "-c", conf]
    with victim(mark):
        done = subprocess.run(command, stdout=theirs, timeout=30, env={**os.environ, "TERM": "dumb"}, check=False)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == exits.OK
    assert mark[:10] not in shown  # it is further to the right
    assert all(len(line) <= 60 and line.isascii() for line in shown.splitlines())


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_where_there_is_no_output_it_ends(closed, conf):
    command = [sys.executable, PROGRAM, "top", "--state", "/nonexistent/x", "-c", conf]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], timeout=30, check=False)
    assert done.returncode == exits.OK


def test_hostile_names_stay_on_their_lines_in_any_encoding(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text("\\e[31m漢字 [red]x:\n  cmdline: no such thing\n  actions: {rmem > 1g: term}\n")
    found = ran("--once", "-c", path, PYTHONIOENCODING="ascii")
    assert found.returncode == exits.OK
    assert r"\e[31m\u6f22\u5b57 [red]x: nobody" in found.stdout


@pytest.mark.parametrize(
    ("text", "status"), [("x:\n  cmdlin: a\n", exits.CONFIG), (None, exits.CONFIG)], ids=["wrong", "missing"]
)
def test_a_configuration_that_is_wrong_is_told_as_everywhere(tmp_path, text, status):
    path = tmp_path / "x.conf"
    if text:
        path.write_text(text)
    found = ran("--once", "-c", path)
    assert found.returncode == status
    assert str(path) in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_text_is_made_of_what_can_be_shown(monkeypatch, encoding):
    monkeypatch.setattr(top.terminal, "encoding", lambda: encoding)
    shown = legible("漢é\n\x1b\udcff")
    assert shown.encode(encoding)
    assert shown.endswith(r"\x0a\x1b\xff")


# --- the daemon ---


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A daemon's file, what is in it, and whether the daemon lives."""
    path = tmp_path / "status.json"

    class File:
        said = daemon()
        lives = True
        reads = 0

        def write(self, said):
            self.said = said
            path.with_suffix(".new").write_text("x" * (self.reads + 1))
            path.with_suffix(".new").replace(path)

    file = File()
    file.path = path

    def read(asked):
        assert asked == str(path)
        file.reads += 1
        if isinstance(file.said, Exception):
            raise file.said
        return file.said

    monkeypatch.setattr(top.published, "read", read)
    monkeypatch.setattr(top.published, "lives", lambda said: file.lives)
    return file


def test_a_file_is_read_when_it_has_changed_and_not_otherwise(file):
    found = Daemon(str(file.path))
    assert not found.look()
    assert (found.found, found.problem, file.reads) == (None, "", 0)
    file.write(daemon())
    assert found.look()
    assert found.found is file.said
    assert not found.look()
    assert file.reads == 1
    file.write(daemon(cpu=2.0))
    assert found.look()
    assert found.found.cpu == 2.0


def test_that_a_daemon_ends_is_seen_though_its_file_is_as_it_was(file):
    file.write(daemon())
    found = Daemon(str(file.path))
    found.look()
    file.lives = False
    assert found.look()
    assert found.found is None
    assert not found.look()
    file.write(daemon(pid=5000))
    file.lives = True
    assert found.look()
    assert found.found.pid == 5000


def test_a_file_that_goes_away_is_a_daemon_that_does(file):
    file.write(daemon())
    found = Daemon(str(file.path))
    found.look()
    file.path.unlink()
    assert found.look()
    assert found.found is None


def test_why_a_file_cannot_be_read_is_told(file):
    file.write(exits.NotPermitted("you may not read it"))
    found = Daemon(str(file.path))
    found.look()
    assert (found.found, found.problem) == (None, "you may not read it")
    file.write(daemon())
    found.look()
    assert found.problem == ""


def test_without_a_name_there_is_no_file(file):
    found = Daemon("")
    assert not found.look()
    assert found.found is None


# --- following it ---


def said(mark, conf, **other):
    """What a daemon says that goes by CONF, and remembers that the rule holds since a minute."""
    rules = {
        "victims": {"rmem > 1g for 5m": "log much", "count > 5": "log many"},
        "nobody": {"rmem > 1g": "term"},
    }
    monitors = tuple(
        Watching(name, False, tuple(RuleText(rule, rule, (action,)) for rule, action in each.items()), 0, ())
        for name, each in rules.items()
    )
    loaded, now = Loading(2, 3, Moment(time.time() + 60, 1.0), 0, 0, None), Moment(time.time(), time.monotonic())
    return daemon(**{"monitors": monitors, "config": str(conf), "configuration": loaded, "written": now, **other})


@pytest.fixture
def watch(conf, file, mark):
    made = []

    def make(config=None, **other):
        file.write(said(mark, conf, **other))
        made.append(Watch(Options(config, str(file.path)), pytest.fail))
        return made[0]

    yield make
    for each in made:
        each.close()


def victims(picture):
    return next(section for section in picture.sections if section.name == "victims")


def test_without_a_configuration_it_goes_by_the_daemons(watch, conf):
    picture = watch().picture()
    assert picture.title.startswith("fall-from-grace 1.0: pid 4121")
    assert picture.facts.endswith(str(conf))
    assert picture.warnings == ()


def test_what_the_daemon_remembers_is_shown_and_forgotten_when_it_ends(watch, file, conf, mark):
    with victim(mark, 30) as hog:
        conf.write_text(CONF.format(mark=mark).replace("1g for 5m", "10m for 5m"))
        watching = watch()
        [row] = victims(watching.picture()).rows
        assert row.gauges[0].state == "pending 0s of 5m"
        key = "victims", "rmem > 10m for 5m"
        memory = Memory(Ways({key: (((0.0, ("log much",)),), ())}))
        memory.instances[key, ProcessId(hog.pid, read_stat(hog.pid).start)] = Instance(
            Phase.PENDING, time.monotonic() - 80
        )
        file.write(said(mark, conf, memory=memory))
        picture = watching.picture()
        assert victims(picture).rows[0].gauges[0].state == "pending 1m20s of 5m"
        assert [each.when for each in picture.coming] == ["in 3m40s"]
        file.lives = False
        picture = watching.picture()
        assert "no daemon runs" in picture.title
        assert picture.coming == ()
        assert victims(picture).rows[0].gauges[0].state == "pending 0s of 5m"


def test_a_reload_makes_it_read_the_configuration_anew(watch, file, conf, mark):
    watching = watch()
    conf.write_text(CONF.format(mark=mark).replace("nobody", "somebody"))
    assert [section.name for section in watching.picture().sections] == ["victims", "nobody"]
    file.write(said(mark, conf, configuration=Loading(2, 3, Moment(1e9, 2.0), 1, 0, None)))
    assert [section.name for section in watching.picture().sections] == ["victims", "somebody"]


def test_the_same_time_by_a_clock_that_was_set_is_no_reload(watch, file, conf, mark):
    """Nor is one that is a microsecond off, as it is each time that it is reckoned back."""
    watching = watch()
    conf.write_text(CONF.format(mark=mark).replace("nobody", "somebody"))
    file.write(said(mark, conf, configuration=Loading(2, 3, Moment(time.time() + 99, 1.0), 0, 0, None)))
    assert [section.name for section in watching.picture().sections] == ["victims", "nobody"]


def test_another_daemon_brings_its_own(watch, file, conf, mark, tmp_path):
    watching = watch()
    other = tmp_path / "other.conf"
    other.write_text(CONF.format(mark=mark).replace("nobody", "other"))
    file.write(said(mark, other, pid=5000))
    picture = watching.picture()
    assert [section.name for section in picture.sections] == ["victims", "other"]
    assert picture.facts.endswith("other.conf")


def test_a_configuration_that_cannot_be_read_any_more_leaves_all_as_it_was(watch, file, conf, mark):
    watching = watch()
    conf.write_text("x:\n  cmdlin: a\n")
    file.write(said(mark, conf, pid=5000))
    picture = watching.picture()
    assert [section.name for section in picture.sections] == ["victims", "nobody"]
    assert any(
        "the configuration cannot be read now" in warning and "x.conf:" in warning for warning in picture.warnings
    )


def test_one_that_was_asked_for_stays(watch, file, conf, mark, tmp_path):
    own = tmp_path / "own.conf"
    own.write_text(CONF.format(mark=mark).replace("nobody", "own"))
    watching = watch(own)
    file.write(said(mark, conf, pid=5000))
    picture = watching.picture()
    assert [section.name for section in picture.sections] == ["victims", "own"]
    assert picture.warnings == (f"the daemon goes by {conf}, and not by what is shown here",)


def test_a_configuration_that_was_changed_and_not_reloaded_is_told(watch, file, conf, mark):
    """Also where no rule was: another regular expression finds others."""
    watching = watch()
    assert watching.picture().warnings == ()
    conf.write_text(CONF.format(mark=mark).replace("no such", "another"))
    file.write(said(mark, conf, configuration=Loading(2, 3, Moment(time.time() - 60, 1.0), 0, 0, None)))
    [told] = watching.picture().warnings
    assert told.startswith(f"{conf} was changed after the daemon had loaded it; ")


def test_a_drop_in_that_nobody_has_loaded_is_told(watch, file, conf, mark):
    watching = watch()
    (drop_ins := conf.with_suffix(".d")).mkdir()
    (drop_ins / "more.conf").write_text("interval: 5s\n")
    loaded = Moment((conf.stat().st_ctime + (drop_ins / "more.conf").stat().st_ctime) / 2, 1.0)
    file.write(said(mark, conf, configuration=Loading(2, 3, loaded, 0, 0, None)))
    [told] = watching.picture().warnings
    assert told.startswith(f"{conf} was changed after the daemon had loaded it; ")


def test_what_another_configuration_would_do_is_not_done(watch, conf, mark, tmp_path):
    own = tmp_path / "own.conf"
    own.write_text(CONF.format(mark=mark).replace("count > 5", "count < 5"))
    assert victims(watch(own).picture()).gauges[0].state == "would fire"


def test_a_dry_run_is_shown_as_that(watch, file, conf, mark):
    with victim(mark):
        watching = watch(monitors=(Watching("victims", True, (), 0, ()),))
        assert victims(watching.picture()).note == "1 process, observed only"


def test_the_share_of_a_core_is_known_from_the_second_look_on(watch, mark):
    with victim(mark):
        watching = watch()
        assert [victims(watching.picture()).rows[0].cpu for _ in range(2)] == ["", "0%"]


# --- notes ---


def test_what_cannot_be_had_is_told_for_a_minute():
    times = [0.0]
    notes = Notes(lambda: times[0])
    for text in ("a", "b", "c", "c"):
        notes.add(text)
    assert notes.recent() == ("b", "c")
    times[0] = 61.0
    assert notes.recent() == ()


def test_we_are_not_among_those_who_are_watched(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(f"all:\n  cmdline: {re.escape(str(path))}\n  actions: {{rmem > 1g: term}}\n")
    assert "all: nobody" in ran("--once", "-c", path).stdout
