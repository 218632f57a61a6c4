"""The joining conversation, on the node's side: who is let in, as whom, and why not.

    HELLO         -> WELCOME    a guest, or one whose transport has proved who it is
                  -> CHALLENGE  it is to prove who it is
                  -> ABORT      no such realm or role; none of its methods is one of ours
    AUTHENTICATE  -> WELCOME    the proof is good
                  -> ABORT      it is not, or nobody asked for it
    ABORT         -> nothing    the client has given up

Guests, bearers of tokens and holders of keys are nearly everybody, and are answered here: :class:`Guest`,
:class:`Bearer` and :class:`Signer`. All other
methods are Crossbar's and the personality's (``EXTRA_AUTH_METHODS``); they are :class:`Proof` too, made as Crossbar
makes them. Decisions only: :class:`~hopsack_router.routing.session.NodeSession` says what it hears and sends what comes
out. Whatever the method: who is let in has an :class:`~hopsack_router.access.identity.Identity`, and :func:`admit` is
where it is asked for the last time whether it may come.

Nothing is formatted, logged or copied on the way in, and what many sessions have in common is there once: the roles
that programs of one kind announce (:func:`read_hello`), and the roles that the node announces (:class:`Welcome`).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Accept, Challenge, Deny, HelloDetails
from crossbar.router.auth import AUTHMETHOD_MAP, AUTHMETHODS
from twisted.python.failure import Failure

from hopsack.backoff import hint_of
from hopsack.errors import LoginRequired, RemoteError, wamp_uri
from hopsack_router.access import cryptosign, tickets
from hopsack_router.access.identity import Identity
from hopsack_router.access.identity import Proof as Shown
from hopsack_router.access.logins import Logins
from hopsack_router.access.publickeys import PublicKeys

Answer = Accept | Challenge | Deny


class Proof(Protocol):
    """One client's proof of who it is, as far as it has got. Either step may take its time: it returns a Deferred."""

    def hello(self, realm: str, details: HelloDetails) -> Any:
        """The client wants to join.

        :returns: an :data:`Answer`, or a Deferred of one.
        """

    def authenticate(self, signature: str) -> Any:
        """It has answered the challenge; asked once at most."""


class Realms(Protocol):
    """The realms that there are, and who may come; the router factory."""

    logins: Logins | None
    keys: PublicKeys | None
    guests: str
    vet: Callable[[Identity], RemoteError | None]

    def get(self, realm: str) -> Any: ...


def new_session_id() -> int:
    """A number that nobody can guess, below 2**53 (WAMP basic profile, "IDs in the global scope")."""
    return secrets.randbits(53) or 1


# ---- which method ---------------------------------------------------------------------------------------------------


def choose(offered: Collection[str] | None, configured: Mapping[str, Any], extra: Collection[str]) -> str | Deny:
    """The first method that both sides have: the client's order counts.

    :param offered: what the client can do; nothing is ``anonymous``.
    :param configured: what its transport is configured for.
    :param extra: methods of the personality's.
    """
    for method in offered or ("anonymous",):
        if method not in AUTHMETHODS and method not in extra:
            return Deny(message=f'there is no authmethod "{method[:100]}"')
        if method in configured and (method in AUTHMETHOD_MAP or method in extra):
            return method
    possible = ", ".join(sorted(configured))
    return Deny(
        ApplicationError.NO_AUTH_METHOD, f"none of the offered authmethods is taken here; these are: {possible}"
    )


def own_proof(method: str, config: Mapping[str, Any], realms: Realms) -> Proof | None:
    """The proof of a guest, of a token's bearer or of a key's holder; ``None``: it is not ours to judge."""
    if method == "ticket" and config.get("create") == tickets.CREATE:
        return Bearer(realms, config["config"].get("principals"))
    if method == "cryptosign" and config.get("create") == cryptosign.CREATE:
        return Signer(realms)
    if method == "anonymous" and config["type"] == "static" and "authid" not in config:
        return Guest(realms, config.get("role", "anonymous"))
    return None


class Guest:
    """Somebody without a token: let in under a name made up for it, ``guest-…``."""

    __slots__ = ("_realms", "_role")

    def __init__(self, realms: Realms, role: str) -> None:
        self._realms = realms
        self._role = role

    def hello(self, realm: str | None, details: Any = None) -> Accept | Deny:
        if self._realms.guests == "none":
            return Refusal(LoginRequired("this node lets no guests in", advice="send a token"))
        return admit(self._realms, realm, Identity(new_guest(), self._role))

    def authenticate(self, signature: str) -> Deny:
        return UNASKED


class Bearer:
    """Somebody with a token, which WAMP calls a ticket; or with a ticket that is no token, of the principals.

    :param principals: name → ticket and role.
    """

    __slots__ = ("_name", "_principals", "_realm", "_realms")

    def __init__(self, realms: Realms, principals: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._realms = realms
        self._principals = principals
        self._realm: str | None = None
        self._name: str | None = None

    def hello(self, realm: str | None, details: Any = None) -> Challenge | Deny:
        self._realm = realm
        self._name = details.authid if self._principals else None
        return ASK_FOR_TICKET if realm is not None and self._realms.get(realm) is not None else _no_realm(realm)

    def authenticate(self, signature: str) -> Any:
        found = None if self._name is None or self._principals is None else self._principals.get(self._name)
        if found is not None and hmac.compare_digest(found["ticket"].encode(), signature.encode()):
            return admit(self._realms, self._realm, Identity(self._name or "", found["role"], proof="ticket"))
        return let_in(self._realms, self._realm, signature)


class Signer:
    """Somebody with a key, which signs what the node has made up."""

    __slots__ = ("_challenge", "_name", "_public", "_realm", "_realms")

    def __init__(self, realms: Realms) -> None:
        self._realms = realms
        self._realm: str | None = None
        self._name: str | None = None
        self._public = self._challenge = b""

    def hello(self, realm: str | None, details: Any) -> Challenge | Deny:
        if realm is None or self._realms.get(realm) is None:
            return _no_realm(realm)
        try:
            self._public = cryptosign.key_of(details.authextra)
        except RemoteError as refused:
            return Refusal(refused)
        self._realm, self._name = realm, details.authid
        self._challenge = secrets.token_bytes(cryptosign.CHALLENGE)
        return Challenge("cryptosign", {"challenge": self._challenge.hex()})

    def authenticate(self, signature: str) -> Admitted | Deny:
        try:
            who = cryptosign.identify(self._realms.keys, self._public, self._challenge, signature, self._name)
        except RemoteError as refused:
            return Refusal(refused)
        return admit(self._realms, self._realm, who)


class Holder:
    """Somebody whose token came before HELLO: with the request that opened the connection, or through a door of ours.

    :param credential: the token; a :class:`~hopsack_router.access.logins.Cookie`, if it came as one.
    """

    __slots__ = ("_credential", "_realms")

    def __init__(self, realms: Realms, credential: str) -> None:
        self._realms = realms
        self._credential = credential

    def hello(self, realm: str | None, details: Any = None) -> Any:
        return let_in(self._realms, realm, self._credential)

    def authenticate(self, signature: str) -> Deny:
        return UNASKED


def let_in(realms: Realms, realm: str | None, credential: str) -> Any:
    """What the bearer of a token is answered.

    :returns: an :data:`Answer`; a Deferred of one, while the token's key is fetched.
    """
    if realms.logins is None:
        return Refusal(tickets.no_tokens())
    try:
        who = realms.logins.identify(credential)
    except RemoteError as refused:
        return Refusal(refused)
    if isinstance(who, Identity):
        return admit(realms, realm, who)
    return who.addCallbacks(lambda found: admit(realms, realm, found), _refused)


def _refused(failure: Failure) -> Deny:
    if isinstance(failure.value, RemoteError):
        return Refusal(failure.value)
    failure.raiseException()
    raise AssertionError


def new_guest() -> str:
    return f"guest-{secrets.token_hex(4)}"


class Admitted(Accept):  # type: ignore[misc]
    """Let in, as this identity."""

    __slots__ = ("identity",)

    def __init__(self, realm: str, identity: Identity) -> None:
        method, provider = _IN_WAMP[identity.proof]
        super().__init__(realm, identity.subject, identity.role, method, provider)
        self.identity = identity


_IN_WAMP: Mapping[Shown, tuple[str, str]] = {
    "guest": ("anonymous", "static"),
    "token": ("ticket", "function"),
    "cookie": ("cookie", "function"),
    "key": ("cryptosign", "static"),
    "ticket": ("ticket", "static"),
    "scram": ("scram", "static"),
    "tls": ("tls", "static"),
    "node": ("trusted", "static"),
}
"""A proof as WAMP's ``authmethod`` and ``authprovider``."""


class Refusal(Deny):  # type: ignore[misc]
    """Not let in, and told why as on any door."""

    __slots__ = ("error",)

    def __init__(self, error: RemoteError) -> None:
        super().__init__(wamp_uri(error), error.message)
        self.error = error


def admit(realms: Realms, realm: str | None, identity: Identity) -> Admitted | Deny:
    """The last step of every way in: there is such a realm, it has this role, and nothing is against this identity."""
    router = realms.get(realm) if realm is not None else None
    if router is None:
        return _no_realm(realm)
    if not router.has_role(identity.role):
        return Deny(ApplicationError.NO_SUCH_ROLE, f'the realm "{realm}" has no role "{identity.role}"')
    refusal = realms.vet(identity)
    if refusal is not None:
        return Refusal(refusal)
    assert realm is not None
    return Admitted(realm, identity)


def identity_of(accept: Accept, known: Identity | None = None) -> Identity:
    """Who is let in, also by a method that is not ours: Crossbar's own, or a connection inside the node.

    :param known: who such a connection says that it is.
    """
    if isinstance(accept, Admitted):
        return accept.identity
    if known is not None and (known.subject, known.role) == (accept.authid, accept.authrole):
        return known
    return Identity(accept.authid, accept.authrole, proof=_SHOWN.get(accept.authmethod, "ticket"))


_SHOWN: Mapping[str, Shown] = {method: shown for shown, (method, _) in _IN_WAMP.items() if shown != "token"}


def told(identity: Identity | None, now: float) -> dict[str, Any]:
    """What a session learns of itself with WELCOME, and the raw door's with the answer to hello: no other claims.

    :param now: seconds since the epoch; who has another clock goes by ``expires_in``.
    """
    facts: dict[str, Any] = {}
    if identity is None:
        return facts
    if identity.groups:
        facts["groups"] = sorted(identity.groups)
    if identity.tenant is not None:
        facts["tenant"] = identity.tenant
    if identity.expires is not None:
        facts["expires"] = identity.expires
        facts["expires_in"] = round(max(0.0, identity.expires - now), 3)
    return facts


def _no_realm(realm: str | None) -> Deny:
    wanted = "no realm was asked for" if realm is None else f'there is no realm "{realm[:100]}" here'
    return Deny(ApplicationError.NO_SUCH_REALM, wanted)


ASK_FOR_TICKET = Challenge("ticket")
UNASKED = Deny(message="nobody has asked this client for a proof")
FAILED = Deny(ApplicationError.AUTHENTICATION_FAILED, "the node failed to authenticate this client; its log has why")
TRUSTED = Deny(ApplicationError.NO_SUCH_ROLE, "no client has the role trusted: it is the node's own")
"""Crossbar lets its authenticators give any role; ``trusted`` may do everything, declared or not."""

# ---- messages -------------------------------------------------------------------------------------------------------


class Welcome(message.Welcome):  # type: ignore[misc]
    """WELCOME, with the node's roles written out once for all sessions.

    :param announced: the node's roles as they stand in the message.
    :param facts: what the session is told of itself; joins ``authextra``.
    """

    __slots__ = ("_announced", "_facts")

    def __init__(
        self,
        session: int,
        accept: Accept,
        roles: dict[str, Any],
        announced: dict[str, Any],
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            session,
            roles,
            realm=accept.realm,
            authid=accept.authid,
            authrole=accept.authrole,
            authmethod=accept.authmethod,
            authprovider=accept.authprovider,
            authextra=accept.authextra,
        )
        self._announced = announced
        self._facts = facts

    def marshal(self) -> list[Any]:
        details = {name: value for name in _TOLD if (value := getattr(self, name))}
        if self._facts:
            details["authextra"] = details.get("authextra", {}) | self._facts
        details["roles"] = self._announced
        details["x_hopsack_granted"] = True  # it may be asked for with SUBSCRIBE (``doors/wamp.py``)
        return [message.Welcome.MESSAGE_TYPE, self.session, details]


_TOLD = ("realm", "authid", "authrole", "authmethod", "authprovider", "authextra")


class TurnedAway(message.Abort):  # type: ignore[misc]
    """ABORT that tells an error. Doors that do not speak WAMP say it in their own way."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, refusal.message)
        self.error = refusal.error

    def marshal(self) -> list[Any]:
        number, details, reason = super().marshal()
        wait = hint_of(self.error.data)
        return [number, details if wait is None else {**details, "retry_after": wait}, reason]


def announced(roles: dict[str, Any]) -> dict[str, Any]:
    """Roles with their features as they stand in WELCOME."""
    written: dict[str, Any] = message.Welcome(1, roles).marshal()[2]["roles"]
    return written


def read_hello(realm: str, details: dict[str, Any]) -> message.Hello | None:
    """A HELLO in its plain form; ``None`` for any other, which Autobahn then reads.

    The roles in it are shared with all that announce the same: Autobahn makes 2 KiB of objects of them.
    """
    roles, extra, methods = details.get("roles"), details.get("authextra"), details.get("authmethods")
    if not details.keys() <= _DETAILS or type(roles) is not dict or type(extra) not in (dict, type(None)):
        return None
    if methods is not None and (type(methods) is not list or not all(type(one) is str for one in methods)):
        return None
    if type(details.get("authid", "")) is not str or len(realm) > LONGEST_REALM:
        return None
    written = msgspec.msgpack.encode(roles)
    if len(written) > LONGEST_ROLES:
        return None
    try:
        shared = _shared_roles(realm, written)
    except Exception:  # Autobahn says to the client what is wrong with it
        return None
    return message.Hello(realm, shared, methods, details.get("authid"), authextra=extra)


_DETAILS = frozenset(("agent", "authextra", "authid", "authmethods", "roles"))

LONGEST_ROLES = 2048
"""Bytes of roles that are looked up; those of honest clients are some 500."""

LONGEST_REALM = 255
"""Characters of a realm's name that is looked up with them. Anybody may ask for any realm: what is kept of strangers is
bounded in bytes, not only in number."""


@lru_cache(maxsize=256)
def _shared_roles(realm: str, written: bytes) -> dict[str, Any]:
    """Roles as Autobahn reads them; the realm's name is checked on the way."""
    details = {"roles": msgspec.msgpack.decode(written)}
    hello = with_flow(message.Hello.parse([message.Hello.MESSAGE_TYPE, realm, details]), details)
    roles: dict[str, Any] = hello.roles
    return roles


FLOW = ("x_hopsack_flow", "progressive_call_invocations")
"""Features of callers, callees and dealers that Autobahn does not know: MORE is understood; one call takes several
inputs (WAMP advanced profile, progressive call invocations)."""


def with_flow(hello: message.Hello, details: dict[str, Any]) -> message.Hello:
    """A HELLO with the features of callers and callees that Autobahn passes over."""
    for name in ("caller", "callee"):
        role = details["roles"].get(name)
        announced: dict[str, Any] = (role.get("features") if type(role) is dict else None) or {}
        for feature in FLOW:
            if announced.get(feature) is True:
                setattr(hello.roles[name], feature, True)
    return hello


def has_feature(session: Any, role: str, feature: str) -> bool:
    """Whether a session has announced this in its HELLO."""
    return getattr((session._session_roles or {}).get(role), feature, None) is True
