"""A process that leaks memory: 16 MiB a second until somebody ends it, or after a minute by itself."""

import signal
import sys
import time

signal.signal(signal.SIGINT, signal.SIG_DFL)
held = []
for _ in range(240):
    held.append(bytearray(b"x") * (4 << 20))
    time.sleep(0.25)
sys.exit("leaked for a minute, and nobody minded")
