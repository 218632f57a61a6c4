"""Who may say what: the one gate every message of every door passes before broker or dealer see it.

    message -> admit -> None            it may pass
                     -> RemoteError     it goes back to its sender, and reaches nobody else

A core without I/O: it reads the catalogue and the facts of the session, and answers at once. Three questions in this
order, the first no ends it: is the URI declared, may this role do that, does the payload keep the contract. Answers
are per message and role; nothing is cached between users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hopsack.contracts import Catalogue, ProcedureContract, TopicContract, Violation, payload_of
from hopsack.errors import ERRORS, BadRequest, BrokenResult, Denied, Internal, Invalid, RemoteError, Undeclared
from hopsack_router.routing.asked import Terms

ALMIGHTY = frozenset(("operator", "trusted"))
"""Roles that may do whatever a contract declares; contracts need not name them."""

Match = Literal["exact", "prefix", "wildcard"]

WAMP = "wamp."
"""The prefix of WAMP's own meta API (advanced profile, section 16)."""

META_ROLES = frozenset(("operator", "service"))
"""Who may read the meta API. Guests and users learn who is there from ``presence.*``."""

META_TESTAMENTS = frozenset(("wamp.session.add_testament", "wamp.session.flush_testaments"))
"""The part of the meta API that concerns only its caller."""


class Who(Protocol):
    """What the gate reads of a session."""

    _authid: str | None
    _authrole: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An invocation's end as the gate lets it out to the caller."""

    error: RemoteError | None
    report: RemoteError | None


class Admission:
    """The gate of one realm.

    :param catalogue: the contracts.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    # ---- events -------------------------------------------------------------------------------------------------

    def publish(
        self, who: Who, topic: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        contract = self.catalogue.topic(topic)
        if contract is None:
            return None if self._open(topic, who) else self._undeclared(topic, "topic")
        if not _may(who, contract.publish, contract, topic):
            return _denied(who, "publish to", topic, contract.publish)
        return self._payload(contract, topic, args, kwargs)

    def delete(
        self, who: Who, topic: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        """That a key of a ``latest`` topic has no value any more."""
        contract = self.catalogue.topic(topic)
        if contract is None:
            if not self._open(topic, who):
                return self._undeclared(topic, "topic")
        elif not _may(who, contract.publish, contract, topic):
            return _denied(who, "publish to", topic, contract.publish)
        if contract is None or not contract.keeps_latest:
            advice = "declare it with `latest`, or publish an event that says so"
            return BadRequest("this topic keeps no newest values: nothing can be deleted", where=topic, advice=advice)
        payload = args[0] if args and len(args) == 1 and not kwargs else kwargs or None
        violation = contract.check_key(payload)
        return None if violation is None else _invalid(violation, topic)

    def publish_opaque(self, who: Who, topic: str) -> RemoteError | None:
        """A payload that the router cannot read (payload passthrough): only where no contract wants to read it."""
        contract = self.catalogue.topic(topic)
        if contract is not None:
            return Invalid("this topic has a contract, so its payload cannot be opaque", where=topic, path="")
        return None if self._open(topic, who) else self._undeclared(topic, "topic")

    def _payload(
        self, contract: TopicContract, topic: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        if not args or len(args) != 1 or kwargs:
            return Invalid(
                f"an event carries one value, got {len(args or ())} positional and {len(kwargs or ())} keyword ones",
                where=topic,
                path="",
                advice="publish the payload as the first and only argument",
            )
        violation = contract.check(args[0])
        return None if violation is None else _invalid(violation, topic)

    def subscribe(self, who: Who, topic: str, match: Match) -> RemoteError | None:
        if topic.startswith(WAMP):
            return (
                None
                if who._authrole in META_ROLES or who._authrole in ALMIGHTY
                else _denied(who, "subscribe to", topic, META_ROLES)
            )
        if match == "exact":
            contract = self.catalogue.topic(topic)
            if contract is None:
                return None if self._open(topic, who) else self._undeclared(topic, "topic")
            return (
                None
                if _may(who, contract.subscribe, contract, topic)
                else _denied(who, "subscribe to", topic, contract.subscribe)
            )
        return self._pattern(who, "subscribe to", topic, self.catalogue.topics_matching(topic, match), "topic")

    # ---- procedures ---------------------------------------------------------------------------------------------

    def register(self, who: Who, procedure: str, match: Match) -> RemoteError | None:
        if match == "exact":
            contract = self.catalogue.procedure(procedure)
            if contract is None:
                return None if self._open(procedure, who) else self._undeclared(procedure, "procedure")
            return (
                None
                if _may(who, contract.register, contract, procedure)
                else _denied(who, "register", procedure, contract.register)
            )
        return self._pattern(
            who, "register", procedure, self.catalogue.procedures_matching(procedure, match), "procedure"
        )

    def call(
        self, who: Who, procedure: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        if procedure.startswith(WAMP):
            return self._meta(who, procedure)
        contract = self.catalogue.procedure(procedure)
        if contract is None:
            return None if self._open(procedure, who) else self._undeclared(procedure, "procedure")
        if not _may(who, contract.call, contract, procedure):
            return _denied(who, "call", procedure, contract.call)
        try:
            value = payload_of(args, kwargs, contract.input_is_array)
        except Invalid as invalid:
            return Invalid(invalid.message, where=procedure, path="", advice=invalid.advice)
        violation = contract.check_input(value)
        return None if violation is None else _invalid(violation, procedure)

    def call_opaque(self, who: Who, procedure: str) -> RemoteError | None:
        """A call whose input the router cannot read: only where no contract wants to read it."""
        if self.catalogue.procedure(procedure) is not None or procedure.startswith(WAMP):
            return Invalid("this procedure has a contract, so its input cannot be opaque", where=procedure, path="")
        return None if self._open(procedure, who) else self._undeclared(procedure, "procedure")

    def answer_opaque(self, procedure: str) -> Violation | None:
        """The same for what a callee answers."""
        if self.catalogue.procedure(procedure) is None:
            return None
        return Violation("", "this procedure has a contract, so its answer cannot be opaque")

    def _meta(self, who: Who, procedure: str) -> RemoteError | None:
        role = who._authrole
        if role in ALMIGHTY or procedure in META_TESTAMENTS:
            return None
        if role in META_ROLES and not procedure.startswith(("wamp.session.kill", "wamp.session.modify")):
            return None
        return _denied(who, "call", procedure, META_ROLES)

    def inputs(self, procedure: str, terms: Terms) -> RemoteError | None:
        """Whether a call may have more inputs than one, if that is what it wants."""
        contract = self.catalogue.procedure(procedure) if terms.progress else None
        if contract is None or contract.inputs_schema is not None:
            return None
        return Invalid(
            "this procedure takes one input, and no others after it",
            where=procedure,
            path="",
            advice="declare what the others are in its contract, as inputs",
        )

    def further_input(
        self, procedure: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        """Judge an input that follows the first of a call."""
        contract = self.catalogue.procedure(procedure)
        violation = None if contract is None else _first_of(contract.check_inputs, args, kwargs)
        if violation is None:
            return None
        return Invalid(f"a further input: {violation.message}", where=procedure, path=violation.path)

    def result(self, procedure: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None) -> Violation | None:
        """What is wrong with a callee's answer, if anything."""
        contract = self.catalogue.procedure(procedure)
        return None if contract is None else _first_of(contract.check_output, args, kwargs)

    def progress(self, procedure: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None) -> Violation | None:
        """What is wrong with a progressive result, if anything."""
        contract = self.catalogue.procedure(procedure)
        return None if contract is None else _first_of(contract.check_progress, args, kwargs)

    def error(
        self, procedure: str, uri: str, args: list[Any] | None, kwargs: dict[str, Any] | None, incident: str
    ) -> Answer:
        """What a caller is told of a callee's error, and what the callee and the log are told.

        Errors that the contract declares pass if their data keeps it; errors of the one table pass as they are; an
        undeclared one becomes an incident, so that no exception's text reaches a stranger.
        """
        contract = self.catalogue.procedure(procedure)
        if contract is None:
            return Answer(None, None)
        code = kwargs["code"] if kwargs and isinstance(kwargs.get("code"), str) else uri
        if code in contract.errors:
            violation = contract.check_error(
                code, (kwargs or {}).get("data") if kwargs and "code" in kwargs else kwargs or None
            )
            if violation is None:
                return Answer(None, None)
            broken = BrokenResult(
                f"its error {code} breaks the contract: {violation.message}", where=procedure, path=violation.path
            )
            return Answer(broken, broken)
        if code in ERRORS or uri in _STANDARD:
            return Answer(None, None)
        report = Internal(
            f"the callee raised {code}, which the contract does not declare",
            where=procedure,
            advice=f"add {code} to its errors" + (f": {', '.join(sorted(contract.errors))}" if contract.errors else ""),
            data={"incident": incident},
        )
        return Answer(Internal(where=procedure, data={"incident": incident}), report)

    # ---- shared -------------------------------------------------------------------------------------------------

    def _open(self, uri: str, who: Who) -> bool:
        return (self.catalogue.is_open(uri) and not uri.startswith(WAMP)) or who._authrole == "trusted"

    def _undeclared(self, uri: str, kind: str) -> RemoteError:
        nearest = self.catalogue.nearest(uri, kind)  # type: ignore[arg-type]
        return Undeclared(
            f"no contract declares the {kind} {uri}",
            where=uri,
            advice=f"did you mean {nearest}?" if nearest else f"declare it in a file under schemas/, as a {kind}",
            data={"nearest": nearest} if nearest else None,
        )

    def _pattern(
        self,
        who: Who,
        verb: str,
        pattern: str,
        contracts: Iterable[TopicContract] | Iterable[ProcedureContract],
        kind: str,
    ) -> RemoteError | None:
        """A pattern may be used by who may use everything it can match: else it would be a way around a contract."""
        found = False
        for contract in contracts:
            found = True
            roles = contract.subscribe if isinstance(contract, TopicContract) else contract.register
            if not _may(who, roles):
                refusal = _denied(who, verb, pattern, roles)
                refusal.advice = f"the pattern also matches {contract.uri}; {refusal.advice}"
                return refusal
        if found or self._open(pattern, who):
            return None
        return self._undeclared(pattern, kind)


_STANDARD = frozenset(row.wamp for row in ERRORS.values() if row.wamp) - {"wamp.error.runtime_error"}


def _may(
    who: Who, roles: frozenset[str], contract: TopicContract | ProcedureContract | None = None, uri: str = ""
) -> bool:
    """Whether a session has one of these roles, by name or, for a concrete URI, by who it is.

    ``user:{sub}`` is the user whose name stands in the URI where the contract has ``{sub}``, ``user:ann`` is ann.
    """
    role = who._authrole
    if role in roles or role in ALMIGHTY:
        return True
    if f"{role}:{who._authid}" in roles and who._authid != "{sub}":  # a name, not the placeholder for all of them
        return True
    return (
        contract is not None
        and f"{role}:{{sub}}" in roles
        and who._authid is not None
        and contract.bind(uri).get("sub") == who._authid
    )


def _first_of(
    check: Callable[[Any], Violation | None], args: list[Any] | None, kwargs: Mapping[str, Any] | None
) -> Violation | None:
    """What is wrong with the one value that a message carries."""
    try:
        return check(payload_of(args, kwargs, array=False))
    except Invalid as invalid:
        return Violation("", invalid.message)


def _denied(who: Who, verb: str, uri: str, roles: frozenset[str]) -> RemoteError:
    allowed = ", ".join(sorted(roles)) or "nobody"
    return Denied(f"role {who._authrole} may not {verb} {uri}", where=uri, advice=f"allowed: {allowed}")


def _invalid(violation: Violation, where: str) -> RemoteError:
    return Invalid(violation.message, where=where, path=violation.path)
