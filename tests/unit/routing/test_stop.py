"""The worker's end with a hand-turned clock: everybody goes, ports close, and what is kept is written."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from hopsack.settings import Settings
from hopsack_router.controller import SoloController
from hopsack_router.drain import FAREWELL, LOOK, NOTICE
from hopsack_router.embed import EmbeddedNode
from hopsack_router.personality import Personality

from .conftest import Realm
from .test_call_ends import invocation
from .test_calls import CALL, RESULT, YIELD, serve
from .test_departure import GOODBYE


class World:
    """A worker whose one realm is in memory and whose one port is only a note."""

    def __init__(self, realm: Realm) -> None:
        assert isinstance(realm.node, EmbeddedNode)
        self.clock: Clock = realm.clock
        self.happened: list[str] = []
        self.controller = SoloController(Settings(drain=5.0), self.clock, Personality)
        self.controller.ready = True
        self.controller.realms = {"realm001": SimpleNamespace(router=realm.node.router)}
        self.controller.transports = {"web": SimpleNamespace(port=80, stop=lambda: self.note("port"))}
        self.ended: list[bool] = []

    def note(self, what: str) -> Deferred[None]:
        self.happened.append(what)
        return succeed(None)

    def stop(self) -> None:
        self.controller.stop().addCallback(self.ended.append)

    def turn(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK)):
            self.clock.advance(LOOK)


@pytest.fixture
def world(realm: Realm) -> World:
    return World(realm)


def test_with_nobody_there_it_is_over_at_once(world: World) -> None:
    world.controller.closers.append(lambda: world.note("journal"))

    world.stop()
    unready = not world.controller.ready
    world.turn(LOOK)

    assert unready
    assert world.happened == ["port", "journal"]
    assert world.ended == [True]


def test_what_is_kept_is_written_one_after_the_other_when_nobody_is_left(world: World, realm: Realm) -> None:
    slow: Deferred[None] = Deferred()
    closers: list[Callable[[], Deferred[Any]]] = [lambda: slow, lambda: world.note("index")]
    world.controller.closers += closers
    reader = realm.join()

    world.stop()
    world.turn(NOTICE - LOOK)
    early = reader.take()
    world.turn(2 * LOOK)
    ((kind, details, reason),) = reader.take()
    still_listening = world.happened == []
    reader.leave()
    world.turn(2 * LOOK)
    before = list(world.happened)
    slow.callback(None)

    assert early == []
    assert (kind, reason) == (GOODBYE, "wamp.close.system_shutdown")
    assert 0.5 <= details["retry_after"] <= 1.0
    assert still_listening
    assert before == ["port"]
    assert world.happened == ["port", "index"]
    assert world.ended == [True]


def test_a_failure_to_keep_something_is_told_and_keeps_nobody_else_from_it(world: World) -> None:
    def fails() -> Deferred[Any]:
        raise OSError("the disk is full")

    closers: list[Callable[[], Deferred[Any]]] = [fails, lambda: world.note("index")]
    world.controller.closers += closers

    world.stop()
    world.turn(LOOK)

    assert world.happened == ["port", "index"]
    assert world.ended == [False]


def test_a_call_in_flight_keeps_it_until_it_ends(world: World, realm: Realm) -> None:
    service, caller = realm.join("service"), realm.join()
    serve(service)
    caller.send(CALL, 1, {}, "lab.double", [1])
    request = invocation(service)

    world.stop()
    world.turn(NOTICE + 3)
    waiting = (service.take(), caller.take())
    service.send_only(YIELD, request, {}, [2])
    world.turn(2 * LOOK)

    assert waiting == ([], [])
    assert [message[0] for message in caller.take()] == [RESULT, GOODBYE]
    assert [message[0] for message in service.take()] == [GOODBYE]
    world.turn(FAREWELL + LOOK)
    assert world.ended == [True]
