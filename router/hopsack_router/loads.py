"""What becomes of calls right now, as the node tells it: of each procedure, and of each of its callees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hopsack.contracts import Catalogue, ProcedureContract

if TYPE_CHECKING:
    from hopsack_router.routing.choosing import Rota, Seat
    from hopsack_router.routing.dealer import Dealer


def serving(registrations: Iterable[Any], catalogue: Catalogue) -> dict[str, list[Rota[Any]]]:
    """Declared URI → who serves it, through an exact URI or a pattern that covers it."""
    found: dict[str, list[Rota[Any]]] = defaultdict(list)
    for one in registrations:
        if one.match != "exact":
            contracts = catalogue.procedures_matching(one.uri, one.match)
        else:
            contract = catalogue.procedure(one.uri)
            contracts = [] if contract is None else [contract]
        for contract in contracts:
            found[contract.uri].append(one.extra)
    return found


def facts_of(contract: ProcedureContract, rotas: Iterable[Rota[Any]], dealer: Dealer) -> dict[str, Any]:
    """What there is to tell of a procedure that is served or called; nothing of one that is neither.

    A callee that serves it twice, by its URI and by a pattern, is told twice: it has as many places.
    """
    now, traffic = dealer.now(), dealer.traffic_of(contract.uri)
    seats = [_seat(seat, contract.uri, now) for rota in rotas for seat in rota.seats]
    policies = {traffic.invoke or rota.invoke for rota in rotas}
    facts: dict[str, Any] = {"invoke": policies.pop()} if len(policies) == 1 else {}
    counts = {
        "calls": traffic.calls,
        "waiting": dealer.waiting_of(traffic),
        "retries": traffic.retried,
        "opened": traffic.opened,
    }
    facts |= {name: count for name, count in counts.items() if count}
    return facts | ({"load": seats} if seats else {})


def _seat(seat: Seat[Any], procedure: str, now: float) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "session": seat.callee._session_id,
        "authid": seat.callee._authid or "",
        "in_hand": seat.in_hand,
        "stalled": seat.is_stalled(now),
    }
    if seat.mean is not None:
        facts["answers_in"] = round(seat.mean, 6)
    if seat.limit is not None:
        facts["limit"] = seat.limit
    breaker = seat.breakers.get(procedure)
    return facts | ({"breaker": breaker.state(now).value} if breaker is not None else {})
