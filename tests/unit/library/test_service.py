"""A service on the fabric in memory: the node's own routing, a hand-turned clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from hopsack import Caller, DeclaredError, Event, Procedure, Service, Topic, every, procedure, subscribe
from hopsack.errors import Denied, Internal, Invalid, NoCallee, RemoteError, Undeclared, UsageError
from hopsack.keeper import Waiting
from hopsack.service import Engagement
from hopsack.testing import Fabric, Stuck

SCHEMAS = Path(__file__).parent / "schemas"


class Remark(msgspec.Struct):
    text: str
    loudness: int = 0


class DemoRude(DeclaredError):
    CODE = "demo.rude"


class DemoShy(DeclaredError):
    """No contract declares it."""

    CODE = "demo.shy"


GREET: Procedure[Remark, str] = Procedure("demo.greet", Remark, str, (DemoRude,))
SAID: Topic[Remark] = Topic("demo.{room}.said", Remark)


class Demo(Service):
    def __init__(self) -> None:
        self.life: list[str] = []
        self.heard: list[Any] = []
        self.failing = False
        self.gate: Deferred[None] = Deferred()

    async def start(self) -> None:
        self.life.append("start")

    async def joined(self) -> None:
        self.life.append("joined")

    async def stop(self) -> None:
        self.life.append("stop")

    @procedure(GREET)
    async def greet(self, remark: Remark, caller: Caller) -> str:
        match remark.text:
            case "go away":
                raise DemoRude("how rude")
            case "break":
                raise RuntimeError("the password is hunter2")
            case "hide":
                raise DemoShy("the password is hunter2")
            case "wait":
                await self.gate
        await asyncio.sleep(0)
        return f"{remark.text}, {caller.role} {caller.authid}"

    @procedure("demo.sum")
    def add(self, numbers: list[float]) -> float:
        return sum(numbers)

    @procedure("demo.{room}.topic")
    @inlineCallbacks
    def topic(self, room: str) -> Generator[Deferred[str], str, str]:
        subject = yield succeed("the weather")
        return f"{room}: {subject}"

    @subscribe("demo.{room}.said")
    async def on_said(self, remark: Remark, room: str, event: Event) -> None:
        if remark.text == "break":
            raise RuntimeError("a subscriber may fail")
        self.heard.append((room, remark.text, event.topic))

    @every(2.0)
    async def beat(self) -> None:
        if self.failing:
            raise RuntimeError("a beat may fail")
        await self.publish("demo.beat", int(asyncio.get_running_loop().time()))


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Fabric(SCHEMAS) as fabric:
        yield fabric


def test_typed_procedures_of_three_kinds(fabric: Fabric) -> None:
    fabric.start(Demo())
    user = fabric.connect(role="user", authid="ann")

    assert fabric.run(user.call(GREET, Remark("hello"))) == "hello, user ann"
    assert fabric.run(user.call("demo.sum", [1, 2, 3.5])) == 6.5
    assert fabric.run(user.call("demo.{room}.topic", room="kitchen")) == "kitchen: the weather"


def test_handlers_may_wait_for_deferreds(fabric: Fabric) -> None:
    demo = fabric.start(Demo())
    user = fabric.connect(role="user", authid="ann")
    call = fabric.begin(user.call(GREET, Remark("wait")))
    assert not call.done()

    demo.gate.callback(None)
    fabric.settle()

    assert call.result() == "wait, user ann"


def test_an_error_that_a_typed_procedure_does_not_declare_is_an_incident(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    fabric.start(Demo())
    user = fabric.connect(role="user")

    with pytest.raises(Internal) as internal:
        fabric.run(user.call(GREET, Remark("hide")))

    incident = internal.value.data["incident"]
    assert "hunter2" not in str(internal.value) + str(internal.value.details())
    [record] = [record for record in caplog.records if incident in record.getMessage()]
    assert "raised demo.shy, which its contract does not declare" in record.getMessage()
    assert record.exc_info is not None


def test_a_procedure_served_by_its_uri_logs_the_traceback_of_its_errors(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    async def greet(remark: Remark) -> str:
        raise DemoRude("how rude")

    caplog.set_level(logging.DEBUG, "hopsack")
    service, user = fabric.connect(role="service"), fabric.connect(role="user")
    fabric.run(service.register("demo.greet", greet))

    with pytest.raises(DeclaredError, match=r"demo\.rude: how rude"):
        fabric.run(user.call("demo.greet", Remark("hello")))

    [record] = [record for record in caplog.records if record.getMessage() == "demo.greet answers with demo.rude"]
    assert record.levelno == logging.DEBUG
    assert record.exc_info is not None


def test_how_calls_fail(fabric: Fabric, caplog: pytest.LogCaptureFixture) -> None:
    fabric.start(Demo())
    user = fabric.connect(role="user")

    with pytest.raises(DeclaredError, match=r"demo\.rude: how rude"):
        fabric.run(user.call(GREET, Remark("go away")))
    with pytest.raises(Invalid) as invalid:
        fabric.run(user.call("demo.greet", {"text": 1}))
    assert invalid.value.path == "/text"
    with pytest.raises(Undeclared, match=r"did you mean demo\.greet"):
        fabric.run(user.call("demo.gret", {"text": "x"}))
    with pytest.raises(Internal) as internal:
        fabric.run(user.call(GREET, Remark("break")))
    incident = internal.value.data["incident"]
    assert "hunter2" not in str(internal.value) + str(internal.value.details())
    [record] = [record for record in caplog.records if incident in record.getMessage()]
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


def test_a_result_that_breaks_the_contract_reaches_nobody_and_is_logged(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Service):
        @procedure("demo.greet")
        async def greet(self, remark: Remark) -> int:
            return 7

    fabric.start(Broken())

    with pytest.raises(RemoteError) as caught:
        fabric.run(fabric.connect().call(GREET, Remark("hello")))

    assert caught.value.code == "hopsack.broken_result"
    assert [record.getMessage() for record in caplog.records if "broke its contract" in record.getMessage()]


def test_events_reach_their_handlers_by_pattern_and_survive_a_failure(fabric: Fabric) -> None:
    demo = fabric.start(Demo())
    user = fabric.connect(role="user")

    for room, text in (("hall", "a"), ("hall", "break"), ("kitchen", "b")):
        fabric.run(user.publish(SAID, Remark(text), room=room))

    assert demo.heard == [("hall", "a", "demo.hall.said"), ("kitchen", "b", "demo.kitchen.said")]


def test_periodic_work_keeps_the_beat(fabric: Fabric) -> None:
    beats = fabric.record("demo.beat")
    demo = fabric.start(Demo())
    fabric.advance(4.5)
    demo.failing = True
    fabric.advance(4)
    demo.failing = False
    fabric.advance(2)

    assert [event.data for event in beats] == [0, 2, 4, 10]


def test_periodic_work_never_overlaps_and_comes_back_on_the_beat(fabric: Fabric) -> None:
    runs: list[float] = []

    class Slow(Service):
        @every(1.0)
        async def work(self) -> None:
            runs.append(fabric.now)
            await asyncio.sleep(2.5 if len(runs) == 2 else 0.2)

    fabric.start(Slow())
    fabric.advance(6)

    assert runs == [0.0, 1.0, 4.0, 5.0, 6.0]


def test_the_life_of_a_service(fabric: Fabric) -> None:
    demo = fabric.start(Demo())
    user = fabric.connect(role="user")
    fabric.cut(demo)
    assert isinstance(demo.connection.state, Waiting)
    with pytest.raises(NoCallee):
        fabric.run(user.call(GREET, Remark("hello")))

    fabric.advance(1)
    assert fabric.run(user.call(GREET, Remark("hello"))).startswith("hello")
    fabric.run(user.publish(SAID, Remark("again"), room="hall"))
    fabric.stop(demo)

    assert demo.heard == [("hall", "again", "demo.hall.said")]
    assert demo.life == ["start", "joined", "joined", "stop"]
    with pytest.raises(NoCallee):
        fabric.run(user.call(GREET, Remark("hello")))


def test_a_service_that_is_told_to_end_finishes_what_is_in_hand(fabric: Fabric) -> None:
    class Busy(Service):
        @procedure("demo.greet")
        async def greet(self, remark: Remark) -> str:
            await asyncio.sleep(1)
            return remark.text

    busy = fabric.start(Busy())
    user = fabric.connect(role="user")
    calls = [fabric.begin(user.call(GREET, Remark(str(number)))) for number in range(50)]

    fabric.stop(busy)

    assert [call.result() for call in calls] == [str(number) for number in range(50)]


def test_two_instances_share_the_calls(fabric: Fabric) -> None:
    served: list[int] = []

    class Counted(Service):
        def __init__(self, number: int) -> None:
            self.number = number

        @procedure("demo.greet")
        async def greet(self, remark: Remark) -> str:
            served.append(self.number)
            return ""

    for number in (1, 2):
        fabric.start(Counted(number))
    user = fabric.connect(role="user")
    for _ in range(4):
        fabric.run(user.call(GREET, Remark("hello")))

    assert sorted(served) == [1, 1, 2, 2]


def test_what_a_service_may_not_do_stops_its_start_with_the_reason(fabric: Fabric) -> None:
    class Wrong(Service):
        @procedure("demo.gret")
        async def greet(self, remark: Remark) -> str:
            return ""

    with pytest.raises(Undeclared, match=r"did you mean demo\.greet"):
        fabric.start(Wrong())
    with pytest.raises(Denied):
        fabric.run(fabric.connect().publish("demo.beat", 1))


def test_names_are_lower_case_classes_unless_given() -> None:
    class Given(Service):
        name = "other"

    class GivenChild(Given):
        pass

    assert [Demo.name, Given.name, GivenChild.name] == ["demo", "other", "givenchild"]


def test_a_service_that_does_not_run_says_so() -> None:
    with pytest.raises(UsageError, match="use start"):
        _ = Demo().connection


def test_a_periodic_method_is_given_nothing(fabric: Fabric) -> None:
    class Wrong(Service):
        @every(1)
        async def work(self, event: Event) -> None: ...

    with pytest.raises(UsageError, match="is given nothing"):
        Engagement(Wrong(), fabric.connect())
    with pytest.raises(UsageError, match="no beat"):
        every(0)


def test_the_fabric_says_what_is_stuck_and_does_not_move_time_by_itself(fabric: Fabric) -> None:
    with pytest.raises(Stuck, match=r"sleep waits for something that has not happened"):
        fabric.run(asyncio.sleep(1))

    assert fabric.now == 0.0


def test_the_fabric_shows_who_is_there(fabric: Fabric) -> None:
    demo = fabric.start(Demo())
    operator = fabric.connect(role="operator")

    [service] = fabric.run(operator.call("hopsack.services.list"))
    sessions = fabric.run(operator.call("hopsack.sessions.list"))

    assert service["name"] == "demo"
    assert service["procedures"] == ["demo.greet", "demo.sum", "demo.{room}.topic"]
    assert demo.connection.identity is not None
    assert demo.connection.identity.session in [session["session"] for session in sessions]


def test_without_contracts_everything_is_allowed() -> None:
    with Fabric() as fabric:
        seen = fabric.record("any.", match="prefix")
        fabric.run(fabric.connect().publish("any.thing", {"a": [1, None, "ü"]}))

        assert [(event.topic, event.data) for event in seen] == [("any.thing", {"a": [1, None, "ü"]})]
