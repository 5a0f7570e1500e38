"""A real terminal: tmux shows what it makes of what is written to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.victims import until

needs_tmux = pytest.mark.skipif(not shutil.which("tmux"), reason="there is no tmux")
PROMPT = "READY>"


class Tmux:
    """A tmux of our own, by its socket, with a shell in it."""

    def __init__(self, socket):
        self._ours = "tmux", "-S", str(socket)

    def begin(self):
        environment = {**os.environ, "LANG": "C.UTF-8", "TERM": "xterm"}
        environment.pop("LC_ALL", None)
        shell = "new-session", "-d", "-x", "100", "-y", "30", "bash --norc --noprofile"
        self._tmux("-u", "-f", "/dev/null", *shell, env=environment)
        self.type("PS1=READY'>'; clear", "Enter")
        self.is_clear()

    def clear(self):
        self.type("clear", "Enter")
        self.is_clear()

    def is_clear(self):
        until(lambda: self.screen().strip() == PROMPT, "a prompt and nothing else")

    def _tmux(self, *arguments, **other):
        return subprocess.run(
            [*self._ours, *arguments], capture_output=True, text=True, check=True, timeout=20, **other
        ).stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def coloured(self):
        return self._tmux("capture-pane", "-p", "-e")

    def type(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, width, height):
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def modes(self):
        return self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").strip()

    def shows(self, text):
        """Wait for it; the screen that has it, which may be another one a moment later."""
        seen = []

        def there():
            seen.append(self.screen())
            return re.search(text, seen[-1], re.M)

        until(there, f"{text} in {self.screen()}")
        return seen[-1]

    def children(self):
        """What the shell runs."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def kill(self):
        subprocess.run([*self._ours, "kill-server"], capture_output=True, timeout=20, check=False)
