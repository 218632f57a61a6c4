"""Every call has a deadline, its callee is told what is left of it, and a lost callee ends its calls at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred

from hopsack.contracts import load
from hopsack_router.embed import EmbeddedNode

from .conftest import Client, Realm
from .test_call_ends import INTERRUPT, invocation
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, YIELD, serve
from .test_events import details


def asked(callee: Client) -> dict[str, Any]:
    """What a callee was told of its only invocation."""
    ((kind, _, _, told, *_),) = callee.take()
    assert kind == INVOCATION
    return dict(told)


@pytest.mark.parametrize(
    ("procedure", "given", "told"),
    [
        ("lab.double", {}, 10_000),
        ("lab.double", {"timeout": 0}, 10_000),
        ("lab.double", {"timeout": 1500}, 1500),
        ("lab.double", {"timeout": 60_000}, 60_000),
        ("lab.double", {"timeout": 1 << 50}, 24 * 3600 * 1000),
        ("lab.slow", {}, 500),
        ("lab.slow", {"timeout": 200}, 200),
        ("lab.slow", {"timeout": 60_000}, 500),
    ],
)
@pytest.mark.parametrize("callee", [{"callee": {}}, {"callee": {"features": {"call_timeout": True}}}])
def test_every_callee_is_told_how_many_milliseconds_its_call_has(
    realm: Realm, procedure: str, given: dict[str, Any], told: int, callee: dict[str, Any]
) -> None:
    service, guest = realm.join("service", roles=callee), realm.join()
    serve(service, procedure)

    guest.send(CALL, 1, given, procedure, [1])

    assert asked(service)["timeout"] == told


def test_the_node_says_that_it_knows_timeouts(realm: Realm) -> None:
    """WAMP advanced profile, call timeouts: the dealer is the one who counts."""
    assert realm.join().details["roles"]["dealer"]["features"]["call_timeout"] is True


@pytest.mark.parametrize("given", [{}, {"timeout": 0}])
def test_a_call_without_a_timeout_has_ten_seconds(realm: Realm, given: dict[str, Any]) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, given, "lab.double", [1])
    request = invocation(service)

    realm.clock.advance(9.999)
    early = guest.take()
    realm.clock.advance(0.001)
    (error,) = guest.take()

    assert early == []
    assert details(error)["code"] == "hopsack.deadline"
    assert details(error)["data"] == {"ran": "maybe"}
    assert [one[:2] for one in service.take()] == [[INTERRUPT, request]]


class Component(ApplicationSession):  # type: ignore[misc]
    """Serves something that takes for ever, as a component of the node; and calls it."""

    def onJoin(self, details: Any) -> None:
        self.register(self.never, "lab.double")
        self.asked: list[Deferred[None]] = []
        self.failed: list[Any] = []

    def never(self, _: Any) -> Deferred[None]:
        self.asked.append(Deferred(lambda deferred: None))
        return self.asked[-1]


@pytest.fixture
def component(realm: Realm) -> Component:
    assert isinstance(realm.node, EmbeddedNode)
    component = Component(ComponentConfig("hopsack"))
    realm.node._sessions.add(component, realm.node.router, authid="part", authrole="trusted")
    realm.turn()
    return component


def test_a_component_of_the_node_is_stopped_at_the_deadline(realm: Realm, component: Component) -> None:
    guest = realm.join()
    guest.send(CALL, 1, {}, "lab.double", [1])

    realm.clock.advance(10)
    (error,) = guest.take()

    assert details(error)["code"] == "hopsack.deadline"
    (work,) = component.asked
    assert work.called, "it was cancelled"


def test_a_call_of_a_component_of_the_node_has_a_deadline_too(realm: Realm, component: Component) -> None:
    component.call("lab.double", 1).addErrback(component.failed.append)

    realm.clock.advance(10)

    (failure,) = component.failed
    assert failure.value.error == "wamp.error.timeout"


def test_a_procedure_of_the_nodes_own_has_a_deadline(tmp_path: Path) -> None:
    realm = Realm.ours(load(tmp_path))
    assert isinstance(realm.node, EmbeddedNode)
    dealer = realm.node.router._dealer
    before = dealer._now()
    traffic = dealer.traffic_of("hopsack.procedures.list")

    realm.join("service").send(CALL, 1, {}, "hopsack.procedures.list")

    assert traffic.milliseconds(None) == 2000
    assert traffic.calls == 1
    assert dealer._now() == before


# ---- who is lost ----------------------------------------------------------------------------------------------------


def test_a_callee_that_is_lost_ends_its_calls_at_once_and_they_may_have_run(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [1])
    invocation(service)

    service.leave()

    (error,) = guest.take()
    assert error[4] == "wamp.error.canceled"
    assert details(error)["code"] == "hopsack.outcome_unknown"
    assert details(error)["data"] == {"ran": "maybe"}
    assert details(error)["retry"] == "never"


def test_a_callee_whose_link_is_gone_already_was_never_asked(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    service._link.stopProducing()  # the realm has not noticed yet

    (error,) = guest.send(CALL, 1, {}, "lab.double", [1])

    assert details(error)["code"] == "hopsack.outcome_unknown"
    assert details(error)["data"] == {"ran": "no"}


def test_who_was_never_asked_leaves_the_call_to_another(realm: Realm) -> None:
    gone, there = realm.join("service", "gone"), realm.join("service", "there")
    for service in (gone, there):
        service.send(REGISTER, 1, {"invoke": "first"}, "lab.double")
    gone._link.stopProducing()
    guest = realm.join()

    guest.send(CALL, 1, {}, "lab.double", [1])
    there.send(YIELD, invocation(there), {}, [2])

    assert guest.take()[0][3] == [2]


def test_a_caller_that_is_lost_stops_its_callee(realm: Realm) -> None:
    service, guest = realm.join("service"), realm.join()
    serve(service)
    guest.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    guest.leave()

    assert [one[:2] for one in service.take()] == [[INTERRUPT, request]]
    assert service.send(ERROR, INVOCATION, request, {}, "wamp.error.canceled") == []
