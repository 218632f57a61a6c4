"""Whatever clients do, they see of our broker and dealer what they see of stock Crossbar's, but for what is listed.

A state machine drives both with the same random operations and compares, after each, what every session received.
Ids are replaced by names in the order they are first seen. The differences below are deliberate: each is either
normalised away where the name in brackets stands, or not generated.

    [callee]      RESULT does not tell the caller which session answered. Stock discloses it whatever the roles say.
    [deadline]    INVOCATION tells how long the call has. Stock passes on what its caller said, if anything.
    [words]       Errors of the router say what stock's say in other words, and carry our code.
    [overloaded]  A callee at its limit: ``hopsack.overloaded``, stock ``crossbar.error.max_concurrency_reached``.
    [canceled]    A call that is canceled ends once, for every mode and every callee. Stock does not answer ``skip`` and
                  callees without call_canceling, and answers ``killnowait`` twice if the callee then leaves.
    [publication] A retained event keeps the id of its publication. Stock makes up one for each subscriber.
    [ghosts]      A subscription that everybody has left is gone. Stock keeps its id if its topic has a retained event.
    [own topics]  A pattern that merely covers the router's topics is not shown them; presence is ours alone.
    [who]         Meta events name the session that did it. Stock names ``None`` where it disconnected.
    [kicked]      A registration that is taken over has its meta events. Stock tells nobody, or when its callee leaves.
    [leaving]     Meta events tell of each registration of a session that leaves what happened to it. Stock tells of all
                  what happened to the last one it looked at (test_revocation).
    [goodbye]     GOODBYE is answered with goodbye_and_out, as the specification says.

    not generated, and each tested where it is named:
    timeouts (stock: seconds, and early); retained events with black or white lists or for patterns, empty white lists
    (test_retained); shared registrations taken over (test_revocation); limits with ``first``, ``last`` and ``random``,
    which stock does not heed; a caller that leaves, and a callee that unregisters, with a call on a limited callee in
    flight, and a progressive result of a limited callee whose call was canceled, which stock takes for its last: there
    stock leaks or miscounts the slot (test_call_ends); invalid URIs (stock closes the connection); answers of a
    session that was not asked (stock takes their errors); progressive results that nobody asked for, which stock passes
    on (test_flowing); subscription.on_create and on_delete, which stock forgets for topics with a retained event.

The suite takes the same 80 lives each time, so that what fails in one run fails in the next. By hand take others:

    AGAINST_STOCK=random pytest tests/unit/routing/test_against_stock.py     as many, at random
    python -m tests.unit.routing.test_against_stock EXAMPLES                 longer ones, and what fails is made shorter
"""

from __future__ import annotations

import os
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import crossbar.router.dealer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from .conftest import Client, Realm
from .test_call_ends import CANCEL
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, RESULT, YIELD
from .test_events import EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED

GOODBYE, UNSUBSCRIBE, UNREGISTER, UNREGISTERED, INTERRUPT = 6, 34, 66, 67, 69

URIS = {
    "exact": ["a.b.c", "a.b.d", "q.b.c"],
    "prefix": ["a.", "a.b.c", ""],
    "wildcard": ["a..c", ".b.", ".."],
}
PATTERNS = [(match, uri) for match, uris in URIS.items() for uri in uris]
META = [f"wamp.registration.{event}" for event in ("on_create", "on_register", "on_unregister", "on_delete")]
LOST = META[2:4]
META += ["wamp.subscription.on_subscribe", "wamp.subscription.on_unsubscribe"]
NAMES = ["ann", "bob", "cid"]
ROLES = ["guest", "service"]
PAYLOADS = st.sampled_from([(), ([1],), ([], {}), (["x", {"y": [None, True]}],), ([], {"k": 1.5}), ([b"\x00\xff"],)])
POLICIES = st.sampled_from(["single", "roundrobin", "first", "last", "random"])
VERBS = "exclude", "eligible"


@dataclass(eq=False)
class Both:
    """One client of both routers."""

    name: str
    ours: Client
    stock: Client
    requests: int = 0

    def __repr__(self) -> str:
        return self.name

    def next(self) -> int:
        self.requests += 1
        return self.requests


@dataclass(eq=False)
class Handle:
    """Something that both routers named: a subscription, a registration, an invocation."""

    owner: Both
    ours: int
    stock: int
    match: str = "exact"


@dataclass(eq=False)
class Work(Handle):
    """An invocation that its callee has not answered."""

    call: tuple[str, int] = ("", 0)
    is_limited: bool = False
    may_progress: bool = False


@dataclass
class Side:
    """What one router has shown so far."""

    realm: Realm
    names: dict[int, str] = field(default_factory=dict)
    named_so_far: int = 0
    watched: dict[int, str] = field(default_factory=dict)
    kicked: set[int] = field(default_factory=set)
    ends: dict[tuple[str, int], list[Any]] = field(default_factory=lambda: defaultdict(list))

    def name(self, number: int) -> str:
        if number not in self.names:
            self.named_so_far += 1
            self.names[number] = f"id{self.named_so_far}"
        return self.names[number]

    def named(self, value: Any) -> Any:
        """A payload of the router's own, without its ids and dates."""
        if isinstance(value, dict):
            return {key: self.named(one) for key, one in value.items() if key != "created"}
        if isinstance(value, list):
            return [self.named(one) for one in value]
        return self.name(value) if type(value) is int and value > 1 << 16 else value


class Against(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ours, self.stock = Side(Realm.ours()), Side(Realm.stock())
        self.clients: list[Both] = []
        self.joined = 0
        self.subscribed_to = ""
        self.subscriptions: list[Handle] = []
        self.registrations: list[Handle] = []
        self.policies: dict[tuple[str, str], tuple[str, list[Both]]] = {}
        self.limited: set[Both] = set()
        self.works: list[Work] = []
        self.calls: list[tuple[Both, int]] = []
        self.canceled: set[tuple[str, int]] = set()
        self.dice = random.Random(), random.Random()  # for the policy "random"
        dealer: Any = self.ours.realm.node.router._dealer
        dealer.random = self.dice[0]
        self.patched = patch.object(crossbar.router.dealer, "random", self.dice[1])
        self.patched.start()

    # ---- what happens ---------------------------------------------------------------------------------------------

    @initialize(
        cancels=st.tuples(st.booleans(), st.booleans()),
        pattern=st.sampled_from(PATTERNS),
        policy=POLICIES,
        limit=st.sampled_from([None, 1, 2]),
    )
    def begin(self, cancels: tuple[bool, bool], pattern: tuple[str, str], policy: str, limit: int | None) -> None:
        for name, role, can_cancel in zip(NAMES, ROLES, cancels, strict=False):
            self.join(name, role, can_cancel)
            self.register(len(self.clients) - 1, pattern, policy, limit, 1)

    @precondition(lambda self: len(self.clients) < 5)
    @rule(authid=st.sampled_from(NAMES), role=st.sampled_from(ROLES), can_cancel=st.booleans())
    def join(self, authid: str, role: str, can_cancel: bool) -> None:
        self.joined += 1
        features = {"features": {"call_canceling": can_cancel}}
        roles = {"publisher": {}, "subscriber": {}, "caller": features, "callee": features}
        ours, stock = (side.realm.join(role, authid, roles=roles) for side in (self.ours, self.stock))
        client = Both(f"client{self.joined}", ours, stock)
        self.ours.names[ours.session] = self.stock.names[stock.session] = client.name
        self.clients.append(client)
        self.compare()

    @precondition(lambda self: len(self.clients) > 2)
    @rule(n=st.integers(0, 9), politely=st.booleans())
    def leave(self, n: int, politely: bool) -> None:
        client = self.pick(self.clients, n)
        mine = {(who.name, request) for who, request in self.calls if who is client}
        if any(work.is_limited and work.call in mine for work in self.works):
            return
        self.clients.remove(client)
        for one in (client.ours, client.stock):
            if politely:
                one.send(GOODBYE, {}, "wamp.close.normal")
            one.leave()
        self.forget(client)
        self.compare(leaving=True)

    @precondition(lambda self: self.clients)
    @rule(n=st.integers(0, 9), pattern=st.sampled_from(PATTERNS), get_retained=st.booleans())
    def subscribe(self, n: int, pattern: tuple[str, str], get_retained: bool) -> None:
        match, topic = pattern
        self.subscribed_to = f"{match} {topic}"
        options = {"match": match} | ({"get_retained": True} if get_retained and match == "exact" else {})
        self.tell(self.pick(self.clients, n), SUBSCRIBE, options, topic, match=match)

    @precondition(lambda self: self.clients)
    @rule(n=st.integers(0, 9), topic=st.sampled_from(META))
    def watch(self, n: int, topic: str) -> None:
        client = self.pick(self.clients, n)
        if client.ours.details["authrole"] == "service":
            self.subscribed_to = topic
            self.tell(client, SUBSCRIBE, {}, topic)

    @precondition(lambda self: self.subscriptions and self.clients)
    @rule(n=st.integers(0, 99), other=st.integers(0, 39))
    def unsubscribe(self, n: int, other: int) -> None:
        """Mostly its own, at times another's, or again."""
        handle = self.pick(self.subscriptions, n)
        client = handle.owner if other > 4 else self.pick(self.clients, other)
        if other > 9:
            self.subscriptions.remove(handle)
        self.tell(client, UNSUBSCRIBE, handle)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), topic=st.sampled_from(URIS["exact"]), payload=PAYLOADS, n=st.integers(0, 9))
    def publish(self, data: st.DataObject, topic: str, payload: Any, n: int) -> None:
        options: dict[str, Any] = data.draw(
            st.fixed_dictionaries({}, optional={"acknowledge": st.booleans(), "exclude_me": st.booleans()})
        )
        if data.draw(st.booleans()):
            options["retain"] = True
        else:
            some = {
                "": st.sampled_from(self.clients),
                "_authid": st.sampled_from(NAMES),
                "_authrole": st.sampled_from(ROLES),
            }
            lists = {f"{verb}{of}": st.lists(one, min_size=1, max_size=3) for of, one in some.items() for verb in VERBS}
            options |= data.draw(st.fixed_dictionaries({}, optional=lists))
        self.tell(self.pick(self.clients, n), PUBLISH, options, topic, *payload)

    @precondition(lambda self: self.clients)
    @rule(
        n=st.integers(0, 9),
        pattern=st.sampled_from(PATTERNS),
        invoke=POLICIES,
        limit=st.sampled_from([None, None, 1, 2]),
        force=st.integers(0, 4),
    )
    def register(self, n: int, pattern: tuple[str, str], invoke: str, limit: int | None, force: int) -> None:
        client, (match, uri) = self.pick(self.clients, n), pattern
        options: dict[str, Any] = {"match": match, "invoke": invoke}
        _, callees = self.policies.get(pattern, (invoke, []))
        if limit and invoke in ("single", "roundrobin") and client not in callees:
            options["concurrency"] = limit
            self.limited.add(client)
        if not force and len(callees) <= 1:
            options["force_reregister"] = True
        self.tell(client, REGISTER, options, uri, match=match)

    @precondition(lambda self: self.registrations and self.clients)
    @rule(n=st.integers(0, 99), other=st.integers(0, 39))
    def unregister(self, n: int, other: int) -> None:
        handle = self.pick(self.registrations, n)
        client = handle.owner if other > 4 else self.pick(self.clients, other)
        if not any(one.is_limited and one.owner is client for one in self.works):
            if other > 9:
                self.registrations.remove(handle)
            self.tell(client, UNREGISTER, handle)

    @precondition(lambda self: self.clients)
    @rule(
        n=st.integers(0, 9),
        uri=st.sampled_from(URIS["exact"]),
        payload=PAYLOADS,
        progress=st.booleans(),
        seed=st.integers(0, 9),
    )
    def call(self, n: int, uri: str, payload: Any, progress: bool, seed: int) -> None:
        client = self.pick(self.clients, n)
        self.calls.append((client, client.requests + 1))
        self.tell(client, CALL, {"receive_progress": True} if progress else {}, uri, *payload, seed=seed)

    @precondition(lambda self: self.clients)
    @rule(n=st.integers(0, 9), uri=st.sampled_from(URIS["exact"]), times=st.integers(2, 4), seed=st.integers(0, 9))
    def exchange(self, n: int, uri: str, times: int, seed: int) -> None:
        """Calls and answers in a row: where callees take turns, and have their limits."""
        for number in range(times):
            self.call(n, uri, ([number],), False, seed)
            if self.works and number % 2:
                self.answer(len(self.works) - 1, ([number],), False)

    @precondition(lambda self: self.works)
    @rule(n=st.integers(0, 99), payload=PAYLOADS, progress=st.integers(0, 3).map(lambda n: not n))
    def answer(self, n: int, payload: Any, progress: bool) -> None:
        work = self.pick(self.works, n)
        if progress and (not work.may_progress or (work.is_limited and work.call in self.canceled)):
            return
        if not progress:
            self.works.remove(work)
        self.say(work.owner, YIELD, work, {"progress": True} if progress else {}, *payload)
        self.compare()

    @precondition(lambda self: self.works)
    @rule(n=st.integers(0, 99), payload=PAYLOADS)
    def fail(self, n: int, payload: Any) -> None:
        work = self.pick(self.works, n)
        self.works.remove(work)
        self.say(work.owner, ERROR, INVOCATION, work, {}, "com.example.broken", *payload)
        self.compare()

    @precondition(lambda self: self.calls)
    @rule(n=st.integers(0, 99), mode=st.sampled_from(["skip", "kill", "killnowait"]))
    def cancel(self, n: int, mode: str) -> None:
        client, request = self.pick(self.calls, n)
        if client in self.clients:
            if any(work.call == (client.name, request) for work in self.works):
                self.canceled.add((client.name, request))
            self.say(client, CANCEL, request, {"mode": mode})
            self.compare()

    def teardown(self) -> None:
        """Every call that was canceled ended once, and as it did on stock if it ended there."""
        for client in list(self.clients):
            for one in (client.ours, client.stock):
                one.leave()
            self.clients.remove(client)
            self.compare(leaving=True)
        self.patched.stop()
        for call in self.canceled:
            ours, stock = self.ours.ends[call], self.stock.ends[call]
            assert len(ours) <= 1, ours
            assert ours[:1] == stock[:1] or not ours or not stock, (call, ours, stock)

    # ---- how it is said -------------------------------------------------------------------------------------------

    def pick(self, some: list[Any], n: int) -> Any:
        return some[n % len(some)]

    def tell(self, client: Both, kind: int, *message: Any, match: str = "exact", seed: int = 0) -> None:
        """Make a request, and note what it was given."""
        request = client.next()
        for dice in self.dice:
            dice.seed(seed)
        self.say(client, kind, request, *message)
        self.compare(asked=(client, match, message))

    def say(self, client: Both, *message: Any) -> None:
        for which, one in (("ours", client.ours), ("stock", client.stock)):
            one.send_only(*(self.translated(part, which) for part in message))

    def translated(self, part: Any, which: str) -> Any:
        if isinstance(part, Handle):
            return getattr(part, which)
        if isinstance(part, Both):
            return getattr(part, which).session
        if isinstance(part, list):
            return [self.translated(one, which) for one in part]
        if isinstance(part, dict):
            return {key: self.translated(one, which) for key, one in part.items()}
        return part

    # ---- what is seen ---------------------------------------------------------------------------------------------

    def compare(self, asked: Any = None, leaving: bool = False) -> None:
        received = [(client, client.ours.take(), client.stock.take()) for client in self.clients]
        for _, *both in received:
            for side, messages in zip((self.ours, self.stock), both, strict=True):
                side.kicked |= {message[2]["registration"] for message in of(UNREGISTERED, messages) if not message[1]}
                side.names |= {message[2]: self.subscribed_to for message in of(SUBSCRIBED, messages)}  # [ghosts]
        for client, *both in received:
            ours, theirs = (
                self.seen(side, client, messages, leaving)
                for side, messages in zip((self.ours, self.stock), both, strict=True)
            )
            assert ours == theirs, f"{client.name} saw\n{ours}\n  on stock\n{theirs}"
            self.note(client, both[0], both[1], asked)

    def seen(self, side: Side, client: Both, messages: list[Any], leaving: bool) -> tuple[list[Any], list[str]]:
        """What a client received, normalised: in its order, but for meta events, whose order is a set's on stock."""
        plain, meta = [], []
        for message in messages:
            topic = side.watched.get(message[1]) if message[0] == EVENT else None
            if topic is None:
                plain.append(self.plain(side, client, message))
            elif not (number_of(message[4][-1]) in side.kicked or (leaving and topic in LOST)):  # [kicked], [leaving]
                meta.append(repr([topic, side.named(message[4][1:])]))  # [who]
        return [one for one in plain if one is not None], sorted(meta)

    def plain(self, side: Side, client: Both, message: Any) -> Any:
        match message:
            case [36, subscription, publication, details, *payload]:
                return self.event(side, subscription, publication, details, payload)
            case [68, request, registration, details, *payload]:
                details = {key: one for key, one in details.items() if key != "timeout"}  # [deadline]
                return [INVOCATION, request, side.name(registration), side.named(details), padded(payload)]
            case [50, request, details, *payload]:
                details = {key: one for key, one in details.items() if not key.startswith("callee")}  # [callee]
                end = [RESULT, request, details, padded(payload)]
                return self.end(side, client, request, end)
            case [8, 48, request, _, uri, *payload]:
                return self.end(side, client, request, [ERROR, CALL, request, *error(uri, payload)])
            case [8, kind, request, _, uri, *payload]:
                return [ERROR, kind, request, *error(uri, payload)]
            case [6, *_]:
                return None  # [goodbye]
            case [33, request, subscription]:
                if self.subscribed_to in META:
                    side.watched[subscription] = self.subscribed_to
                return [SUBSCRIBED, request, side.name(subscription)]
            case [kind, request, number] if kind in (PUBLISHED, REGISTERED):
                return [kind, request, side.name(number)]
        return side.named(message)

    def event(self, side: Side, subscription: int, publication: int, details: Any, payload: Any) -> Any:
        topic = details.get("topic", "")
        if topic.startswith(("wamp.", "presence.")):
            return None  # [own topics]
        name = "old" if details.get("retained") else side.name(publication)  # [publication]
        return [EVENT, side.name(subscription), name, side.named(details), padded(payload)]

    def end(self, side: Side, client: Both, request: int, end: list[Any]) -> Any:
        if (client.name, request) not in self.canceled:
            return end
        if not (end[0] == RESULT and end[2].get("progress")):
            side.ends[client.name, request].append(end)  # [canceled]
        return None

    def note(self, client: Both, ours: list[Any], stock: list[Any], asked: Any) -> None:
        """Remember what both routers named."""
        for mine, theirs in zip(of(INVOCATION, ours), of(INVOCATION, stock), strict=True):
            caller = next(one for one in (*self.clients, client) if one.ours.session == mine[3]["caller"])
            call = (caller.name, caller.requests)
            is_limited, may_progress = client in self.limited, "receive_progress" in mine[3]
            self.works.append(Work(client, mine[1], theirs[1], "", call, is_limited, may_progress))
        for kind, known in ((SUBSCRIBED, self.subscriptions), (REGISTERED, self.registrations)):
            for mine, theirs in zip(of(kind, ours), of(kind, stock), strict=True):
                _, match, message = asked
                known[:] = [one for one in known if one.ours == mine[2] or one.stock != theirs[2]]  # [ghosts]
                if not any(one.owner is client and one.ours == mine[2] for one in known):
                    known.append(Handle(client, mine[2], theirs[2], match))
                if kind == REGISTERED:
                    self.registered(client, match, message)

    def registered(self, client: Both, match: str, message: Any) -> None:
        options, uri = message
        key = (match, uri)
        _, callees = self.policies.get(key, ("", []))
        callees = [] if options.get("force_reregister") else [one for one in callees if one in self.clients]
        self.policies[key] = options["invoke"], [*callees, client]

    def forget(self, client: Both) -> None:
        self.works = [work for work in self.works if work.owner is not client]
        self.calls = [call for call in self.calls if call[0] is not client]
        self.subscriptions = [one for one in self.subscriptions if one.owner is not client]
        self.registrations = [one for one in self.registrations if one.owner is not client]


def of(kind: int, messages: list[Any]) -> list[Any]:
    return [message for message in messages if message[0] == kind]


def number_of(fact: Any) -> int:
    """The id that a meta event is about."""
    return int(fact["id"] if isinstance(fact, dict) else fact)


def padded(payload: list[Any]) -> list[Any]:
    """Arguments and keyword arguments; what is empty may as well be left out."""
    args, kwargs = [*payload, None, None][:2]
    return [args or [], kwargs or {}]


def error(uri: str, payload: list[Any]) -> list[Any]:
    if uri in ("crossbar.error.max_concurrency_reached", "hopsack.overloaded"):
        return ["overloaded"]  # [overloaded]
    return [uri, *padded(payload)] if uri.startswith("com.") else [uri]  # [words]


TestAgainstStock = Against.TestCase
TestAgainstStock.settings = settings(
    max_examples=80,
    derandomize=os.environ.get("AGAINST_STOCK") != "random",
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes: see the long run
)


if __name__ == "__main__":
    long = settings(
        TestAgainstStock.settings,
        max_examples=int(sys.argv[1]),
        derandomize=False,
        stateful_step_count=60,
        phases=list(Phase),
    )
    run_state_machine_as_test(Against, settings=long)
