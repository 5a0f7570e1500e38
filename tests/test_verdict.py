import pytest

from fallfromgrace.verdict import Result, refutation
from tests.builders import MIB, process, verdict

BIG, SMALL = {"rmem": 200 * MIB}, {"rmem": 50 * MIB}
HOG, ROOT, CHILD = process(100), process(50, "hog"), process(100, "child", ppid=50)
BELOW = verdict(process=CHILD, root=ROOT, depth=1)


@pytest.mark.parametrize(
    ("decided", "read", "root", "sample", "reason"),
    [
        (verdict(), HOG, HOG, BIG, ""),
        (verdict(), HOG, process(100, "hog renamed"), BIG, ""),
        (verdict(), HOG, process(100, "vi"), BIG, "what it was found by runs something else now"),
        (verdict(), HOG, HOG, SMALL, "the condition no longer holds"),
        (verdict(), HOG, HOG, {}, "the condition no longer holds"),
        (verdict(), process(100, ppid=2), HOG, BIG, ""),
        (BELOW, CHILD, ROOT, BIG, ""),
        (BELOW, CHILD, None, BIG, "what it was found by has ended"),
        (BELOW, CHILD, process(50, "hog", start=51), BIG, "what it was found by has ended"),
        (BELOW, CHILD, process(50, "vi"), BIG, "what it was found by runs something else now"),
        (BELOW, CHILD._replace(ppid=1), ROOT, BIG, "it is no longer a child of what it was found below"),
    ],
)
def test_a_verdict_stands_only_if_what_is_read_just_before_acting_still_gives_cause(
    decided, read, root, sample, reason
):
    assert refutation(decided, read, root, sample) == reason


def test_what_was_done_or_only_said_in_a_dry_run_uses_limits():
    assert {result for result in Result if result.delivered} == {
        Result.SENT, Result.STARTED, Result.QUEUED, Result.DRY_RUN
    }  # fmt: skip
