"""Copies of the checkout to build from, environments to install into, and whether what is installed works there."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from fallfromgrace import __version__
from tests.victims import marker, victim

CHECKOUT = Path(__file__).parents[2]
# Below the prefix, and the file of the checkout that it is.
SHARED = {
    "share/man/man5/fall-from-grace.conf.5": "man/fall-from-grace.conf.5",
    "share/man/man8/fall-from-grace.8": "man/fall-from-grace.8",
    "share/bash-completion/completions/fall-from-grace": "completion/fall-from-grace",
    "share/systemd/user/fall-from-grace.service": "desktop/fall-from-grace.service",
    "share/fall-from-grace/fall-from-grace.schema.json": "schema/fall-from-grace.schema.json",
}


def run(*command: object, cwd: Path | str = "/", **variables: object) -> str:
    """What it says; it has to end well. No Python finds more than by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env = {**kept, **{name: str(value) for name, value in variables.items()}}
    ran = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, f"{command}: status {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def files_of_git() -> list[str]:
    """What git has, or would take."""
    if not (CHECKOUT / ".git").exists() or not shutil.which("git"):
        pytest.skip("only git knows what belongs to a checkout: nothing was tested")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT).split("\0")
    return [name for name in names if name and (CHECKOUT / name).is_file()]


def copy_of_checkout(place: Path) -> Path:
    """As a clone has it."""
    for name in files_of_git():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, place / name)
    return place


def environment(place: Path, *packages: str) -> Path:
    """A fresh virtual environment with these packages; its bin/."""
    venv.create(place, with_pip=True)
    if packages:
        pip(place / "bin", "install", *packages)
    return place / "bin"


def pip(programs: Path, *arguments: object) -> str:
    return run(programs / "python", "-m", "pip", "--disable-pip-version-check", *arguments)


def wheel_of(source: Path, programs: Path, place: Path) -> dict[str, bytes]:
    """The files of the wheel that is built from a tree, or from an sdist, by what is installed there."""
    pip(programs, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, source)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def modules_of(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith("fallfromgrace/")}


def modules_of_checkout() -> set[str]:
    return modules_of(files_of_git())


def works(*command: object, tmp_path: Path, **variables: object) -> None:
    """It runs from another directory, and does what it is for."""
    assert run(*command, "--version", **variables).split()[-1] == __version__
    # With a mode of its own: others may be allowed to write to a checkout.
    configuration = shutil.copyfile(CHECKOUT / "fall-from-grace.conf", tmp_path / "fall-from-grace.conf")
    assert run(*command, "-t", "-c", configuration, **variables) == ""
    with victim(mark := marker()) as found:
        assert str(found.pid) in run(*command, "match", "--cmdline", mark, **variables)


def where(python: Path, **variables: object) -> str:
    """Which of ours it imports."""
    return run(python, "-c", "import fallfromgrace; print(fallfromgrace.__file__)", **variables)


def works_where_nothing_was(package: Path, tmp_path: Path) -> None:
    """What pip installs of it, and of what it depends on, into an environment of its own."""
    programs = environment(tmp_path / "venv")
    pip(programs, "install", package)
    assert where(programs / "python").startswith(str(programs.parent))
    works(programs / "fall-from-grace", tmp_path=tmp_path)


@functools.cache
def _work() -> Path:
    """For what several tests use, until all have ended."""
    place = tempfile.mkdtemp(prefix="install-tests.")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


@functools.cache
def builder() -> Path:
    """The bin/ of an environment with a setuptools that builds, and nothing of ours."""
    return environment(_work() / "builder", "setuptools", "wheel", "build")


@functools.cache
def installed() -> Path:
    """The bin/ of one into which pip has installed what a checkout has."""
    programs = environment(_work() / "installed")
    pip(programs, "install", copy_of_checkout(_work() / "source"))
    return programs


@functools.cache
def wheel_of_checkout() -> dict[str, bytes]:
    """As the newest setuptools builds it."""
    return wheel_of(copy_of_checkout(_work() / "tree"), builder(), _work() / "wheels")
