"""What clients of each door make of what they are told, in whatever pieces it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hopsack_bench import talk
from hopsack_bench.talk import Answered, Came, Confused, Granted, Refused, Step, Taken

TOPIC = "bench.stream.one"
EVENT = {"writer": "ann", "number": 1, "note": "n"}


def served(payload: bytes, code: int = talk.TEXT) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((size,))
    else:
        head = b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    return bytes((0x80 | code,)) + head + payload


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000, 10**6])
def test_frames_come_whole_from_any_pieces(step: int) -> None:
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 65535, b"e" * 65536]
    stream = b"".join(map(served, payloads)) + served(b"ping", talk.PING)
    frames = talk.Frames()

    found = [one for at in range(0, len(stream), step) for one in frames.feed(stream[at : at + step])]

    assert found == [*((talk.TEXT, payload) for payload in payloads), (talk.PING, b"ping")]


@pytest.mark.parametrize("head", [b"\x81\x81", b"\x01\x01"])
def test_a_masked_or_fragmented_frame_is_not_understood(head: bytes) -> None:
    with pytest.raises(Confused):
        talk.Frames().feed(head + b"     ")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"id": 0, "result": {"session": 1}}, None),
        (
            {"id": 1, "result": {"subscription": 7, "recovered": False, "position": "e:4"}},
            Granted({TOPIC: "e:4"}, False),
        ),
        ({"id": 1, "result": {"subscription": 7, "recovered": True, "position": "e:4"}}, Granted({TOPIC: "e:4"}, True)),
        (
            {
                "id": 1,
                "result": {"subscription": 7, "recovered": False, "positions": {"a": "e:4"}, "reason": "trimmed"},
            },
            Granted({"a": "e:4"}, False, "trimmed"),
        ),
        ({"id": 9, "result": {"position": "e:5"}}, Taken(9, "e:5")),
        ({"id": 9, "result": {}}, Taken(9, None)),
        ({"method": "event", "params": {"topic": TOPIC, "data": EVENT, "position": "e:5"}}, Came(TOPIC, "e:5", EVENT)),
        ({"method": "event", "params": {"topic": TOPIC, "data": EVENT}}, Came(TOPIC, None, EVENT)),
        (
            {"method": "recovery", "params": {"topic": TOPIC, "recovered": False, "reason": "epoch"}},
            Granted({}, False, f"{TOPIC}: epoch"),
        ),
    ],
)
def test_the_raw_door_is_understood(message: dict[str, Any], told: object) -> None:
    assert talk.read_raw(json.dumps({"jsonrpc": "2.0"} | message).encode(), TOPIC) == told


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"id": 3, "error": {"code": -32000, "message": "no"}}, Refused),
        ({"method": "gap", "params": {"topic": TOPIC, "dropped": 4}}, Confused),
    ],
)
def test_a_refusal_or_a_gap_is_not_passed_over(message: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        talk.read_raw(json.dumps({"jsonrpc": "2.0"} | message).encode(), TOPIC)


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_server_sent_events_come_from_any_pieces(step: int) -> None:
    data = json.dumps(EVENT)
    blocks = [
        "retry: 2000\n",
        'id: e:4\nevent: hopsack.position\ndata: "e:4"\n\n',
        ":\n",
        f"event: {TOPIC}\nid: e:5\ndata: {data}\n\n",
    ]
    stream = b"".join(chunked(block.encode()) for block in blocks)
    chunks, reading = talk.Chunks(), talk.Blocks(TOPIC)

    told = [one for at in range(0, len(stream), step) for one in reading.feed(chunks.feed(stream[at : at + step]))]

    assert told == [Granted({TOPIC: "e:4"}, False), Came(TOPIC, "e:5", EVENT)]
    with pytest.raises(EOFError):
        chunks.feed(b"0\r\n\r\n")


def test_an_id_of_several_topics_says_where_each_is() -> None:
    reading = talk.Blocks(None)
    places = {"bench.stream.one": "e:5", "bench.stream.zwölf,": "f:1"}
    line = talk.last_event_id(None, places)

    told = list(reading.feed(f"id: {line}\nevent: bench.stream.one\ndata: {json.dumps(EVENT)}\n\n".encode()))

    assert told == [Came("bench.stream.one", "e:5", EVENT)]
    assert reading.positions() == places


def test_what_a_stream_does_not_promise_is_not_passed_over() -> None:
    lost = f'id: e:4\nevent: hopsack.recovery\ndata: {{"topic": "{TOPIC}", "recovered": false, "reason": "epoch"}}\n\n'
    gap = f'event: hopsack.gap\ndata: {{"topic": "{TOPIC}", "dropped": 4}}\n\n'

    assert list(talk.Blocks(TOPIC).feed(lost.encode())) == [Granted({TOPIC: "e:4"}, False, f"{TOPIC}: epoch")]
    with pytest.raises(Confused):
        list(talk.Blocks(TOPIC).feed(gap.encode()))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ([4, "ticket", {}], Step(talk.CHALLENGE)),
        ([2, 77, {}], Step(talk.WELCOME)),
        ([33, 1, 7], Step(talk.SUBSCRIBED)),
        ([17, 5, 88], Taken(5, None)),
        ([36, 7, 88, {"x_hopsack_position": "e:5"}, [EVENT]], Came(TOPIC, "e:5", EVENT)),
        ([36, 7, 88, {"topic": "other"}, [EVENT]], Came("other", None, EVENT)),
        ([50, 6, {}, [{"end": True}]], Answered(6, {"end": True})),
    ],
)
def test_wamp_is_understood(message: list[Any], told: object) -> None:
    assert talk.read_wamp(json.dumps(message).encode(), TOPIC) == told


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ([8, 48, 6, {}, "hopsack.denied"], Refused),
        ([6, {}, "wamp.close.system_shutdown"], Refused),
        ([36, 7, 88, {"x_hopsack_dropped": "slow", "x_hopsack_count": 3}], Confused),
        ([255], Confused),
    ],
)
def test_wamp_that_goes_wrong_is_not_passed_over(message: list[Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        talk.read_wamp(json.dumps(message).encode(), TOPIC)


def test_a_page_of_a_stream_is_read() -> None:
    value = {
        "events": [{"position": "e:5", "publication": 1, "data": EVENT}],
        "position": "e:5",
        "recovered": True,
        "end": True,
    }

    assert talk.page_of(value) == talk.Page((("e:5", EVENT),), "e:5", True, "", True)
    with pytest.raises(Confused):
        talk.page_of({"events": []})
