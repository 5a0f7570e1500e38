"""The source distribution: it is the repository, and as good as that."""

import os
import tarfile

import pytest

from tests.install.building import (
    CHECKOUT,
    builder,
    copy_of_checkout,
    files_of_git,
    installed,
    pip,
    run,
    wheel_of,
    wheel_of_checkout,
    works_where_nothing_was,
)

# Those that look at files that are no part of the program.
ABOUT_FILES = ("documents", "manual", "program_page", "completion", "test", "metrics", "config", "architecture")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Made in a checkout in which people have worked."""
    tree = copy_of_checkout(tmp_path_factory.mktemp("sdist") / "tree")
    for left in (
        "debian/files",
        "debian/fall-from-grace/x",
        "debian/.debhelper/x",
        "tests/__pycache__/x.pyc",
        "build/x",
    ):
        (tree / left).parent.mkdir(parents=True, exist_ok=True)
        (tree / left).write_text("")
    run(builder() / "python", "-m", "build", "--sdist", "--no-isolation", tree)
    [made] = (tree / "dist").iterdir()
    return made


@pytest.fixture
def unpacked(sdist, tmp_path):
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path)
    return tmp_path / sdist.name.removesuffix(".tar.gz")


def test_it_has_all_that_the_repository_has_and_what_setuptools_adds(unpacked):
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    added = {name for name in found if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert found - added == set(files_of_git())
    scripts = [name for name in files_of_git() if os.access(CHECKOUT / name, os.X_OK)]
    assert [name for name in scripts if not os.access(unpacked / name, os.X_OK)] == []


def test_a_wheel_that_is_built_from_it_is_the_one_of_the_checkout(sdist, tmp_path):
    assert wheel_of(sdist, builder(), tmp_path) == wheel_of_checkout()


def test_it_installs_itself(sdist, tmp_path):
    works_where_nothing_was(sdist, tmp_path)


def test_tests_pass_that_are_about_its_files(unpacked):
    pip(installed(), "install", "pytest", "mock", "hypothesis", "prometheus-client")
    tests = [f"tests/test_{name}.py" for name in ABOUT_FILES]
    quick = ("-q", "-p", "no:cacheprovider", "-k", "not notices")
    assert " passed" in run(installed() / "python", "-m", "pytest", *quick, *tests, cwd=unpacked)
