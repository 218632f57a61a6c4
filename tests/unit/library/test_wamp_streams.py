"""Streams over WAMP at a node of Hopsack, which says in WELCOME what may be asked for: as on the raw door."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from hopsack.errors import Disconnected, UsageError
from hopsack.position import Position
from hopsack.session import (
    Confirm,
    Deliver,
    Effect,
    Grant,
    Lost,
    Opened,
    RateRequested,
    Received,
    Reject,
    Send,
    SubscribeRequested,
)
from hopsack.wamp.codec import JSON
from hopsack.wamp.session import WampSession

TELL = {"x_hopsack_granted": True}


class Talk:
    """A session and what it says.

    :param details: of WELCOME.
    """

    def __init__(self, **details: Any) -> None:
        self.session = WampSession(JSON, realm="hopsack", agent="hopsack-test")
        self.session.take(Opened(1 << 20))
        self.hears([2, 7, {"authid": "ann", "authrole": "guest", **details}])

    def asks(self, event: Any) -> list[Any]:
        return [json.decode(one.data) for one in self.session.take(event) if isinstance(one, Send)]

    def hears(self, message: list[Any]) -> list[Effect]:
        return self.session.take(Received(JSON.pack(message)))


@pytest.fixture
def talk() -> Talk:
    return Talk(**TELL)


def test_a_subscription_is_confirmed_with_what_it_begins_with(talk: Talk) -> None:
    asked = talk.asks(SubscribeRequested("ticket", "t", "exact"))
    silent = talk.hears([33, 1, 5])
    told = talk.hears([36, 5, 9, {"x_hopsack_granted": {"recovered": False, "position": "e:4"}}])

    assert asked == [[32, 1, TELL, "t"]]
    assert silent == []
    assert told == [Confirm("ticket", 5, Grant(positions={"t": Position("e", 4)}))]


def test_it_resumes_and_has_a_rate_from_the_beginning(talk: Talk) -> None:
    after = {"t.a": Position("e", 4)}

    asked = talk.asks(SubscribeRequested("ticket", "t.", "prefix", after, rate=2.0))
    talk.hears([33, 1, 5])
    facts = {"recovered": False, "reason": "trimmed", "positions": {"t.a": "e:9"}}
    told = talk.hears([36, 5, 9, {"x_hopsack_granted": facts}])

    options = {"match": "prefix", "x_hopsack_after": {"t.a": "e:4"}, "x_hopsack_max_rate": 2.0}
    assert asked == [[32, 1, TELL | options, "t."]]
    assert told == [Confirm("ticket", 5, Grant(False, "trimmed", {"t.a": Position("e", 9)}))]


def test_a_rate_is_changed_by_subscribing_again(talk: Talk) -> None:
    talk.asks(SubscribeRequested("ticket", "t.", "prefix"))
    talk.hears([33, 1, 5])
    talk.hears([36, 5, 9, {"x_hopsack_granted": {}}])

    slower = talk.asks(RateRequested("slower", 5, 0.5))
    done = talk.hears([33, 2, 5])
    free = talk.asks(RateRequested("free", 5, None))

    assert slower == [[32, 2, {"match": "prefix", "x_hopsack_max_rate": 0.5}, "t."]]
    assert done == [Confirm("slower", 5)]
    assert free == [[32, 3, {"match": "prefix"}, "t."]]


def test_newest_values_come_with_it(talk: Talk) -> None:
    asked = talk.asks(SubscribeRequested("ticket", "t", "exact", snapshot=True))
    talk.hears([33, 1, 5])
    talk.hears([36, 5, 9, {"x_hopsack_granted": {"position": "e:4", "snapshot": 1}}])
    talk.hears([36, 5, 10, {"retained": True, "x_hopsack_position": "e:4"}, [1]])
    confirmed, newest = talk.hears([35, 2])

    assert asked == [[32, 1, TELL | {"get_retained": True}, "t"]]
    assert confirmed == Confirm("ticket", 5, Grant(positions={"t": Position("e", 4)}, snapshot=1))
    assert isinstance(newest, Deliver)


def test_who_is_lost_in_between_is_told_so(talk: Talk) -> None:
    talk.asks(SubscribeRequested("first", "t", "exact"))
    talk.hears([33, 1, 5])
    talk.asks(SubscribeRequested("second", "u", "exact"))

    told = talk.session.take(Lost("gone"))

    assert [(one.ticket, type(one.error)) for one in told if isinstance(one, Reject)] == [
        ("first", Disconnected),
        ("second", Disconnected),
    ]


def test_a_refusal_names_the_topic(talk: Talk) -> None:
    talk.asks(SubscribeRequested("ticket", "t", "exact"))
    (told,) = talk.hears([8, 32, 1, {}, "hopsack.too_many", ["no more"]])

    assert isinstance(told, Reject)
    assert (told.ticket, told.error.code, told.error.where) == ("ticket", "hopsack.too_many", "t")  # type: ignore[attr-defined]


def test_of_another_router_nothing_of_that_is_asked() -> None:
    talk = Talk()

    asked = talk.asks(SubscribeRequested("ticket", "t", "exact", {"t": Position("e", 4)}))
    with pytest.raises(UsageError, match="no node of Hopsack"):
        talk.asks(SubscribeRequested("ticket", "t", "exact", rate=2.0))

    assert asked == [[32, 1, {}, "t"]]
    assert talk.hears([33, 1, 5]) == [Confirm("ticket", 5)]
