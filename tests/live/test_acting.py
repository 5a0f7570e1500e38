"""The program in the foreground, beside real processes that use too much."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fallfromgrace import procfs
from tests.victims import state, until, victim


def selecting(mark, *actions, **more):
    """A configuration with one monitor, for the victim of this mark alone and not its kin."""
    flags = "".join(f"  {key}: {value}\n" for key, value in more.items())
    rules = "".join(f"    {line}\n" for line in actions)
    return f"interval: 1s\nvictims:\n  cmdline: ' {mark} '\n{flags}  actions:\n{rules}"


def test_a_process_above_its_limit_is_terminated_and_one_below_is_not(program, configured, mark):
    with victim(mark, mib=64) as large, victim(mark) as small:
        running = program("-c", configured(selecting(mark, "rmem > 60m: term")))
        until(lambda: large.ended_by() == signal.SIGTERM)
        line = running.says("action=term")
        assert f"monitor=victims pid={large.pid}" in line
        assert 'rule="rmem > 60m"' in line
        assert "result=sent" in line
        running.process.terminate()
        assert running.process.wait(5) == 0
        assert small.ended_by() is None
        assert len(running.said("action=")) == 1


def test_a_process_deaf_to_term_is_killed_by_the_next_rule_as_it_grows(program, configured, mark):
    with victim(mark, mib=64, what="deaf-leak") as deaf:
        running = program("-c", configured(selecting(mark, "rmem > 60m: term", "rmem > 400m: kill")))
        until(lambda: deaf.ended_by() == signal.SIGKILL)
        running.says("action=kill", "result=sent")
        assert ["action=term" in line for line in running.said("result=sent")] == [True, False]


def test_rules_reach_descendants_at_every_depth_with_children(program, configured, mark):
    with victim(mark, mib=64, what="parent2") as top:
        leaf, middle = top.family
        program("-c", configured(selecting(mark, "rmem > 60m: term", children=1)))
        until(lambda: state(leaf) in ("", "Z"))
        assert state(middle) in ("S", "R")
        assert top.ended_by() is None


def test_a_whole_family_that_is_too_large_is_ended_with_nobody_left(program, configured, mark):
    """Were the parent signalled first, its children would be nobody's, and no longer looked at."""
    for action, number in [("term", signal.SIGTERM), ("kill", signal.SIGKILL)]:
        with victim(mark, mib=64, what="parent4") as top:
            running = program("-c", configured(selecting(mark, f"vmem > 1m: {action}", children=1)))
            until(lambda top=top, number=number: top.ended_by() == number)
            until(lambda top=top: not any(state(pid) in ("S", "R") for pid in top.family))
            running.says(f"action={action}", "result=sent", times=5)
            running.end()
            assert len(running.said(f"action={action}", "result=sent")) == 5


# Replaces each of its workers as soon as it ends; says their pids.
SUPERVISOR = """
import os, sys
def work():
    print(os.posix_spawn("/bin/sleep", ["sleep", "60"], {}), flush=True)
for _ in range(20):
    work()
while True:
    os.wait()
    work()
"""


def test_a_supervisor_that_replaces_its_workers_is_ended_with_all_of_them(program, configured, mark):
    """Were the workers signalled first, it would have new ones, which nothing is above any more when it ends."""
    master = subprocess.Popen([sys.executable, "-c", SUPERVISOR, mark], stdout=subprocess.PIPE, text=True)
    workers = [int(master.stdout.readline()) for _ in range(20)]
    try:
        program(
            "-c", configured(f"interval: 1s\nm:\n  cmdline: {mark}\n  children: 1\n  actions:\n    vmem > 1m: kill\n")
        )
        master.wait(20)
        workers += [int(line) for line in master.stdout]  # ends when the last of them has
        until(lambda: not any(state(pid) in ("S", "R") for pid in workers))
        assert len(workers) == 20
    finally:
        for pid in workers:
            stat = procfs.read_stat(pid)
            if stat and stat.comm == "sleep":
                os.kill(pid, signal.SIGKILL)
        master.kill()
        master.communicate()


def test_children_of_what_has_become_something_else_are_left_alone(program, configured, mark):
    """What the children are below matched, and then ran something else with the same name, just before they grew."""
    large = "import time; held = bytearray(64 << 20); print('large', flush=True); time.sleep(60)"
    then = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {large!r}])"
    first = f"import os, sys, time; input(); os.execv(sys.executable, [sys.executable, '-c', {then!r}]) # {mark}"
    became = subprocess.Popen([sys.executable, "-c", first], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    children = {}
    try:
        path = configured(
            f"interval: 1s\nm:\n  cmdline: {mark}\n  children: 1\n"
            f"  actions:\n    rmem > 60m: kill\n    rmem > 1m: exec @ 1s echo look\n"
        )
        running = program("-c", path)
        running.says("output=look", times=2)
        became.stdin.write(b"\n")
        became.stdin.flush()
        assert became.stdout.readline() == b"large\n"
        children = children_of(became.pid)
        time.sleep(2.2)
        assert [state(pid) for pid in children] == ["S"]
        assert not running.said("action=kill", "result=sent")
    finally:
        became.kill()
        for pid, start in children.items():
            stat = procfs.read_stat(pid)
            if stat and stat.start == start:
                os.kill(pid, signal.SIGKILL)
        became.communicate()


def test_without_children_descendants_are_left_alone(program, configured, mark):
    with victim(mark, mib=64, what="parent2") as top:
        running = program("-c", configured(selecting(mark, "rmem > 60m: term", "vmem > 1: exec @ 1h echo seen")))
        running.says("output=seen")
        time.sleep(1.2)  # another look
        assert not running.said("action=term")
        assert all(state(pid) in ("S", "R") for pid in top.family)


def test_final_keeps_later_monitors_away(program, configured, mark):
    with victim(mark, mib=64) as hog:
        path = configured(
            f"interval: 1s\nmine:\n  cmdline: {mark}\n  final: 1\n  actions:\n    rmem > 60m: exec @ 1s echo mine\n"
            f"later:\n  cmdline: {mark}\n  actions:\n    rmem > 1m: kill\n"
        )
        running = program("-c", path)
        running.says("output=mine", times=2)
        assert not running.said("monitor=later")
        assert hog.ended_by() is None


@pytest.mark.alone  # its time counts from when the look began that saw it running
def test_a_stopped_process_is_stopped_again_only_when_it_has_run_for_its_time(program, configured, mark):
    with victim(mark, mib=64) as hog:
        running = program("-c", configured(selecting(mark, "rmem > 60m: stop @ 2s")))
        until(lambda: state(hog.pid) == "T")
        time.sleep(2.5)
        assert len(running.said("action=")) == 1  # stopping a stopped process does nothing
        continued = time.monotonic()
        os.kill(hog.pid, signal.SIGCONT)
        until(lambda: state(hog.pid) != "T")
        until(lambda: state(hog.pid) == "T")
        assert time.monotonic() - continued >= 2
        running.says("action=", times=2)


def test_who_stays_stopped_is_told_at_the_end(program, configured, mark):
    with victim(mark, mib=64) as hog:
        running = program("-c", configured(selecting(mark, "rmem > 60m: stop @ 1h", "rmem > 1m: exec @ 1s echo look")))
        running.says("output=look", times=3)
        running.process.terminate()
        running.says(f"still stopped by a rule: {hog.pid}; continue them with kill -CONT {hog.pid}")


def test_a_stopped_process_still_ends_when_told_to(program, configured, mark):
    with victim(mark, mib=64) as hog:
        os.kill(hog.pid, signal.SIGSTOP)
        program("-c", configured(selecting(mark, "rmem > 60m: term")))
        until(lambda: hog.ended_by() == signal.SIGTERM)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(program, configured, mark, tmp_path):
    with victim(mark, mib=64) as hog:
        touch = f"rmem > 50m: exec touch {tmp_path}/touched"
        running = program("--dry-run", "-c", configured(selecting(mark, "rmem > 60m: kill", touch)))
        running.says("action=kill", "result=dry-run")
        running.says("action=exec", "result=dry-run")
        time.sleep(1.2)
        assert hog.ended_by() is None
        assert not (tmp_path / "touched").exists()
        assert len(running.said("action=")) == 2


def test_an_exec_gets_the_values_as_its_environment(program, configured, mark, tmp_path):
    with victim(mark, mib=64) as hog:
        said = tmp_path / "said"
        write = 'echo "$NAME|$PID|$RULE|$LIMIT|$ACTION"; env | grep -c ^RMEM='
        command = f"exec ({write}) > {said}.new; mv {said}.new {said}"
        program("-c", configured(selecting(mark, f"rmem > 60m: {command}")))
        until(said.exists)
        first, second = said.read_text().splitlines()
        assert first.startswith(f"victims|{hog.pid}|rmem > 60m|60m|exec (echo")
        assert second == "1"


def test_commands_that_hang_flood_or_fail_delay_no_other_rule_by_more_than_a_look(program, configured, mark):
    other = mark + "-other"
    with victim(mark, mib=64):
        path = configured(
            f"interval: 1s\n"
            f"trouble:\n  cmdline: ' {mark} '\n  actions:\n    rmem > 60m:\n"
            f"      - exec @ 1s exit 7\n      - exec @ 1s /no/such/program\n"
            f"      - exec @ 1s sleep 30\n      - exec @ 1s exec yes\n"
            f"others:\n  cmdline: ' {other} '\n  actions:\n"
            f"    rmem > 60m:\n      - exec echo warned $PID\n      - term\n"
        )
        running = program("-c", path)
        running.says("status=7", times=2)
        running.says("status=127")
        for _ in range(3):
            with victim(other, mib=64) as late:
                crossed = time.monotonic()
                until(lambda late=late: late.ended_by() == signal.SIGTERM)
                running.says(f'output="warned {late.pid}"')
                assert time.monotonic() - crossed < 2.0  # one look is a second
        children = children_of(running.process.pid)
        assert len(children) <= 16
        assert running.end() == 0
        for pid, start in children.items():  # what was left running is ours to end
            stat = procfs.read_stat(pid)
            if stat and stat.start == start:
                os.killpg(pid, signal.SIGKILL)


def children_of(pid):
    stats = {int(name): procfs.read_stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return {child: stat.start for child, stat in stats.items() if stat and stat.ppid == pid}


def test_hostile_command_lines_are_one_printable_line(program, configured, mark):
    evil = 'new\nline \x1b[31m "quoted" \\ \u202e'.encode() + b" \xff\xc3 "
    shell = subprocess.Popen([b"/bin/sh", b"-c", b"read wait", evil, mark.encode()], stdin=subprocess.PIPE)
    try:
        running = program("-c", configured(f"m:\n  cmdline: {mark}\n  actions:\n    rmem > 1: exec true\n"))
        line = running.says("action=exec", f"pid={shell.pid}")
        assert line.isprintable()
        assert r"new\nline \x1b[31m \"quoted\" \\ \u202e \xff\xc3" in line
        assert len(running.said(f"pid={shell.pid}", "action=exec")) == 1
    finally:
        shell.kill()
        shell.wait()
        shell.stdin.close()


@pytest.mark.skipif(not shutil.which("stress-ng"), reason="needs stress-ng")
def test_stress_ng_is_ended_by_its_workers_size(program, configured, mark, tmp_path):
    """A hog of many processes: the one that is started has the marker, the one that grows is below it."""
    place = tmp_path / mark
    place.mkdir()
    stress = subprocess.Popen(
        ["stress-ng", "--vm", "1", "--vm-bytes", "128m", "--vm-keep", "--timeout", "60", "--temp-path", str(place)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        path = configured(
            f"interval: 1s\nstress:\n  cmdline: {mark}\n  children: 1\n  actions:\n    rmem > 100m: term\n"
        )
        running = program("-c", path)
        line = running.says("action=term", "result=sent")
        assert f"pid={stress.pid} " not in line
        assert "stress-ng-vm" in line
    finally:
        stress.terminate()
        stress.wait()
