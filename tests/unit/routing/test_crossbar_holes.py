"""Holes of stock Crossbar, and that they are closed here: each names what stock does, and most show it.

:data:`HOLES` says where each one is tested; those that need a socket are tried on a real node.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from crossbar.router.role import RouterRoleStaticAuth

from .conftest import Realm
from .test_calls import CALL, ERROR, REGISTER, REGISTERED
from .test_events import EVENT, PUBLISH, SUBSCRIBE, SUBSCRIBED, details

HERE = Path(__file__).parents[2]

HOLES = {
    "a match policy that no authorization asks about": "unit/routing/test_crossbar_holes.py::test_a_match_policy",
    "answers kept for a role are given to all its users": "unit/routing/test_authorizers.py::test_each_user_gets",
    "an authenticator gives the role trusted": "unit/routing/test_joining.py::test_no_authenticator_makes",
    "a kill is a mere goodbye": "unit/routing/test_kills.py::test_who_is_killed_gets_goodbye_and_nothing_else",
    "headers and cookies in the meta API": "node/abuse/test_crossbar_holes.py::test_the_meta_api_has_no_headers",
    "meta events for an empty prefix": "unit/routing/test_crossbar_holes.py::test_an_empty_prefix",
    "signed requests can be sent again": "node/abuse/test_crossbar_holes.py::test_a_request_that_is_sent_again",
    "CORS for any origin, with credentials": "node/abuse/test_crossbar_holes.py::test_cors",
    "HTTP 200 for refusals": "node/abuse/test_crossbar_holes.py::test_a_refusal_has_a_status",
    "exception text for strangers": "node/abuse/test_crossbar_holes.py::test_an_exception_is_nobodys_business",
    "users can be enumerated": "node/abuse/test_tokens.py::test_a_user_who_is_not_known_and_a_signature_that_is_wrong",
    "a WebSocket without HELLO stays": "node/abuse/test_slow.py::test_all_of_them_are_ended",
    "no bound on failed logins": "node/test_limits.py::test_guesses_wait_and_a_good_token_does_not",
    "a manhole with a key of its own": "unit/routing/test_refusals.py::test_the_manhole",
    "proxy methods that prove nothing": "unit/routing/test_refusals.py::test_authentication_that_proves_nothing",
    "a URI that is none ends the connection": "unit/routing/test_invalid_uris.py::test_it_is_answered",
    "nesting ends the process": "node/doors/test_nesting.py::test_wamp_over_websocket",
}


@pytest.mark.parametrize("hole", HOLES)
def test_each_has_its_test(hole: str) -> None:
    path, _, name = HOLES[hole].partition("::")

    assert re.search(rf"^(async )?def {name}", (HERE / path).read_text(), re.MULTILINE)


def only(realm: Realm, uri: str, action: str) -> None:
    """In stock Crossbar: guests may do this with exactly this URI, and nothing else."""
    allow = {one: one == action for one in ("call", "register", "publish", "subscribe")}
    disclose = {"caller": False, "publisher": False}
    rule = {"uri": uri, "match": "exact", "allow": allow, "disclose": disclose, "cache": True}
    realm.node.router.add_role(RouterRoleStaticAuth(realm.node.router, "guest", permissions=[rule]))


def test_a_match_policy_of_stock(stock: Realm) -> None:
    """Who may subscribe to exactly ``lab`` reads all of ``lab…``; who may register it takes all calls below it."""
    only(stock, "lab", "subscribe")
    eve, service = stock.join(authid="eve"), stock.join("service", "sam")

    (got,) = eve.send(SUBSCRIBE, 1, {"match": "prefix"}, "lab")
    service.send(PUBLISH, 1, {}, "lab.secret", ["for services"])

    assert got[0] == SUBSCRIBED
    assert [one[4] for one in eve.take()] == [["for services"]]
    only(stock, "lab", "register")
    (hijacked,) = stock.join(authid="mallory").send(REGISTER, 1, {"match": "prefix"}, "lab")
    assert hijacked[0] == REGISTERED


@pytest.mark.parametrize(
    ("match", "uri"), [("prefix", "lab."), ("prefix", "lab.s"), ("wildcard", "lab.."), ("prefix", "")]
)
def test_a_match_policy(realm: Realm, match: str, uri: str) -> None:
    guest, service = realm.join(authid="eve"), realm.join("service", "sam")

    (exact,) = guest.send(SUBSCRIBE, 1, {}, "lab.reading")
    (pattern,) = guest.send(SUBSCRIBE, 2, {"match": match}, uri if match == "prefix" else "lab.")
    (taken,) = guest.send(REGISTER, 3, {"match": match}, uri if match == "prefix" else "lab.")
    service.send(PUBLISH, 1, {}, "lab.secret", ["for services"])

    assert exact[0] == SUBSCRIBED
    assert [details(one)["code"] for one in (pattern, taken)] == ["hopsack.denied"] * 2
    assert guest.take() == []


def test_an_empty_prefix_of_stock(stock: Realm) -> None:
    watcher = stock.join(authid="eve")
    watcher.send(SUBSCRIBE, 1, {"match": "prefix"}, "")

    stock.join(authid="ann")

    assert "wamp.session.on_join" in {one[3].get("topic") for one in watcher.take() if one[0] == EVENT}


@pytest.mark.parametrize("uri", ["", "wamp.", "w", "wamp.session."])
def test_an_empty_prefix(realm: Realm, open_realm: Realm, uri: str) -> None:
    """Where contracts leave everything open, that is of the application's topics; what is the node's own stays so."""
    for place in (realm, open_realm):
        watcher = place.join("user", "eve")
        got = watcher.send(SUBSCRIBE, 1, {"match": "prefix"}, uri)
        place.join(authid="ann")

        assert {one[3].get("topic") for one in (*got, *watcher.take()) if one[0] == EVENT} <= {"presence.joined"}


@pytest.mark.parametrize("procedure", ["wamp.session.list", "wamp.session.kill", "wamp.registration.list"])
@pytest.mark.parametrize("role", ["guest", "user"])
def test_the_meta_api_is_not_for_everybody(realm: Realm, open_realm: Realm, role: str, procedure: str) -> None:
    for place in (realm, open_realm):
        answer: Any = place.join(role, "eve").send(CALL, 1, {}, procedure, [1])

        assert (answer[0][0], answer[0][4]) == (ERROR, "wamp.error.not_authorized")
