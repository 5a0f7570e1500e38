"""A PID namespace of one's own: what is in it can be given any pid, and is gone with its first process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any


def unshare(*flags: str) -> list[str]:
    """The words that run what follows as the first process of a PID namespace of its own, with a /proc to it."""
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rootless, "--pid", "--fork", "--kill-child", "--mount-proc", *flags]


def needs() -> str:
    """Why there is none to be had; empty where there is."""
    if not shutil.which("unshare"):
        return "needs unshare"
    made = subprocess.run([*unshare(), "true"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "needs a PID namespace of its own: root, or user namespaces"


def run(module: str, **keywords: Any) -> Any:
    """What the `inside` of a module gives when it is called within a new PID namespace."""
    code = f"import json, sys; from {module} import inside; json.dump(inside(**json.loads(sys.argv[1])), sys.stdout)"
    command = [*unshare(), sys.executable, "-c", code, json.dumps(keywords)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(ran.stdout)
