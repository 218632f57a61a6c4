"""What of Crossbar a node of ours does not take, each with the reason, or with what is there in its place.

All of it can be tried in a stock Crossbar 26.10 (docs/security.md names the findings). A configuration that asks for
it is refused before anything starts; a management call that asks for it, when it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from crossbar.common import checkconfig
from crossbar.common.checkconfig import InvalidConfigException

WEB_SERVICES: Mapping[str, str] = {
    "publisher": "requests it has signed can be sent again, and refusals are 200; use hopsack-publish",
    "caller": "requests it has signed can be sent again, and refusals are 200; use hopsack-call",
    "webhook": "it publishes as a role, for whoever sends; use hopsack-publish",
    "longpoll": "it does not work; use hopsack-sse",
    "nodeinfo": "it tells strangers what runs here; use hopsack-console",
    "json": "every page may read it, with the browser's cookies; use hopsack-console",
    "static": "what is not there is its first page, with 200; use hopsack-console",
    "cgi": "it starts a program for each request, without a bound",
    "archive": "it takes uploads without a bound",
    "wap": "it publishes as a role, for whoever sends; use hopsack-call",
    "catalog": "it is for inventories, which this node does not have; use hopsack-console: /asyncapi.json",
    "websocket-reverseproxy": "it drops the client's address, origin and login; use a proxy in front",
}
"""Web services."""

TRANSPORTS: Mapping[str, str] = {
    "websocket": "a WebSocket is a path of a web transport: paths: {ws: {type: websocket}}",
    "universal": "it has none of the bounds of web and rawsocket: give each a port",
    "mqtt": "it says yes to what it drops",
    "flashpolicy": "there is no Flash any more",
    "websocket.testee": "it is for testing WebSocket clients; use hopsack-echo",
    "stream.testee": "it sends back what anybody sends",
}
"""Listening transports."""

METHODS: Mapping[str, str] = {
    "cryptosign-proxy": "it believes a public key without a signature, and gives any role, trusted too",
    "anonymous-proxy": "it believes whatever role a client says",
    "cookie": "cookies of HTTP count here: POST /login",
}
"""Ways to authenticate."""

WORKERS = frozenset(("router", "container"))
"""Kinds of worker processes. Of a proxy's configuration nothing is checked, and a testee is for testing."""


def _refuse(what: str, why: str) -> NoReturn:
    raise InvalidConfigException(f"this node has no {what}: {why}")


def refused_service(name: str) -> Callable[[Any, Any], NoReturn]:
    """A check of a web service's configuration that never passes."""

    def check(personality: Any, config: Any) -> NoReturn:
        _refuse(f"web service {name}", WEB_SERVICES[name])

    return check


def check_transport(personality: Any, transport: Any, *args: Any, **kwargs: Any) -> None:
    """Crossbar's check of a router's transport, of those that this node has."""
    kind: Any = transport.get("type") if isinstance(transport, dict) else None
    if kind in TRANSPORTS:
        _refuse(f"transport {kind}", TRANSPORTS[kind])
    checkconfig.check_router_transport(personality, transport, *args, **kwargs)


def check_auth(personality: Any, auth: Any, *args: Any, **kwargs: Any) -> None:
    """Crossbar's check of how a transport's clients authenticate, of the methods that prove something."""
    for method in sorted(auth) if isinstance(auth, dict) else ():
        if method in METHODS:
            _refuse(f"authentication by {method}", METHODS[method])
    checkconfig.check_transport_auth(personality, auth, *args, **kwargs)


def check_endpoint(personality: Any, endpoint: Any, *args: Any, **kwargs: Any) -> None:
    """Crossbar's check of a listening endpoint, which refuses port 0: that means any free port (``listen(2)``).

    Its TLS is 1.3 only, asks everybody for a certificate or nobody, and never reads a new one.
    """
    if isinstance(endpoint, dict) and "tls" in endpoint:
        _refuse("tls in endpoints", "set HOPSACK_TLS_CERT and HOPSACK_TLS_KEY, for both ports")
    if isinstance(endpoint, dict) and endpoint.get("type") == "tcp" and endpoint.get("port") == 0:
        endpoint = {**endpoint, "port": 1}
    checkconfig.check_listening_endpoint(personality, endpoint, *args, **kwargs)


def check_manhole(personality: Any, manhole: Any) -> NoReturn:
    """A shell in the node's process, which lets in one key: that of Crossbar's author, whoever ``users`` are."""
    _refuse("manhole", "it takes a key that is written into Crossbar, not those of its configuration")


def check_realm(personality: Any, realm: Any, *args: Any, **kwargs: Any) -> None:
    """Crossbar's check of a realm."""
    if isinstance(realm, dict) and "store" in realm:
        _refuse("store in realms", "streams keep events, and contracts say how calls wait")
    checkconfig.check_router_realm(personality, realm, *args, **kwargs)
