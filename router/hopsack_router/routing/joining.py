"""The joining conversation, on the node's side: who is let in, as whom, and why not.

    HELLO         -> WELCOME    a guest, or one whose transport has proved who it is
                  -> CHALLENGE  it is to prove who it is
                  -> ABORT      no such realm or role; none of its methods is one of ours
    AUTHENTICATE  -> WELCOME    the proof is good
                  -> ABORT      it is not, or nobody asked for it
    ABORT         -> nothing    the client has given up

Guests and bearers of tokens are nearly everybody, and are answered here: :class:`Guest` and :class:`Bearer`. All other
methods are Crossbar's and the personality's (``EXTRA_AUTH_METHODS``); they are :class:`Proof` too, made as Crossbar
makes them. Decisions only: :class:`~hopsack_router.routing.session.NodeSession` says what it hears and sends what comes
out.

Nothing is formatted, logged or copied on the way in, and what many sessions have in common is there once: the roles
that programs of one kind announce (:func:`read_hello`), and the roles that the node announces (:class:`Welcome`).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Accept, Challenge, Deny, HelloDetails
from crossbar.router.auth import AUTHMETHOD_MAP, AUTHMETHODS

from hopsack_router.access import tickets

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
    """The realms that there are; Crossbar's router factory."""

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
    """The proof of a guest or of a token's bearer; ``None``: it is not ours to judge."""
    if method == "ticket" and config.get("create") == tickets.CREATE:
        return Bearer(realms)
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
        return _into(self._realms, realm, new_guest(), self._role, "anonymous", "static")

    def authenticate(self, signature: str) -> Deny:
        return UNASKED


class Bearer:
    """Somebody with a token, which WAMP calls a ticket."""

    __slots__ = ("_realm", "_realms")

    def __init__(self, realms: Realms) -> None:
        self._realms = realms
        self._realm: str | None = None

    def hello(self, realm: str | None, details: Any = None) -> Challenge | Deny:
        self._realm = realm
        return ASK_FOR_TICKET if realm is not None and self._realms.get(realm) is not None else _no_realm(realm)

    def authenticate(self, signature: str) -> Accept | Deny:
        try:
            who = tickets.identify(signature)
        except tickets.TokenRefused as refused:
            return Deny(ApplicationError.AUTHENTICATION_FAILED, str(refused))
        return _into(self._realms, self._realm, who.subject, who.role, "ticket", "function")


def new_guest() -> str:
    return f"guest-{secrets.token_hex(4)}"


def _into(realms: Realms, realm: str | None, name: str, role: str, method: str, provider: str) -> Accept | Deny:
    router = realms.get(realm) if realm is not None else None
    if router is None:
        return _no_realm(realm)
    if not router.has_role(role):
        return Deny(ApplicationError.NO_SUCH_ROLE, f'the realm "{realm}" has no role "{role}"')
    return Accept(realm, name, role, method, provider)


def _no_realm(realm: str | None) -> Deny:
    wanted = "no realm was asked for" if realm is None else f'there is no realm "{realm[:100]}" here'
    return Deny(ApplicationError.NO_SUCH_REALM, wanted)


ASK_FOR_TICKET = Challenge("ticket")
UNASKED = Deny(message="nobody has asked this client for a proof")
FAILED = Deny(ApplicationError.AUTHENTICATION_FAILED, "the node failed to authenticate this client; its log has why")

# ---- messages -------------------------------------------------------------------------------------------------------


class Welcome(message.Welcome):  # type: ignore[misc]
    """WELCOME, with the node's roles written out once for all sessions.

    :param announced: the node's roles as they stand in the message.
    """

    __slots__ = ("_announced",)

    def __init__(self, session: int, accept: Accept, roles: dict[str, Any], announced: dict[str, Any]) -> None:
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

    def marshal(self) -> list[Any]:
        details = {name: value for name in _TOLD if (value := getattr(self, name))}
        details["roles"] = self._announced
        details["x_hopsack_granted"] = True  # it may be asked for with SUBSCRIBE (``doors/wamp.py``)
        return [message.Welcome.MESSAGE_TYPE, self.session, details]


_TOLD = ("realm", "authid", "authrole", "authmethod", "authprovider", "authextra")


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
