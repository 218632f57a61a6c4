"""A message that is larger than its receiver takes: whoever waits for it is told."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import message

from hopsack_router.doors.wamp import _unframed, wamp_format

from .conftest import Client, Realm
from .test_call_ends import INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, RESULT, YIELD
from .test_events import EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, details

LARGE = "x" * 3000


def test_a_reader_too_small_for_an_event_learns_that_there_was_one(open_realm: Realm) -> None:
    sam, small, wide = open_realm.join(), open_realm.join(max_size=1024), open_realm.join()
    ((_, _, exact),) = small.send(SUBSCRIBE, 1, {}, "lab.note")
    ((_, _, prefix),) = small.send(SUBSCRIBE, 2, {"match": "prefix"}, "lab.")
    wide.send(SUBSCRIBE, 1, {}, "lab.note")

    (published,) = sam.send(PUBLISH, 1, {"acknowledge": True}, "lab.note", [LARGE])
    sam.send(PUBLISH, 2, {}, "lab.note", ["short"])

    assert published[0] == PUBLISHED
    publication = published[2]
    notices, (first, second) = small.take()[:2], wide.take()
    assert [(one[0], one[1], one[2], len(one)) for one in notices] == [
        (EVENT, exact, publication, 4),
        (EVENT, prefix, publication, 4),
    ]
    assert notices[0][3]["x_hopsack_dropped"] == "too_large"
    assert notices[0][3]["x_hopsack_size"] > 3000
    assert notices[1][3]["topic"] == "lab.note"
    assert [first[4], second[4]] == [[LARGE], ["short"]]


def test_events_that_fit_go_on_behind_one_that_does_not(open_realm: Realm) -> None:
    sam, small = open_realm.join(), open_realm.join(max_size=1024)
    small.send(SUBSCRIBE, 1, {}, "lab.note")

    for payload in ("one", LARGE, "two"):
        sam.send(PUBLISH, 1, {}, "lab.note", [payload])

    assert [one[4:] for one in small.take()] == [[["one"]], [], [["two"]]]


def test_stock_loses_the_event_in_silence(stock: Realm) -> None:
    sam, small = stock.join(), stock.join(max_size=1024)
    small.send(SUBSCRIBE, 1, {}, "lab.note")

    for payload in ("one", LARGE, "two"):
        sam.send(PUBLISH, 1, {}, "lab.note", [payload])

    assert [one[4:] for one in small.take()] == [[["one"]], [["two"]]]


def test_a_retained_event_too_large_for_who_asks(open_realm: Realm) -> None:
    open_realm.join().send(PUBLISH, 1, {"retain": True}, "lab.note", [LARGE])

    _, notice = open_realm.join(max_size=1024).send(SUBSCRIBE, 1, {"get_retained": True}, "lab.note")

    assert notice[3]["x_hopsack_dropped"] == "too_large"
    assert len(notice) == 4


def pair(realm: Realm, caller_size: int = 1 << 24, callee_size: int = 1 << 24) -> tuple[Client, Client]:
    service, guest = realm.join("service", max_size=callee_size), realm.join(max_size=caller_size)
    service.send(REGISTER, 1, {"concurrency": 1}, "lab.double")
    return service, guest


def refused_as_too_large(messages: list[list[Any]]) -> bool:
    (error,) = messages
    facts = details(error)
    return error[:3] == [ERROR, CALL, 1] and facts["code"] == "hopsack.too_large" and facts["where"] == "lab.double"


def still_answers(service: Client, guest: Client) -> bool:
    guest.send(CALL, 2, {}, "lab.double", [1])
    service.send(YIELD, invocation(service), {}, [2])
    return guest.take() == [[RESULT, 2, {}, [2]]]


def test_a_call_too_large_for_its_callee(open_realm: Realm) -> None:
    service, guest = pair(open_realm, callee_size=1024)

    assert refused_as_too_large(guest.send(CALL, 1, {}, "lab.double", [LARGE]))
    assert still_answers(service, guest)


@pytest.mark.parametrize(
    "answer",
    [(YIELD, {}, [LARGE]), (ERROR, {}, "lab.overheated", [LARGE])],
)
def test_an_answer_too_large_for_its_caller(open_realm: Realm, answer: tuple[Any, ...]) -> None:
    service, guest = pair(open_realm, caller_size=1024)
    guest.send(CALL, 1, {}, "lab.double", [1])
    kind, *rest = answer
    request = invocation(service)

    service.send(*((kind, request, *rest) if kind == YIELD else (kind, INVOCATION, request, *rest)))

    assert refused_as_too_large(guest.take())
    assert still_answers(service, guest)


def test_progress_too_large_for_its_caller_ends_the_call_and_stops_the_callee(open_realm: Realm) -> None:
    service, guest = pair(open_realm, caller_size=1024)
    guest.send(CALL, 1, {"receive_progress": True}, "lab.double", [1])
    request = invocation(service)

    told = service.send(YIELD, request, {"progress": True}, [LARGE])
    service.send(YIELD, request, {}, ["late"])

    assert [one[:2] for one in told] == [[INTERRUPT, request]]
    assert refused_as_too_large(guest.take())
    assert still_answers(service, guest)


WIDE = 1 << 80  # CBOR can, msgpack cannot


def says(client: Client, msg: message.Message) -> None:
    """What a client says that speaks a serializer of Autobahn's."""
    session = client._link._session
    assert session is not None
    session.onMessage(msg)


def test_an_event_that_one_serializer_cannot_write_reaches_the_others(open_realm: Realm) -> None:
    sam, packed, cbor = open_realm.join(), open_realm.join(), open_realm.join()
    for reader in (packed, cbor):
        reader.send(SUBSCRIBE, 1, {}, "lab.note")
    frames: list[bytes] = []
    cbor._link.format, cbor._link._receive = wamp_format("cbor", _unframed), frames.append

    says(sam, message.Publish(1, "lab.note", args=[WIDE]))

    (notice,) = packed.take()
    assert notice[3:] == [{"x_hopsack_dropped": "unreadable", "x_hopsack_size": 0}]
    (event,) = cbor._link.format.serializer._serializer.unserialize(frames[0])
    assert event[4] == [WIDE]


@pytest.mark.parametrize("progress", [False, True])
def test_a_result_that_its_caller_cannot_read_ends_the_call(open_realm: Realm, progress: bool) -> None:
    service, guest = pair(open_realm)
    guest.send(CALL, 1, {"receive_progress": True}, "lab.double", [1])
    request = invocation(service)

    says(service, message.Yield(request, args=[WIDE], progress=progress or None))

    (error,) = guest.take()
    assert details(error)["code"] == "hopsack.broken_result"
    assert [one[0] for one in service.take()] == ([INTERRUPT] if progress else [])


def test_a_call_that_its_callee_cannot_read_is_refused_and_takes_no_slot(open_realm: Realm) -> None:
    service, guest = pair(open_realm)

    says(guest, message.Call(1, "lab.double", args=[WIDE]))

    (error,) = guest.take()
    assert error[:3] == [ERROR, CALL, 1]
    assert still_answers(service, guest)
