"""One node for all abuse, a hundred healthy sessions on it, and what must be true behind every test.

Behind each: the healthy sessions got all their events in order, the node has no more memory than before plus a bound,
it answers, and its log has no traceback and is short: it says a thing once, however often it is done.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..conftest import ROOT, Node, NodeProcess
from .attacker import Attacker
from .bystanders import Bystanders, memory_of

CONTRACTS = ROOT / "tests" / "conversations" / "schemas"

ED, RSA = Ed25519PrivateKey.generate(), generate_private_key(65537, 2048)
PEM = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (ED, RSA)]
PUBLIC_KEYS = b"".join(PEM)
ISSUER = "https://login.example"
"""A login service, whose keys the node knows."""

LIMITS = (
    "publishes.connection=200/s burst 1000, calls.connection=200/s burst 1000, subscribed.connection=500, "
    "subscriptions.connection=200/s burst 2000, unanswered.connection=200, "
    "auth_failures.subject=none, auth_failures.address=none"
)
"""Most hold for no client of this machine while a node is in development, unless somebody has set them."""

GROWTH = 64.0
"""MiB that abuse may make the node larger by, at any moment."""

LOGGED = 200
"""Lines that one test may add to the log, beside those about connections that are closed: each of them has one."""

AUDITED = 5
"""Lines of the audit log about the same event and source in a minute; what is beyond is summed up in one."""

_CLOSING = re.compile(r"closing (tcp4:[\d.]+:\d+):")


class Log:
    """The node's log, from a place on."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process
        self._from = 0
        self.begin()

    def begin(self) -> None:
        self._from = len(self._process.logged())

    def text(self) -> str:
        return self._process.logged()[self._from :]

    def lines(self, *words: str) -> list[str]:
        """Those with all of these words in them."""
        return [line for line in self.text().splitlines() if all(word in line for word in words)]


class Audit:
    """The node's audit log, from a place on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._path = node.data / "audit.jsonl"
        self._from = self._path.stat().st_size if self._path.exists() else 0

    def entries(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """Those of this event with these facts. What the node has noted in a turn is written in the next, so it is
        asked something first."""
        with Attacker(self._node.http) as client:
            assert client.ask("GET", "/healthz").status == 200
        text = self._path.read_bytes()[self._from :].decode()
        found = [json.loads(line) for line in text.splitlines()]
        wanted = {"event": event} | facts
        return [one for one in found if wanted.items() <= {k: v for k, v in one.items() if k in wanted}.items()]


@pytest.fixture(scope="package")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    web = tmp_path_factory.mktemp("web")
    (web / "assets").mkdir()
    (web / "index.html").write_text("<!doctype html><title>console</title>")
    (web / "assets" / "app.js").write_text("1")
    (web.parent / "outside.txt").write_text("not for the web")
    (web / "link.txt").symlink_to(web.parent / "outside.txt")
    arguments = ("--schemas", str(CONTRACTS), "--web", str(web))
    data = tmp_path_factory.mktemp("abuse")
    (data / "login.pem").write_bytes(PUBLIC_KEYS)
    variables = {"TOKEN_KEYS": str(data / "login.pem"), "ISSUER": ISSUER, "AUDIENCE": "fabric", "LIMITS": LIMITS}
    given = {f"HOPSACK_{name}": value for name, value in variables.items()}
    process = NodeProcess(data, *arguments, HOPSACK_LOG="info", **given)
    try:
        yield process
    finally:
        assert process.stop() == 0, process.logged()


@pytest.fixture(scope="package")
def node(process: NodeProcess) -> Node:
    return process.ready()


@pytest.fixture(scope="package")
def bystanders(node: Node) -> Iterator[Bystanders]:
    bystanders = Bystanders(node)
    yield bystanders
    bystanders.end()


@pytest.fixture
def log(process: NodeProcess) -> Log:
    return Log(process)


@pytest.fixture
def audit(node: Node) -> Audit:
    return Audit(node)


@pytest.fixture
def growth() -> float:
    """MiB; a file whose abuse costs more says so by a fixture of its own."""
    return GROWTH


@pytest.fixture(autouse=True)
def _nobody_else_notices(node: Node, bystanders: Bystanders, log: Log, growth: float) -> Iterator[None]:
    before = bystanders.measure()
    yield
    bystanders.unharmed()
    assert max(bystanders.most, memory_of(node.pid)) - before < growth
    with Attacker(node.http) as client:
        assert client.ask("GET", "/healthz").status == 200
    assert "Traceback" not in log.text(), log.text()
    closed = Counter(_CLOSING.findall(log.text()))
    assert [peer for peer, told in closed.items() if told > 1] == [], log.text()[-2000:]
    assert len(log.text().splitlines()) - len(closed) <= LOGGED, log.text()[-2000:]


@pytest.fixture
def attacker(node: Node) -> Iterator[Callable[[], Attacker]]:
    """Connects to the HTTP port; call it once for each connection."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(Attacker(node.http))


@pytest.fixture
def raw_attacker(node: Node) -> Iterator[Callable[[], Attacker]]:
    """The same at RawSocket's port."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(Attacker(node.rawsocket))
