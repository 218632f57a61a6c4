"""``hopsack.keys.*``: the public keys that are accepted (:mod:`hopsack_router.access.publickeys`) as procedures.

Sessions of keys that are accepted no longer end here, too.

A key is revoked by the procedure, or by removing its file: then its sessions end within :data:`LOOK` seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from autobahn.wamp.types import CallDetails
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from hopsack.contracts.problems import nearest
from hopsack.errors import BadRequest, RemoteError, Revoked, wamp_uri
from hopsack_router.access.audit import Notes, facts_of
from hopsack_router.access.publickeys import PublicKey, PublicKeys
from hopsack_router.reading_back import refused

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

LOG = Logger()

LOOK = 0.5
"""Seconds between two looks at the folder."""

MOST_NAMED = 5

Request = dict[str, Any]


class KeyDesk:
    """The keys of a node, for the callers of one realm."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._factory: Any = router._factory

    @property
    def _keys(self) -> PublicKeys:
        keys: PublicKeys | None = self._factory.keys
        if keys is None:
            raise BadRequest("this node has no folder of keys", advice="`hopsack node` has one")
        return keys

    def listed(self, *_: Any) -> list[dict[str, Any]]:
        """Serve ``hopsack.keys.list``."""
        try:
            self._keys.look()
            users = [one.identity.key for one in _logged_in(self._factory)]
            return [one.facts() | {"sessions": users.count(one.fingerprint)} for one in self._keys.all()]
        except RemoteError as error:
            raise refused(error) from error

    def add(self, request: Request, details: CallDetails) -> dict[str, Any]:
        """Serve ``hopsack.keys.add``."""
        try:
            key = self._keys.add(request["subject"], request["role"], request["public"], request.get("note"))
        except RemoteError as error:
            raise refused(error) from error
        self._note("key_added", key, details)
        return key.facts()

    def revoke(self, request: Request, details: CallDetails) -> dict[str, Any]:
        """Serve ``hopsack.keys.revoke``."""
        try:
            self._keys.look()
            key = self._keys.named(request["key"])
            if key is None:
                raise _unknown(request["key"], self._keys.all())
            self._keys.revoke(key)
        except RemoteError as error:
            raise refused(error) from error
        self._note("key_revoked", key, details)
        return {"ended": end_sessions(self._factory, self._keys)}

    def _note(self, event: str, key: PublicKey, details: CallDetails) -> None:
        caller = self._router._session_id_to_session.get(details.caller)
        by = {} if caller is None else facts_of(caller)
        of = {"of": key.subject, "as_role": key.role, "name": key.name, "fingerprint": key.fingerprint}
        self._router.audit.note(event, **by, **of)


def _unknown(word: str, known: list[PublicKey]) -> BadRequest:
    """Somebody may have meant whose key it is, or has misspelt either."""
    names: dict[str, list[str]] = {}
    for one in known:
        names.setdefault(one.subject, []).append(one.name)
    if len(names.get(word, ())) > 1:
        advice = f"the keys of {word} are {', '.join(names[word][:MOST_NAMED])}"
    else:
        near = word if word in names else nearest(word, [*names, *(one.name for one in known)])
        meant = names.get(near or "", [near])[0]
        advice = f"did you mean {meant}?" if meant else "`hopsack keys ls` shows the names"
    return BadRequest(f"there is no key {word[:80]!r}", path="/key", advice=advice)


class KeyWatch:
    """Looks at the folder again and again, and ends the sessions of keys that are gone.

    :param factory: the worker's router factory.
    """

    def __init__(self, keys: PublicKeys, factory: Any, clock: IReactorTime) -> None:
        self._keys, self._factory = keys, factory
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    def start(self) -> None:
        if not self._looks.running:
            self._looks.start(LOOK, now=False)

    def stop(self) -> None:
        if self._looks.running:
            self._looks.stop()

    def _look(self) -> None:
        try:
            if self._keys.look():
                end_sessions(self._factory, self._keys)
        except Exception:  # the next look must come, whatever was there at this one
            LOG.failure("the folder of keys could not be looked at")


def end_sessions(factory: Any, keys: PublicKeys) -> list[int]:
    """End the sessions that logged in with a key that is accepted no longer.

    :returns: their numbers.
    """
    gone = Revoked("the key that this client logged in with is accepted no longer")
    audit: Notes = factory.audit
    ended = []
    for session in [one for one in _logged_in(factory) if not keys.stands(one.identity)]:
        audit.note("ended", **facts_of(session), reason="its key is accepted no longer")
        ended.append(session._session_id)
        session.leave(wamp_uri(gone), gone.message)
    return ended


def _logged_in(factory: Any) -> Iterator[Any]:
    routers: Iterable[Router] = factory._routers.values()
    for router in routers:
        for session in list(router._session_id_to_session.values()):
            identity = getattr(session, "identity", None)
            if identity is not None and identity.proof == "key":
                yield session
