"""The doors' small parts: patterns in a query, bearer tokens, close reasons, problems, payloads, files, options."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import message
from crossbar.common.checkconfig import InvalidConfigException

from hopsack.errors import BadRequest, Denied, LoginRequired, Overloaded, RemoteError, Unavailable
from hopsack_router.doors import PATHS, SERVICES, raw, sse
from hopsack_router.doors.bearer import token_of
from hopsack_router.doors.closing import MAX_REASON, clip, reason_of
from hopsack_router.doors.console import HASHED, Assets, Console
from hopsack_router.doors.http import key_of
from hopsack_router.doors.patterns import MAX_TOPICS, Pattern, pattern_of, patterns_of
from hopsack_router.doors.payloads import value_of
from hopsack_router.doors.problems import headers_of, problem_of
from hopsack_router.doors.rfc6455 import websocket_frame
from hopsack_router.doors.wamp import _unframed, messages, wamp_format
from hopsack_router.doors.websockets import WebSocketOptions
from hopsack_router.routing import asked
from hopsack_router.routing.backlog import Channel
from hopsack_router.routing.fanout import Delivery
from hopsack_router.routing.unread import Carried

NOTHING = Carried(None, None, None)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a", "exact"),
        ("a.b", "exact"),
        ("", "exact"),
        ("a.", "prefix"),
        ("a.b.", "prefix"),
        ("a..b", "wildcard"),
        (".b", "wildcard"),
        ("a..", "wildcard"),
        (".", "wildcard"),
        ("a..b.", "wildcard"),
    ],
)
def test_patterns_by_their_look(text: str, match: Any) -> None:
    assert pattern_of(text) == Pattern(text, match)


def test_patterns_of_a_query() -> None:
    assert patterns_of("") == ()
    assert patterns_of("x=1&topic") == (Pattern("", "exact"),)
    assert patterns_of("topic=a.b&topic=a.b&topic=gr%C3%BC%C3%9Fe") == (
        Pattern("a.b", "exact"),
        Pattern("grüße", "exact"),
    )
    for query in ("topic=%ff", "&".join(f"topic=a{n}" for n in range(MAX_TOPICS + 1))):
        with pytest.raises(BadRequest):
            patterns_of(query)


def test_bearer_tokens() -> None:
    assert token_of("Bearer abc") == "abc"
    assert token_of("bearer  abc ") == "abc"
    for header in ("", "Bearer", "Basic YTpi", "abc"):
        with pytest.raises(LoginRequired):
            token_of(header)


def test_close_reasons_fit() -> None:
    assert reason_of(Denied("no", advice="ask")) == "hopsack.denied: no (ask)"
    long = reason_of(Unavailable("ü" * 200, data={"retry_after": 2.3}))
    assert long.endswith("ü (retry_after=2.3)")
    assert MAX_REASON - 1 <= len(long.encode()) <= MAX_REASON
    assert len(clip("ü" * 200).encode()) == MAX_REASON - 1


def test_problems() -> None:
    error = Overloaded("later", where="demo.add", data={"retry_after": 2.5})

    assert problem_of(error) == {
        "type": "/errors#hopsack.overloaded",
        "title": error.kind.meaning,
        "status": 503,
        "detail": "later",
        "code": "hopsack.overloaded",
        "retry": "later",
        "where": "demo.add",
        "data": {"retry_after": 2.5},
    }
    assert headers_of(error, 503)["Retry-After"] == "3"
    assert "Retry-After" not in headers_of(Denied(), 403)
    assert headers_of(LoginRequired(), 401)["WWW-Authenticate"].startswith("Bearer ")


def test_a_declared_error_keeps_its_code_in_the_problem() -> None:
    problem = problem_of(RemoteError("The sum does not fit.", code="demo.overflow"))

    assert (problem["status"], problem["type"]) == (422, "/errors#demo.overflow")


@pytest.mark.parametrize(
    ("delivery", "value"),
    [
        (Delivery("t", 1, "exact", 2, Carried(None, [{"a": 1}], None)), {"a": 1}),
        (Delivery("t", 1, "exact", 2, Carried(None, [None], None)), None),
        (Delivery("t", 1, "exact", 2, NOTHING), None),
        (Delivery("t", 1, "exact", 2, Carried(None, None, {"a": 1})), {"a": 1}),
        (Delivery("t", 1, "exact", 2, Carried(None, [1, 2], None)), {"args": [1, 2], "kwargs": {}}),
        (
            Delivery("t", 1, "exact", 2, NOTHING, payload=b"\x00\xff", enc_algo="x"),
            {"payload": "AP8=", "enc_algo": "x"},
        ),
    ],
)
def test_any_event_is_one_value(delivery: Delivery, value: Any) -> None:
    assert value_of(delivery) == value


def test_the_bytes_of_an_event() -> None:
    delivery = Delivery("demo.news", 1, "prefix", 2, Carried(None, ["grüße\n"], None), position="e1:7")
    body = '{"jsonrpc":"2.0","method":"event","params":{"topic":"demo.news","data":"grüße\\n","position":"e1:7"}}'

    assert raw.FORMAT.event(delivery) == websocket_frame(body.encode(), binary=False)
    assert sse.PLAIN.event(delivery) == 'event: demo.news\nid: e1:7\ndata: "grüße\\n"\n\n'.encode()
    assert sse.PLACED_PLAIN.event(delivery) == 'event: demo.news\ndata: "grüße\\n"\n\n'.encode()


def test_the_bytes_of_a_deleted_key() -> None:
    key = Carried(None, [{"place": "Oslo"}], None)
    delivery = Delivery("demo.weather", 1, "exact", 2, key, position="e1:7", deleted=True)
    params = '{"topic":"demo.weather","data":{"place":"Oslo"},"position":"e1:7","deleted":true}'

    assert raw.FORMAT.event(delivery)[2:] == f'{{"jsonrpc":"2.0","method":"event","params":{params}}}'.encode()
    assert sse.PLAIN.event(delivery) == (
        b'event: hopsack.deleted\nid: e1:7\ndata: {"topic":"demo.weather","data":{"place":"Oslo"}}\n\n'
    )
    for name in ("json", "json.batched"):
        _, _, _, details, payload = wamp_event(wamp_format(name, _unframed).event(delivery))
        assert details == {"x_hopsack_position": "e1:7", "x_hopsack_deleted": True}
        assert payload == [{"place": "Oslo"}]


@pytest.mark.parametrize(("dropped", "count"), [(7, {"x_hopsack_count": 7}), (None, {})])
def test_the_bytes_of_a_gap(dropped: int | None, count: dict[str, int]) -> None:
    told = json.dumps({"topic": "demo.news", "dropped": dropped}, separators=(",", ":"))

    assert (
        raw.FORMAT.gap(Channel("demo.news"), dropped)[2:].decode()
        == f'{{"jsonrpc":"2.0","method":"gap","params":{told}}}'
    )
    assert sse.PLAIN.gap(Channel("demo.news"), dropped).decode() == f"event: hopsack.gap\ndata: {told}\n\n"
    _, subscription, publication, details = wamp_event(
        wamp_format("json", _unframed).gap(Channel("demo.news", 71), dropped)
    )
    assert subscription == 71
    assert 0 < publication <= 1 << 53
    assert details == {"x_hopsack_dropped": "slow", "topic": "demo.news"} | count


def wamp_event(frame: bytes) -> list[Any]:
    found: list[Any] = json.loads(frame.rstrip(b"\x18"))
    return found


def test_what_autobahn_does_not_know_of_a_publish() -> None:
    serializer = wamp_format("json", _unframed).serializer
    text = b'[16, 5, {"retain": true, "x_hopsack_key": "k-1", "x_hopsack_delete": true}, "demo.weather", ["x"]]'
    [publish] = messages(serializer, text, lambda _: None)
    [plain] = messages(serializer, b'[16, 6, {"retain": true}, "demo.weather", ["x"]]', lambda _: None)

    assert isinstance(publish, asked.Publish)
    assert (publish.key, publish.delete, publish.retain, publish.args) == ("k-1", True, True, ["x"])
    assert type(plain) is message.Publish


@pytest.mark.parametrize(
    ("header", "key"),
    [(None, None), ("k-1", "k-1"), ('"k-1"', "k-1"), (" a b ", "a b"), ('"', '"'), ("x" * 64, "x" * 64)],
)
def test_an_idempotency_key(header: str | None, key: str | None) -> None:
    assert key_of(sent(**({} if header is None else {"idempotency_key": header}))) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 65])
def test_what_is_no_idempotency_key(header: str) -> None:
    with pytest.raises(BadRequest):
        key_of(sent(idempotency_key=header))


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_frame_lengths(length: int) -> None:
    """RFC 6455, section 5.2: seven bits, sixteen, or sixty-four, whichever is the shortest."""
    frame = websocket_frame(b"x" * length, binary=True)
    head = frame[: len(frame) - length]

    assert head[0] == 0x82
    assert len(head) == (2 if length < 126 else 4 if length < 65536 else 10)
    assert (head[1] if length < 126 else int.from_bytes(head[2:], "big")) == length


def sent(**headers: str) -> Any:
    """A request with these headers, as the HTTP doors see it; ``_`` stands for ``-``."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(getHeader=({"host": "node.example:8080"} | fields).get)


def test_files_are_kept_until_they_change(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("one")
    assets = Assets(tmp_path, max_kept=10)

    first, again = assets.find("a.js"), assets.find("a.js")
    (tmp_path / "a.js").write_text("three")
    changed = assets.find("a.js")

    assert first is again
    assert first is not None
    assert changed is not None
    assert (changed.body, changed.media) == (b"three", "text/javascript; charset=utf-8")
    assert changed.etag != first.etag


@pytest.mark.parametrize(
    ("path", "hashed"),
    [
        ("assets/index-CklgpGzG.js", True),
        ("assets/index-CklgpGzG.js.map", True),
        ("assets/fonts/mono-_-x9aBcd.woff2", True),
        ("assets/theme.js", False),
        ("assets/icon.svg", False),
        ("assets/user-settings.js", False),
        ("assets/app-1a2b3c.js", False),
        ("index-CklgpGzG.js", False),
        ("sdk.js", False),
    ],
)
def test_only_names_with_a_hash_are_kept_for_ever(path: str, hashed: bool) -> None:
    assert bool(HASHED.fullmatch(path)) is hashed


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x" * 6)
    assets = Assets(tmp_path, max_kept=12)

    for name in "abc":
        assert assets.find(name) is not None

    assert list(assets._kept) == [str(tmp_path / "b"), str(tmp_path / "c")]
    assert assets._bytes == 12


def test_files_outside_are_not_found(tmp_path: Path) -> None:
    root = tmp_path / "web"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    assets = Assets(root)

    for path in ("../secret", "link", "loop", "/etc/passwd", "", ".", "a\0b", "x" * 5000, "a/../../secret"):
        assert assets.find(path) is None
    assert Assets(tmp_path / "none").find("index.html") is None


def test_the_browser_client_is_served_beside_any_folder(tmp_path: Path) -> None:
    for name in ("own", "client"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "page.html").write_text("own")
    for name in ("sdk.js", "index.html"):
        (tmp_path / "client" / name).write_text("client")
    console = Console(Assets(tmp_path / "own"), Assets(tmp_path / "client"))

    assert [find(console, name) for name in ("page.html", "sdk.js", "index.html", "none.js")] == [
        b"own", b"client", None, None
    ]  # fmt: skip
    (tmp_path / "own" / "sdk.js").write_text("mine")
    assert find(console, "sdk.js") == b"mine"


def find(console: Console, name: str) -> bytes | None:
    asset = console.find(name)
    return None if asset is None else asset.body


def test_options_of_a_websocket_door() -> None:
    options = WebSocketOptions.from_config({"type": "hopsack-raw", "ping_timeout": 7})

    assert options.ping_timeout == 7
    assert options.max_message_size == 1 << 20
    for bad in ({"max_message_sise": 1}, {"ping_timeout": 0}, {"ping_timeout": "5"}, {"allowed_origins": ["*"]}):
        with pytest.raises(InvalidConfigException):
            WebSocketOptions.from_config({"type": "hopsack-raw"} | bad)


def test_every_path_has_a_service_that_accepts_its_configuration() -> None:
    for config in PATHS.values():
        SERVICES[config["type"]].check(None, config)
        with pytest.raises(InvalidConfigException):
            SERVICES[config["type"]].check(None, config | {"surprise": 1})
