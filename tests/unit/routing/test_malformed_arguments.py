"""Arguments that are no array, keywords that are no object, payloads cut short: their sender is told, nobody else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from .conftest import Client, Realm
from .test_call_ends import invocation
from .test_calls import CALL, ERROR, REGISTER
from .test_events import PUBLISH, SUBSCRIBE, details

YIELD = 70
WRONG = {
    "a number": msgspec.msgpack.encode(5),
    "null": b"\xc0",
    "text": b"\xa1x",
    "an object": b"\x80",
    "a lone surrogate": b"\x91\xa3\xed\xa0\x80",
}
WRONG_KEYWORDS = {"a number": b"\x90\x05", "null": b"\x90\xc0", "an array": b"\x90\x90", "keys": b"\x90\x81\x01\x02"}


def message(payload: bytes, *head: Any) -> bytes:
    """A message whose last parts are these bytes."""
    fields = [msgspec.msgpack.encode(one) for one in head]
    count = len(head) + (2 if payload in WRONG_KEYWORDS.values() else 1)
    return bytes((0x90 | count,)) + b"".join(fields) + payload


def says(client: Client, payload: bytes, *head: Any) -> list[list[Any]]:
    client._link.receive(message(payload, *head))
    return client.take()


@pytest.mark.parametrize("payload", [*WRONG.values(), *WRONG_KEYWORDS.values()], ids=[*WRONG, *WRONG_KEYWORDS])
@pytest.mark.parametrize(("kind", "uri"), [(PUBLISH, "lab.note"), (CALL, "lab.double")])
def test_a_request(open_realm: Realm, kind: int, uri: str, payload: bytes) -> None:
    reader, service, guest = open_realm.join("service"), open_realm.join("service"), open_realm.join()
    reader.send(SUBSCRIBE, 1, {}, "lab.note")
    service.send(REGISTER, 1, {}, "lab.double")

    (error,) = says(guest, payload, kind, 1, {"acknowledge": True} if kind == PUBLISH else {}, uri)

    assert error[:3] == [ERROR, kind, 1]
    assert details(error)["code"] == "hopsack.malformed"
    assert (reader.take(), service.take()) == ([], [])


@pytest.mark.parametrize("payload", [*WRONG.values(), *WRONG_KEYWORDS.values()], ids=[*WRONG, *WRONG_KEYWORDS])
def test_an_answer(open_realm: Realm, payload: bytes) -> None:
    """Its caller is answered at once: the callee has broken its contract, whatever that was."""
    service, guest = open_realm.join("service"), open_realm.join()
    service.send(REGISTER, 1, {}, "lab.double")
    guest.send(CALL, 1, {}, "lab.double", [1])
    asked = invocation(service)

    says(service, payload, YIELD, asked, {})

    (error,) = guest.take()
    assert error[:3] == [ERROR, CALL, 1]
    assert details(error)["code"] == "hopsack.broken_result"
