"""Who asks whether it is behind, while the node still has events for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError

from hopsack_router.reading_back import ReadingBack
from hopsack_router.routing.backlog import OVERHEAD

from .kept import Page, World


@pytest.fixture
def world() -> World:
    return World()


def behind(world: World, page: Page, **positions: str) -> Any:
    assert page.link._session is not None
    details: Any = SimpleNamespace(caller=page.link._session._session_id)
    named = {topic.replace("_", "."): position for topic, position in positions.items()}
    return ReadingBack(world.node.router).behind({"positions": named}, details)


def test_a_reader_that_is_slow_is_not_told_what_it_will_be_given_anyway(world: World) -> None:
    service, page = world.reader(role="service"), world.reader()
    page.subscribe("lab.log")
    page.take()
    page.link.budget, page.link.buffer = 8 * OVERHEAD, 100
    page.link.pauseProducing()
    for number in range(1, 41):
        service.publish("lab.log", number)
    world.settle()

    with pytest.raises(ApplicationError) as refused:
        behind(world, page, lab_log="e:0")

    assert refused.value.kwargs["code"] == "hopsack.overloaded"
    assert list(behind(world, service, lab_log="e:0")) == ["lab.log"]
