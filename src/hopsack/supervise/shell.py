"""The supervisor's hands: asyncio subprocesses, their lines, signals and one timer.

    subprocess, signal, timer -> happening -> Supervisor.step -> effects -> subprocess, Audience

It decides nothing. A child is its own session, so that Ctrl-C at the terminal reaches only the supervisor, which ends
the children in order; SIGKILL goes to the child's whole process group. A child's stdin is a pipe that nobody writes to:
it closes with the supervisor, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, assert_never

from hopsack.supervise.logs import LONGEST_LINE
from hopsack.supervise.machine import (
    SERVICES_KILLED_AFTER,
    Began,
    Exited,
    Finish,
    GotReady,
    Happening,
    Program,
    Send,
    Settled,
    Spawn,
    Spawned,
    SpawnFailed,
    StopAsked,
    Supervisor,
    Tell,
    Unready,
    Woke,
)
from hopsack.supervise.programs import Launch, placed

LAST_WORDS = 0.5
"""Seconds that a dead program's output is still read: a grandchild may hold the pipe open for ever."""

_SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}


class Audience(Protocol):
    """Who is told what happens; every method returns at once."""

    def line(self, name: str, text: str) -> None:
        """A program wrote a line."""

    def told(self, name: str, text: str) -> None:
        """The supervisor has something to say about a program."""

    def changed(self, programs: Mapping[str, Program], node: Mapping[str, Any], stopping: bool) -> None:
        """Some state is another one now. ``node`` is what the node said when it got ready."""

    def settled(self, failing: tuple[str, ...], node: Mapping[str, Any]) -> bool:
        """All are ready or known to fail; ``False`` asks to stop."""


class Supervision:
    """One run of a node and its services, from start to the last one's end.

    :param launches: the node first.
    """

    def __init__(self, launches: Sequence[Launch], machine: Supervisor, audience: Audience) -> None:
        self._launches = {launch.name: launch for launch in launches}
        self._machine = machine
        self._audience = audience
        self._node: dict[str, Any] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Future[Finish] | None = None

    async def run(self) -> Finish:
        """Start everything and wait until all of it has ended. SIGINT, SIGTERM and SIGHUP ask for that."""
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in caught:
            loop.add_signal_handler(number, self.stop)
        try:
            self._happen(Began())
            return await self._end
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
            if self._timer is not None:
                self._timer.cancel()
            await self._sweep()

    def stop(self) -> None:
        """Ask for the end; asking twice kills what still runs."""
        self._happen(StopAsked())

    def _happen(self, happening: Happening) -> None:
        if self._end is None or self._end.done():
            return
        loop = asyncio.get_running_loop()
        effects = self._machine.step(happening, loop.time())
        self._audience.changed(self._machine.programs, self._node, self._machine.is_stopping)
        for effect in effects:
            match effect:
                case Spawn(name):
                    self._start(self._live(placed(self._launches[name], self._node)))
                case Send(name, which):
                    self._send(name, _SIGNALS[which])
                case Tell(name, text):
                    self._audience.told(name, text)
                case Settled(failing):
                    if not self._audience.settled(failing, self._node):
                        loop.call_soon(self.stop)
                case Finish():
                    self._end.set_result(effect)
                case _:
                    assert_never(effect)
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wake_at = self._machine.wake_at
        self._timer = None if wake_at is None else loop.call_at(wake_at, self._happen, Woke())

    async def _sweep(self) -> None:
        """End what still runs, which is something only after a mistake of ours."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for name in self._processes:
                self._send(name, number)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=SERVICES_KILLED_AFTER)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._end is not None and not self._end.done():
            self._end.set_exception(error)  # a mistake of ours must not leave a supervisor that watches nothing

    def _send(self, name: str, number: signal.Signals) -> None:
        process = self._processes.get(name)
        if process is None or process.returncode is not None:
            return  # it has ended, and Exited is on its way
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)

    async def _live(self, launch: Launch) -> None:
        """One life of a program: start, lines, end."""
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                env=dict(launch.env),
                cwd=launch.cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._happen(SpawnFailed(launch.name, error.strerror or str(error)))
            return
        self._processes[launch.name] = process
        self._happen(Spawned(launch.name, process.pid))
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            self._start(self._read(launch.name, process.stdout, may_be_ready=True)),
            self._start(self._read(launch.name, process.stderr, may_be_ready=False)),
        ]
        status = await process.wait()
        _, pending = await asyncio.wait(readers, timeout=LAST_WORDS)
        for reader in pending:
            reader.cancel()
        del self._processes[launch.name]
        self._happen(Exited(launch.name, status))

    async def _read(self, name: str, stream: asyncio.StreamReader, *, may_be_ready: bool) -> None:
        rest = b""
        while chunk := await stream.read(64 * 1024):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                whole, rest = [*whole, rest], b""
            for raw in whole:
                self._take_line(name, raw, may_be_ready=may_be_ready)
        if rest:
            self._take_line(name, rest, may_be_ready=may_be_ready)

    def _take_line(self, name: str, raw: bytes, *, may_be_ready: bool) -> None:
        text = raw[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
        facts = ready_line(text) if may_be_ready else None
        if facts is None:
            self._audience.line(name, text)
            return
        if not facts["ready"]:
            self._happen(Unready(name))
            return
        if self._launches[name].kind == "node":
            self._node = facts
        self._happen(GotReady(name, facts))


def ready_line(text: str) -> dict[str, Any] | None:
    """What a program says when it is ready, or not any more: one JSON object whose ``ready`` is true or false."""
    if not text.startswith("{"):
        return None
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and isinstance(facts.get("ready"), bool) else None
