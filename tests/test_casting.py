import pytest

from fallfromgrace import fragments, textfile
from fallfromgrace.casting import KEYS, read
from fallfromgrace.rules import User
from fallfromgrace.table import UNREADABLE


def cast(text):
    """The processes of a test, by their names."""
    problems = []
    fragment = fragments.read(textfile.parse("x", f"processes:\n{text}\n".encode()))
    actors = read(fragment.entries[0].value, problems.append)
    assert not [*fragment.problems, *problems]
    return {actor.name: actor for actor in actors}


def test_a_process_is_there_from_the_start_for_good_and_belongs_to_nobody_else():
    actor = cast("  a: {cmdline: hog}")["a"]
    assert (actor.starts, actor.ends, actor.age, actor.parent) == (0, float("inf"), 0, "")
    assert (actor.user, actor.stopped, actor.measured) == (User("1000", 1000), (0.0,), {})


@pytest.mark.parametrize(
    ("keys", "cmdline", "exe"),
    [
        ("cmdline: /usr/bin/make -j4", "/usr/bin/make -j4", "/usr/bin/make"),
        ("cmdline: make -j4", "make -j4", "make"),
        ("cmdline: make, exe: /usr/bin/make", "make", "/usr/bin/make"),
        ("exe: /usr/bin/make", "/usr/bin/make", "/usr/bin/make"),
        ("cmdline: make, exe: _", "make", ""),
        ("cmdline: _", UNREADABLE, ""),
        ("cmdline: _, exe: /usr/bin/make", UNREADABLE, "/usr/bin/make"),
    ],
)
def test_of_the_command_line_and_what_is_executed_one_is_enough_and_either_may_be_unreadable(keys, cmdline, exe):
    actor = cast(f"  a: {{{keys}}}")["a"]
    assert (actor.cmdline, actor.exe) == (cmdline, exe)


def test_pids_are_given_where_they_are_not_written():
    actors = cast("  a: {cmdline: x}\n  b: {cmdline: x, pid: 1002}\n  c: {cmdline: x}\n  d: {cmdline: x, pid: 1}")
    assert [actor.pid for actor in actors.values()] == [1001, 1002, 1003, 1]


@pytest.mark.parametrize(
    ("user", "meant"), [("0", User("0", 0)), ("root", User("root", 0)), ("nobody-here", User("nobody-here", None))]
)
def test_users_have_names_or_numbers(user, meant):
    assert cast(f"  a: {{cmdline: x, user: {user}}}")["a"].user == meant


def test_virtual_memory_is_as_much_as_resident_unless_it_is_written():
    actors = cast("  a: {cmdline: x, rmem: 1k 2k}\n  b: {cmdline: x, rmem: 1k, vmem: 3k}\n  c: {cmdline: x, swap: 1k}")
    assert [actor.measured.get("vmem") for actor in actors.values()] == [(1024, 2048), (3072,), None]


def test_every_key_takes_what_is_shown_for_it():
    shown = "\n".join(f"    {text}" for key, text in KEYS.items() if key not in ("parent", "cputime"))
    assert cast(f"  a:\n{shown}")["a"].starts == 20
    assert cast(f"  a:\n    cmdline: x\n    {KEYS['cputime']}")["a"].measured["cputime"][-1] == 110
