"""Commands as a reader types them: in a terminal, with Ctrl-C at the end of those that last."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
COLUMNS = 120
_SIZES = {"COLUMNS", "LINES"}
"""Another terminal's: readline writes them into the environment of whoever imports it."""


class Terminal:
    """One command in a terminal of its own.

    :param command: for ``sh``.
    """

    def __init__(self, command: str, cwd: Path, env: Mapping[str, str]) -> None:
        self.command = command
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        env = {name: value for name, value in env.items() if name not in _SIZES}
        words = command if re.search(r"[|;&]", command) else f"exec {command}"  # a shell would answer Ctrl-C for it
        self._process = subprocess.Popen(["sh", "-c", words], cwd=cwd, env=env, preexec_fn=lambda: os.login_tty(slave))
        os.close(slave)
        self._said = bytearray()
        self._news = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # the last process that had the terminal has ended
                chunk = b""
            with self._news:
                self._said += chunk
                self._is_over = not chunk
                self._news.notify_all()
            if not chunk:
                return

    @property
    def said(self) -> str:
        """What it has printed so far, without colours."""
        text = _ESCAPES.sub("", self._said.decode("utf-8", "replace")).replace("\r\n", "\n")
        return "\n".join(line.rstrip() for line in text.split("\n"))

    def wait_for(self, pattern: re.Pattern[str], seconds: float) -> re.Match[str]:
        """:raises AssertionError: it ended, or time passed, before it had printed that."""
        ends = time.monotonic() + seconds
        with self._news:
            while (found := pattern.search(self.said)) is None:
                left = ends - time.monotonic()
                assert not self._is_over, f"`{self.command}` ended before it printed what was expected:\n{self.said}"
                assert left > 0, f"`{self.command}` did not print what was expected in {seconds} s:\n{self.said}"
                self._news.wait(left)
        return found

    def end(self, seconds: float) -> int:
        """Wait for its end; returns its exit code."""
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        return code

    def interrupt(self, seconds: float) -> int:
        """Type Ctrl-C and wait for the end; returns the exit code."""
        if self._process.poll() is None:
            os.write(self._master, b"\x03")
        return self.end(seconds)

    def close(self) -> None:
        """End what still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(5)
        os.close(self._master)
