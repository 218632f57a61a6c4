"""Magic Wormhole's mailbox server, as a program of ours: the same server, bounded, with its state in the data folder.

Strangers may use it: that is what a mailbox is for. So connections and what waits for them are bounded
(:mod:`hopsack.cli.mailbox_site`), messages have :data:`MOST_BYTES`, and all of them :data:`MOST_PAGES` pages of SQLite;
what nobody fetches is thrown away after some minutes, by the server's own rules. It does not tell which codes are in
use, and keeps no log of who came.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hopsack.cli.exits import Exit
from hopsack.cli.wormholes import NotInstalled
from hopsack.errors import LocalError
from hopsack.settings import Settings
from hopsack.supervise.ports import cannot_listen, check_free
from hopsack.supervise.state import make_folder

__all__ = ["is_installed", "serve"]

FILE = "mailbox.sqlite"
PACKAGE = "hopsack-router[enrol]"
MOST_BYTES = 64 << 10
MOST_PAGES = 4_096
"""Of 4 KiB: 16 MiB."""

KEPT = 11 * 60.0
"""Seconds that a mailbox which nobody is connected to is kept; the server's own default."""
LOOK = 5 * 60.0

OPTIONS = {
    "maxMessagePayloadSize": MOST_BYTES,
    "maxFramePayloadSize": MOST_BYTES,
    "openHandshakeTimeout": 5,
    "closeHandshakeTimeout": 2,
    "autoPingInterval": 30,
    "autoPingTimeout": 60,
}
"""Of Autobahn's WebSocket protocol."""


def is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("wormhole_mailbox_server") is not None


def serve(settings: Settings, ready: Callable[[int], None]) -> int:
    """Run the mailbox until SIGTERM or SIGINT.

    :param ready: is told the port.
    :returns: the exit code.
    :raises NotInstalled: the server is missing. :raises LocalError: the port or the data folder cannot be had.
    """
    if not is_installed():
        raise NotInstalled("the mailbox server of Magic Wormhole", PACKAGE)
    make_folder(settings.data)
    check_free(settings.host, settings.mailbox_port, "HOPSACK_MAILBOX_PORT")
    from twisted.internet import reactor
    from twisted.internet.error import CannotListenError
    from twisted.internet.task import LoopingCall

    from hopsack.cli.mailbox_site import make_site

    _log_to_ours(settings.log)
    server = _server(settings.data / FILE)
    server.startService()
    core: Any = reactor
    try:
        port = core.listenTCP(settings.mailbox_port, make_site(server, OPTIONS), interface=settings.host)
    except CannotListenError as error:
        reason = cannot_listen(settings.host, settings.mailbox_port, "HOPSACK_MAILBOX_PORT", error.socketError)
        raise LocalError(reason) from error
    LoopingCall(lambda: server.prune_all_apps(time.time(), time.time() - KEPT)).start(LOOK)
    core.callWhenRunning(ready, port.getHost().port)
    core.addSystemEventTrigger("before", "shutdown", server.stopService)
    core.run()
    return Exit.OK


def _server(path: Path) -> Any:
    from wormhole_mailbox_server.database import DBError, create_or_upgrade_channel_db
    from wormhole_mailbox_server.server import make_server

    try:
        database = create_or_upgrade_channel_db(str(path))
        path.chmod(0o600)
        database.execute(f"PRAGMA max_page_count = {MOST_PAGES}")
    except (DBError, sqlite3.Error, OSError) as error:
        raise LocalError(f"cannot use {path}: {error} (it holds invitations that wait, and may be removed)") from error
    return make_server(database, allow_list=False, blur_usage=3600)


def _log_to_ours(level: str) -> None:
    """The server tells which mailboxes it throws away; only what goes wrong is of interest."""
    import logging

    from hopsack import logs

    logs.set_up(level)
    from twisted.logger import STDLibLogObserver, globalLogBeginner

    logging.getLogger("twisted").setLevel(logging.WARNING)
    globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], discardBuffer=True, redirectStandardIO=False)
