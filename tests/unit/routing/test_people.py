"""Contracts that name one person of a role."""

from __future__ import annotations

import pytest

from .conftest import Realm
from .test_events import SUBSCRIBE, SUBSCRIBED, details


@pytest.mark.parametrize(
    ("role", "name", "topic", "allowed"),
    [
        ("user", "ann", "lab.users.ann", True),
        ("user", "ann", "lab.users.bob", False),
        ("guest", "ann", "lab.users.ann", False),
        ("guest", "auditor", "lab.users.ann", True),
        ("operator", "me", "lab.users.ann", True),
    ],
)
def test_an_inbox_is_for_the_user_it_names(realm: Realm, role: str, name: str, topic: str, allowed: bool) -> None:
    (answer,) = realm.join(role, name).send(SUBSCRIBE, 1, {}, topic)

    assert (answer[0] == SUBSCRIBED) is allowed
    if not allowed:
        assert details(answer)["code"] == "hopsack.denied"


def test_a_pattern_over_all_inboxes_is_not_for_one_user(realm: Realm) -> None:
    (answer,) = realm.join("user", "ann").send(SUBSCRIBE, 1, {"match": "prefix"}, "lab.users.")

    assert details(answer)["code"] == "hopsack.denied"


def test_an_error_with_a_name_that_is_none_becomes_an_incident(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    service.send(64, 1, {}, "lab.double")
    guest.send(48, 1, {}, "lab.double", [1])
    ((_, request, *_),) = service.take()

    still_there = service.send(8, 68, request, {}, "bad uri#")
    (error,) = guest.take()

    assert still_there == []
    assert details(error)["code"] == "hopsack.internal"
    assert service.send(48, 9, {}, "presence.list")[0][0] == 50
