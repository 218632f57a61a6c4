"""The doors: ways into the realm, as Crossbar web service types on the one HTTP port.

``SERVICES`` goes into the personality (type name → class with ``create`` and ``check``), ``PATHS`` into the node's
configuration (path → service configuration; ``ws`` is added there).
"""

from __future__ import annotations

from typing import Any

from hopsack_router.doors.console import ConsoleService
from hopsack_router.doors.echo import EchoService
from hopsack_router.doors.http import CallService, PublishService
from hopsack_router.doors.login import LoginService, LogoutService
from hopsack_router.doors.raw import RawService
from hopsack_router.doors.sse import SseService

SERVICES: dict[str, Any] = {
    "hopsack-console": ConsoleService,
    "hopsack-raw": RawService,
    "hopsack-echo": EchoService,
    "hopsack-sse": SseService,
    "hopsack-call": CallService,
    "hopsack-publish": PublishService,
    "hopsack-login": LoginService,
    "hopsack-logout": LogoutService,
}
PATHS: dict[str, dict[str, Any]] = {
    "/": {"type": "hopsack-console"},
    "raw": {"type": "hopsack-raw"},
    "echo": {"type": "hopsack-echo"},
    "events": {"type": "hopsack-sse"},
    "call": {"type": "hopsack-call"},
    "publish": {"type": "hopsack-publish"},
    "login": {"type": "hopsack-login"},
    "logout": {"type": "hopsack-logout"},
}
