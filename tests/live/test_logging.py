"""Real syslog daemons that come late, are started anew, stop, or have no space left."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from fallfromgrace.logs import NOTICE, SyslogLog
from tests.live.conftest import NO_STATE, PROGRAM
from tests.live.test_running import NAMESPACE, can_unshare, rule
from tests.victims import until, victim

RSYSLOGD = """\
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{address}" RateLimit.Interval="0")
template(name="bare" type="string" string="%rawmsg%\\n")
*.* action(type="omfile" file="{messages}" template="bare" asyncWriting="off")
"""


class Rsyslogd:
    """One of our own, with its own socket."""

    def __init__(self, directory):
        self.address, self.messages, self._directory = directory / "log", directory / "messages", directory
        (directory / "conf").write_text(RSYSLOGD.format(address=self.address, messages=self.messages))
        self.process = None

    def start(self):
        files = ["-f", str(self._directory / "conf"), "-i", str(self._directory / "pid")]
        self.process = subprocess.Popen(["rsyslogd", "-n", *files], stderr=subprocess.DEVNULL)
        until(self.address.exists, "it listens")

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def texts(self):
        lines = self.messages.read_text().splitlines() if self.messages.exists() else []
        return [line.partition("]: ")[2] for line in lines]


@pytest.fixture
def rsyslogd(tmp_path):
    started = Rsyslogd(tmp_path)
    yield started
    started.end()


@pytest.mark.skipif(not shutil.which("rsyslogd"), reason="needs rsyslogd: apt-get install rsyslog")
def test_whatever_a_syslog_daemon_does_no_line_waits_for_it_and_all_are_accounted_for(rsyslogd):
    log, written, longest, now = SyslogLog(str(rsyslogd.address)), 0, 0.0, iter(range(1000))

    def write(count):
        nonlocal written, longest
        for _ in range(count):
            began = time.monotonic()
            log.write(NOTICE, f"line {written} {'x' * 500}")
            longest, written = max(longest, time.monotonic() - began), written + 1

    def told():
        log.catch_up(float(next(now)))
        texts = rsyslogd.texts()
        lost = [int(found[1]) for found in (re.fullmatch(r"(\d+) lines? lost", text) for text in texts) if found]
        return len([text for text in texts if text.startswith("line ")]) + sum(lost) == written

    write(5)
    rsyslogd.start()
    until(told, f"5 lines are told to be lost: {rsyslogd.texts()}")
    rsyslogd.process.send_signal(signal.SIGSTOP)
    write(3000)
    rsyslogd.process.send_signal(signal.SIGCONT)
    until(told, "what came and what was lost is all")
    rsyslogd.end()
    write(5)
    rsyslogd.start()
    write(5)
    until(told, "it is so, too, by one that was started anew")
    assert longest < 0.1
    log.close()


@pytest.mark.skipif(not can_unshare(), reason="needs root with CAP_SYS_ADMIN, for a mount namespace")
@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox, for its syslogd")
def test_a_syslogd_whose_disk_is_full_is_its_own_trouble(configured, mark, tmp_path):
    pidfile = tmp_path / "pid"
    path = configured(rule(mark, "rmem > 60m: term", "rmem > 1: log @ 1s x"))
    program = " ".join(
        [sys.executable, str(PROGRAM), *NO_STATE, "-d", "-p", str(pidfile), "-c", str(path), "; read wait"]
    )
    namespace = NAMESPACE.replace('"$1/messages"', "/dev/full")
    assert namespace != NAMESPACE
    inside = ["unshare", "--mount", "sh", "-c", namespace, "sh", str(tmp_path), "sh", "-c", program]
    ran = subprocess.Popen(inside, stdin=subprocess.PIPE)
    try:
        until(pidfile.exists, "it runs")
        for _ in range(2):
            with victim(mark, mib=64) as hog:
                until(lambda hog=hog: hog.ended_by() == signal.SIGTERM, "it is terminated")
    finally:
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGTERM)
        until(lambda: not pidfile.exists(), "it ends")
        ran.communicate(b"\n", timeout=20)
