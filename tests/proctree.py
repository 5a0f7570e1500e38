"""A /proc of a test's own: a directory with the files that are read, for processes that were never there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.builders import MIB

PAGE = os.sysconf("SC_PAGESIZE")
_KERNEL_THREAD = 0x00200000


class Proc:
    """Made-up processes below a directory; what a test does not care about is filled in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = str(path)
        (path / "stat").write_text("btime 1700000000\n")

    def put(
        self,
        pid: int,
        cmdline: str = "hog",
        *,
        ppid: int = 1,
        pgid: int | None = None,
        start: int | None = None,
        state: str = "S",
        uid: int = 1000,
        exe: str = "/usr/bin/hog",
        rmem: int = MIB,
        vmem: int = 2 * MIB,
        kernel: bool = False,
        ticks: int = 0,
        threads: int = 1,
    ) -> None:
        """A process that is there from now on, or is otherwise than before. Zombies and kernel threads use nothing."""
        home = self.path / str(pid)
        home.mkdir(exist_ok=True)
        nothing = kernel or state == "Z"
        flags = _KERNEL_THREAD if kernel else 0
        arguments = b"" if nothing else cmdline.encode(errors="surrogateescape").replace(b" ", b"\0") + b"\0"
        counts = f"{flags} 0 0 0 0 {ticks} 0 0 0 20 0 {threads} 0 {pid if start is None else start}" + " 0" * 30
        (home / "stat").write_text(f"{pid} (hog) {state} {ppid} {pid if pgid is None else pgid} 0 0 0 {counts}\n")
        (home / "statm").write_text(f"{0 if nothing else vmem // PAGE} {0 if nothing else rmem // PAGE} 0 0 0 0 0\n")
        (home / "cmdline").write_bytes(arguments if cmdline else b"")
        (home / "comm").write_text("hog\n")
        (home / "status").write_text(
            f"Name:\thog\nState:\t{state} (as it is)\nPPid:\t{ppid}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
            f"NSpgid:\t{pid if pgid is None else pgid}\n"
        )
        (home / "exe").unlink(missing_ok=True)
        if not nothing:
            (home / "exe").symlink_to(exe)

    def remove(self, pid: int) -> None:
        """A process that is gone; who has its files open finds that it uses nothing."""
        (self.path / str(pid) / "statm").write_text("0 0 0 0 0 0 0\n")
        shutil.rmtree(self.path / str(pid))

    def unpack(self, recorded: Path) -> None:
        """What was recorded: the content of each file by its path, and where each link leads."""
        found = json.loads(recorded.read_text())
        for name, content in found["files"].items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode(errors="surrogateescape"))
        for name, target in found["links"].items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).symlink_to(target)
