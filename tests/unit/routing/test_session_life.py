"""Sessions that refresh, expire, are ended and revoked: a realm in memory, WAMP clients, a clock turned by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp import message
from twisted.internet.defer import Deferred

from hopsack.contracts import load
from hopsack.errors import LoginRequired
from hopsack_router.access.identity import Identity
from hopsack_router.access.limits import Rules, read, with_numbers
from hopsack_router.access.meters import Limits
from hopsack_router.doors.wamp import WampFormat
from hopsack_router.embed import EmbeddedLink
from hopsack_router.routing import joining, limiting
from hopsack_router.session_life import MOST_AT_ONCE

from .conftest import Client, Realm
from .test_calls import CALL, ERROR, INVOCATION, REGISTER, REGISTERED, RESULT, YIELD
from .test_events import EVENT, PUBLISH, SUBSCRIBE, SUBSCRIBED

GOODBYE, UNSUBSCRIBED, UNREGISTERED = 6, 35, 67
CONTRACTS = """
topics:
  lab.open:
    summary: For everybody.
    payload: {type: integer}
    publish: [guest, user, service]
    subscribe: [guest, user, service]
  lab.ops:
    summary: For those who look after it.
    payload: {type: integer}
    publish: [service]
    subscribe: ['group:ops']
  lab.team.{team}:
    summary: For a team.
    payload: {type: integer}
    publish: [service]
    subscribe: ['group:{team}']
  lab.told:
    summary: Kept, for those who look after it.
    payload: {type: integer}
    stream: {keep: 100}
    publish: [service]
    subscribe: ['group:ops']
  lab.light:
    summary: Newest values, for those who look after it.
    payload: {type: object, required: [room], properties: {room: {type: integer}}}
    latest: room
    publish: [service]
    subscribe: ['group:ops']
procedures:
  lab.double:
    summary: Twice a number.
    input: {type: integer}
    output: {type: integer}
    register: ['group:ops']
    call: [guest, user, service]
"""
OURS = "hopsack-test/1"


class Tokens:
    """Who the bearer of a token is. A token is a name here; what it says comes at once, or when it is told to."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.known: dict[str, Identity] = {}
        self.waiting: dict[str, Deferred[Identity]] = {}
        self._now = now

    def issue(self, token: str, subject: str = "ann", role: str = "user", **facts: Any) -> Identity:
        groups = frozenset(facts.pop("groups", ()))
        issued = facts.pop("issued", self._now())
        self.known[token] = Identity(subject, role, groups, proof="token", issued=issued, **facts)
        return self.known[token]

    def later(self, token: str) -> Deferred[Identity]:
        self.waiting[token] = Deferred()
        return self.waiting[token]

    def identify(self, token: str) -> Any:
        if token in self.waiting:
            return self.waiting[token]
        if token not in self.known:
            raise LoginRequired("the token is not one this node accepts")
        return self.known[token]


class World:
    def __init__(self, folder: Path) -> None:
        (folder / "lab.yaml").write_text(CONTRACTS)
        self.realm = Realm.ours(load(folder))
        self.clock = self.realm.clock
        self.clock.advance(1_700_000_000)
        self.tokens = Tokens(self.clock.seconds)
        self.noted: list[tuple[str, dict[str, Any]]] = []
        self.factory: Any = self.realm.node.router._factory
        self.factory.logins = self.tokens
        self.router.audit = self.factory.audit = self

    def note(self, event: str, **facts: Any) -> None:
        self.noted.append((event, facts))

    @property
    def router(self) -> Any:
        return self.realm.node.router

    def events(self) -> list[str]:
        return [event for event, _ in self.noted]

    def join(self, token: str, agent: str | None = OURS) -> Client:
        """Somebody with a token, as the doors let him in."""
        who = self.tokens.known[token]
        client = self.realm.join(who.role, who.subject, agent)
        session = self.router._session_id_to_session[client.session]
        session.identity = who
        self.router.life.begin(session)
        return client

    def operator(self) -> Client:
        return self.realm.join("operator", "op")

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.realm.turn()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def call(client: Client, procedure: str, given: Any = None, number: int = 9) -> list[list[Any]]:
    return client.send(CALL, number, {}, procedure, *([] if given is None else [[given]]))


def answer(client: Client, procedure: str, given: Any = None) -> Any:
    (result,) = call(client, procedure, given)
    assert result[0] == RESULT, result
    return result[3][0] if len(result) > 3 else None


def refusal(client: Client, procedure: str, given: Any = None) -> str:
    (error,) = call(client, procedure, given)
    assert error[0] == ERROR, error
    return str(error[6]["code"])


def refresh(client: Client, token: str) -> list[list[Any]]:
    return call(client, "hopsack.session.refresh", {"token": token})


# ---- who one is ----------------------------------------------------------------------------------------------------


def test_whoami_says_what_the_node_takes_one_for(world: World) -> None:
    world.tokens.issue("t", groups=["ops", "dev"], tenant="acme", expires=world.clock.seconds() + 60)
    ann = world.join("t")

    assert answer(ann, "hopsack.session.whoami") == {
        "session": ann.session,
        "subject": "ann",
        "role": "user",
        "groups": ["dev", "ops"],
        "tenant": "acme",
        "proof": "token",
        "expires": world.clock.seconds() + 60,
        "door": "wamp-rawsocket",
    }


# ---- refresh -------------------------------------------------------------------------------------------------------


def with_everything(world: World, token: str, agent: str | None = OURS) -> tuple[Client, dict[int, str]]:
    """Somebody who reads all there is, and serves."""
    ann = world.join(token, agent)
    numbers = {}
    wanted = [("lab.open", {}), ("lab.ops", {}), ("lab.team.red", {}), ("lab.team.", {"match": "prefix"})]
    for request, (topic, options) in enumerate(wanted, 1):
        (granted,) = ann.send(SUBSCRIBE, request, options, topic)
        if granted[0] == SUBSCRIBED:
            numbers[granted[2]] = topic
    (registered,) = ann.send(REGISTER, 7, {}, "lab.double")
    assert registered[0] == REGISTERED
    return ann, numbers


def test_what_a_newer_token_does_not_allow_ends_one_by_one_with_a_reason(world: World) -> None:
    world.tokens.issue("old", groups=["ops", "red"])
    world.tokens.issue("new", groups=["red"])
    ann, numbers = with_everything(world, "old")
    service = world.realm.join("service", "s")

    *told, result = refresh(ann, "new")

    assert [(one[0], one[1]) for one in told] == [(UNSUBSCRIBED, 0), (UNREGISTERED, 0)]
    assert numbers[told[0][2]["subscription"]] == "lab.ops"
    assert all(one[2]["reason"] == "wamp.error.not_authorized" for one in told)
    assert all(one[2]["x_hopsack_error"]["code"] == "hopsack.denied" for one in told)
    ended = result[3][0].pop("ended")
    assert result[3][0] == {"expires": None, "kept": 2}
    assert [(one["kind"], one["uri"], one["match"]) for one in ended] == [
        ("subscription", "lab.ops", "exact"),
        ("registration", "lab.double", "exact"),
    ]
    assert all(one["reason"] for one in ended)
    for number, topic in enumerate(("lab.open", "lab.ops", "lab.team.red"), 1):
        service.send(PUBLISH, number, {}, topic, [number])
    assert [one[4] for one in ann.take() if one[0] == EVENT] == [[1], [3]]
    assert service.send(CALL, 9, {}, "lab.double", [1])[0][4] == "wamp.error.no_such_procedure"


def test_a_token_that_says_the_same_keeps_everything(world: World) -> None:
    for token in ("old", "new"):
        world.tokens.issue(token, groups=["ops"], expires=world.clock.seconds() + 60)
    ann, _ = with_everything(world, "old")

    (result,) = refresh(ann, "new")

    assert result[3][0] == {"expires": world.clock.seconds() + 60, "kept": 3, "ended": []}
    assert world.events()[-1] == "refreshed"


def test_more_may_be_allowed_afterwards(world: World) -> None:
    world.tokens.issue("old")
    world.tokens.issue("new", groups=["ops"])
    ann = world.join("old")
    (refused,) = ann.send(SUBSCRIBE, 1, {}, "lab.ops")

    refresh(ann, "new")

    assert refused[0] == ERROR
    assert ann.send(SUBSCRIBE, 2, {}, "lab.ops")[0][0] == SUBSCRIBED


def test_another_role_counts_everywhere(world: World) -> None:
    world.tokens.issue("old")
    world.tokens.issue("new", role="service")
    ann = world.join("old")
    watcher = world.operator()

    refresh(ann, "new")

    assert answer(ann, "hopsack.session.whoami")["role"] == "service"
    members = {one["session"]: one["role"] for one in answer(watcher, "presence.list")["members"]}
    assert members[ann.session] == "service"
    assert answer(watcher, "presence.list")["roles"] == {"operator": 1, "service": 1}
    assert watcher.send(CALL, 1, {}, "wamp.session.list", [["service"]])[0][3] == [[ann.session]]
    ann.leave()
    assert answer(watcher, "presence.list")["roles"] == {"operator": 1}


@pytest.mark.parametrize("agent", [None, "some-client/1"])
def test_a_stock_client_is_not_told_what_it_may_not_understand(world: World, agent: str | None) -> None:
    world.tokens.issue("old", groups=["ops"])
    world.tokens.issue("new")
    ann, _ = with_everything(world, "old", agent)

    told = refresh(ann, "new")

    assert [one[0] for one in told] == [UNREGISTERED, RESULT]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nobody's", "hopsack.login_required"),
        ("bob's", "hopsack.denied"),
        ("older", "hopsack.bad_request"),
        ("revoked", "hopsack.revoked"),
    ],
)
def test_a_token_that_is_no_good_changes_nothing(world: World, token: str, code: str) -> None:
    now = world.clock.seconds()
    world.tokens.issue("old", groups=["ops"], issued=now, expires=now + 60)
    world.tokens.issue("bob's", subject="bob")
    world.tokens.issue("older", issued=now - 1)
    world.tokens.issue("revoked", issued=now)
    ann, _ = with_everything(world, "old")
    if token == "revoked":
        world.factory.revocations.revoke("ann")

    assert refusal(ann, "hopsack.session.refresh", {"token": token}) == code
    assert answer(ann, "hopsack.session.whoami")["groups"] == ["ops"]


def test_a_guest_cannot_become_somebody(world: World) -> None:
    world.tokens.issue("ann's")
    guest = world.realm.join("guest", "guest-1")

    assert refusal(guest, "hopsack.session.refresh", {"token": "ann's"}) == "hopsack.denied"


def test_of_two_that_cross_the_newer_one_stays(world: World) -> None:
    now = world.clock.seconds()
    world.tokens.issue("old", issued=now)
    ann = world.join("old")
    first, second = world.tokens.later("first"), world.tokens.later("second")
    ann.send_only(CALL, 1, {}, "hopsack.session.refresh", [{"token": "first"}])
    ann.send_only(CALL, 2, {}, "hopsack.session.refresh", [{"token": "second"}])

    second.callback(Identity("ann", "user", frozenset(("ops",)), proof="token", issued=now + 2))
    first.callback(Identity("ann", "user", frozenset(("old",)), proof="token", issued=now + 1))

    assert {one[1 if one[0] == RESULT else 2]: one[0] for one in ann.take()} == {1: ERROR, 2: RESULT}
    assert answer(ann, "hopsack.session.whoami")["groups"] == ["ops"]


NEVER = None


@pytest.mark.parametrize(
    ("known", "newer", "is_taken"),
    [
        ((10, 60), (11, 60), True),
        ((10, 60), (10, 50), True),
        ((10, 60), (9, 90), False),
        ((10, 60), (NEVER, 90), False),
        ((10, NEVER), (NEVER, NEVER), False),
        ((NEVER, 60), (1, 50), True),
        ((NEVER, 60), (NEVER, 90), True),
        ((NEVER, 60), (NEVER, 60), True),
        ((NEVER, 60), (NEVER, 50), False),
        ((NEVER, 60), (NEVER, NEVER), True),
        ((NEVER, NEVER), (NEVER, 60), True),
    ],
)
def test_an_older_token_never_takes_the_place_of_a_newer_one(
    world: World, known: tuple[Any, Any], newer: tuple[Any, Any], is_taken: bool
) -> None:
    """Each is when it was issued, and when it expires, in seconds from some moment: a token may leave out either."""
    start = world.clock.seconds() - 20
    for name, groups, (issued, expires) in (("known", ["ops"], known), ("newer", ["red"], newer)):
        moments = {"issued": issued and start + issued, "expires": expires and start + expires}
        world.tokens.issue(name, groups=groups, **moments)
    ann = world.join("known")

    (told,) = refresh(ann, "newer")

    assert told[0] == (RESULT if is_taken else ERROR)
    assert answer(ann, "hopsack.session.whoami")["groups"] == (["red"] if is_taken else ["ops"])


def test_newer_tokens_that_are_no_good_count_as_failed_logins(world: World) -> None:
    limits = world.factory.limits = Limits(Rules(), world.clock.seconds)
    world.tokens.issue("t")
    world.tokens.issue("newer")
    ann = world.join("t")

    codes = [refusal(ann, "hopsack.session.refresh", {"token": f"guess {number}"}) for number in range(13)]
    (told,) = call(ann, "hopsack.session.refresh", {"token": "one more"})
    waits = limits.may_try("ann", "")

    assert codes == ["hopsack.login_required"] * 10 + ["hopsack.rate_limited"] * 3
    assert 0 < told[6]["data"]["retry_after"] <= 6
    assert waits > 0  # whoever logs in as ann from there waits, too
    assert limits.may_try("bob", "") == 0
    assert refresh(ann, "newer")[-1][0] == RESULT  # a good one is never refused for that
    assert [event for event in world.events() if event == "refresh_refused"] == ["refresh_refused"] * 14
    assert "rate_limited" in world.events()


def test_refreshes_count_what_logins_failed_at(world: World) -> None:
    limits = world.factory.limits = Limits(Rules(), world.clock.seconds)
    world.tokens.issue("t")
    ann = world.join("t")
    for _ in range(11):
        limits.failed("ann", "")

    assert refusal(ann, "hopsack.session.refresh", {"token": "a guess"}) == "hopsack.rate_limited"
    world.advance(3600)
    assert refusal(ann, "hopsack.session.refresh", {"token": "a guess"}) == "hopsack.login_required"


def test_guests_guess_out_of_one_purse(world: World) -> None:
    world.factory.limits = Limits(Rules(), world.clock.seconds)
    codes = []
    for number in range(12):
        guest = world.realm.join("guest", f"guest-{number}")
        world.router._session_id_to_session[guest.session]._authmethod = "anonymous"
        codes.append(refusal(guest, "hopsack.session.refresh", {"token": "a guess"}))

    assert codes == ["hopsack.login_required"] * 10 + ["hopsack.rate_limited"] * 2


def test_no_session_fills_the_row_of_tokens_that_are_looked_at(world: World) -> None:
    world.tokens.issue("old")
    world.tokens.issue("good")
    ann, bob = world.join("old"), world.join("old")
    names = [f"slow {number}" for number in range(MOST_AT_ONCE)]
    coming = [world.tokens.later(name) for name in names]
    for number, name in enumerate(names):
        ann.send_only(CALL, number + 1, {}, "hopsack.session.refresh", [{"token": name}])

    assert refusal(ann, "hopsack.session.refresh", {"token": "good"}) == "hopsack.too_many"
    assert refresh(bob, "good")[-1][0] == RESULT
    for one in coming:
        one.errback(LoginRequired("the token is not one this node accepts"))
    ann.take()
    assert refresh(ann, "good")[-1][0] == RESULT
    assert not world.router.life._under_way


def test_another_role_fills_no_bucket(world: World) -> None:
    world.factory.limits = Limits(Rules(read("calls.connection=1/s burst 5")), world.clock.seconds)
    for name, role in (("user", "user"), ("guest", "guest")):
        world.tokens.issue(name, role=role)
    ann = world.join("user")

    codes: list[Any] = []
    for token in ("guest", "user", "guest", "user"):
        answers = [call(ann, "hopsack.session.whoami") for _ in range(4)]
        codes.append([one[0][0] for one in answers])
        refresh(ann, token)

    assert codes == [[RESULT] * 4, [RESULT] * 4, [ERROR] * 4, [ERROR] * 4]


def test_the_size_of_messages_follows_role_and_limits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = world.factory.limits = Limits(Rules(), world.clock.seconds)
    world.tokens.issue("service", role="service")
    world.tokens.issue("user")
    sizes: list[int] = []
    monkeypatch.setattr(EmbeddedLink, "takes", lambda self, size: sizes.append(size))
    ann = world.join("service")

    refresh(ann, "user")
    limits.rules.set(with_numbers("payload.connection", None, None, 1000, "live"))
    limits.renew()
    limiting.again(world.router, limits)

    assert sizes == [16 << 20, 1 << 20, 1000]


def test_who_is_revoked_while_its_newer_token_is_looked_at_is_out(world: World) -> None:
    world.tokens.issue("old")
    ann = world.join("old")
    found = world.tokens.later("new")
    refresh(ann, "new")

    answer(world.operator(), "hopsack.access.revoke", {"subject": "ann"})
    found.callback(Identity("ann", "user", proof="token", issued=world.clock.seconds()))
    world.realm.turn()

    assert [one[0] for one in ann.take()] == [GOODBYE]
    assert "refreshed" not in world.events()


def test_who_leaves_while_its_newer_token_is_looked_at_is_gone(world: World) -> None:
    world.tokens.issue("old")
    ann = world.join("old")
    found = world.tokens.later("new")
    refresh(ann, "new")

    ann.leave()
    found.callback(Identity("ann", "user", proof="token", expires=world.clock.seconds() + 1))
    world.realm.turn()

    assert "refreshed" not in world.events()
    assert len(world.router.life._lives) == 0


# ---- what waits ------------------------------------------------------------------------------------------------------


def stop_reading(world: World, client: Client) -> None:
    client._link.pauseProducing()


def read_on(world: World, client: Client) -> list[Any]:
    client._link.resumeProducing()
    for _ in range(20):
        world.realm.turn()
        client._link.flush()
    return [one[4][0] for one in client.take() if one[0] == EVENT and len(one) > 4]


@pytest.mark.parametrize("topic", ["lab.ops", "lab.told", "lab.light"])
@pytest.mark.parametrize("match", ["exact", "prefix"])
def test_what_waits_for_a_slow_reader_does_not_leave_any_more(world: World, topic: str, match: str) -> None:
    world.tokens.issue("old", groups=["ops"])
    world.tokens.issue("new")
    ann, service = world.join("old"), world.realm.join("service", "s")
    pattern = topic if match == "exact" else topic[:-1]
    for number, one in enumerate((pattern, "lab.open"), 1):
        (granted, *_) = ann.send(SUBSCRIBE, number, {"match": match if one == pattern else "exact"}, one)
        assert granted[0] == SUBSCRIBED
    stop_reading(world, ann)
    for number in range(5):
        payload = {"room": number} if topic == "lab.light" else number
        service.send(PUBLISH, number + 1, {"acknowledge": True}, topic, [payload])
        service.send(PUBLISH, 100 + number, {"acknowledge": True}, "lab.open", [100 + number])

    refresh(ann, "new")

    assert read_on(world, ann) == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("each", [True, False], ids=["each subscription its events", "each event once"])
def test_what_another_subscription_still_covers_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, each: bool
) -> None:
    """WAMP clients get an event for each subscription that covers it, those of the raw door one."""
    monkeypatch.setattr(WampFormat, "per_subscription", each)
    world.tokens.issue("old", groups=["ops"])
    world.tokens.issue("new")
    ann, service = world.join("old"), world.realm.join("service", "s")
    ann.send(SUBSCRIBE, 1, {"match": "prefix"}, "lab.op")
    ann.send(SUBSCRIBE, 2, {}, "lab.open")
    stop_reading(world, ann)
    service.send(PUBLISH, 1, {}, "lab.ops", [1])
    service.send(PUBLISH, 2, {}, "lab.open", [2])

    refresh(ann, "new")

    assert read_on(world, ann) == [2]


def test_a_stream_that_is_being_read_back_stops(world: World) -> None:
    world.tokens.issue("old", groups=["ops"])
    world.tokens.issue("new")
    service = world.realm.join("service", "s")
    for number in range(50):
        service.send(PUBLISH, number + 1, {"acknowledge": True}, "lab.told", [number])
    ann = world.join("old")
    stop_reading(world, ann)
    ann.send_only(SUBSCRIBE, 1, {"x_hopsack_after": "", "x_hopsack_granted": True}, "lab.told")

    refresh(ann, "new")

    assert read_on(world, ann) == []


def test_who_waits_with_a_subscription_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tokens.issue("old", groups=["ops"])
    world.tokens.issue("new")
    ann = world.join("old")
    session = world.router._session_id_to_session[ann.session]
    monkeypatch.setattr(type(ann._link), "is_showing_much", True)
    put_off: list[Any] = []
    monkeypatch.setattr(type(ann._link), "put_off", lambda self, step, until: put_off.append(step))
    ann.send_only(SUBSCRIBE, 1, {}, "lab.ops")

    session.renew(world.tokens.known["new"])
    monkeypatch.setattr(type(ann._link), "is_showing_much", False)
    (step,) = put_off
    step()

    (refused,) = ann.take()
    assert refused[:3] == [ERROR, SUBSCRIBE, 1]


# ---- expiry --------------------------------------------------------------------------------------------------------


def test_a_session_ends_a_grace_after_its_token(world: World) -> None:
    world.tokens.issue("t", expires=world.clock.seconds() + 60)
    ann = world.join("t")

    world.advance(69.9)
    before = ann.take()
    world.advance(0.2)

    assert before == []
    assert ann.take() == [[GOODBYE, {"message": "the token has expired, and no newer one has come"}, "hopsack.expired"]]
    (ended,) = [facts for event, facts in world.noted if event == "ended"]
    assert (ended["subject"], ended["reason"]) == ("ann", "hopsack.expired")


def test_a_refresh_in_the_grace_is_in_time(world: World) -> None:
    world.tokens.issue("old", expires=world.clock.seconds() + 60)
    ann = world.join("old")
    world.advance(65)
    world.tokens.issue("new", expires=world.clock.seconds() + 60)

    (result,) = refresh(ann, "new")
    world.advance(69)

    assert result[0] == RESULT
    assert ann.take() == []
    world.advance(2)
    assert [one[2] for one in ann.take()] == ["hopsack.expired"]


def test_a_token_for_ever_ends_the_count(world: World) -> None:
    world.tokens.issue("old", expires=world.clock.seconds() + 60)
    world.tokens.issue("new")
    ann = world.join("old")

    refresh(ann, "new")
    world.advance(1_000_000)

    assert ann.take() == []


def test_who_has_left_is_not_ended(world: World) -> None:
    world.tokens.issue("t", expires=world.clock.seconds() + 60)
    world.join("t").leave()

    world.advance(100)

    assert "ended" not in world.events()
    assert len(world.router.life._lives) == 0


@pytest.mark.parametrize("expires", [1e300, float("inf"), -1e300, 4e18])
def test_any_number_is_a_time(world: World, expires: float) -> None:
    world.tokens.issue("t", expires=expires)
    ann = world.join("t")

    world.advance(1000)

    assert bool(ann.take()) == (expires < 0)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_ends_no_life_and_lengthens_none(world: World, jump: int) -> None:
    life, clock = world.router.life, world.clock
    offset = 0.0
    life._wall = lambda: clock.seconds() + offset
    world.tokens.issue("old", expires=clock.seconds() + 60)
    ann, bob = world.join("old"), world.join("old")

    offset = jump
    world.tokens.issue("new", expires=life._wall() + 120)
    refresh(bob, "new")
    world.advance(69)
    before = [ann.take(), bob.take()]
    world.advance(2)
    then = [len(ann.take()), len(bob.take())]
    world.advance(60)

    assert before == [[], []]
    assert then == [1, 0]
    assert len(bob.take()) == 1


def test_many_of_them_need_one_timer(world: World) -> None:
    for number in range(100):
        world.tokens.issue(f"t{number}", expires=world.clock.seconds() + 1000 - number)
        world.join(f"t{number}")

    timers = [one for one in world.clock.getDelayedCalls() if "_end_due" in str(one)]
    assert len(timers) == 1
    world.advance(1011)
    assert world.events().count("ended") == 100


# ---- what operators do -----------------------------------------------------------------------------------------------


def test_a_session_is_kicked_and_a_second_kick_finds_nobody(world: World) -> None:
    world.tokens.issue("t")
    ann, op = world.join("t"), world.operator()

    first = answer(op, "hopsack.sessions.end", {"session": ann.session, "reason": "Too loud."})
    second = refusal(op, "hopsack.sessions.end", {"session": ann.session})

    assert first == {"ended": [ann.session]}
    assert second == "hopsack.no_such_session"
    assert ann.take() == [[GOODBYE, {"message": "Too loud."}, "wamp.close.killed"]]
    (ended,) = [facts for event, facts in world.noted if event == "ended"]
    assert (ended["by"], ended["subject"], ended["message"]) == ("op", "ann", "Too loud.")


def test_all_sessions_of_a_subject_are_kicked_but_not_the_callers_own(world: World) -> None:
    world.tokens.issue("t")
    first, second, op, other = world.join("t"), world.join("t"), world.operator(), world.operator()

    assert sorted(answer(op, "hopsack.sessions.end", {"subject": "ann"})["ended"]) == sorted(
        [first.session, second.session]
    )
    assert answer(op, "hopsack.sessions.end", {"subject": "ann"}) == {"ended": []}
    assert answer(op, "hopsack.sessions.end", {"subject": "op"}) == {"ended": [other.session]}


@pytest.mark.parametrize("given", [{}, {"session": 1, "subject": "ann"}])
def test_whom_to_kick_is_one_or_the_other(world: World, given: dict[str, Any]) -> None:
    assert refusal(world.operator(), "hopsack.sessions.end", given) == "hopsack.bad_request"


def test_the_nodes_own_sessions_are_nobodys_to_end(world: World) -> None:
    op = world.operator()

    assert answer(op, "hopsack.sessions.end", {"subject": "node"}) == {"ended": []}
    assert answer(op, "hopsack.access.revoke", {"subject": "node"})["ended"] == []


@pytest.mark.parametrize("procedure", ["hopsack.sessions.end", "hopsack.access.revoke", "hopsack.access.restore"])
@pytest.mark.parametrize("role", ["guest", "user", "service"])
def test_only_operators_may(world: World, procedure: str, role: str) -> None:
    client = world.realm.join(role, "x")

    assert refusal(client, procedure, {"subject": "ann"}) == "hopsack.denied"


def test_revoking_ends_all_sessions_at_once_and_refuses_what_was_issued_before(world: World) -> None:
    world.tokens.issue("t")
    ann, bob = world.join("t"), world.realm.join("user", "bob")
    op = world.operator()
    revoke_keys = world.factory.revoke_keys
    world.factory.revoke_keys = {"ann": 2}.get

    told = answer(op, "hopsack.access.revoke", {"subject": "ann", "reason": "lost"})

    world.factory.revoke_keys = revoke_keys
    assert told == {"ended": [ann.session], "keys": 2, "since": world.clock.seconds()}
    assert [(one[0], one[2]) for one in ann.take()] == [(GOODBYE, "hopsack.revoked")]
    assert bob.take() == []
    assert world.factory.vet(world.tokens.known["t"]) is not None
    assert world.factory.vet(replace(world.tokens.known["t"], issued=world.clock.seconds() + 1)) is None
    assert answer(op, "hopsack.access.revoked") == [
        {"subject": "ann", "since": world.clock.seconds(), "reason": "lost"}
    ]
    answer(op, "hopsack.access.restore", {"subject": "ann"})
    assert world.factory.vet(world.tokens.known["t"]) is None
    assert [event for event in world.events() if event in ("revoked", "ended", "restored")] == [
        "revoked",
        "ended",
        "restored",
    ]


def test_who_is_revoked_while_it_joins_does_not_get_in(world: World) -> None:
    """Its key is being fetched when an operator revokes it."""
    found = world.tokens.later("t")
    joining_one = joining.let_in(world.factory, "hopsack", "t")
    answers: list[Any] = []
    joining_one.addCallback(answers.append)

    answer(world.operator(), "hopsack.access.revoke", {"subject": "ann"})
    found.callback(Identity("ann", "user", proof="token", issued=world.clock.seconds() - 5))

    (refused,) = answers
    assert isinstance(refused, joining.Refusal)
    assert refused.error.code == "hopsack.revoked"


def test_revoking_oneself_is_answered_first(world: World) -> None:
    op = world.operator()

    told = call(op, "hopsack.access.revoke", {"subject": "op"})

    assert [one[0] for one in told] == [RESULT, GOODBYE]
    assert told[0][3][0]["ended"] == [op.session]


def test_a_revoked_callee_leaves_its_callers_with_an_answer(world: World) -> None:
    world.tokens.issue("t", role="service", groups=["ops"])
    ann, guest = world.join("t"), world.realm.join("guest", "g")
    ann.send(REGISTER, 1, {}, "lab.double")
    guest.send_only(CALL, 1, {}, "lab.double", [1])
    ((_, request, *_),) = ann.take()

    answer(world.operator(), "hopsack.access.revoke", {"subject": "ann"})
    ann.send_only(YIELD, request, {}, [2])

    (error,) = guest.take()
    assert error[:3] == [ERROR, CALL, 1]


def test_a_revoked_caller_takes_its_call_with_it(world: World) -> None:
    world.tokens.issue("t")
    world.tokens.issue("s", subject="s", role="service", groups=["ops"])
    ann, service = world.join("t"), world.join("s")
    service.send(REGISTER, 1, {}, "lab.double")
    ann.send_only(CALL, 1, {}, "lab.double", [1])
    ((kind, request, *_),) = service.take()
    assert kind == INVOCATION

    answer(world.operator(), "hopsack.access.revoke", {"subject": "ann"})

    assert [one[:2] for one in service.take()] == [[69, request]]
    assert [one[0] for one in ann.take()] == [GOODBYE]


def test_a_call_under_way_outlives_a_refresh(world: World) -> None:
    world.tokens.issue("old", role="service", groups=["ops"])
    world.tokens.issue("new", role="user")
    ann, guest = world.join("old"), world.realm.join("guest", "g")
    ann.send(REGISTER, 1, {}, "lab.double")
    guest.send_only(CALL, 1, {}, "lab.double", [1])
    ((_, request, *_),) = ann.take()

    refresh(ann, "new")
    ann.send(YIELD, request, {}, [2])

    assert guest.take() == [[RESULT, 1, {}, [2]]]


def test_who_is_revoked_says_nothing_more(world: World) -> None:
    world.tokens.issue("t", role="service")
    ann, bob = world.join("t"), world.realm.join("user", "bob")
    bob.send(SUBSCRIBE, 1, {}, "lab.open")
    session = world.router._session_id_to_session[ann.session]
    session._testaments["destroyed"].append(message.Publish(1, "lab.open", args=[7]))

    answer(world.operator(), "hopsack.access.revoke", {"subject": "ann"})
    ann.leave()

    assert bob.take() == []


def test_a_full_disk_is_said_and_the_sessions_are_ended(world: World) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    world.factory.revocations._keep = full
    world.tokens.issue("t")
    ann = world.join("t")

    assert refusal(world.operator(), "hopsack.access.revoke", {"subject": "ann"}) == "hopsack.store_failed"
    assert [one[2] for one in ann.take()] == ["hopsack.revoked"]
    assert world.factory.vet(world.tokens.known["t"]) is not None
