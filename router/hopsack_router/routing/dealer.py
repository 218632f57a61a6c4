"""The dealer: Crossbar's, with a clear answer where nobody serves a procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from crossbar.router.dealer import Dealer as CrossbarDealer

from hopsack.errors import NoCallee

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession


class Dealer(CrossbarDealer):  # type: ignore[misc]
    """Routes calls of one realm."""

    def invocation(self, request: int) -> Any | None:
        """The call in flight behind an invocation id: ``.call``, ``.callee``, ``.caller``."""
        return self._invocations.get(request)

    def processCall(self, session: NodeSession, call: message.Call) -> None:
        if self._registration_map.best_matching_observation(call.procedure) is None:
            refusal = NoCallee(
                f"nobody serves {call.procedure} right now",
                where=call.procedure,
                advice="start the service that registers it, or try again when it is back",
            )
            self._router.refuse(session, call, refusal)
            return
        super().processCall(session, call)

    def procedures_of(self, session: NodeSession) -> list[str]:
        return sorted(registration.uri for registration in self._session_to_registrations.get(session, ()))
