"""The bench's programs in C: built anew into a directory of each run, which takes a second."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parent / "c"
# The crowd and the victims are static where that can be had: small, and they share no library with who is measured.
_STATIC = {"idle", "crowd", "floor", "victim"}
PROGRAMS = (*sorted(_STATIC), "timewarp")


class NoCompiler(RuntimeError):
    """There is none; the text says how to get one."""


def compiler() -> str:
    """The C compiler's path."""
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        raise NoCompiler("the bench needs a C compiler: apt-get install gcc libc6-dev")
    return found


def build(name: str, directory: Path) -> Path:
    """Compile `name`.c; what can be run or, for timewarp, preloaded."""
    target = directory / name
    basic = [compiler(), "-O2", "-Wall", "-Wextra", "-o", str(target), str(_SOURCES / f"{name}.c")]
    if name not in _STATIC:
        subprocess.run([*basic, "-shared", "-fPIC", "-ldl"], check=True)
    elif subprocess.run([*basic, "-static"], check=False, capture_output=True).returncode:
        subprocess.run(basic, check=True)
    return target
