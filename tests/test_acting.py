"""Acting with made-up engines and performers; what the loop does with it is in test_loop."""

from types import SimpleNamespace

import pytest

from fallfromgrace.acting import Acting
from fallfromgrace.report import Reporter
from fallfromgrace.verdict import Outcome, Result
from tests.builders import Lines, process, verdict


class Stage:
    """An engine and a performer that keep what they are told; `fails` has what fails, and how often it still does."""

    def __init__(self, **fails):
        self.fails, self.story, self.log, self.notes = fails, [], Lines(), 0
        self.acting = Acting(self, Reporter(self.log), self._note, lambda: 7.0)

    def _note(self, outcome, seen):
        self.notes += 1

    def _do(self, what, pid):
        if self.fails.get(what, 0):
            self.fails[what] -= 1
            raise self.fails.get("error", MemoryError)()
        self.story.append(f"{what} {pid}")

    def due_at(self, each):
        return 0.0

    def prepare(self, each, held):
        self._do("prepare", each.process.id.pid)
        return SimpleNamespace(verdict=each)

    def carry_out(self, ready, now):
        if isinstance(ready, Outcome):
            return ready
        self._do("carry out", ready.verdict.process.id.pid)
        return Outcome(ready.verdict, Result.SENT)

    def record(self, outcome, now):
        self._do("record", outcome.verdict.process.id.pid)
        self.story[-1] += f" {outcome.result.value} at {now:g}"

    def act(self, *pids, now=5.0):
        self.acting.act(self, [verdict(process=process(pid)) for pid in pids], now)


def test_what_was_done_is_put_down_before_anything_else_is_done():
    stage = Stage()
    stage.act(200, 100)  # the deepest come first
    assert stage.story == [
        "prepare 100", "prepare 200",
        "carry out 100", "record 100 sent at 5",
        "carry out 200", "record 200 sent at 5",
    ]  # fmt: skip
    assert stage.notes == 2


def test_what_was_done_and_could_not_be_put_down_is_put_down_later_and_till_then_nothing_is_done():
    stage = Stage(record=2)
    with pytest.raises(MemoryError):
        stage.act(200, 100)
    with pytest.raises(MemoryError):
        stage.acting.record(stage)
    stage.acting.record(stage)
    stage.acting.record(stage)
    assert stage.story[2:] == ["carry out 100", "record 100 sent at 5"]
    assert stage.notes == 1


@pytest.mark.parametrize("what", ["prepare", "carry out"])
@pytest.mark.parametrize(
    ("error", "detail"), [(MemoryError, "memory is short"), (ZeroDivisionError, "a fault of fall-from-grace")]
)
def test_one_that_fails_costs_the_others_nothing_and_is_to_be_tried_again(what, error, detail):
    stage = Stage(**{what: 1}, error=error)
    stage.act(200, 100)
    records = [line for line in stage.story if line.startswith("record")]
    assert records == ["record 100 failed at 5", "record 200 sent at 5"]
    assert f'result=failed detail="{detail}"' in stage.log.text()
    assert stage.log.text().startswith("an action failed")


def test_who_presses_ctrl_c_is_heard():
    stage = Stage(**{"carry out": 1}, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        stage.act(100)
