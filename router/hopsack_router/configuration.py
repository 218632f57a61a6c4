"""The node's configuration as Crossbar wants it: one worker, one realm, two ports."""

from __future__ import annotations

from typing import Any

from hopsack.settings import Settings
from hopsack_router.access.principals import authentication
from hopsack_router.doors import PATHS
from hopsack_router.doors.wamp import LIVENESS, SERIALIZERS
from hopsack_router.routing.links import AUTHENTICATION

REALM = "hopsack"
ROLES = ("guest", "user", "service", "operator")


def worker(settings: Settings) -> dict[str, Any]:
    """The router worker of a node: what :class:`~hopsack_router.controller.SoloController` and Crossbar start."""
    return {
        "type": "router",
        "realms": [
            {
                "name": REALM,
                "options": {"event_dispatching_chunk_size": 1_000_000},
                # Admission decides; a role without permissions would be refused even by a mistaken path around it.
                "roles": [{"name": role, "permissions": []} for role in ROLES],
            }
        ],
        "transports": [_web(settings), _rawsocket(settings)],
    }


def node(settings: Settings) -> dict[str, Any]:
    """The configuration file of a full Crossbar node."""
    return {
        "version": 2,
        "workers": [worker(settings)],
    }


def _web(settings: Settings) -> dict[str, Any]:
    auth = authentication(AUTHENTICATION, settings.principals)
    websocket = {"type": "websocket", "serializers": SERIALIZERS, "auth": auth, "options": dict(LIVENESS)}
    return {
        "id": "web",
        "type": "web",
        "endpoint": {"type": "tcp", "interface": settings.host, "port": settings.port, "backlog": 1024},
        "paths": {**PATHS, "ws": websocket},
    }


def _rawsocket(settings: Settings) -> dict[str, Any]:
    if settings.rawsocket_path is not None:
        endpoint: dict[str, Any] = {"type": "unix", "path": str(settings.rawsocket_path)}
    else:
        endpoint = {"type": "tcp", "interface": settings.host, "port": settings.rawsocket_port, "backlog": 1024}
    return {
        "id": "rawsocket",
        "type": "rawsocket",
        "endpoint": endpoint,
        "serializers": SERIALIZERS,
        "auth": authentication(AUTHENTICATION, settings.principals),
    }
