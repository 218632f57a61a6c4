"""Who serves what: REGISTER, UNREGISTER and revocation over Crossbar's registration map.

    REGISTER                    -> REGISTERED
             invalid URI        -> ERROR invalid_uri
             served already     -> ERROR procedure_already_exists, or the policies differ
             force_reregister   -> UNREGISTERED 0 to every callee there was, then REGISTERED
    UNREGISTER                  -> UNREGISTERED
    remove_callee               -> UNREGISTERED 0 to the callee (WAMP advanced profile, "Registration Revocation")
    it may not serve it any more -> the same

Callees share a registration by the policy of its contract; where that says nothing, by the one that they ask for.

A callee that lost its registration gets no new calls. Those it works on go on: it may still answer them, and if it
leaves instead, their callers are told. The meta events say what happened, with the session it happened to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from crossbar.router import NotAttached
from crossbar.router.dealer import Dealer as CrossbarDealer

from hopsack.errors import AlreadyRegistered, RemoteError, TooMany
from hopsack_router.access.meters import Levels
from hopsack_router.routing import uris
from hopsack_router.routing.choosing import LEAST, Rota, Seat
from hopsack_router.routing.ended import Unregistered

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession

REPLACED = "wamp.error.unregistered"
"""The reason that a callee is given whose registration another one took over; stock Crossbar's."""


NONE: frozenset[Any] = frozenset()
"""The registrations of a session that has none."""


class Registrations(CrossbarDealer):  # type: ignore[misc]
    """The registrations of one realm."""

    def attach(self, session: NodeSession) -> None:
        """A session that registers nothing has no set of its own."""
        self._session_to_registrations[session] = NONE

    def registrations_of(self, session: NodeSession) -> frozenset[Any]:
        """What it serves: each has its ``uri``, which may be a pattern, and its ``match``."""
        return frozenset(self._session_to_registrations.get(session, ()))

    def processRegister(self, session: NodeSession, register: message.Register) -> None:
        refusal = uris.check_pattern(register.procedure, register.match, where="procedure")
        if refusal is None and session._authrole not in (None, "trusted"):
            refusal = uris.check_restricted(register.procedure)
        if refusal is not None:
            self._router.refuse(session, register, refusal)
        else:
            self._router.permit(
                session, register, register.procedure, "register", lambda _: self._register(session, register)
            )

    def _register(self, session: NodeSession, register: message.Register) -> None:
        full = self._check_room(session, register)
        if full is not None:
            self._router.refuse(session, register, full)
            return
        policy = self._policy_of(register)
        existing = self._registration_map.get_observation(register.procedure, register.match)
        if existing is not None and register.force_reregister:
            for callee in list(existing.observers):
                self.removeCallee(existing, callee, REPLACED)
        elif existing is not None:
            conflict = _conflict(existing.extra.invoke, policy, register)
            if conflict is not None:
                self._router.refuse(session, register, conflict)
                return
        seat = Seat(session, str(session._session_id), register.concurrency)
        registration, was_registered, is_new = self._registration_map.add_observer(
            session, register.procedure, register.match, Rota(policy), seat
        )
        if not was_registered:
            registration.extra.seats.append(seat)
            self.changed(registration)
        (self._session_to_registrations[session] or self._first(session)).add(registration)
        self._router.send(session, message.Registered(register.request, registration.id))
        if is_new:
            self._announce("on_create", registration, session, _facts(registration))
        if not was_registered:
            self._announce("on_register", registration, session, registration.id)

    def _check_room(self, session: NodeSession, register: message.Register) -> RemoteError | None:
        """Whether this would be one more registration than the session may have; the node's own have no bound."""
        levels, held = getattr(session, "levels", None), self._session_to_registrations[session]
        if type(levels) is not Levels or len(held) < levels.registered:
            return None
        if self._registration_map.get_observation(register.procedure, register.match) in held:
            return None
        return TooMany(
            f"this session has {len(held)} registrations, and may have no more",
            where=register.procedure,
            advice="unregister something, or register a pattern",
            data={"most": levels.registered},
        )

    def _policy_of(self, register: message.Register) -> str:
        """How callees share a registration: as its contract says, else as they say themselves."""
        catalogue = self._router.admission.catalogue
        if register.match == message.Register.MATCH_EXACT:
            contract = catalogue.procedure(register.procedure)
        else:
            covered = catalogue.procedures_matching(register.procedure, register.match)
            contract = covered[0] if len(covered) == 1 else None
        if contract is None:
            return str(register.invoke)
        return contract.policy.invoke or (LEAST if contract.policy.shard_by is not None else str(register.invoke))

    def changed(self, registration: Any) -> None:
        """It has got a callee, or lost one: who waits may be placed."""

    def _first(self, session: NodeSession) -> set[Any]:
        begun: set[Any] = set()
        self._session_to_registrations[session] = begun
        return begun

    def removeCallee(self, registration: Any, session: NodeSession, reason: str | None = None) -> tuple[bool, bool]:
        """Take a registration away from one of its callees, and tell it.

        :returns: whether it was one, and whether it was the last.
        """
        was_registered, was_last, _ = self._unregister(registration, session)
        if was_registered:
            self._router.send(session, message.Unregistered(0, registration=registration.id, reason=reason))
        return was_registered, was_last

    def take_away(self, registration: Any, session: NodeSession, refusal: RemoteError) -> None:
        """The same, for it may not serve that any more.

        :param refusal: why.
        """
        was_registered, _, _ = self._unregister(registration, session)
        if was_registered:
            self._router.send(session, Unregistered(registration, refusal))

    def _unregister(self, registration: Any, session: NodeSession, unregister: Any = None) -> tuple[bool, bool, bool]:
        """Where a callee loses a registration; Crossbar's ``processUnregister`` comes here."""
        was_registered, was_last = self._registration_map.drop_observer(session, registration)
        if was_registered:
            registration.extra.leave(session)
            self._session_to_registrations[session].discard(registration)
            self._announce("on_unregister", registration, session, registration.id)
        if was_last:
            self._registration_map.delete_observation(registration)
            self._announce("on_delete", registration, session, registration.id)
        self.changed(registration)
        return was_registered, was_last, was_registered

    def detach(self, session: NodeSession) -> None:
        registrations = self._session_to_registrations.get(session)
        if registrations is None:
            raise NotAttached(f"session {session._session_id} is not attached")
        for registration in tuple(registrations):
            self._unregister(registration, session)
        del self._session_to_registrations[session]

    def _announce(self, event: str, registration: Any, session: NodeSession, fact: Any) -> None:
        if not registration.uri.startswith("wamp."):
            self._router.announce(f"wamp.registration.{event}", session._session_id, fact)


_BY_TURNS = frozenset((LEAST, message.Register.INVOKE_ROUNDROBIN))
"""Policies whose callees may serve one procedure together: who asks for turns knows no word for the least."""


def _conflict(policy: str, asked: str, register: message.Register) -> RemoteError | None:
    if policy == message.Register.INVOKE_SINGLE:
        return AlreadyRegistered(where=register.procedure)
    if policy != asked and not {policy, asked} <= _BY_TURNS:
        return RemoteError(
            f"its callees share it by the policy {policy}, this one asked for {asked}",
            code=ApplicationError.PROCEDURE_EXISTS_INVOCATION_POLICY_CONFLICT,
            where=register.procedure,
            advice=f"register with invoke={policy}",
        )
    return None


def _facts(registration: Any) -> dict[str, Any]:
    """What ``wamp.registration.on_create`` tells (WAMP advanced profile, registration meta events)."""
    return {
        "id": registration.id,
        "created": registration.created,
        "uri": registration.uri,
        "match": registration.match,
        "invoke": registration.extra.invoke,
    }
