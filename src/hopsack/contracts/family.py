"""The file of one family: which keys it may have, what they mean, and everything that is wrong with it by itself.

What needs the other files too (references, URIs declared twice, ambiguities) is :mod:`~hopsack.contracts.assembly`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hopsack.contracts import policy, uris
from hopsack.contracts.catalogue import Stream
from hopsack.contracts.document import Document, Origin
from hopsack.contracts.policy import POLICY_KEYS
from hopsack.contracts.problems import Problem
from hopsack.contracts.schema import TYPE_NAME, faults
from hopsack.contracts.sealed import ALGORITHMS
from hopsack.contracts.section import Section

FILE_KEYS = ("summary", "undeclared", "topics", "procedures", "errors", "types")
TOPIC_KEYS = ("summary", "description", "payload", "encrypted", "stream", "latest", "presence", "publish", "subscribe")

MEMBER_FACTS = ("role", "door", "agent")
"""What may be told of who reads a topic, beside its name."""
PROCEDURE_KEYS = (
    "summary",
    "description",
    "input",
    "output",
    "progress",
    "inputs",
    "errors",
    "idempotent",
    "timeout",
    *POLICY_KEYS,
    "register",
    "call",
)
ERROR_KEYS = ("summary", "data")
STREAM_KEYS = ("keep", "for", "bytes")


@dataclass(frozen=True, slots=True)
class Declared:
    """One topic, procedure, error or type as its file has it: schemas are still unresolved."""

    name: str
    facts: dict[str, Any]
    origin: Origin


@dataclass(slots=True)
class Family:
    """One file, read. Filled while it is read, and left alone after that.

    :ivar file: below the schemas folder, such as ``acme/orders.yaml``. :ivar prefix: ``acme.orders``.
    """

    file: str
    prefix: str
    document: Document
    summary: str = ""
    open: bool = False
    topics: list[Declared] = field(default_factory=list)
    procedures: list[Declared] = field(default_factory=list)
    errors: list[Declared] = field(default_factory=list)
    types: dict[str, Declared] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(document: Document, file: str, prefix: str) -> Family:
    """Read one file's declarations and note all that is wrong with them."""
    family = Family(file, prefix, document)
    origin = Origin(document, ())
    top = Section(document.value, origin, family.problems, FILE_KEYS)
    family.summary = top.text("summary")
    if "undeclared" in top.value:
        family.open = top.value["undeclared"] == "allow"
        if top.value["undeclared"] not in ("allow", "refuse"):
            top.wrong(("undeclared",), "`undeclared` must be `allow` or `refuse`", "`refuse` is the default")
    for name, value, here in _entries(top, "types"):
        _type(family, name, value, here)
    for name, value, here in _entries(top, "errors"):
        _error(family, name, value, here)
    for name, value, here in _entries(top, "topics"):
        _topic(family, name, value, here)
    for name, value, here in _entries(top, "procedures"):
        _procedure(family, name, value, here)
    return family


def _entries(top: Section, key: str) -> Iterator[tuple[str, Any, Origin]]:
    value = top.value.get(key, {})
    if not isinstance(value, dict):
        top.wrong((key,), f"`{key}` must be an object", "its keys are names, its values what they declare")
        return
    for name, item in value.items():
        yield name, item, top.origin.at(key, name)


def _uri(family: Family, uri: str, origin: Origin) -> None:
    if wrong := uris.fault(uri):
        family.problems.append(origin.problem(f"`{uri}` {wrong[0]}", wrong[1]))
    elif not uri.startswith(family.prefix + "."):
        advice = f"write `{family.prefix}.…`, or move it to the file of its own prefix"
        family.problems.append(origin.problem(f"`{uri}` is not below this file's prefix `{family.prefix}`", advice))


def _type(family: Family, name: str, value: Any, origin: Origin) -> None:
    if not TYPE_NAME.match(name):
        advice = "begin with a capital letter; letters and digits only, as in `HostSample`"
        family.problems.append(origin.problem(f"`{name}` is not a type's name", advice))
    family.problems.extend(faults(value, origin))
    family.types[name] = Declared(name, {"schema": value}, origin)


def _error(family: Family, code: str, value: Any, origin: Origin) -> None:
    _uri(family, code, origin)
    if "{" in code:
        family.problems.append(origin.problem(f"`{code}` has a parameter", "an error's code is a fixed name"))
    section = Section(value, origin, family.problems, ERROR_KEYS)
    facts = {"summary": section.text("summary", required=True), "data": section.schema("data")}
    family.errors.append(Declared(code, facts, origin))


def _topic(family: Family, uri: str, value: Any, origin: Origin) -> None:
    _uri(family, uri, origin)
    section = Section(value, origin, family.problems, TOPIC_KEYS)
    section.text("description")
    facts = {
        "summary": section.text("summary", required=True),
        "payload": _payload(section),
        "encrypted": _encrypted(section),
        "stream": _stream(section),
        "latest": _latest(section),
        "presence": _presence(section),
        "publish": section.permission("publish", uri),
        "subscribe": section.permission("subscribe", uri),
    }
    family.topics.append(Declared(uri, facts, origin))
    if facts["presence"] is not None:
        family.topics.append(_members(family, uri, facts["subscribe"], origin.at("presence")))


def _members(family: Family, uri: str, readers: tuple[str, ...], origin: Origin) -> Declared:
    """The topic that tells who reads another one: its newest values are the members."""
    up = "../" * family.file.count("/")
    facts = {
        "summary": f"Who reads {uri}.",
        "payload": {"$ref": f"{up}presence.yaml#/types/TopicMember"},
        "encrypted": None,
        "stream": None,
        "latest": ("authid",),
        "presence": None,
        "publish": (),
        "subscribe": readers,
        "members_of": uri,
    }
    return Declared(f"{uri}.members", facts, origin)


def _payload(section: Section) -> Any:
    """What is sealed may be left undescribed: the node never sees it."""
    schema = section.schema("payload", required="encrypted" not in section.value)
    return {} if schema is None else schema


def _encrypted(section: Section) -> str | None:
    value = section.value.get("encrypted")
    if value is None or value in ALGORITHMS:
        return None if value is None else str(value)
    section.wrong(("encrypted",), "`encrypted` must be " + " or ".join(f"`{name}`" for name in ALGORITHMS))
    return None


def _stream(section: Section) -> Stream | None:
    if "stream" not in section.value:
        return None
    stream = section.within("stream", STREAM_KEYS)
    if stream.broken:
        return None
    keep, seconds, size = stream.value.get("keep"), stream.duration("for"), stream.size("bytes")
    if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
        path = ("keep",) if "keep" in stream.value else ()
        stream.wrong(path, "`keep` must be a number of events, at least 1", "a stream without a bound fills the disk")
        return None
    return Stream(keep, seconds, size)


def _latest(section: Section) -> tuple[str, ...] | None:
    """``None``: nothing is kept; ``()``: one event for each URI; else the fields that tell events apart."""
    value = section.value.get("latest", False)
    if value is False or value is True:
        return () if value else None
    if "encrypted" in section.value:
        section.wrong(("latest",), "the node cannot read the fields of a sealed payload", "write `latest: true`")
        return None
    fields = [value] if isinstance(value, str) else value
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) for name in fields):
        section.wrong(("latest",), "`latest` must be a field of the payload, a list of them, or `true`")
        return None
    return tuple(fields)


def _presence(section: Section) -> tuple[str, ...] | None:
    """``None``: nobody is told who reads; else what is told of each member beside its name."""
    value = section.value.get("presence", False)
    if value is False or value is True:
        return () if value else None
    if not isinstance(value, list) or not all(one in MEMBER_FACTS for one in value) or len(set(value)) < len(value):
        section.wrong(("presence",), "`presence` must be `true`, or a list of " + ", ".join(MEMBER_FACTS))
        return None
    return tuple(value)


def _procedure(family: Family, uri: str, value: Any, origin: Origin) -> None:
    _uri(family, uri, origin)
    section = Section(value, origin, family.problems, PROCEDURE_KEYS)
    section.text("description")
    facts = {
        "summary": section.text("summary", required=True),
        "input": section.schema("input"),
        "output": section.schema("output"),
        "progress": section.schema("progress"),
        "inputs": section.schema("inputs"),
        "errors": _codes(section),
        "idempotent": section.flag("idempotent"),
        "timeout": section.duration("timeout"),
        "policy": policy.read(section),
        "register": section.permission("register", uri),
        "call": section.permission("call", uri),
    }
    family.procedures.append(Declared(uri, facts, origin))


def _codes(section: Section) -> tuple[str, ...]:
    value = section.value.get("errors", [])
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        section.wrong(("errors",), "`errors` must be a list of codes", "describe each code under the file's `errors`")
        return ()
    for index, code in enumerate(value):
        if code in value[:index]:
            section.wrong(("errors", index), f"`{code}` is there twice", "keep one")
    return tuple(dict.fromkeys(value))
