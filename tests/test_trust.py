from typing import NamedTuple

import pytest

from fallfromgrace.trust import Kind, Rights, doubts

FILE, AROUND, DROP_INS = Kind
ROOT, USER, OTHER = 0, 1000, 1001
PATH = "/etc/x"


class Status(NamedTuple):
    """What fstat would say."""

    st_mode: int
    st_uid: int


def named(uid):
    return {0: "root", 1000: "alice (uid 1000)", 1001: "mallory (uid 1001)"}[uid]


def doubted(mode, owner, kind, me, path=PATH):
    return list(doubts(path, Status(mode, owner), kind, Rights(me, named)))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("owner", "me"), [(ROOT, ROOT), (ROOT, USER), (USER, USER)])
@pytest.mark.parametrize("mode", [0o644, 0o755, 0o400, 0o700, 0o4755, 0o000])
def test_what_only_root_and_we_may_change_is_trusted(mode, owner, me, kind):
    assert doubted(mode, owner, kind, me) == []


OWNED = [
    (FILE, ROOT, "this file belongs to mallory (uid 1001), and it says what is done with the rights of root"),
    (
        FILE,
        USER,
        "this file belongs to mallory (uid 1001), and it says what is done with the rights of alice",
    ),
    (AROUND, ROOT, "this directory belongs to mallory (uid 1001), and what is in it says what is done with the rights"),
    (DROP_INS, ROOT, "this directory belongs to mallory (uid 1001), and what is in it says what is done with the"),
]


@pytest.mark.parametrize(("kind", "me", "told"), OWNED)
@pytest.mark.parametrize("mode", [0o600, 0o755, 0o1755])
def test_what_belongs_to_somebody_else_is_not(kind, me, told, mode):
    [doubt] = doubted(mode, OTHER, kind, me)
    assert doubt.startswith(told)


CURES = [
    (FILE, ROOT, "; run: chown root /etc/x"),
    (FILE, USER, "; use a copy of your own, or have root run: chown root /etc/x"),
    (DROP_INS, ROOT, "; run: chown root /etc/x"),
    (AROUND, ROOT, "; put the configuration into a directory of root's, such as /etc"),
    (AROUND, USER, "; put the configuration into a directory of yours"),
]


@pytest.mark.parametrize(("kind", "me", "cure"), CURES)
def test_what_to_do_about_another_owner_is_told(kind, me, cure):
    [doubt] = doubted(0o755, OTHER, kind, me)
    assert doubt.endswith(cure)


def test_what_belongs_to_a_user_is_nothing_for_root():
    assert len(doubted(0o600, USER, FILE, ROOT)) == 1


WRITTEN = [
    (FILE, 0o666, "everybody may write to this file, and it says what is done with the rights of root"),
    (FILE, 0o646, "everybody may write to this file"),
    (FILE, 0o664, "its group may write to this file"),
    (FILE, 0o620, "its group may write to this file"),
    (AROUND, 0o777, "everybody may replace the configuration in this directory, and what is in it says what is done"),
    (AROUND, 0o775, "its group may replace the configuration in this directory"),
    (DROP_INS, 0o777, "everybody may add files to this directory, and what is in it says what is done with the rights"),
    (DROP_INS, 0o770, "its group may add files to this directory"),
    (DROP_INS, 0o1777, "everybody may add files to this directory"),
    (FILE, 0o1666, "everybody may write to this file"),
]


@pytest.mark.parametrize(("kind", "mode", "told"), WRITTEN)
@pytest.mark.parametrize(("owner", "me"), [(ROOT, ROOT), (ROOT, USER), (USER, USER)])
def test_what_others_may_write_to_is_not_trusted_and_the_cure_is_told(kind, mode, told, owner, me):
    [doubt] = doubted(mode, owner, kind, me)
    assert doubt.startswith(told.replace("of root", f"of {named(me)}"))
    assert doubt.endswith("; run: chmod go-w /etc/x")


@pytest.mark.parametrize("mode", [0o1777, 0o1775, 0o1757])
def test_the_file_may_be_in_a_directory_where_nobody_can_replace_what_is_not_theirs(mode):
    assert doubted(mode, ROOT, AROUND, USER) == []


def test_all_that_speaks_against_it_is_told():
    assert [each.split()[0] for each in doubted(0o666, OTHER, FILE, ROOT)] == ["this", "everybody"]


def test_what_to_run_can_be_pasted_into_a_shell():
    assert doubted(0o666, ROOT, FILE, ROOT, "/tmp/a b;c")[0].endswith("; run: chmod go-w '/tmp/a b;c'")
