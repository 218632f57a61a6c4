"""The root of the HTTP port: the web client's files, and the node's documents beside them.

The files are those of one folder: a path is resolved first, links included, and must then still be inside. The browser
client alone is served beside any folder: a page of one's own loads it from the node, as every other page does. Names
under ``assets/`` that carry their content's hash may be kept by browsers for ever; everything else is asked for again
each time, by its ETag. Files are small and few: they are read once and kept until they change, at most
:data:`MAX_KEPT` bytes of them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from crossbar.common.checkconfig import InvalidConfigException
from crossbar.webservice.base import RouterWebService
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from hopsack_router.doors.documents import OPEN, documents, etag_of
from hopsack_router.doors.host import Host
from hopsack_router.doors.problems import not_allowed, not_found
from hopsack_router.doors.requests import give_back_segment, segments_of, set_headers

MAX_KEPT = 32 << 20

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""Media types by suffix; the machine's own table differs from one machine to the next."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Content security policy: only this node's own files run here, and they speak to this node only."""

PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

HASHED = re.compile(r"assets/(?:.*/)?[^/]+-(?=[a-z_-]{0,7}[A-Z0-9])[\w-]{8}\.[\w.]+", re.ASCII)
"""Names with their content's hash, as Vite makes them: ``assets/index-CklgpGzG.js``. Eight small
letters are taken for a word (``user-settings.js``): a hash asked for again costs little, a word kept for ever much."""

OPEN_FILES = frozenset(("sdk.js", "sdk.js.map"))
"""Files that pages of other sites may load: the browser client."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    body: bytes
    media: str
    etag: bytes
    stamp: tuple[int, int]


class Assets:
    """The files of one folder, kept in memory.

    :param root: the folder; it need not exist.
    """

    def __init__(self, root: Path, max_kept: int = MAX_KEPT) -> None:
        self._root = root
        self._max_kept = max_kept
        self._kept: OrderedDict[str, Asset] = OrderedDict()
        self._bytes = 0

    def find(self, path: str) -> Asset | None:
        """The file at a relative path, if there is one inside the folder."""
        if "\0" in path:
            return None
        try:
            root = self._root.resolve(strict=True)
            target = (root / path).resolve(strict=True)
            if not target.is_relative_to(root) or not target.is_file():
                return None
            facts = target.stat()
            return self._load(target, (facts.st_mtime_ns, facts.st_size))
        except (OSError, RuntimeError):  # gone, not readable, too long, or a loop of links
            return None

    def _load(self, target: Path, stamp: tuple[int, int]) -> Asset:
        name = str(target)
        kept = self._kept.pop(name, None)
        if kept is not None and kept.stamp == stamp:
            self._kept[name] = kept
            return kept
        self._bytes -= len(kept.body) if kept is not None else 0
        body = target.read_bytes()
        asset = Asset(body, TYPES.get(target.suffix, "application/octet-stream"), etag_of(body), stamp)
        self._kept[name] = asset
        self._bytes += len(body)
        while self._bytes > self._max_kept:
            self._bytes -= len(self._kept.popitem(last=False)[1].body)
        return asset


class Console(Resource):
    """``/`` and every path below it that no other service has.

    :param client: where the browser client is, if the folder does not have its own.
    """

    is_public = True

    def __init__(self, assets: Assets, client: Assets) -> None:
        Resource.__init__(self)
        self._assets = assets
        self._client = client

    def getChild(self, path: bytes, request: Request) -> Resource:
        give_back_segment(request, path)
        return _Leaf(self)

    def render(self, request: Request) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return not_allowed(request, "GET", "HEAD")
        try:
            path = b"/".join(segments_of(request)).decode()
        except UnicodeDecodeError:
            return self._nothing(request)
        asset = self.find(path or "index.html")
        if asset is not None:
            return _serve(request, path, asset)
        return _serve_placeholder(request) if not path else self._nothing(request)

    def find(self, path: str) -> Asset | None:
        """What is served at a relative path."""
        asset = self._assets.find(path)
        return self._client.find(path) if asset is None and path in OPEN_FILES else asset

    def _nothing(self, request: Request) -> bytes:
        return not_found(request, "the doors are /ws, /raw, /events, /call/<procedure> and /publish/<topic>")


class _Leaf(Resource):
    """The rest of a path, whatever its segments."""

    isLeaf = True
    is_public = True

    def __init__(self, console: Console) -> None:
        Resource.__init__(self)
        self._console = console

    def render(self, request: Request) -> bytes:
        return self._console.render(request)


def _serve(request: Request, path: str, asset: Asset) -> bytes:
    keep = "public, max-age=31536000, immutable" if HASHED.fullmatch(path) else "no-cache"
    set_headers(request, PAGE_HEADERS | {"Content-Type": asset.media, "Cache-Control": keep})
    if path in OPEN_FILES:
        set_headers(request, OPEN)
    if request.setETag(asset.etag) is http.CACHED:
        return b""
    set_headers(request, {"Content-Length": str(len(asset.body))})
    return b"" if request.method == b"HEAD" else asset.body


_DOORS = (
    ("/ws", "WAMP over WebSocket"),
    ("/raw", "JSON-RPC 2.0 over WebSocket; /raw?topic=… only reads"),
    ("/events?topic=…", "server-sent events"),
    ("POST /call/<procedure>", "one call, JSON in and out"),
    ("POST /publish/<topic>", "one event, JSON in"),
    ("/asyncapi.json", "the contracts"),
    ("/healthz, /readyz, /metrics, /version", "about this node"),
)


def _serve_placeholder(request: Request) -> bytes:
    rows = "".join(f"<tr><td><code>{escape(path)}</code></td><td>{escape(what)}</td></tr>" for path, what in _DOORS)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Hopsack</title><h1>Hopsack</h1>'
        "<p>This node runs. Its web client has not been built: there is no console here yet. "
        "<code>npm run build</code> in <code>web_client/</code> makes it.</p>"
        f"<table>{rows}</table>"
    ).encode()
    fields = {"Content-Type": TYPES[".html"], "Cache-Control": "no-store", "Content-Length": str(len(page))}
    set_headers(request, PAGE_HEADERS | fields)
    return b"" if request.method == b"HEAD" else page


class ConsoleService(RouterWebService):  # type: ignore[misc]
    """The web service type ``hopsack-console``, for the path ``/``: option ``directory``, else the node's setting."""

    @staticmethod
    def create(transport: Any, path: str, config: dict[str, Any]) -> ConsoleService:
        host = Host.of(transport)
        root = Console(Assets(Path(config.get("directory") or host.web)), Assets(host.client))
        for name, resource in documents(host).items():
            root.putChild(name, resource)
        return ConsoleService(transport, path, config, root)

    @staticmethod
    def check(personality: Any, config: dict[str, Any]) -> None:
        unknown = sorted(set(config) - {"type", "id", "directory"})
        if unknown or not isinstance(config.get("directory", ""), str):
            raise InvalidConfigException(f"{config['type']}: the only option is directory, a path; got {config}")
