"""What every service answers without a line from its author, and how it is told to leave."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from hopsack import Connection, DeclaredError, Service, procedure
from hopsack.errors import Canceled, Denied, NoCallee, RemoteError
from hopsack.keeper import Closed
from hopsack.tally import LONGEST, Tally
from hopsack.testing import Fabric
from hopsack.vitals import UNKNOWN, version_of

from .test_service import SCHEMAS


class DemoRude(DeclaredError):
    CODE = "demo.rude"


class Talker(Service):
    """It greets, after a while.

    And so on.
    """

    version = "1.2.3"

    @procedure("demo.greet")
    async def greet(self, remark: dict[str, Any]) -> str:
        if remark["text"] == "go away":
            raise DemoRude("how rude")
        await asyncio.sleep(0.5)
        return "hello"

    @procedure("demo.{room}.topic")
    def topic(self, room: str) -> str:
        return room


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(SCHEMAS) as fabric:
        fabric.start(Talker())
        yield fabric


@pytest.fixture
def operator(fabric: Fabric) -> Connection:
    return fabric.connect("operator")


def ask(fabric: Fabric, connection: Connection, what: str, *input: Any) -> Any:
    return fabric.run(connection.call(f"hopsack.service.talker.i1.{what}", *input))


WHO = {"name": "talker", "id": "i1", "version": "1.2.3", "metadata": {}}


def test_it_says_who_it_is_and_what_it_serves(fabric: Fabric, operator: Connection) -> None:
    assert ask(fabric, operator, "ping") == {"type": "io.nats.micro.v1.ping_response", **WHO}
    assert ask(fabric, operator, "info") == {
        "type": "io.nats.micro.v1.info_response",
        **WHO,
        "description": "It greets, after a while.",
        "endpoints": [
            {"name": "greet", "subject": "demo.greet", "queue_group": "talker", "metadata": {}},
            {"name": "topic", "subject": "demo..topic", "queue_group": "talker", "metadata": {}},
        ],
    }


def test_it_counts_calls_errors_and_time(fabric: Fabric, operator: Connection) -> None:
    user = fabric.connect("user")
    greetings = [fabric.begin(user.call("demo.greet", {"text": "hi"})) for _ in range(3)]
    fabric.advance(0.5)
    assert all(greeting.done() for greeting in greetings)
    with pytest.raises(DeclaredError):
        fabric.run(user.call("demo.greet", {"text": "go away"}))

    stats = ask(fabric, operator, "stats")

    assert (stats["type"], stats["started"]) == ("io.nats.micro.v1.stats_response", "1970-01-01T00:00:00Z")
    greet, topic = stats["endpoints"]
    assert greet == {
        "name": "greet",
        "subject": "demo.greet",
        "queue_group": "talker",
        "num_requests": 4,
        "num_errors": 1,
        "last_error": "demo.rude: how rude",
        "processing_time": 1_500_000_000,
        "average_processing_time": 375_000_000,
    }
    assert (topic["num_requests"], topic["last_error"], topic["average_processing_time"]) == (0, "", 0)


def test_what_is_kept_of_an_error_is_bounded() -> None:
    tally = Tally()

    tally.failed(RemoteError("x" * 10_000))

    assert len(tally.last_error) == LONGEST


@pytest.mark.parametrize("role", ["guest", "user", "service"])
def test_who_may_ask(fabric: Fabric, role: str) -> None:
    connection = fabric.connect(role)

    if role == "service":
        assert ask(fabric, connection, "ping")["name"] == "talker"
    else:
        for what in ("ping", "info", "stats"):
            with pytest.raises(Denied):
                ask(fabric, connection, what)
    with pytest.raises(Denied):
        ask(fabric, connection, "drain")


def test_it_drains_when_it_is_asked(fabric: Fabric, operator: Connection) -> None:
    user = fabric.connect("user")
    talker = next(iter(fabric._engagements))
    greeting = fabric.begin(user.call("demo.greet", {"text": "hi"}))

    assert ask(fabric, operator, "drain", {"seconds": 3}) == {"name": "talker", "id": "i1", "in_hand": 1, "seconds": 3}
    with pytest.raises(NoCallee):
        fabric.run(user.call("demo.greet", {"text": "hi"}))
    fabric.advance(0.5)

    assert greeting.result() == "hello"
    assert isinstance(talker.connection.state, Closed)


def test_what_takes_too_long_is_cancelled(fabric: Fabric, operator: Connection) -> None:
    greeting = fabric.begin(fabric.connect("user").call("demo.greet", {"text": "hi"}))

    ask(fabric, operator, "drain", {"seconds": 0.2})
    fabric.advance(0.2)

    assert isinstance(greeting.exception(), Canceled)


def test_of_two_instances_the_other_stays(fabric: Fabric, operator: Connection) -> None:
    fabric.start(Talker())

    ask(fabric, operator, "drain")
    fabric.settle()

    [listed] = fabric.run(operator.call("hopsack.services.list"))
    assert (listed["instances"], [one["instance"] for one in listed["answering"]]) == (1, ["i2"])
    assert set(listed["procedures"]) == {"demo.greet", "demo.{room}.topic"}
    assert fabric.run(operator.call("hopsack.service.talker.i2.ping"))["id"] == "i2"


def test_it_answers_under_the_same_name_after_a_reconnect(fabric: Fabric, operator: Connection) -> None:
    fabric.cut(next(iter(fabric._engagements)))
    fabric.advance(5)

    assert ask(fabric, operator, "ping")["id"] == "i1"


def test_a_service_that_may_not_answer_for_itself_serves_all_the_same(
    fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(Service):
        pass

    monkeypatch.setattr(fabric, "_connection", lambda _role, *facts: Fabric._connection(fabric, "user", *facts))

    fabric.start(Plain())


def test_the_version_is_that_of_the_class_its_module_or_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(module: str, **members: str) -> type:
        return type("Made", (Service,), {"__module__": module, **members})

    package, module = types.ModuleType("shop"), types.ModuleType("shop.service")
    monkeypatch.setitem(sys.modules, "shop", package)
    monkeypatch.setitem(sys.modules, "shop.service", module)

    assert version_of(made("shop.service")) == UNKNOWN
    package.__dict__["__version__"] = "2.0.0"
    assert version_of(made("shop.service")) == "2.0.0"
    module.__dict__["__version__"] = "3.0.0"
    assert version_of(made("shop.service")) == "3.0.0"
    assert version_of(made("shop.service", version="4.0.0")) == "4.0.0"
