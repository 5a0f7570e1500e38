from fallfromgrace.coverage import Coverage
from fallfromgrace.docket import Docket
from fallfromgrace.readings import Subject
from tests.builders import monitor, process, table

TOP, KID, OTHER = process(100), process(101, "kid", ppid=100), process(200)


def docket(*processes, monitors):
    looked_at = table(*processes)
    return Docket(looked_at, Coverage(monitors).of(looked_at))


def pids(subjects):
    return [(subject.monitor, subject.identity and subject.identity.pid) for subject in subjects]


RULES = {"rmem > 1": "term", "count > 5": "log x"}


def test_each_rule_is_for_each_process_and_those_about_all_are_once():
    made = docket(TOP, OTHER, monitors=[monitor(RULES), monitor(RULES, "n", "nobody")])
    assert pids(made.cases) == [("m", 100), ("m", 200), ("m", None), ("n", None)]
    assert [case.rule.text for case in made.cases[Subject("m", TOP.id)]] == ["rmem > 1"]
    assert made.cases[Subject("m", TOP.id)][0].key == (("m", "rmem > 1"), TOP.id)


def test_a_process_is_judged_for_all_monitors_at_once_in_the_order_of_the_file():
    made = docket(TOP, OTHER, monitors=[monitor(RULES, "a"), monitor(RULES, "b"), monitor({"rmem > 1": "term"}, "c")])
    assert pids(made.in_order([Subject("c", TOP.id)])) == [("a", 100), ("b", 100), ("c", 100)]
    assert pids(made.in_order([Subject("b", None), Subject("a", OTHER.id)])) == [
        ("a", 200), ("b", 200), ("b", None), ("c", 200)
    ]  # fmt: skip
    assert made.in_order([Subject("a", process(999).id), Subject("x", None)]) == []


def news(before, after, *monitors):
    return pids(docket(*after, monitors=monitors).news(docket(*before, monitors=monitors)))


def test_who_is_new_is_news_and_who_is_as_before_is_not():
    plain = monitor({"rmem > 1": "term"})
    assert news([TOP], [TOP, OTHER], plain) == [("m", 200)]
    assert news([TOP, OTHER], [TOP], plain) == []
    assert news([TOP], [process(100, start=7)], plain) == [("m", 100)]


def test_who_runs_something_else_is_news():
    assert news([TOP], [process(100, "hog --other")], monitor({"rmem > 1": "term"})) == [("m", 100)]


def test_a_change_below_is_news_for_who_looks_below():
    assert news([TOP], [TOP, KID], monitor({"rmem > 1": "term"})) == []
    for trigger in ("tree.rmem > 1", "children > 1", "growth(tree.rmem, 1m) > 1"):
        assert news([TOP], [TOP, KID], monitor({trigger: "term"})) == [("m", 100)]
        assert news([TOP, KID], [TOP], monitor({trigger: "term"})) == [("m", 100)]


def test_a_change_of_the_group_is_news_for_who_looks_at_it():
    assert news([TOP], [TOP, OTHER], monitor({"group.rmem > 1": "term"})) == [("m", None)]
    assert news([TOP], [TOP, OTHER], monitor({"group.rmem > 1 and rmem > 1": "term"})) == [("m", 100), ("m", 200)]
    assert news([TOP], [TOP, OTHER], monitor({"count > 1": "term", "system.load > 1": "log x"})) == [("m", None)]
    assert news([TOP], [TOP, OTHER], monitor({"system.load > 1": "log x"})) == []
