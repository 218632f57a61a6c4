"""May somebody do something: the one answer behind the gate (:mod:`~hopsack_router.routing.admission`) and behind
``hopsack why``, with what it rests on.

    decide(who, action, uri, match) -> Decision: the entry of a contract's list that allows it, or the refusal

A pattern is for who may use everything it can match: else it would be a way around a contract. Stock Crossbar asks
whether a role may use the pattern's text as a URI, and whoever may subscribe to exactly ``com`` gets all of ``com*``.

A core without I/O. It is asked for each message that the gate does not let through at once, and keeps no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hopsack.contracts import Catalogue, ProcedureContract, TopicContract
from hopsack.contracts.permission import Action, Match, Permission, Who
from hopsack.errors import Denied, RemoteError, Undeclared
from hopsack_router.routing import uris

Contract = TopicContract | ProcedureContract
Guests = Literal["all", "read", "none"]

WAMP = "wamp."
"""The prefix of WAMP's own meta API (advanced profile, section 16)."""

META_ROLES = ("operator", "service")
"""Who may read the meta API. Guests and users learn who is there from ``presence.*``."""

META_TESTAMENTS = frozenset(("wamp.session.add_testament", "wamp.session.flush_testaments"))
"""The part of the meta API that concerns only its caller."""

_OPERATORS_ONLY = (
    "wamp.session.kill",
    "wamp.session.modify",
    "wamp.registration.remove_callee",
    "wamp.subscription.remove_subscriber",
)
"""What changes others' sessions; the rest of the meta API only looks."""
_VERBS = {"publish": "publish to", "subscribe": "subscribe to", "register": "register", "call": "call"}


@dataclass(frozen=True, slots=True)
class Decision:
    """
    :ivar refusal: what it gets; ``None``: it may.
    :ivar why: one sentence, for developers and operators.
    :ivar rule: the entry that allows it; of a pattern, the entries. ``None``: no list was asked, or none has one.
    :ivar contract: the one that decides. ``None``: none does, or a pattern matches several and all allow it.
    :ivar is_undeclared: whether no contract has the URI, whatever the refusal says of that.
    """

    refusal: RemoteError | None
    why: str
    rule: str | None = None
    contract: Contract | None = None
    is_undeclared: bool = False


class Deciding:
    """
    :param catalogue: the contracts.
    :param explains: whether a refusal tells everybody the rule, and what is declared. An operator is always told.
        Who is not gets one answer for what is declared for others and for what is not declared at all.
    :param guests: ``read``: whatever contracts grant them, guests publish and register nothing, and call only what is
        idempotent. ``none``: there are none; should one be there, it may nothing.
    """

    def __init__(self, catalogue: Catalogue, explains: bool = True, guests: Guests = "all") -> None:
        self.catalogue = catalogue if guests == "all" else _without_guests(catalogue, guests)
        self._explains = explains
        self._guests = guests

    def decide(self, who: Who, action: Action, uri: str, match: Match = "exact") -> Decision:
        """:param match: of a subscription or registration; what is published or called is exact."""
        is_event = action in ("publish", "subscribe")
        if len(uri) > uris.LONGEST:  # before it is told back
            invalid = uris.invalid(uri, "topic" if is_event else "procedure")
            return Decision(invalid, invalid.message)
        if uri.startswith(WAMP) and action in ("call", "subscribe"):
            return self._meta(who, action, uri)
        if match != "exact":
            find = self.catalogue.topics_matching if is_event else self.catalogue.procedures_matching
            return self._pattern(who, action, uri, match, find(uri, match))
        contract = self.catalogue.topic(uri) if is_event else self.catalogue.procedure(uri)
        if contract is None:
            return self._without_contract(who, action, uri, match)
        permission: Permission = getattr(contract, action)
        rule = permission.rule_for(who, uri)
        if rule is None:
            return self._denied(who, action, uri, contract)
        return Decision(None, _allows(permission, rule), rule, contract)

    def _pattern(
        self,
        who: Who,
        action: Action,
        pattern: str,
        match: Literal["prefix", "wildcard"],
        contracts: Sequence[Contract],
    ) -> Decision:
        if not contracts:
            return self._without_contract(who, action, pattern, match)
        rules: dict[str, Contract] = {}
        for contract in contracts:
            permission: Permission = getattr(contract, action)
            rule = permission.rule_for_pattern(who, pattern, match)
            if rule is None:
                return self._denied(who, action, pattern, contract, f"the pattern also matches {contract.uri}")
            rules.setdefault(rule, contract)
        if len(contracts) == 1:
            (rule,) = rules
            return Decision(None, _allows(permission, rule), rule, contract)
        return Decision(None, f"all {len(contracts)} contracts that the pattern matches allow it", ", ".join(rules))

    def _meta(self, who: Who, action: Action, uri: str) -> Decision:
        role = who._authrole
        if action == "call" and uri in META_TESTAMENTS:
            return Decision(None, "everybody may leave a testament")
        allowed = ("operator",) if action == "call" and uri.startswith(_OPERATORS_ONLY) else META_ROLES
        if role in allowed or role == "trusted":
            return Decision(None, f"WAMP's meta API is for {' and '.join(allowed)}", role)
        return self._refused(who, action, uri, f"WAMP's meta API is for {' and '.join(allowed)}", allowed)

    def _without_contract(self, who: Who, action: Action, uri: str, match: Match) -> Decision:
        if who._authrole == "trusted":
            return Decision(None, "the node may do all it needs", "trusted")
        malformed = uris.check_pattern(uri, match, where="topic" if action in ("publish", "subscribe") else "procedure")
        if malformed is not None:  # some doors see that before they ask: all say the same
            return Decision(malformed, malformed.message)
        if not self.catalogue.is_open(uri) or uri.startswith(WAMP):
            kind: Literal["topic", "procedure"] = "topic" if action in ("publish", "subscribe") else "procedure"
            return self._undeclared(who, action, uri, kind)
        if who._authrole == "guest" and (self._guests == "none" or (self._guests == "read" and action != "subscribe")):
            return self._refused(who, action, uri, _setting(self._guests), ())
        return Decision(None, "it is below a prefix that says `undeclared: allow`")

    def _undeclared(self, who: Who, action: Action, uri: str, kind: Literal["topic", "procedure"]) -> Decision:
        why = f"no contract declares the {kind} {uri}"
        if not self._tells(who):
            return replace(self._refused(who, action, uri, why, ()), why=why, is_undeclared=True)
        nearest = self.catalogue.nearest(uri, kind)
        refusal = Undeclared(
            why,
            where=uri,
            advice=f"did you mean {nearest}?" if nearest else f"declare it in a file under schemas/, as a {kind}",
            data={"nearest": nearest} if nearest else None,
        )
        return Decision(refusal, why, is_undeclared=True)

    def _denied(self, who: Who, action: Action, uri: str, contract: Contract, note: str = "") -> Decision:
        permission: Permission = getattr(contract, action)
        setting = permission.barred.get(who._authrole)
        rule = setting or f"{permission.place} {permission}"
        decision = self._refused(who, action, uri, rule, () if setting else permission.entries, note)
        return replace(decision, contract=contract)

    def _refused(
        self, who: Who, action: Action, uri: str, rule: str, allowed: Sequence[str], note: str = ""
    ) -> Decision:
        message = f"role {who._authrole} may not {_VERBS[action]} {uri}"
        advice = "; ".join(filter(None, (note, f"allowed: {', '.join(sorted(allowed)) or 'nobody'}")))
        why = f"{note}, and {rule} does not allow it" if note else f"{rule} does not allow it"
        denied = Denied(message, where=uri)
        denied.rule = rule
        if self._tells(who):
            denied.advice, denied.data = advice, {"rule": rule}
        return Decision(denied, why)

    def _tells(self, who: Who) -> bool:
        return self._explains or who._authrole in ("operator", "trusted")


def _allows(permission: Permission, rule: str) -> str:
    if rule in permission.entries:
        return f"{permission.place} {permission}"
    if rule == "operator":
        return f"an operator may do whatever some role may do: {permission.place} {permission}"
    return "the node may do all it needs"


def _setting(guests: Guests) -> str:
    return f"HOPSACK_GUESTS={guests}"


def _without_guests(catalogue: Catalogue, guests: Guests) -> Catalogue:
    """The same contracts, without what the setting keeps from guests: so it costs nothing when a message comes."""
    setting = _setting(guests)
    topics = {
        uri: _barred(one, ("publish", "subscribe") if guests == "none" else ("publish",), setting)
        for uri, one in catalogue.topics.items()
    }
    procedures = {
        uri: _barred(one, ("register",) if guests == "read" and one.idempotent else ("register", "call"), setting)
        for uri, one in catalogue.procedures.items()
    }
    return replace(catalogue, topics=topics, procedures=procedures)


def _barred(contract: Any, actions: Sequence[Action], setting: str) -> Any:
    return replace(contract, **{action: getattr(contract, action).without("guest", setting) for action in actions})
