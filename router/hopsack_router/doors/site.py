"""The one HTTP port: Crossbar's web transport with our requests on it."""

from __future__ import annotations

from typing import Any

from crossbar.worker.transport import RouterWebTransport
from twisted.internet.defer import inlineCallbacks

from hopsack_router.doors.requests import DoorRequest


class WebTransport(RouterWebTransport):  # type: ignore[misc]
    """Crossbar's web transport; its site bounds request bodies and does not tell versions."""

    @inlineCallbacks
    def _create_web_factory(self, create_paths: bool = False, ignore: Any = ()) -> Any:
        site, root = yield super()._create_web_factory(create_paths, list(ignore))
        site.requestFactory = DoorRequest
        return site, root
