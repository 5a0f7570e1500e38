"""`pipx install .`: the program of whoever has typed it, and its manual pages."""

import os
import shutil
from pathlib import Path

import pytest

from tests.install.building import copy_of_checkout, environment, run, works

PAGES = {"fall-from-grace": "man8/fall-from-grace.8", "fall-from-grace.conf": "man5/fall-from-grace.conf.5"}


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    return environment(tmp_path_factory.mktemp("pipx") / "venv", "pipx") / "pipx"


@pytest.fixture
def home(tmp_path):
    """An empty one, but for how its owner reaches the packages."""
    for name in (".config/pip", ".pip"):
        if (theirs := Path.home() / name).is_dir():
            shutil.copytree(theirs, tmp_path / name)
    return tmp_path


@pytest.fixture
def variables(home):
    """As after a login, whose profile puts ~/.local/bin into PATH once it is there."""
    return {"HOME": home, "PATH": f"{home}/.local/bin:{os.environ['PATH']}", "XDG_DATA_HOME": f"{home}/.local/share"}


@pytest.fixture
def use(home, variables):
    """Installs it with that pipx."""

    def install(pipx):
        tree = copy_of_checkout(home / "fall-from-grace")
        chosen = {"PIPX_HOME": f"{home}/.local/pipx", "PIPX_BIN_DIR": f"{home}/.local/bin"}
        run(pipx, "install", ".", cwd=tree, **variables, **chosen)
        shutil.rmtree(tree)

    return install


def test_with_the_newest_the_program_works_and_man_shows_its_pages(newest, use, home, variables, tmp_path):
    use(newest)
    works("fall-from-grace", tmp_path=tmp_path, **variables)
    pages = {name: home / ".local/share/man" / page for name, page in PAGES.items()}
    assert [page for page in pages.values() if not page.is_file()] == []
    if not shutil.which("man"):
        pytest.skip("man is missing: whether it finds the pages was not tested")
    for name, page in pages.items():
        shown = run("man", "--where", page.suffix[1:], name, **variables).strip()
        assert Path(shown).resolve() == page.resolve()


def test_with_the_one_of_this_machine_the_program_works(use, variables, tmp_path):
    pipx = shutil.which("pipx", path="/usr/bin")
    if not pipx:
        pytest.skip("pipx is missing: apt-get install pipx; nothing was tested")
    use(pipx)
    works("fall-from-grace", tmp_path=tmp_path, **variables)
