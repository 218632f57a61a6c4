"""The contracts of one fabric: what is declared, who may do what, and whether a payload keeps its contract.

A catalogue is a value. It is built once by :func:`hopsack.contracts.load` and asked for every message that crosses the
router, so the ways in are short: a URI is one look-up, a good payload about a microsecond.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hopsack.contracts import uris
from hopsack.contracts.permission import Permission
from hopsack.contracts.policy import NONE, Policy
from hopsack.contracts.schema import Schema, TypeDeclaration
from hopsack.contracts.verdict import Verdict, Violation

if TYPE_CHECKING:
    from hopsack.contracts.document import Origin

ROLES = ("guest", "user", "service", "operator")
"""The roles that contracts may name; :mod:`~hopsack.contracts.permission` tells what may stand beside them."""

DEFAULT_TIMEOUT = 10.0
"""Seconds that a call has where neither its contract nor its caller says how many."""

_Item = TypeVar("_Item")
Kind = Literal["topic", "procedure"]
Match = Literal["prefix", "wildcard"]


@dataclass(frozen=True, slots=True)
class Stream:
    """How much of a topic is kept.

    :ivar keep: events, at most. :ivar seconds: the age at which an event goes; ``None``: age does not matter.
    :ivar max_bytes: bytes of all its events, at most; ``None``: the journal's default.
    """

    keep: int
    seconds: float | None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorContract:
    """An error that a callee may answer with.

    :ivar data_schema: of the error's ``data``; ``None``: any object, or none.
    """

    code: str
    summary: str
    data_schema: Schema | None
    origin: Origin = field(repr=False, compare=False)
    verdict: Verdict = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TopicContract:
    """What one topic carries.

    :ivar uri: as declared, with ``{name}`` components.
    :ivar params: the names of those components, in order.
    :ivar payload_schema: self-contained JSON Schema (its types are in ``$defs``).
    :ivar publish: who may. :ivar subscribe: who may.
    :ivar stream: what is kept; ``None``: live only.
    :ivar keeps_latest: the newest event is kept for who comes later, one for each value of the fields in ``latest``;
        where ``latest`` is empty, one for each concrete URI.
    :ivar presence: what is told of who reads it, beside the name; ``None``: nothing is told at all.
    :ivar encrypted: what its payloads are sealed with: the node takes no others, and ``payload_schema`` is what those
        see who can open them. ``None``: they are clear.
    :ivar members_of: the topic whose readers this one tells; ``None``: it is one of its own.
    """

    uri: str
    params: tuple[str, ...]
    family: str
    summary: str
    payload_schema: Schema
    publish: Permission
    subscribe: Permission
    stream: Stream | None
    keeps_latest: bool
    latest: tuple[str, ...]
    origin: Origin = field(repr=False, compare=False)
    verdict: Verdict = field(repr=False, compare=False)
    key_verdict: Verdict | None = field(default=None, repr=False, compare=False)
    presence: tuple[str, ...] | None = None
    members_of: str | None = None
    encrypted: str | None = None

    def check(self, payload: Any) -> Violation | None:
        """What the payload breaks; ``None`` if it keeps the contract."""
        return self.verdict.of(payload)

    def check_key(self, payload: Any) -> Violation | None:
        """The same for what names a key of a ``latest`` topic: the fields in ``latest``; whatever else is there is not
        looked at."""
        return None if self.key_verdict is None else self.key_verdict.of(payload)

    def bind(self, uri: str) -> dict[str, str]:
        """The parameters' values in a concrete URI of this topic."""
        return _bind(self.uri, uri)


@dataclass(frozen=True, slots=True)
class ProcedureContract:
    """What one procedure takes and gives.

    :ivar input_schema: self-contained JSON Schema. A procedure without input takes ``null`` and, because some callers
        cannot help sending it, the empty object.
    :ivar input_is_array: a WAMP call may carry the input as positional arguments.
    :ivar errors: the codes that a callee may answer with.
    :ivar progress_schema: of each progressive result; ``None``: as the output.
    :ivar inputs_schema: of each input that follows the first; ``None``: none may follow.
    :ivar idempotent: may be tried again without knowing whether the first try ran.
    :ivar timeout: seconds a call may take, and of one with progress the longest silence; ``None``: as long as the
        caller says, :data:`DEFAULT_TIMEOUT` if it says nothing.
    :ivar policy: who is asked, what waits, what is tried again.
    :ivar register: who may. :ivar call: who may.
    """

    uri: str
    params: tuple[str, ...]
    family: str
    summary: str
    input_schema: Schema
    output_schema: Schema
    takes_input: bool
    gives_output: bool
    input_is_array: bool
    errors: tuple[str, ...]
    idempotent: bool
    timeout: float | None
    register: Permission
    call: Permission
    origin: Origin = field(repr=False, compare=False)
    input_verdict: Verdict = field(repr=False, compare=False)
    output_verdict: Verdict = field(repr=False, compare=False)
    error_verdicts: Mapping[str, Verdict] = field(repr=False, compare=False)
    policy: Policy = NONE
    progress_schema: Schema | None = None
    inputs_schema: Schema | None = None
    progress_verdict: Verdict | None = field(default=None, repr=False, compare=False)
    inputs_verdict: Verdict | None = field(default=None, repr=False, compare=False)

    def check_input(self, value: Any) -> Violation | None:
        return self.input_verdict.of(value)

    def check_output(self, value: Any) -> Violation | None:
        return self.output_verdict.of(value)

    def check_progress(self, value: Any) -> Violation | None:
        """The same for a progressive result."""
        return (self.progress_verdict or self.output_verdict).of(value)

    def check_inputs(self, value: Any) -> Violation | None:
        """The same for an input that follows the first."""
        if self.inputs_verdict is None:
            return Violation("", f"{self.uri} takes one input, and no others after it")
        return self.inputs_verdict.of(value)

    def check_error(self, code: str, data: Any) -> Violation | None:
        """What an error answer breaks: a code that is not declared, or ``data`` that is not what the code carries.

        :param data: the error's own fields; ``None`` and ``{}`` are the same.
        """
        verdict = self.error_verdicts.get(code)
        if verdict is None:
            known = ", ".join(self.errors) or "none"
            return Violation("", f"`{code[:60]}` is not an error that {self.uri} declares; declared: {known}")
        return verdict.of({} if data is None else data)

    def bind(self, uri: str) -> dict[str, str]:
        """The parameters' values in a concrete URI of this procedure."""
        return _bind(self.uri, uri)


def _bind(declared: str, uri: str) -> dict[str, str]:
    pairs = zip(uris.split(declared), uris.split(uri), strict=True)
    return {name[1:-1]: value for name, value in pairs if uris.is_parameter(name)}


@dataclass(frozen=True)
class Catalogue:
    """All contracts. Mappings are in the order of their URIs, names and codes.

    :ivar topics: by declared URI. :ivar procedures: by declared URI.
    :ivar types: the named types, by name. :ivar errors: by code.
    :ivar families: prefix → what its file says about itself.
    :ivar open_prefixes: what opted out of being declared, with the dot: ``("legacy.",)``; ``("",)`` is everything.
    """

    topics: Mapping[str, TopicContract]
    procedures: Mapping[str, ProcedureContract]
    types: Mapping[str, TypeDeclaration]
    errors: Mapping[str, ErrorContract]
    families: Mapping[str, str]
    open_prefixes: tuple[str, ...] = ()

    def topic(self, uri: str) -> TopicContract | None:
        """The contract that a concrete URI belongs to."""
        exact = self.topics.get(uri)
        if exact is not None and not exact.params:
            return exact
        found = self._topic_table.find(uri)
        return None if found is None else self.topics[found]

    def procedure(self, uri: str) -> ProcedureContract | None:
        """The contract that a concrete URI belongs to."""
        exact = self.procedures.get(uri)
        if exact is not None and not exact.params:
            return exact
        found = self._procedure_table.find(uri)
        return None if found is None else self.procedures[found]

    def is_open(self, uri: str) -> bool:
        """Whether the URI lies below a prefix that need not be declared."""
        return uri.startswith(self.open_prefixes)

    def nearest(self, uri: str, kind: Kind) -> str | None:
        """The declared URI that looks most like this one, if any does: for error messages, not for the hot path."""
        known = self.topics if kind == "topic" else self.procedures
        asked = uri[:200]
        best, likeness = None, _ALIKE
        for declared in known:
            found = _likeness(asked, declared, likeness)
            if found > likeness or (best is None and found == likeness):
                best, likeness = declared, found
        return best

    def topics_matching(self, pattern: str, match: Match) -> list[TopicContract]:
        """Every declared topic that some concrete URI belongs to which a subscriber's pattern matches."""
        return [one for uri, one in self.topics.items() if uris.meets(uris.split(uri), pattern, match)]

    def procedures_matching(self, pattern: str, match: Match) -> list[ProcedureContract]:
        """Every declared procedure that some concrete URI belongs to which a callee's pattern matches."""
        return [one for uri, one in self.procedures.items() if uris.meets(uris.split(uri), pattern, match)]

    def asyncapi(self, *, roles: bool = True) -> dict[str, Any]:
        """The AsyncAPI 3.0 document of these contracts.

        :param roles: whether it says who may do what.
        """
        from hopsack.contracts.asyncapi import document

        return document(self, roles=roles)

    @cached_property
    def _topic_table(self) -> uris.Table:
        return uris.Table(self.topics)

    @cached_property
    def _procedure_table(self) -> uris.Table:
        return uris.Table(self.procedures)


_ALIKE = 0.6
"""How much two URIs must have in common for one to be taken for the other misspelt."""


def _likeness(uri: str, declared: str, least: float) -> float:
    """0 to 1; 0 for anything below the least that matters. What stands in a parameter's place is left out."""
    asked, components = uris.split(uri), uris.split(declared)
    if len(asked) == len(components):
        pairs = [pair for pair in zip(asked, components, strict=True) if not uris.is_parameter(pair[1])]
        uri, declared = (".".join(side) for side in zip(*pairs, strict=True))
    matcher = difflib.SequenceMatcher(None, uri, declared, autojunk=False)
    if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:  # cheap upper bounds
        return 0.0
    return matcher.ratio()


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


PERMISSIVE = Catalogue(_nothing(), _nothing(), _nothing(), _nothing(), _nothing(), ("",))
"""Everything is open and nothing is declared: for gradual adoption, and for other people's test suites."""


def in_order(items: Iterable[tuple[str, _Item]]) -> Mapping[str, _Item]:
    """A read-only mapping, sorted by name: so that everything made from a catalogue is the same every time."""
    return MappingProxyType(dict(sorted(items, key=lambda item: item[0])))
