"""The Crossbar personality: where our parts are plugged into a node. Nothing of Crossbar is patched."""

from __future__ import annotations

from typing import Any, ClassVar

from crossbar.common import checkconfig
from crossbar.personality import Personality as CrossbarPersonality
from crossbar.personality import default_native_workers

from hopsack_router.controller import NodeController
from hopsack_router.doors import SERVICES
from hopsack_router.doors.wamp import WampService, create_transport


def _workers() -> dict[str, Any]:
    workers: dict[str, Any] = default_native_workers()
    workers["router"] = {**workers["router"], "worker_class": NodeController}
    return workers


def _check_endpoint(personality: Any, endpoint: Any, **kwargs: Any) -> None:
    """Crossbar's check refuses port 0, which means any free port (``listen(2)``). Its TLS is 1.3 only, asks everybody
    for a certificate or nobody, and never reads a new one; ours is for both ports."""
    if isinstance(endpoint, dict) and "tls" in endpoint:
        raise checkconfig.InvalidConfigException("in place of tls, set HOPSACK_TLS_CERT and HOPSACK_TLS_KEY")
    if isinstance(endpoint, dict) and endpoint.get("type") == "tcp" and endpoint.get("port") == 0:
        endpoint = {**endpoint, "port": 1}
    checkconfig.check_listening_endpoint(personality, endpoint, **kwargs)


class Personality(CrossbarPersonality):  # type: ignore[misc]
    """Found by its dotted class name, in the node's controller and in its workers."""

    NAME = "hopsack"
    TITLE = "Hopsack"
    DESC = "A realtime pub/sub microservice fabric."
    native_workers = _workers()
    WorkerKlasses = (NodeController, *CrossbarPersonality.WorkerKlasses[1:])
    WEB_SERVICE_FACTORIES: ClassVar[dict[str, Any]] = {
        **CrossbarPersonality.WEB_SERVICE_FACTORIES,
        **SERVICES,
        "websocket": WampService,
    }
    WEB_SERVICE_CHECKERS: ClassVar[dict[str, Any]] = {
        **CrossbarPersonality.WEB_SERVICE_CHECKERS,
        **{name: service.check for name, service in SERVICES.items()},
    }
    check_listening_endpoint = staticmethod(_check_endpoint)
    create_router_transport = staticmethod(create_transport)
