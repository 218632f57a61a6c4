"""Readers in processes of their own: our two libraries, and a stock WAMP client. They print what they are given.

    -> {"came": topic, "position": …, "data": …}        a stock client has a publication in place of a position
    -> {"granted": topic, "position": …}                the next event that comes is the one behind it
    -> {"recovered": bool, "reason": …}                 how it went on after an interruption

One is stalled by SIGSTOP, vanishes by SIGKILL, leaves by SIGTERM, and begins again behind the last that it printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from hopsack_bench import machine
from hopsack_bench.checker import History
from hopsack_bench.peers import BENCH, REALM
from hopsack_bench.talk import Came, Confused, Granted
from hopsack_bench.visitors import Reader, Wanted, Where

LOAD = BENCH / "load"
WEB_CLIENT = BENCH.parent / "web_client"


@dataclass(frozen=True, slots=True)
class Program:
    """:ivar command: what is run; it is given one more word, in JSON: what is asked of it.

    :ivar path: of the door. :ivar missing: what it needs and this machine has not; ``None``: nothing.
    :ivar reads_patterns: whether it resumes those too.
    """

    name: str
    command: tuple[str, ...]
    path: str
    missing: Callable[[], str | None]
    reads_patterns: bool = True


def _nothing() -> str | None:
    return None


def _autobahn_missing() -> str | None:
    return None if find_spec("autobahn") else "Autobahn is not installed: it comes with hopsack-router"


def _web_missing() -> str | None:
    if shutil.which("node") is None:
        return "Node.js is not installed: https://nodejs.org"
    if not (WEB_CLIENT / "node_modules" / "ws").is_dir():
        return "the browser client's packages are not installed: npm ci --prefix web_client"
    if not (WEB_CLIENT / "dist" / "sdk.js").exists():
        return "the browser client is not built: npm run build:sdk --prefix web_client"
    return None


_PYTHON = (sys.executable, "-P")
_BROWSER = ("node", str(LOAD / "reader.mjs"), str(WEB_CLIENT))

PROGRAMS: Sequence[Program] = (
    Program("python-rawsocket", (*_PYTHON, str(LOAD / "reader.py")), "", _nothing),
    Program("python-raw", (*_PYTHON, str(LOAD / "reader.py")), "/raw", _nothing),
    Program("browser-raw", _BROWSER, "/raw", _web_missing),
    Program("browser-wamp", _BROWSER, "/ws", _web_missing),
    Program("autobahn", (*_PYTHON, str(LOAD / "stock_reader.py")), "/ws", _autobahn_missing, reads_patterns=False),
)


class ProgramReader(Reader):
    """One of them, kept running.

    :param rawsocket: the node's port for programs that do not use HTTP.
    :param log: what it says beside that.
    """

    def __init__(
        self,
        name: str,
        where: Where,
        chance: random.Random,
        history: History,
        wanted: Wanted,
        program: Program,
        rawsocket: int,
        log: Path,
        core: int,
    ) -> None:
        super().__init__(name, where, chance, history, wanted)
        self._program, self._rawsocket, self._log, self._core = program, rawsocket, log, core
        self._process: asyncio.subprocess.Process | None = None
        self._publication: int | None = None

    @property
    def url(self) -> str:
        host = self.where.host
        if not self._program.path:
            return f"tcp://{host}:{self._rawsocket}"
        return f"ws://{host}:{self.where.port}{self._program.path}"

    def _asked(self) -> bytes:
        after: Any = self._publication if self._publication is not None else self.after
        facts = {"url": self.url, "token": self.where.token, "realm": REALM, "after": after}
        return msgspec.json.encode(facts | {"topic": self.topic, "match": self.match})

    async def come(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._program.command,
                self._asked().decode(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                preexec_fn=machine.on_core(self._core),
            )
        said = self._process.stdout
        assert said is not None
        try:
            async for line in said:
                if line.endswith(b"\n"):  # else it was killed in the middle
                    self._said(msgspec.json.decode(line))
        finally:
            self._send(signal.SIGKILL)
            await said.read()  # wait() waits for the end of the pipe, which nobody may read
            code = await self._process.wait()
            self._process = None
        raise EOFError(f"it ended with {code}")

    def _said(self, facts: Mapping[str, Any]) -> None:
        match facts:
            case {"came": str(topic), "position": None, "publication": int(publication), "data": data}:
                self.stands()
                self.history.came(self.name, topic, None, data)
                self._publication = publication
            case {"came": str(topic), "position": position, "data": data}:
                self.stands()
                self.take(Came(topic, position, data))
            case {"granted": str(topic), "position": str(position)}:
                self.take(Granted({topic: position}, False))
            case {"recovered": True}:
                self.stands()
            case {"recovered": False, "reason": reason}:
                if self.places or self._publication is not None:
                    raise Confused(f"it could not go on: {reason}")
            case other:
                raise Confused(f"unexpected: {other!r:.200}")

    # ---- disturbances ------------------------------------------------------------------------------------------------

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)  # its own send_signal() takes the exit code away from asyncio

    def stall(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def vanish(self) -> None:
        self._send(signal.SIGKILL)

    def leave(self) -> None:
        self._send(signal.SIGTERM)
