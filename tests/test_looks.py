from fallfromgrace.coverage import Coverage
from fallfromgrace.docket import Docket
from fallfromgrace.history import History
from fallfromgrace.looks import Look, cheapest
from fallfromgrace.protection import Bar, Self
from fallfromgrace.readings import Facet, Want
from fallfromgrace.rules import Settings
from tests.builders import OUR_PID, monitor, process, table

TOP, KID = process(100), process(101, "kid", ppid=100)


def look(*processes, monitors=(), now=0.0):
    looked_at = table(*processes)
    covered = Coverage(monitors).of(looked_at)
    docket = Docket(looked_at, covered)
    return Look(docket, Bar(Settings(), Self(OUR_PID), frozenset()), History(10.0), now)


def tree_of(seen):
    return [(each.process.id.pid, each.depth) for each in seen.tree(seen.covered[0].descents[0])]


def test_a_tree_is_the_process_and_all_that_lives_below_it():
    dead = process(102, "dead", ppid=101, state="Z")
    seen = look(TOP, KID, dead, process(103, "x", ppid=102), monitors=[monitor({"rmem > 1": "term"})])
    assert tree_of(seen) == [(100, 0), (101, 1), (103, 3)]


def test_the_top_of_a_stale_tree_that_is_a_cycle_is_in_it_once():
    one, other = process(10, "hog", ppid=11, start=5), process(11, "kid", ppid=10, start=5)
    assert tree_of(look(one, other, monitors=[monitor({"rmem > 1": "term"})])) == [(10, 0), (11, 1)]


def test_the_depth_in_a_tree_is_counted_from_what_the_monitor_selected():
    seen = look(TOP, KID, process(102, "x", ppid=101), monitors=[monitor({"rmem > 1": "term"}, children=True)])
    kid = next(each for each in seen.covered[0].descents if each.process == KID)
    assert [(each.process.id.pid, each.root.id.pid, each.depth) for each in seen.tree(kid)] == [
        (101, 100, 1), (102, 100, 2)
    ]  # fmt: skip


def test_each_rule_is_judged_for_each_process_and_those_about_all_once():
    rules = {"rmem > 1": "term", "count > 5": "log x"}
    seen = look(TOP, process(200), monitors=[monitor(rules), monitor(rules, "n", "nobody")])
    assert [(case.subject.monitor, case.descent and case.descent.process.id.pid) for case in seen.cases] == [
        ("m", 100), ("m", 200), ("m", None), ("n", None)
    ]  # fmt: skip


def test_what_is_cheap_is_asked_for_at_once_and_nothing_twice():
    seen = look(TOP, monitors=[monitor({"pmem > 1": "term", "age > 1s": "log x"})])
    first = seen.judge(lambda case: False)
    assert first == {Want(TOP.id, Facet.MEMORY), Want(TOP.id, Facet.STAT)}
    seen.readings.add(first, {TOP.id: {"rmem": 5, "vmem": 5, "age": 9.0}})
    second = seen.judge(lambda case: False)
    assert second == {Want(TOP.id, Facet.ROLLUP)}
    seen.readings.add(second, {})
    assert seen.judge(lambda case: False) == frozenset()


def test_of_what_would_decide_the_cheapest_is_asked_for_first():
    wants = frozenset({Want(TOP.id, Facet.ROLLUP), Want(TOP.id, Facet.DESCRIPTORS), Want(KID.id, Facet.DESCRIPTORS)})
    assert cheapest(wants) == {Want(TOP.id, Facet.DESCRIPTORS), Want(KID.id, Facet.DESCRIPTORS)}
    assert cheapest(frozenset()) == frozenset()
