"""What `pip install .` and `python setup.py build` make of a checkout."""

import sys

import pytest

from tests.install.building import (
    CHECKOUT,
    SHARED,
    builder,
    copy_of_checkout,
    environment,
    installed,
    modules_of,
    modules_of_checkout,
    run,
    wheel_of,
    wheel_of_checkout,
    where,
    works,
    works_where_nothing_was,
)


def test_what_pip_installs_works_from_anywhere(tmp_path):
    assert where(installed() / "python").startswith(str(installed().parent))
    works(installed() / "fall-from-grace", tmp_path=tmp_path)


def test_a_wheel_installs_itself(tmp_path):
    wheel_of(copy_of_checkout(tmp_path / "tree"), builder(), tmp_path / "wheels")
    [wheel] = (tmp_path / "wheels").iterdir()
    works_where_nothing_was(wheel, tmp_path)


def test_the_pages_the_completion_the_unit_and_the_schema_are_installed():
    prefix = installed().parent
    found = {path.relative_to(prefix).as_posix() for path in (prefix / "share").rglob("*.*")}
    found |= {name for name in SHARED if (prefix / name).is_file()}
    assert found == {name for name in SHARED if (CHECKOUT / SHARED[name]).is_file()} == set(SHARED)
    assert all((prefix / name).read_bytes() == (CHECKOUT / SHARED[name]).read_bytes() for name in SHARED)


def test_an_unclean_checkout_installs_nothing_of_an_older_version(tmp_path):
    tree = copy_of_checkout(tmp_path / "tree")
    for stale in ("build/lib/fallfromgrace/stale.py", "build/lib/fallfromgrace/commands/stale.py"):
        (tree / stale).parent.mkdir(parents=True, exist_ok=True)
        (tree / stale).write_text("")
    wheel = wheel_of(tree, builder(), tmp_path / "wheels")
    assert modules_of(wheel) == modules_of_checkout()


def test_what_setup_py_builds_runs_where_it_is(tmp_path):
    tree = copy_of_checkout(tmp_path / "tree")
    run(installed() / "python", "-m", "pip", "install", "--quiet", "setuptools")
    run(installed() / "python", "setup.py", "-q", "build", cwd=tree)
    [program] = (tree / "build").glob("scripts-*/fall-from-grace")
    built = tree / "build" / "lib"
    assert where(installed() / "python", PYTHONPATH=built).startswith(str(built))
    works(program, tmp_path=tmp_path, PYTHONPATH=built)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="setuptools 59 is of before Python 3.12: nothing was tested")
def test_the_oldest_setuptools_builds_the_same(tmp_path):
    oldest = environment(tmp_path / "venv", "setuptools==59.6.0", "wheel==0.37.1")
    found = wheel_of(copy_of_checkout(tmp_path / "tree"), oldest, tmp_path / "wheels")
    assert contents(found) == contents(wheel_of_checkout())


def contents(wheel):
    """Without what a setuptools says about itself, and where it puts the licence."""
    return {name: content for name, content in wheel.items() if ".dist-info/" not in name}
