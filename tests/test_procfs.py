import errno
import math
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import mock
import pytest

from fallfromgrace import procfs
from fallfromgrace.procfs import (
    PAGE,
    Rollup,
    Stat,
    join_arguments,
    parse_stat,
    parse_statm,
    read_arguments,
    read_descriptor_limit,
    read_euid,
    read_exe,
    read_newest_pid,
    read_pids,
    read_pressure,
    read_rollup,
    read_size,
    read_stat,
)
from fallfromgrace.table import Size
from tests.victims import marker, victim


def read_cmdline(pid, limit, root="/proc"):
    arguments = read_arguments(pid, limit, root)
    return None if arguments is None else join_arguments(arguments, limit)


HERE = Path(__file__).parent.parent

# 100 ticks for itself, 23 in the kernel; the next two are those of children, which are none of its own.
TAIL = b" S 7 8 9 0 -1 4194560 1 0 0 0 100 23 1000 2000 20 0 4 0 4711" + b" 1" * 30 + b"\n"


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
    assert parse_stat(b"42 (" + name + b")" + TAIL)._replace(place=0) == Stat(
        comm, "S", 7, 8, 4711, kernel_thread=False, ticks=123, threads=4
    )


# A process that says where it is, gives itself another name, says so again, and executes the same with other words.
_PLACES = """
import os, sys
from fallfromgrace import procfs
print(*procfs.parse_stat(open("/proc/self/stat", "rb").read())[-1:], flush=True)
open("/proc/self/comm", "w").write("another")
print(*procfs.parse_stat(open("/proc/self/stat", "rb").read())[-1:], flush=True)
if len(sys.argv) < 3:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], sys.argv[1], "again"])
"""


def test_each_exec_is_another_place_and_another_name_is_not():
    command = [sys.executable, "-c", _PLACES, _PLACES]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE, check=True)
    before, renamed, executed, _ = ran.stdout.split()
    assert before == renamed != executed
    assert "0" not in (before, executed)


def test_where_we_may_not_see_the_places_there_is_none():
    unseen = b" 1 0 0" + b" 1" * 17 + b" 0 0 0 0 0\n"
    assert parse_stat(b"42 (x) S 7 8 9 0 -1 0 1 0 0 0 100 23 1 2 20 0 4 0 4711 1" + unseen).place == 0


def test_kernel_threads_are_told_by_their_flag():
    assert parse_stat(b"2 (kthreadd)" + TAIL.replace(b"4194560", b"2129984")).kernel_thread


def test_the_newest_pid_is_another_when_somebody_was_born():
    before = read_newest_pid()
    if before is None:
        pytest.skip("a kernel without CONFIG_CHECKPOINT_RESTORE")
    born = subprocess.Popen(["true"])
    born.wait()
    assert read_newest_pid() != before


def test_the_newest_pid_of_somebody_elses_proc_is_not_known(tmp_path):
    assert read_newest_pid(str(tmp_path)) is None
    (tmp_path / "self").symlink_to("1")
    assert read_newest_pid(str(tmp_path)) is None


def test_our_own_stat_is_read():
    stat = read_stat(os.getpid())
    assert (stat.ppid, stat.pgid, stat.kernel_thread) == (os.getppid(), os.getpgrp(), False)


READERS = [
    read_stat,
    lambda pid: read_cmdline(pid, 100),
    read_euid,
    read_exe,
    read_size,
    read_rollup,
    read_descriptor_limit,
]
GONE = [FileNotFoundError, ProcessLookupError, PermissionError, OSError(5, "I/O")]


@pytest.mark.parametrize("read", [*READERS, lambda _: read_pressure()])
@pytest.mark.parametrize("error", GONE)
def test_what_is_gone_or_hidden_is_not_known(read, error):
    with mock.patch("os.open", side_effect=error), mock.patch("os.readlink", side_effect=error):
        assert not read(1)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_want_of_our_own_is_not_taken_for_a_process_that_is_gone(read, number):
    error = OSError(number, "Too many open files")
    with (
        mock.patch("os.open", side_effect=error),
        mock.patch("os.readlink", side_effect=error),
        pytest.raises(OSError, match="Too many"),
    ):
        read(1)


def test_the_root_of_proc_can_be_elsewhere(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "stat").write_bytes(b"42 (x)" + TAIL)
    assert read_stat(42, str(tmp_path)).start == 4711
    assert read_stat(43, str(tmp_path)) is None


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


# --- who is there, and how large ---


def test_the_pids_are_those_of_all_and_nothing_else_is_taken_for_one(tmp_path):
    for name in ("1", "42", "self", "sys", "4x", "-1"):
        (tmp_path / name).mkdir()
    assert read_pids(str(tmp_path)) == {1, 42}
    assert os.getpid() in read_pids()


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"300 20 5 1 0 40 0\n", Size(20 * PAGE, 300 * PAGE)),
        (b"300 0 0 0 0 0 0\n", Size(0, 300 * PAGE)),  # all swapped out
        (b"0 0 0 0 0 0 0\n", None),  # has ended: zeros would be less than any limit
    ],
)
def test_a_size_is_in_bytes_and_who_has_none_has_ended(line, size, tmp_path):
    assert parse_statm(line) == size
    assert read_size(*of_42(tmp_path, "statm", line)) == size


@pytest.mark.parametrize(("letter", "ended"), [("R", False), ("S", False), ("T", False), ("Z", True), ("X", True)])
def test_who_only_waits_for_its_parent_has_ended(letter, ended):
    assert parse_stat(b"42 (x)" + TAIL.replace(b"S", letter.encode())).ended == ended


# --- what a process executes ---


def test_what_a_process_executes_is_told_by_its_path_also_when_the_file_is_gone(tmp_path):
    program = tmp_path / "sleep"
    shutil.copy("/bin/sleep", program)
    asleep = subprocess.Popen([program, "60"])
    try:
        assert read_exe(asleep.pid) == str(program)
        program.unlink()
        assert read_exe(asleep.pid) == str(program)
    finally:
        asleep.kill()
        asleep.communicate()


@pytest.mark.parametrize("name", ["a b", "x (deleted) y", "caf\udce9", "new\nline"])
def test_a_path_may_have_anything_in_it(name, tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "exe").symlink_to(f"/opt/{name}")
    assert read_exe(42, str(tmp_path)) == f"/opt/{name}"


def test_a_kernel_thread_executes_nothing(tmp_path):
    assert read_exe(43, str(tmp_path)) == ""


# --- memory that is shared ---

ROLLUP = b"""\
555000000000-7ffe00000000 ---p 00000000 00:00 0                          [rollup]
Rss:              900000 kB
Pss:              500001 kB
Pss_Dirty:           999 kB
Pss_Anon:            999 kB
Shared_Clean:     300000 kB
Private_Clean:        30 kB
Private_Dirty:    400000 kB
Referenced:       900000 kB
Shared_Hugetlb:   777777 kB
Private_Hugetlb:  888888 kB
Swap:               7000 kB
SwapPss:            6000 kB
"""


def of_42(root, name, content):
    (root / "42").mkdir()
    (root / "42" / name).write_bytes(content)
    return 42, str(root)


def test_what_is_unique_to_a_process_is_never_more_than_its_proportional_memory(tmp_path):
    """Huge pages are in neither resident nor proportional memory: with them `umem` would be more than `rmem`."""
    assert read_rollup(*of_42(tmp_path, "smaps_rollup", ROLLUP)) == Rollup(500001 << 10, 400030 << 10, 7000 << 10)


def test_a_kernel_that_was_built_without_swap_tells_of_none(tmp_path):
    lines = b"\n".join(line for line in ROLLUP.splitlines() if not line.startswith(b"Swap"))
    assert read_rollup(*of_42(tmp_path, "smaps_rollup", lines)).swap == 0


@pytest.mark.parametrize("content", [b"", b"nonsense\n", ROLLUP.replace(b"Pss:", b"Pess:")])
def test_what_tells_no_proportional_memory_tells_nothing(content, tmp_path):
    assert read_rollup(*of_42(tmp_path, "smaps_rollup", content)) is None


def test_the_memory_of_a_real_process_is_mostly_its_own():
    with victim(marker(), mib=64) as hog:
        pss, uss, swap = read_rollup(hog.pid)
    assert 64 << 20 <= uss <= pss < 128 << 20
    assert swap == 0


# --- limits and pressure ---

LIMITS = b"""\
Limit                     Soft Limit           Hard Limit           Units
Max processes             96364                96364                processes
Max open files            %s                524288               files
Max locked memory         8388608              8388608              bytes
"""


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        (LIMITS % b"1024", 1024),
        (LIMITS % b"0   ", 0),
        (LIMITS % b"unlimited", math.inf),
        (LIMITS.replace(b"open", b"closed"), None),
        (b"", None),
    ],
)
def test_the_soft_limit_is_how_many_descriptors_a_process_may_have(content, limit, tmp_path):
    assert read_descriptor_limit(*of_42(tmp_path, "limits", content)) == limit


def test_the_limit_of_a_real_process_is_the_one_it_was_given():
    with victim(marker()) as hog:
        resource.prlimit(hog.pid, resource.RLIMIT_NOFILE, (77, 88))
        assert read_descriptor_limit(hog.pid) == 77


@pytest.mark.parametrize(
    ("content", "pressure"),
    [
        (b"some avg10=12.50 avg60=3.00 avg300=0.30 total=99\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=9\n", 12.5),
        (b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0),
        (b"full avg10=1.00 avg60=0.00 avg300=0.00 total=9\n", None),
        (b"", None),
    ],
)
def test_pressure_is_that_of_some_over_ten_seconds(content, pressure, tmp_path):
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "memory").write_bytes(content)
    assert read_pressure(str(tmp_path)) == pressure


# --- without the first thread ---

NOTHING = "0 0 0 0 0 0 0\n"


def threaded(tmp_path, *threads, count=None):
    """A process whose first thread is a zombie, and of its other threads what their stat and statm say."""
    home = tmp_path / "42"
    (home / "task").mkdir(parents=True)
    line = b"42 (x)" + TAIL.replace(b"S", b"Z")
    fields = line.split()
    fields[19] = b"%d" % (len(threads) + 1 if count is None else count)
    (home / "stat").write_bytes(b" ".join(fields))
    for name in ("statm", "cmdline"):
        (home / name).write_text(NOTHING if name == "statm" else "")
    (home / "status").write_text("Name:\tx\nState:\tZ (zombie)\n")
    for number, (state, statm) in enumerate(threads, 50):
        thread = home / "task" / str(number)
        thread.mkdir()
        (thread / "status").write_text(f"Name:\ty\nState:\t{state} (as it is)\n")
        (thread / "statm").write_text(statm)
        (thread / "cmdline").write_bytes(b"still here\0")
        (thread / "smaps_rollup").write_text("Pss: 3 kB\nPrivate_Dirty: 2 kB\nSwap: 1 kB\n")
        (thread / "exe").symlink_to("/usr/bin/y")
    return str(tmp_path)


def test_a_process_without_its_first_thread_is_read_of_another_one(tmp_path):
    root = threaded(tmp_path, ("T", "9 3 0 0 0 0 0\n"))
    stat = read_stat(42, root)
    assert (stat.comm, stat.state, stat.survivor, stat.ended) == ("x", "T", 50, False)
    assert read_size(42, root) == (3 * PAGE, 9 * PAGE)
    assert read_exe(42, root) == "/usr/bin/y"
    assert read_rollup(42, root) == (3 << 10, 2 << 10, 1 << 10)
    assert read_arguments(42, 100, root, stat.survivor) == b"still here\0"


@pytest.mark.parametrize(
    ("threads", "count"),
    [([], 1), ([("S", NOTHING)], 2), ([("Z", "9 3 0 0 0 0 0\n")], 2), ([], 2)],
)
def test_a_zombie_of_which_no_thread_lives_has_ended(threads, count, tmp_path):
    root = threaded(tmp_path, *threads, count=count)
    assert read_stat(42, root).ended
    assert read_size(42, root) is None
    assert read_exe(42, root) == ""


def test_whose_first_thread_lives_is_never_read_of_another_one(tmp_path):
    root = threaded(tmp_path, ("S", "9 3 0 0 0 0 0\n"))
    path = tmp_path / "42" / "stat"
    path.write_bytes(path.read_bytes().replace(b" Z ", b" S "))
    (tmp_path / "42" / "status").write_text("Name:\tx\nState:\tS (sleeping)\n")
    assert read_stat(42, root).survivor == 0
    assert read_size(42, root) is None


# --- without stat ---


def test_what_is_safe_to_read_says_the_same_as_stat():
    stat = read_stat(os.getpid())
    assert procfs.read_family(os.getpid()) == (stat.ppid, stat.pgid)
    assert procfs.read_comm(os.getpid()) == stat.comm
    assert procfs.read_state(f"/proc/{os.getpid()}") == stat.state


def test_of_who_is_not_there_nothing_is_said(tmp_path):
    found = [read(42, str(tmp_path)) for read in (procfs.read_family, procfs.read_comm)]
    assert (*found, procfs.read_state(f"{tmp_path}/42")) == (None, None, "")


def test_nobody_has_so_many_groups_that_their_process_group_is_not_found(tmp_path):
    (tmp_path / "42").mkdir()
    groups = " ".join(map(str, range(1_000_000, 1_007_000)))
    (tmp_path / "42" / "status").write_text(f"Name:\tx\nPPid:\t7\nGroups:\t{groups}\nNSpgid:\t8\t1\n")
    assert procfs.read_family(42, str(tmp_path)) == (7, 8)


@pytest.mark.parametrize("name", ["x\n", " ", "a) R 1 (b", "\udcff"])
def test_a_name_may_hold_anything(tmp_path, name):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "comm").write_bytes(os.fsencode(name) + b"\n")
    assert procfs.read_comm(42, str(tmp_path)) == name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"rchar: 9\nread_bytes: 1\nwrite_bytes: 22\ncancelled_write_bytes: 3\n", {"read_bytes": 1, "write_bytes": 22}),
        (b"", {}),
    ],
)
def test_what_was_read_and_written_is_what_went_to_storage(text, found):
    assert procfs.parse_io(text) == found
