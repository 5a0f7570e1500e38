"""The crowd: idle processes with command lines of a realistic kind, some of which are to be watched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from bench.keeper import die_with_parent

GROUPS = 5
# The length is what counts: from 20 bytes to 700, 170 on average, as on a desktop with a browser and some services.
_KINDS = (
    "/usr/sbin/cron -f",
    "/usr/sbin/sshd -D -o Port=22",
    "postgres: 15/main: walwriter",
    "nginx: worker process is shutting down",
    "/usr/lib/systemd/systemd --user --deserialize=24",
    "/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only",
    "/usr/bin/python3 /usr/bin/gunicorn --workers 4 --bind unix:/run/app.sock --access-logfile - app.wsgi:application",
    "/bin/bash --rcfile /etc/bash.bashrc",
    "/usr/lib/firefox/firefox -contentproc -childID 12 -isForBrowser -prefsLen 38123 -prefMapSize 244787"
    " -jsInitLen 234840 -parentBuildID 20240101000000 -greomni /usr/lib/firefox/omni.ja -appomni"
    " /usr/lib/firefox/browser/omni.ja -appDir /usr/lib/firefox/browser {cf5cf1d1-3d7a-4bb8-9b16} 2931 true tab",
    "/opt/google/chrome/chrome --type=renderer --crashpad-handler-pid=2881 --enable-crash-reporter --lang=en-US"
    " --num-raster-threads=4 --enable-main-frame-before-activation --renderer-client-id=27 --time-ticks-at-unix-epoch"
    " --launch-time-ticks=31242134 --shared-files=v8_context_snapshot_data:100 --field-trial-handle=0,i,1231231231",
    "/usr/lib/jvm/java-17/bin/java -Xms1g -Xmx4g -XX:+UseG1GC -XX:MaxGCPauseMillis=200 -Dlog.dir=/var/log/app"
    " -Dconfig=/etc/app/application.conf -cp " + ":".join(f"/usr/share/app/lib/part-{n}.jar" for n in range(12)),
    "node /srv/app/node_modules/.bin/server --port 3000 --inspect=0",
)


def group_word(marker: str, group: int) -> str:
    """Stands in the command lines of a group that is to be watched, and nowhere else."""
    return f"--run={marker}-w{group}x"


def command_lines(size: int, watched: int, marker: str) -> list[str]:
    """The watched ones stand spread among the others, in GROUPS groups of nearly the same size."""
    words = [f"--run={marker}-idle"] * size
    for nth in range(watched):
        words[nth * size // watched] = group_word(marker, nth % GROUPS)
    return [f"{kind} {word}" for kind, word in zip(islice(cycle(_KINDS), size), words, strict=True)]


@contextmanager
def crowd(size: int, watched: int, marker: str, programs: Path) -> Iterator[None]:
    """So many processes for the length of a `with` block; RuntimeError if the machine does not let us."""
    starter = subprocess.Popen(
        [programs / "crowd", programs / "idle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    try:
        starter.stdin.write("\n".join(command_lines(size, watched, marker)) + "\n\n")
        starter.stdin.flush()
        if starter.stdout.readline() != "ready\n":
            raise RuntimeError(f"no {size} processes can be started here; see ulimit -u")
        yield
    finally:
        starter.stdin.close()  # which ends them all
        starter.stdout.close()
        starter.wait()
