"""What is remembered becomes plain values and the same again; and nothing else is taken for it."""

import copy
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallfromgrace.forms import Malformed
from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.state import Author, Bygone, Moment, document, recalled, restored, snapshot
from fallfromgrace.table import ProcessId
from fallfromgrace.verdict import Result
from tests.builders import Life, monitor, process
from tests.strategies import patiently

NOW = 1000.0
AUTHOR = Author("1.0", "boot", 77, "/etc/x.conf", Moment(5.0, 900.0))

times = st.floats(0, NOW)
words = st.text(max_size=8)
identities = st.builds(ProcessId, st.integers(1, 1 << 22), st.integers(0, 1 << 63))
anybody = st.none() | identities
ladders = st.tuples(
    st.lists(st.tuples(st.floats(0, 1e9), st.lists(words, max_size=2).map(tuple)), min_size=1, max_size=3).map(tuple),
    st.lists(words, max_size=2).map(tuple),
)


@st.composite
def memories(draw):
    rules = draw(st.dictionaries(st.tuples(words, words), ladders, min_size=1, max_size=3))
    memory = Memory(Ways(rules, draw(st.frozensets(st.sampled_from([name for name, _ in rules])))))
    keys = st.tuples(st.sampled_from(list(rules)), anybody)
    memory.instances = {key: draw(instances(len(rules[key[0]][0]))) for key in draw(st.lists(keys, max_size=4))}
    memory.limits = draw(
        st.dictionaries(st.tuples(words, words, anybody | st.integers(0, (1 << 32) - 1)), times, max_size=3)
    )
    clocks = st.builds(RunningClock, st.none() | times, st.tuples(words, words))
    memory.clocks = draw(st.dictionaries(st.tuples(identities, st.booleans()), clocks, max_size=3))
    memory.retries = draw(st.dictionaries(st.tuples(keys, words, anybody), st.floats(0, 2 * NOW), max_size=3))
    return memory


def instances(rungs):
    return st.builds(
        Instance,
        phase=st.sampled_from(Phase),
        since=times,
        rung=st.integers(0, rungs - 1),
        reached=times,
        ending=st.none() | times,
        known=st.booleans(),
        acted=st.booleans(),
        owed=st.dictionaries(words, st.frozensets(anybody, max_size=2), max_size=2).map(MappingProxyType),
        told_to_end=st.frozensets(identities, max_size=2),
    )


def plain(values):
    """As a file would give it back."""
    return json.loads(json.dumps(values))


def facts(memory):
    """All of it, less how rules go about it that nothing is remembered of."""
    rules = {key: memory.ways.ladders[key] for key, _ in memory.instances}
    named = {key[0] for key in rules} | {key[0] for key in memory.limits} | {key[0][0][0] for key in memory.retries}
    observing = set(memory.ways.observing) & named
    return rules, observing, memory.instances, memory.limits, memory.clocks, memory.retries


@patiently
@given(memories())
def test_what_is_remembered_comes_back_the_same(memory):
    assert facts(restored(plain(snapshot(memory)), NOW)) == facts(memory)


def lived():
    """A state with everything in it that there can be."""
    life = Life(
        monitor(
            {
                "rmem > 500m": ["stop @ 10m", "exec @ 1h x", "log y", "after 1m term", "recovered log z"],
                "vmem > 1t until vmem < 1g for 1m": "kill",
                "rmem > 600m for 1h": "kill",
                "count > 0": "notify @ 1h n",
            }
        ),
        monitor({"rmem > 500m": "term"}, "seen", observe=True),
    )
    for now in (0, 10, 100):
        life.look(now, (process(100), 700), (process(200), 700), (process(300), 800))
    life.look(
        130,
        (process(100), 700),
        (process(200), 700),
        (process(300), 800),
        (process(400), 900),
        results={400: Result.FAILED},
    )
    return life.engine.memory


def places(values, at=()):
    """Where there is anything, by how to get there."""
    yield at
    found = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in found:
        yield from places(value, (*at, key))


def test_every_part_of_a_state_that_is_something_else_is_refused():
    good = plain(snapshot(lived()))
    assert facts(restored(good, NOW))
    for place in places(good):
        for wrong in (float("nan"), float("inf"), -1, {"more": 1}, {}, [[]], object()):
            with pytest.raises(Malformed):
                restored(changed(good, place, wrong), NOW)


def test_every_field_is_needed_and_no_other_is_known():
    good = plain(snapshot(lived()))
    for *place, key in list(places(good))[1:]:
        within = at(good, place)
        if isinstance(within, dict):
            with pytest.raises(Malformed):
                restored(changed(good, place, {name: value for name, value in within.items() if name != key}), NOW)
            with pytest.raises(Malformed):
                restored(changed(good, place, {**within, "more": 1}), NOW)


def at(values, place):
    for key in place:
        values = values[key]
    return values


def changed(values, place, value):
    if not place:
        return value
    values = copy.deepcopy(values)
    at(values, place[:-1])[place[-1]] = value
    return values


def test_what_is_there_twice_is_refused():
    good = plain(snapshot(lived()))
    for place in list(places(good))[1:]:
        rows = at(good, place)
        if rows and place[-1] in ("rules", "lives", "limits", "clocks", "retries", "owed"):
            with pytest.raises(Malformed, match="is there twice"):
                restored(changed(good, place, rows * 2), NOW)


@pytest.mark.parametrize(
    ("place", "wrong", "told"),
    [
        (("rules", 0, "lives", 0, "since"), 1000.1, "rules: 0: lives: 0: since: 1000.1 is yet to come"),
        (("rules", 0, "lives", 0, "phase"), "fired", "rules: 0: lives: 0: phase: 'fired' is no phase of a rule"),
        (("rules", 0, "lives", 0, "rung"), 2, "rung 2 of a rule that has 2"),
        (("rules", 0, "lives", 0, "of"), [0, 5], "rules: 0: lives: 0: of: 0 is no number from 1 to 4194304"),
        (("limits", 0, "of"), True, "limits: 0: of: True is no number from 0 to 4294967295"),
        (("clocks", 0, "stopped_by"), ["m"], "clocks: 0: stopped_by: this is no list of 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(place, wrong, told):
    with pytest.raises(Malformed) as error:
        restored(changed(plain(snapshot(lived())), place, wrong), NOW)
    assert str(error.value) == told


# --- the whole document ---


def written(**more):
    return {**plain(document(AUTHOR, lived(), Moment(6.0, 950.0))), **more}


def test_a_document_says_whose_it_is_and_when_it_was_written():
    past = recalled(written(), "boot", NOW)
    assert (past.pid, past.written) == (77, 950.0)
    assert facts(past.memory) == facts(lived())


def test_a_document_may_have_more_in_it_for_others_to_read():
    assert recalled(written(counters={"sent": 5}), "boot", NOW).pid == 77


def test_a_document_of_before_the_machine_was_started_anew_is_told_apart_whatever_its_times():
    with pytest.raises(Bygone):
        recalled(written(boot="another", written={"wall": 1, "monotonic": 1e9}), "boot", NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 2},
        {"format": None},
        {"boot": None},
        {"pid": 0},
        {"written": 950.0},
        {"written": {"wall": 6.0, "monotonic": 1000.5}},
        {"memory": None},
        {"memory": {}},
    ],
)
def test_a_document_that_none_of_us_wrote_is_malformed(wrong):
    with pytest.raises(Malformed):
        recalled(written(**wrong), "boot", NOW)


@pytest.mark.parametrize("values", [None, [], "x", 5, {}])
def test_what_is_no_document_is_malformed(values):
    with pytest.raises(Malformed, match="no state of format 1"):
        recalled(values, "boot", NOW)
