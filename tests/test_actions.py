import contextlib
import os
import signal
from dataclasses import replace

import mock
import pytest

from fallfromgrace import actions
from fallfromgrace.actions import Performer
from fallfromgrace.source import PsutilSource
from fallfromgrace.table import Descent, Process, ProcessId
from fallfromgrace.verdict import Outcome, Result
from tests.builders import MIB, Lines, process, verdict
from tests.victims import marker, state, until, victim

pytestmark = pytest.mark.usefixtures("awaited_signals")


class Reads:
    """A source that answers a re-reading with what it is given."""

    def __init__(self, answer):
        self.answer = answer

    def reread(self, pid):
        return self.answer


class Edge(Performer):
    """A performer that goes both its steps at once."""

    def perform(self, decided, now):
        with contextlib.ExitStack() as held:
            return self.carry_out(self.prepare(decided, held), now)


def performer(source=None, *, dry_run=False):
    return Edge(source or PsutilSource(), dry_run=dry_run, log=Lines())


def about(hog, action="term", trigger="rmem > 1m", **other):
    """A verdict about a real victim, as a look would have come to it."""
    seen, sample = PsutilSource().reread(hog.pid)
    mark = hog.process.args[3]
    return verdict(action, trigger, process=seen, cmdline=mark, sample=sample, **other)


@pytest.mark.parametrize(("action", "number"), [("term", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_a_signal_is_sent_to_a_real_process(action, number):
    with victim(marker()) as hog:
        outcome = performer().perform(about(hog, action), 0.0)
        assert outcome.result is Result.SENT
        until(lambda: hog.ended_by() == number)


def test_a_stop_stops_and_a_stopped_process_still_gets_its_term():
    with victim(marker()) as hog:
        assert performer().perform(about(hog, "stop @ 10m"), 0.0).result is Result.SENT
        until(lambda: state(hog.pid) == "T")
        assert performer().perform(about(hog, "term"), 0.0).result is Result.SENT
        until(lambda: hog.ended_by() == signal.SIGTERM)


class Sent(list):
    """A pin that keeps what is sent."""

    send = list.append

    def check(self):
        pass


@pytest.mark.parametrize(
    ("action", "state", "sent"),
    [
        ("term", "S", [signal.SIGTERM]),
        ("term", "T", [signal.SIGTERM, signal.SIGCONT]),
        ("kill", "T", [signal.SIGKILL]),
        ("stop @ 1m", "S", [signal.SIGSTOP]),
    ],
)
def test_only_a_stopped_process_that_is_to_end_by_itself_is_continued(action, state, sent):
    pin = Sent()
    target = process(100, state=state)
    edge = performer(Reads((target, {"rmem": 200 * MIB})))
    with mock.patch.object(actions, "pinned", return_value=contextlib.nullcontext(pin)):
        assert edge.perform(verdict(action, process=process(100)), 0.0).result is Result.SENT
    assert pin == sent


class Family(Reads):
    """A source that answers by pid."""

    def reread(self, pid):
        return self.answer.get(pid)


@pytest.mark.parametrize(
    ("root", "result", "detail"),
    [
        (process(50, "hog"), Result.SENT, ""),
        (process(50, "vi"), Result.REFUTED, "what it was found by runs something else now"),
        (process(50, "hog", start=51), Result.REFUTED, "what it was found by has ended"),
        (None, Result.REFUTED, "what it was found by has ended"),
    ],
)
def test_what_a_child_was_found_by_is_read_anew_as_well(root, result, detail):
    child, pin = process(100, "child", ppid=50), Sent()
    reads = {100: (child, {"rmem": 200 * MIB})} | ({50: (root, {})} if root else {})
    with mock.patch.object(actions, "pinned", return_value=contextlib.nullcontext(pin)):
        outcome = performer(Family(reads)).perform(verdict(process=child, root=process(50), depth=1), 0.0)
    assert (outcome.result, outcome.detail, bool(pin)) == (result, detail, result is Result.SENT)


def test_a_dry_run_only_says_so():
    with victim(marker()) as hog:
        assert performer(dry_run=True).perform(about(hog, "kill"), 0.0).result is Result.DRY_RUN
        quiet = performer(dry_run=True)
        assert quiet.perform(about(hog, "exec true"), 0.0).result is Result.DRY_RUN
        assert not quiet.spawner.busy
        assert state(hog.pid) in "SR"


def test_a_process_that_ended_is_gone():
    with victim(marker()) as hog:
        decided = about(hog)
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        assert performer().perform(decided, 0.0).result is Result.GONE
        hog.process.wait()
        assert performer().perform(decided, 0.0).result is Result.GONE


def test_an_innocent_with_the_pid_of_the_decided_one_is_not_signalled():
    with victim(marker()) as innocent:
        decided = about(innocent, "kill")
        earlier = ProcessId(innocent.pid, decided.process.id.start - 1)
        before = decided.process._replace(id=earlier)
        outcome = performer().perform(replace(decided, descent=Descent(before, before, 0)), 0.0)
        assert outcome.result is Result.GONE
        assert state(innocent.pid) in "SR"


def test_what_was_read_by_number_counts_only_if_the_pin_still_holds():
    """The pid changes hands between the pin and the end of the reading: the reading is somebody else's."""

    class Swapping(PsutilSource):
        def reread(self, pid):
            answer = super().reread(pid)
            hog.process.kill()
            hog.process.wait()
            return answer

    for action in ("term", "exec true"):
        with victim(marker()) as hog:
            edge = performer(Swapping())
            assert edge.perform(about(hog, action), 0.0).result is Result.GONE
            assert not edge.spawner.busy


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cmdline": "something else"}, "what it was found by runs something else now"),
        ({"rmem": 1}, "the condition no longer holds"),
    ],
)
def test_a_rule_that_no_longer_holds_is_refuted_and_nobody_is_signalled(changed, reason):
    with victim(marker()) as hog:
        decided = about(hog, "kill")
        image = decided.process.image._replace(cmdline=changed.get("cmdline", decided.process.image.cmdline))
        now = decided.process._replace(image=image), {"rmem": changed.get("rmem", 5 * MIB)}
        outcome = performer(Reads(now)).perform(decided, 0.0)
        assert (outcome.result, outcome.detail) == (Result.REFUTED, reason)
        assert state(hog.pid) in "SR"


def test_the_log_is_told_what_was_read_last():
    with victim(marker()) as hog:
        decided = about(hog)
        outcome = performer(Reads((decided.process, {"rmem": 5 * MIB}))).perform(decided, 0.0)
        assert (outcome.verdict.value, outcome.verdict.limit) == ("5m", "1m")


@pytest.mark.parametrize(
    ("error", "result", "detail"),
    [
        (PermissionError(1, "Operation not permitted"), Result.DENIED, "Operation not permitted"),
        (OSError(24, "Too many open files"), Result.FAILED, "Too many open files"),
        (ProcessLookupError(3, "No such process"), Result.GONE, ""),
    ],
)
def test_what_the_kernel_refuses_is_an_outcome_and_no_exception(monkeypatch, error, result, detail):
    def refuse(_):
        raise error

    monkeypatch.setattr(actions, "pinned", refuse)
    decided = verdict()
    assert performer().perform(decided, 0.0) == Outcome(decided, result, detail)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up being it")
def test_another_users_process_is_denied_to_who_is_not_root():
    with victim(marker()) as hog:
        decided = about(hog, "kill")
        child = os.fork()
        if not child:
            os.setresuid(65534, 65534, 65534)
            denied = performer(Reads((decided.process, decided.sample))).perform(decided, 0.0)
            os._exit(0 if denied.result is Result.DENIED else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert state(hog.pid) in "SR"


def test_a_command_gets_every_value_as_a_variable():
    seen: Process = process(100, 'hog "$(reboot)"', uid=os.geteuid())
    decided = verdict("exec @ 1h x", "rmem > 100m", process=seen, name="conkeror", value="200m", limit="100m")
    environment = actions._environment(decided, decided.item.action)
    assert {
        name: environment[name]
        for name in ["NAME", "PID", "RULE", "VALUE", "LIMIT", "RMEM", "VMEM", "CMDLINE", "ACTION", "PATH"]
    } == {
        "NAME": "conkeror",
        "PID": "100",
        "RULE": "rmem > 100m",
        "VALUE": "200m",
        "LIMIT": "100m",
        "RMEM": str(200 * MIB),
        "VMEM": str(300 * MIB),
        "CMDLINE": 'hog "$(reboot)"',
        "ACTION": "exec @ 1h x",
        "PATH": os.environ["PATH"],
    }
    assert environment["OWNER"] == actions._owner(os.geteuid())


def test_a_command_does_not_get_what_is_between_systemd_and_us(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    decided = verdict("exec x")
    assert "NOTIFY_SOCKET" not in actions._environment(decided, decided.item.action)


def test_a_huge_command_line_does_not_keep_a_command_from_being_started():
    decided = verdict("exec x", process=process(100, "x" * 3_000_000))
    assert len(actions._environment(decided, decided.item.action)["CMDLINE"]) == 8192


def test_an_owner_without_a_name_is_a_number():
    assert actions._owner(4_000_000_001) == "4000000001"


def test_a_command_is_started_for_a_real_process_and_told_about_it(tmp_path):
    with victim(marker(), mib=32) as hog:
        edge = performer()
        told = tmp_path / "told"
        outcome = edge.perform(about(hog, f'exec echo "$NAME $PID $OWNER" > {told}', "rmem > 1m"), 0.0)
        assert outcome.result is Result.STARTED
        until(lambda: (edge.spawner.tend(0.0), not edge.spawner.busy)[1])
        assert told.read_text() == f"m {hog.pid} {actions._owner(os.geteuid())}\n"


def test_a_full_queue_is_a_failure_that_says_so(monkeypatch):
    with victim(marker()) as hog:
        edge = performer()

        def full(*_):
            raise actions.QueueFull("256 commands are waiting already")

        monkeypatch.setattr(edge.spawner, "start", full)
        outcome = edge.perform(about(hog, "exec x"), 0.0)
        assert (outcome.result, outcome.detail) == (Result.FAILED, "256 commands are waiting already")
