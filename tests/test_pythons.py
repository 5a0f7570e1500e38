"""Which Pythons the suite is run on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PYTHONS = Path(__file__).parent / "pythons"

# Says that it is another one, and runs what it is given.
ANOTHER = """#!/bin/sh
exec {python} -c '
import sys, sysconfig
sys.version_info, sys.prefix, sys.executable = {version}, {prefix}, sys.argv[1]
sys.implementation.name, sysconfig.get_config_var = {name}, {config}.get
exec(sys.argv[4])' "$0" "$@"
"""


@pytest.fixture
def install(tmp_path):
    """Puts a Python of a made-up version below a home directory."""

    def put(place, *version, level="final", prefix=sys.base_prefix, name="cpython", config=()):
        about = {"version": (*version, level, 0), "prefix": prefix, "name": name, "config": dict.fromkeys(config, 1)}
        text = ANOTHER.format(python=sys.executable, **{key: json.dumps(value) for key, value in about.items()})
        (path := tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return put


@pytest.fixture
def found(tmp_path):
    """Those of them that are found, by their version."""

    def find():
        env = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
        ran = subprocess.run([PYTHONS], env=env, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        pairs = (line.split(" ", 1) for line in ran.stdout.splitlines())
        return {version: path for version, path in pairs if path.startswith(str(tmp_path))}

    return find


def test_one_of_each_minor_version_is_found_the_oldest_first(install, found):
    newer = install(".pyenv/versions/3.100.0/bin/python3", 3, 100, 0)
    older = install("bin/python3.98", 3, 98, 2)
    uvs = install(".local/share/uv/python/cpython-3.99.1-linux/bin/python3.99", 3, 99, 1)
    assert [*found().items()] == [("3.98", older), ("3.99", uvs), ("3.100", newer)]


def test_of_a_minor_version_it_is_the_newest_and_of_the_same_the_one_in_path(install, found):
    install("bin/python3", 3, 98, 2)
    newest = install(".pyenv/versions/3.98.10/bin/python3", 3, 98, 10)
    in_path = install("bin/python3.99", 3, 99, 1)
    install(".asdf/installs/python/3.99.1/bin/python3.99", 3, 99, 1)
    assert found() == {"3.98": newest, "3.99": in_path}


@pytest.mark.parametrize(
    "what",
    [
        {"level": "candidate"},
        {"level": "beta"},
        {"prefix": "/home/somebody/venv"},
        {"name": "pypy"},
        {"config": ("Py_GIL_DISABLED",)},
    ],
)
def test_what_is_no_plain_release_is_left_out(install, found, what):
    install("bin/python3.98", 3, 98, 1, **what)
    install("bin/python3.99", 3, 99, 0)
    assert found().keys() == {"3.99"}


def test_what_is_too_old_or_does_not_run_is_left_out(install, found, tmp_path):
    install("bin/python3.9", 3, 9, 30)
    (broken := tmp_path / "bin" / "python3.98").write_text("#!/bin/sh\necho no version is set >&2; exit 127\n")
    broken.chmod(0o755)
    (tmp_path / "bin" / "python3.99").write_text("")
    install("bin/python3.97", 3, 97, 0)
    assert found().keys() == {"3.97"}
