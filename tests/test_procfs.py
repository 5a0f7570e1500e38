import os
from unittest import mock

import pytest

from fallfromgrace.procfs import Stat, parse_stat, read_stat

TAIL = b" S 7 8 9 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 12345 678 18446744073709551615 1 1 0\n"


@pytest.mark.parametrize(
    ("name", "comm"),
    [
        (b"bash", "bash"),
        (b"ev) R 1 1 1", "ev) R 1 1 1"),
        (b"new\nline", "new\nline"),
        (b"", ""),
        (b"((", "(("),
        (b"cut \xc3", "cut \udcc3"),
    ],
)
def test_a_name_that_imitates_the_line_is_only_a_name(name, comm):
    assert parse_stat(b"42 (" + name + b")" + TAIL) == Stat(comm, "S", 7, 8, 4711, kernel_thread=False)


def test_kernel_threads_are_told_by_their_flag():
    assert parse_stat(b"2 (kthreadd)" + TAIL.replace(b"4194560", b"2129984")).kernel_thread


def test_our_own_stat_is_read():
    stat = read_stat(os.getpid())
    assert (stat.ppid, stat.pgid, stat.kernel_thread) == (os.getppid(), os.getpgrp(), False)


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError, PermissionError])
def test_who_is_gone_or_hidden_has_no_stat(error):
    with mock.patch("builtins.open", side_effect=error):
        assert read_stat(1) is None


def test_the_root_of_proc_can_be_elsewhere(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_bytes(b"42 (x)" + TAIL)
    assert read_stat(42, str(tmp_path)).start == 4711
    assert read_stat(43, str(tmp_path)) is None
