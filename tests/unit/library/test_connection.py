"""A connection over links that come and go, told as conversations on a hand-turned clock."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hopsack.contracts.refs import Procedure, Topic
from hopsack.errors import (
    BrokenResult,
    Deadline,
    DeclaredError,
    Denied,
    Disconnected,
    LoginRequired,
    OutcomeUnknown,
    Overloaded,
    UsageError,
)
from hopsack.keeper import Closed, Connected, Waiting
from hopsack.session import Caller, Event
from hopsack.testing.loop import HandTurnedLoop

from .conftest import Peer, RawPeer


def test_it_joins_and_says_who_it_is(peer: Peer) -> None:
    connection = peer.connect()

    assert isinstance(connection.state, Connected)
    assert connection.identity is not None
    assert (connection.identity.session, connection.identity.authid) == (71, "host")


def test_an_event_without_its_payload_is_a_warning(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    connection = peer.connect()
    subscribing = loop.create_task(connection.subscribe("big"))
    assert peer.heard() == [[32, 1, {}, "big"]]
    peer.says([33, 1, 9])

    peer.says([36, 9, 5, {"x_hopsack_dropped": "too_large", "x_hopsack_size": 70_000}])

    assert subscribing.result().waiting == 0
    assert "an event of big came without its payload: too_large, 70000 bytes" in caplog.text


def test_arguments_of_any_shape_are_read_as_the_type(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    def answered(type_: Any, *payload: Any) -> Any:
        call = loop.create_task(connection.call("p", returns=type_))
        [[_, request, *_]] = peer.heard()
        peer.says([50, request, {}, *payload])
        return call.result()

    assert answered(dict[str, int], [], {"a": 1}) == {"a": 1}
    assert answered(int, [1.0]) == 1
    assert answered(list[int], [1, 2]) == answered(list[int], [[1, 2]]) == [1, 2]
    assert answered(list[int]) == []
    assert answered(bytes, ["aGk="]) == b"hi"
    with pytest.raises(BrokenResult):
        answered(int)


def test_a_call_is_typed_at_both_ends(peer: Peer, loop: HandTurnedLoop) -> None:
    import msgspec

    class Name(msgspec.Struct):
        name: str

    class Facts(msgspec.Struct):
        cores: int

    connection = peer.connect()
    describe: Procedure[Name, Facts] = Procedure("host.{host}.describe", Name, Facts)

    call = loop.create_task(connection.call(describe, Name("x"), host="web1"))
    assert peer.heard() == [[48, 1, {"timeout": 10_000}, "host.web1.describe", [{"name": "x"}]]]
    peer.says([50, 1, {}, [{"cores": 2}]])
    assert call.result() == Facts(2)

    call = loop.create_task(connection.call(describe, Name("x"), host="web1"))
    loop.settle()
    peer.says([50, 2, {}, [{"cores": "two"}]])
    with pytest.raises(BrokenResult) as caught:
        call.result()
    assert (caught.value.path, caught.value.where) == ("/cores", "host.web1.describe")


def test_a_declared_error_is_raised_in_its_own_class(peer: Peer, loop: HandTurnedLoop) -> None:
    class HostUnknown(DeclaredError):
        CODE = "host.unknown"

    connection = peer.connect()
    describe: Procedure[str, str] = Procedure("host.describe", str, str, (HostUnknown,))
    call = loop.create_task(connection.call(describe, "x"))
    loop.settle()

    details = {"code": "host.unknown", "message": "no such host", "where": "host.describe", "data": {"near": "y"}}
    peer.says([8, 48, 1, {}, "host.unknown", ["no such host"], details])

    with pytest.raises(HostUnknown, match="no such host") as caught:
        call.result()
    assert caught.value.data == {"near": "y"}


def test_an_attempt_that_fails_in_an_unknown_way_is_logged_and_not_the_last(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    peer.trouble = ZeroDivisionError("what?")
    connection = peer.connect()
    assert connection.state == Waiting(0.5, 1, "what?")
    assert "does not know" in caplog.text

    peer.trouble = None
    loop.advance(0.5)

    assert isinstance(connection.state, Connected)


def test_a_call_that_is_not_answered_meets_its_deadline_and_is_cancelled(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call("slow", timeout=2.0))
    loop.advance(1.9)
    assert not call.done()

    loop.advance(0.2)

    with pytest.raises(Deadline, match=r"no answer within 2 s \[slow\]"):
        call.result()
    assert peer.heard() == [[48, 1, {"timeout": 2000}, "slow"], [49, 1, {"mode": "killnowait"}]]
    peer.says([8, 48, 1, {}, "wamp.error.canceled"])


def test_a_call_nobody_waits_for_is_cancelled_at_the_node(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call("slow"))
    assert peer.heard() == [[48, 1, {"timeout": 10_000}, "slow"]]

    call.cancel()

    assert peer.heard() == [[49, 1, {"mode": "killnowait"}]]
    assert call.cancelled()


def test_what_is_in_flight_when_the_link_is_lost_has_an_unknown_outcome(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    call = loop.create_task(connection.call("a.b"))
    loop.settle()

    peer.vanishes()

    with pytest.raises(OutcomeUnknown, match=r"before the answer: reset by peer \[a\.b\]"):
        call.result()


def test_calls_and_acknowledged_publications_wait_for_a_link(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    peer.vanishes()
    assert connection.state == Waiting(0.5, 1, "reset by peer")
    call = loop.create_task(connection.call("a.b"))
    publish = loop.create_task(connection.publish("t", 1))
    impatient = loop.create_task(connection.call("c.d", timeout=0.1))

    with pytest.raises(Disconnected, match="t: not sent: there is no connection: reset by peer"):
        loop.run(connection.publish("t", 1, acknowledge=False))
    loop.advance(0.3)
    with pytest.raises(Disconnected, match=r"c\.d: not sent"):
        impatient.result()
    loop.advance(0.3)

    assert peer.heard() == [[48, 1, {"timeout": 9500}, "a.b"], [16, 2, {"acknowledge": True}, "t", [1]]]
    peer.says([50, 1, {}, ["done"]], [17, 2, 900])
    assert call.result() == "done"
    assert publish.done()


def test_delays_grow_and_start_again_after_a_stable_connection(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    peer.trouble = ConnectionRefusedError("nobody listens")
    delays = []
    peer.vanishes()
    for _ in range(6):
        assert isinstance(connection.state, Waiting)
        delays.append(connection.state.delay)
        loop.advance(connection.state.delay)
    assert delays == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]

    peer.trouble = None
    loop.advance(4.0)
    loop.advance(11.0)
    peer.vanishes()

    assert connection.state == Waiting(0.5, 1, "reset by peer")


def test_the_node_s_hint_comes_before_the_jitter(peer: Peer) -> None:
    connection = peer.connect()

    peer.says([6, {"retry_after": 3}, "wamp.close.system_shutdown"])

    assert connection.state == Waiting(3.5, 1, "wamp.close.system_shutdown")


def test_a_session_that_an_operator_ended_does_not_come_back(raw: RawPeer, loop: HandTurnedLoop) -> None:
    connection = raw.connect()
    reading = loop.create_task(connection.subscribe("t"))
    [(request, *_)] = raw.asked()
    raw.answers(request, subscription=5, recovered=False)
    taking = loop.create_task(reading.result().take())
    raw.wires[-1].refusal = Denied("An operator ended this session.")
    raw.vanishes("closed with 4403")
    loop.advance(60.0)

    assert len(raw.wires) == 1
    assert isinstance(connection.state, Closed)
    assert isinstance(connection.state.error, Denied)
    with pytest.raises(Denied):
        taking.result()


def test_a_refusal_for_good_ends_it_and_is_raised_everywhere(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.joins = False
    connection = peer.connect()
    waiting = loop.create_task(connection.call("a.b"))
    loop.settle()

    peer.says([3, {"message": "the token has expired"}, "wamp.error.authentication_failed"])

    assert isinstance(connection.state, Closed)
    for ask in (waiting, loop.create_task(connection.publish("t")), loop.create_task(connection.subscribe("t"))):
        loop.settle()
        with pytest.raises(LoginRequired, match="the token has expired"):
            ask.result()


def test_a_join_that_takes_too_long_is_given_up(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.joins = False
    connection = peer.connect(open_timeout=3.0)

    loop.advance(3.0)

    assert connection.state == Waiting(0.5, 1, "the node did not let us in within 3 s")
    assert peer.wires[0].is_closed


def test_states_can_be_followed(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    seen: list[Any] = []

    async def follow() -> None:
        seen.extend([type(state).__name__ async for state in connection.states()])

    following = loop.create_task(follow())
    loop.settle()
    peer.vanishes()
    loop.advance(0.5)
    closing = loop.create_task(connection.close())
    peer.heard()
    peer.says([6, {}, "wamp.close.goodbye_and_out"])

    assert seen == ["Connected", "Waiting", "Connecting", "Connected", "Closed"]
    assert following.done()
    assert closing.done()


# ---- subscriptions ---------------------------------------------------------------------------------------------------


def subscribed(peer: Peer, loop: HandTurnedLoop, request: int, number: int, *args: Any, **options: Any) -> Any:
    asking = loop.create_task(peer.connection.subscribe(*args, **options))
    loop.settle()
    peer.says([33, request, number])
    return asking.result()


def test_a_subscription_with_a_handler_is_fed_in_order_and_survives_its_errors(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    peer.connect()
    seen: list[Any] = []

    async def on_number(number: int, event: Event) -> None:
        if number == 2:
            raise ValueError("two")
        await asyncio.sleep(1)
        seen.append((number, event.topic, event.publication, event.publisher_role))

    subscribed(peer, loop, 1, 5, "t", on_number)
    assert peer.heard() == [[32, 1, {}, "t"]]
    for n in (1, 2, 3):
        peer.says([36, 5, 900 + n, {"publisher_authrole": "user"}, [n]])
    peer.says([36, 5, 904, {}, ["four"]])
    loop.advance(3)

    assert seen == [(1, "t", 901, "user"), (3, "t", 903, "user")]
    assert [record.exc_info[0].__name__ for record in caplog.records if record.exc_info and record.exc_info[0]] == [
        "ValueError",
        "Invalid",
    ]


def test_a_subscription_is_an_async_iterator(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, 1, 5, Topic("t", int))
    peer.says([36, 5, 901, {}, [1]], [36, 5, 902, {}, [2]])

    async def read() -> list[Any]:
        seen: list[Any] = []
        async with subscription:
            async for event in subscription:
                seen.append(event.data)
                if len(seen) == 2:
                    break
        return seen

    reading = loop.create_task(read())
    assert peer.heard() == [[32, 1, {}, "t"], [34, 2, 5]]
    peer.says([35, 2])

    assert reading.result() == [1, 2]


def test_readers_of_one_topic_share_one_subscription_at_the_node(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    first = subscribed(peer, loop, 1, 5, "t")
    second = loop.run(connection.subscribe("t"))
    assert peer.heard() == [[32, 1, {}, "t"]]

    peer.says([36, 5, 901, {}, [1]])
    assert (first.waiting, second.waiting) == (1, 1)
    loop.run(first.close())
    assert peer.heard() == []
    closing = loop.create_task(second.close())

    assert peer.heard() == [[34, 2, 5]]
    peer.says([35, 2])
    assert closing.done()


def test_closing_before_the_grant_does_not_end_a_later_subscription(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    first = loop.create_task(connection.subscribe("t"))
    loop.settle()
    first.cancel()
    loop.settle()
    second = loop.create_task(connection.subscribe("t"))
    loop.settle()

    peer.says([33, 1, 5])
    peer.says([36, 5, 901, {}, [1]])

    assert peer.heard() == [[32, 1, {}, "t"]]
    assert second.result().waiting == 1


def test_what_nobody_wants_is_given_back_before_the_same_is_asked_for_again(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    first = loop.create_task(connection.subscribe("t"))
    loop.settle()
    first.cancel()
    loop.settle()
    second = loop.create_task(connection.subscribe("t"))

    peer.says([33, 1, 5])

    assert peer.heard() == [[32, 1, {}, "t"], [34, 2, 5], [32, 3, {}, "t"]]
    peer.says([35, 2], [33, 3, 5], [36, 5, 901, {}, [1]])
    assert second.result().waiting == 1


def test_what_was_granted_after_nobody_wanted_it_is_given_back(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    asking = [loop.create_task(connection.subscribe("t")), loop.create_task(connection.register("p", print))]
    loop.settle()
    for task in asking:
        task.cancel()
    peer.heard()

    peer.says([33, 1, 5], [65, 2, 6])

    assert peer.heard() == [[34, 3, 5], [66, 4, 6]]


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    peer.connect()
    subscription = subscribed(peer, loop, 1, 5, "t")
    subscription._limit = 3

    for n in range(14):
        peer.says([36, 5, 900 + n, {}, [n]])

    assert (subscription.dropped, subscription.waiting) == (11, 3)
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 10]


def test_everything_is_asked_for_again_after_a_reconnect_before_anything_else(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    subscription = subscribed(peer, loop, 1, 5, "t.", match="prefix")
    registering = loop.create_task(connection.register("p.{x}.q", lambda: None, invoke="roundrobin", inline=True))
    loop.settle()
    peer.says([65, 2, 6])
    registering.result()
    peer.heard()

    peer.vanishes()
    publishing = loop.create_task(connection.publish("t.a", 1))
    loop.advance(0.5)

    assert peer.heard() == [
        [32, 1, {"match": "prefix"}, "t."],
        [64, 2, {"match": "wildcard", "invoke": "roundrobin"}, "p..q"],
        [16, 3, {"acknowledge": True}, "t.a", [1]],
    ]
    peer.says([33, 1, 15], [65, 2, 16], [17, 3, 900], [36, 15, 901, {"topic": "t.a"}, [1]])
    assert publishing.done()
    assert subscription.waiting == 1


def test_it_is_restored_when_the_link_has_granted_everything_again(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    assert connection.is_restored
    subscribed(peer, loop, 1, 5, "t")
    registering = loop.create_task(connection.register("p", lambda: None, inline=True))
    loop.settle()
    assert not connection.is_restored
    peer.says([65, 2, 6])
    registering.result()
    assert connection.is_restored

    peer.vanishes()
    assert not connection.is_restored
    loop.advance(0.5)
    peer.says([33, 1, 15])
    assert not connection.is_restored
    peer.says([65, 2, 16])

    assert connection.is_restored


def test_our_own_ghost_may_hold_a_procedure_for_a_while(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()
    registering = loop.create_task(connection.register("p", lambda: None, inline=True))
    loop.settle()
    peer.says([65, 1, 6])
    registering.result()
    peer.vanishes()
    loop.advance(0.5)
    peer.heard()

    peer.says([8, 64, 1, {}, "wamp.error.procedure_already_exists"])
    loop.advance(1.5)

    assert peer.heard() == [[64, 2, {"invoke": "roundrobin", "x_hopsack_invoke": "least"}, "p"]]
    peer.says([65, 2, 7], [68, 1, 7, {}])
    assert peer.heard() == [[70, 1, {}]]


def test_a_subscription_that_is_refused_is_raised_and_one_that_is_lost_ends_its_reader(
    peer: Peer, loop: HandTurnedLoop
) -> None:
    connection = peer.connect()
    refused = loop.create_task(connection.subscribe("secret"))
    loop.settle()
    peer.says([8, 32, 1, {}, "wamp.error.not_authorized", ["not for guests"]])
    with pytest.raises(Denied):
        refused.result()
    subscription = subscribed(peer, loop, 2, 5, "t")
    reading = loop.create_task(subscription.take())
    peer.vanishes()
    loop.advance(0.5)

    peer.says([8, 32, 1, {}, "wamp.error.not_authorized", ["not any more"]])

    with pytest.raises(Denied, match="not any more"):
        reading.result()


# ---- serving ---------------------------------------------------------------------------------------------------------


def registered(peer: Peer, loop: HandTurnedLoop, procedure: str, handler: Any, **options: Any) -> Any:
    asking = loop.create_task(peer.connection.register(procedure, handler, **options))
    loop.settle()
    peer.says([65, 1, 6])
    peer.heard()
    return asking.result()


def test_a_handler_is_given_what_it_asks_for(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()

    async def ask(question: dict[str, str], name: str, caller: Caller) -> str:
        return f"{question['text']} {name} {caller.authid} {caller.procedure}"

    registered(peer, loop, "operator.{name}.ask", ask)
    details = {"procedure": "operator.ann.ask", "caller_authid": "bob", "caller": 3}
    peer.says([68, 1, 6, details, [{"text": "ready?"}]])

    assert peer.heard() == [[70, 1, {}, ["ready? ann bob operator.ann.ask"]]]


def test_how_a_handler_ends_is_the_caller_s_answer(
    peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    peer.connect()

    class TooBig(DeclaredError):
        CODE = "demo.too_big"

    async def work(number: int) -> Any:
        match number:
            case 1:
                raise TooBig("that is too big", data={"limit": 0})
            case 2:
                raise ValueError("the password is hunter2")
            case 3:
                return object()
        return "x" * (1 << 20)

    registered(peer, loop, "p", work)
    for number in (1, 2, 3, 4):
        peer.says([68, number, 6, {}, [number]])
    peer.says([68, 5, 6, {}, ["five"]])

    incident = "the service failed; its log has incident c0ffee00"
    internal = {
        "code": "hopsack.internal",
        "message": incident,
        "retry": "later",
        "where": "p",
        "data": {"incident": "c0ffee00"},
    }
    declared = {"code": "demo.too_big", "message": "that is too big", "retry": "never", "where": "p"}
    heard = peer.heard()
    assert heard[:3] == [
        [8, 68, 1, {}, "demo.too_big", ["that is too big"], {**declared, "data": {"limit": 0}}],
        [8, 68, 2, {}, "wamp.error.runtime_error", [incident], internal],
        [8, 68, 3, {}, "wamp.error.runtime_error", [incident], internal],
    ]
    assert [message[-1]["code"] for message in heard[3:]] == ["hopsack.too_large", "hopsack.invalid"]
    assert heard[4][-1]["message"] == "Expected `int`, got `str`"
    logged = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    assert "hunter2" in logged or any("hunter2" in str(r.exc_info) for r in caplog.records)


def test_an_interrupted_handler_is_cancelled(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    registered(peer, loop, "p", work)
    peer.says([68, 1, 6, {}])

    peer.says([69, 1, {"mode": "killnowait"}])

    assert ended == ["cancelled"]
    [answer] = peer.heard()
    assert answer[:5] == [8, 68, 1, {}, "wamp.error.canceled"]


def test_more_calls_than_may_run_are_refused_with_the_numbers(peer: Peer, loop: HandTurnedLoop) -> None:
    peer.connect(at_once=2)

    async def work() -> None:
        await asyncio.sleep(60)

    registered(peer, loop, "p", work)
    peer.says([68, 1, 6, {}], [68, 2, 6, {}], [68, 3, 6, {}])

    [refusal] = peer.heard()
    assert refusal[:6] == [
        *(8, 68, 3, {}, "hopsack.overloaded"),
        ["2 calls run in this service, and the limit is 2"],
    ]


def test_a_broken_answer_is_logged_loudly(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    peer.connect()

    details = {"code": "hopsack.broken_result", "message": "1 is no string", "where": "p", "path": "/name"}
    peer.says([8, 70, 9, {}, "wamp.error.invalid_argument", ["1 is no string"], details])

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "1 is no string [p at /name]" in record.getMessage()


def test_an_undeclared_error_that_the_node_found_is_logged_with_its_incident(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.connect()

    details = {"code": "hopsack.internal", "message": "p.full is not declared", "data": {"incident": "i7"}}
    peer.says([8, 70, 9, {}, "wamp.error.runtime_error", ["p.full is not declared"], details])

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("incident i7: ")
    assert "p.full is not declared" in record.getMessage()


def test_closing_finishes_what_is_in_hand(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    async def work(number: int) -> int:
        await asyncio.sleep(1)
        return number

    registered(peer, loop, "p", work)
    peer.says(*([68, number, 6, {}, [number]] for number in range(1, 51)))

    closing = loop.create_task(connection.close())
    assert peer.heard() == [[66, 2, 6]]
    peer.says([68, 51, 6, {}, [51]], [67, 2])
    loop.advance(1)

    heard = peer.heard()
    assert sorted(message[:2] for message in heard[:-1]) == [[70, number] for number in range(1, 52)]
    assert heard[-1][0] == 6
    peer.says([6, {}, "wamp.close.goodbye_and_out"])
    assert closing.done()


def test_closing_does_not_wait_for_ever(peer: Peer, loop: HandTurnedLoop, caplog: pytest.LogCaptureFixture) -> None:
    connection = peer.connect()

    async def work() -> None:
        await asyncio.sleep(3600)

    registered(peer, loop, "p", work)
    peer.says([68, 1, 6, {}])

    closing = loop.create_task(connection.close())
    loop.advance(10)

    assert closing.done()
    assert isinstance(connection.state, Closed)
    assert "1 calls or events were still in hand" in caplog.text


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_bounds_refuse_with_numbers_and_drop_nothing(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect(in_flight=2)
    waiting = [loop.create_task(connection.call("a")), loop.create_task(connection.publish("b"))]
    loop.settle()

    with pytest.raises(Overloaded, match="2 requests are under way, and the limit is 2"):
        loop.run(connection.call("c"))
    peer.says([50, 1, {}], [17, 2, 1])
    assert all(task.done() for task in waiting)
    peer.wires[-1].is_full = True

    with pytest.raises(Overloaded, match="99 bytes wait"):
        loop.run(connection.call("c"))
    with pytest.raises(Overloaded, match="99 bytes wait"):
        loop.run(connection.publish("c", acknowledge=False))


def test_a_value_without_a_json_form_is_raised_here(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    with pytest.raises(UsageError, match="no JSON form"):
        loop.run(connection.publish("t", object()))


def test_open_components_must_be_given(peer: Peer, loop: HandTurnedLoop) -> None:
    connection = peer.connect()

    with pytest.raises(UsageError, match=r"chat\.\{room\} takes room"):
        loop.run(connection.publish("chat.{room}", "hi"))
    with pytest.raises(UsageError):
        loop.run(connection.publish("chat.{room}", "hi", room="a.b"))
