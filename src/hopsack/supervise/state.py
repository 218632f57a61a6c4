"""What one supervisor tells others: ``$HOPSACK_DATA/run.json``, and how they know that it is still true.

    run.lock    locked (flock) as long as the supervisor lives; the kernel lets go when it dies, however it dies
    run.json    who it is and how its programs are; replaced as a whole at every change

A process number alone proves nothing, because numbers are used again: every number is kept with the moment its process
began, and a process that began at another moment is somebody else's and is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hopsack.errors import LocalError


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from every other that had or will have its number.

    :ivar began: an opaque word for the moment it began.
    """

    pid: int
    began: str

    def is_alive(self) -> bool:
        return identify(self.pid) == self

    def send(self, signal: int) -> bool:
        """Send a signal to this very process; ``False`` if it is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, signal)
        except ProcessLookupError:
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until it is gone, at most ``timeout`` seconds; whether it is."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(OSError, AttributeError):  # pidfd_open: Linux 5.3 and later
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    select.select([descriptor], [], [], max(0.0, timeout))
            finally:
                os.close(descriptor)
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True


def identify(pid: int) -> Identity | None:
    """The process with this number now; ``None`` if there is none, or only its remains (a zombie)."""
    try:
        # The second field is the command in parentheses and may hold anything; the others come after the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Identity(pid, f"{boot}/{fields[19]}")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _identify_by_ps(pid)


def _identify_by_ps(pid: int) -> Identity | None:
    asked = ["ps", "-o", "lstart=,stat=", "-p", str(pid)]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": os.defpath})  # noqa: S603
    *began, status = said.stdout.split() or ["", "Z"]
    return None if status.startswith("Z") else Identity(pid, " ".join(began))


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One line of ``hopsack status``.

    :ivar state: of :data:`hopsack.supervise.machine.State`.
    :ivar since: when it got ready, or, before that, was started; in seconds since the epoch.
    """

    name: str
    kind: str
    state: str
    pid: int | None = None
    began: str | None = None
    since: float | None = None
    restarts: int = 0
    last_exit: int | None = None

    @property
    def identity(self) -> Identity | None:
        return Identity(self.pid, self.began) if self.pid is not None and self.began is not None else None


@dataclass(frozen=True, slots=True)
class RunState:
    """One supervisor and what it runs.

    :ivar state: ``starting``, ``ready``, ``failing`` or ``stopping``.
    :ivar since: when it was started, in seconds since the epoch.
    """

    pid: int
    began: str
    since: float
    state: str
    project: str
    http: str | None = None
    rawsocket: str | None = None
    programs: tuple[ProgramState, ...] = ()

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.began)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> RunState:
        programs = tuple(ProgramState(**program) for program in facts["programs"])
        return cls(**{**facts, "programs": programs})


def path_of(data: Path) -> Path:
    return data / "run.json"


def write(data: Path, state: RunState) -> None:
    draft = path_of(data).with_suffix(".json.new")
    draft.write_text(json.dumps(state.to_json()) + "\n", encoding="utf-8")
    os.replace(draft, path_of(data))


def read(data: Path) -> RunState | None:
    """What the last supervisor of this data folder wrote, whether or not it still runs."""
    try:
        return RunState.from_json(json.loads(path_of(data).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # written by another version or cut by a full disk: tells nothing


def running(data: Path) -> RunState | None:
    """The supervisor that runs on this data folder now."""
    state = read(data)
    return state if state is not None and state.identity.is_alive() else None


def forget(data: Path) -> None:
    path_of(data).unlink(missing_ok=True)


class AlreadyRunning(LocalError):
    """A supervisor has this data folder."""

    def __init__(self, data: Path, state: RunState | None) -> None:
        who = f"process {state.pid}, {state.http or 'not ready yet'}" if state else "another process"
        self.message = f"already running here ({who})"
        self.advice = (
            f"the verb `status` shows it, `down` ends it; another HOPSACK_DATA than {data} starts a second one"
        )
        super().__init__(f"{self.message} ({self.advice})")


def make_folder(data: Path) -> None:
    """For its owner alone: keys and logs are in it.

    :raises LocalError: the folder is not there and cannot be made.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(data, error) from error


def _unwritable(data: Path, error: OSError) -> LocalError:
    reason = "no space left" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return LocalError(f"cannot write to the data folder {data}: {reason} (set HOPSACK_DATA to another)")


def hold(data: Path) -> int:
    """Take this data folder for this process until it ends; the descriptor is the hold.

    :raises AlreadyRunning: somebody has it.
    :raises LocalError: the folder cannot be written.
    """
    make_folder(data)
    try:
        descriptor = os.open(data / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(data, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AlreadyRunning(data, running(data)) from error
    return descriptor
