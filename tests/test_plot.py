import contextlib
import os
import resource
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from fallfromgrace import exits, plot
from fallfromgrace.curves import MOST_MARKS, Mark, Panel
from fallfromgrace.expression import Metric
from fallfromgrace.plot import Times, plain
from tests.builders import MIB, process

TIMES = Times(0.0, 600.0, 1_795_000_000.0)
HOSTILE = "$\\frac{1}{0}$ _x^ \x1b[2J\n<b>&amp; \udcff\u202e 漢字 %s {} \\"


@pytest.fixture
def drawing():
    pytest.importorskip("matplotlib")


def panel(name="conkeror", cmdline="hog", processes=3, limits=None, marks=()):
    made = Panel(name, Metric("rmem"))
    made.limits |= limits if limits is not None else {"rmem > 500m": 500.0 * MIB}
    for at in range(0, 600, 10):
        for pid in range(1, processes + 1):
            made.add(float(at), process(pid, cmdline), at * pid * MIB)
    for mark in marks:
        made.mark(mark)
    return made


def texts(path):
    """All that is written in a picture."""
    return ["".join(each.itertext()) for each in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


# --- before anything is drawn ---


@pytest.mark.parametrize("name", ["x", "x.gif", "x.svg.gz", "svg"])
def test_what_is_no_picture_is_refused_with_what_is_one(tmp_path, name):
    with pytest.raises(exits.UsageError, match=r"ends with \.svg, \.png, \.pdf"):
        plot.check(tmp_path / name)


def test_where_there_can_be_no_file_there_is_no_picture(tmp_path):
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(exits.UsageError, match="is a directory"):
        plot.check(tmp_path / "x.svg")
    with pytest.raises(exits.UsageError, match="there is no directory"):
        plot.check(tmp_path / "no" / "x.svg")
    with pytest.raises(exits.Failure, match="File name too long"):
        plot.check(tmp_path / f"{'x' * 300}.svg")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize("name", ["x.svg", "closed/x.svg"])
def test_where_one_may_not_write_there_is_no_picture(name, drawing, tmp_path):
    """Also where it may not even be known what is there."""
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o700)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            plot.check(tmp_path / name)
        except exits.NotPermitted:
            os._exit(77)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77


def test_without_matplotlib_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(exits.Failure) as caught:
        plot.check(tmp_path / "x.svg")
    assert caught.value.status == exits.UNAVAILABLE
    assert "apt-get install python3-matplotlib" in str(caught.value)
    assert "pip install 'fall-from-grace[plot]'" in str(caught.value)


def test_matplotlib_is_imported_only_when_it_is_asked_for():
    code = "import sys, fallfromgrace.commands.replay; print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


# --- the picture ---


@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")]
)
def test_the_name_says_what_kind_of_picture_it_is(drawing, tmp_path, suffix, magic):
    path = tmp_path / f"x.{suffix}"
    plot.check(path)
    plot.draw([panel()], "title", TIMES, path)
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_it_has_monitors_processes_limits_and_actions(drawing, tmp_path):
    marks = [Mark(170.0, 510.0 * MIB, "term 3"), Mark(300.0, None, "kill 3")]
    other = panel(name="other", cmdline="worker", processes=9, limits={"rmem > 50g": 50_000.0 * MIB, "odd": None})
    plot.draw([panel(marks=marks), other], "nights.rec: 2 actions", TIMES, tmp_path / "x.svg")
    found = texts(tmp_path / "x.svg")
    for text in (
        "nights.rec: 2 actions", "conkeror: rmem", "other: rmem", "3 hog", "1 hog", "rmem > 500m", "term 3", "kill 3",
        "9 worker", "3 more", "far above: rmem > 50g",
    ):  # fmt: skip
        assert text in found
    assert "3 worker" not in found  # the largest six only
    assert {"512m", "1g"} <= set(found)  # what people call round


def test_nothing_that_others_choose_does_any_harm(drawing, tmp_path):
    hostile = panel(HOSTILE, HOSTILE, limits={HOSTILE: 5.0 * MIB}, marks=[Mark(5.0, 1.0, HOSTILE)])
    plot.draw([hostile], HOSTILE, TIMES, tmp_path / "x.svg")
    shown = [text for text in texts(tmp_path / "x.svg") if text.startswith(("$", "1 $", "2 $"))]
    assert len(shown) >= 6
    for text in shown:
        assert text.isprintable()
        assert r"$\frac{1}{0}$" in text


@pytest.mark.parametrize("text", ["$", "$$", "a$b$c", r"\$x\$", r"\\$", "$" * 7, "no dollar"])
def test_a_dollar_begins_no_formula(drawing, tmp_path, text):
    plot.draw([panel(name=text)], text, TIMES, tmp_path / "x.svg")
    assert text in texts(tmp_path / "x.svg")
    assert f"{text}: rmem" in texts(tmp_path / "x.svg")


@pytest.mark.parametrize(
    ("text", "shown"), [("abc", "abc"), ("x" * 20, "x" * 9 + "…"), ("a\nb", r"a\x0ab"), ("$PID", r"\$PID")]
)
def test_a_text_is_plain_and_not_too_long(text, shown):
    assert plain(text, 10) == shown


def test_whatever_somebody_likes_their_pictures_to_be_this_one_is_as_it_is(drawing, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True, "font.size": 99}):
        plot.draw([panel(name="50% & $x$")], "title", TIMES, tmp_path / "x.svg")
        assert matplotlib.rcParams["text.usetex"] is True
    assert "50% & $x$: rmem" in texts(tmp_path / "x.svg")


def test_a_picture_of_nothing_says_so(drawing, tmp_path):
    plot.draw([], "title", TIMES, tmp_path / "x.svg")
    assert "no rule compares anything that was recorded" in texts(tmp_path / "x.svg")


ODD = {
    "a single moment": [(0.0, 5.0)],
    "nothing used": [(0.0, 0.0), (1.0, 0.0)],
    "below nothing": [(0.0, -5.0 * MIB), (1.0, -9.0 * MIB)],
    "huge": [(0.0, 1e300), (1.0, 1.5e300)],
    "tiny": [(0.0, 1e-9), (1.0, 2e-9)],
}


@pytest.mark.parametrize("points", ODD.values(), ids=ODD.keys())
def test_odd_numbers_can_be_drawn(drawing, tmp_path, points):
    made = Panel("m", Metric("rmem"))
    made.limits["rmem > 1"] = 1.0
    for at, value in points:
        made.add(at, process(1), value)
    plot.draw([made], "title", Times(0.0, points[-1][0], 1e9), tmp_path / "x.svg")
    assert "m: rmem" in texts(tmp_path / "x.svg")


def test_labels_that_would_cover_each_other_are_left_out_the_marks_are_not(drawing, tmp_path):
    marks = [Mark(10.0 + at / 10, 5.0, f"term {at}") for at in range(50)]
    plot.draw([panel(marks=marks)], "title", TIMES, tmp_path / "x.svg")
    labels = [text for text in texts(tmp_path / "x.svg") if text.startswith("term ")]
    assert labels == ["term 0", "term 1", "term 2", "term 3"]


def test_marks_that_are_left_out_are_counted(drawing, tmp_path):
    made = panel(marks=[Mark(at, 5.0, "term 1") for at in range(MOST_MARKS + 7)])
    plot.draw([made], "title", TIMES, tmp_path / "x.svg")
    assert "7 more actions, not marked" in texts(tmp_path / "x.svg")


def test_a_label_at_the_right_edge_stands_before_its_mark():
    [(_, _, first), (_, _, last)] = plot._labelled([Mark(0.0, 1.0, "term 1"), Mark(599.0, 1.0, "term 2")], TIMES)
    assert (first, last) == ("left", "right")


# --- the file ---


@contextlib.contextmanager
def full_files():
    """As a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_cannot_be_written_leaves_the_old_picture_and_no_other_file(drawing, tmp_path):
    path = tmp_path / "x.svg"
    path.write_text("old")
    with full_files(), pytest.raises(exits.Failure, match=r"cannot write .*x\.svg: File too large"):
        plot.draw([panel()], "title", TIMES, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_one_may_not_write_is_told_as_that(drawing, tmp_path, monkeypatch):
    def fails(self, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(plot.Path, "open", fails)
    with pytest.raises(exits.NotPermitted, match="cannot write"):
        plot.draw([panel()], "title", TIMES, tmp_path / "x.svg")


def test_a_link_that_somebody_has_put_there_is_not_followed(drawing, tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f".x.svg.{os.getpid()}").symlink_to(tmp_path / "mine")
    with pytest.raises(exits.Failure, match="cannot write"):
        plot.draw([panel()], "title", TIMES, tmp_path / "x.svg")
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_old_picture_is_replaced(drawing, tmp_path):
    (tmp_path / "x.svg").write_text("old")
    plot.draw([panel()], "title", TIMES, tmp_path / "x.svg")
    assert "title" in texts(tmp_path / "x.svg")
