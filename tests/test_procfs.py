import errno
import os
import subprocess
import sys
from pathlib import Path

import mock
import pytest

from fallfromgrace.procfs import Stat, parse_stat, read_cmdline, read_euid, read_stat

# Up to the start, then up to where the arguments are, then the rest.
TAIL = b" S 7 8 9 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711" + b" 1" * 25 + b" 140737488347136 140737488347200 1 1 0\n"


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
    assert parse_stat(b"42 (" + name + b")" + TAIL) == Stat(
        comm, "S", 7, 8, 4711, kernel_thread=False, arguments=140737488347136
    )


def test_kernel_threads_are_told_by_their_flag():
    assert parse_stat(b"2 (kthreadd)" + TAIL.replace(b"4194560", b"2129984")).kernel_thread


def test_our_own_stat_is_read():
    stat = read_stat(os.getpid())
    assert (stat.ppid, stat.pgid, stat.kernel_thread) == (os.getppid(), os.getpgrp(), False)


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError, PermissionError, OSError(5, "I/O")])
def test_who_is_gone_or_hidden_has_no_stat(error):
    with mock.patch("builtins.open", side_effect=error):
        assert read_stat(1) is None


def test_a_want_of_our_own_is_not_taken_for_a_process_that_is_gone():
    error = OSError(errno.EMFILE, "Too many open files")
    with mock.patch("builtins.open", side_effect=error), pytest.raises(OSError, match="Too many"):
        read_stat(1)


def test_the_root_of_proc_can_be_elsewhere(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_bytes(b"42 (x)" + TAIL)
    assert read_stat(42, str(tmp_path)).start == 4711
    assert read_stat(43, str(tmp_path)) is None


def test_a_stat_of_before_linux_3_5_does_not_tell_where_the_arguments_are():
    assert parse_stat(b"42 (x)" + TAIL.partition(b" 140737488347136")[0]).arguments == 0


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/bin/sh\0-c\0a  b\0", "/bin/sh -c a  b"),
        (b"a title with blanks   \0\0\0", "a title with blanks"),
        (b"made to end\0without a NUL", "made to end without a NUL"),
        (b"not \xff UTF-8\0", "not \udcff UTF-8"),
        (b"", ""),
        (b"x" * 200, "x" * 100),
        (b"tail" + b"\0" * 200, "tail" + " " * 96),  # not trailing: who knows what comes then
    ],
)
def test_a_command_line_is_its_arguments_joined_by_spaces_and_has_no_nul(raw, text, tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "cmdline").write_bytes(raw)
    assert read_cmdline(42, 100, str(tmp_path)) == text
    assert read_cmdline(43, 100, str(tmp_path)) is None


def test_a_process_that_calls_itself_somebody_elses_is_not():
    """The kernel keeps tabs in a name as they are: a search for `Uid:` anywhere would find this one first."""
    code = "open('/proc/self/comm', 'wb', 0).write(b'Uid:\\t77\\t77\\t77'); print('renamed', flush=True); input()"
    liar = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        liar.stdout.readline()
        assert b"Name:\tUid:" in Path(f"/proc/{liar.pid}/status").read_bytes()
        assert read_euid(liar.pid) == os.geteuid()
    finally:
        liar.kill()
        liar.communicate()


def test_who_is_gone_has_no_owner(tmp_path):
    assert read_euid(43, str(tmp_path)) is None
