"""Paths that lead out of the folder of the web client: nothing of what is there, and an answer all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .attacker import Attacker

pytestmark = pytest.mark.node

PATHS = [
    "/../outside.txt",
    "/../../../../../../../../etc/passwd",
    "/%2e%2e/outside.txt",
    "/%2E%2E%2Foutside.txt",
    "/..%2foutside.txt",
    "/..%252foutside.txt",
    "/assets/../../outside.txt",
    "/assets/%2e%2e/%2e%2e/outside.txt",
    "/assets/..%2f..%2foutside.txt",
    "/assets/..;/..;/outside.txt",
    "/....//outside.txt",
    "/./../outside.txt",
    "/..\\outside.txt",
    "/%5c..%5coutside.txt",
    "/%c0%ae%c0%ae/outside.txt",
    "/%uff0e%uff0e/outside.txt",
    "/link.txt",
    "/assets/../link.txt",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/etc/passwd",
    "/proc/self/environ",
    "/index.html%00",
    "/%00/../outside.txt",
    "/index.html/..",
    "/assets",
    "/assets/",
    "/.",
    "/..",
    "/" + "a/" * 2000,
    "/" + "%2e%2e%2f" * 2000 + "etc/passwd",
    "/" + "x" * 10_000,
    "http://other.example/../outside.txt",
    "../outside.txt",
    "outside.txt",
    "*",
    "",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_there_is_nothing_outside(attacker: Callable[[], Attacker], method: str) -> None:
    for path in PATHS:
        client = attacker()
        client.send(client.head(method, path, "Connection: close"))
        answer = client.rest()

        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, (path, answer[:200])
        assert b"not for the web" not in answer, path
        assert b"root:" not in answer, path
        client.socket.close()


def test_what_is_inside_is_served(attacker: Callable[[], Attacker]) -> None:
    client = attacker()

    assert client.ask("GET", "/assets/app.js").body == b"1"
    assert client.ask("GET", "/%61ssets/app.js").body == b"1"
    assert client.ask("GET", "/").status == 200
