"""``hopsack run DIR``: one process for the services of one folder.

    load DIR/service.py -> its Service classes -> connect, serve -> one ready line each -> SIGTERM -> finish, leave -> 0
                                  the node is lost, is found again -> {"ready": false}, {"ready": true}
                                  it ends -> {"draining": true, "in_hand": 3} … {"left": true, "cancelled": 0}

A service that ends takes nothing new, finishes what it has in hand, for HOPSACK_FINISH seconds at most, and
leaves; calls that come meanwhile are other instances'. SIGTERM and SIGINT end all of them; `hopsack drain` ends one.

Data goes to stdout (the ready lines), talk to stderr (the log). Twisted's reactor runs on the process's asyncio loop,
so handlers may use either.

With ``reload`` the folder's Python files are looked at twice a second; when one has changed, the services end as they
would at SIGTERM and the process executes itself anew. A file that does not load is logged, and the next change awaited.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from hopsack import bridge, logs
from hopsack.address import Address
from hopsack.cli.exits import exit_of
from hopsack.connection import Connection, dialer
from hopsack.errors import UsageError
from hopsack.keeper import Waiting
from hopsack.keys import KeyFile, PrivateKey
from hopsack.link import trusting
from hopsack.login import Login
from hopsack.options import Options
from hopsack.pools import pool_of
from hopsack.ready import changes, vouch
from hopsack.service import Engagement, Service
from hopsack.settings import Settings

__all__ = ["load", "run_folder"]

log = logging.getLogger("hopsack")

LOOK = 0.5
"""Seconds between two looks at the files."""


def run_folder(folder: Path, settings: Settings, reload: bool = False, ready_file: Path | None = None) -> int:
    """Run the services of a folder until SIGTERM or SIGINT.

    :param reload: end and begin again when a Python file of the folder changes.
    :param ready_file: kept fresh while every service is served (:mod:`hopsack.ready`).
    :returns: the exit code (``docs/reference/cli.md``).
    """
    folder = folder.resolve()
    logs.set_up(settings.log)
    loop = asyncio.new_event_loop()
    _run_twisted_on(loop)
    bridge.install(loop)
    process = _Process(folder, settings, reload, ready_file)
    code = _run(loop, process)
    if process.is_changed:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (our own command line, again)
    pool = pool_of(loop)
    if process.has_busy_threads or (pool is not None and pool.is_busy):
        log.warning("functions still run in threads, which cannot be stopped: the process ends without them")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


def load(folder: Path) -> list[type[Service]]:
    """The services that ``folder/service.py`` defines. The folder and its parent are put on ``sys.path``.

    :raises UsageError: there is no such file, or no service in it.
    """
    path = folder / "service.py"
    if not path.is_file():
        raise UsageError(f"{folder} has no service.py: name a folder that has one")
    for place in (str(folder.parent), str(folder)):
        if place not in sys.path:
            sys.path.insert(0, place)
    module = _import(f"{folder.name}.service", path)
    found = [value for value in vars(module).values() if _is_service_of(module, value)]
    if not found:
        raise UsageError(f"{path} defines no subclass of hopsack.Service")
    return found


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_service_of(module: ModuleType, value: Any) -> bool:
    """Defined there rather than imported, and not meant as a base: a leading underscore says so."""
    return (
        isinstance(value, type)
        and issubclass(value, Service)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    )


class _Process:
    """The services of this process, from begin to end."""

    def __init__(self, folder: Path, settings: Settings, reload: bool, ready_file: Path | None) -> None:
        self.is_changed = False
        self._folder = folder
        self._settings = settings
        self._reload = reload
        self._ready_file = ready_file
        self._is_begun = False
        self._stopped = asyncio.Event()
        self._engagements: list[Engagement] = []
        self._tellers: list[asyncio.Task[None]] = []
        self._departures: dict[Engagement, asyncio.Task[None]] = {}

    @property
    def has_busy_threads(self) -> bool:
        """Whether blocking functions outlived the time that they had."""
        return any(engagement.connection.threads.is_busy for engagement in self._engagements)

    def stop(self, *_: object) -> None:
        """End politely."""
        self._stopped.set()

    async def main(self) -> int:
        """The whole run; returns the exit code."""
        stopped = asyncio.create_task(self._stopped.wait())
        beside: list[asyncio.Task[Any]] = [stopped]
        if self._reload:
            beside.append(asyncio.create_task(self._watch()))
        if self._ready_file is not None:
            beside.append(asyncio.create_task(vouch(self._ready_file, self._is_ready)))
        serving = asyncio.create_task(self._serve())
        await asyncio.wait((stopped, serving), return_when=asyncio.FIRST_COMPLETED)
        code = await self._outcome(serving, stopped)
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)  # the ready file is gone before the process is
        return code

    def _is_ready(self) -> bool:
        stays = [engagement for engagement in self._engagements if not engagement.is_ending]
        restored = bool(stays) and all(engagement.connection.is_restored for engagement in stays)
        return self._is_begun and restored and not self._stopped.is_set()

    async def _outcome(self, serving: asyncio.Task[None], stopped: asyncio.Task[Any]) -> int:
        error = None if not serving.done() else serving.exception()
        for task in (serving, *self._tellers):
            task.cancel()
        await asyncio.gather(*map(self._depart, self._engagements))
        if error is None:
            return 0
        if exit_of(error) == 1:
            log.error("the service failed", exc_info=error)
        else:
            log.error("%s", error)
        if self._reload:
            await stopped
            return 0
        return exit_of(error)

    async def _depart(self, engagement: Engagement) -> None:
        if engagement not in self._departures:
            self._departures[engagement] = asyncio.create_task(self._drain(engagement))
        await asyncio.shield(self._departures[engagement])

    async def _depart_when_asked(self, engagement: Engagement) -> None:
        await engagement.asked.wait()
        await self._depart(engagement)

    async def _drain(self, engagement: Engagement) -> None:
        name, count = engagement.service.name, engagement.connection.in_hand
        if self._is_begun:
            sentence = f"{name} is draining: {count} calls in hand, {self._settings.finish:g} s at most"
            _print(sentence, {"draining": True, "service": name, "in_hand": count})
        cancelled = await engagement.end(self._settings.finish)
        if self._is_begun:
            sentence = f"{name} has left; " + (f"{cancelled} were cancelled" if cancelled else "all was finished")
            _print(sentence, {"left": True, "service": name, "cancelled": cancelled})

    async def _serve(self) -> None:
        """Begin every service; ends with an error, or when all were drained."""
        options = Options(close_timeout=0.5)
        address = Address.parse(self._settings.url)
        key = key_of(self._settings)
        tls = trusting(self._settings.tls_ca) if address.is_tls else None
        for cls in load(self._folder):
            login = Login(token_of(self._settings, cls.name))
            dial = dialer(address, token=login, key=key, service=cls.name, options=options, tls=tls)
            connection = Connection(dial, options, login=login)
            self._engagements.append(Engagement(cls(), connection, finish=self._settings.finish))
        waiter = asyncio.create_task(_tell_missing(self._engagements[0].connection, self._settings))
        try:
            await asyncio.gather(*map(_begin, self._engagements))
        finally:
            waiter.cancel()
        self._is_begun = True
        self._tellers = [asyncio.create_task(_tell(engagement)) for engagement in self._engagements]
        self._tellers += [asyncio.create_task(self._depart_when_asked(engagement)) for engagement in self._engagements]
        endings = [asyncio.create_task(engagement.ended()) for engagement in self._engagements]
        for ending in asyncio.as_completed(endings):
            error = await ending
            if error is not None:
                raise error

    async def _watch(self) -> None:
        before = dict(_python_files(self._folder))
        while True:
            await asyncio.sleep(LOOK)
            if dict(_python_files(self._folder)) != before:
                break
        log.info("%s has changed: beginning again", self._folder)
        self.is_changed = True
        self.stop()


async def _begin(engagement: Engagement) -> None:
    await engagement.begin()
    _say(engagement.service.name, True)


async def _tell_missing(connection: Connection, settings: Settings) -> None:
    """Say once where no node is, and what to do; everything goes on by itself when one is there."""
    async for state in connection.states():
        if isinstance(state, Waiting):
            here = "`hopsack up` starts one here, " if settings.is_local else ""
            advice = f"{here}HOPSACK_URL or --url names another"
            log.warning("no node at %s: %s; %s. Trying again until it is there", settings.url, state.reason, advice)
            return


async def _tell(engagement: Engagement) -> None:
    """Whoever read the ready line learns when it does not hold, and when it holds again."""
    async for ready in changes(engagement.connection):
        _say(engagement.service.name, ready)


def _say(name: str, ready: bool) -> None:
    _print(f"{name} is {'ready' if ready else 'reconnecting'}", {"ready": ready, "service": name})


def _print(sentence: str, facts: dict[str, Any]) -> None:
    print(sentence if sys.stdout.isatty() else json.dumps(facts), flush=True)


def token_of(settings: Settings, name: str) -> Callable[[], str | None]:
    """How a service logs in: with the given token; in development, on this machine, with one made for it; with neither
    where it has a key.

    Asked at every attempt, since the node makes its secret when it first starts, and before a token expires: one that
    came in a file (``HOPSACK_TOKEN_FILE``) is read again.
    """

    def token() -> str | None:
        known = settings.given_secret is not None or settings.secret_path.exists()
        if settings.token is not None or settings.key is not None:
            return settings.newest_token()
        if settings.env == "prod" or not settings.is_local or not known:
            return None
        from hopsack import tokens

        return tokens.mint(settings.secret(), sub=name, role="service")

    return token


def key_of(settings: Settings) -> KeyFile | None:
    """The key that a program logs in with where it has no token, read at every attempt: it may be replaced.

    :raises ConfigError: it cannot be read now. :raises UsageError: the node is reached by a door without keys.
    """
    path = settings.key
    if path is None or settings.token is not None:
        return None
    PrivateKey.read(path)
    if Address.parse(settings.url).dialect == "raw":
        raise UsageError("keys log in over WAMP, not at /raw: write tcp://host:8081 or wss://host/ws, or give a token")
    return lambda: PrivateKey.read(path)


def _python_files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for path in folder.rglob("*.py"):
        try:
            facts = path.stat()
        except OSError:  # removed between the two calls, or a link to nowhere
            continue
        yield path, (facts.st_mtime_ns, facts.st_size)


# ---- Twisted ---------------------------------------------------------------------------------------------------------


def _run_twisted_on(loop: asyncio.AbstractEventLoop) -> None:
    """Install the reactor on ``loop``, and send Twisted's log where ours goes.

    :raises UsageError: another reactor is installed already.
    """
    # First, or tasks that are started when the reactor runs hang silently.
    asyncio.set_event_loop(loop)
    installed = sys.modules.get("twisted.internet.reactor")
    if installed is not None:
        raise UsageError(f"{type(installed).__name__} is installed already; services need the asyncio reactor")
    from twisted.internet import asyncioreactor
    from twisted.logger import STDLibLogObserver, globalLogBeginner

    asyncioreactor.install(loop)
    globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], discardBuffer=True, redirectStandardIO=False)


def _run(loop: asyncio.AbstractEventLoop, process: _Process) -> int:
    """Run the reactor until the process has an exit code."""
    from twisted.internet import reactor
    from twisted.internet.interfaces import IReactorCore

    core = IReactorCore(reactor)
    tasks: list[asyncio.Task[int]] = []

    def begin() -> None:
        # After Twisted has installed its own, which stop the reactor at once. Not the loop's add_signal_handler: it
        # takes the wake-up descriptor that Twisted needs for the end of child processes.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(process.stop))
        task = loop.create_task(process.main())
        task.add_done_callback(lambda _task: core.stop())
        tasks.append(task)

    core.callWhenRunning(begin)
    core.run()
    # Twisted has put the default handlers back, and being told to end twice must not turn a clean end into a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return tasks[0].result()
