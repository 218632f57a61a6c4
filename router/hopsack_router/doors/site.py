"""The one HTTP port: Crossbar's web transport with our requests on it."""

from __future__ import annotations

from typing import Any

from crossbar.worker.transport import RouterWebTransport
from twisted.internet.defer import inlineCallbacks

from hopsack_router.doors.requests import DoorRequest

IDLE = 60.0
"""Seconds in which a client sends more of its request, or another one; Crossbar's default is to wait for ever."""


class WebTransport(RouterWebTransport):  # type: ignore[misc]
    """Crossbar's web transport; its site bounds bodies and silence, and does not tell versions."""

    @inlineCallbacks
    def _create_web_factory(self, create_paths: bool = False, ignore: Any = ()) -> Any:
        site, root = yield super()._create_web_factory(create_paths, list(ignore))
        site.requestFactory = DoorRequest
        site.timeOut = site.timeOut or IDLE
        return site, root
