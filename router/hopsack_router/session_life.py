"""How sessions go on and end: ``hopsack.session.*``, ``hopsack.sessions.end``, ``hopsack.access.revoke`` and others.

    whoami                  -> who the node takes the caller for
    refresh {token}         -> the session is what the newer token says; what that does not allow ends, one by one
    the token expires       -> and a grace later the session ends (``hopsack.expired``)
    sessions.end            -> a session ends, or all of a subject; nobody ends its own
    access.revoke {subject} -> nothing that it has logged in with counts any more; all its sessions end, on every realm,
                               at once (``hopsack.revoked``), the caller's own when it has its answer
    access.restore {subject}

A newer token is one of the same subject that was not issued before the one there is: of two that cross on their way
the newer one stays, in whatever order they come. One that does not say when it was issued (``iat``) may be of any age:
it takes the place of none that does. Where neither says, one that expires sooner is taken for the older. Where a newer
token says the same of its bearer, nothing is asked again; else every subscription and registration is, in this same
turn, so nothing is given or taken between two opinions. A call that is under way goes on: it was allowed when it was
made.

A token that is not good is a failed login, and counts as one (``auth_failures``): the session stays as it is.

Who has been revoked says nothing more: its testaments are not published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from autobahn.wamp.types import CallDetails
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from hopsack.errors import BadRequest, Denied, Expired, RemoteError, Revoked, StoreFailed, TooMany
from hopsack_router.access import tickets
from hopsack_router.access.audit import facts_of
from hopsack_router.access.identity import Identity
from hopsack_router.access.life import Lives
from hopsack_router.reading_back import refused
from hopsack_router.routing import limiting

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router
    from hopsack_router.routing.session import NodeSession

EXPIRED, REVOKED, KILLED = Expired.CODE, Revoked.CODE, "wamp.close.killed"
"""Reasons of GOODBYE; the last one is WAMP's."""

LONGEST_NAP = 86400.0
"""Seconds; a timer for what lies further ahead wakes up in between. Some reactors cannot sleep for a century."""

MOST_AT_ONCE = 4
"""Newer tokens of one session that are looked at. While keys are fetched they wait, in a row where others wait, too."""

Request: TypeAlias = dict[str, Any]


class SessionLife:
    """The sessions of one realm.

    :param clock: counts steadily. :param wall: tells Unix time.
    """

    def __init__(self, router: Router, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._router = router
        self._factory: Any = router._factory
        self._clock, self._wall = clock, wall
        self._lives = Lives()
        self._timer: IDelayedCall | None = None
        self._under_way: Counter[int | None] = Counter()

    @property
    def served(self) -> dict[str, Callable[..., Any]]:
        """Its procedures. Each takes a request and the details of the call."""
        return {
            "hopsack.session.whoami": self.whoami,
            "hopsack.session.refresh": self.refresh,
            "hopsack.sessions.end": self.end,
            "hopsack.access.revoke": self.revoke,
            "hopsack.access.restore": self.restore,
            "hopsack.access.revoked": self.revoked,
        }

    # ---- expiry -----------------------------------------------------------------------------------------------------

    def begin(self, session: NodeSession) -> None:
        """A session has joined, or is somebody by a newer proof: it lives as long as that, and the grace."""
        identity, number = session.identity, session._session_id
        assert number is not None
        if identity is None or identity.expires is None:
            self._lives.left(number)
            return
        left = max(0.0, identity.expires - self._wall())
        self._lives.begin(number, self._clock.seconds() + left + self._factory.grace)
        self._set_timer()

    def left(self, session: int) -> None:
        """It has left the realm."""
        self._lives.left(session)

    def _set_timer(self) -> None:
        due, timer = self._lives.next, self._timer
        if due is None or (timer is not None and timer.active() and timer.getTime() <= due):
            return
        if timer is not None and timer.active():
            timer.cancel()
        wait = min(max(0.0, due - self._clock.seconds()), LONGEST_NAP)
        self._timer = self._clock.callLater(wait, self._end_due)

    def _end_due(self) -> None:
        self._timer = None
        error = Expired("the token has expired, and no newer one has come", advice="log in again")
        for number in self._lives.due(self._clock.seconds()):
            session = self._router._session_id_to_session.get(number)
            if session is not None:
                self._dismiss([session], EXPIRED, error.message)
        self._set_timer()

    # ---- the caller's own -------------------------------------------------------------------------------------------

    def whoami(self, request: Any = None, *, details: CallDetails) -> dict[str, Any]:
        """Serve one call."""
        try:
            session = self._caller(details)
        except RemoteError as error:
            raise refused(error) from error
        identity = session.identity or Identity(session._authid or "", session._authrole or "", proof="node")
        return identity.facts() | {"session": session._session_id, "door": session.door}

    @inlineCallbacks
    def refresh(self, request: Request, details: CallDetails) -> Any:
        """Serve one call.

        :param request: as the contract of ``hopsack.session.refresh`` has it.
        """
        try:
            asking = self._caller(details)
            identity = yield self._proved(asking, request["token"])
            session = self._caller(details)  # it may have left meanwhile
            told = self._renew(session, identity)
        except RemoteError as error:
            raise refused(error) from error
        return told

    @inlineCallbacks
    def _proved(self, session: NodeSession, token: str) -> Any:
        number = session._session_id
        if self._under_way[number] >= MOST_AT_ONCE:
            raise TooMany(f"{MOST_AT_ONCE} newer tokens of this session are being looked at")
        self._under_way[number] += 1
        try:
            identity = yield self._identify(token)
        except RemoteError as refusal:
            error = limiting.after_refresh(session, self._factory.limits, refusal)
            self._router.audit.note("refresh_refused", **facts_of(session), code=error.code)
            raise error from None
        finally:
            self._under_way[number] -= 1
            if not self._under_way[number]:
                del self._under_way[number]
        return identity

    def _identify(self, token: str) -> Any:
        if self._factory.logins is None:
            raise tickets.no_tokens()
        return self._factory.logins.identify(token)

    def _renew(self, session: NodeSession, identity: Identity) -> dict[str, Any]:
        known = session.identity
        refusal = _unfit(session, known, identity) or self._factory.vet(identity)
        if refusal is None and not self._router.has_role(identity.role):
            refusal = Denied(f"there is no role {identity.role} here")
        if refusal is not None:
            self._router.audit.note("refresh_refused", **facts_of(session), code=refusal.code)
            raise refusal
        session.renew(identity)
        self.begin(session)
        ended = [] if _says_the_same(known, identity) else self._reconsider(session)
        self._router.audit.note("refreshed", **facts_of(session), expires=identity.expires, ended=len(ended) or None)
        kept = len(self._router._broker.subscriptions_of(session)) + len(self._router._dealer.registrations_of(session))
        return {"expires": identity.expires, "kept": kept, "ended": ended}

    def _reconsider(self, session: NodeSession) -> list[dict[str, Any]]:
        """Ask of each subscription and registration whether the session may still have it."""
        router, ended = self._router, list[dict[str, Any]]()
        broker, dealer = router._broker, router._dealer
        for one in _in_order(broker.subscriptions_of(session)):
            refusal = router.forbids(session, "subscribe", one.uri, one.match)
            if refusal is not None:
                broker.take_away(one, session, refusal)
                ended.append(_ended("subscription", one, refusal))
        broker.withhold(session)
        for one in _in_order(dealer.registrations_of(session)):
            refusal = router.forbids(session, "register", one.uri, one.match)
            if refusal is not None:
                dealer.take_away(one, session, refusal)
                ended.append(_ended("registration", one, refusal))
        return ended

    # ---- what operators do ------------------------------------------------------------------------------------------

    def end(self, request: Request, details: CallDetails) -> dict[str, Any]:
        """Serve one call.

        :param request: as the contract of ``hopsack.sessions.end`` has it.
        """
        try:
            caller, sessions = self._caller(details), self._wanted(request)
        except RemoteError as error:
            raise refused(error) from error
        others = [one for one in sessions if one is not caller]
        return {"ended": self._dismiss(others, KILLED, request.get("reason"), by=caller)}

    def _wanted(self, request: Request) -> list[NodeSession]:
        """:raises RemoteError: the request names none, or one that is not there."""
        number, subject = request.get("session"), request.get("subject")
        if (number is None) == (subject is None):
            raise BadRequest("one of session and subject says whom to end", where="hopsack.sessions.end")
        if subject is not None:
            return list(_clients(self._router._authid_to_sessions.get(subject, ())))
        found = list(_clients([self._router._session_id_to_session.get(number)]))
        if not found:
            raise RemoteError(f"there is no session {number}", code="hopsack.no_such_session", path="/session")
        return found

    def revoke(self, request: Request, details: CallDetails) -> dict[str, Any]:
        """Serve one call.

        :param request: as the contract of ``hopsack.access.revoke`` has it.
        """
        subject, reason = request["subject"], request.get("reason")
        try:
            caller = self._caller(details)
            since, unkept = self._revoke(subject, reason)
        except RemoteError as error:
            raise refused(error) from error
        self._router.audit.note("revoked", **_by(caller), subject=subject, reason=reason)
        keys = self._factory.revoke_keys(subject)
        ended = self._end_all(subject, caller)
        if unkept is not None:
            raise refused(unkept)
        return {"ended": ended, "keys": keys, "since": since}

    def _revoke(self, subject: str, reason: str | None) -> tuple[float, RemoteError | None]:
        """:returns: the moment, and why it will be forgotten, if it will."""
        revocations = self._factory.revocations
        try:
            return revocations.revoke(subject, reason).since, None
        except OSError as error:
            said = f"{subject} is revoked until the node ends, but that could not be written: {error.strerror}"
            return self._wall(), StoreFailed(said, advice="make room on the disk, and revoke it again")

    def restore(self, request: Request, details: CallDetails) -> None:
        """Serve one call."""
        try:
            caller, was_revoked = self._caller(details), self._factory.revocations.restore(request["subject"])
        except OSError as error:
            failed = StoreFailed(f"restored, but that could not be written: {error.strerror}")
            raise refused(failed) from error
        except RemoteError as error:
            raise refused(error) from error
        if was_revoked:
            self._router.audit.note("restored", **_by(caller), subject=request["subject"])

    def revoked(self, request: Any = None, *, details: CallDetails) -> list[dict[str, Any]]:
        """Serve one call."""
        return [one.facts() for one in self._factory.revocations]

    def _end_all(self, subject: str, caller: NodeSession) -> list[int]:
        """
        :returns: the numbers of its sessions, in every realm.
        """
        ended: list[int] = []
        for router in self._factory.realms:
            sessions = list(_clients(router._authid_to_sessions.get(subject, ())))
            others = [one for one in sessions if one is not caller]
            ended += self._dismiss(others, REVOKED, GONE, by=caller)
            if len(others) < len(sessions):
                ended.append(caller._session_id)  # type: ignore[arg-type]
                self._clock.callLater(0, self._dismiss, [caller], REVOKED, GONE, caller)
        return ended

    def _dismiss(
        self, sessions: Iterable[NodeSession], reason: str, message: str | None, by: NodeSession | None = None
    ) -> list[int]:
        """
        :returns: the numbers of those that were there.
        """
        ended: list[int] = []
        for session in sessions:
            number = session._session_id
            if number is None:
                continue
            facts = facts_of(session) | {"reason": reason, "message": message}
            session.leave(reason, message)
            ended.append(number)
            self._router.audit.note("ended", **facts, by=None if by is None else by._authid)
        return ended

    def _caller(self, details: CallDetails) -> NodeSession:
        caller: NodeSession | None = self._router._session_id_to_session.get(details.caller)
        if caller is None:
            raise Denied("the caller has left")
        return caller


GONE = "What this client logged in with has been revoked."


def _unfit(session: NodeSession, known: Identity | None, newer: Identity) -> RemoteError | None:
    """Why a session cannot go on as this identity; ``None``: it can."""
    where = "hopsack.session.refresh"
    if session.door == "http":
        return BadRequest("a request over HTTP has its token with it", where=where, advice="send the newer one instead")
    if known is None or newer.subject != known.subject:
        advice = "open another connection to be somebody else"
        return Denied("this token is another subject's than the session", where=where, advice=advice)
    if _is_older(newer, known):
        return BadRequest("this token is older than the one there is", where=where, advice="send the newest one")
    return None


def _is_older(one: Identity, known: Identity) -> bool:
    """Whether a proof is, or may be, from before another. Who has had a token for long must not go back to what it said
    by leaving out when it was made."""
    if known.issued is not None:
        return one.issued is None or one.issued < known.issued
    if one.issued is not None or one.expires is None:
        return False
    return known.expires is not None and one.expires < known.expires


def _says_the_same(known: Identity | None, newer: Identity) -> bool:
    if known is None:
        return False
    return (known.role, known.groups, known.tenant) == (newer.role, newer.groups, newer.tenant)


def _in_order(held: Iterable[Any]) -> list[Any]:
    return sorted(held, key=lambda one: one.id)


def _ended(kind: str, one: Any, refusal: RemoteError) -> dict[str, Any]:
    return {"kind": kind, "uri": one.uri, "match": one.match, "reason": refusal.message}


def _clients(sessions: Iterable[Any]) -> Iterator[NodeSession]:
    """Those that are not the node's own."""
    return (one for one in sessions if one is not None and one._authrole not in (None, "trusted"))


def _by(caller: NodeSession) -> dict[str, Any]:
    """Who did it, where the line is about somebody else."""
    facts = facts_of(caller)
    return {"by": facts["subject"], "role": facts["role"], "session": facts["session"], "address": facts["address"]}
