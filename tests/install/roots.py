"""A clean Debian to try things in: a root made of a tar file, in namespaces of its own, and gone when it is left."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.install.mirrors import Mirrors
from tests.victims import until

CHECKOUT = Path(__file__).parents[2]
BASE = CHECKOUT / "build" / "roots" / "base.tar"

_NAMESPACES = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")

# Arguments: an empty directory, the tar file, directories of this machine that are to be there too. All is in memory.
# The bash that stays is process 1: it reaps who has lost their parent, and ends with whoever holds its input.
_ENTER = r"""
set -eu
root=$1
mount -t tmpfs -o mode=755 tmpfs "$root"
tar --extract --numeric-owner --file "$2" --directory "$root"
shift 2
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/this-machine"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for item in /etc/resolv.conf /etc/hosts; do
    cp --remove-destination --dereference "$item" "$root$item"
done
for item; do
    mkdir -p "$root$item"
    mount --bind "$item" "$root$item"
    mount -o remount,bind,ro "$root$item"
done
cd "$root"
pivot_root . this-machine
umount -l this-machine
rmdir this-machine
echo entered
exec bash -c 'read -r'
"""


class User(NamedTuple):
    """Who runs a command, as after a login."""

    name: str
    home: str
    umask: str
    path: str


ROOT = User("root", "/root", "022", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
# With the umask that Ubuntu gives its users. Debian's is 022, with which less can go wrong.
READER = User("reader", "/home/reader", "002", "/usr/local/bin:/usr/bin:/bin")


class Said(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    text: str


class Impossible(Exception):
    """What this machine lacks for any of this."""


class Terminal:
    """A command on a terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as written:
            while some := os.read(written.fileno(), 65536):
                self._written += some

    @property
    def text(self) -> str:
        """All that it has written so far, and what moves the cursor."""
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def press(self, keys: str) -> Said:
        """Keys that end it, such as Ctrl-C, which is \\x03; how it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(keys.encode())
        self._process.stdin.flush()
        until(lambda: self.ended, f"it ends by {keys!r}")
        self._reader.join(10)
        return Said(self._process.returncode, self.text)

    def close(self) -> None:
        """Leave it. What has not ended yet ends with the root."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()


class Root:
    """A Debian that each command enters; `holder` is the process outside that keeps its namespaces."""

    def __init__(self, holder: int, variables: Sequence[str] = ()) -> None:
        spaces = {"mount": "mnt", "ipc": "ipc", "uts": "uts", "pid": "pid_for_children"}
        self._enter = ["nsenter", *(f"--{space}=/proc/{holder}/ns/{file}" for space, file in spaces.items())]
        # For all who run something, beside what a login sets: "NAME=value".
        self.variables = list(variables)

    def _command(self, script: str, user: User, directory: str) -> list[str]:
        """As the user has it run by a bash that ends where a command fails."""
        whose = ["setpriv", f"--reuid={user.name}", f"--regid={user.name}", "--init-groups"]
        variables = [f"HOME={user.home}", f"USER={user.name}", f"LOGNAME={user.name}", f"PATH={user.path}"]
        shell = ["LANG=C.UTF-8", "TERM=xterm", "SHELL=/bin/bash", "bash", "-c"]
        begin = f'umask {user.umask} && cd "$0" && exec bash -e -c "$1"'
        return [*self._enter, *whose, "env", "-i", *variables, *self.variables, *shell, begin, directory, script]

    def run(
        self, script: str, user: User = ROOT, directory: str = "/", given: bytes = b"", seconds: float = 30
    ) -> Said:
        """What comes of it. Who takes longer is left to end with the rest."""
        command = self._command(script, user, directory)
        into = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, input=given, timeout=seconds, check=False, **into)
        return Said(done.returncode, done.stdout.decode(errors="replace"))

    def does(
        self, script: str, user: User = ROOT, directory: str = "/", given: bytes = b"", seconds: float = 30
    ) -> str:
        """What it says; it has to end well."""
        said = self.run(script, user, directory, given, seconds)
        assert said.status == 0, f"{script}: status {said.status}\n{said.text}"
        return said.text

    def write(self, path: str, text: str) -> None:
        """A file of root's."""
        self.does(f"mkdir -p {shlex.quote(os.path.dirname(path))}; cat >{shlex.quote(path)}", given=text.encode())

    @contextmanager
    def terminal(self, script: str, user: User = ROOT, directory: str = "/") -> Iterator[Terminal]:
        """The same on a terminal, to be ended by keys."""
        sized = f"stty rows 40 cols 120 && exec bash -e -c {shlex.quote(script)}"
        on_it = f"exec script --quiet --return --command {shlex.quote(sized)} /dev/null"
        terminal = Terminal(self._command(on_it, user, directory))
        try:
            yield terminal
        finally:
            terminal.close()


def base() -> Path:
    """The tar file of what debootstrap makes, with nothing else."""
    made = subprocess.run(
        [CHECKOUT / "tests" / "package" / "debian-root", BASE], stderr=subprocess.PIPE, text=True, check=False
    )
    if made.returncode == 77:
        raise Impossible(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return BASE


def _possible() -> None:
    if os.geteuid() != 0:
        raise Impossible("only root can enter a root")
    for tool, package in {"unshare": "util-linux", "pivot_root": "util-linux", "apt-get": "apt"}.items():
        if not shutil.which(tool):
            raise Impossible(f"{tool} is missing: apt-get install {package}")
    if subprocess.run([*_NAMESPACES, "true"], capture_output=True).returncode:
        raise Impossible("no namespaces of its own here (it takes CAP_SYS_ADMIN)")


@contextmanager
def clean_debian() -> Iterator[Root]:
    """One that has nothing but what debootstrap gives, and reaches the same mirrors as this machine."""
    _possible()
    tar, mirrors = base(), Mirrors.of_this_machine()
    directory = tempfile.mkdtemp(prefix="clean-debian.")
    command = [*_NAMESPACES, "bash", "-c", _ENTER, "enter", directory, str(tar), *mirrors.directories]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "entered\n", "no root; what is wrong stands above"
        root = Root(holder.pid, mirrors.proxies)
        for path, text in mirrors.files.items():
            root.write(path, text)
        yield root
    finally:
        # All in it end with its process 1, which ends with its input.
        holder.stdin.close()
        try:
            holder.wait(30)
        finally:
            holder.kill()
            holder.stdout.close()
            os.rmdir(directory)
