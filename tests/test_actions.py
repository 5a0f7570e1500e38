import contextlib
import errno
import os
import re
import resource
import signal
from pathlib import Path

import mock
import pytest

from fallfromgrace import actions
from fallfromgrace.actions import Performer, Ready
from fallfromgrace.notify import Message
from fallfromgrace.records import replace
from fallfromgrace.reference import PsutilSource
from fallfromgrace.rules import SIGNALS, Selector
from fallfromgrace.table import Descent, Process, ProcessId
from fallfromgrace.values import owner
from fallfromgrace.verdict import Outcome, Result
from tests.builders import MIB, Lines, process, verdict
from tests.victims import marker, state, until, victim

pytestmark = pytest.mark.usefixtures("awaited_signals")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up being it")


class Reads:
    """A source that answers every re-reading with what it is given."""

    def __init__(self, *answer):
        self.answer = answer
        self.asked = []

    def reread(self, pid):
        self.asked.append(pid)
        return self.answer


class Family(Reads):
    """A source that answers by pid."""

    def __init__(self, *processes, mib=200):
        super().__init__()
        self.known = {each.id.pid: (each, {"rmem": mib * MIB, "vmem": 2 * mib * MIB}) for each in processes}

    def reread(self, pid):
        self.asked.append(pid)
        return self.known.get(pid)


class Edge(Performer):
    """A performer that goes both its steps at once."""

    def perform(self, decided, now=0.0):
        with contextlib.ExitStack() as held:
            return self.carry_out(self.prepare(decided, held), now)


def performer(source=None, *, dry_run=False, myself=0):
    """Whom tests start they may act upon, which a daemon may not: here nobody is its own."""
    return Edge(source or PsutilSource(), dry_run=dry_run, log=Lines(), myself=myself)


def about(hog, action="term", trigger="rmem > 1m", **other):
    """A verdict about a real victim, as a look would have come to it."""
    seen, sample = PsutilSource().reread(hog.pid)
    return verdict(action, trigger, **{"process": seen, "cmdline": hog.process.args[3], "sample": sample, **other})


def about_all(action, **other):
    """A verdict of a rule that is about no single process."""
    return verdict(action, "count > 3", process=None, sample={"count": 4}, **other)


@contextlib.contextmanager
def pins():
    """Whoever is to be held is; what is sent to them is kept instead."""
    sent = []
    pin = mock.Mock(send=sent.append)
    with mock.patch.object(actions, "pinned", side_effect=lambda _: contextlib.nullcontext(pin)):
        yield sent


def ran(edge):
    """Wait for the commands that were started."""
    until(lambda: (edge.spawner.tend(0.0), not edge.spawner.busy)[1])


# --- signals ---


@pytest.mark.parametrize("word", [word for word in SIGNALS if word not in ("stop", "cont")])
def test_a_signal_is_sent_to_a_real_process(word):
    with victim(marker()) as hog:
        resource.prlimit(hog.pid, resource.RLIMIT_CORE, (0, 0))
        assert performer().perform(about(hog, word)).result is Result.SENT
        until(lambda: hog.ended_by() == signal.Signals[f"SIG{word.upper()}"])


def test_a_stop_stops_and_a_cont_continues():
    with victim(marker()) as hog:
        assert performer().perform(about(hog, "stop @ 10m")).result is Result.SENT
        until(lambda: state(hog.pid) == "T")
        assert performer().perform(about(hog, "cont")).result is Result.SENT
        until(lambda: state(hog.pid) == "S")


def test_a_stopped_process_still_gets_its_term():
    with victim(marker()) as hog:
        os.kill(hog.pid, signal.SIGSTOP)
        until(lambda: state(hog.pid) == "T")
        assert performer().perform(about(hog, "term")).result is Result.SENT
        until(lambda: hog.ended_by() == signal.SIGTERM)


STOPPED_FIRST = {"term", "int", "hup", "quit", "abrt"}


@pytest.mark.parametrize("word", SIGNALS)
@pytest.mark.parametrize("state", ["S", "T"])
def test_only_a_stopped_process_that_is_to_end_by_itself_is_continued(word, state):
    action = "stop @ 1m" if word == "stop" else word
    with pins() as sent:  # it was not stopped yet when it was looked at
        assert performer(Family(process(100, state=state))).perform(verdict(action)).result is Result.SENT
    continued = [signal.SIGCONT] if state == "T" and word in STOPPED_FIRST else []
    assert sent == [signal.Signals[f"SIG{word.upper()}"], *continued]


def test_what_is_below_is_signalled_for_the_one_above_and_the_log_has_both():
    mark = marker()
    with victim(mark, mib=8, what="parent1") as top:
        seen = {pid: PsutilSource().reread(pid)[0] for pid in (top.pid, *top.family)}
        (kin,) = top.family
        decided = about(top, "term tree", process=seen[kin], root=seen[top.pid], depth=1, subject=seen[top.pid])
        assert performer().perform(decided).result is Result.SENT
        until(lambda: state(kin) in ("", "Z"))
        assert top.ended_by() is None
        assert (decided.process.id.pid, decided.cause.key.identity.pid) == (kin, top.pid)


# --- niceness and the out-of-memory score ---


@pytest.mark.parametrize(
    ("action", "read"),
    [
        ("nice 7", lambda pid: os.getpriority(os.PRIO_PROCESS, pid)),
        ("oom 7", lambda pid: int(Path(f"/proc/{pid}/oom_score_adj").read_text())),
    ],
)
def test_what_is_set_is_set_of_a_real_process(action, read):
    with victim(marker()) as hog:
        assert performer().perform(about(hog, action)).result is Result.SET
        assert read(hog.pid) == 7


def test_what_may_not_be_set_is_denied():
    with pins(), mock.patch.object(actions, "adjust", side_effect=PermissionError(13, "Permission denied")):
        outcome = performer(Family(process(100))).perform(verdict("nice -5"))
    assert (outcome.result, outcome.detail) == (Result.DENIED, "Permission denied")


# --- whom it is about is asked again ---

HOG, TOP, CHILD = process(100), process(50, "hog"), process(101, "child", ppid=50)
SUBJECT = process(60, "hog")
BELOW = {"process": CHILD, "root": TOP, "depth": 1, "subject": SUBJECT}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ([CHILD, TOP, SUBJECT], ""),
        ([CHILD, SUBJECT], "what it was found by has ended"),
        ([CHILD, process(50, "hog", start=51), SUBJECT], "what it was found by has ended"),
        ([CHILD, process(50, "vi"), SUBJECT], "what it was found by runs something else now"),
        ([CHILD, TOP], "the process that the rule fires for has ended"),
        ([CHILD, TOP, process(60, "hog", start=61)], "the process that the rule fires for has ended"),
        ([process(101, "child --spare", ppid=50), TOP, SUBJECT], "it is excluded now"),
        ([process(101, "precious", ppid=50), TOP, SUBJECT], "it is protected now"),
        ([CHILD._replace(ppid=1), TOP, SUBJECT], "it is no longer a child of what it was found below"),
    ],
)
def test_everybody_whom_a_verdict_is_about_is_read_anew(now, reason):
    decided = verdict("term tree", **BELOW, exclude="spare", protect=[Selector(re.compile("precious"))])
    source = Family(*now)
    with pins() as sent:
        outcome = performer(source).perform(decided)
    assert (outcome.result, outcome.detail) == ((Result.REFUTED, reason) if reason else (Result.SENT, ""))
    assert bool(sent) is not bool(reason)
    assert sorted(source.asked) == [50, 60, 101]  # each once


def test_a_process_that_is_all_in_one_is_read_once():
    source = Family(HOG)
    with pins():
        performer(source).perform(verdict())
    assert source.asked == [100]


@pytest.mark.parametrize(("mib", "result"), [(200, Result.SENT), (99, Result.REFUTED)])
def test_what_counts_is_what_the_one_uses_whom_the_rule_fires_for(mib, result):
    source = Family(CHILD, TOP, SUBJECT, mib=1)
    source.known[SUBJECT.id.pid] = SUBJECT, {"rmem": mib * MIB}
    with pins():
        assert performer(source).perform(verdict("term tree", **BELOW)).result is result


@pytest.mark.parametrize(
    ("fresh", "mib", "result", "detail"),
    [
        (False, 90, Result.SENT, ""),
        (False, 79, Result.REFUTED, "it has recovered"),
        (True, 90, Result.REFUTED, "the condition no longer holds"),
    ],
)
def test_a_rule_that_fires_until_something_is_refuted_only_by_that(fresh, mib, result, detail):
    decided = verdict("term", "rmem > 100m until rmem < 80m", fresh=fresh)
    with pins() as sent:
        outcome = performer(Family(HOG, mib=mib)).perform(decided)
    assert (outcome.result, outcome.detail, bool(sent)) == (result, detail, result is Result.SENT)


def test_what_is_done_at_a_recovery_is_done_though_the_condition_is_false():
    with pins():
        outcome = performer(Family(HOG, mib=1)).perform(verdict("log $NAME: $VALUE", recovered=True))
    assert (outcome.result, outcome.text) == (Result.TOLD, "m: 1m")


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
        outcome = performer(Reads(*now)).perform(decided)
        assert (outcome.result, outcome.detail) == (Result.REFUTED, reason)
        assert state(hog.pid) in "SR"


def test_the_log_is_told_what_was_read_last():
    with victim(marker()) as hog:
        decided = about(hog)
        outcome = performer(Reads(decided.process, {"rmem": 5 * MIB})).perform(decided)
        assert (outcome.verdict.cause.value, outcome.verdict.cause.limit) == ("5m", "1m")


# --- what is ours ---


@pytest.mark.parametrize("action", ["kill", "nice 9", "oom 9", "exec true"])
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_command_and_what_descends_from_it_are_never_acted_upon(action, depth, dry_run):
    with victim(marker(), mib=8, what=f"parent{depth}" if depth else "plain") as top:
        whom = PsutilSource().reread((top.family or [top.pid])[0])[0]
        decided = about(top, action, process=whom, cmdline=re.escape(whom.image.cmdline))
        edge = performer(dry_run=dry_run, myself=os.getpid())
        with mock.patch.object(type(edge.spawner), "groups", frozenset({top.pid})):  # as if it were a command
            outcome = edge.perform(decided)
        assert (outcome.result, outcome.detail) == (Result.REFUTED, "this is a command of fall-from-grace")
        assert state(whom.id.pid) in "SR"
        assert os.getpriority(os.PRIO_PROCESS, whom.id.pid) == 0
        assert not edge.spawner.busy


def test_what_descends_from_us_may_be_told_of():
    with victim(marker()) as hog:
        assert performer(myself=os.getpid()).perform(about(hog, "log x")).result is Result.TOLD


def test_who_belongs_to_the_group_of_a_command_is_ours_though_its_parent_has_ended():
    edge = performer(Family(process(100, pgid=4711)))
    with pins() as sent, mock.patch.object(type(edge.spawner), "groups", frozenset({4711})):
        assert edge.perform(verdict()).detail == "this is a command of fall-from-grace"
    assert not sent


# --- signals that are lost ---


@pytest.mark.parametrize(
    ("word", "detail"),
    [("term", "it ignores TERM; write kill"), ("int", ""), ("usr1", ""), ("kill", "")],
)
def test_a_signal_that_is_ignored_is_sent_and_told_to_be_in_vain(word, detail):
    with victim(marker(), what="deaf") as deaf:
        outcome = performer().perform(about(deaf, word))
        assert (outcome.result, outcome.detail) == (Result.SENT, detail)


@pytest.mark.parametrize(("word", "detail"), [("usr1", "why"), ("hup", "why; write kill")])
def test_kill_is_advised_only_where_a_process_is_to_end(word, detail):
    with pins(), mock.patch.object(actions, "loss", return_value="why"):
        assert performer(Family(HOG)).perform(verdict(word)).detail == detail


# --- who is no longer there, and what the kernel refuses ---


def test_a_process_that_ended_is_gone():
    with victim(marker()) as hog:
        decided = about(hog)
        hog.process.kill()
        until(lambda: state(hog.pid) == "Z")
        assert performer().perform(decided).result is Result.GONE
        hog.process.wait()
        assert performer().perform(decided).result is Result.GONE


@pytest.mark.parametrize("action", ["term", "nice 9", "exec true", "log x"])
def test_one_that_only_waits_for_its_parent_to_take_note_is_gone(action):
    with pins() as sent:
        assert performer(Family(process(100, state="Z"))).perform(verdict(action)).result is Result.GONE
    assert not sent


@pytest.mark.parametrize("action", ["kill", "nice 9", "oom 9", "exec true", "log x"])
def test_an_innocent_with_the_pid_of_the_decided_one_is_left_alone(action):
    with victim(marker()) as innocent:
        decided = about(innocent, action)
        earlier = ProcessId(innocent.pid, decided.process.id.start - 1)
        before = decided.process._replace(id=earlier)
        edge = performer()
        outcome = edge.perform(replace(decided, target=Descent(before, before, 0)))
        assert outcome.result is Result.GONE
        assert state(innocent.pid) in "SR"
        assert os.getpriority(os.PRIO_PROCESS, innocent.pid) == 0
        assert not edge.spawner.busy


@pytest.mark.parametrize("action", ["term", "nice 9", "exec true", "log x"])
def test_what_was_read_by_number_counts_only_if_the_pin_still_holds(action):
    """The pid changes hands between the pin and the end of the reading: the reading is somebody else's."""

    class Swapping(PsutilSource):
        def reread(self, pid):
            answer = super().reread(pid)
            hog.process.kill()
            hog.process.wait()
            return answer

    with victim(marker()) as hog:
        edge = performer(Swapping())
        assert edge.perform(about(hog, action)).result is Result.GONE
        assert not edge.spawner.busy


@pytest.mark.parametrize("action", ["term", "nice 9", "oom 9"])
def test_who_ends_after_all_was_read_anew_is_gone_and_no_failure(action):
    with victim(marker()) as hog, contextlib.ExitStack() as held:
        edge = performer()
        ready = edge.prepare(about(hog, action), held)
        assert isinstance(ready, Ready)
        hog.process.kill()
        hog.process.wait()
        outcome = edge.carry_out(ready, 0.0)
        assert (outcome.result, outcome.detail) == (Result.GONE, "")


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
    assert performer().perform(decided) == Outcome(decided, result, detail)


@needs_root
@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("kill", Result.DENIED),
        ("nice 9", Result.DENIED),
        ("oom 9", Result.DENIED),
        ("log x", Result.TOLD),
    ],
)
def test_to_who_is_not_root_another_users_process_is_denied_but_may_be_told_of(action, result):
    with victim(marker()) as hog:
        decided = about(hog, action)
        child = os.fork()
        if not child:
            try:
                os.setresuid(65534, 65534, 65534)
                os._exit(
                    0 if performer(Reads(decided.process, {"rmem": 5 * MIB})).perform(decided).result is result else 1
                )
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert state(hog.pid) in "SR"


# --- nothing is done ---

EVERY_ACTION = ["kill", "nice 9", "oom 9", "exec true", "notify x", "log x"]


@pytest.mark.parametrize("action", EVERY_ACTION)
@pytest.mark.parametrize("how", ["dry run", "observe"])
def test_a_dry_run_of_everything_or_of_one_monitor_only_says_so(action, how):
    with victim(marker()) as hog:
        edge = performer(dry_run=how == "dry run")
        edge.notifier.tell = mock.Mock(side_effect=AssertionError("told"))
        for decided in (about(hog, action, observe=how == "observe"), about_all(action, observe=how == "observe")):
            assert edge.perform(decided).result is Result.DRY_RUN
        assert not edge.spawner.busy
        assert state(hog.pid) in "SR"
        assert os.getpriority(os.PRIO_PROCESS, hog.pid) == 0


def test_a_dry_run_asks_again_as_well():
    with pins():
        assert performer(Family(HOG, mib=1), dry_run=True).perform(verdict()).result is Result.REFUTED


@pytest.mark.parametrize(
    ("decided", "text"),
    [
        (verdict("log $NAME[$PID]: $VALUE"), "m[100]: 200m"),
        (about_all("notify $NAME: $VALUE", value="4"), "m: 4"),
        (verdict("exec logger $NAME"), ""),
        (verdict("term"), ""),
    ],
)
def test_a_dry_run_says_what_would_be_told(decided, text):
    with pins():
        assert performer(Family(HOG), dry_run=True).perform(decided).text == text


# --- texts ---


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("$NAME uses $VALUE", "m uses 200m"),
        ("${NAME}: $PID of $OWNER, $RMEM $VMEM", f"m: 100 of {owner(1000)}, {200 * MIB} {400 * MIB}"),
        ("more than $LIMIT: $RULE", "more than 100m: rmem > 100m"),
        ("'$CMDLINE'", "hog $NAME $(reboot)"),  # once, and by no shell
        ("costs 5$", "costs 5$"),
    ],
)
def test_variables_in_a_log_line_are_replaced(words, text):
    with pins():
        hog = process(100, "hog $NAME $(reboot)")
        outcome = performer(Family(hog)).perform(verdict(f"log {words}", process=hog))
    assert (outcome.result, outcome.text) == (Result.TOLD, text)


def test_a_message_is_for_the_owner_of_the_process_and_has_its_variables_replaced():
    edge = performer(Family(process(100, uid=1234)))
    edge.notifier.tell = mock.Mock(return_value=Result.STARTED)
    with pins():
        outcome = edge.perform(verdict("notify @ 1h $NAME: $PID", name="browser", process=process(100, uid=1234)), 5.0)
    label = "monitor=browser pid=100 action=notify"
    edge.notifier.tell.assert_called_once_with(Message(1234, "browser", "browser: 100", "browser", label), 5.0)
    assert (outcome.result, outcome.text) == (Result.STARTED, "browser: 100")


def test_a_message_that_cannot_be_told_now_is_a_failure_that_says_so():
    edge = performer(Family(HOG))
    edge.notifier.tell = mock.Mock(side_effect=BlockingIOError(11, "Resource temporarily unavailable"))
    with pins():
        outcome = edge.perform(verdict("notify x"))
    assert (outcome.result, outcome.detail) == (Result.FAILED, "Resource temporarily unavailable")


# --- rules about no single process ---


@pytest.mark.parametrize(
    ("action", "text"), [("log $NAME has $VALUE, $RULE", "m has 4, count > 3"), ("notify $NAME: $LIMIT", "m: 3")]
)
def test_where_there_is_no_process_the_log_is_told(action, text):
    edge = performer()
    edge.notifier.tell = mock.Mock(side_effect=AssertionError("there is nobody to tell"))
    outcome = edge.perform(about_all(action, value="4", limit="3"))
    assert (outcome.result, outcome.text) == (Result.TOLD, text)


def test_a_message_about_all_that_a_monitor_covers_is_for_the_owner_of_one_of_them():
    edge = performer(Family(HOG))
    edge.notifier.tell = mock.Mock(return_value=Result.SENT)
    decided = verdict("notify $NAME: $VALUE", "count > 3", sample={"count": 4}, value="4")
    with pins():
        edge.perform(replace(decided, cause=replace(decided.cause, subject=None)))
    message = edge.notifier.tell.call_args.args[0]
    assert (message.uid, message.text) == (1000, "m: 4")


def test_a_command_of_a_rule_about_no_single_process_gets_no_pid_not_even_one_that_we_were_given(monkeypatch, tmp_path):
    """`exec kill $PID` would be for whoever has the number that whoever started us left in the environment."""
    for name in ("PID", "OWNER", "CMDLINE", "RMEM", "VMEM"):
        monkeypatch.setenv(name, "1")
    edge, told = performer(), tmp_path / "told"
    command = f'exec echo "$NAME $VALUE ${{PID-none}} ${{OWNER-none}} ${{CMDLINE-}} ${{RMEM-}} ${{VMEM-}}" > {told}'
    assert edge.perform(about_all(command, value="4")).result is Result.STARTED
    ran(edge)
    assert told.read_text().split() == ["m", "4", "none", "none"]


# --- commands ---


def environment(decided, **sample):
    return actions._environment(Ready(decided, sample, None))


def test_a_command_gets_every_value_as_a_variable_beside_what_we_were_given():
    seen: Process = process(100, 'hog "$(reboot)"')
    decided = verdict("exec @ 1h x", "rmem > 100m", process=seen, name="conkeror")
    found = environment(decided, rmem=200 * MIB, vmem=300 * MIB)
    assert found == {
        **os.environ,
        "NAME": "conkeror",
        "PID": "100",
        "RULE": "rmem > 100m",
        "VALUE": "200m",
        "LIMIT": "100m",
        "RMEM": str(200 * MIB),
        "VMEM": str(300 * MIB),
        "CMDLINE": 'hog "$(reboot)"',
        "ACTION": "exec @ 1h x",
        "OWNER": owner(1000),
    }


@pytest.mark.parametrize("name", ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "INVOCATION_ID"])
def test_a_command_does_not_get_what_is_between_systemd_and_us(name, monkeypatch):
    monkeypatch.setenv(name, "/run/systemd/notify")
    assert name not in environment(verdict("exec x"))


def test_a_huge_command_line_does_not_keep_a_command_from_being_started():
    assert len(environment(verdict("exec x", process=process(100, "x" * 3_000_000)))["CMDLINE"]) == 8192


def test_a_command_is_started_for_a_real_process_and_told_about_it(tmp_path):
    with victim(marker(), mib=32) as hog:
        edge, told = performer(), tmp_path / "told"
        outcome = edge.perform(about(hog, f'exec echo "$NAME $PID $OWNER" > {told}'))
        assert outcome.result is Result.STARTED
        ran(edge)
        assert told.read_text() == f"m {hog.pid} {owner(os.geteuid())}\n"


def test_a_full_queue_is_a_failure_that_says_so(monkeypatch):
    with victim(marker()) as hog:
        edge = performer()

        def full(*_):
            raise actions.QueueFull("256 commands are waiting already")

        monkeypatch.setattr(edge.spawner, "start", full)
        outcome = edge.perform(about(hog, "exec x"))
        assert (outcome.result, outcome.detail) == (Result.FAILED, "256 commands are waiting already")


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_command_that_cannot_be_started_now_uses_up_no_limit_and_can_be_tried_again(error):
    edge = performer()
    with mock.patch("os.posix_spawn", side_effect=OSError(error, os.strerror(error))):
        outcome = edge.perform(about_all("exec @ 1h true"))
    assert (outcome.result, outcome.detail, outcome.result.delivered) == (Result.FAILED, os.strerror(error), False)
    assert not edge.spawner.busy
    assert edge.perform(about_all("exec @ 1h true")).result is Result.STARTED
    ran(edge)


@pytest.mark.parametrize(
    ("middle", "result"),
    [
        (process(60, "middle", ppid=50), Result.SENT),
        (process(60, "middle", ppid=1), Result.REFUTED),  # nobody's child by now, and what is below it with it
        (None, Result.REFUTED),
    ],
)
def test_every_parent_up_to_what_a_descendant_was_found_by_is_asked_again(middle, result):
    root, grandchild = process(50, "hog"), process(100, "x", ppid=60)
    family = Family(*(each for each in (root, middle, grandchild) if each))
    with pins() as sent:
        outcome = performer(family).perform(verdict(process=grandchild, root=root, depth=2))
    assert (outcome.result, bool(sent)) == (result, result is Result.SENT)
