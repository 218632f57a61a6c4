"""Does the time of a refusal tell who there is? By hand, because a test must not look at a clock:

    python -m tests.node.abuse.guessing [samples of each side]

Known and unknown subjects are tried in turns, with each way to log in, and always with a wrong proof. What is timed is
what a stranger can time: from HELLO to the challenge, and from AUTHENTICATE to the refusal. The answers must be the
same to the letter, and the medians of the sums at most :data:`MOST` apart.
"""

from __future__ import annotations

import base64
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from nacl.signing import SigningKey

from hopsack.tokens import mint

from ..conftest import Node, NodeProcess
from .attacker import Attacker

SAMPLES = 400
MOST = 5.0
"""Milliseconds."""

KNOWN, UNKNOWN = "known", "unknown"
KEYS = {KNOWN: SigningKey.generate(), UNKNOWN: SigningKey.generate()}
PEOPLE: dict[str, dict[str, dict[str, Any]]] = {
    "ticket": {"meter": {"role": "service", "ticket": "a ticket of some length"}},
    "scram": {
        "ann": {
            "role": "user",
            "kdf": "argon2id-13",
            "iterations": 4096,
            "memory": 512,
            "salt": "5a" * 16,
            "stored-key": "6b" * 32,
            "server-key": "7c" * 32,
        }
    },
}


@dataclass(frozen=True)
class Way:
    """A way to log in.

    :ivar details: of HELLO, for a side. :ivar proof: a wrong one, for a side and what the challenge says.
    """

    method: str
    details: Callable[[str], dict[str, Any]]
    proof: Callable[[str, dict[str, Any]], str]


def _name(known: str) -> Callable[[str], dict[str, Any]]:
    return lambda side: {"authid": known if side == KNOWN else "zoe-of-nowhere"[: len(known)]}


def _forged(side: str, _: dict[str, Any]) -> str:
    return mint("another-secret-of-thirty-two-bytes!!", sub="user" if side == KNOWN else "zoes", role="user")


WAYS = {
    "token": Way("ticket", lambda _: {}, _forged),
    "ticket": Way("ticket", _name("meter"), lambda *_: "a ticket of wrong words"),
    "SCRAM": Way(
        "scram",
        lambda side: _name("ann")(side) | {"authextra": {"nonce": _random(16), "channel_binding": None}},
        lambda *_: _random(32),
    ),
    "cryptosign": Way(
        "cryptosign",
        lambda side: {"authextra": {"pubkey": bytes(KEYS[side].verify_key).hex()}},
        lambda _, extra: "00" * 64 + extra["challenge"],
    ),
}


def _random(count: int) -> str:
    return base64.b64encode(os.urandom(count)).decode()


def timed(node: Node, way: Way, side: str) -> tuple[float, float, Any]:
    """:returns: milliseconds to the challenge and to the refusal, and what the refusal says."""
    hello = {"roles": {"caller": {}}, "authmethods": [way.method]} | way.details(side)
    with Attacker(node.http) as client:
        client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
        begun = time.perf_counter()
        kind, method, extra = client.reply(1, "hopsack", hello)
        asked = time.perf_counter()
        assert (kind, method) == (4, way.method), (kind, method, extra)
        proof = way.proof(side, extra)
        sent = time.perf_counter()
        answer = client.reply(5, proof, {})
        refused = time.perf_counter()
        assert answer[0] == 3, answer
    return (asked - begun) * 1000, (refused - sent) * 1000, answer


def check_known(node: Node) -> None:
    """Who is called known is: else there would be nothing to be told apart."""
    rights: dict[str, Callable[[dict[str, Any]], str]] = {
        "ticket": lambda _: PEOPLE["ticket"]["meter"]["ticket"],
        "cryptosign": lambda extra: KEYS[KNOWN].sign(bytes.fromhex(extra["challenge"])).hex(),
    }
    for name, right in rights.items():
        hello = {"roles": {"caller": {}}, "authmethods": [WAYS[name].method]} | WAYS[name].details(KNOWN)
        with Attacker(node.http) as client:
            client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
            _, _, extra = client.reply(1, "hopsack", hello)
            assert client.reply(5, right(extra), {})[0] == 2, name
    with Attacker(node.http) as client:
        client.open("/ws", "Sec-WebSocket-Protocol: wamp.2.json")
        hello = {"roles": {"caller": {}}, "authmethods": ["scram"]} | WAYS["SCRAM"].details(KNOWN)
        salt = client.reply(1, "hopsack", hello)[2]["salt"]
        assert salt in ("5a" * 16, base64.b64encode(b"\x5a" * 16).decode()), salt


def measure(node: Node, way: Way, samples: int) -> dict[str, Any]:
    """Both sides, in an order that is drawn anew for each pair."""
    times: dict[str, list[tuple[float, float]]] = {KNOWN: [], UNKNOWN: []}
    said: set[str] = set()
    for _ in range(samples):
        for side in random.sample((KNOWN, UNKNOWN), 2):
            challenged, refused, answer = timed(node, way, side)
            times[side].append((challenged, refused))
            said.add(json.dumps(answer))
    medians = {
        side: [statistics.median(step) for step in (*zip(*taken, strict=True), map(sum, taken))]
        for side, taken in times.items()
    }
    apart = [abs(one - other) for one, other in zip(medians[KNOWN], medians[UNKNOWN], strict=True)]
    return {"medians": medians, "apart": apart, "answers": len(said)}


def main(samples: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "keys").mkdir()
        public = bytes(KEYS[KNOWN].verify_key).hex()
        (data / "keys" / "host.pub").write_text(json.dumps({"subject": "host", "role": "service", "public": public}))
        (data / "people.yaml").write_text(yaml.safe_dump(PEOPLE))
        limits = "auth_failures.subject=none, auth_failures.address=none"
        process = NodeProcess(data, HOPSACK_PRINCIPALS=str(data / "people.yaml"), HOPSACK_LIMITS=limits)
        try:
            node = process.ready()
            check_known(node)
            failed = 0
            with Attacker(node.http) as user:
                user.page(node.token("user", "user")).result(1, "hopsack.hello", {})
                for name, way in WAYS.items():
                    found = measure(node, way, samples)
                    failed += found["apart"][2] >= MOST or found["answers"] != 1
                    known, unknown = (", ".join(f"{ms:.3f}" for ms in found["medians"][s]) for s in (KNOWN, UNKNOWN))
                    said = "one answer" if found["answers"] == 1 else f"{found['answers']} ANSWERS"
                    print(f"{name:11} known {known} · unknown {unknown} · apart {found['apart'][2]:.3f} ms · {said}")
        finally:
            process.stop()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES))
