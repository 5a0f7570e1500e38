import re

import pytest

from fallfromgrace.coverage import Coverage
from fallfromgrace.rules import Monitor, Selector
from tests.builders import monitor, process, table

NOTHING = {"rmem > 1": "term"}


def covered(looked_at, *monitors):
    return [
        (found.monitor.name, descent.process.id.pid, not descent.depth)
        for found in Coverage(monitors).of(looked_at)
        for descent in found.descents
    ]


def spared(looked_at, *monitors):
    return [{who.pid: why for who, why in found.spared.items()} for found in Coverage(monitors).of(looked_at)]


def test_a_regex_is_searched_anywhere_in_the_command_line():
    looked_at = table(process(10, "/usr/bin/xulrunner-bin /usr/lib/conkeror.ini"), process(11, "vi"), process(12, ""))
    assert covered(looked_at, monitor(NOTHING, cmdline="xulrunner-bin .*conkeror")) == [("m", 10, True)]


FAMILY = table(process(10, "root"), process(11, "a", ppid=10), process(12, "root", ppid=11), process(13, "b", ppid=12))


def test_children_are_covered_recursively_if_asked_for():
    assert covered(FAMILY, monitor(NOTHING, cmdline="root")) == [("m", 10, True), ("m", 12, True)]
    with_children = covered(FAMILY, monitor(NOTHING, cmdline="root", children=True))
    assert sorted(with_children) == [("m", 10, True), ("m", 11, False), ("m", 12, True), ("m", 13, False)]


def test_zombies_are_covered_by_nothing_but_their_living_children_are():
    looked_at = table(process(10, "root"), process(11, "x", ppid=10, state="Z"), process(12, "y", ppid=11))
    assert covered(looked_at, monitor(NOTHING, cmdline="root|x", children=True)) == [("m", 10, True), ("m", 12, False)]


def test_the_first_final_monitor_keeps_what_it_covers_for_itself():
    monitors = (
        monitor(NOTHING, "before", "root"),
        monitor(NOTHING, "final", "a", children=True, final=True),
        monitor(NOTHING, "after", "root|a|b", children=True),
        monitor(NOTHING, "second final", "root", final=True),
    )
    assert sorted(covered(FAMILY, *monitors)) == [
        ("after", 10, True), ("before", 10, True), ("before", 12, True), ("final", 11, True),
        ("final", 12, False), ("final", 13, False), ("second final", 10, True),
    ]  # fmt: skip


# --- selectors ---


@pytest.mark.parametrize(
    ("selectors", "pids"),
    [
        ({"cmdline": "hog"}, [10, 11, 12]),
        ({"cmdline": None, "exe": "^/usr/bin/hog$"}, [10]),
        ({"cmdline": None, "uids": [1001, 1002]}, [11, 12]),
        ({"cmdline": "hog", "uids": [1001]}, [11]),
        ({"cmdline": "hog", "exe": "bin", "uids": [1001]}, []),
        ({"cmdline": "hog", "exclude": "--quiet"}, [10, 11]),
        ({"cmdline": None, "uids": [None]}, []),  # a user whom the machine does not know
    ],
)
def test_all_selectors_that_are_given_have_to_match(selectors, pids):
    looked_at = table(
        process(10, "hog", exe="/usr/bin/hog"), process(11, "hog", uid=1001), process(12, "hog --quiet", uid=1002)
    )
    assert [pid for _, pid, _ in covered(looked_at, monitor(NOTHING, **selectors))] == pids


def test_what_is_excluded_is_left_out_of_the_descendants_too_but_not_what_is_below_it():
    found = covered(FAMILY, monitor(NOTHING, cmdline="root", exclude="^a$", children=True))
    assert sorted(found) == [("m", 10, True), ("m", 12, True), ("m", 13, False)]


def test_who_must_be_left_alone_is_known_with_the_reason():
    final = monitor(NOTHING, "final", "^a$", final=True)
    later = monitor(NOTHING, "later", "root", exclude="^b$", children=True)
    assert spared(FAMILY, final, later) == [{}, {11: "'final' is final for it", 13: "it is excluded"}]


class CountingPattern:
    def __init__(self, regex):
        self.regex, self.searches = re.compile(regex), []

    def search(self, text):
        self.searches.append(text)
        return self.regex.search(text)


def test_regexes_run_once_for_each_image():
    pattern = CountingPattern("hog")
    coverage = Coverage([Monitor("m", Selector(pattern), ())])
    for _ in range(3):
        coverage.of(table(process(10, "hog"), process(11, "vi")))
    assert pattern.searches == ["hog", "vi"]
    coverage.of(table(process(10, "exec'd"), process(11, "vi", start=12)))
    assert pattern.searches == ["hog", "vi", "exec'd", "vi"]


def test_what_regexes_said_is_forgotten_with_the_process():
    pattern = CountingPattern("hog")
    coverage = Coverage([Monitor("m", Selector(pattern), ())])
    for looked_at in (table(process(10, "hog")), table(), table(process(10, "hog"))):
        coverage.of(looked_at)
    assert pattern.searches == ["hog", "hog"]


def test_every_monitor_is_asked_whether_it_selects_so_that_its_answer_is_known_afterwards():
    patterns = [CountingPattern("hog"), CountingPattern("cat")]
    coverage = Coverage([Monitor(pattern.regex.pattern, Selector(pattern), ()) for pattern in patterns])
    assert coverage.selects(process(10, "hog").image)
    assert [pattern.searches for pattern in patterns] == [["hog"], ["hog"]]


class Unsure:
    def search(self, text):
        return "nobody knows"


def test_who_may_be_excluded_is_left_alone_with_the_reason():
    looked_at = table(process(10, "hog"))
    unsure = Monitor("m", Selector(re.compile("hog")), (), exclude=Unsure())
    assert covered(looked_at, unsure) == []
    assert spared(looked_at, unsure) == [{10: "it may be excluded: nobody knows"}]
