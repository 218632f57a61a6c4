"""``hopsack.access.why``: whether somebody may do something, and the rule that decides.

It asks the same function as the gate does for a message (:mod:`~hopsack_router.routing.deciding`), so there is no
second opinion. Who is asked about need not be there: the question then says what role, groups and tenant to take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopsack.contracts.permission import Action, Somebody
from hopsack_router.routing.deciding import Decision

if TYPE_CHECKING:
    from hopsack_router.routing.router import Router

Request = dict[str, Any]

_GIVEN = frozenset(("role", "groups", "tenant"))


class Explaining:
    """The rules of one realm, for its operators."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def why(self, request: Request) -> dict[str, Any]:
        """Serve one call.

        :param request: as the contract of ``hopsack.access.why`` has it.
        """
        action, uri, match = request["action"], request["uri"], request.get("match", "exact")
        if action in ("publish", "call"):
            match = "exact"
        who = self._who(request)
        decision = self._router.admission.decide(who, action, uri, match)
        refusal = decision.refusal
        # Not the refusal's own: that tells strangers nothing in production, and who asks here is an operator.
        nearest = self._nearest(action, uri) if decision.is_undeclared else None
        answer = {
            "allowed": refusal is None,
            "who": _facts(who),
            "rule": decision.rule,
            "contract": None if decision.contract is None else decision.contract.uri,
            "place": _place(decision, action),
            "why": decision.why,
        }
        return answer | _known(code=None if refusal is None else refusal.code, nearest=nearest)

    def _nearest(self, action: Action, uri: str) -> str | None:
        return self._router.admission.catalogue.nearest(
            uri, "topic" if action in ("publish", "subscribe") else "procedure"
        )

    def _who(self, request: Request) -> Somebody:
        """What the question says; where it says nothing, the subject's session that came last; else a user."""
        subject = request["subject"]
        if _GIVEN.isdisjoint(request):
            there = self._router._authid_to_sessions.get(subject)
            session = max(there, key=lambda one: getattr(one, "since", 0.0), default=None)
            if session is not None:
                return Somebody(subject, session._authrole, session.groups, session.tenant)
        groups = frozenset(request.get("groups", ()))
        return Somebody(subject, request.get("role", "user"), groups, request.get("tenant"))


def _known(**facts: str | None) -> dict[str, str]:
    return {name: fact for name, fact in facts.items() if fact is not None}


def _facts(who: Somebody) -> dict[str, Any]:
    return {"subject": who._authid, "role": who._authrole, "groups": sorted(who.groups), "tenant": who.tenant}


def _place(decision: Decision, action: Action) -> str | None:
    return None if decision.contract is None else str(getattr(decision.contract, action).place)
