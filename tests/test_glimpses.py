import errno

import pytest

from fallfromgrace.cmdlines import Seen
from fallfromgrace.glimpses import Glimpses
from fallfromgrace.roster import NOBODY, Kin
from fallfromgrace.shortage import Shortage
from fallfromgrace.table import UNREADABLE, Image, Process, ProcessId
from tests.proctree import Proc

KNOWN = Kin(42, 1, hash(b"was\0"), hash(b"was\0"), hash("hog"))
WHOLE = Process(ProcessId(42, 42), 1, 42, "S", Image("was", 1000))


class World:
    """Glimpses at what was found of command lines, of pids that may be known."""

    def __init__(self, path):
        self.proc, self.found, self.kin, self.whole, self.hanging, self.told = Proc(path), {}, {}, {}, set(), []
        self.glimpses = Glimpses(
            self, Shortage(self.told.append), self.proc.root, lambda pid: (self.kin.get(pid), self.whole.get(pid))
        )

    def read(self, pids, now):
        return {pid: self.found[pid] for pid in pids if pid in self.found}

    read_now = read

    def hangs(self, identity):
        return identity in self.hanging

    def seen(self, pid=42, arguments=None, name="hog", start=None, state="S", place=0):
        self.proc.put(pid)
        start = pid if start is None else start
        line = f"{pid} ({name}) {state} 1 {pid} 0 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 {start}" + f" {place}" * 30
        self.found[pid] = Seen(line.encode(), arguments, "/usr/bin/hog")
        return self.glimpses.at(pid, 0)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_each_is_used_in_order_and_it_is_told_for_whom_it_was_not_enough(world):
    for pid in (44, 41, 43):
        world.seen(pid, b"x\0")
    world.found |= {42: None, 45: OSError(errno.EMFILE, "Too many open files")}
    used = []
    failed = world.glimpses.each(
        {41, 42, 43, 44, 45, 46}, lambda pid, seen: used.append((pid, seen and seen.cmdline)), 0
    )
    assert used == [(41, "x"), (42, None), (43, "x"), (44, "x")]
    assert failed == {45, 46}
    assert len(world.told) == 1


def test_a_failure_to_use_one_is_of_that_one(world):
    world.seen(41, b"x\0"), world.seen(42, b"x\0")

    def use(pid, seen):
        if pid == 41:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    assert world.glimpses.each([41, 42], use, 0) == {41}


def test_zombies_are_nobody(world):
    assert world.seen(state="Z", arguments=b"") is None


def test_who_hangs_and_was_never_read_has_a_command_line_like_no_other(world):
    seen = world.seen()
    assert (seen.cmdline, seen.digest) == (UNREADABLE, hash(None))
    assert (seen.uid, seen.exe) == (1000, "/usr/bin/hog")


@pytest.mark.parametrize(("whole", "cmdline"), [(WHOLE, "was"), (None, UNREADABLE)])
def test_who_hangs_is_who_it_was(whole, cmdline, world):
    world.kin[42], world.whole[42] = KNOWN, whole
    seen = world.seen()
    assert (seen.cmdline, seen.digest) == (cmdline, KNOWN.arguments)


@pytest.mark.parametrize("other", [{"name": "another"}, {"start": 99}])
def test_who_hangs_and_has_another_name_or_is_another_is_unknown(other, world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    seen = world.seen(**other)
    assert (seen.cmdline, seen.digest) == (UNREADABLE, hash(None))


@pytest.mark.parametrize(("name", "place", "cmdline"), [("renamed", 5, "was"), ("hog", 6, UNREADABLE)])
def test_who_hangs_is_known_by_where_its_arguments_are_whatever_it_calls_itself(name, place, cmdline, world):
    world.kin[42], world.whole[42] = KNOWN._replace(place=hash((b"5", b"5"))), WHOLE
    assert world.seen(name=name, place=place).cmdline == cmdline


def test_who_can_be_read_is_what_it_runs(world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    assert world.seen(arguments=b"is\0").cmdline == "is"


def test_who_cannot_be_read_in_time_is_who_it_was_unless_it_is_gone(world):
    world.proc.put(42)
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    assert world.glimpses.at(42, 0).cmdline == "was"
    world.proc.remove(42)
    assert world.glimpses.at(42, 0) is None


@pytest.mark.parametrize("kin", [None, NOBODY])
def test_a_new_configuration_does_not_make_who_hangs_unknown(kin, world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    world.glimpses.remember([WHOLE])
    world.kin[42], world.whole[42] = kin, None
    assert world.seen().cmdline == "was"
    world.hanging.add(WHOLE.id)
    world.glimpses.forget()
    assert world.seen().cmdline == "was"
    assert world.seen(start=99).cmdline == UNREADABLE
    world.hanging.clear()
    world.glimpses.forget()
    assert world.seen().cmdline == UNREADABLE


# --- whose stat line hangs ---


def unseen(world, **what):
    world.proc.put(42, **what)
    world.found[42] = Seen(b"", None)
    return world.glimpses.at(42, 0)


def test_who_cannot_be_looked_at_is_who_it_was_with_what_is_safe_to_read_as_it_is(world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE._replace(image=Image("was", 1000, "/usr/bin/was"))
    seen = unseen(world, ppid=7, pgid=8, state="T", uid=9, start=99, exe="/never/read")
    assert seen.remembered
    assert seen.process == Process(ProcessId(42, 42), 7, 8, "T", Image("was", 9, "/usr/bin/was"))


def test_who_cannot_be_looked_at_and_is_not_known_whole_is_at_least_no_other(world):
    world.kin[42] = KNOWN
    seen = unseen(world)
    assert (seen.digest, seen.cmdline, seen.exe) == (KNOWN.arguments, UNREADABLE, "")


@pytest.mark.parametrize("kin", [None, NOBODY, KNOWN._replace(comm=hash("another"))])
def test_who_cannot_be_looked_at_and_is_not_known_by_that_name_is_nobody(world, kin):
    world.kin[42] = kin
    assert unseen(world) is None


def test_who_cannot_be_looked_at_and_has_ended_is_nobody(world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    assert unseen(world, state="Z") is None
    world.proc.remove(42)
    assert world.glimpses.at(42, 0) is None


def test_a_new_configuration_does_not_make_who_cannot_be_looked_at_unknown(world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE
    world.glimpses.remember([WHOLE])
    world.kin[42], world.whole[42] = NOBODY, None
    assert unseen(world).cmdline == "was"


def test_what_cannot_be_read_of_the_program_is_what_it_was(world):
    world.kin[42], world.whole[42] = KNOWN, WHOLE._replace(image=Image("was", 1000, "/usr/bin/was"))
    world.seen()
    world.found[42] = world.found[42]._replace(exe=None)
    assert world.glimpses.at(42, 0).exe == "/usr/bin/was"
    world.found[42] = world.found[42]._replace(exe="/usr/bin/is")
    assert world.glimpses.at(42, 0).exe == "/usr/bin/is"
