"""Many calls that flow, in any order of what can happen to them: nobody is promised too much, and nothing is left."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .conftest import HELLO_ROLES, Client, Realm
from .test_flowing import (
    CALL,
    CANCEL,
    ERROR,
    FLOW_ROLES,
    INVOCATION,
    MORE,
    PROGRESS,
    REGISTER,
    YIELD,
)

STOCK = {**HELLO_ROLES, "callee": {"features": {"call_canceling": True, "progressive_call_invocations": True}}}


class Lives(RuleBasedStateMachine):
    """One caller of ours, one stock caller, and two callees alike that share a procedure."""

    @initialize()
    def begin(self) -> None:
        self.realm = Realm.ours()
        self.callers = [self.realm.join(roles=FLOW_ROLES), self.realm.join(roles=HELLO_ROLES)]
        self.callees: list[Client] = []
        self.last = 0
        self.credit: dict[tuple[int, int], int] = {}  # results that a caller of ours still takes
        self.inputs: dict[tuple[int, int], int] = {}  # inputs that may be given
        self.beyond: set[tuple[int, ...]] = set()  # calls that a stock callee has been asked: it counts nothing
        self.work: dict[tuple[int, int], int] = {}  # results that a callee may send; -1: as many as it likes
        self.come()

    # ---- what the node says -----------------------------------------------------------------------------------------

    def hear(self) -> None:
        for number, caller in enumerate(self.callers):
            for message in caller.take():
                self.told(number, message)
        for number, callee in enumerate(self.callees):
            for message in callee.take():
                self.asked(number, message)

    def told(self, number: int, message: list[Any]) -> None:
        match message:
            case [50, request, {"progress": True}, *_]:
                if number == 0 and (number, request) not in self.beyond:
                    self.credit[number, request] -= 1
                    assert self.credit[number, request] >= 0, "more than it takes"
            case [50, request, *_] | [8, 48, request, *_]:
                del self.credit[number, request]
                self.inputs.pop((number, request), None)
            case [513, 48, request, items] if (number, request) in self.inputs:  # else the two have crossed
                self.inputs[number, request] += items

    def asked(self, number: int, message: list[Any]) -> None:
        match message:
            case [68, request, _, details, *_] if (number, request) not in self.work:
                self.work[number, request] = details.get("x_hopsack_window", -1)
                if number % 2:
                    self.beyond.add(tuple(message[4]))
            case [513, 68, request, items]:
                if (number, request) in self.work:
                    self.work[number, request] += items
            case [69, request, *_]:
                self.work.pop((number, request), None)

    # ---- callers ----------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1), window=st.integers(0, 9), inputs=st.booleans())
    def call(self, who: int, window: int, inputs: bool) -> None:
        self.last += 1
        options: dict[str, Any] = {"receive_progress": True}
        if who == 0:
            options["x_hopsack_window"] = window
        if inputs:
            options["progress"] = True
            self.inputs[who, self.last] = 0
        self.credit[who, self.last] = window
        self.callers[who].send_only(CALL, self.last, options, "lab.flow", [who, self.last])
        self.hear()

    @precondition(lambda self: any(who == 0 for who, _ in self.credit))
    @rule(n=st.integers(0, 99), items=st.integers(1, 9))
    def take(self, n: int, items: int) -> None:
        requests = [request for who, request in self.credit if who == 0]
        request = requests[n % len(requests)]
        self.credit[0, request] += items
        self.callers[0].send_only(MORE, CALL, request, items)
        self.hear()

    @precondition(lambda self: self.inputs)
    @rule(n=st.integers(0, 99), is_last=st.booleans())
    def give(self, n: int, is_last: bool) -> None:
        who, request = list(self.inputs)[n % len(self.inputs)]
        if who == 0 and not is_last and self.inputs[who, request] <= 0:
            return
        self.inputs[who, request] -= 1
        if is_last:
            del self.inputs[who, request]
        self.callers[who].send_only(CALL, request, {} if is_last else PROGRESS, "lab.flow", [n])
        self.hear()

    @precondition(lambda self: self.credit)
    @rule(n=st.integers(0, 99), mode=st.sampled_from(["skip", "kill", "killnowait"]))
    def cancel(self, n: int, mode: str) -> None:
        who, request = list(self.credit)[n % len(self.credit)]
        self.callers[who].send_only(CANCEL, request, {"mode": mode})
        self.hear()

    @rule(who=st.integers(0, 1), is_full=st.booleans())
    def stop_reading(self, who: int, is_full: bool) -> None:
        link = self.callers[who]._link
        if is_full and not link.paused:
            link.pauseProducing()
        elif not is_full and link.paused:
            link.resumeProducing()
        self.hear()

    # ---- callees ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.callees) < 3)
    @rule()
    def come(self) -> None:
        roles = FLOW_ROLES if len(self.callees) % 2 == 0 else STOCK
        self.callees.append(self.realm.join("service", "lab", roles=roles))
        self.callees[-1].send_only(REGISTER, 1, {"invoke": "roundrobin"}, "lab.flow")
        self.hear()

    @precondition(lambda self: any(self.work.values()))
    @rule(n=st.integers(0, 99), size=st.sampled_from([0, 10, 60_000]))
    def progress(self, n: int, size: int) -> None:
        able = [key for key, may in self.work.items() if may]
        number, request = able[n % len(able)]
        self.work[number, request] -= self.work[number, request] > 0
        self.callees[number].send_only(YIELD, request, PROGRESS, ["x" * size])
        self.hear()

    @precondition(lambda self: self.work)
    @rule(n=st.integers(0, 99), items=st.integers(1, 9))
    def want(self, n: int, items: int) -> None:
        number, request = list(self.work)[n % len(self.work)]
        if number % 2 == 0:
            self.callees[number].send_only(MORE, INVOCATION, request, items)
            self.hear()

    @precondition(lambda self: self.work)
    @rule(n=st.integers(0, 99), fails=st.sampled_from([None, None, "hopsack.overloaded", "com.example.broken"]))
    def answer(self, n: int, fails: str | None) -> None:
        number, request = list(self.work)[n % len(self.work)]
        del self.work[number, request]
        if fails is None:
            self.callees[number].send_only(YIELD, request, {}, ["done"])
        else:
            self.callees[number].send_only(ERROR, INVOCATION, request, {}, fails)
        self.hear()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.realm.clock.advance(seconds)
        self.hear()

    # ---- what holds -------------------------------------------------------------------------------------------------

    @invariant()
    def what_ended_has_nothing_reserved(self) -> None:
        if not hasattr(self, "realm"):
            return
        flowing = self.realm.node.router._dealer.flowing
        windows = [one for flow in flowing.flows.values() for one in (flow.results, flow.inputs) if one is not None]
        rooms = [one._link.room for one in (*self.callers, *self.callees) if one._link.room is not None]
        assert sum(room.reserved for room in rooms) == sum(window.reserved for window in windows)
        assert all(room.reserved >= 0 for room in rooms)

    def teardown(self) -> None:
        """Everybody leaves: nothing is remembered but calls whose inputs may still be on their way."""
        if not hasattr(self, "realm"):
            return
        flowing = self.realm.node.router._dealer.flowing
        for client in (*self.callers, *self.callees):
            client.leave()
        self.realm.clock.advance(60)

        assert flowing.flows == {}
        assert all(flow.call is None for flow in flowing.fed.values())


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestLives = Lives.TestCase
