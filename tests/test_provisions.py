"""What is gathered is what is imported later, whatever has become of the files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fallfromgrace import children, provisions
from fallfromgrace.exits import Failure
from fallfromgrace.provisions import Provisions


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory to import from, with a package that is loaded and a module in it that is not."""
    package = tmp_path / "larder"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "flour.py").write_text("from larder import water\nDOUGH = 'flour and ' + water.WATER\n")
    (package / "water.py").write_text("WATER = 'water'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import larder  # noqa: F401

    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "larder"]:
        del sys.modules[name]


@pytest.fixture
def kept():
    kept = Provisions()
    yield kept
    kept.close()


def load():
    from larder import flour  # noqa: F401


def test_nothing_is_kept_before_it_is_gathered(kept):
    assert kept.descriptors == ()
    kept.close()


def test_what_is_gathered_is_not_loaded_and_outlives_its_files(kept, place):
    kept.gather(load)
    assert "larder.flour" not in sys.modules
    for file in place.rglob("*.py*"):
        file.write_text("this is another version")
    from larder import flour

    assert flour.DOUGH == "flour and water"
    assert flour.__file__.startswith(f"/proc/self/fd/{kept.descriptors[0]}/")


def test_a_child_that_keeps_it_imports_from_it_too(kept, place):
    kept.gather(load)
    for file in place.rglob("*.py*"):
        file.unlink()
    pid = children.fork(load, keep=kept.descriptors, name="some-child")
    assert os.waitpid(pid, 0)[1] == 0


def test_when_it_is_closed_files_count_again(kept, place):
    before = list(sys.path)
    kept.gather(load)
    kept.close()
    assert sys.path == before
    from larder import flour

    assert flour.__file__ == str(place / "flour.py")
    assert kept.descriptors == ()


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def offspring():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (lambda: time.sleep(60), "not read after 0.2 s"),
        (lambda: 1 / 0, "cannot be read"),
    ],
)
def test_what_cannot_be_gathered_is_told_and_nothing_is_left(load, why, kept):
    before, path = (descriptors(), offspring()), list(sys.path)
    with pytest.raises(Failure, match=why):
        kept.gather(load, seconds=0.2)
    assert ((descriptors(), offspring()), sys.path, kept.descriptors) == (before, path, ())


@pytest.mark.parametrize("call", ["memfd_create", "pipe", "fork"])
def test_so_is_the_want_of_anything_that_it_takes(call, kept, monkeypatch):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    before = descriptors()
    monkeypatch.setattr(provisions.os, call, refuse)
    with pytest.raises(Failure, match="Too many open files"):
        kept.gather(lambda: None)
    monkeypatch.undo()
    assert descriptors() == before


# Imports what a reload imports, after the files would have been replaced, and says what came from elsewhere.
_RELOAD = """
import sys
from fallfromgrace import provisions, reading, resident
kept = provisions.Provisions()
kept.gather(reading.load_all)
loaded = set(sys.modules)
reading.load_all()
for name in set(sys.modules) - loaded:
    spec = sys.modules[name].__spec__
    place = spec.origin or "" if spec else ""  # "frozen" for what is in the interpreter itself
    if place.endswith(".py") or place.endswith(".pyc"):
        if not place.startswith("/proc/self/fd/") and not name.startswith("psutil"):
            print(name, place)
"""


def test_a_reload_imports_no_python_that_is_not_kept_but_psutil_which_is_whole():
    ran = subprocess.run([sys.executable, "-c", _RELOAD], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
