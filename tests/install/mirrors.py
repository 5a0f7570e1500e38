"""How this machine reaches the packages of Debian and Python, for a clean root that is to reach them the same way."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

# Options of pip that say where packages come from, not which.
_ROUTES = re.compile(
    r"index-url|extra-index-url|no-index|find-links|proxy|cert|client-cert|trusted-host|(default-)?timeout|retries"
)
_CARRIED = "/etc/of-this-machine"


class Mirrors(NamedTuple):
    """Variables, files to write, and directories that are to be there too."""

    proxies: list[str]
    files: dict[str, str]
    directories: list[str]

    @classmethod
    def of_this_machine(cls) -> Mirrors:
        options = dict(_options())
        carried = {path: f"{_CARRIED}{path}" for option in options.values() for path in _paths(option, Path.is_file)}
        folders = {_whole(name, path) for name, option in options.items() for path in _paths(option, Path.is_dir)}
        for path, there in carried.items():
            options = {name: value.replace(path, there) for name, value in options.items()}
        files = {there: Path(path).read_text() for path, there in carried.items()}
        files["/etc/pip.conf"] = "[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        files["/etc/apt/apt.conf.d/99of-this-machine"] = _apt()
        return cls(_proxies(), files, sorted(folders))


def _proxies() -> list[str]:
    return [f"{name}={value}" for name, value in os.environ.items() if name.lower().endswith("_proxy")]


def _options() -> Iterator[tuple[str, str]]:
    """Of pip, from its files and then from the environment, which goes first."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    for line in sorted(shown.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if _ROUTES.fullmatch(name):
            yield name, " ".join(ast.literal_eval(value).split())


def _paths(value: str, suits: Callable[[Path], bool]) -> Iterator[str]:
    for word in value.split():
        path = word.removeprefix("file://")
        if path.startswith("/") and suits(Path(path)):
            yield path


def _whole(option: str, directory: str) -> str:
    """The pages of an index name files that lie beside it."""
    parent = str(Path(directory).parent)
    return parent if "index" in option and parent != "/" else directory


def _apt() -> str:
    """Proxies, certificates, and whether an old list will do."""
    shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return "".join(line + "\n" for line in shown.stdout.splitlines() if re.match(r"Acquire::(https?::|Check-)", line))
