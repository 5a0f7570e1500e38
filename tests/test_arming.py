"""When those who were judged are looked at again. No clock, no process."""

import pytest

from fallfromgrace.verdict import NO_LONGER, Outcome, Result
from tests.builders import MIB, Life, monitor, process

HOG, OTHER, GIB = process(100), process(200), 1024 * MIB


def sample(mib, **other):
    return {"rmem": mib * MIB, "vmem": mib * MIB, "stopped": 0, "threads": 1, "swap": 0, **other}


def lived(life, until, world, results=lambda now, action: Result.SENT):
    """(when, pid, action, what came of it) of everything that was tried."""
    done, record = [], life.engine.record

    def recorded(outcome, now):
        action = str(outcome.verdict.item.action)
        result = results(now, action)
        done.append((now, outcome.verdict.process.id.pid, action, result))
        record(Outcome(outcome.verdict, result, NO_LONGER), now)

    life.engine.record = recorded
    life.live(until, world)
    return done


def test_parts_of_what_the_machine_has_are_calculated_anew_each_interval():
    """Memory may be taken from a virtual machine, and swap be turned off."""
    machine = {}
    life = Life(monitor({"rmem > 50%": "exec x", "swap > 50%": "exec y"}), machine=machine)

    def world(now):
        less = now >= 20
        machine.update(memory=(2 if less else 16) * GIB, swaptotal=(1 if less else 16) * GIB)
        return [(HOG, sample(1500, swap=700 * MIB))]

    assert [(now, action) for now, _, action in life.live(60, world)] == [(20.0, "exec x"), (20.0, "exec y")]


def test_who_was_stopped_for_a_group_is_seen_running_again_while_no_rule_fires():
    life = Life(monitor({"group.rmem > 500m": "stop group @ 2m"}))

    def world(now):
        return [(HOG, sample(600 if now < 20 or now >= 200 else 100, stopped=int(1 < now < 60)))]

    assert [now for now, *_ in life.live(250, world)] == [0.0, 200.0]


def test_when_the_largest_is_gone_the_next_one_is_found_at_once():
    machine = {"available": 1, "memory": 16 * GIB}
    life = Life(monitor({"system.available < 1g": "kill largest"}), interval=60.0, machine=machine)

    def world(now):
        return [*([(HOG, sample(900))] if now < 0.04 else []), (OTHER, sample(800))]

    done = lived(life, 61, world, lambda now, _: Result.GONE if now < 0.04 else Result.SENT)
    assert [(pid, result) for _, pid, _, result in done] == [(100, Result.GONE), (200, Result.SENT)]
    assert done[1][0] <= 1.0


def test_what_was_refuted_after_something_else_was_done_is_tried_again_soon():
    life = Life(monitor({"rmem > 500m": ["log x", "term"]}))
    results = {(2.0, "term"): Result.REFUTED}
    done = lived(
        life,
        20,
        lambda now: [(HOG, sample(600 if now >= 2 else 100))],
        lambda now, action: results.get((now, action), Result.SENT),
    )
    assert [action for _, _, action, _ in done] == ["log x", "term", "term"]
    assert done[2][0] <= 3.0


def test_the_weaker_of_two_signals_follows_at_the_next_tick():
    life = Life(monitor({"rmem > 500m": ["usr1", "usr2"]}), interval=3600)
    done = lived(life, 20, lambda now: [(HOG, sample(600))])
    assert [(now, action) for now, _, action, _ in done] == [(0.0, "usr1"), (0.05, "usr2")]


def test_who_is_not_stopped_because_it_was_told_to_end_is_not_looked_at_all_the_time():
    life = Life(monitor({"rmem > 900m": "term"}), monitor({"rmem > 500m": "stop @ 1s"}, "other"))
    life.live(9, lambda now: [(HOG, sample(950))])
    assert len(life.judged) < 20


def test_a_rule_is_watched_however_long_its_until_has_to_last():
    life = Life(monitor({"rmem > 1g until rmem < 500m for 1m": "term"}))
    [(when, *_)] = life.live(20, lambda now: [(HOG, sample(100 + 1000 * max(0, now - 1)))])
    assert when == pytest.approx(1.95)


def test_what_could_not_be_read_once_is_read_again_soon():
    life = Life(monitor({"rmem > 500m": "term"}), interval=3600.0)

    def world(now):
        return [(HOG, sample(100 + 1000 * max(0, now - 5)) if now >= 1 else {"threads": 1})]

    [(when, *_)] = life.live(20, world)
    assert when == pytest.approx(5.45, abs=0.051)
