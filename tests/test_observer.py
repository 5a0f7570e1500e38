import os
import signal

import pytest

from fallfromgrace import observer
from fallfromgrace.lifecycle import Instance, Phase, RunningClock
from fallfromgrace.memory import Memory, Ways
from fallfromgrace.observer import Observer
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet
from fallfromgrace.rules import Config
from fallfromgrace.source import Unready
from fallfromgrace.table import Descent
from fallfromgrace.verdict import Kind
from tests.builders import MIB, Crowd, config, monitor, process, table

HOG = process(100)
KID = process(101, "kid", ppid=100)
US = process(os.getpid())


class Source(Crowd):
    """A hog, its child and ourselves; nobody can be looked at at once."""

    def __init__(self, tell):
        super().__init__({each.id: {"rmem": 50 * MIB, "vmem": 90 * MIB, "stopped": 0} for each in (HOG, KID, US)})
        self.there, self.unready, self.batches, self.closed = table(HOG, KID, US), 1, [], 0

    def configure(self, selects, process_events):
        assert (selects(HOG.image), selects(KID.image), process_events) == (True, False, False)

    def prepare(self, facets):
        self.prepared = facets

    def look(self, now):
        self.unready -= 1
        if self.unready >= 0:
            raise Unready
        return self.there

    def measure(self, wants, now):
        self.batches.append(list(wants))
        return super().measure(wants, now)

    def reread(self, pid):
        found = next((each for each in self.there if each.id.pid == pid), None)
        return (found, {}) if found else None

    def close(self):
        self.closed += 1


@pytest.fixture
def watching(monkeypatch):
    """An observer of these rules, by a clock that goes on by ten seconds with each look."""
    sources = []

    def make_source(tell):
        sources.append(Source(tell))
        return sources[-1]

    monkeypatch.setattr(observer, "LinuxSource", make_source)
    handler = signal.getsignal(signal.SIGALRM)
    times = iter(range(1000, 9000, 10))

    def make(rules, **other):
        whole = {"myself": Self(1234), "clock": lambda: float(next(times)), **other.pop("whole", {})}
        made = Observer(config(monitor(rules, children=True, **other)), pytest.fail, **whole)
        return made, sources[-1]

    yield make
    signal.signal(signal.SIGALRM, handler)


def remembered(*instances, ladders, **other):
    memory = Memory(Ways(ladders))
    memory.instances = dict(instances)
    for name, value in other.items():
        setattr(memory, name, value)
    return memory


def test_it_sees_everybody_but_itself_and_says_what_the_rules_do(watching):
    seeing, source = watching({"rmem > 10m": "term"})
    scene = seeing.observe()
    assert [each.id for each in scene.look.table] == [HOG.id, KID.id]
    assert [(each.kind, each.process.id) for each in scene.verdicts] == [(Kind.FIRE, KID.id), (Kind.FIRE, HOG.id)]
    assert scene.now == 1010.0 == scene.look.now  # the second look, since the first was none
    assert source.prepared == {Facet.MEMORY}


def test_looking_twice_goes_on_from_the_first_time(watching):
    seeing, _ = watching({"rmem > 10m for 5m": "term"})
    first, second = seeing.observe(), seeing.observe()
    instance = second.engine.memory.instance(second.look.cases[0].key)
    assert (instance.phase, instance.since) == (Phase.PENDING, first.now)
    assert second.look.table is first.look.table


def test_it_reads_in_batches_and_tells_that_it_goes_on(watching, monkeypatch):
    monkeypatch.setattr(observer, "_BATCH", 1)
    heard = []
    seeing, source = watching({"rmem > 10m": "term"}, whole={"going_on": lambda: heard.append("")})
    seeing.observe()
    assert [len(batch) for batch in source.batches] == [1, 1]
    assert len(heard) == 3  # also of the look that was none


def test_what_a_daemon_remembers_is_gone_on_from(watching):
    seeing, _ = watching({"rmem > 10m for 5m": "term", "rmem > 20m": "log @ 1h x"})
    first, second = seeing.config.monitors[0].rules
    ladders = {("m", rule.key): rule.ladder for rule in (first, second)}
    pending = (("m", first.key), HOG.id), Instance(Phase.PENDING, 900.0)
    seeing.assume(remembered(pending, ladders=ladders, limits={("m", "log @ 1h x", None): 800.0}))
    scene = seeing.observe()
    assert scene.engine.memory.instance(pending[0]).since == 900.0
    assert [(each.kind, each.process.id.pid) for each in scene.verdicts if each.item] == [
        (Kind.LIMITED, HOG.id.pid),
        (Kind.LIMITED, KID.id.pid),
    ]


@pytest.mark.parametrize(
    "known", [Instance(Phase.PENDING, 900.0), Instance(Phase.FIRING, 900.0, reached=900.0), Instance(acted=True)]
)
def test_what_it_cannot_know_is_as_the_daemon_says_at_every_look(known, watching):
    seeing, _ = watching({"swap > 10m for 5m": ["term", "recovered log a"]})
    (rule,) = seeing.config.monitors[0].rules
    key = ("m", rule.key), HOG.id
    seeing.assume(remembered((key, known), ladders={key[0]: rule.ladder}))
    for _ in range(2):
        assert seeing.observe().engine.memory.instance(key) == known


@pytest.mark.parametrize(
    ("rule", "known", "news"),
    [
        ("rmem > 10m for 5m", None, True),  # of which the daemon says nothing
        ("rmem > 10m for 5m", Instance(Phase.PENDING, 990.0), False),
        ("rmem > 10m for 5m", Instance(Phase.PENDING, 100.0), False),  # it fires by now, as the daemon knows
        ("rmem > 10m", Instance(Phase.FIRING, 900.0), False),
        ("rmem > 1g", Instance(Phase.FIRING, 900.0, acted=True), True),
        ("rmem > 1g", None, False),
        ("swap > 1m", Instance(Phase.FIRING, 900.0), False),  # which we cannot read
    ],
)
def test_what_was_not_so_when_the_daemon_wrote_is_news(rule, known, news, watching):
    seeing, _ = watching({rule: ["term", "recovered log a"]})
    (asked,) = seeing.config.monitors[0].rules
    key = ("m", asked.key), HOG.id
    instances = [(key, known)] if known else []
    seeing.assume(remembered(*instances, ladders={key[0]: asked.ladder}))
    assert (key in seeing.observe().news) is news


@pytest.mark.parametrize(("since", "news"), [(None, True), (990.0, False), (995.0, True)])
def test_that_somebody_runs_again_is_news(since, news, watching):
    seeing, _ = watching({"rmem > 10m": "stop @ 10m", "rmem > 11m": "term"})
    rules = seeing.config.monitors[0].rules
    ladders = {("m", each.key): each.ladder for each in rules}
    firing = [((key, HOG.id), Instance(Phase.FIRING, 900.0)) for key in ladders]
    memory = remembered(*firing, ladders=ladders)
    memory.clocks[HOG.id, False] = RunningClock(since, ("m", "stop @ 10m"))
    seeing.assume(memory, written=995.0)
    news = {(("m", rules[0].key), HOG.id)} if news else set()
    assert {key for key in seeing.observe().news if key[1] == HOG.id} == news


def test_without_a_daemon_nothing_is_news(watching):
    seeing, _ = watching({"rmem > 10m for 5m": "term"})
    assert seeing.observe().news == frozenset()


def test_without_a_daemon_what_cannot_be_known_is_nothing(watching):
    seeing, source = watching({"swap > 10m for 5m": "term"})
    source.seen[HOG.id]["swap"] = 20 * MIB
    scene = seeing.observe()
    key = scene.look.cases[0].key
    assert scene.engine.memory.instance(key).phase is Phase.PENDING
    del source.seen[HOG.id]["swap"]
    assert seeing.observe().engine.memory.instance(key).phase is Phase.INACTIVE


def test_what_is_tried_again_is_tried_when_the_daemon_does(watching):
    seeing, _ = watching({"rmem > 10m": "term"})
    (rule,) = seeing.config.monitors[0].rules
    key = ("m", rule.key), HOG.id
    retries = {(key, "term", HOG.id): 5000.0}
    seeing.assume(
        remembered((key, Instance(Phase.FIRING, 900.0)), ladders={key[0]: rule.ladder}, retries=dict(retries))
    )
    assert seeing.observe().engine.memory.retries == retries


def test_on_request_it_reads_what_decides_nothing_too(watching):
    seeing, source = watching({"rmem > 1g and pmem > 10%": "term"})
    scene = seeing.observe()
    assert {want.facet for want in source.reads} == {Facet.MEMORY}
    seeing.complete(scene, scene.look.cases[:1])
    assert {want.facet for want in source.reads} == {Facet.MEMORY, Facet.ROLLUP, Facet.STAT, Facet.MACHINE}
    assert {want.identity for want in source.reads if want.facet is Facet.ROLLUP} == {HOG.id}


def test_a_single_process_is_read_whoever_is_about_it(watching):
    seeing, _ = watching({"rmem > 1g": "term"})
    assert (seeing.process(101), seeing.process(7)) == (KID, None)


def test_who_has_ended_is_nobody_at_the_next_look(watching):
    seeing, source = watching({"rmem > 10m": "term"})
    seeing.observe()
    source.there = table(KID)
    assert seeing.observe().verdicts == ()


def test_what_the_daemon_and_its_commands_are_is_never_acted_upon(watching, monkeypatch):
    parents = {200: 1234, 201: 200, 300: 1, 1234: 1, 1: 0, 400: None}
    monkeypatch.setattr(observer.procfs, "read_parent", parents.get)
    seeing, _ = watching({"rmem > 1g": "term"})
    bar = seeing.observe().look.bar

    def why(pid, ppid):
        found = process(pid, ppid=ppid)
        return bar(Descent(found, found, 0))

    assert why(1234, 1) == "this is fall-from-grace itself"
    assert why(200, 1234) == why(201, 200) == "this is a command of fall-from-grace"
    assert why(300, 1) == why(400, 300) == why(500, 400) == ""


def test_by_itself_it_is_a_daemon_that_we_would_start(watching, monkeypatch):
    monkeypatch.setattr(observer.privileges, "acts_on_everybody", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: HOG.image.uid + 1)
    seeing, _ = watching({"rmem > 10m": "term"}, whole={"myself": None})
    reasons = {(each.kind, each.reason) for each in seeing.observe().verdicts}
    assert reasons == {(Kind.PROTECTED, "it belongs to another user")}


def test_all_that_is_open_is_let_go_of(watching):
    seeing, source = watching({"rmem > 10m": "term"})
    with seeing:
        assert isinstance(seeing.config, Config)
    assert source.closed == 1
