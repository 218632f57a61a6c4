"""What a CALL asks for beside WAMP's options, and MORE, however they are written."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError

from hopsack.errors import BadRequest
from hopsack_router.doors.wamp import _unframed, received, wamp_format
from hopsack_router.routing import asked, joining
from hopsack_router.routing.asked import Terms, terms_of

CODECS = ["msgpack", "json", "cbor", "json.batched"]


class Door:
    """As much of a link as reading needs."""

    def __init__(self, name: str) -> None:
        self.format = wamp_format(name, _unframed)
        self._serializer = self.format.serializer
        self.answers: list[message.Message] = []
        self.send = self.answers.append

    def read(self, *raw: Any) -> Any:
        (msg,) = received(self, self._serializer._serializer.serialize(list(raw)))
        return msg


@pytest.mark.parametrize("codec", CODECS)
def test_a_call_has_its_terms_in_every_codec(codec: str) -> None:
    options = {"receive_progress": True, "progress": True, "x_hopsack_window": 16, "x_hopsack_key": "k"}

    call = Door(codec).read(48, 7, options, "lab.sum", [1])
    plain = Door(codec).read(48, 8, {"receive_progress": True}, "lab.sum", [1])

    assert call.terms == Terms(progress=True, window=16, key="k")
    assert (call.request, call.procedure, call.args, call.receive_progress) == (7, "lab.sum", [1], True)
    assert getattr(plain, "terms", None) is None


@pytest.mark.parametrize("codec", CODECS)
def test_more_is_read_in_every_codec(codec: str) -> None:
    more = Door(codec).read(513, 48, 7, 8)

    assert (type(more), more.kind, more.request, more.items) == (asked.More, 48, 7, 8)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("raw", [[513], [513, 48, 7], [513, 50, 7, 1], [513, 48, 7, 0], [513, 48, "7", 1]])
def test_what_only_looks_like_more_is_a_protocol_error(codec: str, raw: list[Any]) -> None:
    with pytest.raises(ProtocolError):
        Door(codec).read(*raw)


@pytest.mark.parametrize("codec", ["msgpack", "json", "cbor"])
def test_more_is_written_in_every_codec(codec: str) -> None:
    format_ = wamp_format(codec, _unframed)

    (raw,) = format_.serializer._serializer.unserialize(format_.written(asked.More(68, 3, 5)))

    assert raw == [513, 68, 3, 5]


@pytest.mark.parametrize(
    "options",
    [
        {"x_hopsack_window": -1},
        {"x_hopsack_key": ""},
        {"x_hopsack_key": "k" * 65},
        {"progress": 1},
        {"x_hopsack_retry": "a"},
    ],
)
def test_terms_that_are_no_good_say_which(options: dict[str, Any]) -> None:
    refusal = terms_of(options)

    assert isinstance(refusal, BadRequest)
    assert next(iter(options)) in refusal.message


def test_options_of_others_are_no_terms() -> None:
    assert terms_of({"timeout": 1, "x_other": 2, "receive_progress": True}) is None


@pytest.mark.parametrize("codec", ["msgpack", "cbor"])
def test_features_that_autobahn_does_not_know_are_heard(codec: str) -> None:
    features = {"progressive_call_results": True, "x_hopsack_flow": True, "progressive_call_invocations": True}
    roles = {"caller": {"features": features}, "callee": {"features": {"x_hopsack_flow": 1}}, "publisher": {}}

    hello = Door(codec).read(1, "hopsack", {"roles": roles})

    assert [getattr(hello.roles["caller"], name, None) for name in joining.FLOW] == [True, True]
    assert [getattr(hello.roles["callee"], name, None) for name in joining.FLOW] == [None, None]
