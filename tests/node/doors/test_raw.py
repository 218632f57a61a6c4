"""The raw door of a real node, from plain WebSocket clients."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conversations.replay import Bindings, Conversation, load_all

from ..conftest import Node
from .conftest import sessions

pytestmark = pytest.mark.node

NEWS = {"headline": "Rain later"}


@pytest.mark.parametrize("conversation", [one for one in load_all() if one.node], ids=str)
def test_recorded_conversations(node: Node, conversation: Conversation) -> None:
    bindings = Bindings(conversation.values)
    headers = {"Authorization": f"Bearer {conversation.token}"} if conversation.token else None

    with connect(node.ws(conversation.path), additional_headers=headers) as client:
        for line in conversation.lines:
            match line:
                case {"from": "client", "close": _}:
                    client.close()
                case {"from": "client"}:
                    text = line["text"] if "text" in line else json.dumps(bindings.fill(line["frame"]))
                    client.send(text.encode() if line.get("binary") else text)
                case {"from": "server", "close": close}:
                    with pytest.raises(ConnectionClosed) as closed:
                        client.recv(timeout=20)
                    assert closed.value.rcvd is not None
                    bindings.expect(close, {"code": closed.value.rcvd.code, "reason": closed.value.rcvd.reason})
                case {"from": "server"}:
                    received = client.recv(timeout=20)
                    assert isinstance(received, bytes) == line.get("binary", False)
                    bindings.expect(line["frame"], json.loads(received))

    # docs/protocol.md quotes the recordings: their sentences must be the node's own.
    said = {name: bindings.bound.get(name) for name in ("message", "reason") if name in conversation.values}
    assert said.items() <= conversation.values.items()


def test_an_event_looks_the_same_whoever_published_it(node: Node, page: Any, http: httpx.Client) -> None:
    reader, writer = page(), page()
    reader.ask("hopsack.subscribe", {"topic": "demo.news"})

    writer.ask("hopsack.publish", {"topic": "demo.news", "data": NEWS})
    http.post("/publish/demo.news", json=NEWS).raise_for_status()
    publish_by_wamp(node, "demo.news", NEWS)

    assert [reader.event() for _ in range(3)] == [{"topic": "demo.news", "data": NEWS}] * 3


def test_what_was_meant(page: Any) -> None:
    ann = page()

    method = ann.refused("hopsack.subscrib", {"topic": "demo.news"})
    topic = ann.refused("hopsack.subscribe", {"topic": "demo.hall.said "})

    assert (method["code"], method["advice"]) == ("hopsack.undeclared", "did you mean hopsack.subscribe?")
    assert topic["code"] == "hopsack.invalid_uri"


def test_a_wamp_client_learns_nothing_of_the_process(node: Node) -> None:
    with connect(node.ws("/ws"), subprotocols=["wamp.2.json"]) as client:  # type: ignore[list-item]
        client.send(json.dumps([1, "hopsack", {"roles": {"publisher": {}}, "authmethods": ["anonymous"]}]))
        welcome = json.loads(client.recv(timeout=20))

    assert welcome[0] == 2
    assert welcome[2]["authrole"] == "guest"
    assert "x_cb" not in json.dumps(welcome)


def publish_by_wamp(node: Node, topic: str, payload: Any) -> None:
    with connect(node.ws("/ws"), subprotocols=["wamp.2.json"]) as client:  # type: ignore[list-item]
        client.send(json.dumps([1, "hopsack", {"roles": {"publisher": {}}, "authmethods": ["anonymous"]}]))
        assert json.loads(client.recv(timeout=20))[0] == 2
        client.send(json.dumps([16, 1, {"acknowledge": True}, topic, [payload]]))
        assert json.loads(client.recv(timeout=20))[0] == 17


def test_an_event_comes_once_although_two_subscriptions_match(page: Any) -> None:
    reader, writer = page(), page()
    reader.ask("hopsack.subscribe", {"topic": "demo.hall.", "match": "prefix"})
    reader.ask("hopsack.subscribe", {"topic": "demo..said", "match": "wildcard"})

    writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "one"})
    writer.ask("hopsack.publish", {"topic": "demo.attic.said", "data": "two"})

    assert [reader.event()["data"] for _ in range(2)] == ["one", "two"]


def test_unsubscribing_ends_it(page: Any) -> None:
    reader, writer = page(), page()
    exact = reader.ask("hopsack.subscribe", {"topic": "demo.hall.said"})
    reader.ask("hopsack.subscribe", {"topic": "demo.attic.said"})

    assert reader.ask("hopsack.unsubscribe", exact_of(exact)) == {}
    writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "unheard"})
    writer.ask("hopsack.publish", {"topic": "demo.attic.said", "data": "heard"})

    assert reader.event()["data"] == "heard"


def exact_of(subscribed: dict[str, Any]) -> dict[str, Any]:
    return {"subscription": subscribed["subscription"]}


def test_a_page_calls_a_procedure_of_another_page(page: Any) -> None:
    ann, bob = page(), page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    number = bob.send("demo.ann.ask", {"text": "Ready?"})
    asked = ann.request()
    ann.respond(asked, "yes")

    assert (asked["method"], asked["params"]) == ("demo.ann.ask", {"text": "Ready?"})
    assert bob.answer(number)["result"] == "yes"


def test_a_call_ends_when_its_callee_leaves(page: Any) -> None:
    ann, bob = page(), page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    number = bob.send("demo.ann.ask", {"text": "Ready?"})
    ann.request()
    ann.socket.close()

    error = bob.answer(number)["error"]["data"]
    assert (error["code"], error["data"]) == ("hopsack.outcome_unknown", {"ran": "maybe"})


def test_cancelling_a_call_tells_both_sides(page: Any) -> None:
    ann, bob = page(), page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    number = bob.send("demo.ann.ask", {"text": "Ready?"})
    asked = ann.request()
    bob.send("hopsack.cancel", {"id": number}, notify=True)

    error = bob.answer(number)["error"]
    assert (error["data"]["code"], error["message"]) == ("hopsack.canceled", "the caller canceled the call")
    assert ann.notification("hopsack.cancel") == {"id": asked["id"]}


def test_a_broken_result_is_withheld(page: Any) -> None:
    ann, bob = page(), page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    number = bob.send("demo.ann.ask", {"text": "Ready?"})
    ann.respond(ann.request(), {"not": "a string"})

    assert bob.answer(number)["error"]["data"]["code"] == "hopsack.broken_result"


def test_an_undeclared_error_of_a_page_tells_nothing(page: Any) -> None:
    ann, bob = page(), page()
    ann.ask("hopsack.register", {"procedure": "demo.ann.ask"})

    number = bob.send("demo.ann.ask", {"text": "Ready?"})
    asked = ann.request()
    error = {"code": 1, "message": "the password is 1234"}
    ann.socket.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}))

    answer = bob.answer(number)["error"]
    assert answer["data"]["code"] == "hopsack.internal"
    assert "1234" not in json.dumps(answer)


def test_the_same_rules_as_everywhere(page: Any) -> None:
    guest = page()

    assert guest.refused("demo.ad", {"a": 1, "b": 2})["data"]["nearest"] == "demo.add"
    assert guest.refused("demo.add", {"a": 1, "b": "2"})["path"] == "/b"
    assert guest.refused("demo.add", {"a": 1, "b": 2})["code"] == "hopsack.no_callee"
    assert guest.refused("hopsack.subscribe", {"topic": "demo.", "match": "prefix"})["code"] == "hopsack.denied"
    assert guest.refused("hopsack.publish", {"topic": "demo.news", "data": 1})["code"] == "hopsack.invalid"
    assert guest.refused("hopsack.publish", {"topic": "de mo", "data": 1})["code"] in (
        "hopsack.invalid_uri",
        "hopsack.undeclared",
    )
    assert guest.refused("hopsack.unsubscribe", {"subscription": 12345})["code"] == "hopsack.no_such_subscription"
    assert guest.refused("hopsack.unregister", {"registration": 12345})["code"] == "hopsack.no_such_registration"


def test_hello_with_a_token(node: Node, page: Any) -> None:
    assert page().ask("hopsack.hello", {"token": node.token("user", "ann")})["authid"] == "ann"
    assert page(token=node.token("user", "bob")).ask("hopsack.hello")["role"] == "user"


def test_a_session_like_any_other(node: Node, page: Any, http: httpx.Client) -> None:
    mine = page().ask("hopsack.hello", {"token": node.token("user", "carol")})
    page("/raw?topic=demo.news", token=node.token("user", "dora")).socket.ping().wait(20)

    listed = {one["authid"]: one for one in sessions(node, http)}

    assert listed["carol"]["session"] == mine["session"]
    assert (listed["carol"]["door"], listed["carol"]["role"]) == ("raw", "user")
    assert listed["dora"]["door"] == "raw"


def test_read_only_needs_no_protocol(page: Any) -> None:
    reader = page("/raw?topic=demo.news&topic=demo.hall.&topic=demo..said")
    writer = page()
    reader.socket.ping().wait(20)

    reader.socket.send("whatever")
    writer.ask("hopsack.publish", {"topic": "demo.news", "data": NEWS})
    writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": "one"})
    writer.ask("hopsack.publish", {"topic": "demo.attic.said", "data": "two"})

    assert [reader.event()["topic"] for _ in range(3)] == ["demo.news", "demo.hall.said", "demo.attic.said"]


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/raw?topic=demo.secret", 4403, "hopsack.denied"),
        ("/raw?topic=demo.newz", 4404, "demo.news"),
        ("/raw?topic=demo.a%20b", 4404, "hopsack.invalid_uri"),
        ("/raw?topic=", 4404, "hopsack.invalid_uri"),
    ],
)
def test_read_only_says_no_by_closing(page: Any, path: str, code: int, reason: str) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        page(path).socket.recv(timeout=20)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert reason in closed.value.rcvd.reason


def test_a_bad_token_in_the_upgrade_request(page: Any) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        page("/raw?topic=demo.news", token="expired").socket.recv(timeout=20)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_fragments_and_pings(page: Any) -> None:
    talker = page()
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hopsack.hello", "params": {}})

    talker.socket.send([text[:5], text[5:6], text[6:]])

    assert talker.answer(1)["result"]["role"] == "guest"
    assert talker.socket.ping(b"are you there").wait(20)


def test_a_message_that_is_too_large(page: Any) -> None:
    talker = page()
    talker.socket.send("x" * ((1 << 20) + 1))

    with pytest.raises(ConnectionClosed) as closed:
        talker.socket.recv(timeout=20)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_reader_that_does_not_read_harms_nobody(node: Node, page: Any, http: httpx.Client) -> None:
    writer, healthy = page(), page()
    healthy.ask("hopsack.subscribe", {"topic": "demo.hall.said"})
    deaf = open_and_never_read(node, "/raw?topic=demo.hall.said", node.token("user", "deaf"))
    text, sent = "x" * 60_000, 400

    for _ in range(sent):
        writer.ask("hopsack.publish", {"topic": "demo.hall.said", "data": text})
        assert healthy.event()["data"] == text

    (listed,) = [one for one in sessions(node, http) if one["authid"] == "deaf"]
    assert listed["lag"]["policy"] == "dropping"
    assert 0 < listed["lag"]["unsent"] <= 1 << 20
    deaf.close()


def open_and_never_read(node: Node, path: str, token: str) -> socket.socket:
    """A WebSocket handshake by hand, on a socket with a small buffer that is then left alone."""
    url = urlsplit(node.http)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((url.hostname, url.port))
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token}",
    )
    client.sendall("\r\n".join((*lines, "", "")).encode())
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def test_old_protocol_versions_are_refused(node: Node) -> None:
    url = urlsplit(node.http)
    with socket.create_connection((url.hostname, url.port)) as client:
        lines = (
            "GET /raw HTTP/1.1",
            f"Host: {url.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 8",
        )
        client.sendall("\r\n".join((*lines, "", "")).encode())
        assert client.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("path", ["/raw", "/ws"])
def test_a_plain_request_is_told_what_to_do(http: httpx.Client, path: str) -> None:
    answer = http.get(path)

    assert answer.status_code == 426
    assert "crossbar" not in answer.text.lower()
    assert answer.headers["upgrade"] == "websocket"
    assert "WebSocket" in answer.json()["advice"]


def test_echo_gives_back_text_and_bytes(node: Node) -> None:
    with connect(node.ws("/echo")) as client:
        for sent in ("", "grüße 🌍", b"", bytes(range(256)), "x" * (1 << 20), b"y" * 70_000):
            client.send(sent)
            assert client.recv(timeout=20) == sent
