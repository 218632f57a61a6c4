"""Who is let in, as whom, and what it costs the others: the joining conversation over the routing core in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from autobahn.wamp import auth, message
from autobahn.wamp.exception import ProtocolError
from autobahn.wamp.role import RoleBrokerFeatures, RoleDealerFeatures
from autobahn.wamp.types import Accept, Challenge, Deny
from twisted.internet.defer import Deferred

from hopsack.errors import LoginRequired, Overloaded
from hopsack.tokens import mint
from hopsack.wamp.codec import JSON, MSGPACK
from hopsack_router import metrics
from hopsack_router.access.identity import Identity
from hopsack_router.access.keyring import Keyring
from hopsack_router.access.logins import Cookie, Logins
from hopsack_router.access.verifying import own
from hopsack_router.doors.wamp import messages, wamp_format
from hopsack_router.embed import EmbeddedLink
from hopsack_router.routing import joining, links
from hopsack_router.routing.joining import LONGEST_REALM, LONGEST_ROLES, Welcome, announced, choose
from hopsack_router.routing.unread import is_frequent, read

from .conftest import HELLO_ROLES, Realm
from .test_calls import CALL, result
from .test_events import EVENT, SUBSCRIBE

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE = 1, 2, 3, 4, 5, 6
SECRET = "s" * 32
FAILED = "wamp.error.authentication_failed"


class Stranger(EmbeddedLink):
    """A connection that proves nothing of who is at its other end."""

    _authmethod = _authprovider = None  # type: ignore[assignment]

    def __init__(self, realm: Realm, config: dict[str, Any] | None = None) -> None:
        self.received: list[Any] = []
        self.factory = SimpleNamespace(_config={} if config is None else {"auth": config})
        super().__init__(realm.node, self._take, "guest", "", 1 << 24)  # type: ignore[arg-type]
        self._authid = self._authrole = None  # type: ignore[assignment]
        self._realm = realm
        assert self._session is not None
        self.session = self._session

    def _take(self, data: bytes) -> None:
        self.received.append(msgspec.msgpack.decode(data))

    def says(self, *said: Any) -> list[Any]:
        self.receive(msgspec.msgpack.encode(said))
        return self.hears()

    def hears(self) -> list[Any]:
        self._realm.turn()
        taken, self.received = self.received, []
        return taken

    def hello(self, *methods: str, realm: str | None = "hopsack", **details: Any) -> list[Any]:
        if methods:
            details["authmethods"] = list(methods)
        return self.says(HELLO, realm, {"roles": HELLO_ROLES} | details)


class Worker:
    """What Crossbar's ways to authenticate ask of their worker."""

    def __init__(self, realm: Realm, **extra: Any) -> None:
        self.personality = SimpleNamespace(EXTRA_AUTH_METHODS=extra)
        self._router: Any = realm.node.router

    def has_realm(self, realm: str) -> bool:
        return realm == "hopsack"

    def has_role(self, realm: str, role: str) -> bool:
        return bool(self._router.has_role(role))


def with_worker(realm: Realm, **extra: Any) -> None:
    factory: Any = realm.node.router._factory
    factory._worker = Worker(realm, **extra)


@pytest.fixture(autouse=True)
def logins(open_realm: Realm) -> Logins:
    factory: Any = open_realm.node.router._factory
    factory.logins = Logins(Keyring(lambda: SECRET, own()))
    return cast(Logins, factory.logins)


def token(**changes: Any) -> str:
    claims: dict[str, Any] = {"sub": "ann", "role": "user", "ttl": 60}
    return mint(SECRET, **claims | changes)


def members(realm: Realm) -> int:
    count: int = realm.node.router.presence.count()["count"]
    return count


# ---- let in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [(), ("anonymous",), ("cookie", "anonymous"), ("anonymous", "ticket")])
def test_who_has_no_token_is_a_guest(open_realm: Realm, methods: tuple[str, ...]) -> None:
    stranger = Stranger(open_realm)

    ((kind, session, details),) = stranger.hello(*methods, authid="root", authextra={"role": "operator"})

    assert (kind, session) == (WELCOME, stranger.session._session_id)
    assert details["authid"].startswith("guest-")
    assert details["authrole"] == "guest"
    ours = {"x_hopsack_granted"}
    assert details.keys() == {"realm", "authid", "authrole", "authmethod", "authprovider", "roles"} | ours
    assert details["roles"]["dealer"]["features"]["call_canceling"]
    assert members(open_realm) == 1


def test_a_token_says_who_somebody_is(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)

    (challenge,) = stranger.hello("ticket", authid="somebody else")
    ((kind, _, details),) = stranger.says(AUTHENTICATE, token(), {})

    assert challenge == [CHALLENGE, "ticket", {}]
    assert kind == WELCOME
    assert (details["authid"], details["authrole"], details["authmethod"]) == ("ann", "user", "ticket")
    assert members(open_realm) == 1


def test_a_session_has_its_number_from_a_space_that_nobody_guesses(open_realm: Realm) -> None:
    numbers = [Stranger(open_realm).hello()[0][1] for _ in range(50)]

    assert len(set(numbers)) == 50
    assert all(0 < number < 2**53 for number in numbers)
    assert max(numbers) > 2**40


# ---- and not --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("methods", "realm", "reason", "says"),
    [
        (["anonymous"], "elsewhere", "wamp.error.no_such_realm", 'there is no realm "elsewhere" here'),
        (["ticket"], "elsewhere", "wamp.error.no_such_realm", 'there is no realm "elsewhere" here'),
        (["anonymous"], None, "wamp.error.no_such_realm", "no realm was asked for"),
        (["ticket"], None, "wamp.error.no_such_realm", "no realm was asked for"),
        (["password"], "hopsack", "wamp.error.not_authorized", 'there is no authmethod "password"'),
        (["wampcra", "scram"], "hopsack", "wamp.error.no_auth_method", "these are: anonymous, cryptosign, ticket"),
    ],
)
def test_who_is_sent_away_at_once(
    open_realm: Realm, methods: list[str], realm: str | None, reason: str, says: str
) -> None:
    ((kind, details, why),) = Stranger(open_realm).hello(*methods, realm=realm)

    assert (kind, why) == (ABORT, reason)
    assert says in details["message"]
    assert members(open_realm) == 0


@pytest.mark.parametrize(
    ("ticket", "says"),
    [
        ("", "the token is not one this node accepts"),
        (token()[:-2], "the token is not one this node accepts"),
        (mint("x" * 32, sub="ann", role="user"), "the token is not one this node accepts"),
        (mint(SECRET, sub="ann", role="user", ttl=1, now=lambda: 1000), "the token has expired"),
        ("x" * 20_000, "the token is too long"),
    ],
    ids=["none", "cut", "forged", "expired", "huge"],
)
def test_whose_token_is_refused(open_realm: Realm, ticket: str, says: str) -> None:
    stranger = Stranger(open_realm)
    stranger.hello("ticket")

    (abort,) = stranger.says(AUTHENTICATE, ticket, {})

    assert abort == [ABORT, {"message": says}, FAILED]
    assert members(open_realm) == 0


def test_a_role_that_the_realm_does_not_have(open_realm: Realm) -> None:
    router: Any = open_realm.node.router
    del router._roles["user"], router._roles["guest"]
    bearer = Stranger(open_realm)
    bearer.hello("ticket")

    ends = [*bearer.says(AUTHENTICATE, token(), {}), *Stranger(open_realm).hello()]

    assert [end[2] for end in ends] == ["wamp.error.no_such_role"] * 2
    assert ends[0][1]["message"] == 'the realm "hopsack" has no role "user"'


def test_a_proof_that_nobody_asked_for(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)

    first = stranger.says(AUTHENTICATE, token(), {})
    stranger.hello("ticket")
    stranger.says(AUTHENTICATE, "wrong", {})
    again = stranger.says(AUTHENTICATE, token(), {})

    assert (
        first
        == again
        == [[ABORT, {"message": "nobody has asked this client for a proof"}, "wamp.error.not_authorized"]]
    )


def test_who_was_sent_away_may_try_again(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    stranger.hello("ticket")
    stranger.says(AUTHENTICATE, "wrong", {})

    stranger.hello("ticket")
    (welcome,) = stranger.says(AUTHENTICATE, token(), {})

    assert welcome[0] == WELCOME


def test_a_second_hello_in_the_middle_ends_the_connection(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    stranger.hello("ticket")

    with pytest.raises(ProtocolError, match="an earlier one"):
        stranger.hello("anonymous")

    assert not stranger.isOpen()
    assert members(open_realm) == 0


def test_a_client_that_gives_up_may_begin_anew(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    stranger.hello("ticket")

    stranger.says(ABORT, {}, "wamp.close.normal")
    late = stranger.says(AUTHENTICATE, token(), {})
    (welcome,) = stranger.hello("anonymous")

    assert late[0][0] == ABORT
    assert welcome[0] == WELCOME


def test_nothing_else_is_heard_before_it_has_joined(open_realm: Realm) -> None:
    stranger, loud = Stranger(open_realm), Stranger(open_realm)

    with pytest.raises(ProtocolError):
        loud.says(SUBSCRIBE, 1, {}, "lab.note")

    assert stranger.says(GOODBYE, {}, "wamp.close.normal") == []
    assert stranger.hello()[0][0] == WELCOME


@pytest.mark.parametrize("again", [(1, "hopsack", {"roles": {"caller": {}}}), (AUTHENTICATE, "x", {})])
def test_nobody_joins_twice(open_realm: Realm, again: tuple[Any, ...]) -> None:
    stranger = Stranger(open_realm)
    stranger.hello()

    with pytest.raises(ProtocolError):
        stranger.says(*again)


def test_who_has_left_may_come_back_over_the_same_connection(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    first = stranger.hello()[0][1]
    (goodbye,) = stranger.says(GOODBYE, {}, "wamp.close.normal")

    second = stranger.hello()[0][1]
    (again,) = stranger.says(GOODBYE, {}, "wamp.close.normal")

    assert first != second
    assert goodbye == again == [GOODBYE, {}, "wamp.close.goodbye_and_out"]
    assert members(open_realm) == 0


# ---- identity -------------------------------------------------------------------------------------------------------

ANN = Identity("ann", "user", frozenset(("b", "a")), "acme", issued=1000.0, expires=1600.0, proof="token")


class Known(Logins):
    """Knows a few tokens by heart."""

    def __init__(self, **tokens: Any) -> None:
        super().__init__(Keyring(lambda: SECRET, own()))
        self._tokens = tokens

    def identify(self, token: str) -> Identity | Deferred[Identity]:
        found = self._tokens[token]
        if isinstance(found, Exception):
            raise found
        return cast("Identity | Deferred[Identity]", found)


def knowing(realm: Realm, **tokens: Any) -> Any:
    factory: Any = realm.node.router._factory
    factory.logins = Known(**tokens)
    return factory


def test_a_session_is_told_what_its_token_says_of_it_and_nothing_else(
    open_realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "now", lambda: 1200.0)
    knowing(open_realm, ann=ANN)
    stranger = Stranger(open_realm)

    stranger.hello("ticket")
    ((kind, _, details),) = stranger.says(AUTHENTICATE, "ann", {})

    assert kind == WELCOME
    assert details["authextra"] == {"groups": ["a", "b"], "tenant": "acme", "expires": 1600.0, "expires_in": 400.0}
    assert stranger.session.identity is ANN
    assert (stranger.session.groups, stranger.session.tenant) == (ANN.groups, "acme")


def test_the_meta_api_shows_nobody_these_facts(open_realm: Realm) -> None:
    knowing(open_realm, ann=ANN)
    stranger = Stranger(open_realm)
    stranger.hello("ticket")
    ((_, session, _),) = stranger.says(AUTHENTICATE, "ann", {})

    shown = result(open_realm.join("operator", "op").send(CALL, 1, {}, "wamp.session.get", [session]))

    assert shown["authextra"] is None


def test_a_guest_has_an_identity_too(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)

    ((_, _, details),) = stranger.hello()

    assert stranger.session.identity == Identity(details["authid"], "guest")


def test_who_is_known_to_crossbar_has_one(open_realm: Realm) -> None:
    with_worker(open_realm)
    stranger = Stranger(
        open_realm, {"ticket": {"type": "static", "principals": {"joe": {"ticket": "letmein", "role": "user"}}}}
    )
    stranger.hello("ticket", authid="joe")
    stranger.says(AUTHENTICATE, "letmein", {})

    assert stranger.session.identity == Identity("joe", "user", proof="ticket")


def test_no_authenticator_makes_anybody_trusted(open_realm: Realm) -> None:
    """Crossbar takes any role of the realm's from an authenticator, its own ``trusted`` too (hole S4)."""
    with_worker(open_realm)
    router: Any = open_realm.node.router
    router._roles["trusted"] = SimpleNamespace(uri="trusted")
    stranger = Stranger(
        open_realm, {"ticket": {"type": "static", "principals": {"joe": {"ticket": "letmein", "role": "trusted"}}}}
    )
    stranger.hello("ticket", authid="joe")

    ((kind, _, reason),) = stranger.says(AUTHENTICATE, "letmein", {})

    assert (kind, reason) == (ABORT, "wamp.error.no_such_role")
    assert members(open_realm) == 0


def test_where_there_are_no_guests(open_realm: Realm) -> None:
    factory: Any = open_realm.node.router._factory
    factory.guests = "none"
    bearer = Stranger(open_realm)

    (abort,) = Stranger(open_realm).hello()
    bearer.hello("ticket")
    (welcome,) = bearer.says(AUTHENTICATE, token(), {})

    assert abort == [ABORT, {"message": "this node lets no guests in"}, FAILED]
    assert welcome[0] == WELCOME


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "late"])
def test_what_is_against_an_identity_counts_whatever_the_proof(open_realm: Realm, is_late: bool) -> None:
    found: Deferred[Identity] = Deferred()
    factory = knowing(open_realm, ann=found if is_late else ANN)
    factory.vet = lambda who: Overloaded("not now", data={"retry_after": 2.5}) if who.subject == "ann" else None
    stranger = Stranger(open_realm)
    stranger.hello("ticket")

    told = stranger.says(AUTHENTICATE, "ann", {})
    if is_late:
        assert told == []
        found.callback(ANN)
        told = stranger.hears()

    assert told == [[ABORT, {"message": "not now", "retry_after": 2.5}, "hopsack.overloaded"]]


def test_a_token_whose_key_is_being_fetched(open_realm: Realm) -> None:
    good: Deferred[Identity] = Deferred()
    bad: Deferred[Identity] = Deferred()
    knowing(open_realm, good=good, bad=bad)
    strangers = [Stranger(open_realm), Stranger(open_realm)]
    for stranger, ticket in zip(strangers, ("good", "bad"), strict=True):
        stranger.hello("ticket")
        assert stranger.says(AUTHENTICATE, ticket, {}) == []

    good.callback(ANN)
    bad.errback(LoginRequired("no such key"))

    assert [one.hears()[0][0] for one in strangers] == [WELCOME, ABORT]


@pytest.mark.parametrize("methods", [(), ("cookie",), ("anonymous",), ("cookie", "anonymous")])
def test_a_token_that_came_with_the_upgrade_needs_no_challenge(open_realm: Realm, methods: tuple[str, ...]) -> None:
    bearer, page, other = (Stranger(open_realm) for _ in range(3))
    bearer.credential, page.credential, other.credential = token(), Cookie(token()), Cookie("wrong")

    ((_, _, of_bearer),) = bearer.hello(*methods)
    ((_, _, of_page),) = page.hello(*methods)
    ((kind, _, _),) = other.hello(*methods)

    assert (of_bearer["authid"], of_bearer["authmethod"]) == ("ann", "ticket")
    assert (of_page["authid"], of_page["authmethod"]) == ("ann", "cookie")
    assert page.session.identity is not None
    assert page.session.identity.proof == "cookie"
    assert kind == ABORT  # who means to be somebody does not go on as nobody


def test_who_says_a_ticket_is_asked_for_it_whatever_came_with_the_upgrade(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    stranger.credential = Cookie(token(sub="eve"))

    (challenge,) = stranger.hello("ticket", "cookie")
    ((_, _, details),) = stranger.says(AUTHENTICATE, token(), {})

    assert challenge[0] == CHALLENGE
    assert details["authid"] == "ann"


# ---- methods of others ----------------------------------------------------------------------------------------------


def test_crossbars_static_tickets(open_realm: Realm) -> None:
    with_worker(open_realm)
    config = {"ticket": {"type": "static", "principals": {"joe": {"ticket": "letmein", "role": "user"}}}}
    good, bad, unknown = (Stranger(open_realm, config) for _ in range(3))

    good.hello("ticket", authid="joe")
    ((kind, _, details),) = good.says(AUTHENTICATE, "letmein", {})
    bad.hello("ticket", authid="joe")

    assert (kind, details["authid"], details["authrole"]) == (WELCOME, "joe", "user")
    assert bad.says(AUTHENTICATE, "guess", {})[0][0] == ABORT
    assert unknown.hello("ticket", authid="eve")[0][0] == ABORT


def test_crossbars_challenge_and_response(open_realm: Realm) -> None:
    with_worker(open_realm)
    stranger = Stranger(open_realm, {"wampcra": {"type": "static", "users": {"joe": {"secret": "k", "role": "user"}}}})

    ((_, method, extra),) = stranger.hello("wampcra", authid="joe")
    signature = auth.compute_wcs(b"k", extra["challenge"].encode())
    ((kind, session, details),) = stranger.says(AUTHENTICATE, signature.decode(), {})

    assert (method, kind, details["authid"]) == ("wampcra", WELCOME, "joe")
    assert msgspec.json.decode(extra["challenge"])["session"] == session


def test_a_guest_whose_name_is_configured(open_realm: Realm) -> None:
    with_worker(open_realm)
    stranger = Stranger(open_realm, {"anonymous": {"type": "static", "role": "guest", "authid": "public"}})

    assert stranger.hello()[0][2]["authid"] == "public"


class Knock:
    """A method of a personality's: whoever knocks three times is let in, when the door is opened."""

    opened: Deferred[Any] | None = None
    failure: Exception | None = None

    def __init__(self, session: int, details: Any, worker: Any, config: Any) -> None:
        self.session = session

    def hello(self, realm: str, details: Any) -> Any:
        return Challenge("knock", {"times": 3})

    def authenticate(self, signature: str) -> Any:
        failure = type(self).failure
        if failure is not None:
            raise failure
        if signature != "knock " * 3:
            return Deny(message="who is there?")
        return type(self).opened or Accept("hopsack", "joe", "user", "knock", "knocker", {"floor": 2})


@pytest.fixture
def knock(open_realm: Realm) -> type[Knock]:
    kind = type("Knock", (Knock,), {})
    with_worker(open_realm, knock=kind)
    return kind


def knocking(realm: Realm) -> Stranger:
    stranger = Stranger(realm, {"knock": {}})
    assert stranger.hello("knock") == [[CHALLENGE, "knock", {"times": 3}]]
    return stranger


def test_a_method_of_the_personality(open_realm: Realm, knock: type[Knock]) -> None:
    ((kind, _, details),) = knocking(open_realm).says(AUTHENTICATE, "knock " * 3, {})
    (abort,) = knocking(open_realm).says(AUTHENTICATE, "ring", {})

    assert (kind, details["authid"], details["authextra"]) == (WELCOME, "joe", {"floor": 2})
    assert abort == [ABORT, {"message": "who is there?"}, "wamp.error.not_authorized"]


def test_an_answer_that_takes_its_time(open_realm: Realm, knock: type[Knock]) -> None:
    knock.opened = Deferred()
    stranger = knocking(open_realm)
    waiting = stranger.says(AUTHENTICATE, "knock " * 3, {})

    knock.opened.callback(Accept("hopsack", "joe", "user", "knock", "knocker"))

    assert waiting == []
    assert stranger.hears()[0][0] == WELCOME


@pytest.mark.parametrize("gone", [lambda it: it.lost(), lambda it: it.says(ABORT, {}, "wamp.close.normal")])
def test_an_answer_that_comes_too_late(
    open_realm: Realm, knock: type[Knock], gone: Callable[[Stranger], object]
) -> None:
    knock.opened = Deferred()
    stranger = knocking(open_realm)
    stranger.says(AUTHENTICATE, "knock " * 3, {})

    gone(stranger)
    knock.opened.callback(Accept("hopsack", "joe", "user", "knock", "knocker"))

    assert stranger.hears() == []
    assert members(open_realm) == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_method_that_fails_says_nothing_of_why(open_realm: Realm, knock: type[Knock], late: bool) -> None:
    failure = RuntimeError("the database at 192.0.2.1 is gone")
    if late:
        knock.opened = Deferred()
    else:
        knock.failure = failure
    stranger = knocking(open_realm)
    told = stranger.says(AUTHENTICATE, "knock " * 3, {})
    if knock.opened is not None:
        knock.opened.errback(failure)
        told = stranger.hears()

    ((kind, details, reason),) = told
    assert (kind, reason) == (ABORT, FAILED)
    assert "192.0.2.1" not in details["message"]


def test_the_clients_order_counts() -> None:
    both: dict[str, Any] = {"anonymous": {}, "ticket": {}}

    assert choose(["ticket", "anonymous"], both, ()) == "ticket"
    assert choose(["wampcra", "anonymous", "ticket"], both, ()) == "anonymous"
    assert choose(None, both, ()) == "anonymous"
    assert choose(["knock"], both | {"knock": {}}, ["knock"]) == "knock"


# ---- what it costs --------------------------------------------------------------------------------------------------


class Unspeakable:
    """Something that must not be looked at in order to be logged."""

    def __repr__(self) -> str:
        raise AssertionError("somebody wrote this down")

    __str__ = __format__ = __repr__  # type: ignore[assignment]


@pytest.mark.parametrize("method", ["anonymous", "ticket"])
def test_nothing_is_formatted_that_nobody_logs(open_realm: Realm, method: str) -> None:
    stranger = Stranger(open_realm)
    stranger.peer = Unspeakable()  # type: ignore[assignment]
    hello = message.Hello("hopsack", links.CLIENT_ROLES, [method], authextra={"mind": Unspeakable()})
    stranger.session.peer = stranger.peer

    stranger.session.onMessage(hello)
    if method == "ticket":
        stranger.session.onMessage(message.Authenticate(token(), {"mind": Unspeakable()}))
    joined = stranger.session.member
    stranger.session.onClose(False)

    assert joined is not None
    assert members(open_realm) == 0


def test_who_joins_and_leaves_unobserved_makes_no_event(open_realm: Realm) -> None:
    published = metrics.messages.tally("publish")
    before = published.n

    for _ in range(10):
        stranger = Stranger(open_realm)
        stranger.hello()
        stranger.says(SUBSCRIBE, 1, {}, "lab.note")
        stranger.lost()
    open_realm.clock.advance(10)

    assert published.n == before
    assert open_realm.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("topic", "match", "expected"),
    [("wamp.session.on_join", "exact", 1), ("wamp.session.on_leave", "exact", 1), ("wamp.session.", "prefix", 2)],
)
def test_who_watches_sessions_is_told_by_uri_and_by_pattern(
    open_realm: Realm, topic: str, match: str, expected: int
) -> None:
    watcher = open_realm.join("service")
    watcher.send(SUBSCRIBE, 1, {"match": match}, topic)

    stranger = Stranger(open_realm)
    session = stranger.hello()[0][1]
    stranger.lost()

    events = [one for one in watcher.take() if one[0] == EVENT]
    assert [one[4][0]["session"] if isinstance(one[4][0], dict) else one[4][0] for one in events] == [
        session
    ] * expected


def test_a_bridge_is_told_although_nobody_in_the_realm_listens(open_realm: Realm) -> None:
    service: Any = open_realm.node.router._realm.session
    told: list[str] = []
    service._expose_on_sessions = [*service._expose_on_sessions, None]
    service.publish = lambda topic, *facts: told.append(topic)

    stranger = Stranger(open_realm)
    stranger.hello()
    stranger.lost()

    assert told == ["wamp.session.on_join", "wamp.session.on_leave"]


def test_an_idle_session_keeps_nothing_of_how_it_came(open_realm: Realm) -> None:
    one, two = Stranger(open_realm), Stranger(open_realm)
    ticket = token()
    for stranger in (one, two):
        stranger.hello("ticket", authextra={"agent": "hopsack-test", "letter": ["long"] * 100})
        stranger.says(AUTHENTICATE, ticket, {})

    kept = gc.get_referents(one.session, one.session.__dict__)

    assert not any(type(thing) is dict and "letter" in thing for thing in kept)
    assert ticket not in kept
    assert not any(isinstance(thing, message.Message) for thing in kept)
    assert one.session._pending_auth is None
    assert one.session._session_roles is two.session._session_roles
    assert one.session.agent == "hopsack-test"


def test_nothing_is_left_of_who_has_left(open_realm: Realm) -> None:
    router: Any = open_realm.node.router
    before = [len(router._session_id_to_session), len(router._broker._session_to_subscriptions)]
    strangers = [Stranger(open_realm) for _ in range(5)]
    for stranger in strangers:
        stranger.hello("ticket")
        stranger.says(AUTHENTICATE, token(), {})
        stranger.says(SUBSCRIBE, 1, {}, "lab.note")
    together = len(router._authid_to_sessions.get("ann"))

    for stranger in strangers:
        stranger.lost()

    assert together == 5
    assert [len(router._session_id_to_session), len(router._broker._session_to_subscriptions)] == before
    assert len(router._dealer._session_to_registrations) == before[0]
    assert "ann" not in router._authid_to_sessions
    assert not router._authrole_to_sessions["user"]
    assert members(open_realm) == 0


def test_the_meta_api_shows_a_session_without_its_headers(open_realm: Realm) -> None:
    stranger = Stranger(open_realm)
    session = stranger.hello()[0][1]

    shown = result(open_realm.join("operator", "op").send(CALL, 1, {}, "wamp.session.get", [session]))

    assert (shown["session"], shown["authrole"]) == (session, "guest")
    assert shown["transport"]["peer"] == "memory"
    assert shown["transport"]["http_headers_received"] is None


def test_last_wills_are_executed(open_realm: Realm) -> None:
    heir, stranger = open_realm.join(), Stranger(open_realm)
    heir.send(SUBSCRIBE, 1, {}, "lab.will")
    stranger.hello()
    stranger.says(CALL, 1, {}, "wamp.session.add_testament", ["lab.will", ["all"], {}])

    stranger.lost()

    assert [one[4] for one in heir.take()] == [["all"]]


# ---- messages -------------------------------------------------------------------------------------------------------

DETAILS: list[dict[str, Any]] = [
    {"roles": {"caller": {}}},
    {"roles": HELLO_ROLES, "authmethods": ["ticket"], "authid": "joe", "authextra": {"agent": "x"}, "agent": "y"},
    {"roles": {"caller": {"features": {"x_unknown": True}}}, "authmethods": []},
]
ODD: list[dict[str, Any]] = [
    {},
    {"roles": {}},
    {"roles": {"king": {}}},
    {"roles": {"caller": {"features": {"call_canceling": 1}}}},
    {"roles": {"caller": {}}, "authmethods": "ticket"},
    {"roles": {"caller": {}}, "authmethods": [1]},
    {"roles": {"caller": {}}, "authid": 7},
    {"roles": {"caller": {}}, "authextra": []},
    {"roles": {"caller": {}}, "resumable": True},
    {"roles": {"caller": {"features": {"x" * LONGEST_ROLES: True}}}},
]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
@pytest.mark.parametrize("details", DETAILS, ids=str)
def test_a_hello_is_read_as_autobahn_reads_it(codec: Any, details: dict[str, Any]) -> None:
    data = codec._encode([1, "hopsack", details])
    serializer = wamp_format(codec.name, None).serializer

    ours, (theirs,) = read(codec, data), messages(serializer, data, print)

    assert is_frequent(codec, data)
    assert ours == theirs
    assert read(codec, data).roles is ours.roles  # type: ignore[union-attr]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
@pytest.mark.parametrize("details", ODD, ids=lambda details: str(details)[:60])
def test_any_other_hello_is_left_to_autobahn(codec: Any, details: dict[str, Any]) -> None:
    assert read(codec, codec._encode([1, "hopsack", details])) is None


def test_a_hello_for_a_realm_that_is_no_uri_is_left_to_autobahn() -> None:
    assert read(JSON, JSON._encode([1, "no realm#", {"roles": {"caller": {}}}])) is None
    assert not is_frequent(MSGPACK, MSGPACK._encode([1, None, {"roles": {"caller": {}}}]))
    assert not is_frequent(JSON, JSON._encode([1, None, {"roles": {"caller": {}}}]))


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
def test_a_realm_with_an_endless_name_is_not_remembered(codec: Any) -> None:
    known = joining._shared_roles.cache_info()

    read_by_us = read(codec, codec._encode([1, "x" * (LONGEST_REALM + 1), {"roles": {"caller": {}}}]))

    assert read_by_us is None
    assert joining._shared_roles.cache_info() == known


def test_who_asks_for_a_realm_with_an_endless_name_is_sent_away(open_realm: Realm) -> None:
    ((kind, details, reason),) = Stranger(open_realm).hello(realm="x" * 100_000)

    assert (kind, reason) == (ABORT, "wamp.error.no_such_realm")
    assert len(details["message"]) < 200


ROLES = {"broker": RoleBrokerFeatures(session_meta_api=True), "dealer": RoleDealerFeatures()}


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize(
    "msg",
    [
        Welcome(11, Accept("hopsack", "ann", "user", "ticket", "function"), ROLES, announced(ROLES)),
        Welcome(
            11, Accept("hopsack", "ann", "user", "ticket", "function", {"key": b"\x00\xff"}), ROLES, announced(ROLES)
        ),
        message.Challenge("ticket", {}),
        message.Challenge("scram", {"nonce": b"\x00"}),
        message.Subscribed(3, 4),
        message.Abort("wamp.error.no_such_realm", "why"),
    ],
    ids=lambda msg: type(msg).__name__,
)
def test_what_has_nothing_of_an_application_is_written_as_autobahn_writes_it(name: str, msg: Any) -> None:
    fmt = wamp_format(name, None)

    payload = fmt.written(msg)

    assert fmt.serializer._serializer.unserialize(payload) == [msg.marshal()]
