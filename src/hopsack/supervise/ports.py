"""Whether a port is free, and who has it if not.

Linux tells who listens through ``/proc`` (proc(5)): a socket's inode in ``/proc/net/tcp``, and the process that has
that inode among its files. Elsewhere, and for other people's processes, the answer is only *that* it is taken.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from hopsack.errors import LocalError

_LISTENING = "0A"  # TCP_LISTEN in the kernel's table

_NO_SUCH_INTERFACE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})
"""What bind(2) says about an address; every other refusal is about the port."""


class PortTaken(LocalError):
    """Another process listens there. Exit code 1."""

    def __init__(self, port: int, variable: str, owner: str | None) -> None:
        self.port = port
        self.message = f"port {port} is taken" + (f" by {owner}" if owner else "")
        self.advice = f"choose another with {variable}=…, such as {variable}={port + 10}; 0 is any free one"
        super().__init__(f"{self.message} ({self.advice})")


def check_free(host: str, port: int, variable: str) -> None:
    """See whether ``host:port`` can be bound, as a server would bind it. Port 0 asks only about ``host``.

    :param variable: what sets the port.
    :raises PortTaken: somebody listens there; says who, if the system tells.
    :raises LocalError: this machine has no such interface, or will not give this port; names the variable at fault.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(port, variable, owner_of(port)) from error
            raise LocalError(cannot_listen(host, port, variable, error)) from error


def cannot_listen(host: str, port: int, variable: str, error: OSError) -> str:
    """The sentence for a server that got ``error``: what is wrong, and the variable that says otherwise."""
    reason = error.strerror or str(error)
    if isinstance(error, socket.gaierror) or error.errno in _NO_SUCH_INTERFACE:
        return f"cannot listen on {host}: {reason}; set HOPSACK_HOST to an address of this machine"
    return f"cannot listen on {host}:{port}: {reason}; set {variable} to another port"


def owner_of(port: int) -> str | None:
    """``process 123 (python3 -m http.server)``, or ``None`` if it cannot be known."""
    inodes = _listeners(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_any(process, wanted):
            return f"process {process.name} ({command_of(int(process.name))})"
    return None


def command_of(pid: int) -> str:
    """A process's command line as a person would type it, cut to 60 characters."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "unknown"
    line = " ".join(
        [os.path.basename(words[0].decode(errors="replace")), *(w.decode(errors="replace") for w in words[1:])]
    )
    return line if len(line) <= 60 else line[:59] + "…"


def _listeners(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in (row.split() for row in rows):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _has_any(process: Path, sockets: set[str]) -> bool:
    try:
        for entry in os.scandir(process / "fd"):
            try:
                if os.readlink(entry.path) in sockets:
                    return True
            except OSError:
                continue
    except OSError:
        return False
    return False
