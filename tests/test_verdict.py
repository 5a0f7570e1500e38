import re

import pytest

from fallfromgrace.records import replace
from fallfromgrace.rules import Selector
from fallfromgrace.verdict import Kind, Reread, Result, refutation
from tests.builders import MIB, process, verdict

BIG, SMALL = {"rmem": 200 * MIB}, {"rmem": 50 * MIB}
HOG, ROOT, CHILD = process(100), process(50, "hog"), process(100, "child", ppid=50)
BELOW = {"process": CHILD, "root": ROOT, "depth": 1}
PROTECTED = {"protect": (Selector(re.compile("precious")),)}
EXCLUDED = {"exclude": "spare"}
GONE, OTHER = "what it was found by has ended", "what it was found by runs something else now"
NO_CAUSE, RECOVERED = "the condition no longer holds", "it has recovered"


def reread(target=HOG, root=None, subject=None, sample=BIG):
    """What a single process is now, which is its own root and subject unless a test has others."""
    return Reread(target, root or target, subject or target, sample)


@pytest.mark.parametrize(
    ("decided", "now", "reason"),
    [
        (verdict(), reread(), ""),
        (verdict(), reread(process(100, "hog renamed")), ""),
        (verdict(), reread(process(100, ppid=2)), ""),
        (verdict(), reread(process(100, "vi")), OTHER),
        (verdict(**BELOW), reread(CHILD, ROOT), ""),
        (verdict(**BELOW), Reread(CHILD, None, CHILD, BIG), GONE),
        (verdict(**BELOW), reread(CHILD, process(50, "hog", start=51)), GONE),
        (verdict(**BELOW), reread(CHILD, process(50, "vi")), OTHER),
        (verdict(**BELOW), reread(CHILD._replace(ppid=1), ROOT), "it is no longer a child of what it was found below"),
    ],
)
def test_a_verdict_stands_only_for_what_is_still_what_it_was_found_to_be(decided, now, reason):
    assert refutation(decided, now) == reason


@pytest.mark.parametrize(
    ("action", "decided", "now", "reason"),
    [
        ("term", EXCLUDED, reread(process(100, "hog --spare")), OTHER),
        ("term", EXCLUDED | BELOW, reread(process(100, "child --spare", ppid=50), ROOT), "it is excluded now"),
        ("log x", EXCLUDED | BELOW, reread(process(100, "child --spare", ppid=50), ROOT), "it is excluded now"),
        ("term", PROTECTED, reread(process(100, "precious hog")), "it is protected now"),
        ("nice 5", PROTECTED, reread(process(100, "precious hog")), "it is protected now"),
        ("exec x", PROTECTED, reread(process(100, "precious hog")), "it is protected now"),
        ("log x", PROTECTED, reread(process(100, "precious hog")), ""),
        ("notify x", PROTECTED, reread(process(100, "precious hog")), ""),
        ("term", PROTECTED | BELOW, reread(CHILD, process(50, "precious hog")), ""),
    ],
)  # fmt: skip
def test_who_is_excluded_or_protected_by_now_is_left_alone_but_may_be_told_of(action, decided, now, reason):
    assert refutation(verdict(action, **decided), now) == reason


def test_what_runs_the_same_as_when_it_was_decided_is_not_searched_again():
    """A search may be dear, and who chooses the text must not make us do it again just before acting."""

    class Never:
        def search(self, text):
            raise AssertionError(text)

    def never(decided):
        whose = replace(decided.monitor, selector=Selector(Never()), exclude=Never())
        settings = replace(decided.cause.settings, protect=(Selector(Never()),))
        return replace(decided, cause=replace(decided.cause, monitor=whose, settings=settings))

    assert refutation(never(verdict()), reread(process(100, ppid=2))) == ""
    assert refutation(never(verdict(**BELOW)), reread(CHILD, ROOT)) == ""
    for now in (reread(process(100, "vi")), reread(process(100, uid=1)), reread(process(100, exe="/usr/bin/vi"))):
        with pytest.raises(AssertionError):
            refutation(never(verdict()), now)


SUBJECT = process(70, "hog", ppid=1)
OF_TREE = {"process": CHILD, "root": ROOT, "depth": 1, "subject": SUBJECT}


@pytest.mark.parametrize(
    ("subject", "sample", "reason"),
    [
        (SUBJECT, BIG, ""),
        (SUBJECT, SMALL, NO_CAUSE),
        (None, {}, "the process that the rule fires for has ended"),
        (process(70, "hog", start=71), BIG, "the process that the rule fires for has ended"),
    ],
)
def test_a_target_is_acted_upon_only_while_the_rule_fires_for_its_subject(subject, sample, reason):
    assert refutation(verdict("term tree", **OF_TREE), Reread(CHILD, ROOT, subject, sample)) == reason


UNTIL = "rmem > 100m until rmem < 80m"


@pytest.mark.parametrize(
    ("trigger", "fresh", "mib", "reason"),
    [
        ("rmem > 100m", True, 101, ""),
        ("rmem > 100m", True, 99, NO_CAUSE),
        ("rmem > 100m", False, 99, NO_CAUSE),
        (UNTIL, True, 99, NO_CAUSE),  # it has not begun yet
        (UNTIL, False, 99, ""),
        (UNTIL, False, 79, RECOVERED),
        (UNTIL, True, 79, RECOVERED),
        (f"{UNTIL} for 1m", False, 79, ""),  # what takes time is not read again
        ("rmem > 100m until rmem < 1g", True, 200, RECOVERED),
        ("rmem > 100m until cpu < 5%", False, 99, ""),  # unknown ends nothing
        ("not rmem < 100m or vmem > 1g", True, 99, NO_CAUSE),
    ],
)
def test_a_rule_that_fires_no_more_is_refuted_by_what_was_read_last(trigger, fresh, mib, reason):
    decided = verdict("term", trigger, fresh=fresh, sample={"rmem": 500 * MIB, "vmem": 600 * MIB})
    assert refutation(decided, reread(sample={"rmem": mib * MIB, "vmem": 600 * MIB})) == reason


@pytest.mark.parametrize(
    "trigger",
    ["tree.rmem > 100m", "group.rmem > 100m", "cpu > 50%", "growth(rmem, 10m) > 50m", "pmem > 100m", "count > 3"],
)
def test_sums_rates_and_dear_readings_are_not_read_again(trigger):
    seen = {"tree.rmem": 300 * MIB, "group.rmem": 300 * MIB, "cpu": 90, "growth(rmem, 10m)": 60 * MIB, "count": 4}
    decided = verdict("term", trigger, sample={**seen, "pmem": 200 * MIB, "rmem": 250 * MIB})
    assert refutation(decided, reread(sample={"rmem": 1, "vmem": 1})) == ""


def test_a_recovery_stands_whatever_was_read_last():
    for now in (reread(sample=SMALL), reread(sample=BIG), Reread(HOG, HOG, None, {})):
        assert refutation(verdict("log x", recovered=True), now) == ""


def test_a_rule_about_all_that_a_monitor_covers_has_nothing_to_read_again_but_its_target():
    decided = verdict("term", "count > 3", sample={"count": 4})
    decided = replace(decided, cause=replace(decided.cause, subject=None))
    assert refutation(decided, Reread(HOG, HOG, None, {})) == ""
    assert refutation(decided, Reread(HOG, process(100, "vi"), None, {})) == OTHER


def test_what_was_done_or_only_said_in_a_dry_run_uses_limits():
    assert {result for result in Result if not result.delivered} == {
        Result.GONE, Result.REFUTED, Result.DENIED, Result.FAILED
    }  # fmt: skip


@pytest.mark.parametrize(
    ("action", "signals", "tells"),
    [
        ("term", True, False),
        ("stop tree @ 1m", True, False),
        ("cont", True, False),
        ("nice 5", False, False),
        ("oom 500", False, False),
        ("exec logger x", False, False),
        ("notify x", False, True),
        ("log x", False, True),
    ],
)
def test_some_actions_are_signals_and_some_only_tell(action, signals, tells):
    decided = verdict(action)
    assert (decided.wants_signal, decided.only_tells) == (signals, tells)
    assert not verdict(action, kind=Kind.PROTECTED).wants_signal
