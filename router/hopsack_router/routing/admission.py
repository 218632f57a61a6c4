"""Who may say what: the one gate every message of every door passes before broker or dealer see it.

    message -> admit -> None            it may pass
                     -> RemoteError     it goes back to its sender, and reaches nobody else

A core without I/O: it reads the catalogue and the facts of the session, and answers at once. Three questions in this
order, the first no ends it: is the URI declared, may this session do that, does the payload keep the contract. A yes
to the first two is found here, by one look-up in the contract's list; whatever else there is to say is
:mod:`~hopsack_router.routing.deciding`'s, which asks the same lists. Nothing is remembered of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hopsack.contracts import Catalogue, TopicContract, Violation, payload_of
from hopsack.contracts.permission import Match, Who
from hopsack.contracts.sealed import is_sealed
from hopsack.errors import ERRORS, BadRequest, BrokenResult, Internal, Invalid, RemoteError
from hopsack_router.routing.asked import Terms
from hopsack_router.routing.deciding import WAMP, Deciding, Guests


@dataclass(frozen=True, slots=True)
class Answer:
    """An invocation's end as the gate lets it out to the caller."""

    error: RemoteError | None
    report: RemoteError | None


class Admission:
    """The gate of one realm.

    :param catalogue: the contracts. :param explains: as :class:`Deciding` has it. :param guests: the same.
    :ivar seals: whether any topic is encrypted.
    """

    def __init__(self, catalogue: Catalogue, explains: bool = True, guests: Guests = "all") -> None:
        deciding = Deciding(catalogue, explains, guests)
        self.catalogue = deciding.catalogue
        self.seals = any(one.encrypted is not None for one in self.catalogue.topics.values())
        self.decide = deciding.decide

    # ---- events -------------------------------------------------------------------------------------------------

    def publish(
        self, who: Who, topic: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        contract = self.catalogue.topic(topic)
        if contract is None or contract.publish.rule_for(who, topic) is None:
            return self.decide(who, "publish", topic).refusal
        return self._payload(contract, topic, args, kwargs)

    def delete(
        self, who: Who, topic: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        """That a key of a ``latest`` topic has no value any more."""
        refusal = self.decide(who, "publish", topic).refusal
        if refusal is not None:
            return refusal
        contract = self.catalogue.topic(topic)
        if contract is None or not contract.keeps_latest:
            advice = "declare it with `latest`, or publish an event that says so"
            return BadRequest("this topic keeps no newest values: nothing can be deleted", where=topic, advice=advice)
        payload = args[0] if args and len(args) == 1 and not kwargs else kwargs or None
        violation = contract.check_key(payload)
        return None if violation is None else _invalid(violation, topic)

    def publish_opaque(
        self, who: Who, topic: str, algorithm: str | None = None, serializer: str | None = None, key: str | None = None
    ) -> RemoteError | None:
        """A payload that the router cannot read (payload passthrough): only where no contract wants to read it, and
        where one wants nobody but its readers to."""
        refusal = self.decide(who, "publish", topic).refusal  # first: a stranger learns nothing of contracts
        contract = self.catalogue.topic(topic)
        if refusal is not None or contract is None:
            return refusal
        if contract.encrypted is None:
            return Invalid("this topic has a contract, so its payload cannot be opaque", where=topic, path="")
        if key is not None:  # the journal and the doors that speak JSON have no room for it
            return Invalid("a sealed payload has no enc_key", where=topic, path="/enc_key", advice="leave it out")
        if (algorithm, serializer) == (contract.encrypted, "json"):
            return None
        return Invalid(f"this topic takes payloads sealed with {contract.encrypted}, of json", where=topic, path="")

    def is_sealed(self, topic: str) -> bool:
        """Whether what was let through for this topic is a sealed payload."""
        contract = self.catalogue.topic(topic)
        return contract is not None and contract.encrypted is not None

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
        if violation is None:
            return None
        if contract.encrypted is not None and not is_sealed(args[0]):
            message = f"this topic is encrypted: the node takes payloads sealed with {contract.encrypted} and no others"
            return Invalid(message, where=topic, path="", advice="give the connection a key ring with the topic's key")
        return _invalid(violation, topic)

    def subscribe(self, who: Who, topic: str, match: Match) -> RemoteError | None:
        """Asked for who reads back, too: nobody reads what it may not subscribe to."""
        if match == "exact":
            contract = self.catalogue.topic(topic)
            if contract is not None and contract.subscribe.rule_for(who, topic) is not None:
                return None
        return self.decide(who, "subscribe", topic, match).refusal

    # ---- procedures ---------------------------------------------------------------------------------------------

    def register(self, who: Who, procedure: str, match: Match) -> RemoteError | None:
        return self.decide(who, "register", procedure, match).refusal

    def call(
        self, who: Who, procedure: str, args: list[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> RemoteError | None:
        contract = self.catalogue.procedure(procedure)
        if contract is None or contract.call.rule_for(who, procedure) is None:
            return self.decide(who, "call", procedure).refusal
        try:
            value = payload_of(args, kwargs, contract.input_is_array)
        except Invalid as invalid:
            return Invalid(invalid.message, where=procedure, path="", advice=invalid.advice)
        violation = contract.check_input(value)
        return None if violation is None else _invalid(violation, procedure)

    def call_opaque(self, who: Who, procedure: str) -> RemoteError | None:
        """A call whose input the router cannot read: only where no contract wants to read it."""
        refusal = self.decide(who, "call", procedure).refusal
        if refusal is None and (self.catalogue.procedure(procedure) is not None or procedure.startswith(WAMP)):
            return Invalid("this procedure has a contract, so its input cannot be opaque", where=procedure, path="")
        return refusal

    def answer_opaque(self, procedure: str) -> Violation | None:
        """The same for what a callee answers."""
        if self.catalogue.procedure(procedure) is None:
            return None
        return Violation("", "this procedure has a contract, so its answer cannot be opaque")

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
        if contract is None and uri != UNNAMED:
            return Answer(None, None)
        if contract is None:
            report = Internal(
                "the callee raised what has no code of its own", where=procedure, data={"incident": incident}
            )
            return Answer(Internal(where=procedure, data={"incident": incident}), report)
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


UNNAMED = "wamp.error.runtime_error"
"""What stock callees answer with for any exception, its text beside it."""

_STANDARD = frozenset(row.wamp for row in ERRORS.values() if row.wamp) - {UNNAMED}


def _first_of(
    check: Callable[[Any], Violation | None], args: list[Any] | None, kwargs: Mapping[str, Any] | None
) -> Violation | None:
    """What is wrong with the one value that a message carries."""
    try:
        return check(payload_of(args, kwargs, array=False))
    except Invalid as invalid:
        return Violation("", invalid.message)


def _invalid(violation: Violation, where: str) -> RemoteError:
    return Invalid(violation.message, where=where, path=violation.path)
