"""What looks like a token does not get into a log, of a node or of a service."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from twisted.logger import Logger, LogLevel

from hopsack import logs
from hopsack.masking import masked
from hopsack.tokens import mint
from hopsack_router.logs import Observer

TOKEN = mint("k" * 32, sub="ann", role="user")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"refused {TOKEN} of ann", "refused *** of ann"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic YW5uOng='}", "{'authorization': 'Basic ***'}"),
        (b"got b'bearer s3cr3t-s3cr3t'".decode(), "got b'bearer ***'"),
        ("Cookie: hopsack=opaque-value; theme=dark", "Cookie: hopsack=***; theme=dark"),
        ("Set-Cookie: __Host-hopsack=opaque-value; Path=/", "Set-Cookie: __Host-hopsack=***; Path=/"),
        ("GET /events?topic=a&token=opaque HTTP/1.1", "GET /events?topic=a&token=*** HTTP/1.1"),
        ("to ws://ann:hushhush@node.example/ws", "to ws://ann:***@node.example/ws"),
        ("http://127.0.0.1:8080/call", "http://127.0.0.1:8080/call"),
        ("a bearer of news", "a bearer of news"),
        ("the Authorization header holds no bearer token", "the Authorization header holds no bearer token"),
        ("eyJ is how they begin", "eyJ is how they begin"),
    ],
)
def test_texts(text: str, written: str) -> None:
    assert masked(text) == written


def test_the_log_of_a_node() -> None:
    lines: list[str] = []
    log = Logger(
        "hopsack_router.test", observer=Observer(LogLevel.info, lambda *args: json.dumps(args[2]), lines.append)
    )

    log.info("refused {what}", what=f"Bearer {TOKEN}")
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.failure("it failed")

    assert len(lines) == 2
    assert "refused Bearer ***" in lines[0]
    assert "ValueError: ***" in lines[1]
    assert TOKEN not in "".join(lines)


@pytest.fixture
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = handlers, level


def test_the_log_of_a_service(root: None) -> None:
    written = io.StringIO()
    logs.set_up("info", written)

    logs.logger("lab").info(
        "asked", url=f"wss://node.example/ws?token={TOKEN}", headers={"Authorization": "Bearer abcd"}
    )
    try:
        raise ValueError(TOKEN)
    except ValueError:
        logging.getLogger("lab").exception("it failed")

    assert TOKEN not in written.getvalue()
    assert "abcd" not in written.getvalue()
    assert written.getvalue().count("\n") == 2
