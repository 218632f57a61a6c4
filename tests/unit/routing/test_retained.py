"""Retained events reach late subscribers, and only those they were meant for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from autobahn.wamp import message

from hopsack_router.doors.raw import FORMAT as RAW
from hopsack_router.doors.sse import PLAIN as SSE
from hopsack_router.doors.wamp import WampFormat
from hopsack_router.embed import EmbeddedLink
from hopsack_router.routing import retained
from hopsack_router.routing.fanout import Format
from hopsack_router.routing.retained import Kept, Retained

from .conftest import Client, Realm
from .test_events import EVENT, PUBLISH, PUBLISHED, READING, SUBSCRIBE, SUBSCRIBED, details


def ask(client: Client, topic: str, match: str = "exact") -> list[tuple[str | None, Any]]:
    """Subscribe, and take the retained events: topics and payloads."""
    answers = client.send(SUBSCRIBE, 1, {"get_retained": True, "match": match}, topic)
    assert [one[0] for one in answers] == [SUBSCRIBED] + [EVENT] * (len(answers) - 1), answers
    assert all(event[3]["retained"] is True for event in answers[1:])
    return [(event[3].get("topic"), event[4][0]) for event in answers[1:]]


def keep(client: Client, payload: Any, topic: str = "lab.reading", **options: Any) -> None:
    (published,) = client.send(PUBLISH, 1, {"acknowledge": True, "retain": True} | options, topic, [payload])
    assert published[0] == PUBLISHED, published


def test_a_late_subscriber_gets_the_newest_if_it_asks(open_realm: Realm) -> None:
    ann, bob = open_realm.join(), open_realm.join(authid="bob")
    keep(ann, "old")
    keep(ann, "new")

    ((subscribed, *_),) = bob.send(SUBSCRIBE, 1, {}, "lab.reading")

    assert subscribed == SUBSCRIBED
    assert ask(open_realm.join(authid="cid"), "lab.reading") == [(None, "new")]


LISTS = [
    ("eligible", True, {"bob"}),
    ("exclude", True, {"cid", "dan"}),
    ("eligible_authid", False, {"bob"}),
    ("exclude_authid", False, {"cid", "dan"}),
    ("eligible_authrole", False, {"dan"}),
    ("exclude_authrole", False, {"bob", "cid"}),
]


def late(realm: Realm, option: str, by_session: bool) -> dict[str, list[Any] | None]:
    readers = {"bob": realm.join(authid="bob"), "cid": realm.join(authid="cid"), "dan": realm.join("service", "dan")}
    listed = readers["bob"].session if by_session else "service" if option.endswith("role") else "bob"
    addressed: dict[str, Any] = {option: [listed]}
    keep(realm.join("service", "sam"), "for some", **addressed)
    answers = {}
    for name, reader in readers.items():
        answered = reader.send(SUBSCRIBE, 1, {"get_retained": True}, "lab.reading")
        answers[name] = [one[0] for one in answered] or None
    return answers


@pytest.mark.parametrize(("option", "by_session", "shown"), LISTS)
def test_black_and_white_lists_hold_for_late_subscribers(
    open_realm: Realm, option: str, by_session: bool, shown: set[str]
) -> None:
    answers = late(open_realm, option, by_session)

    assert answers == {name: [SUBSCRIBED, EVENT] if name in shown else [SUBSCRIBED] for name in ("bob", "cid", "dan")}


@pytest.mark.parametrize(
    ("option", "by_session", "answer"),
    [
        ("eligible", True, None),
        ("exclude", True, None),
        ("exclude_authid", False, [SUBSCRIBED, EVENT]),
        ("exclude_authrole", False, [SUBSCRIBED, EVENT]),
    ],
)
def test_stock_does_not_answer_or_shows_it_to_whom_it_should_not(
    stock: Realm, option: str, by_session: bool, answer: list[int] | None
) -> None:
    answers = late(stock, option, by_session)

    listed = "dan" if option.endswith("role") else "bob"
    assert answers[listed] == answer


def test_who_may_not_see_the_newest_sees_the_newest_it_may(open_realm: Realm) -> None:
    sam, bob = open_realm.join("service", "sam"), open_realm.join(authid="bob")
    keep(sam, "for all")
    keep(sam, "for cid", eligible_authid=["cid"])

    assert ask(bob, "lab.reading") == [(None, "for all")]
    assert ask(open_realm.join(authid="cid"), "lab.reading") == [(None, "for cid")]


def test_an_event_for_all_replaces_what_was_for_some(open_realm: Realm) -> None:
    sam = open_realm.join("service", "sam")
    keep(sam, "for cid", eligible_authid=["cid"])
    keep(sam, "for all")

    assert ask(open_realm.join(authid="cid"), "lab.reading") == [(None, "for all")]


def test_an_empty_white_list_is_for_nobody(open_realm: Realm, stock: Realm) -> None:
    """Stock Crossbar takes it for no list at all, and shows everybody what was meant for nobody."""
    live = {}
    for name, realm in (("ours", open_realm), ("stock", stock)):
        reader, sam = realm.join(), realm.join("service", "sam")
        reader.send(SUBSCRIBE, 1, {}, "lab.reading")
        sam.send(PUBLISH, 1, {"eligible": []}, "lab.reading", ["?"])
        live[name] = len(reader.take())
    keep(open_realm.join("service", "tom"), "?", eligible=[])

    assert live == {"ours": 0, "stock": 1}
    assert ask(open_realm.join(authid="bob"), "lab.reading") == []


def test_pattern_subscribers_get_every_matching_topic_s_event(open_realm: Realm, stock: Realm) -> None:
    """Stock Crossbar gives pattern subscribers none."""
    shown = {}
    for name, realm in (("ours", open_realm), ("stock", stock)):
        sam = realm.join("service", "sam")
        for topic in ("lab.a.x", "lab.b.y", "other.a.x", "lab.a.x"):
            keep(sam, topic, topic)
        shown[name] = [ask(realm.join(authid="p"), "lab.", "prefix"), ask(realm.join(authid="w"), ".a.x", "wildcard")]

    both = [("lab.b.y", "lab.b.y"), ("lab.a.x", "lab.a.x")]
    assert shown["ours"] == [both, [("other.a.x", "other.a.x"), ("lab.a.x", "lab.a.x")]]
    assert shown["stock"] == [[], []]


def test_who_may_not_subscribe_is_shown_nothing(realm: Realm) -> None:
    service, guest = realm.join("service", "sam"), realm.join()
    keep(service, "the secret", "lab.secret")
    keep(service, READING)

    (exact,) = guest.send(SUBSCRIBE, 1, {"get_retained": True}, "lab.secret")
    (prefix,) = guest.send(SUBSCRIBE, 2, {"get_retained": True, "match": "prefix"}, "lab.")

    assert [details(error)["code"] for error in (exact, prefix)] == ["hopsack.denied"] * 2
    assert ask(guest, "lab.reading") == [(None, READING)]


def test_a_broken_payload_is_not_kept(realm: Realm) -> None:
    service = realm.join("service", "sam")

    service.send(PUBLISH, 1, {"retain": True}, "lab.reading", [{"celsius": "warm"}])

    assert ask(realm.join(), "lab.reading") == []


class Reader(EmbeddedLink):
    """A link of a door whose bytes are the same for every subscription."""

    def __init__(self, realm: Realm, fmt: Format) -> None:
        self.frames: list[bytes] = []
        super().__init__(realm.node, self.frames.append, "guest", "reader", 1 << 24)  # type: ignore[arg-type]
        self.receive(msgspec.msgpack.encode([1, "hopsack", {"roles": {"subscriber": {}}}]))
        realm.turn()
        self.frames.clear()
        self.format = fmt  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("fmt", "frame"),
    [
        (RAW, b'{"jsonrpc":"2.0","method":"event","params":{"topic":"lab.reading","data":21,"retained":true}}'),
        (SSE, b"data: 21\n\n"),
    ],
)
def test_readers_of_other_doors_get_their_own_framing_each_time_they_ask(
    open_realm: Realm, fmt: Format, frame: bytes
) -> None:
    keep(open_realm.join("service", "sam"), 21)
    reader = Reader(open_realm, fmt)
    assert reader._session is not None

    for number in (1, 2):
        reader._session.onMessage(message.Subscribe(number, "lab.reading", get_retained=True))
        open_realm.turn()

    assert b"".join(reader.frames).count(frame) == 2


def test_opaque_payloads_are_kept_as_they_are(open_realm: Realm) -> None:
    sam = open_realm.join("service", "sam")
    sam.send(PUBLISH, 1, {"retain": True, "enc_algo": "cryptobox", "enc_serializer": "json"}, "lab.box", b"\x00\xff")

    _, event = open_realm.join().send(SUBSCRIBE, 1, {"get_retained": True}, "lab.box")

    assert event[3:] == [{"retained": True, "enc_algo": "cryptobox", "enc_serializer": "json"}, b"\x00\xff"]


def test_what_is_kept_is_bounded() -> None:
    def event(topic: str, size: int, **options: Any) -> Kept:
        return Kept(message.Publish(1, topic, **options), size, size)

    kept = Retained(max_bytes=1000)
    for n in range(retained.MAX_ADDRESSED + 50):
        kept.keep(event("addressed", 1, eligible=[n]))
    kept.keep(event("old", 600))
    kept.keep(event("new", 400))

    class Who:
        _session_id, _authid, _authrole = 49, "ann", "guest"

    assert list(kept.shown_to(Who, "addressed", "exact")) == []
    assert [one.content for one in kept.shown_to(Who, "", "prefix")] == [600, 400]
    kept.keep(event("newest", 500))
    assert [one.content for one in kept.shown_to(Who, "", "prefix")] == [400, 500]
    kept.keep(event("newest", 1001))
    assert [one.content for one in kept.shown_to(Who, "", "prefix")] == []


def test_wamp_formats_mark_retained_events_in_every_serializer(open_realm: Realm) -> None:
    for serializer in ("json", "cbor", "msgpack"):
        keep(open_realm.join("service", "sam"), 21)
        reader = Reader(open_realm, _unframed(serializer))
        assert reader._session is not None

        reader._session.onMessage(message.Subscribe(1, "lab.reading", get_retained=True))
        open_realm.turn()

        fmt: Any = reader.format
        (decoded,) = fmt.serializer._serializer.unserialize(reader.frames[-1])
        assert decoded[3] == {"retained": True}
        assert decoded[4] == [21]


def _unframed(serializer: str) -> WampFormat:
    from hopsack_router.doors.wamp import _unframed as unframed
    from hopsack_router.doors.wamp import wamp_format

    return wamp_format(serializer, unframed)


@pytest.mark.parametrize(
    ("topic", "options", "most"),
    [
        ("lab.{n}", {}, 97),
        ("lab.{n}." + "x" * 900, {}, 52),
        ("lab.{n}", {"exclude_authid": ["x" * 10_000]}, 9),
        ("lab.{n}", {"exclude": list(range(1 << 40, (1 << 40) + 1000))}, 2),
    ],
    ids=["nothing", "topics", "names", "numbers"],
)
def test_what_comes_without_a_payload_counts_too(
    open_realm: Realm, topic: str, options: dict[str, Any], most: int
) -> None:
    broker: Any = open_realm.node.router._broker
    broker._retained = Retained(max_bytes=100_000)
    sam = open_realm.join("service", "sam")
    for n in range(200):
        sam.send(PUBLISH, n + 1, {"retain": True} | options, topic.format(n=n))

    _, *events = open_realm.join().send(SUBSCRIBE, 1, {"get_retained": True, "match": "prefix"}, "lab.")

    assert 0 < len(events) <= most


def test_a_payload_is_kept_in_the_bytes_that_are_counted(realm: Realm) -> None:
    """Decoded it may take sixty times as many; contracts have it decoded, and so has a reader with another codec."""
    keep(realm.join("service", "sam"), READING)
    reader = Reader(realm, RAW)
    assert reader._session is not None

    reader._session.onMessage(message.Subscribe(1, "lab.reading", get_retained=True))
    realm.turn()

    broker: Any = realm.node.router._broker
    ((kept,),) = broker._retained._topics.values()
    assert b"21.5" in b"".join(reader.frames)
    assert kept.publish.args is None
    assert kept.content.carried._values is None
    assert kept.content.carried._encoded is None


def test_a_number_that_only_cbor_has_is_not_kept_and_its_publisher_is_told(open_realm: Realm) -> None:
    ann = open_realm.join()
    session: Any = open_realm.node.router._session_id_to_session[ann.session]

    session.onMessage(message.Publish(1, "lab.reading", args=[1 << 70], acknowledge=True, retain=True))

    ((kind, _, _, rest, *_, error),) = ann.take()
    assert kind == 8, rest
    assert error["code"] == "hopsack.invalid"
    assert ask(open_realm.join(authid="bob"), "lab.reading") == []
