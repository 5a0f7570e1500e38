import errno

import pytest

from fallfromgrace.adoption import Adoption
from fallfromgrace.errors import ConfigError, Problem
from fallfromgrace.logs import DEBUG, ERROR, INFO, NOTICE, WARNING
from fallfromgrace.records import replace
from fallfromgrace.report import Reporter
from fallfromgrace.verdict import Kind, Outcome, Result
from tests.builders import Lines, config, monitor, process, table, verdict


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def reporter(log):
    return Reporter(log)


def test_everything_that_was_done_is_told_each_time(reporter, log):
    for _ in range(3):
        reporter.outcome(Outcome(verdict("exec @ 1m x"), Result.STARTED))
    assert len(log) == 3


def test_what_keeps_failing_in_the_same_way_is_told_once(reporter, log):
    story = [(Result.DENIED, "a"), (Result.DENIED, "a"), (Result.FAILED, "b"), (Result.SENT, ""), (Result.DENIED, "a")]
    for result, detail in story:
        reporter.outcome(Outcome(verdict(), result, detail))
    told = [line.partition("result=")[2].split()[0] for _, line in log]
    assert told == ["denied", "failed", "sent", "denied"]


KINDS = [
    (Kind.PROTECTED, NOTICE),
    (Kind.SPARED, NOTICE),
    (Kind.UNKNOWN, WARNING),
    (Kind.EARLY, DEBUG),
    (Kind.PENDING, DEBUG),
    (Kind.LIMITED, DEBUG),
    (Kind.SHADOWED, DEBUG),
]


@pytest.mark.parametrize(("kind", "priority"), KINDS)
def test_what_stands_in_the_way_is_told_once_for_each_rule_and_process(reporter, log, kind, priority):
    for _ in range(3):
        reporter.verdict(verdict(kind=kind, reason="because"))
    assert len(log) == 1
    reporter.verdict(verdict(kind=kind, reason="because", process=process(101)))
    reporter.verdict(verdict(kind=kind, reason="because", trigger="vmem > 1g"))
    assert [found for found, _ in log] == [priority] * 3


@pytest.mark.parametrize(
    ("kind", "lines"),
    [(Kind.PROTECTED, 1), (Kind.SPARED, 1), (Kind.LIMITED, 2), (Kind.SHADOWED, 2), (Kind.FIRE, 0)],
)
def test_who_is_left_alone_is_told_once_whatever_the_actions_and_what_waits_once_for_each(reporter, log, kind, lines):
    for action in ("term", "nice 5", "term", "nice 5"):
        reporter.verdict(verdict(action, kind=kind, reason="because"))
    assert len(log) == lines


def test_what_comes_and_goes_is_not_told_each_time_that_it_comes(reporter, log):
    pending = replace(verdict(kind=Kind.PENDING, reason="its condition has to hold for longer"), item=None)
    unknown = replace(verdict(kind=Kind.UNKNOWN, reason="rmem cannot be read"), item=None)
    for _ in range(3):
        for each in (pending, unknown, verdict(kind=Kind.PROTECTED, reason="pid 1 is never acted upon")):
            reporter.verdict(each)
    assert [line.partition("result=")[2].split()[0] for _, line in log] == ["pending", "unknown", "protected"]


def test_another_reason_is_news(reporter, log):
    for reason in ("pmem cannot be read", "pmem cannot be read", "fds cannot be read"):
        reporter.verdict(verdict(kind=Kind.UNKNOWN, reason=reason))
    assert len(log) == 2


def test_what_is_about_no_process_is_told_once_and_remembered(reporter, log):
    asked = verdict("exec x", "count > 3", process=None, sample={"count": 4})
    for _ in range(3):
        reporter.outcome(Outcome(asked, Result.FAILED, "no"))
        reporter.forget(table())
    assert len(log) == 1


def test_what_was_said_is_forgotten_with_the_process(reporter, log):
    reporter.verdict(verdict(kind=Kind.PROTECTED, reason="because"))
    reporter.forget(table(process(100)))
    reporter.verdict(verdict(kind=Kind.PROTECTED, reason="because"))
    assert len(log) == 1
    reporter.forget(table(process(100, start=5)))
    assert not reporter._said


def test_the_first_line_says_what_is_watched(reporter, log):
    watched = config(monitor({"rmem > 1": "term", "vmem > 1": "term"}), monitor({"rmem > 1": "term"}, "n"))
    reporter.started(watched, "1.2", dry_run=False)
    reporter.started(config(), "1.2", dry_run=True)
    assert log == [
        (INFO, "started, version 1.2: 2 monitors, 3 rules, interval 10s"),
        (INFO, "started, version 1.2: 0 monitors, 0 rules, interval 10s; dry run: nothing is acted upon"),
    ]


def test_a_reload_says_what_changed_and_who_stays_stopped(reporter, log):
    adoption = Adoption(added=2, removed=1, changed=4, timers_kept=3, left_behind=())
    reporter.reloaded(config(monitor({"rmem > 1": "term"})), adoption)
    reporter.left_stopped([], "by a rule")
    reporter.left_stopped(list(range(1_000_000, 1_000_100)), "by a rule")
    assert sum(line.count("100009") for _, line in log) == 2 * 10  # every pid is named twice, in whole lines
    assert all(len(line) < 960 for _, line in log)
    del log[1:]
    reporter.left_stopped([7, 8], "by a rule that is gone")
    assert log == [
        (NOTICE, "configuration reloaded: 1 monitor, 1 rule; +2 rules, -1, 4 changed, 3 armed timers kept"),
        (WARNING, "still stopped by a rule that is gone: 7 8; continue them with kill -CONT 7 8"),
    ]


def test_a_refused_configuration_is_told_with_every_problem(reporter, log):
    reporter.refused(ConfigError([Problem("a.conf", 2, 3, "wrong"), Problem("b.conf", 0, 0, "missing")]))
    assert log == [
        (ERROR, "configuration not reloaded, the old one stays in force: 2 problems"),
        (ERROR, "a.conf:2:3: wrong"),
        (ERROR, "b.conf: missing"),
    ]


# --- faults of ours ---


def fault(text="oh"):
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError as error:
        return error


def test_a_fault_is_told_with_where_it_came_from():
    log = Lines()
    Reporter(log).fault("a look", fault(), 0.0)
    assert log[0] == (ERROR, "a look failed; please report this:")
    assert log[-1] == (ERROR, "ZeroDivisionError: oh")
    assert f"{__file__}, line " in log.text()


def test_what_keeps_failing_is_told_once_a_minute_and_how_often_it_did():
    log, heads = Lines(), []
    reporter = Reporter(log)
    for second in range(121):
        reporter.fault("a look", fault(), float(second))
    heads = [text for _, text in log if text.startswith("a look")]
    assert heads == [
        "a look failed; please report this:",
        "a look failed, 59 times more since this was told; please report this:",
        "a look failed, 59 times more since this was told; please report this:",
    ]


def test_each_kind_of_fault_and_what_failed_by_it_is_told():
    log = Lines()
    reporter = Reporter(log)
    for what, error in (("a look", fault()), ("a turn", fault()), ("a look", OSError(5, "bad"))):
        reporter.fault(what, error, 0.0)
    assert len([text for _, text in log if "please report" in text]) == 3


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError(), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.EMFILE, "Too many open files"), "file descriptors"),
        (OSError(errno.ENFILE, "Too many open files in system"), "file descriptors"),
    ],
)
def test_what_we_have_too_little_of_is_no_fault_to_be_reported(error, lacking):
    log = Lines()
    Reporter(log).fault("a look", error, 0.0)
    assert log == [(ERROR, f"a look failed for want of {lacking}, and is made up for")]


@pytest.mark.parametrize(
    "tell",
    [
        lambda reporter: reporter.outcome(Outcome(verdict(), Result.SENT)),
        lambda reporter: reporter.verdict(verdict(kind=Kind.PROTECTED, reason="x")),
        lambda reporter: reporter.fault("a look", fault(), 0.0),
        lambda reporter: reporter.left_stopped([1], "by a rule"),
    ],
)
def test_what_cannot_be_told_for_want_of_memory_is_not_passed_over_in_silence(tell):
    log = Short()
    tell(Reporter(log))
    assert log == [(ERROR, "something happened that cannot be told, for want of memory")]


class Short(Lines):
    """A log with memory for the second line only."""

    failed = False

    def write(self, priority, text):
        if not self.failed:
            self.failed = True
            raise MemoryError
        super().write(priority, text)
