"""Files that are guided by what they cover: atheris in a process of its own, for which it is installed or not.

`python -m tests.fuzz.guided` is that process; its arguments are libFuzzer's.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

LONGEST = 2000
_SAMPLES = Path(__file__).parent.parent / "config"
_DONE = re.compile(r"^Done (\d+) runs", re.M)


def available() -> bool:
    """Whether atheris is installed: `pip install atheris`, which there is for some versions of Python."""
    return importlib.util.find_spec("atheris") is not None


def run(seed: str, number: int) -> tuple[int, str]:
    """How many files were made, and the end of what it said where something came of one that must not."""
    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory) / "corpus"
        corpus.mkdir()
        for sample in _SAMPLES.glob("*.yaml"):
            (corpus / sample.name).write_bytes(sample.read_bytes()[:LONGEST])
        limits = (f"-runs={number}", f"-seed={zlib.crc32(seed.encode())}", f"-max_len={LONGEST}", "-timeout=60")
        command = [sys.executable, "-m", __name__, str(corpus), *limits, f"-artifact_prefix={directory}/"]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        wrong = [path.read_bytes() for path in Path(directory).iterdir() if path.is_file()]
    done = _DONE.search(ran.stderr)
    if ran.returncode or not done:
        said = ran.stdout or ran.stderr  # Python's own words come first
        return 0, f"atheris exited with {ran.returncode}, for {wrong}:\n{said[-2000:]}"
    return int(done[1]), ""


def _fuzz() -> None:
    import atheris

    with atheris.instrument_imports(include=["fallfromgrace", "yaml"]):
        from tests.fuzz.checks import check_file

    def check(data: bytes) -> None:
        check_file(data)

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz()
