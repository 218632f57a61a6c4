"""How a program that ``hopsack up`` started notices that ``up`` is gone, even if it was killed.

Its stdin is a pipe that ``up`` holds and never writes to. The kernel closes it with its holder, on every system.
Linux's PR_SET_PDEATHSIG would do the same for one system, and only through code between fork and exec.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """Ask this process to end (SIGTERM) when its stdin does."""
    threading.Thread(target=_watch, args=(sys.stdin.fileno(),), name="with-parent", daemon=True).start()


def _watch(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGTERM)
