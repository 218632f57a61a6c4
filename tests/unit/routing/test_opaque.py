"""A payload that the router cannot read is no way around a contract, in any direction."""

from __future__ import annotations

from .conftest import Realm
from .test_calls import CALL, ERROR, INVOCATION, RESULT, YIELD, serve
from .test_events import PUBLISH, details

OPAQUE = {"ppt_scheme": "x_mine", "enc_algo": "x_mine", "enc_serializer": "cbor"}


def test_a_declared_topic_takes_no_opaque_payload(realm: Realm) -> None:
    (error,) = realm.join("service").send(PUBLISH, 1, OPAQUE | {"acknowledge": True}, "lab.reading", b"zzz")

    assert details(error)["code"] == "hopsack.invalid"


def test_a_declared_procedure_takes_no_opaque_input(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service, "lab.slow")

    (error,) = guest.send(CALL, 1, OPAQUE, "lab.slow", b"zzz")

    assert details(error)["code"] == "hopsack.invalid"
    assert service.take() == []


def test_a_declared_procedure_gives_no_opaque_answer(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    for call in (1, 2):
        guest.send(CALL, call, {}, "lab.double", [1])
    (_, first, *_), (_, second, *_) = service.take()

    service.send(YIELD, first, OPAQUE, b"zzz")
    service.send(ERROR, INVOCATION, second, OPAQUE, "my.secret", b"zzz")
    answers = guest.take()

    assert [details(answer)["code"] for answer in answers] == ["hopsack.broken_result"] * 2
    assert b"zzz" not in str(answers).encode()
    assert RESULT not in [answer[0] for answer in answers]
