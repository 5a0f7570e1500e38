import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import daemonize
from fallfromgrace.exits import Failure
from tests.victims import until

HERE = Path(__file__).parent.parent

# What a daemon can tell about itself; it ends by an alarm if the test does not end it.
PRELUDE = """
import json, os, resource, signal, sys
from fallfromgrace import daemonize
from fallfromgrace.exits import Failure

def tell(**facts):
    with open(sys.argv[1] + ".new", "w") as file:
        json.dump(facts, file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])

def linger():
    signal.alarm(60)
    signal.pause()
"""


class Script:
    """A program that detaches, and what its daemon told."""

    def __init__(self, directory):
        self.facts_file = directory / "facts"

    def run(self, text, **options):
        arguments = [sys.executable, "-c", PRELUDE + text, str(self.facts_file)]
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        self.done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=60, check=False, **options
        )
        return self.done.returncode, self.done.stderr

    @property
    def facts(self):
        until(self.facts_file.exists, "the daemon has told its facts")
        return json.loads(self.facts_file.read_text())


@pytest.fixture
def script(tmp_path):
    return Script(tmp_path)


# --- what whoever starts it is told ---


def test_starting_ends_well_as_soon_as_the_daemon_is_ready_while_that_goes_on(script):
    status = script.run("""
def body(waiting):
    tell(pid=os.getpid(), sid=os.getsid(0), parent=os.getppid())
    waiting.ready()
    linger()
status = daemonize.detached(body)
print("started")
sys.exit(status)
""")
    pid = script.facts["pid"]
    assert status == (0, "")
    assert script.done.stdout == "started\n"
    os.kill(pid, signal.SIGKILL)  # it is there to be killed
    assert script.facts["sid"] not in (pid, os.getsid(0))  # its own session, which it does not lead


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("return 5", 5, ""),
        ("raise Failure('it is not there')", 69, "fall-from-grace: it is not there\n"),
        (
            "os.kill(os.getpid(), 9)",
            70,
            "fall-from-grace: the daemon died before it was ready, and could not say why\n",
        ),
        ("os._exit(0)", 70, "fall-from-grace: the daemon died before it was ready, and could not say why\n"),
        ("waiting.ready(); return 5", 0, ""),
        ("waiting.ready(); waiting.ready(); raise Failure('too late to tell')", 0, ""),
        ("print('lost', file=sys.stderr, flush=True); return 0", 0, ""),
    ],
)
def test_starting_tells_the_truth(body, status, text, script):
    program = f"def body(waiting):\n    {body}\nsys.exit(daemonize.detached(body))"
    assert script.run(program) == (status, text)


@pytest.mark.parametrize("body", ["1 / 0", "sys.exit(3)", "raise KeyboardInterrupt"])
def test_a_fault_of_ours_comes_with_its_traceback(body, script):
    status, text = script.run(f"sys.exit(daemonize.detached(lambda waiting: exec({body!r})))")
    assert status == 70
    assert text.startswith("Traceback")
    assert "please report it" in text


def test_nothing_buffered_is_written_twice(script):
    script.run("""
print("once", end="")
sys.exit(daemonize.detached(lambda waiting: print("never") or 0))
""")
    assert script.done.stdout == "once"


def test_whoever_waits_may_go_away_and_the_daemon_goes_on(script):
    script.run("""
def body(waiting):
    starter = int(os.environ["STARTER"])
    os.kill(starter, signal.SIGKILL)
    waiting.ready()
    tell(went_on=True)
    return 0
os.environ["STARTER"] = str(os.getpid())
daemonize.detached(body)
""")
    assert script.done.returncode == -signal.SIGKILL
    assert script.facts == {"went_on": True}


def test_where_nothing_can_be_forked_the_user_is_told_what_to_do(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(Failure, match="cannot detach: Resource temporarily unavailable; write -f"):
        daemonize.detached(lambda waiting: 0)


# --- what the daemon is like ---

FACTS = """
def facts():
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    fds = {}
    for fd in numbers:
        try:
            fds[fd] = [os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(fd)]
        except OSError:
            pass
    return dict(
        pid=os.getpid(), cwd=os.getcwd(), umask=os.umask(0o22), fds=fds,
        core=resource.getrlimit(resource.RLIMIT_CORE), files=resource.getrlimit(resource.RLIMIT_NOFILE),
        ignored=[s.name for s in signal.Signals if signal.getsignal(s) == signal.SIG_IGN],
        peak_mib=[int(l.split()[1]) // 1024 for l in open("/proc/self/status") if l.startswith("VmHWM")][0],
    )

def body(waiting):
    tell(**facts())
    return 0
"""


def test_the_daemon_has_nothing_of_its_starter_but_the_pipe(script, tmp_path):
    stray = os.open(tmp_path / "stray", os.O_CREAT | os.O_RDWR)
    status = script.run(
        FACTS + "sys.exit(daemonize.detached(body))",
        pass_fds=[stray],
        cwd=tmp_path,
        umask=0o077,
    )
    os.close(stray)
    assert status == (0, "")
    facts = script.facts
    names = [name for name, _ in facts["fds"].values()]
    assert facts["cwd"] == "/"
    assert facts["umask"] == 0o022
    assert [facts["fds"][fd] for fd in "012"] == [["/dev/null", True]] * 3
    assert [name for name in names if name.startswith("pipe:")]  # on which its starter waits
    assert not [name for name in names if name.endswith("stray")]
    assert names.count("/dev/null") == 3


def test_commands_get_limits_and_signals_as_our_starter_had_them(script):
    core = resource.getrlimit(resource.RLIMIT_CORE)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert script.run(FACTS + "sys.exit(daemonize.detached(body))") == (0, "")
    facts = script.facts
    assert tuple(facts["core"]) == core
    assert tuple(facts["files"]) == files
    assert not {"SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGTERM", "SIGHUP", "SIGCHLD"} & set(facts["ignored"])


# Where the hard limit may not be raised, python-daemon is at least told that it is so high.
MANY_DESCRIPTORS = """
many = (1 << 20, 1 << 20)
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, many)
except (ValueError, PermissionError):
    real = resource.getrlimit
    resource.getrlimit = lambda which: many if which == resource.RLIMIT_NOFILE else real(which)
"""


def test_a_hard_limit_of_a_million_descriptors_costs_no_memory(script):
    assert script.run(FACTS + MANY_DESCRIPTORS + "sys.exit(daemonize.detached(body))") == (0, "")
    assert script.facts["files"] == [1 << 20, 1 << 20]
    assert script.facts["peak_mib"] < 40


def test_python_daemon_is_loaded_by_nobody_but_the_daemon(script):
    status = script.run("""
def body(waiting):
    assert "daemon" in sys.modules
    return 0
status = daemonize.detached(body)
sys.exit(status or "daemon" in sys.modules)
""")
    assert status == (0, "")


def test_it_starts_even_if_the_standard_streams_are_closed(script):
    program = FACTS + "daemonize.settle()\nsys.exit(daemonize.detached(body))"
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", PRELUDE + program, script.facts_file]
    assert subprocess.run(shell, env=environment, timeout=60, check=False).returncode == 0
    assert [script.facts["fds"][fd] for fd in "012"] == [["/dev/null", True]] * 3


# --- settling ---


def test_settling_takes_the_umask_and_the_root_directory(script, tmp_path):
    stray = os.open(tmp_path / "stray", os.O_CREAT | os.O_RDWR)
    status = script.run(
        FACTS + "daemonize.settle()\nbody(None)", pass_fds=[stray], cwd=tmp_path, umask=0o077, stdin=subprocess.DEVNULL
    )
    os.close(stray)
    assert status == (0, "")
    facts = script.facts
    assert facts["cwd"] == "/"
    assert facts["umask"] == 0o022
    assert [inherited for name, inherited in facts["fds"].values() if name.endswith("stray")] == [False]
    assert [facts["fds"][fd][1] for fd in "012"] == [True] * 3


def test_children_can_be_waited_for_also_where_our_starter_ignored_them(script):
    status = script.run(
        """
daemonize.settle()
child = os.fork()
if child == 0:
    os._exit(3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert status == (3, "")
