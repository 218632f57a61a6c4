"""What readers and publishers say: the bytes, and where a publisher changes them."""

from __future__ import annotations

import msgspec
import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from hopsack_bench import wire
from hopsack_bench.wire import Login, Publisher, Step


def messages(script: wire.Script) -> list[bytes]:
    """The frames of a script's steps as a real server reads them, unmasked."""
    server = ServerProtocol()
    received = []
    for step in script:
        server.receive_data(step.send)
        for event in server.events_received():
            match event:
                case Request():
                    server.send_response(server.accept(event))
                case Frame(opcode=Opcode.TEXT | Opcode.BINARY):
                    received.append(bytes(event.data))
                case _:
                    raise AssertionError(event)
    return received


@pytest.mark.parametrize("size", [128, 200, 1000])
def test_an_event_is_as_long_as_it_was_asked_to_be(size: int) -> None:
    assert len(msgspec.json.encode(wire.event(size))) == size


def test_an_event_cannot_be_shorter_than_what_it_says() -> None:
    with pytest.raises(ValueError, match="bytes long at least"):
        wire.event(20)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_real_server_reads_our_frames(size: int) -> None:
    body = b"x" * size

    assert messages((wire.upgrade("/"), Step(wire.frame(body)))) == [body]


def test_a_wamp_reader_joins_and_subscribes() -> None:
    script = wire.wamp_reader("json", "hopsack", [("bench.event", "exact"), ("bench.", "prefix")])

    hello, *subscriptions = map(msgspec.json.decode, messages(script))
    assert hello[:2] == [1, "hopsack"]
    assert hello[2]["authmethods"] == ["anonymous"]
    assert subscriptions == [[32, 1, {}, "bench.event"], [32, 2, {"match": "prefix"}, "bench."]]
    assert [step.expect for step in script] == [b"\r\n\r\n", b"[2,", b"[33,1,", b"[33,2,"]


def test_a_ticket_is_given_when_it_is_asked_for() -> None:
    script = wire.wamp_reader("msgpack", "hopsack", (), login=Login("ann", "secret"))

    hello, authenticate = map(msgspec.msgpack.decode, messages(script))
    assert (hello[2]["authmethods"], hello[2]["authid"]) == (["ticket"], "ann")
    assert authenticate == [5, "secret", {}]
    assert [step.expect for step in script] == [b"\r\n\r\n", b"\x93\x04", b"\x93\x02"]


def test_a_raw_reader_says_hello_and_subscribes() -> None:
    hello, subscribe = map(msgspec.json.decode, messages(wire.raw_reader(["bench.event"], "a-token")))

    assert (hello["method"], hello["params"]) == ("hopsack.hello", {"token": "a-token"})
    assert (subscribe["method"], subscribe["params"]) == ("hopsack.subscribe", {"topic": "bench.event"})


def stamped(publisher: Publisher, time: int, number: int) -> bytes:
    """A template as ``load/readers.c`` sends it."""
    data = bytearray(publisher.template)
    data[publisher.at : publisher.at + wire.DIGITS] = b"%019d" % time
    if publisher.sequence is not None:
        data[publisher.sequence : publisher.sequence + 8] = number.to_bytes(8, "big")
    return bytes(data)


def test_a_wamp_publication_can_be_changed_in_place() -> None:
    publisher = wire.wamp_publisher(1, "hopsack", "bench.event", wire.event(200))

    data = stamped(publisher, 42, 7)

    assert int.from_bytes(data[:4], "big") == len(data) - 4
    code, request, options, topic, (payload,) = msgspec.msgpack.decode(data[4:])
    assert (code, request, options, topic) == (16, 7, {}, "bench.event")
    assert payload["at"] == f"{wire.MARK}{42:019d}"


def test_other_publications_have_no_number_to_change() -> None:
    payload = wire.event(200)
    publishers = [
        wire.nats_publisher(1, "bench.event", payload),
        wire.websocket_publisher(1, "/pub", payload),
        wire.http_publisher(1, "/pub", payload),
        wire.socketio_publisher(1, payload),
    ]

    for publisher in publishers:
        assert publisher.sequence is None
        assert f"{wire.MARK}{42:019d}".encode() in stamped(publisher, 42, 7)
