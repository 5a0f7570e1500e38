"""One sweep with made-up ports; whole runs are in test_loop and test_simulation."""

from types import SimpleNamespace

from fallfromgrace.engine import Engine
from fallfromgrace.protection import Self
from fallfromgrace.readings import Facet, Want
from fallfromgrace.sweeping import Sweeper
from fallfromgrace.table import Size
from fallfromgrace.verdict import Kind
from tests.builders import MIB, config, monitor, process, table

HOG = process(100)
TABLE = table(HOG)


class Stage:
    """Everything around a sweeper; `story` is what it was asked and told, in order."""

    def __init__(self, mib=600, own_groups=()):
        self.story, self.mib, self.own_groups, self.kin = [], mib, own_groups, ()
        self.engine = Engine(config(monitor({"rmem > 500m": "term"})), Self(1))
        acting = SimpleNamespace(act=self._act, own_groups=own_groups, kin=())
        self.sweeper = Sweeper(self, acting, self)

    def sizes(self, identities):
        self.story.append(f"sizes {len(identities)}")
        return {each: Size(self.mib * MIB, 0) for each in identities}

    def measure(self, wants, now):
        self.story.append("measure")
        assert wants == {Want(HOG.id, Facet.MEMORY)}
        return {HOG.id: {"rmem": self.mib * MIB, "vmem": 0}}

    def verdict(self, verdict):
        self.story.append(f"verdict {verdict.kind.value}")

    def forget(self, seen):
        self.story.append(f"forget {len(seen)}")

    def _act(self, engine, verdicts, now):
        self.story.append(f"act {[each.kind for each in verdicts].count(Kind.FIRE)} at {now:g}")

    def sweep(self, now, seen=TABLE):
        self.story.clear()
        self.sweeper.sweep(self.engine, seen, now)
        return self.story


def test_who_is_new_is_judged_and_acted_upon_and_put_down_for_later():
    stage = Stage()
    assert stage.sweep(5.0) == ["forget 1", "measure", "verdict fire", "act 1 at 5"]
    assert stage.engine.next_look == 10.0


def test_who_keeps_within_its_limits_costs_its_size_only():
    stage = Stage(mib=100)
    assert stage.sweep(5.0) == ["forget 1", "measure", "act 0 at 5"]
    assert stage.sweep(stage.engine.next_look) == ["sizes 1"]
    assert stage.sweep(stage.engine.next_look - 0.01) == []


def test_who_has_come_to_a_limit_since_is_judged_in_the_same_sweep():
    stage = Stage(mib=100)
    stage.sweep(5.0)
    stage.mib = 600
    assert stage.sweep(stage.engine.next_look)[:3] == ["sizes 1", "measure", "verdict fire"]


def test_a_command_of_ours_is_told_of_and_not_acted_upon():
    assert Stage(own_groups=[HOG.pgid]).sweep(5.0)[-2:] == ["verdict protected", "act 0 at 5"]
