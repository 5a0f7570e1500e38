import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fallfromgrace import config, files, textfile
from fallfromgrace.errors import ConfigError

MONITOR = "{}:\n  cmdline: hog\n  actions:\n    rmem > 500m: term\n"
PROGRAM = Path(__file__).parent.parent / "bin" / "fall-from-grace"
cases = pytest.mark.parametrize
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration, and files beside it by their names below its directory."""

    def write(text: str | bytes = "#\n", **more: str | bytes) -> Path:
        path = tmp_path / "x.conf"
        _write(path, text)
        for name, content in more.items():
            (tmp_path / "x.d").mkdir(exist_ok=True)
            _write(tmp_path / "x.d" / name, content)
        return path

    return write


def _write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o644)


def gathered(path):
    """The names of the files that are read, and what is wrong with the others."""
    problems = []
    found = files.gather(path, problems.append)
    return [each.path.name for each in found], [_short(each, path) for each in problems]


def _short(problem, path):
    return problem.headline.replace(f"{path.parent}/", "").replace(str(path.parent), ".")


def faults(path):
    """All that is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return [_short(problem, path) for problem in caught.value.problems]


# --- which files ------------------------------------------------------------------------------------------------


def test_drop_ins_are_read_after_the_file_in_the_order_of_their_names(conf):
    path = conf(**{"20.conf": "#\n", "10.conf": "#\n", "a.conf": "#\n"})
    assert gathered(path) == (["x.conf", "10.conf", "20.conf", "a.conf"], [])


@cases("name", ["A-b_9.conf", "-.conf", "_.conf"])
def test_what_is_named_like_a_drop_in_is_one(name, conf):
    assert gathered(conf(**{name: "#\n"})) == (["x.conf", name], [])


@cases(
    ("name", "better"),
    [
        ("browser.yaml", "browser.conf"),
        ("browser.yml", "browser.conf"),
        ("10 browser.conf", "10-browser.conf"),
        ("a.b.conf", "a-b.conf"),
        ("caf\u00e9\n.conf", "caf-.conf"),
        ("x.conf.yaml", "x-conf.conf"),
    ],
)
def test_what_only_seems_to_be_named_like_a_drop_in_is_told(name, better, conf):
    path = conf(**{"fine.conf": "#\n", name: "#\n"})
    text = f"this is passed over: the name of a drop-in is letters, digits, - and _, and then .conf; call it {better}"
    assert [_short(each, path) for each in files.passed_over(path)] == [f"x.d/{name}: {text}"]
    assert gathered(path) == (["x.conf", "fine.conf"], [])


@cases("name", ["a.conf~", "a.conf.dpkg-old", ".a.conf.swp", ".#a.conf", "#a.conf#", "README", "a.conf.off", ".conf"])
def test_what_editors_and_packages_leave_is_not_worth_a_word(name, conf):
    path = conf(**{name: "#\n"})
    assert list(files.passed_over(path)) == []
    assert list(files.passed_over(path.with_name("x.yaml"))) == []


def test_what_a_configuration_would_be_read_from_can_be_named_without_reading_it(conf):
    path = conf(**{"20.conf": "nonsense", "10.conf": "#\n", "a.conf~": "#\n"})
    drop_ins = path.with_suffix(".d")
    assert files.named(path) == (path, drop_ins / "10.conf", drop_ins / "20.conf")
    for alone in (path.with_suffix(".yaml"), path.parent / "none.conf", Path("/"), Path()):
        assert files.named(alone) == (alone,)


def test_the_last_change_is_that_of_a_file_in_its_place(conf):
    path = conf(**{"a.conf": "#\n"})
    drop_in = path.with_suffix(".d") / "a.conf"
    assert files.changed_at([path, drop_in]) == drop_in.stat().st_ctime
    assert files.changed_at([path, path.parent / "none"]) == path.stat().st_ctime
    assert files.changed_at([]) == 0


def test_of_a_change_that_is_to_come_nobody_knows_when_it_was(conf, monkeypatch):
    """The clock was set back since."""
    path = conf()
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime - 60)
    assert files.changed_at([path]) == 0


ODD = ["a.conf~", "a.conf.dpkg-old", ".a.conf.swp", "#a.conf#", ".a.conf", "a.yaml", "a b.conf", "\u00e9.conf"]
ODD += ["a.conf\n", "\na.conf", ".conf", "a.b.conf", "a.CONF", "a.conf ", "4913", "\udcff.conf", "\u0663.conf"]


@cases("name", ODD)
def test_what_editors_and_packages_leave_beside_a_file_is_not_read(name, conf):
    assert gathered(conf(**{name: "nonsense"})) == (["x.conf"], [])


@cases("name", ["x", "x.yaml", "x.conf~", ".conf"])
def test_a_file_with_another_name_has_no_drop_ins(name, conf):
    path = conf(**{"a.conf": "nonsense"})
    path.rename(path.with_name(name))
    assert gathered(path.with_name(name)) == ([name], [])


def test_without_a_directory_for_them_there_are_no_drop_ins(conf):
    assert gathered(conf()) == (["x.conf"], [])


# --- what is no file --------------------------------------------------------------------------------------------


def _missing(path):
    pass


def _loop(path):
    path.symlink_to(path)


def _link(path):
    _write(path.with_name("real"), "#\n")
    path.symlink_to("real")


def _socket(path):
    os.mknod(path, stat.S_IFSOCK | 0o600)  # to bind one takes a short path


def _large(path):
    _write(path, b"#" * textfile.LARGEST + b"\n")


_LINKED = "this is a symbolic link; name the file itself, or put it in the place of the link"
UNUSABLE = [
    (_missing, "there is no such file; write one, or name another with -c FILE"),
    (Path.mkdir, "this is a directory; a configuration is a text file"),
    (os.mkfifo, "this is not a regular file; a configuration is a text file"),
    (_socket, "this is not a regular file; a configuration is a text file"),
    (_loop, _LINKED),
    (_link, _LINKED),
    (_large, "the file is larger than 1 MiB; is it a configuration at all?"),
]


@cases(("make", "text"), UNUSABLE)
def test_what_is_no_readable_file_is_told_without_waiting(make, text, tmp_path):
    make(tmp_path / "x.conf")
    assert gathered(tmp_path / "x.conf") == ([], [f"x.conf: {text}"])


@cases(("make", "text"), UNUSABLE[1:])
def test_a_drop_in_that_is_no_readable_file_is_told_and_not_passed_over(make, text, conf):
    path = conf(**{"b.conf": "#\n"})
    make(path.with_suffix(".d") / "a.conf")
    assert gathered(path) == (["x.conf", "b.conf"], [f"x.d/a.conf: {text}"])


@cases(
    ("path", "text"),
    [
        ("/", "this is a directory; a configuration is a text file"),
        (".", "this is a directory; a configuration is a text file"),
        ("..", "this is a directory; a configuration is a text file"),
        ("/nosuch/x.conf", "there is no such file; write one, or name another with -c FILE"),
        ("/etc/passwd/x.conf", "the file cannot be read: Not a directory"),
        ("/dev/null", "this is not a regular file; a configuration is a text file"),
        ("/etc/" + "x" * 300, "the file cannot be read: File name too long"),
    ],
)
def test_a_path_where_no_file_can_be_is_told(path, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problems = []
    assert files.gather(Path(path), problems.append) == ()
    assert [each.headline for each in problems] == [f"{Path(path)}: {text}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read_is_told(conf):
    path = conf()
    path.chmod(0)
    assert gathered(path) == ([], ["x.conf: the file cannot be read: Permission denied"])


def test_a_drop_in_directory_that_is_none_is_told_beside_the_other_problems(conf):
    path = conf("interval: 1\n")
    path.with_suffix(".d").write_text("")
    assert faults(path)[1] == "x.d: the directory for more files cannot be read: Not a directory"


def test_a_drop_in_directory_that_is_a_link_is_told(conf):
    path = conf(**{"a.conf": "#\n"})
    path.with_suffix(".d").rename(path.with_name("real"))
    path.with_suffix(".d").symlink_to("real")
    told = "x.d: this is a symbolic link; put a directory in its place, with the files in it"
    assert gathered(path) == (["x.conf"], [told])


def test_a_directory_may_be_reached_by_a_link(conf, tmp_path):
    path = conf(**{"a.conf": "#\n"})
    (tmp_path / "link").symlink_to(tmp_path)
    assert gathered(tmp_path / "link" / path.name) == (["x.conf", "a.conf"], [])


def test_nothing_stays_open(conf):
    path = conf(**{"a.conf": "#\n", "b.conf": b"#" * (textfile.LARGEST + 1)})
    before = os.listdir("/proc/self/fd")
    gathered(path)
    gathered(path.with_name("none"))
    assert os.listdir("/proc/self/fd") == before


# --- who may change them ----------------------------------------------------------------------------------------


def test_a_file_that_others_may_write_to_is_not_used(conf):
    path = conf()
    path.chmod(0o666)
    read, [told] = gathered(path)
    assert read == []
    assert told.startswith("x.conf: everybody may write to this file, and it says what is done with the rights of ")
    assert told.endswith("; run: chmod go-w x.conf")


@cases("mode", [0o775, 0o777])
def test_nor_is_one_in_a_directory_where_others_may_replace_it_nor_its_drop_ins(mode, conf):
    path = conf(**{"a.conf": "#\n"})
    path.parent.chmod(mode)
    read, [told] = gathered(path)
    assert read == []
    assert "may replace the configuration in this directory" in told


def test_where_nobody_can_replace_what_is_not_theirs_it_is_used(conf):
    path = conf(**{"a.conf": "#\n"})
    path.parent.chmod(0o1777)
    assert gathered(path) == (["x.conf", "a.conf"], [])


@cases("mode", [0o775, 0o777, 0o1777])
def test_a_drop_in_directory_where_others_may_add_files_is_told_and_the_file_still_read(mode, conf):
    path = conf(**{"a.conf": "#\n"})
    path.with_suffix(".d").chmod(mode)
    read, [told] = gathered(path)
    assert read == ["x.conf"]
    assert "may add files to this directory" in told


def test_all_that_is_not_trusted_is_told_at_once_beside_what_else_is_wrong(conf):
    path = conf(**{"a.conf": "x: y\n", "b.conf": "secret: nonsense\n"})
    for each in (path, path.with_suffix(".d") / "b.conf"):
        each.chmod(0o664)
    told = faults(path)
    assert [each.partition(": ")[0] for each in told] == ["x.conf", "x.d/a.conf:1:1", "x.d/b.conf"]
    assert not [each for each in told if "secret" in each]


@as_root
def test_root_takes_no_orders_from_a_file_of_somebody_else(conf):
    path = conf(**{"a.conf": "#\n", "b.conf": "#\n"})
    os.chown(path.with_suffix(".d") / "a.conf", 4242, 0)
    read, [told] = gathered(path)
    assert read == ["x.conf", "b.conf"]
    assert told == (
        "x.d/a.conf: this file belongs to uid 4242, and it says what is done with the rights of root; "
        "run: chown root x.d/a.conf"
    )


@as_root
@cases(("what", "read"), [("x.d", ["x.conf"]), (".", [])])
def test_nor_from_a_directory_of_somebody_else(what, read, conf):
    path = conf(**{"a.conf": "#\n"})
    os.chown(path.parent / what, 4242, 0)
    found, [told] = gathered(path)
    assert found == read
    assert told.startswith(f"{what}: this directory belongs to uid 4242, and what is in it says what is done with the")


@as_root
def test_a_user_uses_root_s_files_and_their_own_and_nobody_else_s(conf, monkeypatch):
    path = conf(**{"mine.conf": "#\n", "other.conf": "#\n"})
    os.chown(path.with_suffix(".d") / "mine.conf", 1, 1)
    os.chown(path.with_suffix(".d") / "other.conf", 4242, 1)
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    read, [told] = gathered(path)
    assert read == ["x.conf", "mine.conf"]
    assert told.startswith("x.d/other.conf: this file belongs to uid 4242, and it says what is done with the rights of")


@as_root
def test_a_link_in_a_directory_for_all_leads_nowhere(conf, tmp_path):
    conf()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "x.conf").symlink_to(tmp_path / "x.conf")
    os.chown(shared / "x.conf", 4242, 4242, follow_symlinks=False)
    assert gathered(shared / "x.conf") == ([], [f"x.conf: {_LINKED}"])


@cases("how", [["-t"], ["check"], ["match"], ["--state", "none", "-f"], ["--state", "none", "-n"]])
def test_whatever_reads_a_configuration_refuses_the_same(how, conf):
    path = conf()
    path.chmod(0o666)
    ran = subprocess.run([sys.executable, PROGRAM, *how, "-c", path], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (78, "")
    assert ran.stderr.startswith(f"{path}: everybody may write to this file")
    assert ran.stderr.endswith(f"; run: chmod go-w {path}\n")


# --- while they change ------------------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something done once when the first block is read."""

    def arrange(work):
        read = os.read

        def and_work(descriptor, size):
            monkeypatch.setattr(os, "read", read)
            data = read(descriptor, size)
            work()
            return data

        monkeypatch.setattr(os, "read", and_work)

    return arrange


def _append(path):
    with path.open("a") as file:
        file.write("#")


def _cut(path):
    os.truncate(path, 1)


def _touch(path):
    os.utime(path, ns=(1, 1))


def _restore(path):
    before = path.stat()
    path.write_text("/\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _allow(path):
    path.chmod(0o600)


@cases("change", [_append, _cut, _touch, _restore, _allow])
def test_a_file_that_changes_while_it_is_read_is_not_used(change, conf, meanwhile):
    path = conf()
    os.utime(path, (1, 1))
    meanwhile(lambda: change(path))
    assert gathered(path) == ([], ["x.conf: the file changed while it was read; try again when it is written"])


def _replace(path):
    other = path.with_name("new")
    _write(other, "nonsense")
    other.rename(path)


@cases("change", [_replace, Path.unlink])
def test_a_file_that_another_takes_the_place_of_while_it_is_read_is_the_old_one(change, conf, meanwhile):
    path = conf("# old\n")
    meanwhile(lambda: change(path))
    [found] = files.gather(path, pytest.fail)
    assert found.data == b"# old\n"


def test_the_directory_that_was_checked_is_the_one_that_is_used(conf, monkeypatch, tmp_path):
    """Another takes its place right after it was opened."""
    (tmp_path / "good").mkdir(mode=0o755)
    (tmp_path / "evil").mkdir()
    _write(tmp_path / "good" / "x.conf", "# good\n")
    _write(tmp_path / "evil" / "x.conf", "# evil\n")
    opened = os.open

    def and_swap(path, *more, **options):
        descriptor = opened(path, *more, **options)
        if path == tmp_path / "good":
            (tmp_path / "good").rename(tmp_path / "away")
            (tmp_path / "evil").rename(tmp_path / "good")
        return descriptor

    monkeypatch.setattr(os, "open", and_swap)
    [found] = files.gather(tmp_path / "good" / "x.conf", pytest.fail)
    assert found.data == b"# good\n"


def test_who_may_rename_a_directory_on_the_way_could_put_another_in_its_place(tmp_path):
    (tmp_path / "above" / "around").mkdir(parents=True)
    (tmp_path / "above" / "around" / "x.conf").write_text("# ours\n")
    (tmp_path / "above").chmod(0o777)
    told = []
    assert files.gather(tmp_path / "above" / "around" / "x.conf", told.append) == ()
    assert [each.path for each in told] == [str(tmp_path / "above")]
