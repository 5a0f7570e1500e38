"""In processes of their own, as what is done there is for good."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import privileges
from tests.victims import AS_USER, runs_as_user

HERE = Path(__file__).parent.parent

# Says what it was told, how much is locked, and how much is resident, before and after.
LOCK = """
from fallfromgrace import pressure

def kib(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

before, told = kib("VmRSS"), []
pressure.lock_memory(told.append)
later = bytearray(1 << 20)
print(kib("VmLck"), kib("VmRSS") - before, *told)
"""
# Says the score of children, its own, that of a child, and what it was told.
SPARE = """
import os
from fallfromgrace import pressure

def score():
    return open("/proc/self/oom_score_adj").read().strip()

told = []
children = pressure.spare_us(told.append)
if os.fork() == 0:
    pressure.be_nobody_special(children)
    print(children, end=" ")
    print(score(), end=" ", flush=True)
    os._exit(0)
os.wait()
print(score(), *told)
"""


def run(code, within=(), **keywords):
    ran = subprocess.run([*within, sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, **keywords)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def has(*names):
    return pytest.mark.skipif(
        not {*names} <= privileges.effective(), reason=f"needs {' and '.join(f'CAP_{name}' for name in names)}"
    )


needs_setpriv = pytest.mark.skipif(
    not runs_as_user(), reason="needs root, setpriv (util-linux), and a Python that others may run"
)


@has("IPC_LOCK")
def test_memory_is_locked_as_it_is_used_and_not_all_that_is_mapped():
    locked, more, *told = run(LOCK).split()
    assert int(locked) > 5000  # KiB
    assert int(more) < 4000
    assert not told


@needs_setpriv
@has("SYS_RESOURCE")
def test_a_user_without_a_limit_may_lock_memory():
    raise_limit = f"--memlock={resource.RLIM_INFINITY}:{resource.RLIM_INFINITY}"
    assert int(run(LOCK, ["prlimit", raise_limit, *AS_USER]).split()[0]) > 5000


@needs_setpriv
def test_under_a_limit_nothing_is_locked_since_memory_would_be_refused_later():
    locked, _, told = run(LOCK, ["prlimit", "--memlock=1048576:1048576", *AS_USER]).split(maxsplit=2)
    assert locked == "0"
    assert "ulimit -l unlimited" in told


def can_map():
    return not subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode


@pytest.mark.skipif(not can_map(), reason="needs user namespaces")
def test_a_capability_of_a_user_namespace_does_not_count():
    out = run(LOCK, ["prlimit", "--memlock=1048576:1048576", "unshare", "-Ur"])
    assert out.startswith("0 ")
    assert "CAP_IPC_LOCK" in out


@has("SYS_RESOURCE")
@pytest.mark.parametrize(("before", "children"), [(0, 0), (300, 300), (-900, 0), (-950, 0)])
def test_others_are_ended_before_us_and_children_are_nobody_special(before, children):
    def set_before():
        Path("/proc/self/oom_score_adj").write_text(str(before))

    assert run(SPARE, preexec_fn=set_before) == f"{children} {children} {min(before, -900)}\n"


def test_a_score_that_was_raised_may_be_lowered_again_by_anybody_and_a_child_gets_back_what_it_was():
    def set_before():
        Path("/proc/self/oom_score_adj").write_text("300")

    code = f"from fallfromgrace import pressure; pressure.SPARED = 100\n{SPARE}"
    assert run(code, preexec_fn=set_before) == "300 300 100\n"


@needs_setpriv
def test_where_we_may_not_be_spared_all_stays_as_it_is():
    def set_before():
        Path("/proc/self/oom_score_adj").write_text("200")

    child, its, ours, told = run(SPARE, AS_USER, preexec_fn=set_before).split(maxsplit=3)
    assert (child, its, ours) == ("200", "200", "200")
    assert "Permission denied" in told


def test_without_proc_nothing_fails(tmp_path):
    code = f"from fallfromgrace import pressure; pressure._OOM_SCORE = '{tmp_path}/none'\n{SPARE}"
    child, _, _, told = run(code).split(maxsplit=3)
    assert child == "0"
    assert "No such file" in told
