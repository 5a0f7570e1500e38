import contextlib
import errno
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fallfromgrace import connector
from fallfromgrace.connector import Batch, Connector, Unavailable, fold
from tests.victims import until

NOBODY = 65534
WAKE = signal.SIGURG
HEADER = struct.Struct("=IHHII IIIIHH IIQ")
FORK, EXEC, UID, GID, SID, COMM, COREDUMP, EXIT = 1, 2, 4, 0x40, 0x80, 0x200, 0x40000000, 0x80000000


def message(kind, *numbers):
    """What the kernel sends, 76 bytes of any kind."""
    head = HEADER.pack(76, 3, 0, 7, 0, 1, 1, 7, 0, 40, 0, kind, 0, 12345)
    return (head + struct.pack(f"={len(numbers)}I", *numbers)).ljust(76, b"\0")


def fork(pid, thread=None):
    return message(FORK, 1, 1, thread or pid, pid)


def execed(pid):
    return message(EXEC, pid, pid)


def changed_user(pid, thread=None):
    return message(UID, thread or pid, pid, 1000, 1000)


def ended(pid, thread=None):
    return message(EXIT, thread or pid, pid, 0, 17, 1, 1)


# --- what messages come to ---


@pytest.mark.parametrize(
    ("messages", "gone", "new"),
    [
        ([], [], []),
        ([fork(7)], [], [7]),
        ([execed(7)], [], [7]),
        ([changed_user(7)], [], [7]),
        ([ended(7)], [7], []),
        ([fork(7), execed(7), changed_user(7)], [], [7]),
        ([fork(7), fork(8), ended(7)], [7], [8]),
        ([execed(7), ended(7)], [7], []),
        ([ended(7), fork(7)], [7], [7]),
        ([ended(7), fork(7), ended(7)], [7], []),
        ([ended(7), fork(7), ended(7), fork(7), execed(7)], [7], [7]),
        ([fork(4194303), ended(4194304)], [4194304], [4194303]),
        ([message(kind, 7, 7) for kind in (0, GID, SID, COMM, COREDUMP, 0xFFFFFFFF)], [], []),
    ],
)
def test_a_batch_says_who_has_ended_and_who_is_there_and_was_not_or_was_another(messages, gone, new):
    assert fold(messages) == (set(gone), set(new))


def test_whatever_is_no_message_is_passed_over():
    cut = [execed(7)[:length] for length in range(60)]
    assert fold([*cut, b"\xff" * 40, os.urandom(30), execed(8)]) == (set(), {8})
    assert fold([execed(7) + b"\xff" * 100]) == (set(), {7})


# --- what the kernel lets through: its filter works on any socket ---


def passes(*messages):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        connector.let_through_processes(ours)
        for each in messages:
            theirs.send(each)
        return list(iter(lambda: ours.recv(200) if select.select([ours], [], [], 0)[0] else None, None))


WANTED = {
    "an answer": message(0, 0),
    "a process is born": fork(7),
    "another program": execed(7),
    "another user": changed_user(7),
    "a process ends": ended(7),
}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
def test_what_is_wanted_passes_whole(wanted):
    assert passes(wanted) == [wanted]


UNWANTED = {
    "a thread is born": fork(7, thread=8),
    "a thread ends": ended(7, thread=8),
    "another user for one thread": changed_user(7, thread=8),
    "another group": message(GID, 7, 7, 1, 1),
    "another session": message(SID, 7, 7),
    "another name": message(COMM, 7, 7),
    "a core is dumped": message(COREDUMP, 7, 7, 1, 1),
    "nothing": b"",
    "no event": message(EXEC, 7, 7)[:36],
    "half an event": message(EXEC, 7, 7)[:58],
    "half a fork": fork(7)[:66],
    "what the network would send": message(int.from_bytes(EXEC.to_bytes(4, "little"), "big"), 7, 7),
}


@pytest.mark.parametrize("unwanted", UNWANTED.values(), ids=UNWANTED)
def test_all_else_is_dropped_by_the_kernel(unwanted):
    assert passes(unwanted, execed(9)) == [execed(9)]


# --- real events ---


class Heard:
    """All that a connector has told so far, of which only what is about the test's own processes may be looked at."""

    def __init__(self, made):
        self.made = made
        self.ended, self.changed = set(), set()
        made.drain()

    def take(self):
        batch = self.made.drain()
        self.ended |= batch.ended
        self.changed = self.changed - batch.ended | batch.changed
        return self

    def clear(self):
        self.take()
        self.ended, self.changed = set(), set()


@pytest.fixture
def connect():
    """Connectors that are closed in the end; the test is skipped where there are none."""
    with contextlib.ExitStack() as stack:

        def made(wake=None, space=connector.SPACE):
            try:
                return stack.enter_context(contextlib.closing(Connector(wake, space)))
            except Unavailable as error:
                pytest.skip(str(error))

        yield made


@pytest.fixture
def heard(connect):
    return Heard(connect())


@pytest.fixture
def start():
    """Processes that take commands, one a line, and are ended in the end: `start(program, *arguments)`."""
    with contextlib.ExitStack() as stack:

        def started(*arguments):
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


def tell(process, line=""):
    """Have it take a step, and wait until it has."""
    process.stdin.write(f"{line}\n")
    return process.stdout.readline().strip()


SHELL = "/bin/sh", "-c", "while read -r line; do eval $line; done"


def test_a_process_is_there_from_its_birth_to_its_end(heard, start):
    shell = start(*SHELL)
    assert shell.pid in heard.take().changed
    child = int(tell(shell, "sleep 60 & echo $!"))
    assert child in heard.take().changed
    heard.clear()
    tell(shell, f"kill {child}; wait; echo")
    until(lambda: child in heard.take().ended)
    assert child not in heard.changed
    assert shell.pid not in heard.changed | heard.ended


def test_who_has_ended_within_a_batch_is_not_told_as_new(heard):
    children = set()
    for _ in range(50):
        with subprocess.Popen("/bin/true") as process:
            children.add(process.pid)
    until(lambda: heard.take().ended >= children)
    assert not heard.changed & children


def test_a_process_that_runs_another_program_is_told(heard, start):
    shell = start(*SHELL)
    assert tell(shell, "echo ready") == "ready"
    heard.clear()
    assert tell(shell, "exec /bin/sh -c 'echo changed; read -r line'") == "changed"
    assert shell.pid in heard.take().changed
    assert shell.pid not in heard.ended


def python(start, code):
    process = start(sys.executable, "-c", code)
    assert process.stdout.readline() == "ready\n"
    return process


EXEC_IN_A_THREAD = """
import os, threading
print("ready", flush=True)
input()
threading.Thread(target=os.execv, args=("/bin/sh", ["sh", "-c", "echo changed; read -r line"])).start()
"""


def test_a_thread_that_runs_another_program_changes_its_process(heard, start):
    """The first thread ends for it, and so seems the process: it is told as ended, and then as new."""
    process = python(start, EXEC_IN_A_THREAD)
    heard.clear()
    assert tell(process) == "changed"
    assert process.pid in heard.take().changed


SETUID = 'import os; print("ready", flush=True); input(); os.setuid(65534); print("changed", flush=True); input()'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up being it")
def test_a_process_that_changes_its_user_is_told(heard, start):
    process = python(start, SETUID)
    heard.clear()
    assert tell(process) == "changed"
    assert process.pid in heard.take().changed


THREADS = """
import threading
print("ready", flush=True)
input()
threads = [threading.Thread(target=int) for _ in range(50)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*(thread.native_id for thread in threads), flush=True)
input()
"""


def test_threads_are_not_told(heard, start):
    process = python(start, THREADS)
    heard.clear()
    threads = {int(word) for word in tell(process).split()}
    heard.take()
    assert not (threads | {process.pid}) & (heard.changed | heard.ended)


# --- too many events ---

STORM = "/bin/sh", "-c", "i=0; while [ $i -lt 500 ]; do (:); i=$((i + 1)); done"
SMALL = 1 << 18  # bytes: for some 600 events, of which the storm makes 1000; other processes may be busy, too


def test_what_the_kernel_had_no_space_for_is_told_once_and_later_events_are_complete(connect):
    heard = Heard(connect(space=SMALL))
    subprocess.run(STORM, check=True)
    assert heard.made.drain().lost
    until(lambda: not heard.made.drain().lost)
    heard.clear()
    with subprocess.Popen("/bin/true") as process:
        pass
    until(lambda: process.pid in heard.take().ended)


def test_until_all_that_waited_is_read_something_may_be_missing(connect, monkeypatch):
    made = connect(space=SMALL)
    subprocess.run(STORM, check=True)
    with monkeypatch.context() as patch:
        patch.setattr(connector, "MOST", 2)
        assert [made.drain().lost for _ in range(3)] == [True] * 3
    until(lambda: not made.drain().lost)


def test_a_batch_ends_and_the_rest_is_for_the_next(connect, monkeypatch):
    heard = Heard(connect())
    children = set()
    for _ in range(10):
        with subprocess.Popen("/bin/true") as process:
            children.add(process.pid)
    monkeypatch.setattr(connector, "MOST", 3)
    batches = []
    until(lambda: batches.append(heard.made.drain()) or children <= set().union(*(each.ended for each in batches)))
    assert max(len(each.ended) + len(each.changed) for each in batches) <= 3
    assert not any(each.lost for each in batches)


# --- being woken ---


@pytest.fixture
def blocked():
    """The signal waits until it is asked for, as it does in the loop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {WAKE})
    yield
    woken()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def woken(seconds=0):
    """How often we were woken; others' processes may do so at any time."""
    times = 0
    while signal.sigtimedwait({WAKE}, seconds if not times else 0):
        times += 1
    return times


@pytest.mark.usefixtures("blocked")
def test_an_event_wakes_us(connect, start):
    heard = Heard(connect(WAKE))
    shell = start(*SHELL)
    assert woken(20)
    assert shell.pid in heard.take().changed


@pytest.mark.usefixtures("blocked")
def test_many_events_wake_us_once(connect):
    heard = Heard(connect(WAKE))
    woken()
    subprocess.run(STORM, check=True)
    assert 1 <= woken(20) < 20
    until(lambda: len(heard.take().ended) > 500)


@pytest.mark.usefixtures("blocked")
def test_what_happens_after_a_batch_and_before_the_wait_is_not_slept_over(connect):
    heard = Heard(connect(WAKE))
    for _ in range(20):
        woken()
        heard.clear()
        with subprocess.Popen("/bin/true") as process:
            assert woken(20)
        assert process.pid in heard.take().changed | heard.ended


@pytest.mark.usefixtures("blocked")
def test_a_closed_connector_wakes_nobody_and_can_be_closed_again(connect):
    made = connect(WAKE)
    made.close()
    made.close()
    woken()
    subprocess.run(STORM, check=True)
    assert not woken()


@pytest.mark.usefixtures("blocked")
def test_without_a_signal_nobody_is_woken(connect):
    heard = Heard(connect())
    woken()
    subprocess.run(STORM, check=True)
    assert not woken()
    until(lambda: len(heard.take().ended) > 500)


# --- who else sends ---


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may send to others over netlink")
def test_only_the_kernel_is_believed(heard):
    address = heard.made._socket.getsockname()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, connector._NETLINK_CONNECTOR) as other:
        for forged in (ended(os.getpid()), execed(os.getpid()), b"x" * 500):
            other.sendto(forged, (address[0], 0))
    assert os.getpid() not in heard.take().ended | heard.changed


def test_several_can_listen_and_go_as_they_like(connect):
    first, second = Heard(connect()), Heard(connect())
    first.made.close()
    with subprocess.Popen("/bin/true") as process:
        pass
    until(lambda: process.pid in second.take().ended)


def test_an_idle_connector_has_nothing_to_tell(connect):
    made = connect()
    until(lambda: made.drain() and made.drain() == Batch(set(), set(), False))


# --- where there are none ---

CODE = """
from fallfromgrace.connector import Connector, Unavailable
try:
    print(Connector(None).drain())
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("apart", "told"),
    [
        ("-n", "cannot be used in a container that has a network namespace of its own"),
        ("-pf --mount-proc", "they have the pids of outside (it has a PID namespace of its own)"),
        ("-pf", "they have the pids of outside (it has a PID namespace of its own)"),
        ("-U", "cannot be used in a container that has a user namespace of its own"),
    ],
)
def test_a_container_is_told_why_it_has_none(apart, told, connect):
    connect()
    command = ["unshare", *apart.split()]
    if not shutil.which("unshare"):
        pytest.skip("unshare is missing: apt-get install util-linux")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(tried.stderr.strip())
    python = [sys.executable, "-c", CODE]
    ran = subprocess.run([*command, *python], capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert told in ran.stdout, ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up being it")
def test_a_user_hears_all_or_is_told_why_not(connect):
    """Since Linux 6.6 any user may listen."""
    connect()
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgroups([])
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(theirs, hears_its_own_child().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as told:
        assert told.read() in ("heard", connector._REASONS[errno.EPERM])


def hears_its_own_child():
    try:
        heard = Heard(Connector(None))
    except Unavailable as error:
        return str(error)
    with subprocess.Popen("/bin/true") as process:
        pass
    until(lambda: process.pid in heard.take().ended)
    return "heard"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EPERM, "only root, with CAP_NET_ADMIN"),
        (errno.ECONNREFUSED, "a network namespace of its own"),
        (errno.EPROTONOSUPPORT, "CONFIG_CONNECTOR"),
        (errno.EAFNOSUPPORT, "netlink sockets, which are not allowed here"),
        (errno.ENOENT, "cannot be had: No such file or directory"),
    ],
)
def test_what_the_kernel_refuses_is_told_in_words(number, told, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(connector.socket, "socket", refuse)
    monkeypatch.setattr(connector, "_check_namespaces", lambda: None)
    with pytest.raises(Unavailable, match=told):
        Connector(None)


def test_an_answer_that_is_a_refusal_is_told(connect, monkeypatch):
    connect()
    monkeypatch.setattr(connector, "_LISTEN", 99)
    with pytest.raises(Unavailable, match="cannot be had: Invalid argument"):
        Connector(None)


def test_a_kernel_that_does_not_answer_is_not_waited_for(connect, monkeypatch):
    connect()
    monkeypatch.setattr(connector, "PATIENCE", 0.05)
    monkeypatch.setattr(Connector, "_ask", lambda *_: None)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(Unavailable, match="does not answer"):
        Connector(None)
    assert set(os.listdir("/proc/self/fd")) <= before
