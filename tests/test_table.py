from fallfromgrace.table import UNREADABLE, Image, ProcessId
from tests.builders import process, table


def pids(found):
    return sorted(each.process.id.pid for each in found)


def test_descendants_are_found_at_every_depth_each_once():
    family = table(
        process(10), process(11, ppid=10), process(12, ppid=10), process(13, ppid=11), process(14, ppid=13), process(20)
    )
    found = sorted((each.process.id.pid, each.root.id.pid, each.depth) for each in family.descendants(list(family)[:1]))
    assert found == [(11, 10, 1), (12, 10, 1), (13, 10, 2), (14, 10, 3)]


def test_a_root_below_another_root_is_found_once_as_its_descendant():
    family = table(process(10), process(11, ppid=10), process(12, ppid=11))
    assert pids(family.descendants(list(family)[:2])) == [11, 12]


def test_a_cycle_of_a_stale_snapshot_ends():
    stale = table(process(10, ppid=11, start=5), process(11, ppid=10, start=5))
    assert pids(stale.descendants(list(stale)[:1])) == [10, 11]


def test_who_is_older_than_its_parent_is_no_child():
    reused = table(process(10, start=50), process(11, ppid=10, start=7))
    assert pids(reused.descendants(list(reused)[:1])) == []


def test_a_process_is_found_by_its_identity_and_not_by_its_pid_alone():
    reused = table(process(10, start=50))
    assert ProcessId(10, 50) in reused
    assert ProcessId(10, 49) not in reused
    assert reused.get(ProcessId(10, 49)) is None
    assert len(reused) == 1


def test_the_kernels_letter_tells_who_is_stopped_and_who_is_alive():
    assert process(1, state="T").stopped
    assert not process(1, state="t").stopped  # held by a debugger, which continues it itself
    assert [process(1, state=letter).alive for letter in "RSDTZX"] == [True, True, True, True, False, False]


def test_a_command_line_that_cannot_be_read_is_told_as_that():
    assert Image("hog --all", 0).shown == "hog --all"
    assert Image(UNREADABLE, 0).shown == "(cannot be read)"
