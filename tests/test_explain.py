import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from fallfromgrace import arguments, exits, observer
from fallfromgrace.commands import explain
from fallfromgrace.commands.explain import Options
from fallfromgrace.errors import ConfigError
from fallfromgrace.exits import Failure
from fallfromgrace.lifecycle import Instance, Phase
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.published import Loading, Looks, Published, RuleText, Spread, Watching
from fallfromgrace.state import Moment
from fallfromgrace.table import UNREADABLE
from tests.builders import MIB, Crowd, process, table

CONF = """\
interval: 30s
first:
  cmdline: first
  final: yes
  actions: {rmem > 1g: term}
servers:
  cmdline: server
  exclude: --debug
  children: yes
  observe: yes
  actions:
    rmem > 100m for 5m: term
    rmem > 1g or pmem > 50m:
      - exec @ 1h echo "$NAME"
      - after 30s kill
      - nice 5
      - recovered log fine
    count > 5: term largest
    tree.rmem > 9g: kill tree
trees:
  cmdline: server
  actions: {rmem > 1g: kill tree, rmem > 2g: term}
programs:
  exe: ^/bin/thing$
  user: [root, "7"]
  actions: {rmem > 1g: term}
"""
TOP = process(100, "server --main", uid=0, exe="/bin/server")
KID = process(101, "worker \x1b[31m\udcff", ppid=100, uid=0)
DEBUG = process(102, "server --debug", uid=0)
FIRST = process(103, "first server", uid=0)
HANGING = process(104, UNREADABLE, uid=0)
ELSEWHERE = process(105, "nobody", uid=9)
EVERYBODY = [TOP, KID, DEBUG, FIRST, HANGING, ELSEWHERE]
SIZES = {each.id: {"rmem": 200 * MIB, "vmem": 1, "pmem": 100 * MIB, "umem": 1, "swap": 0} for each in EVERYBODY}
PARENTS = {101: 100, 100: 50, 50: 1, 1: 0}
NAMES = {101: "worker", 100: "server", 50: "sh\x1b", 1: "init"}


class Source(Crowd):
    """What runs; monitors are about the first four of them."""

    def __init__(self, tell):
        super().__init__({each: dict(sample) for each, sample in SIZES.items()})
        self.whole, self.looks = {each.id.pid: each for each in EVERYBODY}, 0
        Source.made = self
        Source.tell = tell

    def close(self):
        pass

    def configure(self, selects, process_events):
        self.selects = selects

    def prepare(self, facets):
        pass

    def look(self, now):
        self.looks += 1
        Source.each_look(self)
        return table(*(each for each in (TOP, KID, DEBUG, FIRST) if each.id.pid in self.whole))

    def reread(self, pid):
        return (self.whole[pid], {}) if pid in self.whole else None


@pytest.fixture
def explaining(tmp_path, monkeypatch, capsys):
    """Explains by CONF, or another one; `daemon` has what a daemon says, if there is one."""
    monkeypatch.setattr(Source, "each_look", lambda _: None, raising=False)
    monkeypatch.setattr(observer, "LinuxSource", Source)
    monkeypatch.setattr(observer.privileges, "acts_on_everybody", lambda: True)
    monkeypatch.setattr(explain.privileges, "lacking", lambda _: [])
    monkeypatch.setattr(explain, "_nobody", lambda _: "")
    monkeypatch.setattr(explain.procfs, "read_parent", PARENTS.get)
    monkeypatch.setattr(explain.procfs, "read_comm", NAMES.get)
    monkeypatch.setattr(explain.measures, "age", lambda start: 7200.0)
    handler = signal.getsignal(signal.SIGALRM)
    path = tmp_path / "x.conf"

    def read(state):
        if isinstance(run.daemon, Exception):
            raise run.daemon
        return run.daemon

    monkeypatch.setattr(explain.published, "read", read)
    monkeypatch.setattr(explain.published, "lives", lambda found: run.lives)
    monkeypatch.setattr(explain.published, "of_now", lambda found: True)

    def run(pid, text=CONF, as_json=False, given=True):
        path.write_text(text)
        status = explain.run(Options(path if given else None, "/state", pid, as_json))
        out, err = capsys.readouterr()
        run.told = err.splitlines()
        return status, json.loads(out) if as_json else out

    run.daemon, run.lives, run.path = Failure("no daemon to ask"), True, path
    yield run
    signal.signal(signal.SIGALRM, handler)


def daemon(path, now, **other):
    moment = Moment(now, now)
    spread = Spread(0, 0.0, (), (0,))
    return Published(
        **{
            "program": "1.0.0",
            "boot": "b",
            "pid": 77,
            "start": 1,
            "config": str(path),
            "started": moment,
            "written": Moment(now - 3, now - 3),
            "interval": 30.0,
            "configuration": Loading(1, 1, Moment(time.time() + 60, now), 0, 0, None),
            "monitors": (),
            "watched": 1,
            "actions": (),
            "counters": (),
            "looks": Looks(spread, ()),
            "reactions": spread,
            "cpu": 0.0,
            "memory": Memory(),
        }
        | other
    )


def monitors(out):
    return {each["monitor"]: each for each in out["monitors"]}


def test_a_process_that_a_monitor_selects_is_explained_rule_by_rule(explaining):
    status, out = explaining(100)
    assert status == exits.OK
    assert explaining.told == ["note: no daemon to ask"]
    assert out.splitlines() == [
        "100 of root: server --main",
        "  executes /bin/server; started 2h ago; child of 1 (init)",
        f"  by {explaining.path}, as a daemon that starts now would see it",
        "",
        "servers selects it, and only observes",
        "  rmem > 100m for 5m: term",
        "      true  rmem > 100m  200m, limit 100m  200%",
        "      pending: has held for 0s of 5m",
        "      next: fires in 5m if it still holds, then: term (only observed: it is logged, and not done)",
        '  rmem > 1g or pmem > 50m: exec @ 1h echo "$NAME"; after 30s kill; nice 5; recovered log fine',
        "      false  rmem > 1g   200m, limit 1g   20%",
        "      true   pmem > 50m  100m, limit 50m  200%",
        "      firing for 0s, step 1 of 2",
        "      next: due now: exec @ 1h; step 2 of 2 in 30s: kill, nice 5 (only observed: it is logged, and not done)",
        "  tree.rmem > 9g: kill tree",
        "      false  tree.rmem > 9g  400m, limit 9g  4%",
        "      does not fire",
        "      next: nothing, unless tree.rmem rises above 9g (it is 400m)",
        "  count > 5: term largest (about all that is covered)",
        "      false  count > 5  2, limit 5  40%",
        "      does not fire",
        "      next: nothing, unless count rises above 5 (it is 2)",
        "",
        "trees selects it",
        "  rmem > 1g: kill tree",
        "      false  rmem > 1g  200m, limit 1g  20%",
        "      does not fire",
        "      next: nothing, unless rmem rises above 1g (it is 200m)",
        "  rmem > 2g: term",
        "      false  rmem > 2g  200m, limit 2g  10%",
        "      does not fire",
        "      next: nothing, unless rmem rises above 2g (it is 200m)",
        "",
        "Not about it:",
        "  first: its cmdline does not match first",
        "  programs: its exe does not match ^/bin/thing$",
    ]


@pytest.mark.parametrize(
    ("pid", "covered", "others"),
    [
        (
            101,  # below one that is selected
            {"servers"},
            {
                "first": "its cmdline does not match first",
                "trees": "its cmdline does not match server",
                "programs": "its exe cannot be read",
            },
        ),
        (102, {"trees"}, {"servers": "it is excluded (exclude: --debug)", "first": "its cmdline does not match first"}),
        (
            103,
            {"first"},
            {
                "servers": "'first' is final for it",
                "trees": "'first' is final for it",
                "programs": "its exe cannot be read",  # whoever has it
            },
        ),
        (
            104,
            set(),
            {
                "first": "its cmdline cannot be read",
                "servers": "it may be excluded: its command line cannot be read (exclude: --debug)",
            },
        ),
        (
            105,
            set(),
            {
                "servers": "its cmdline does not match server, and it is below none that the monitor selects",
                "programs": "its owner is not root or 7",
            },
        ),
    ],
)
def test_each_monitor_says_why_it_is_or_is_not_about_a_process(pid, covered, others, explaining):
    status, out = explaining(pid, as_json=True)
    assert status == (exits.OK if covered else exits.NO)
    assert {name for name, each in monitors(out).items() if each["covered"]} == covered
    assert {name: monitors(out)[name]["why"] for name in others} == others


def test_one_below_another_says_which_and_what_is_done_to_the_tree_reaches_it(explaining):
    _, out = explaining(101, as_json=True)
    servers, trees = (monitors(out)[name] for name in ("servers", "trees"))
    assert (servers["covered"], servers["below"]) == (True, 100)
    assert [each["trigger"] for each in servers["rules"]][-1] == "count > 5"
    assert (trees["covered"], trees["reached"]) == (False, ["it is in the tree of 100, for which 'rmem > 1g' acts"])
    _, out = explaining(101)
    assert "servers covers it, below 100, and only observes" in out.splitlines()
    assert "  trees: its cmdline does not match server; but it is in the tree of 100, for which" in out
    assert r"101 of root: worker \x1b[31m\xff" in out
    assert r"child of 100 (server), 50 (sh\x1b), 1 (init)" in out


def test_a_rule_that_only_reaches_it_is_about_it(explaining):
    text = "trees:\n  cmdline: server\n  actions: {rmem > 1g: kill tree}\n"
    assert explaining(101, text)[0] == exits.OK
    assert explaining(101, text.replace(" tree}", "}"))[0] == exits.NO


def test_for_programs_everything_is_a_value(explaining):
    _, out = explaining(101, as_json=True)
    assert out["process"]["cmdline"] == "worker \x1b[31m\\udcff"
    assert out["process"]["parents"][1] == {"pid": 50, "name": "sh\x1b"}
    first, second, *_ = monitors(out)["servers"]["rules"]
    assert (first["phase"], first["step"], first["for"], first["holds"]) == ("pending", 0, 0.0, True)
    assert first["measures"] == [
        {"text": "rmem > 100m", "holds": True, "value": "200m", "limit": "100m", "share": 2.0},
    ]
    assert (second["phase"], second["step"], second["steps"]) == ("firing", 1, 2)
    assert second["due"] == [{"action": 'exec @ 1h echo "$NAME"', "in": 0.0}]
    assert second["actions"] == ['exec @ 1h echo "$NAME"', "kill", "nice 5", "log fine"]
    assert (out["daemon"], out["ended"], out["notes"]) == (None, False, [])


def test_what_was_done_once_is_never_due_for_programs(explaining):
    rule = explaining_rule(explaining, 100)
    memory = Memory(Ways({("trees", rule.key): rule.ladder}))
    memory.instances[("trees", rule.key), TOP.id] = Instance(Phase.FIRING, 1.0, owed={"log a": frozenset()})
    explaining.daemon = daemon(explaining.path, 5.0, memory=memory)
    _, out = explaining(100, LOG, as_json=True)
    assert monitors(out)["trees"]["rules"][0]["due"] == [{"action": "log a", "in": None}]


LOG = "trees:\n  cmdline: server\n  actions: {rmem > 1m: log a}\n"


def explaining_rule(explaining, pid, text=LOG):
    """A rule as the configuration has it."""
    explaining.path.write_text(text)
    return explain.config.load(explaining.path).monitors[0].rules[0]


# --- the daemon ---


def test_what_a_daemon_remembers_is_what_is_told(explaining, monkeypatch):
    monkeypatch.setattr(explain.time, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(explain, "Observer", partial(observer.Observer, clock=lambda: 1000.0))
    rule = explaining_rule(explaining, 100)
    memory = Memory(Ways({("trees", rule.key): rule.ladder}))
    memory.instances[("trees", rule.key), TOP.id] = Instance(Phase.FIRING, 1.0)
    rules = (RuleText(rule.key, rule.text, ("log a",)),)
    said = daemon(explaining.path, 1000.0, memory=memory, monitors=(Watching("trees", False, rules, 1, ()),))
    explaining.daemon = said
    status, out = explaining(100, LOG)
    assert (status, explaining.told) == (exits.OK, [])
    assert f"  by {explaining.path}, as the daemon (pid 77) remembered it 3s ago" in out.splitlines()
    assert "note:" not in out
    assert "      firing for 16m" in out


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({"config": "/etc/other.conf"}, "the daemon goes by /etc/other.conf, and not by what is shown here"),
        (
            {},
            "the daemon has loaded other rules than there are now; 'kill -HUP 77' makes it take these",
        ),
    ],
)
def test_that_the_daemon_goes_by_other_rules_is_noted(said, note, explaining):
    explaining.daemon = daemon(explaining.path, 5.0, **said)
    assert f"  note: {note}" in explaining(100, LOG)[1].splitlines()


def test_what_the_daemon_has_yet_to_see_is_not_known_to_the_second(explaining):
    explaining.daemon = daemon(explaining.path, 5.0)
    text = LOG.replace("rmem > 1m", "rmem > 1m for 5m")
    told = "fires in 5m if it still holds, then: log"
    late = "(up to 30s sooner or later, for the daemon has not told of that yet)"
    assert f"      next: {told} {late}" in explaining(100, text)[1].splitlines()
    rule = explaining_rule(explaining, 100, text)
    memory = Memory(Ways({("trees", rule.key): rule.ladder}))
    memory.instances[("trees", rule.key), TOP.id] = Instance(Phase.PENDING, time.monotonic())
    explaining.daemon = daemon(explaining.path, 5.0, memory=memory)
    assert f"      next: {told}" in explaining(100, text)[1].splitlines()
    explaining.daemon = Failure("none")
    assert f"      next: {told}" in explaining(100, text)[1].splitlines()


@pytest.mark.parametrize(("before", "noted"), [(-60, True), (60, False)])
def test_that_the_file_was_changed_since_it_was_loaded_is_noted(before, noted, explaining):
    """Also where no rule was: another regular expression finds others."""
    loaded = Loading(1, 1, Moment(time.time() + before, 5.0), 0, 0, None)
    explaining.path.write_text(LOG)
    rule = explaining_rule(explaining, 100)
    rules = (RuleText(rule.key, rule.text, ("log a",)),)
    monitors = (Watching("trees", False, rules, 1, ()),)
    explaining.daemon = daemon(explaining.path, 5.0, configuration=loaded, monitors=monitors)
    notes = explaining(100, LOG, as_json=True)[1]["notes"]
    told = f"{explaining.path} was changed after the daemon had loaded it; 'kill -HUP 77' makes it take that"
    assert (told in notes) is noted


def test_a_daemon_that_is_silent_may_not_do_what_is_said(explaining, monkeypatch):
    explaining.daemon = daemon(explaining.path, 5.0)
    monkeypatch.setattr(explain.time, "monotonic", lambda: 5.0 + 3 * 30)
    assert (
        "note: the daemon says nothing: it last did 1m33s ago, and its interval is 30s; it is stopped"
        in explaining(100, LOG)[1]
    )


def test_that_we_may_know_less_than_the_daemon_is_noted(explaining, monkeypatch):
    monkeypatch.setattr(explain.os, "geteuid", lambda: 5)
    monkeypatch.setattr(explain.procfs, "read_euid", lambda pid: 0 if pid == 77 else None)
    explaining.daemon = daemon("/x", 5.0)
    assert "the daemon is root's and can read what you cannot" in explaining(100, LOG, as_json=True)[1]["notes"]


@pytest.mark.parametrize(("uid", "why"), [(0, ""), (1000, "it belongs to another user")])
def test_whom_the_daemon_may_not_act_upon_is_said(uid, why, explaining, monkeypatch):
    monkeypatch.setattr(explain.procfs, "read_euid", lambda pid: uid)
    explaining.daemon = daemon("/x", 5.0)
    out = explaining(100, LOG)[1]
    assert ("nothing is ever done to it: it belongs to another user" in out) is bool(why)


def test_a_daemon_that_has_ended_is_none(explaining):
    explaining.daemon, explaining.lives = daemon("/x", 5.0), False
    _, out = explaining(100, LOG, as_json=True)
    assert out["daemon"] is None
    assert explaining.told == ["note: the daemon that has written /state (pid 77) has ended"]


def test_a_daemon_of_another_container_is_not_said_to_have_ended(explaining, monkeypatch):
    explaining.daemon, explaining.lives = daemon("/x", 5.0), False
    monkeypatch.setattr(explain.published, "of_now", lambda _: False)
    explaining(100, LOG)
    assert explaining.told == [
        "note: the daemon that has written /state (pid 77) ran before the machine was started anew, or in another"
        " container"
    ]


def test_a_daemon_goes_on_though_its_configuration_can_be_used_no_more(explaining, capsys):
    explaining.daemon = daemon(explaining.path, 5.0)
    with pytest.raises(ConfigError):
        explaining(100, "x: [", given=False)
    assert capsys.readouterr().err == "note: the daemon (pid 77) goes on by what it has loaded, which 'status' shows\n"
    with pytest.raises(ConfigError):
        explaining(100, "x: [")
    assert capsys.readouterr().err == ""


def test_the_configuration_is_that_of_the_daemon_if_none_is_given(explaining, tmp_path, monkeypatch):
    explaining.daemon = daemon(explaining.path, 5.0)
    assert explaining(100, LOG, as_json=True, given=False)[1]["config"] == str(explaining.path)
    explaining.daemon = Failure("none")
    monkeypatch.setattr(explain, "DEFAULT_CONFIG", str(tmp_path / "x.conf"))
    assert explaining(100, LOG, as_json=True, given=False)[1]["config"] == str(tmp_path / "x.conf")
    assert arguments.DEFAULT_CONFIG == "/etc/fall-from-grace.conf"


# --- what takes time ---

RATE = "trees:\n  cmdline: server\n  actions:\n    cpu > 50%: log a\n    growth(rmem, 1h) > 1m: log b\n"


def test_rates_take_a_second_look_and_are_said_to_be_of_a_second(explaining, monkeypatch):
    times, slept = [1000.0], []

    def sleep(seconds):
        slept.append(seconds)
        times[0] += seconds
        for sample in Source.made.seen.values():
            sample["cputime"] = sample.get("cputime", 0.0) + 0.75 * seconds

    monkeypatch.setattr(explain.time, "monotonic", lambda: times[0])
    monkeypatch.setattr(explain.time, "sleep", sleep)
    monkeypatch.setattr(explain, "Observer", partial(observer.Observer, clock=lambda: times[0]))
    monkeypatch.setitem(SIZES, TOP.id, {**SIZES[TOP.id], "cputime": 5.0, "age": 900.0, "stopped": 0})
    explaining.daemon = daemon(explaining.path, 999.0)
    _, out = explaining(100, RATE, as_json=True)
    cpu, growth = monitors(out)["trees"]["rules"]
    assert sum(slept) == pytest.approx(1.0)
    assert (cpu["measures"][0]["value"], cpu["phase"], cpu["for"]) == ("75%", "firing", 0.0)
    assert growth["measures"][0]["value"] == "unknown"
    assert out["notes"][:1] == ["cpu, read and write are over the last second here, and over 30s for the daemon"]
    assert "growth is known to the daemon only" in out["notes"][1]


def test_without_rates_one_look_is_enough(explaining):
    explaining(100)
    assert Source.made.looks == 1


# --- who is nobody ---


def test_who_ends_before_anything_is_known_has_ended(explaining, monkeypatch):
    status, out = explaining(7)
    assert (status, out, explaining.told[-1]) == (exits.NO, "", "process 7 has ended")
    assert explaining(7, as_json=True)[1] == {"pid": 7, "process": None, "why": "process 7 has ended"}


def test_of_who_ends_meanwhile_what_is_known_is_told(explaining, monkeypatch):
    def end(source):
        source.whole.pop(100)

    monkeypatch.setattr(Source, "each_look", end)
    status, out = explaining(100)
    assert (status, explaining.told[-1]) == (exits.NO, "process 100 has ended while it was being explained")
    assert out.startswith("100 of root: server --main\n")
    assert explaining(100, as_json=True)[1]["ended"] is True


def test_of_who_ends_while_it_is_measured_what_is_known_is_told(explaining, monkeypatch):
    monkeypatch.setattr(Source, "each_look", lambda source: source.seen.update({TOP.id: None}))
    status, out = explaining(100)
    assert (status, explaining.told[-1]) == (exits.NO, "process 100 has ended while it was being explained")
    assert "next: nothing until rmem can be read" in out


def test_whoever_has_the_pid_by_now_is_somebody_else(explaining, monkeypatch):
    def replaced(source):
        source.whole[100] = process(100, "server --main", start=999, uid=0)

    monkeypatch.setattr(Source, "each_look", replaced)
    assert explaining(100)[0] == exits.NO
    assert explaining.told[-1] == "process 100 has ended while it was being explained"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"Tgid": "9", "PPid": "1", "State": "S (sleeping)", "VmSize": "1 kB"}, ""),
        ({"Tgid": "8", "PPid": "1", "State": "S (sleeping)"}, "9 is a thread of process 8; write 8"),
        (
            {"Tgid": "9", "PPid": "4", "State": "Z (zombie)", "Name": "x\x1b"},
            r"process 9 (x\x1b) has ended, and waits for its parent 4 to take note; no monitor finds it",
        ),
        (
            {"Tgid": "9", "PPid": "2", "State": "I (idle)", "Name": "kworker/0:1"},
            "9 (kworker/0:1) is a thread of the kernel, which no monitor finds",
        ),
        (
            {"Tgid": "9", "PPid": "0", "State": "I (idle)", "Name": "kthreadd", "Kthread": "1"},
            "9 (kthreadd) is a thread of the kernel, which no monitor finds",
        ),
        ({"Tgid": "9", "PPid": "4", "State": "S (sleeping)", "Name": "about to end"}, ""),
    ],
)
def test_who_is_no_process_is_said_to_be_what_it_is(status, expected, monkeypatch):
    monkeypatch.setattr(explain.procfs, "of_survivor", lambda pid: "")
    assert explain._no_process(9, status) == expected


def test_a_zombie_whose_threads_go_on_is_a_process(monkeypatch):
    monkeypatch.setattr(explain.procfs, "of_survivor", lambda pid: "/proc/9/task/10")
    assert explain._no_process(9, {"Tgid": "9", "PPid": "1", "State": "Z (zombie)", "VmSize": "1"}) == ""


def test_real_processes_are_told_apart():
    assert explain._nobody(os.getpid()) == ""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert "has ended, and waits for its parent" in explain._nobody(ended.pid)
    assert explain._nobody(1 << 22) == f"there is no process {1 << 22}"


def test_what_is_hidden_is_said_to_be(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    assert explain._nobody(9).startswith("process 9 is hidden from you")
    monkeypatch.setattr("builtins.open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    monkeypatch.setattr(explain.published, "state_of", lambda pid: explain.published.HIDDEN)
    assert explain._nobody(9).startswith("process 9 is hidden from you")


# --- how it is shown ---


@pytest.mark.parametrize("width", [40, 60, 100])
def test_on_a_terminal_no_line_is_wider_than_it(width, explaining, monkeypatch):
    monkeypatch.setattr(explain.terminal, "width", lambda *_: width)
    _, out = explaining(101)
    shown = re.sub(r"\x1b\[\d+m", "", out)
    assert [line for line in shown.splitlines() if len(line) > width] == []
    assert " ".join(out.split()).count("next:") == 4


def test_colours_are_for_terminals_that_have_them(explaining, monkeypatch):
    assert "\x1b" not in explaining(100)[1]
    monkeypatch.setattr(explain.terminal, "colourful", lambda *_: True)
    assert "  \x1b[1mrmem > 100m for 5m\x1b[0m: term" in explaining(100)[1]
    assert "\x1b[31m      firing for 0s, step 1 of 2\x1b[0m" in explaining(100)[1]


def test_what_the_terminal_cannot_show_is_escaped(explaining, monkeypatch):
    monkeypatch.setattr(explain.terminal, "encoding", lambda: "ascii")
    assert (
        "gr\\xf6\\xdfer selects it" in explaining(100, "größer:\n  cmdline: server\n  actions: {rmem > 9g: term}\n")[1]
    )


def test_where_stdout_was_closed_it_is_explained_to_nobody(explaining, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    explaining.path.write_text(CONF)
    assert explain.run(Options(explaining.path, "/state", 100)) == exits.OK
