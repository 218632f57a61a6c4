"""The Crossbar personality: where our parts are plugged into a node. Nothing of Crossbar is patched."""

from __future__ import annotations

from typing import Any, ClassVar

from crossbar.personality import Personality as CrossbarPersonality
from crossbar.personality import default_native_workers

from hopsack_router import refusals
from hopsack_router.controller import NodeController
from hopsack_router.doors import SERVICES
from hopsack_router.doors.wamp import WampService, create_transport


def _workers() -> dict[str, Any]:
    known: dict[str, Any] = default_native_workers()
    workers = {name: known[name] for name in known if name in refusals.WORKERS}
    workers["router"] = {**workers["router"], "worker_class": NodeController}
    return workers


_KEPT = {
    name: factory
    for name, factory in CrossbarPersonality.WEB_SERVICE_FACTORIES.items()
    if name not in refusals.WEB_SERVICES
}


class Personality(CrossbarPersonality):  # type: ignore[misc]
    """Found by its dotted class name, in the node's controller and in its workers."""

    NAME = "hopsack"
    TITLE = "Hopsack"
    DESC = "A realtime pub/sub microservice fabric."
    native_workers = _workers()
    WorkerKlasses = (NodeController, *CrossbarPersonality.WorkerKlasses[1:])
    WEB_SERVICE_FACTORIES: ClassVar[dict[str, Any]] = {**_KEPT, **SERVICES, "websocket": WampService}
    WEB_SERVICE_CHECKERS: ClassVar[dict[str, Any]] = {
        **CrossbarPersonality.WEB_SERVICE_CHECKERS,
        **{name: service.check for name, service in SERVICES.items()},
        **{name: refusals.refused_service(name) for name in refusals.WEB_SERVICES},
    }
    REALM_STORES: ClassVar[dict[str, Any]] = {}
    check_listening_endpoint = staticmethod(refusals.check_endpoint)
    check_manhole = staticmethod(refusals.check_manhole)
    check_router_realm = staticmethod(refusals.check_realm)
    check_router_transport = staticmethod(refusals.check_transport)
    check_transport_auth = staticmethod(refusals.check_auth)
    create_router_transport = staticmethod(create_transport)
