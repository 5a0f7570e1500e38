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
        f"{tmp_path}/none: there is no such file; write one, or name another with -c FILE\n"
        f"{wrong}:1:1: there is no setting 'intervall'; did you mean 'interval'?\n"
        "    intervall: 10s\n    ^^^^^^^^^\n"
    )


WARNED = "m:\n  cmdline: hog\n  actions:\n    rmem > 1g until rmem < 2g: exec /nosuch x\n"


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize(("strict", "status"), [(False, 0), (True, 1)])
def test_warnings_are_shown_and_counted_and_with_strict_the_status_tells(strict, status, quiet, conf, capsys):
    conf.write_text(WARNED)
    assert check.run([conf], quiet, strict) == status
    out, err = capsys.readouterr()
    assert out == ("" if quiet else f"{conf}: 1 monitor, 1 rule, 2 warnings\n")
    assert err.splitlines()[::3] == [
        f"{conf}:4:15: warning: 'rmem < 2g' can be true while the condition is, as with rmem 1.5g, and then the rule "
        "does not fire; write an until that is false wherever the condition is true",
        f"{conf}:4:37: warning: there is no '/nosuch'; correct the path, or install it",
    ]
    rule = WARNED.splitlines()[3]
    assert err.splitlines()[4:] == [f"    {rule}", f"    {' ' * rule.index('/nosuch')}{'^' * len('/nosuch')}"]


def test_one_warning_is_not_called_several(conf, capsys):
    conf.write_text(WARNED.replace("2g", "1m"))
    check.run([conf], quiet=False)
    assert capsys.readouterr().out == f"{conf}: 1 monitor, 1 rule, 1 warning\n"


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        ([MONITOR.format("m")], 0),
        ([WARNED], 1),
        ([WARNED, MONITOR.format("m")], 1),
        ([WARNED, "intervall: 10s\n"], 78),
        (["intervall: 10s\n", WARNED], 78),
        ([WARNED + "intervall: 10s\n"], 78),
    ],
)
def test_with_strict_warnings_are_1_and_what_is_wrong_is_78(texts, status, tmp_path, capsys):
    paths = [tmp_path / f"{at}.conf" for at in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    assert check.run(paths, quiet=True, strict=True) == status
    assert check.run(paths, quiet=True) == (status if status == 78 else 0)


def test_what_is_wrong_leaves_no_room_for_warnings(conf, capsys):
    conf.write_text(WARNED + "intervall: 10s\n")
    check.run([conf], quiet=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert "warning" not in err


def test_a_name_that_no_terminal_can_show_is_escaped(conf, capsys):
    strange = conf.with_name("\udcff.conf")
    conf.rename(strange)
    assert check.run([strange], quiet=False) == os.EX_OK
    assert capsys.readouterr().out.endswith("\\udcff.conf: 1 monitor, 1 rule, fine\n")
