"""What is said in README.md of root, of a user with two capabilities, and of any other user, tried with a real daemon.

It runs in a mount namespace with a /run of its own. Its victims are of two users whom nobody knows.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fallfromgrace import privileges
from fallfromgrace.connector import Connector, Unavailable
from tests.live.conftest import PROGRAM, Running
from tests.victims import marker, state, until

OURS, OTHERS = 64001, 64002
AS_USER = ["setpriv", f"--reuid={OURS}", f"--regid={OURS}", "--clear-groups"]
CAPABILITIES = [f"--{kind}-caps=+kill,+sys_ptrace" for kind in ("inh", "ambient")]
# In the order of the columns.
WHO = {"root": [], "capable": [*AS_USER, *CAPABILITIES], "user": AS_USER}

OWN_RUN = f"""
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/user || exit
for user in {OURS} {OTHERS}; do mkdir -m 700 /run/user/$user && chown $user:$user /run/user/$user; done
exec "$@"
"""

CONFIGURATION = """
interval: 1s
found:
  cmdline: ^{victim}
  actions:
    rmem > 1: log rmem
    pmem > 1: log pmem
    fds > 0: log fds
    write >= 0: log write
    age > 0:
      - nice 5
      - oom 300
      - notify hello
      - exec grep CapEff /proc/self/status
      - after 3s stop @ 1h
by program:
  exe: ^{victim}$
  actions:
    age > 0: log exe
"""


# In place of the interpreter of these tests, which may be out of a user's reach, as in root's home. A shell in between
# has none of the capabilities with which setpriv executes it.
INTERPRETERS = (sys.executable, "/usr/bin/python3")
NEEDED = "import daemon, ply, psutil, yaml"


def by_shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh"]


def interpreter() -> str:
    """One that users can execute, with all that the program needs; empty where there is none."""
    for path in INTERPRETERS:
        command = [*AS_USER, *by_shell('"$@"'), path, "-c", NEEDED]
        if subprocess.run(command, capture_output=True, cwd="/").returncode == 0:
            return path
    return ""


def within(who: Sequence[str]) -> list[str]:
    """What the program's own command follows, its interpreter first."""
    return ["unshare", "--mount", *by_shell(OWN_RUN), *who, *by_shell(f'shift; exec {interpreter()} "$@"')]


def lacking() -> str:
    """What keeps all this from being tried here."""
    if os.geteuid() != 0:
        return "needs root"
    if missing := [name for name in ("setpriv", "unshare") if not shutil.which(name)]:
        return f"{missing[0]} is missing: apt-get install util-linux"
    if missing := {"KILL", "SYS_PTRACE", "SYS_NICE", "DAC_OVERRIDE", "IPC_LOCK"} - privileges.effective():
        return f"root has no CAP_{min(missing)} here"
    if not interpreter():
        return f"users cannot execute {' or '.join(INTERPRETERS)} with psutil and others"
    ran = subprocess.run([*within(AS_USER), "python", PROGRAM, "--version"], capture_output=True, text=True)
    return "" if ran.returncode == 0 else f"no mount namespace, or {PROGRAM} is out of users' reach: {ran.stderr}"


LACKING = lacking()
pytestmark = pytest.mark.skipif(LACKING != "", reason=LACKING or "-")


@contextlib.contextmanager
def terminal_of(uid: int) -> Iterator[None]:
    """A terminal to which its owner lets others write."""
    ours, theirs = os.openpty()
    try:
        os.fchown(theirs, uid, 5)  # the group tty
        os.fchmod(theirs, 0o620)
        yield
    finally:
        os.close(theirs)
        os.close(ours)


class Life:
    """A daemon that has met a process of its user, or of a first stranger if it is root's, and one of another user."""

    def __init__(self, who: str, running: Running, victims: dict[str, subprocess.Popen[bytes]]) -> None:
        self.who = who
        self.running = running
        self.victims = victims

    @property
    def root(self) -> Path:
        """Its file system."""
        return Path(f"/proc/{self.running.process.pid}/root")

    def of(self, whose: str, *words: str) -> list[str]:
        """What it said of a victim."""
        return self.running.said(f" pid={self.victims[whose].pid} ", *words)

    def whose(self, *words: str) -> set[str]:
        """The victims of which it said something."""
        return {whose for whose in self.victims if self.of(whose, *words)}

    def wait(self) -> None:
        """Until it has come to the end of all it will do, whether that was done or not."""
        for whose in self.victims:
            for words in ("pmem", "fds", "write"):
                until(lambda w=whose, x=words: self.of(w, x, "=told") or self.of(w, x, "=unknown"), words)
            until(lambda w=whose: self.of(w, "stop @ 1h") or self.of(w, "=protected"), "signalled, or not")
            until(lambda w=whose: self.of(w, "via="), "told its owner")
        self.running.says("CapEff")


@contextlib.contextmanager
def lived(who: str) -> Iterator[Life]:
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.chmod(0o755)  # not pytest's: others must be able to read it
        victim = shutil.copy("/bin/sleep", place / marker())
        path = place / "test.conf"
        path.write_text(CONFIGURATION.format(victim=victim))
        victims = {}
        for whose, uid in (("own", OURS), ("others", OTHERS)):
            stack.enter_context(terminal_of(uid))
            victims[whose] = subprocess.Popen([victim, "100"], user=uid, group=uid, extra_groups=[])
            stack.callback(victims[whose].wait)
            stack.callback(victims[whose].kill)
        kept = f"/run/user/{OURS}/status.json" if WHO[who] else "/run/fall-from-grace/status.json"
        running = Running("-c", path, "--state", kept, within=within(WHO[who]))
        stack.callback(running.end)
        life = Life(who, running, victims)
        life.wait()
        yield life


@pytest.fixture(scope="module", params=WHO)
def life(request) -> Iterator[Life]:
    with lived(request.param) as made:
        yield made


# --- what the table says ---


def cell(row: str, who: str) -> str:
    """The first word of a cell of the table."""
    readme = (PROGRAM.parent.parent / "README.md").read_text()
    table = readme[readme.index("| what it takes |") :].split("\n\n", 1)[0]
    [found] = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return re.split(r"[ ,;]", found.split("|")[2 + list(WHO).index(who)].strip())[0]


EVERYBODY = {"own", "others"}
WHOSE = {"everybody": EVERYBODY, "own": {"own"}}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("finds by `cmdline`, `user`", ['rule="rmem > 1"', "result=told"]),
        ("finds by `exe`", ["text=exe"]),
        ("`rmem`, `vmem`, `cpu`, `cputime`, `age`, `threads`, `children`", ["text=rmem"]),
        ("`pmem`, `umem`, `swap`", ["text=pmem"]),
        ("`read`, `write`", ["text=write"]),
        ("`fds`", ["text=fds"]),
        ("signals", ['action="stop @ 1h"', "result=sent"]),
        ("`nice`", ['action="nice 5"', "result=set"]),
        ("`oom`", ['action="oom 300"', "result=set"]),
        ("`notify`, on the desktop", ['detail="no session bus"']),  # its script ran there, and looked for one
        ("`notify`, on terminals", ["via=terminals"]),
    ],
)
def test_for_whom_something_is_done_is_what_the_readme_says(life, row, words):
    assert life.whose(*words) == WHOSE[cell(row, life.who)]


def test_what_it_says_that_it_did_was_done(life):
    def are(true):
        return {whose for whose, victim in life.victims.items() if true(victim.pid)}

    stopped = life.whose('action="stop @ 1h"', "result=sent")
    until(lambda: are(lambda pid: state(pid) == "T") == stopped, f"{stopped} are stopped, and nobody else")
    assert are(lambda pid: os.getpriority(os.PRIO_PROCESS, pid) == 5) == life.whose('"nice 5"', "result=set")
    assert are(lambda pid: Path(f"/proc/{pid}/oom_score_adj").read_text() == "300\n") == life.whose(
        '"oom 300"', "result=set"
    )


@pytest.mark.parametrize("name", ["pmem", "write", "fds"])
def test_what_it_may_not_read_is_told_as_unknown(life, name):
    assert life.whose(f"text={name}") ^ life.whose(f"{name}", "result=unknown") == EVERYBODY


@pytest.mark.parametrize("action", ["nice 5", "oom 300", "stop @ 1h"])
def test_what_it_may_not_do_is_told(life, action):
    done = life.whose(f'action="{action}"', "result=sent") | life.whose(f'action="{action}"', "result=set")
    denied = life.whose(f'action="{action}"', "result=denied") | life.whose("result=protected", "another user")
    assert (done | denied, done & denied) == (EVERYBODY, set())


def test_whom_it_cannot_find_by_what_they_execute_is_told_once(life):
    told = life.running.said("without CAP_SYS_PTRACE", "`exe` finds none")
    assert len(told) == (0 if life.whose("text=exe") == EVERYBODY else 1)


def test_a_command_has_the_capabilities_of_the_daemon(life):
    held = {int(line.rpartition("CapEff:")[2].strip('\\t" '), 16) for line in life.running.said("CapEff:")}
    ours = int(re.search(r"CapEff:\t(\w+)", Path(f"/proc/{life.running.process.pid}/status").read_text())[1], 16)
    assert held == {ours}
    assert cell("commands run", life.who) == {"root": "as", "capable": "with", "user": "as"}[life.who]
    assert (ours == 0) == (life.who == "user")


def have_no_events() -> str:
    try:
        Connector(None).close()
    except Unavailable as reason:
        return str(reason)
    return ""


@pytest.mark.skipif(have_no_events() != "", reason=have_no_events() or "-")
def test_it_is_told_of_new_processes_at_once(life):
    modern = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 6)
    said = cell("process events", life.who)
    assert said == "yes" if life.who == "root" else "from"
    assert bool(life.running.said("noticed within a second")) == (said == "from" and not modern)


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY, reason="everybody may lock memory here"
)
def test_it_stays_in_memory(life):
    locked = re.search(r"VmLck:\s+(\d+)", Path(f"/proc/{life.running.process.pid}/status").read_text())[1]
    assert cell("stays in memory", life.who) == ("no" if locked == "0" else "yes")


def test_it_keeps_its_state_where_it_may(life):
    kept = cell("state", life.who).strip("`").replace("$XDG_RUNTIME_DIR", f"/run/user/{OURS}")
    assert (life.root / kept.lstrip("/")).parent.exists()
    until(lambda: list(life.root.glob("run/**/status.json")), "the state file")


@pytest.mark.parametrize("who", WHO)
def test_a_pid_file_that_it_may_not_write_is_told_of_at_the_start(who):
    path = Path(tempfile.mkdtemp()) / "test.conf"
    try:
        path.parent.chmod(0o755)
        path.write_text("interval: 1s\n")
        command = [*within(WHO[who]), "python", PROGRAM, "-c", path, "--state", "none", "-p", "/run/x.pid"]
        ran = subprocess.run(["timeout", "3", *command], capture_output=True, text=True)
    finally:
        shutil.rmtree(path.parent)
    started = "started, version" in ran.stderr
    assert started == (cell("pid file in /run", who) == "yes")
    if not started:
        assert (ran.returncode, "cannot open the pid file /run/x.pid" in ran.stderr) == (77, True)
