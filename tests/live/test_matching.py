"""`match` beside a real daemon."""

import json
import subprocess
import sys
from pathlib import Path

from fallfromgrace import errand, procfs
from tests.live.conftest import PROGRAM
from tests.victims import until


def children(pid):
    return {procfs.read_comm(int(child)) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_a_daemon_that_is_found_by_its_arguments_counts_once_without_the_child_that_reads_for_it(
    program, tmp_path, mark
):
    conf = tmp_path / f"{mark}.conf"
    conf.write_text(f"interval: 1s\nitself:\n  cmdline: {mark}\n  actions:\n    cpu > 10000%: log busy\n")
    running = program("-c", conf)
    until(lambda: children(running.process.pid) == {errand.NAME}, "the child has its name")
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "match", "--json", "-c", str(conf)], capture_output=True, timeout=60
    )
    [found] = json.loads(ran.stdout)
    assert [each["pid"] for each in found["processes"]] == [running.process.pid]
