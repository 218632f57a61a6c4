"""A call whose outcome a lost link left open: sent again where that does no harm, and never otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hopsack import Procedure
from hopsack.errors import OutcomeUnknown, Unavailable, UsageError
from hopsack.testing.loop import HandTurnedLoop

from .conftest import Peer, RawPeer

COUNT: Procedure[None, int] = Procedure("demo.count", None, int, idempotent=True)
PAY: Procedure[int, int] = Procedure("demo.pay", int, int)

SHUTDOWN = [6, {"retry_after": 1.0}, "wamp.close.system_shutdown"]


def test_the_options_of_a_call_reach_the_node(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    loop.create_task(connection.call("a", timeout=1.5, key="k-1", wait=2.0, retry=3, queue=False, breaker=False))
    loop.create_task(connection.call("b", wait=0.0, timeout=0.0004))

    assert peer.heard() == [
        [
            48,
            1,
            {
                "timeout": 1500,
                "x_hopsack_key": "k-1",
                "x_hopsack_wait": 2000,
                "x_hopsack_retry": 3,
                "x_hopsack_queue": False,
                "x_hopsack_breaker": False,
            },
            "a",
        ],
        [48, 2, {"timeout": 1, "x_hopsack_wait": 0}, "b"],
    ]


def test_over_the_raw_door_they_stand_beside_the_request(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    loop.create_task(connection.call("a", {"x": 1}, timeout=1.5, key="k-1", wait=2.0))

    [request] = raw.heard()
    assert request["params"] == {"x": 1}
    assert request["hopsack"] == {"timeout": 1500, "key": "k-1", "wait": 2000}


@pytest.mark.parametrize("key", ["", "k" * 65])
def test_a_key_has_a_length(peer: Peer, loop: HandTurnedLoop, key: str) -> None:
    with pytest.raises(UsageError, match="a key has 1 to 64 characters"):
        loop.run(peer.connect().call("a", key=key))


@pytest.mark.parametrize(("procedure", "options"), [(COUNT, {}), ("demo.pay", {"key": "k-1"}), (PAY, {"key": "k-1"})])
def test_one_that_may_be_repeated_is(peer: Peer, loop: HandTurnedLoop, procedure: Any, options: dict[str, Any]) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(procedure, timeout=2.0, **options))
    [[_, number, first, *_]] = peer.heard()

    peer.vanishes()
    loop.advance(1.0)

    [[_, number, again, *_]] = peer.heard()
    assert (first["timeout"], again["timeout"]) == (2000, 1500)  # it waited for a link meanwhile
    peer.says([50, number, {}, [7]])
    assert call.result() == 7


@pytest.mark.parametrize("procedure", ["demo.count", PAY])
def test_any_other_is_not(peer: Peer, loop: HandTurnedLoop, procedure: Any) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(procedure))
    peer.heard()

    peer.vanishes()
    loop.advance(5.0)

    error = call.exception()
    assert isinstance(error, OutcomeUnknown)
    assert error.data == {"ran": "maybe"}
    assert peer.heard() == []


def test_its_time_bounds_it(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(COUNT, timeout=3.0))
    peer.heard()
    peer.trouble = ConnectionRefusedError("nobody listens")

    peer.vanishes()
    loop.advance(2.9)
    assert not call.done()
    loop.advance(0.1)

    assert isinstance(call.exception(), OutcomeUnknown)


def test_what_the_node_does_not_know_it_has_tried_itself(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(COUNT))
    peer.heard()

    peer.says([8, 48, 1, {}, "hopsack.outcome_unknown", ["the callee left"], {"code": "hopsack.outcome_unknown"}])

    assert isinstance(call.exception(), OutcomeUnknown)
    assert peer.heard() == []


def test_a_node_that_stops_is_waited_for(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(COUNT))
    peer.heard()
    unavailable = {"code": "hopsack.unavailable", "data": {"retry_after": 2.0}}

    peer.says([8, 48, 1, {}, "hopsack.unavailable", ["it stops"], unavailable])
    loop.advance(1.0)
    assert peer.heard() == []
    peer.says(SHUTDOWN)
    loop.advance(2.0)

    assert peer.heard()[0] == [6, {}, "wamp.close.goodbye_and_out"]
    peer.says([50, 1, {}, [7]])
    assert call.result() == 7


def test_one_that_may_not_be_repeated_is_told_at_once(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(PAY))
    peer.heard()

    peer.says(SHUTDOWN)

    assert isinstance(call.exception(), Unavailable)


def test_who_gives_up_while_there_is_no_link_sends_nothing_more(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call(COUNT))
    peer.heard()

    peer.vanishes()
    call.cancel()
    loop.advance(5.0)

    with pytest.raises(asyncio.CancelledError):
        call.result()
    assert peer.heard() == []
