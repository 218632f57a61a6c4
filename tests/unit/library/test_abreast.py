"""An event that is lost with none after it: the node is asked where the streams stand, and what is missing is read."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack.resuming import TOPICS, Recovery
from hopsack.subscription import Subscription
from hopsack.testing.loop import HandTurnedLoop

from .conftest import Peer, RawPeer
from .test_streams import READ, event, page, raw_subscribed, subscribed, taken

BEHIND = "hopsack.stream.behind"


def asks(raw: RawPeer) -> list[tuple[int, Any]]:
    """The questions that came since."""
    return [(request, params) for request, method, params in raw.asked() if method == BEHIND]


def reader(raw: RawPeer, loop: HandTurnedLoop, interval: float = 4.0) -> Subscription[Any]:
    raw.connect(check_interval=interval, ping_interval=1e9)
    subscription = raw_subscribed(raw, loop, position="e:4")
    raw.tells("event", topic="t", position="e:5", data=5)
    return subscription


@pytest.mark.parametrize("tenths", range(100))
def test_it_is_there_within_five_seconds(raw: RawPeer, loop: HandTurnedLoop, tenths: int) -> None:
    subscription = reader(raw, loop)
    loop.advance(tenths / 10)
    for request, _ in asks(raw):
        raw.answers(request)
    raw.tells("event", topic="t", position="e:6", data=6)
    for _ in range(48):
        loop.advance(0.1)
        for request, method, params in raw.asked():
            if method == BEHIND:
                raw.answers(request, **({"t": "e:7"} if params == {"positions": {"t": "e:6"}} else {}))
            else:
                assert (method, params["after"]) == (READ, "e:6")
                raw.answers(request, events=[{"position": "e:7", "data": 7}], position="e:7")

    assert taken(loop, subscription) == [5, 6, 7]
    raw.tells("event", topic="t", position="e:8", data=8)
    assert taken(loop, subscription) == [8]


def test_only_silent_streams_are_asked_about_and_once_in_a_while(raw: RawPeer, loop: HandTurnedLoop) -> None:
    reader(raw, loop)
    for offset in range(6, 26):
        loop.advance(1.0)
        raw.tells("event", topic="t", position=f"e:{offset}", data=offset)
    assert asks(raw) == []

    count = 0
    for _ in range(20):
        loop.advance(1.0)
        for request, params in asks(raw):
            assert params == {"positions": {"t": "e:25"}}
            raw.answers(request)
            count += 1

    assert 4 <= count <= 7


def test_who_reads_no_streams_or_is_away_asks_nothing(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect(check_interval=4.0, ping_interval=1e9)
    raw_subscribed(raw, loop)
    loop.advance(20.0)
    assert raw.asked() == []

    raw.vanishes()
    raw.trouble = OSError("nobody")
    loop.advance(20.0)
    assert raw.asked() == []


def test_with_no_interval_nothing_is_asked(raw: RawPeer, loop: HandTurnedLoop) -> None:
    reader(raw, loop, interval=0.0)
    loop.advance(20.0)

    assert raw.asked() == []


def test_a_node_that_does_not_know_the_question_is_not_asked_again(raw: RawPeer, loop: HandTurnedLoop) -> None:
    reader(raw, loop)
    loop.advance(4.0)
    [(request, _)] = asks(raw)
    raw.says({"id": request, "error": {"code": 1, "message": "what?", "data": {"code": "hopsack.no_callee"}}})
    loop.advance(20.0)

    assert asks(raw) == []


def test_a_busy_node_and_one_that_does_not_answer_are_asked_again(raw: RawPeer, loop: HandTurnedLoop) -> None:
    reader(raw, loop)
    loop.advance(4.0)
    [(request, _)] = asks(raw)
    raw.says({"id": request, "error": {"code": 1, "message": "no", "data": {"code": "hopsack.overloaded"}}})
    loop.advance(4.0)
    assert len(asks(raw)) == 1
    loop.advance(12.0)

    assert len(asks(raw)) >= 1


def test_who_has_heard_something_meanwhile_is_not_meant(raw: RawPeer, loop: HandTurnedLoop) -> None:
    subscription = reader(raw, loop)
    loop.advance(4.0)
    [(request, _)] = asks(raw)
    raw.tells("event", topic="t", position="e:6", data=6)
    raw.answers(request, t="e:6")

    assert raw.asked() == []
    assert taken(loop, subscription) == [5, 6]


def test_a_stream_that_began_anew_is_told(raw: RawPeer, loop: HandTurnedLoop) -> None:
    subscription = reader(raw, loop)
    loop.advance(4.0)
    [(request, _)] = asks(raw)
    raw.answers(request, t="f:1")
    [(request, _, params)] = raw.asked()
    assert params["after"] == "e:5"
    raw.answers(
        request, events=[{"position": "f:1", "data": 1}], position="f:1", recovered=False, reason="epoch", end=True
    )

    assert taken(loop, subscription) == [5, 1]
    assert list(subscription.recoveries) == [Recovery("t", False, "epoch", None)]


def test_a_newest_value_that_is_lost_is_asked_for_again_and_no_map_waits_for_ever(
    raw: RawPeer, loop: HandTurnedLoop
) -> None:
    connection = raw.connect(check_interval=4.0, ping_interval=1e9)
    task = loop.create_task(connection.map("t", key="host"))
    [(request, *_)] = raw.asked()
    raw.answers(request, subscription=5, recovered=False, snapshot=2)
    for question, _ in asks(raw):
        raw.answers(question)
    loop.advance(1.9)
    raw.tells("event", topic="t", data={"host": "a"}, retained=True)
    loop.advance(1.9)
    assert [method for _, method, _ in raw.asked() if method != BEHIND] == []
    loop.advance(4.0)
    (given, *_), (request, *_) = [one for one in raw.asked() if one[1] != BEHIND]
    raw.answers(given)
    raw.answers(request, subscription=6, recovered=False, snapshot=2)
    for host in ("a", "b"):
        raw.tells("event", topic="t", data={"host": host}, retained=True)

    assert sorted(task.result()) == ["a", "b"]


# ---- a stream that begins while nobody is connected ------------------------------------------------------------------


def test_a_pattern_that_had_seen_nothing_resumes_from_nothing(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop, "t.", {"match": "prefix"}, positions={})
    raw.vanishes()
    loop.advance(0.5)
    [(request, _, params)] = raw.asked()
    assert params == {"topic": "t.", "match": "prefix", "after": {}}
    raw.answers(request, subscription=6, recovered=True, positions={"t.a": "e:0"})
    raw.tells("event", topic="t.a", position="e:1", data=1)

    assert taken(loop, subscription) == [1]
    assert list(subscription.recoveries) == [Recovery("t.", True, None, 0)]


def test_a_pattern_of_more_topics_than_are_remembered_says_so(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop, "t.", {"match": "prefix"}, positions={})
    for number in range(TOPICS + 1):
        raw.tells("event", topic=f"t.{number}", position="e:1", data=number)
    raw.vanishes()
    loop.advance(0.5)
    [(_, _, params)] = raw.asked()

    assert len(params["after"]) == TOPICS
    assert params["after"]["*"] == ""
    assert len(taken(loop, subscription)) == TOPICS + 1


def heads(peer: Peer) -> tuple[int, Any]:
    [(request, query)] = [(one[1], one[4][0]) for one in peer.heard() if one[0] == 48 and one[3] == BEHIND]
    return request, query


def test_over_wamp_a_reader_without_an_event_yet_asks_where_the_stream_stands(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect(check_interval=4.0, ping_interval=1e9)
    subscription = subscribed(peer, loop)
    request, query = heads(peer)
    assert query == {"positions": {}, "patterns": [{"topic": "t", "match": "exact"}]}
    peer.says([50, request, {}, [{"t": "e:0"}]])
    peer.vanishes()
    loop.advance(0.5)
    [[_, request, *_]] = peer.heard()
    peer.says([33, request, 8])
    [[_, request, _, _, [query]]] = peer.heard()
    assert query["after"] == "e:0"
    peer.says(page(request, 1, 2), event(3, 8))

    assert taken(loop, subscription) == [1, 2, 3]


def test_over_wamp_a_pattern_finds_what_began_meanwhile(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect(check_interval=4.0, ping_interval=1e9)
    subscription = subscribed(peer, loop, "t.", match="prefix")
    request, query = heads(peer)
    assert query == {"positions": {}, "patterns": [{"topic": "t.", "match": "prefix"}]}
    peer.says([50, request, {}, [{}]])
    peer.vanishes()
    loop.advance(0.5)
    [[_, request, *_]] = peer.heard()
    peer.says([33, request, 8])
    request, _ = heads(peer)
    peer.says([50, request, {}, [{"t.a": "e:2"}]])
    [[_, request, _, _, [query]]] = peer.heard()
    assert (query["topic"], query["after"]) == ("t.a", "e:0")
    peer.says(page(request, 1, 2))

    assert taken(loop, subscription) == [1, 2]


# ---- a stream that begins on a link that stands, and all of whose events are lost -----------------------------------


def pattern(
    raw: RawPeer, loop: HandTurnedLoop, places: dict[str, str], topic: str = "t.", number: int = 5
) -> Subscription[Any]:
    return raw_subscribed(raw, loop, topic, {"match": "prefix"}, subscription=number, positions=places)


@pytest.mark.parametrize("tenths", range(0, 50, 3))
def test_a_stream_whose_first_events_are_lost_is_there_within_five_seconds(
    raw: RawPeer, loop: HandTurnedLoop, tenths: int
) -> None:
    raw.connect(check_interval=4.0, ping_interval=1e9)
    subscription = pattern(raw, loop, {"t.a": "e:3"})
    loop.advance(tenths / 10)
    for request, _ in asks(raw):
        raw.answers(request)
    for _ in range(48):
        loop.advance(0.1)
        for request, method, params in raw.asked():
            if method == BEHIND:
                patterns = [{"topic": "t.", "match": "prefix"}]
                is_all = params == {"positions": {"t.a": "e:3"}, "patterns": patterns}
                raw.answers(request, **({"t.b": "f:2"} if is_all else {}))
            else:
                assert (method, params["topic"], params["after"]) == (READ, "t.b", "f:0")
                events = [{"position": f"f:{n}", "data": n} for n in (1, 2)]
                raw.answers(request, events=events, position="f:2")

    assert taken(loop, subscription) == [1, 2]
    raw.tells("event", topic="t.b", position="f:3", data=3)
    assert taken(loop, subscription) == [3]


def test_a_pattern_is_asked_about_once_in_a_while_and_not_when_it_has_forgotten_topics(
    raw: RawPeer, loop: HandTurnedLoop
) -> None:
    raw.connect(check_interval=4.0, ping_interval=1e9)
    pattern(raw, loop, {})
    count = 0
    for _ in range(20):
        loop.advance(1.0)
        for request, params in asks(raw):
            assert params == {"positions": {}, "patterns": [{"topic": "t.", "match": "prefix"}]}
            raw.answers(request)
            count += 1
    assert 4 <= count <= 7

    for number in range(TOPICS + 1):
        raw.tells("event", topic=f"t.{number}", position="e:1", data=number)
    for _ in range(4):
        loop.advance(2.0)
        for request, params in asks(raw):
            assert "patterns" not in params
            raw.answers(request)


def test_patterns_whose_topics_have_no_room_in_one_question_take_turns(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect(check_interval=4.0, ping_interval=1e9)
    prefixes = ["a.", "b.", "c."]
    for number, prefix in enumerate(prefixes):
        pattern(raw, loop, {f"{prefix}{one}": "e:1" for one in range(600)}, prefix, number)
    turns: list[str] = []
    for _ in range(8):
        loop.advance(2.0)
        for request, params in asks(raw):
            assert len(params["positions"]) <= TOPICS
            turns += [one["topic"] for one in params.get("patterns", [])]
            raw.answers(request)

    assert turns[:6] == prefixes * 2


def test_what_one_subscription_has_read_another_reads_that_has_lost_it(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect(check_interval=4.0, ping_interval=1e9)
    for number, topic in enumerate(("t.", "t"), 5):
        task = loop.create_task(peer.connection.subscribe(topic, match="prefix"))
        [[_, request, *_]] = peer.heard()
        peer.says([33, request, number])
        request, _ = heads(peer)
        peer.says([50, request, {}, [{}]])
        last = task.result()
    peer.says([36, 5, 901, {"x_hopsack_position": "e:1", "topic": "t.a"}, [1]])
    for _ in range(4):
        loop.advance(2.0)
        for _, request, *_, [query] in peer.heard():
            is_read = "topic" in query
            assert not is_read or (query["topic"], query["after"]) == ("t.a", "e:0")
            peer.says(page(request, 1) if is_read else [50, request, {}, [{}]])

    assert taken(loop, last) == [1]


# ---- an end that is one ----------------------------------------------------------------------------------------------


def test_newest_values_of_a_pattern_are_told_from_live_events(raw: RawPeer, loop: HandTurnedLoop) -> None:
    raw.connect()
    subscription = raw_subscribed(raw, loop, "t.", {"match": "prefix"}, positions={}, snapshot=2)
    late = loop.create_task(raw.connection.subscribe("t.", match="prefix"))
    (given, *_), (asked, *_) = raw.asked()
    raw.answers(given)
    raw.answers(asked, subscription=6, recovered=False, positions={}, snapshot=2)
    raw.tells("event", topic="t.live", data="live")
    raw.tells("event", topic="t.a", data="a", retained=True)
    raw.tells("event", topic="t.b", data="b", retained=True)

    assert taken(loop, late.result()) == ["live", "a", "b"]
    assert taken(loop, subscription) == ["live"]
