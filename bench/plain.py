"""Once a second read everything of everybody with psutil's public calls, and search it: the obvious program."""

import re
import sys
import time

import psutil

LIMIT = 100 << 30


def sweep(patterns: list["re.Pattern[str]"]) -> int:
    """How many are too large."""
    large = 0
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                cmdline, _, memory = " ".join(process.cmdline()), process.ppid(), process.memory_info()
        except psutil.Error:
            continue
        large += memory.rss > LIMIT and any(pattern.search(cmdline) for pattern in patterns)
    return large


def main() -> None:
    with open(sys.argv[1]) as words:
        patterns = [re.compile(word) for word in words.read().split()]
    due = time.monotonic()
    while True:
        sweep(patterns)
        due, now = due + 1, time.monotonic()
        if due < now:  # late: what was missed is not made up for
            due = now
        time.sleep(due - now)


if __name__ == "__main__":
    main()
