"""The main job, shown for real: a process leaks memory, and the daemon warns, stops and terminates it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parent / "bin" / "fall-from-grace"
LONGEST_SECONDS = 30.0


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def show(lines: IO[str], seen: list[str]) -> None:
    """Print the daemon's lines as they come, and keep them."""
    for line in lines:
        seen.append(line)
        print(line, end="", flush=True)


def wait_for(word: str, seen: list[str], deadline: float) -> None:
    while not any(word in line for line in seen):
        if time.monotonic() > deadline:
            sys.exit(f"the daemon did not say '{word}' in time; please report this")
        time.sleep(0.05)


def demonstrate(leak: subprocess.Popen[bytes], seen: list[str]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    wait_for('action="stop', seen, deadline)
    state = Path(f"/proc/{leak.pid}/stat").read_text().rpartition(")")[2].split()[0]
    say(f"the leak is stopped (state {state}): it keeps its memory, and takes no more. Its user lets it go on:")
    time.sleep(3)
    print(f"$ kill -CONT {leak.pid}", flush=True)
    leak.send_signal(signal.SIGCONT)
    wait_for("action=term", seen, deadline)
    status = leak.wait(timeout=10)
    say(f"the leak has ended by {signal.Signals(-status).name}. That was all; now stop the daemon:")


def main() -> None:
    marker = f"demo-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix="fall-from-grace-demo.") as directory:
        conf = Path(directory, "demo.conf")
        written = (HERE / "demo.conf").read_text().partition("\n")[2]
        conf.write_text(written.replace("MARKER", marker))
        conf.chmod(0o600)  # what its group may write to is no configuration, and a umask of 002 lets it
        say(f"the configuration, {conf}:")
        print(conf.read_text(), flush=True)
        leak = subprocess.Popen([sys.executable, str(HERE / "leak.py"), marker])
        say(f"a process that leaks 16 MiB a second is pid {leak.pid}. The daemon, in the foreground:")
        print(f"$ bin/fall-from-grace --state none -c {conf}", flush=True)
        daemon = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--state", "none", "-c", str(conf)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        seen: list[str] = []
        assert daemon.stderr is not None
        reader = threading.Thread(target=show, args=(daemon.stderr, seen))
        reader.start()
        try:
            demonstrate(leak, seen)
        finally:
            leak.kill()
            leak.wait()
            daemon.terminate()
            daemon.wait()
            reader.join()
    say("done")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the leak and the daemon have ended")
