"""The reader that speaks no protocol: what may happen to it besides reading."""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message

from hopsack.errors import LoginRequired, Unavailable
from hopsack_router.doors.closing import DENIED, GOING_AWAY, KICKED, TOKEN_REFUSED, UNKNOWN
from hopsack_router.doors.effects import Join, Route
from hopsack_router.doors.patterns import Pattern
from hopsack_router.doors.places import After
from hopsack_router.doors.reading import Dismiss, Reader, Refuse, Start
from hopsack_router.routing.asked import Granted, Subscribed
from hopsack_router.routing.farewell import Farewell

BOTH = (Pattern("demo.news", "exact"), Pattern("demo.", "prefix"))


def test_it_starts_when_the_last_subscription_stands() -> None:
    reader = Reader(BOTH, "token")

    opened = reader.opened()
    subscribes = reader.joined()
    first, second = reader.routed(message.Subscribed(2, 72)), reader.routed(message.Subscribed(1, 71))

    assert opened == [Join("token")]
    assert [one.message.marshal() for one in subscribes if isinstance(one, Route)] == [
        [32, 1, {}, "demo.news"],
        [32, 2, {"match": "prefix"}, "demo."],
    ]
    assert (first, second) == ([], [Start(((BOTH[0], Granted()), (BOTH[1], Granted())))])


def test_it_resumes_and_tells_what_it_cannot() -> None:
    ticker, rooms, news = Pattern("demo.ticker", "exact"), Pattern("demo..told", "wildcard"), BOTH[0]
    places: dict[Pattern, Any] = {ticker: "abcdefgh:41", rooms: {"demo.hall.told": "abcdefgh:7"}, news: "abcdefgh:1"}
    reader = Reader((ticker, rooms, news), after=After(places))

    subscribes = [one.message for one in reader.joined() if isinstance(one, Route)]
    grants = (
        Granted("abcdefgh:41", recovered=True),
        Granted(positions={"demo.hall.told": "abcdefgh:20"}, reason="trimmed", snapshot=2),
        Granted(),
    )
    *_, [start] = [reader.routed(Subscribed(n, 70 + n, granted)) for n, granted in enumerate(grants, start=1)]

    assert [one.after for one in subscribes] == ["abcdefgh:41", {"demo.hall.told": "abcdefgh:7"}, "abcdefgh:1"]
    assert start == Start(
        ((ticker, grants[0]), (rooms, grants[1]), (news, grants[2])),
        (
            {"topic": "demo..told", "recovered": False, "reason": "trimmed"},
            {"topic": "demo.news", "recovered": False, "reason": "epoch"},
        ),
    )


def test_topics_that_an_id_could_not_name_are_lost() -> None:
    ticker, other, news = (Pattern(f"demo.{name}", "exact") for name in ("ticker", "other", "news"))
    reader = Reader((ticker, other, news), after=After({ticker: "abcdefgh:41"}, is_forgetful=True))
    reader.joined()

    reader.routed(Subscribed(1, 71, Granted("abcdefgh:41", recovered=True)))
    reader.routed(Subscribed(2, 72, Granted("abcdefgh:7")))
    [start] = reader.routed(Subscribed(3, 73, Granted()))

    assert isinstance(start, Start)
    assert start.lost == ({"topic": "demo.other", "recovered": False, "reason": "trimmed"},)


def test_one_refusal_refuses_all() -> None:
    reader = Reader(BOTH)
    reader.joined()
    reader.routed(message.Subscribed(1, 71))

    [refused] = reader.routed(message.Error(32, 2, "wamp.error.not_authorized", args=["no"]))

    assert isinstance(refused, Refuse)
    assert (refused.code, refused.error.code, refused.error.where) == (DENIED, "hopsack.denied", "demo.")
    assert reader.routed(message.Subscribed(2, 72)) == []


def test_what_is_no_topic_is_not_denied() -> None:
    undeclared, invalid = Reader(BOTH), Reader((*BOTH, Pattern("demo.a b", "exact")))
    undeclared.joined()

    [unknown] = undeclared.routed(
        message.Error(32, 1, "wamp.error.no_such_topic", kwargs={"code": "hopsack.undeclared"})
    )
    [refused] = invalid.joined()

    assert isinstance(unknown, Refuse)
    assert (unknown.code, unknown.error.code) == (UNKNOWN, "hopsack.undeclared")
    assert isinstance(refused, Refuse)
    assert (refused.code, refused.error.code, refused.error.where) == (UNKNOWN, "hopsack.invalid_uri", "demo.a b")
    assert invalid.routed(message.Subscribed(1, 71)) == []


def test_a_token_that_is_refused() -> None:
    error = LoginRequired("expired")

    assert Reader(BOTH, "old").refused(error) == [Refuse(TOKEN_REFUSED, error)]


def test_a_node_that_stops_is_no_matter_of_the_token() -> None:
    error = Unavailable(data={"retry_after": 2.3})

    assert Reader(BOTH).refused(error) == [Refuse(GOING_AWAY, error)]


def test_goodbye_at_any_time() -> None:
    shutdown, kick = Farewell(2.3), message.Goodbye("wamp.close.killed")
    early, late = Reader(BOTH), Reader(BOTH[:1])
    early.joined()
    late.joined()
    late.routed(message.Subscribed(1, 71))

    assert early.routed(shutdown) == [Dismiss(GOING_AWAY, 2.3)]
    assert Dismiss(GOING_AWAY, 2.3).reason == "The node is going away. (retry_after=2.3)"
    (ended,) = late.routed(kick)
    assert isinstance(ended, Dismiss)
    assert (ended.code, ended.reason) == (KICKED, "An operator ended this session.")
    assert late.routed(kick) == []


def test_a_reader_that_left_while_it_joined() -> None:
    reader = Reader(BOTH)
    reader.lost()

    assert reader.joined() == []
    assert reader.refused(LoginRequired()) == []
