"""fetching.py '{"timeout": 0.5}': keys from a login service that behaves well, and from many that do not.

Runs the service and the node's part on one reactor, and prints what came of each as one line of JSON:

{"good": …, "rotated": …, "redirect": …, …, "asked": {"/keys": 2, …}}
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from twisted.internet import reactor as the_reactor
from twisted.internet import ssl
from twisted.internet.defer import inlineCallbacks, maybeDeferred
from twisted.internet.task import react
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from hopsack.tokens import mint
from hopsack_router.access import fetching, jwks
from hopsack_router.access.keyring import Keyring
from hopsack_router.access.logins import Logins
from hopsack_router.access.verifying import Issuer, own

reactor: Any = the_reactor
LOGIN = "https://login.example"
ONE, TWO = (Ed25519PrivateKey.generate() for _ in range(2))
ASKED: Counter[str] = Counter()


def jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    return OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid}


class Service(Resource):
    """The login service; its path says how it behaves."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys = [jwk(ONE, "one")]

    def render_GET(self, request: Any) -> Any:
        path = request.path.decode()
        ASKED[path] += 1
        match path:
            case "/keys":
                return json.dumps({"keys": self.keys}).encode()
            case "/redirect":
                request.redirect(b"/keys")
                return b""
            case "/missing":
                request.setResponseCode(404)
                return json.dumps({"keys": self.keys}).encode()
            case "/huge":
                return b" " * (fetching.MOST_BYTES + 1)
            case "/endless":
                self._go_on(request, b"x" * 65536)
            case "/slow":
                request.write(b"{")
            case "/cut":
                request.setHeader(b"content-length", b"1000")
                request.write(b'{"keys"')
                reactor.callLater(0.01, request.transport.abortConnection)
        return NOT_DONE_YET if path in ("/endless", "/silent", "/slow", "/cut") else b"<html>"

    def _go_on(self, request: Any, data: bytes) -> None:
        if not request._disconnected:
            request.write(data)
            reactor.callLater(0.001, self._go_on, request, data)


def login(logins: Logins, key: Ed25519PrivateKey, kid: str, **header: str) -> Any:
    token = mint(key, sub="ann", role="user", algorithm="EdDSA", kid=kid, issuer=LOGIN)
    return maybeDeferred(logins.identify, token).addCallbacks(
        lambda who: who.subject, lambda failure: failure.value.code
    )


def logins_of(url: str, trusted: Path | None = None) -> tuple[Logins, jwks.JwkSet]:
    made = jwks.JwkSet(url, Issuer(LOGIN), fetching.Fetching(reactor, trusted).get, reactor, Random(1))
    return Logins(Keyring(lambda: "s" * 32, own(), [made]), made), made


@inlineCallbacks
def main(_: Any) -> Any:
    said: dict[str, Any] = {}
    service = Service()
    port = reactor.listenTCP(0, Site(service), interface="127.0.0.1")
    base = f"http://127.0.0.1:{port.getHost().port}"

    logins, keys = logins_of(f"{base}/keys")
    said["good"] = yield login(logins, ONE, "one")
    service.keys = [jwk(TWO, "two")]
    said["rotated"] = yield login(logins, TWO, "two")
    said["withdrawn"] = yield login(logins, ONE, "one")
    keys.stop()
    for path in ("redirect", "missing", "huge", "endless", "silent", "slow", "cut", "html"):
        getting = fetching.Fetching(reactor).get(f"{base}/{path}")
        said[path] = yield getting.addCallbacks(lambda text: f"{len(text)} bytes", lambda failure: str(failure.value))
    yield port.stopListening()
    said["closed"] = yield fetching.Fetching(reactor).get(f"{base}/keys").addErrback(lambda failure: str(failure.value))
    said |= yield over_tls(service)
    said["asked"] = ASKED
    print(json.dumps(said), flush=True)


@inlineCallbacks
def over_tls(service: Service) -> Any:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    with TemporaryDirectory() as folder:
        trusted = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(trusted))
        pem = made.private_key_pem.bytes() + made.cert_chain_pems[0].bytes()
        context = ssl.PrivateCertificate.loadPEM(pem).options()
        port = reactor.listenSSL(0, Site(service), context, interface="127.0.0.1")
        number = port.getHost().port
        said = {}
        for name, host, known in (("tls", "localhost", trusted), ("stranger", "localhost", None),
                                  ("another", "127.0.0.1", trusted)):  # fmt: skip
            logins, keys = logins_of(f"https://{host}:{number}/keys", known)
            said[name] = yield login(logins, TWO, "two")
            keys.stop()
        yield port.stopListening()
    return said


if __name__ == "__main__":
    fetching.TIMEOUT = json.loads(sys.argv[1])["timeout"]
    jwks.PAUSE = 0.0
    react(main)
