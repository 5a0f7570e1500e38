import os

import pytest

from fallfromgrace.commands import check

MONITOR = "{}:\n  cmdline: hog\n  actions:\n    rmem > 500m: term\n"
TWO_RULES = MONITOR.format("two") + "    rmem > 900m: kill\n"


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(MONITOR.format("m"))
    return path


def test_a_fine_file_is_counted(conf, capsys):
    assert check.run([conf], quiet=False) == os.EX_OK
    assert capsys.readouterr() == (f"{conf}: 1 monitor, 1 rule, fine\n", "")


@pytest.mark.parametrize(("names", "files"), [(["a.conf"], "1 file"), (["a.conf", "b.conf"], "2 files")])
def test_the_files_read_beside_it_are_told(names, files, conf, capsys):
    directory = conf.with_suffix(".d")
    directory.mkdir()
    for name in names:
        (directory / name).write_text(TWO_RULES.replace("two", name))
    check.run([conf], quiet=False)
    monitors, rules = len(names) + 1, 2 * len(names) + 1
    assert capsys.readouterr().out == f"{conf} and {files} in {directory}: {monitors} monitors, {rules} rules, fine\n"


def test_quiet_is_silent_when_all_is_well(conf, capsys):
    assert check.run([conf], quiet=True) == os.EX_OK
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [True, False])
def test_every_file_is_checked_and_one_that_is_wrong_decides(quiet, conf, tmp_path, capsys):
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("intervall: 10s\n")
    assert check.run([tmp_path / "none", wrong, conf], quiet) == os.EX_CONFIG
    out, err = capsys.readouterr()
    assert out == ("" if quiet else f"{conf}: 1 monitor, 1 rule, fine\n")
    assert err == (
        f"{tmp_path}/none: there is no such file\n"
        f"{wrong}:1:1: there is no setting 'intervall'; did you mean 'interval'?\n"
        "    intervall: 10s\n    ^^^^^^^^^\n"
    )


def test_a_name_that_no_terminal_can_show_is_escaped(conf, capsys):
    strange = conf.with_name("\udcff.conf")
    conf.rename(strange)
    assert check.run([strange], quiet=False) == os.EX_OK
    assert capsys.readouterr().out.endswith("\\udcff.conf: 1 monitor, 1 rule, fine\n")
