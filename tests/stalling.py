"""Processes whose command line hangs whoever reads it: their memory waits for a file system that never answers.

It takes root, `/dev/fuse`, and a mount namespace of its own, so that nobody comes upon that file system by accident.
When a Stall ends the kernel gives up all that waits for it: nothing is left hanging. Until then whoever reads those
command lines hangs, `ps` too, so it should not last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Mounts a file system with a file for every number, which can be read and never be written, and starts victims.
_SERVER = r"""
import ctypes, os, struct, subprocess, sys, threading
where, program, victim = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    if result:
        sys.exit("cannot: " + os.strerror(ctypes.get_errno()))

checked(libc.unshare(0x00020000))
checked(libc.mount(b"none", b"/", None, 0x44000, None))
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
checked(libc.mount(b"fuse", where.encode(), b"fuse", 0, options.encode()))

def attributes(node):
    mode, size = (0o40755, 0) if node == 1 else (0o100644, 1 << 20)
    return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

def answer(opcode, node, body):
    if opcode == 26:
        return struct.pack("=4I2H2I2H8I", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, *[0] * 8)
    if opcode == 1:
        file = int(body.rstrip(b"\0"))
        return struct.pack("=4Q2I", file, 0, 3600, 3600, 0, 0) + attributes(file)
    if opcode == 3:
        return struct.pack("=QII", 3600, 0, 0) + attributes(node)
    if opcode == 15:
        return bytes(struct.unpack_from("=QQI", body)[2])
    return bytes(16) if opcode in (14, 27) else None

def serve():
    while True:
        try:
            request = os.read(fuse, 1 << 20)
        except OSError:
            return
        size, opcode, unique, node = struct.unpack_from("=IIQQ", request)
        if opcode in (2, 16, 36, 42):
            continue
        body = answer(opcode, node, request[40:])
        error = 0 if body is not None else -38
        os.write(fuse, struct.pack("=IiQ", 16 + len(body or b""), error, unique) + (body or b""))

threading.Thread(target=serve, daemon=True).start()
started = []
for line in sys.stdin:
    mark, mib, count, when = line.split()
    command = [program, "-S", "-c", victim, where, mark, mib, count, when]
    one = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, close_fds=True)
    started.append(one)
    print(one.stdout.readline().strip(), flush=True)
for one in started:
    one.kill()
os._exit(0)
"""

# Forks, changes the file in its memory, and lets go of that: until it is written, as it never will be, the kernel keeps
# the lock of the memory. All are killed with the server.
_VICTIM = r"""
import ctypes, os, signal, sys, time
path, mark, mib, count, when = sys.argv[1:6]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
libc.prctl(1, 9, 0, 0, 0)
pids, first = [os.getpid()], True
for _ in range(int(count) - 1):
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        libc.prctl(1, 9, 0, 0, 0)
        os.close(reading)
        first = False
        break
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    pids.append(pid)
held = bytearray(b"x") * (int(mib) << 20)
address = libc.mmap(None, 4096, 3, 1, os.open(f"{path}/{os.getpid()}", os.O_RDWR), 0)
ctypes.memset(address, 1, 1)
if first:
    print(*pids, flush=True)
else:
    os.close(writing)
if when == "later":
    signal.sigwait({signal.SIGUSR1})
libc.mmap(address, 4096, 1, 0x32, -1, 0)
time.sleep(300)
os._exit(0)
"""


# Shares its memory with a child that executes something, while that memory waits: the kernel keeps also the lock that
# stands for who the child is. Then its stat line hangs, and what it executes. The child is who is told of.
_EXECUTES = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
static char *address;
static volatile int go;
static void *lets_go_of_it(void *nothing) {
    while (!go) usleep(10000);
    mmap(address, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    return nothing;
}
int main(int count, char **words) {
    char path[300], said[32], *sleeps[] = {"sleep", "60", 0};
    long held = atol(words[3]) << 20;
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, 9);
    memset(malloc(held), 1, held);
    snprintf(path, sizeof path, "%s/%d", words[1], getpid());
    address = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
    address[0] = 1;
    pthread_create(&thread, 0, lets_go_of_it, 0);
    if (!vfork()) {
        prctl(PR_SET_PDEATHSIG, 9);
        write(1, said, snprintf(said, sizeof said, "%d\n", getpid()));
        sleep(atoi(words[5]));
        go = 1;
        usleep(300000);
        execv("/bin/sleep", sleeps);
        _exit(1);
    }
    sleep(300);
}
"""


def who_executes(where: Path) -> str:
    """A victim whose stat line hangs, after so many seconds as its last argument says. Takes a compiler."""
    source, program = where / "executes.c", where / "executes"
    source.write_text(_EXECUTES)
    subprocess.run(["gcc", "-w", "-pthread", "-o", program, source], check=True)
    return f"import os, sys; os.execv({str(program)!r}, ['executes', *sys.argv[1:]])"


def lacking() -> str:
    """Why there can be no Stall here; empty where there can be."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs root and /dev/fuse"
    try:
        probe = ["unshare", "--mount", "true"]
        return "" if not subprocess.run(probe, capture_output=True, check=False).returncode else "needs CAP_SYS_ADMIN"
    except OSError:
        return "unshare is missing: apt-get install util-linux"


class Stall:
    """The file system and those who are on it; `program` is what all of them execute, and nobody else does.

    `victim` is what they run instead, of the same arguments, which says its pid.
    """

    def __init__(self, where: Path, victim: str = _VICTIM) -> None:
        self.program = str(where / f"stalled-{os.getpid()}-{time.monotonic_ns()}")
        shutil.copy(os.path.realpath("/proc/self/exe"), self.program)
        (where / "mounted").mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
        words = [sys.executable, "-c", _SERVER, str(where / "mounted"), self.program, victim]
        self._server = subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def victims(self, mark: str, count: int = 1, mib: int = 1, when: str = "now") -> list[int]:
        """The pids of so many more, each of which holds so many MiB. Their arguments have the mark in them, as nobody
        can see; of those of `later` everybody can, until they get SIGUSR1."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(f"{mark} {mib} {count} {when}\n")
        self._server.stdin.flush()
        pids = [int(word) for word in self._server.stdout.readline().split()]
        assert len(pids) == count
        return pids

    def close(self) -> None:
        """End all of it."""
        self._server.kill()
        self._server.communicate()


@contextmanager
def stall(where: Path, victim: str = _VICTIM) -> Iterator[Stall]:
    """For the length of a `with` block."""
    made = Stall(where, victim)
    try:
        yield made
    finally:
        made.close()


def hangs(pid: int, seconds: float = 0.5, name: str = "cmdline") -> bool:
    """Whether a direct reading of a command line, or another file, is not over after so long."""
    reader = subprocess.Popen(["cat", f"/proc/{pid}/{name}"], stdout=subprocess.DEVNULL)
    try:
        reader.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    finally:
        reader.kill()
        reader.wait()
    return False
