"""Who is connected, as readers of the realm see it."""

from __future__ import annotations

from hopsack_router.presence import SETTLE

from .conftest import Realm
from .test_calls import CALL, result


def test_joins_and_leaves_are_told_and_the_count_settles(realm: Realm) -> None:
    watcher = realm.join(authid="watcher")
    for topic in ("presence.joined", "presence.left", "presence.count"):
        watcher.send(32, 1, {}, topic)
    realm.clock.advance(SETTLE)
    watcher.take()

    ann = realm.join(authid="ann")
    bob = realm.join("service", "bob")
    told_at_once = [message[4][0]["authid"] for message in watcher.take()]
    realm.clock.advance(SETTLE)
    settled = [message[4][0] for message in watcher.take()]
    ann.leave()
    bob.leave()
    left = [message[4][0]["authid"] for message in watcher.take()]
    realm.clock.advance(SETTLE)

    assert told_at_once == ["ann", "bob"]
    assert settled == [{"count": 3, "roles": {"guest": 2, "service": 1}}]
    assert left == ["ann", "bob"]
    assert [message[4][0] for message in watcher.take()] == [{"count": 1, "roles": {"guest": 1}}]


def test_the_list_names_everybody_in_the_order_they_joined(realm: Realm) -> None:
    first, second = realm.join(authid="first"), realm.join("service", "second")

    listed = result(first.send(CALL, 1, {}, "presence.list"))

    assert (listed["count"], listed["roles"]) == (2, {"guest": 1, "service": 1})
    assert [(one["session"], one["authid"]) for one in listed["members"]] == [
        (first.session, "first"),
        (second.session, "second"),
    ]
