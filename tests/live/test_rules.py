"""The rule language on real processes: sums, rungs, trees, what is set of a process, who is found."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from fallfromgrace import procfs
from tests.live.conftest import PROGRAM
from tests.victims import marker, state, until, victim


def watching(mark, *rules, interval="1s", head="", **keys):
    """A configuration with one monitor for the victims of a mark."""
    keys = {"cmdline": f"' {mark}( |$)'"} | keys
    lines = [f"  {key}: {value}" for key, value in keys.items()] + ["  actions:", *(f"    {rule}" for rule in rules)]
    return "\n".join([f"interval: {interval}", *([head] if head else []), "victims:", *lines, ""])


def script(code, *arguments, **keywords):
    """A real process that runs some code, with its arguments in its command line."""
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, **keywords)


# Five forks that share what the parent holds; they say their pids, and end when it does.
SHARING = """
import os, signal, sys, time, ctypes
held = bytearray(b"x") * (int(sys.argv[2]) << 20)
parent = os.getpid()
for _ in range(5):
    if not (child := os.fork()):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        break
    print(child, end=" ")
if os.getpid() == parent:
    print("ready", flush=True)
time.sleep(120)
"""


@pytest.fixture
def sharing(mark):
    parent = script(SHARING, mark, "200")
    parent.children = [int(word) for word in parent.stdout.readline().split()[:-1]]
    yield parent
    parent.kill()
    parent.communicate()
    until(lambda: not any(state(pid) in ("S", "R", "T") for pid in parent.children))


def match(*arguments):
    return subprocess.run([sys.executable, str(PROGRAM), "match", *map(str, arguments)], capture_output=True, text=True)


def test_the_tree_of_a_server_that_forks_is_summed_by_what_it_really_holds(program, configured, mark, sharing):
    """Within 5 % of what the kernel says, whereas the sum of resident memory counts shared pages six times."""
    path = configured(
        watching(mark, "tree.pmem > 150m: log @ 1s tree.pmem=$VALUE", "tree.rmem > 1g: log tree.rmem=$VALUE")
    )
    family = [sharing.pid, *sharing.children]
    really = sum(procfs.read_rollup(pid).pss for pid in family)
    running = program("-c", path)
    line = running.says("tree.pmem=", f"pid={sharing.pid} ")
    told = float(re.search(r"tree\.pmem=([\d.]+)m", line)[1])
    assert told == pytest.approx(really / 2**20, rel=0.05)
    assert "tree.rmem=1." in running.says("tree.rmem=", f"pid={sharing.pid} ")
    assert not running.said("tree.pmem=", f"pid={sharing.children[0]} ")  # a child alone holds its share only

    def read():
        [found] = json.loads(match("--json", "-c", path).stdout)
        top = next(row for row in found["processes"] if row["pid"] == sharing.pid)
        return top["tree_pmem"] and (found, top)

    found, top = until(read)  # on a very busy machine somebody may take longer than anybody is waited for
    assert top["tree_pmem"] == pytest.approx(really, rel=0.05)
    assert top["tree_rmem"] > 5 * top["tree_pmem"]
    assert found["pmem"] == pytest.approx(really, rel=0.05)
    shown = match("-c", path).stdout
    assert shown.startswith("victims: 6 processes, rmem 1.")
    assert "TREE RMEM  TREE PMEM" in shown


def test_who_ignores_term_is_killed_by_the_second_rung_on_time(program, configured, mark):
    with victim(mark, mib=64, what="deaf") as deaf:
        running = program("-c", configured(watching(mark, "rmem > 60m: [term, after 2s kill]", interval="10s")))
        running.says("action=term", "result=sent")
        termed = time.monotonic()
        until(lambda: deaf.ended_by() == signal.SIGKILL)
        assert 1.8 < time.monotonic() - termed < 3  # not at the next interval
        running.says("action=kill", "result=sent")


def test_who_heeds_term_meets_no_second_rung(program, configured, mark):
    with victim(mark, mib=64) as heeding:
        running = program("-c", configured(watching(mark, "rmem > 60m: [term, after 1s kill]")))
        until(lambda: heeding.ended_by() == signal.SIGTERM)
        time.sleep(1.5)
        assert not running.said("action=kill")


def test_a_condition_has_to_hold_for_its_time(program, configured, mark):
    with victim(mark, mib=64) as hog:
        running = program("-c", configured(watching(mark, "rmem > 60m for 2s: term", interval="10s")))
        began = time.monotonic()
        until(lambda: hog.ended_by() == signal.SIGTERM)
        assert 1.5 < time.monotonic() - began < 4
        running.says("action=term")
        assert len(running.said("action=term")) == 1


def test_a_whole_tree_is_stopped_and_continued(program, configured, mark):
    """Who is in it is found out before the first is stopped; when the rule recovers, all run again."""
    with victim(mark, mib=64, what="parent3") as top:
        family = [top.pid, *top.family]
        rules = ["tree.rmem > 60m until system.load < 0 or threads > 99: [stop tree @ 1h]"]
        running = program("-c", configured(watching(mark, *rules)))
        until(lambda: all(state(pid) == "T" for pid in family), "all are stopped")
        running.says('action="stop tree @ 1h"', "result=sent", times=4)
        configured(watching(mark, "tree.rmem > 60m: cont tree"))
        running.hup()
        until(lambda: all(state(pid) in "SR" for pid in family), "all run again")
        assert top.ended_by() is None


def test_a_stopped_tree_is_continued_when_the_rule_recovers(program, configured, mark, tmp_path):
    with victim(mark, mib=64, what="parent2") as top:
        family = [top.pid, *top.family]
        other = marker()
        path = configured(watching(f"({mark}|{other})", "count == 1: [stop group @ 1h, recovered cont group]"))
        running = program("-c", path)
        until(lambda: state(top.pid) == "T")
        with victim(other):
            until(lambda: state(top.pid) in "SR")
            running.says('action="cont group"', "when=recovered", f"pid={top.pid} ", "result=sent")
        assert all(state(pid) in "SR" for pid in family[1:])


THREADS = """
import sys, threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(120,), daemon=True).start()
print("ready", flush=True)
time.sleep(120)
"""


def test_niceness_is_set_of_every_thread_and_the_oom_score_of_the_process(program, configured, mark):
    busy = script(THREADS, mark)
    try:
        busy.stdout.readline()
        running = program("-c", configured(watching(mark, "threads == 4: [nice 7, oom 321]")))
        running.says('action="nice 7"', "result=set")
        running.says('action="oom 321"', "result=set")
        with open(f"/proc/{busy.pid}/oom_score_adj") as score:
            assert score.read() == "321\n"
        threads = os.listdir(f"/proc/{busy.pid}/task")
        assert [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads] == [7] * 4
    finally:
        busy.kill()
        busy.communicate()


SPINNING = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@pytest.mark.alone
def test_a_cpu_hog_is_told_apart_from_who_sleeps(program, configured, mark):
    spinning = script(SPINNING, mark)
    try:
        with victim(mark) as sleeping:
            running = program("-c", configured(watching(mark, "cpu > 30% for 1s: nice 10")))
            line = running.says('action="nice 10"', f"pid={spinning.pid} ")
            assert re.search(r"value=\d+(\.\d)?%", line)
            assert not running.said(f"pid={sleeping.pid} ", "result=set")
            assert os.getpriority(os.PRIO_PROCESS, spinning.pid) == 10
    finally:
        spinning.kill()
        spinning.communicate()


OPEN = """
import os, sys, time, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
time.sleep(120)
"""


def test_descriptors_are_a_part_of_what_each_process_may_have(program, configured, mark):
    many, few = script(OPEN, mark, "42"), script(OPEN, mark, "5")
    try:
        for each in (many, few):
            each.stdout.readline()
        running = program("-c", configured(watching(mark, "fds > 80%: log fds=$VALUE of $LIMIT", "rmem > 1: log seen")))
        assert "fds=45 of 40" in running.says("fds=", f"pid={many.pid} ")
        running.says("text=seen", f"pid={few.pid} ")
        assert not running.said("fds=", f"pid={few.pid} ")
    finally:
        for each in (many, few):
            each.kill()
            each.communicate()


def test_what_is_missing_is_started_again_and_then_is_not(program, configured, mark, tmp_path):
    """The command starts the victim itself, which carries the mark; it is ended by its pid."""
    (tmp_path / mark).touch()
    pidfile = tmp_path / "started.pid"
    start = f"setsid tail -f {tmp_path}/{mark} >/dev/null & echo $! > {pidfile}.new && mv {pidfile}.new {pidfile}"
    path = configured(watching(mark, f"count < 1 for 1s: exec @ 2s {start}", cmdline=f"'^tail -f .*{mark}$'"))
    dry = program("-n", "-c", path)
    dry.says('action="exec @ 2s"', "result=dry-run")
    assert not pidfile.exists()
    dry.end()
    running = program("-c", path)
    assert "pid=" not in running.says('action="exec @ 2s"', "result=started")
    until(pidfile.exists)
    started = int(pidfile.read_text())
    try:
        time.sleep(3.5)
        assert len(running.said("result=started")) == 1  # it is there, so nothing is missing
    finally:
        os.kill(started, signal.SIGKILL)
    running.says("result=started", times=2)
    until(lambda: pidfile.read_text() != f"{started}\n")
    running.end()
    os.kill(int(pidfile.read_text()), signal.SIGKILL)


def test_the_largest_of_all_is_ended_and_no_other(program, configured, mark):
    with victim(mark, mib=90) as large, victim(mark, mib=40) as small:
        running = program("-c", configured(watching(mark, "group.rmem > 100m: term largest @ 1m")))
        until(lambda: large.ended_by() == signal.SIGTERM)
        time.sleep(1.5)
        assert small.ended_by() is None
        assert len(running.said('action="term largest @ 1m"', "result=sent")) == 1


def test_what_is_protected_or_only_observed_is_reported_and_left_alone(program, configured, mark):
    with victim(mark, mib=64) as hog:
        protect = f"protect:\n  - exe: {re.escape(os.path.realpath(sys.executable))}\n    cmdline: ' {mark} '"
        running = program("-c", configured(watching(mark, "rmem > 60m: [log seen, kill]", head=protect)))
        running.says("action=kill", "result=protected", 'reason="it is protected"')
        running.says("text=seen", "result=told")
        running.end()
        running = program("-c", configured(watching(mark, "rmem > 60m: kill", observe="yes")))
        running.says("action=kill", "result=dry-run")
        time.sleep(1.2)
        assert hog.ended_by() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")
def test_processes_are_found_by_their_owner_and_by_what_they_execute(program, configured, mark):
    """Three shells that only their owner tells apart, and one of another user that is no shell."""
    waiting = ["/bin/sh", "-c", "echo; read go", mark]
    shells = [subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=uid) for uid in (65534, 0)]
    other = subprocess.Popen(["/usr/bin/tail", "-f", "/dev/null", f"/{mark}"], stderr=subprocess.DEVNULL, user=65534)
    try:
        for shell in shells:
            shell.stdout.readline()
        shown = os.path.realpath("/bin/sh")
        keys = {"cmdline": f"' ?/?{mark}'", "user": "[nobody, no-such-user]", "exe": f"'{shown}$'"}
        running = program("-c", configured(watching(mark, "rmem > 1: log found", **keys)))
        running.says("text=found", f"pid={shells[0].pid} ")
        time.sleep(1.2)
        assert len(running.said("text=found")) == 1
    finally:
        for each in (*shells, other):
            each.kill()
            each.communicate()


def test_match_says_what_is_excluded_and_exits_1_when_nothing_matches(configured, mark):
    nobody = f"nobody:\n  cmdline: {marker()}\n  actions:\n    rmem > 1: term\n"
    with victim(mark) as one, victim(mark, what="deaf") as other:
        path = configured(watching(mark, "rmem > 1g: term", exclude=f"'{mark} 1 deaf'") + nobody)
        ran = match("-c", path, "victims")
        assert ran.returncode == 0
        assert re.search(rf"^ +{one.pid} .*{mark}", ran.stdout, re.M)
        assert re.search(rf"^ +{other.pid} .*\[it is excluded\]", ran.stdout, re.M)
        nothing = match("-c", path, "nobody")
        assert (nothing.returncode, nothing.stdout) == (1, "nobody: nothing matches\n")
        assert match("--cmdline", f" {mark} ").returncode == 0
        assert match("--cmdline", marker()).returncode == 1
        unknown = match("-c", path, "victim")
        assert (unknown.returncode, "did you mean 'victims'?" in unknown.stderr) == (64, True)
        wrong = match("--cmdline", "(")
        assert (wrong.returncode, "not a regular expression" in wrong.stderr) == (64, True)
