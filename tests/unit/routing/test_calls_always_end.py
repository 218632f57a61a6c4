"""Whatever callers and callees do, each call ends once, by its deadline, and leaves nothing behind.

Random lives of a realm whose procedures have all policies that there are: callees answer, fail, say no, fall silent,
unregister, vanish and come back; callers cancel and vanish; time passes. Checked after each step: nobody is answered
twice or too late, nothing runs twice that must not, nobody has more in hand than allowed, and what the node counts of
each callee is what that callee has in hand.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hopsack.contracts import Catalogue, load
from hopsack_router.embed import EmbeddedNode

from .conftest import HELLO_ROLES, Client, Realm
from .test_call_ends import CANCEL, INTERRUPT
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, RESULT, YIELD
from .test_waiting_calls import UNREGISTER

CONTRACT = """
  lab.{name}:
    summary: "{name}"
    input: {{type: object, required: [call], properties: {{call: {{type: integer}}}}}}
    output: {{type: integer}}
    register: [service]
    call: [guest]
"""
POLICIES = {
    "plain": "",
    "soon": "    timeout: 300ms\n",
    "idem": "    idempotent: true\n    invoke: least\n",
    "narrow": "    concurrency: 1\n    queue: 3\n    invoke: roundrobin\n",
    "patient": "    idempotent: true\n    wait: 1s\n    concurrency: 2\n    queue: 4\n    invoke: least\n",
    "fragile": "    breaker: {failures: 2, within: 5s, open: 1s}\n    idempotent: true\n    invoke: random\n",
    "sharded": "    shard_by: call\n    concurrency: 1\n    queue: 2\n",
}
LIMITS = {"narrow": 1, "patient": 2, "sharded": 1}
IDEMPOTENT = {"idem", "patient", "fragile"}
NAMES = st.sampled_from(sorted(POLICIES))
NO = ["hopsack.overloaded", "hopsack.unavailable", "hopsack.canceled", "hopsack.internal", "hopsack.deadline"]


def catalogue() -> Catalogue:
    with tempfile.TemporaryDirectory() as folder:
        text = "procedures:" + "".join(CONTRACT.format(name=name) + words for name, words in POLICIES.items())
        Path(folder, "lab.yaml").write_text(text)
        return load(Path(folder))


CATALOGUE = catalogue()


@dataclass(eq=False)
class Asked:
    """A call as its caller knows it."""

    caller: Client
    request: int
    name: str
    due: float
    ran: list[Client] = field(default_factory=list)
    answers: list[list[Any]] = field(default_factory=list)


@dataclass(eq=False)
class Callee:
    client: Client
    cancels: bool
    registrations: dict[str, int] = field(default_factory=dict)
    hands: dict[int, int] = field(default_factory=dict)  # invocation -> registration
    requests: int = 0


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.realm = Realm.ours(CATALOGUE)
        assert isinstance(self.realm.node, EmbeddedNode)
        self.dealer = self.realm.node.router._dealer
        self.dealer.random = Random(0)
        self.callers: list[Client] = []
        self.callees: list[Callee] = []
        self.calls: dict[int, Asked] = {}
        self.number = 0

    @property
    def now(self) -> float:
        return self.realm.clock.seconds()

    @initialize(name=NAMES)
    def begin(self, name: str) -> None:
        self.join()
        for cancels in (True, False):
            self.serve(cancels)
            self.register(len(self.callees) - 1, name)

    # ---- callers --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.callers) < 3)
    @rule()
    def join(self) -> None:
        self.callers.append(self.realm.join(authid=f"caller{self.number}"))

    @precondition(lambda self: self.callers)
    @rule(
        n=st.integers(0, 9),
        name=NAMES,
        timeout=st.sampled_from([0, 100, 900, 2500]),
        terms=st.dictionaries(
            st.sampled_from(["x_hopsack_wait", "x_hopsack_retry", "x_hopsack_queue"]), st.just(0), max_size=1
        ),
    )
    def call(self, n: int, name: str, timeout: int, terms: dict[str, Any]) -> None:
        caller = self.callers[n % len(self.callers)]
        self.number += 1
        if "x_hopsack_queue" in terms:
            terms = {"x_hopsack_queue": False}
        given = self.dealer.traffic_of(f"lab.{name}").milliseconds(timeout)
        self.calls[self.number] = Asked(caller, self.number, name, self.now + given / 1000)
        options = {"timeout": timeout, **terms}
        caller.send_only(CALL, self.number, options, f"lab.{name}", [{"call": self.number}])
        self.settle()

    @precondition(lambda self: self.calls)
    @rule(n=st.integers(0, 99), mode=st.sampled_from(["skip", "kill", "killnowait"]))
    def cancel(self, n: int, mode: str) -> None:
        asked = self.calls[n % self.number + 1]
        if asked.caller in self.callers:
            asked.caller.send_only(CANCEL, asked.request, {"mode": mode})
            self.settle()

    @precondition(lambda self: len(self.callers) > 1)
    @rule(n=st.integers(0, 9))
    def caller_leaves(self, n: int) -> None:
        self.callers.pop(n % len(self.callers)).leave()
        self.settle()

    # ---- callees --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.callees) < 4)
    @rule(cancels=st.booleans())
    def serve(self, cancels: bool) -> None:
        roles = HELLO_ROLES if cancels else HELLO_ROLES | {"callee": {}}
        self.callees.append(Callee(self.realm.join("service", f"callee{self.number}", roles=roles), cancels))

    @precondition(lambda self: self.callees)
    @rule(n=st.integers(0, 9), name=NAMES)
    def register(self, n: int, name: str) -> None:
        callee = self.callees[n % len(self.callees)]
        if name in callee.registrations:
            return
        callee.requests += 1
        options = {"invoke": "roundrobin"} if name in ("plain", "soon", "sharded") else {}
        callee.client.send_only(REGISTER, callee.requests, options, f"lab.{name}")
        self.realm.turn()
        callee.registrations[name] = self.dealer._registration_map.get_observation(f"lab.{name}").id
        self.settle()

    @precondition(lambda self: self.callees)
    @rule(n=st.integers(0, 9), name=NAMES)
    def unregister(self, n: int, name: str) -> None:
        callee = self.callees[n % len(self.callees)]
        registration = callee.registrations.pop(name, None)
        if registration is not None:
            callee.requests += 1
            callee.client.send_only(UNREGISTER, callee.requests, registration)
            self.settle()

    @precondition(lambda self: len(self.callees) > 1)
    @rule(n=st.integers(0, 9))
    def callee_leaves(self, n: int) -> None:
        self.callees.pop(n % len(self.callees)).client.leave()
        self.settle()

    @precondition(lambda self: any(one.hands for one in self.callees))
    @rule(n=st.integers(0, 99), how=st.sampled_from(["well", "well", *NO]))
    def answer(self, n: int, how: str) -> None:
        busy = [(callee, request) for callee in self.callees for request in callee.hands]
        callee, request = busy[n % len(busy)]
        del callee.hands[request]
        if how == "well":
            callee.client.send_only(YIELD, request, {}, [1])
        else:
            callee.client.send_only(ERROR, INVOCATION, request, {}, how, ["no"], {"code": how, "message": "no"})
        self.settle()

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.25, 0.3, 0.8, 1.0, 5.0]))
    def passes(self, seconds: float) -> None:
        steps = max(1, round(seconds / 0.05))
        for _ in range(steps):
            self.realm.clock.advance(seconds / steps)
            self.settle()

    # ---- what is seen ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        self.realm.turn()
        for callee in self.callees:
            for message in callee.client.take():
                self.told(callee, message)
        for caller in self.callers:
            for message in caller.take():
                self.heard(caller, message)
        self.check()

    def told(self, callee: Callee, message: list[Any]) -> None:
        match message:
            case [68, request, registration, details, [payload]]:
                asked = self.calls[payload["call"]]
                assert asked.ran == [] or asked.name in IDEMPOTENT, "run twice"
                assert len(asked.ran) <= 2, "tried more than three times"
                assert not asked.answers, "run when it had ended"
                assert abs(details["timeout"] / 1000 - (asked.due - self.now)) < 0.002
                asked.ran.append(callee.client)
                callee.hands[request] = registration
            case [69, request, *_]:
                assert callee.cancels
                assert request in callee.hands
            case [kind, *_]:
                assert kind not in (INVOCATION, INTERRUPT)

    def heard(self, caller: Client, message: list[Any]) -> None:
        request = message[2] if message[0] == ERROR else message[1]
        assert message[0] in (RESULT, ERROR)
        asked = self.calls[request]
        assert asked.caller is caller
        asked.answers.append(message)
        if message[0] == ERROR and asked.ran:
            ran = (message[-1].get("data") or {}).get("ran")
            assert ran != "no", "it was told not to have run, and it may have"

    def check(self) -> None:
        for asked in self.calls.values():
            assert len(asked.answers) <= 1, "answered twice"
            if asked.caller in self.callers and not asked.answers:
                assert self.now < asked.due + 1e-6, "not ended in time"
        for callee in self.callees:
            for name, registration in callee.registrations.items():
                hands = list(callee.hands.values()).count(registration)
                assert hands <= LIMITS.get(name, 1000), "more in hand than the contract allows"
                rota = self.dealer._registration_map.get_observation(f"lab.{name}").extra
                (seat,) = [one for one in rota.seats if one.callee._session_id == callee.client.session]
                assert seat.in_hand >= hands
                assert 0 <= seat.awaited <= seat.in_hand

    def teardown(self) -> None:
        self.passes(5.0)
        self.passes(5.0)
        self.passes(1.0)
        for asked in self.calls.values():
            assert len(asked.answers) == 1 or asked.caller not in self.callers
        for callee in self.callees:
            hands, callee.hands = callee.hands, {}
            for request in hands:
                callee.client.send_only(YIELD, request, {}, [1])
        self.settle()
        dealer = self.dealer
        for empty in (dealer._waiting, dealer._patient, dealer._delayed, dealer._invocations, dealer._owed):
            assert not empty
        for empty in (dealer._invocations_by_call, dealer._caller_to_invocations, dealer._callee_to_invocations):
            assert not empty
        for registration in dealer._registration_map._observation_id_to_observation.values():
            for seat in registration.extra.seats:
                assert (seat.in_hand, seat.awaited) == (0, 0)
                assert not any(breaker._probing for breaker in seat.breakers.values())


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
