"""An upgrade replaces the files of the program, and of its libraries, under a daemon that runs."""

import shutil
from pathlib import Path

import ply
import pytest
import yaml

from tests.live import conftest
from tests.victims import victim

HERE = Path(__file__).parents[2]

_PROGRAM = """
import sys

sys.path.insert(0, PLACE)
if sys.argv[1:2] == ["--resident"]:
    from fallfromgrace.resident import main

    sys.exit(main(sys.argv[2:]))
from fallfromgrace.cli import main

sys.exit(main())
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the program is installed, with those of its libraries that are Python."""
    place = tmp_path / "installed"
    for source in (HERE / "fallfromgrace", Path(ply.__file__).parent, Path(yaml.__file__).parent):
        shutil.copytree(source, place / source.name)
    (place / "start").write_text(_PROGRAM.replace("PLACE", repr(str(place))))
    monkeypatch.setattr(conftest, "PROGRAM", place / "start")
    return place


def replace_by_another_version(place):
    for file in place.rglob("*.py"):
        file.write_text("raise SystemError('this is of another version')\n")
    for cached in place.rglob("__pycache__"):
        shutil.rmtree(cached)


def test_a_daemon_goes_on_with_what_it_began_with(place, program, configured, mark):
    path = configured(f"hog:\n  cmdline: no-{mark}\n  actions:\n    rmem > 1m: log found\n")
    running = program("-c", path)
    running.hup()  # is heeded when all is in order
    running.says("configuration reloaded")
    replace_by_another_version(place)
    configured(f"hog:\n  cmdline: {mark}\n  actoins:\n    rmem > 1m: log found\n")
    running.hup()
    running.says("actoins", "did you mean 'actions'")
    # What measures this was not loaded before.
    configured(f"hog:\n  cmdline: {mark}\n  actions:\n    fds > 1 and rmem > 1m: log found\n")
    running.hup()
    running.says("configuration reloaded", times=2)
    with victim(mark, 5):
        running.says("text=found")
    assert not running.said("report this")
    assert not running.said("cannot")
