"""Run a node: ``hopsack node``.

In one process by default: our router worker driven directly, with no controller and no subprocess. Under a full
Crossbar node with ``--controller``, for people who operate Crossbar nodes: the same classes, found by Crossbar through
the personality.

    settings -> contracts checked -> ports open -> one ready line on stdout -> SIGTERM or SIGINT -> goodbyes -> exit 0
                                                                            a second one         -> the end, at once
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, TextIO

from hopsack import production
from hopsack.contracts import ContractsInvalid, load
from hopsack.settings import Settings, authority
from hopsack.supervise.ports import cannot_listen, check_free
from hopsack.supervise.state import make_folder
from hopsack_router.access import limits, principals

OK, FAILURE, CONFIGURATION = 0, 1, 3


def run(settings: Settings, *, controller: bool = False, as_json: bool = False) -> int:
    """Run a node until it is told to stop.

    :param settings: ports, folders and secret.
    :param controller: run a full Crossbar node with a worker process.
    :param as_json: print the ready line as JSON on a terminal too.
    :returns: the process's exit code.
    :raises hopsack.errors.LocalError: the data folder, a port or the certificate cannot be had, or the node is not fit
        for production.
    """
    try:
        catalogue = load(settings.schemas)
    except ContractsInvalid as invalid:
        print(invalid, file=sys.stderr)
        return CONFIGURATION
    limits.read(settings.limits)
    if settings.principals is not None:
        principals.load(settings.principals)
    make_folder(settings.data)
    warnings = production.check(settings, catalogue)
    settings.secret()
    _check_certificate(settings)
    _check_ports(settings)
    _warn(warnings)
    return _run_crossbar(settings, as_json) if controller else _run_solo(settings, as_json)


def _warn(problems: list[production.Problem]) -> None:
    """What is logged before the log begins is written when it does."""
    if problems:
        from twisted.logger import Logger

        log = Logger()
        for one in problems:
            log.warn("{what}", what=str(one))


def _check_ports(settings: Settings) -> None:
    """Before Crossbar is imported, which takes seconds. The real binding may still fail, and says so too."""
    check_free(settings.host, settings.port, "HOPSACK_PORT")
    if settings.rawsocket_path is None:
        check_free(settings.host, settings.rawsocket_port, "HOPSACK_RAWSOCKET_PORT")


def _check_certificate(settings: Settings) -> None:
    """:raises ConfigError: the node cannot speak TLS with what it is given."""
    if settings.tls_cert is not None:
        from hopsack_router.access.tls import Files, context_of

        files = Files.of(settings)
        assert files is not None
        context_of(files)


@contextmanager
def _importing() -> Iterator[None]:
    """Crossbar is two thousand modules, and none of them is garbage.

    Looking for garbage among them costs a tenth of the start, and later a pause at every full collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


# ---- one process ----------------------------------------------------------------------------------------------------


def _run_solo(settings: Settings, as_json: bool) -> int:
    with _importing():
        from twisted.internet import reactor

        from hopsack_router import configuration, logs
        from hopsack_router.controller import SoloController
        from hopsack_router.personality import Personality

    logs.begin(settings.log)
    solo = SoloController(settings, reactor, Personality)
    ended = {"code": OK}

    def failed(failure: Any) -> None:
        ended["code"] = FAILURE
        print(f"hopsack node: {_reason(failure, settings)}", file=sys.stderr)
        reactor.stop()

    def start() -> None:
        started = solo.start(configuration.worker(settings))
        started.addCallback(lambda ports: announce(_addresses(settings, ports), sys.stdout, as_json)).addErrback(failed)

    def stopped(well: bool) -> None:
        if not well:
            ended["code"] = FAILURE

    reactor.callWhenRunning(_watch_signals)
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: solo.stop().addCallback(stopped))
    reactor.run()
    return ended["code"]


def _watch_signals(told: Callable[[], object] = lambda: None) -> None:
    """The first signal does what the reactor has it do; from then on the kernel ends the process, however busy it is.

    :param told: called at the first.
    """
    ours = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def first(number: int, frame: FrameType | None) -> None:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)
        told()
        before = ours[signal.Signals(number)]
        if callable(before):
            before(number, frame)

    for number in ours:
        signal.signal(number, first)


def _reason(failure: Any, settings: Settings) -> str:
    from twisted.internet.error import CannotListenError

    if not failure.check(CannotListenError):
        return str(failure.getErrorMessage())
    where = failure.value
    variable = "HOPSACK_PORT" if where.port == settings.port else "HOPSACK_RAWSOCKET_PORT"
    return cannot_listen(where.interface, where.port, variable, where.socketError)


def _addresses(settings: Settings, ports: dict[str, Any]) -> dict[str, str]:
    rawsocket = settings.rawsocket_port
    if settings.rawsocket_path is None:
        rawsocket = ports["rawsocket"].getHost().port
    return _fixed_addresses(replace(settings, port=ports["web"].getHost().port, rawsocket_port=rawsocket))


def announce(addresses: dict[str, str], out: TextIO, as_json: bool) -> None:
    """Print the ready line: JSON in a pipe or if asked for, else a sentence."""
    if out.isatty() and not as_json:
        print(f"ready: {addresses['http']}  (services: {addresses['rawsocket']})", file=out)
    else:
        print(json.dumps({"ready": True, **addresses, "pid": os.getpid()}), file=out)
    out.flush()


# ---- a full Crossbar node -------------------------------------------------------------------------------------------


def _run_crossbar(settings: Settings, as_json: bool) -> int:
    """Crossbar's own main, with our personality and a configuration file written from the settings."""
    with _importing():
        from crossbar.node.main import main
        from twisted.internet import reactor

        from hopsack_router import configuration
        from hopsack_router.personality import Personality

    settings = _with_real_ports(settings)
    folder = settings.data / "crossbar"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.touch(mode=0o600)
    config.chmod(0o600)  # the principals are in it
    config.write_text(json.dumps(configuration.node(settings), indent=2))
    os.environ.update(settings.environ())
    out = _keep_stdout()
    told = {"to_stop": False}

    class Node(Personality.Node):  # type: ignore[misc,name-defined]
        def start(self, node_id: str | None = None) -> Any:
            return super().start(node_id).addCallback(ready)

    def ready(result: Any) -> Any:
        announce(_fixed_addresses(settings), out, as_json)
        return result

    def asked() -> None:
        told["to_stop"] = True

    Personality.Node = Node
    reactor.callWhenRunning(_watch_signals, asked)
    level = "warn" if settings.log == "warning" else settings.log
    argv = ["start", "--cbdir", str(folder), "--loglevel", level, "--color", "false"]
    try:
        main("hopsack", argv, reactor, Personality)
    except SystemExit as end:
        return OK if told["to_stop"] else int(end.code or OK)
    return OK


def _keep_stdout() -> TextIO:
    """Crossbar logs to stdout, which is for data here: give it stderr instead, and keep the real one."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _with_real_ports(settings: Settings) -> Settings:
    """Crossbar's controller never learns which port its worker got, so port 0 is resolved before it starts."""
    free = _free_ports(settings.host)
    return replace(
        settings,
        port=settings.port or next(free),
        rawsocket_port=settings.rawsocket_port or next(free),
    )


def _free_ports(host: str) -> Iterator[int]:
    with closing(socket.socket()) as first, closing(socket.socket()) as second:
        for one in (first, second):
            one.bind((host, 0))
        ports = [one.getsockname()[1] for one in (first, second)]
    yield from ports


def _fixed_addresses(settings: Settings) -> dict[str, str]:
    web, services = ("http", "tcp") if settings.tls_cert is None else ("https", "tls")
    rawsocket = f"{services}://{authority(settings.host, settings.rawsocket_port)}"
    if settings.rawsocket_path is not None:
        rawsocket = f"unix://{settings.rawsocket_path}"
    return {"http": f"{web}://{authority(settings.host, settings.port)}", "rawsocket": rawsocket}
