"""What an authorizer says of one user is not given to another; nor is what a contract says."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed

from .conftest import Realm
from .test_calls import CALL, REGISTER, REGISTERED
from .test_events import ERROR, EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED

REQUESTS = [
    (PUBLISH, PUBLISHED, {"acknowledge": True}, "lab.note"),
    (SUBSCRIBE, SUBSCRIBED, {}, "lab.note"),
    (REGISTER, REGISTERED, {}, "lab.double"),
]


class OnlyAlice:
    """A role whose authorizer knows its users apart, and says that its answers may be kept."""

    uri = "guest"
    note: Any = None

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> Any:
        allow = session._authid == "alice"
        return succeed({"allow": allow, "cache": True, "disclose": False, "note": self.note})


def answers(realm: Realm, request: tuple[Any, ...], *names: str) -> list[int]:
    """What each user in turn is answered."""
    realm.node.router.add_role(OnlyAlice())
    kind, _, options, uri = request
    clients = {name: realm.join(authid=name) for name in names}
    return [clients[name].send(kind, number, options, uri)[0][0] for number, name in enumerate(names, 1)]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one[3])
@pytest.mark.parametrize("names", [("alice", "bob", "alice"), ("bob", "alice", "bob")])
def test_each_user_gets_the_answer_about_that_user(request_: tuple[Any, ...], names: tuple[str, ...]) -> None:
    realm = Realm.ours(catalogue=None)

    got = answers(realm, request_, *names)

    assert got[:2] == [request_[1] if name == "alice" else ERROR for name in names[:2]]
    assert (got[2] == ERROR) is (names[2] == "bob") or request_[0] == REGISTER  # alice has registered it


@pytest.mark.parametrize(("names", "got"), [(("alice", "bob"), [PUBLISHED] * 2), (("bob", "alice"), [ERROR] * 2)])
def test_stock_gives_everybody_the_first_one_s(stock: Realm, names: tuple[str, ...], got: list[int]) -> None:
    assert answers(stock, REQUESTS[0], *names) == got


def test_a_call_is_decided_for_its_caller() -> None:
    realm = Realm.ours(catalogue=None)
    realm.node.router.add_role(OnlyAlice())
    alice, bob = realm.join(authid="alice"), realm.join(authid="bob")
    alice.send(REGISTER, 1, {}, "lab.double")

    bob.send(CALL, 1, {}, "lab.double")
    invoked = alice.take()
    ((kind, _, _, _, uri, *_),) = bob.send(CALL, 2, {}, "lab.double")

    assert invoked == []
    assert (kind, uri) == (ERROR, "wamp.error.not_authorized")


class Unspeakable:
    """Something that must not be looked at in order to be logged."""

    def __repr__(self) -> str:
        raise AssertionError("somebody wrote this down")


def test_nothing_is_formatted_that_nobody_logs() -> None:
    realm, role = Realm.ours(catalogue=None), OnlyAlice()
    realm.node.router.add_role(role)
    role.note = Unspeakable()
    alice = realm.join(authid="alice")

    kinds = [alice.send(PUBLISH, n, {"acknowledge": True}, "lab.note")[0][0] for n in (1, 2)]

    assert kinds == [PUBLISHED] * 2


def test_a_role_that_is_gone_may_nothing() -> None:
    realm = Realm.ours(catalogue=None)
    realm.node.router.add_role(OnlyAlice())
    alice = realm.join(authid="alice")
    realm.node.router.drop_role(OnlyAlice())

    assert alice.send(SUBSCRIBE, 1, {}, "lab.note")[0][0] == ERROR


def test_contracts_never_mix_what_two_users_may(realm: Realm) -> None:
    users = {name: realm.join("user", name) for name in ("ann", "bob")}

    for number in range(1, 6):
        for mine, client in users.items():
            for name in users:
                (answer,) = client.send(SUBSCRIBE, number, {}, f"lab.users.{name}")
                assert (answer[0] == SUBSCRIBED) is (name == mine), (mine, name)
    service = realm.join("service", "sam")
    service.send(PUBLISH, 1, {}, "lab.users.ann", ["for ann"])

    assert [event[4] for event in users["ann"].take() if event[0] == EVENT] == [["for ann"]]
    assert users["bob"].take() == []


def test_a_name_that_looks_like_a_placeholder_is_nobody_special(realm: Realm) -> None:
    (answer,) = realm.join("user", "{sub}").send(SUBSCRIBE, 1, {}, "lab.users.ann")

    assert answer[0] == ERROR
