"""Which pages may speak to this node, and by which name it is spoken to. The same on every door.

A browser sends a page's requests with the user's cookies and from the user's network, whoever wrote the page. So the
node asks two things of each request; a program may claim what it likes here, and gains nothing by it:

- ``Host`` (DNS rebinding). A page of ``evil.example`` whose name suddenly means 127.0.0.1 is of one origin with the
  node. In development the node is known by addresses and by names that nobody can register; in production by any.
- ``Origin`` (RFC 6454) or ``Sec-Fetch-Site`` (Fetch Metadata): whose page it is.

    a program            nothing says that a page sends it               let in
    the node's own page  scheme, host and port are the node's            let in, and only it with its cookie
    an allowed page      ``HOPSACK_ORIGINS``; in development, of this    let in, and it may read the answers (CORS)
                         machine
    a nameless page      from the disk, or in a frame that any site      in development let in to WebSockets, unless
                         has sandboxed: nobody can tell                  ``HOPSACK_ORIGINS`` names others
    a foreign page       all others                                      refused

A core without I/O; ``doors/origins.py`` asks it for every request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_NAMELESS = ("null", "file://")
_HOST = re.compile(r"[a-z0-9._:-]+")


class Page(Enum):
    """Whose page sends a request."""

    NONE = "none"
    OWN = "own"
    ALLOWED = "allowed"
    NAMELESS = "nameless"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Sender:
    """What a request says of where it comes from.

    :ivar origin: the field's value. :ivar site: of ``Sec-Fetch-Site``.
    :ivar host: of ``Host``.
    :ivar is_https: whether the browser speaks TLS, with the node or with a proxy in front of it.
    """

    origin: str | None = None
    site: str | None = None
    host: str | None = None
    is_https: bool = False


class Origins:
    """Which pages may connect.

    :param allowed: ``https://app.example``, ``https://*.example``, ``http://localhost:*``; ``null``: pages without an
        origin; ``*``: all.
    :param is_dev: whether pages of this machine are let in, and only names that cannot be registered are this node's.
    :param is_local: whether the node listens on a loopback address: then it is known by loopback names only.
    """

    def __init__(self, allowed: Iterable[str] = (), *, is_dev: bool = False, is_local: bool = False) -> None:
        given = tuple(allowed)
        self._all = "*" in given
        self._nameless = self._all or any(one in _NAMELESS for one in given)
        self._patterns = [_pattern(one) for one in given if one != "*" and one not in _NAMELESS]
        self._from_disk = is_dev and not given
        self._is_dev = is_dev
        self._is_local = is_local

    def page(self, sender: Sender) -> Page:
        """Whose page it is."""
        if sender.site in ("same-origin", "none"):  # the browser knows best: a proxy may have changed the host
            return Page.OWN
        if sender.origin is None:
            return Page.NONE if sender.site is None else Page.FOREIGN
        if sender.site is None and _is_own(sender):
            return Page.OWN
        if sender.origin in _NAMELESS:
            return Page.ALLOWED if self._nameless else Page.NAMELESS if self._from_disk else Page.FOREIGN
        return Page.ALLOWED if self._admits(sender.origin) else Page.FOREIGN

    def _admits(self, origin: str) -> bool:
        parts = _parts(origin)
        if parts is None:
            return False
        scheme, host, port = parts
        if self._all or (self._is_dev and is_loopback(host)):
            return True
        whole = f"{scheme}://{host}:{port}"
        return any(pattern.fullmatch(whole) for pattern in self._patterns)

    def is_own_name(self, host: str | None) -> bool:
        """Whether this node may be called so.

        :param host: the field's value; a client of HTTP/1.0 sends none.
        """
        if host is None or not self._is_dev:
            return True
        name = name_of(host)
        if is_loopback(name):
            return True
        whole = [f"{scheme}://{name}:{port}" for scheme, port in _own(host)]
        if any(pattern.fullmatch(one) for pattern in self._patterns for one in whole):
            return True
        return not self._is_local and _is_unregistrable(name)


def _own(host: str) -> Iterable[tuple[str, int]]:
    for scheme in _PORTS:
        parts = _parts(f"{scheme}://{host}")
        if parts is not None:
            yield scheme, parts[2]


def _is_own(sender: Sender) -> bool:
    origin = (sender.origin or "").lower()
    scheme, mark, authority = origin.partition("://")
    if not mark or sender.host is None or authority != sender.host.lower():
        return False
    # Who speaks TLS with the browser need not be known here; that nobody does cannot be known at all.
    return scheme == "https" or (scheme == "http" and not sender.is_https)


def _parts(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; ``None``: it is none."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if (
        not host
        or _HOST.fullmatch(host) is None
        or port is None
        or parts.path
        or parts.query
        or parts.fragment
        or parts.username is not None
    ):
        return None
    return parts.scheme, host, port


def _pattern(text: str) -> re.Pattern[str]:
    scheme, _, authority = text.lower().partition("://")
    has_port = re.search(r":(\d+|\*)$", authority) is not None
    whole = f"{scheme}://{authority}" if has_port else f"{scheme}://{authority}:{_PORTS.get(scheme, '*')}"
    return re.compile(re.escape(whole.replace("[", "").replace("]", "")).replace(r"\*", "[^/:]+"))


def name_of(host: str) -> str:
    """The host of a ``Host`` field, without its port; empty where it is none."""
    parts = _parts(f"http://{host.strip().rstrip('.')}")
    return "" if parts is None else parts[1].rstrip(".")


def is_loopback(name: str) -> bool:
    """Whether a host is this machine, wherever it is asked (RFC 6761, section 6.3)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_unregistrable(name: str) -> bool:
    """Whether nobody can make this name mean another address: it is an address, one word, or of the local network."""
    if not name:
        return False
    try:
        ip_address(name)
    except ValueError:
        return "." not in name or name.endswith((".local", ".internal", ".home.arpa"))
    return True


def origins_of(given: str) -> tuple[str, ...]:
    """The origins of ``HOPSACK_ORIGINS``."""
    return tuple(word.strip() for word in given.split(",") if word.strip())
