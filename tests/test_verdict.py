import pytest

from fallfromgrace.verdict import Result, refutation
from tests.builders import MIB, process, verdict

BIG, SMALL = {"rmem": 200 * MIB}, {"rmem": 50 * MIB}
CHILD = process(100, "child", ppid=50)


@pytest.mark.parametrize(
    ("decided", "read", "sample", "reason"),
    [
        (verdict(), process(100), BIG, ""),
        (verdict(), process(100, "hog renamed"), BIG, ""),
        (verdict(), process(100, start=101), BIG, "ended"),
        (verdict(), process(100, state="Z"), BIG, "ended"),
        (verdict(), process(100, "vi"), BIG, "it runs something else now"),
        (verdict(), process(100), SMALL, "the condition no longer holds"),
        (verdict(), process(100), {}, "the condition no longer holds"),
        (verdict(process=CHILD, selected=False), CHILD, BIG, ""),
        (
            verdict(process=CHILD, selected=False),
            process(100, "child", ppid=1),
            BIG,
            "it is no longer a child of what was found",
        ),
    ],
)
def test_a_verdict_stands_only_if_what_is_read_just_before_acting_still_gives_cause(decided, read, sample, reason):
    assert refutation(decided, read, sample) == reason


def test_what_was_done_or_only_said_in_a_dry_run_uses_limits():
    assert {result for result in Result if result.delivered} == {
        Result.SENT, Result.STARTED, Result.QUEUED, Result.DRY_RUN
    }  # fmt: skip
