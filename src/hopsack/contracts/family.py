"""The file of one family: which keys it may have, what they mean, and everything that is wrong with it by itself.

What needs the other files too (references, URIs declared twice, ambiguities) is :mod:`~hopsack.contracts.assembly`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hopsack.contracts import uris
from hopsack.contracts.catalogue import ROLES, Stream
from hopsack.contracts.document import Document, Origin
from hopsack.contracts.problems import Problem, suggest
from hopsack.contracts.schema import TYPE_NAME, faults

FILE_KEYS = ("summary", "undeclared", "topics", "procedures", "errors", "types")
TOPIC_KEYS = ("summary", "description", "payload", "stream", "latest", "presence", "publish", "subscribe")

MEMBER_FACTS = ("role", "door", "agent")
"""What may be told of who reads a topic, beside its name."""
PROCEDURE_KEYS = (
    "summary",
    "description",
    "input",
    "output",
    "errors",
    "idempotent",
    "timeout",
    "register",
    "call",
)
ERROR_KEYS = ("summary", "data")
STREAM_KEYS = ("keep", "for", "bytes")

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(KiB|MiB|GiB)\Z")
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_LEAST_BYTES = 4096
_CLAIM = re.compile(r"[a-z][a-z0-9_]*:(\{sub\}|[^\s{}]+)\Z")
"""One person of a role: by name, or by the name in the URI."""


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


class _Section:
    """One mapping of the file, asked key by key. An answer that is wrong is reported and replaced by a harmless one."""

    def __init__(self, value: Any, origin: Origin, problems: list[Problem], known: tuple[str, ...]) -> None:
        self.origin, self._problems = origin, problems
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        self.broken = not isinstance(value, dict)
        if self.broken:
            self.wrong((), "must be an object", "its keys are " + ", ".join(f"`{key}`" for key in known))
        for key in self.value:
            if key not in known:
                self.wrong((key,), f"`{key}` is not a key here", suggest(key, known))

    def wrong(self, path: tuple[str | int, ...], message: str, advice: str = "") -> None:
        self._problems.append(self.origin.at(*path).problem(message, advice))

    def _required(self, key: str, advice: str) -> bool:
        if key in self.value:
            return True
        if not self.broken:
            self.wrong((), f"`{key}` is missing", advice)
        return False

    def text(self, key: str, *, required: bool = False) -> str:
        if required and not self._required(key, "say in one sentence what it is"):
            return ""
        value = self.value.get(key, "")
        if not isinstance(value, str) or (key in self.value and not value.strip()):
            self.wrong((key,), f"`{key}` must be text")
            return ""
        return value.strip()

    def flag(self, key: str) -> bool:
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            self.wrong((key,), f"`{key}` must be `true` or `false`")
            return False
        return value

    def duration(self, key: str) -> float | None:
        if key not in self.value:
            return None
        parts = _DURATION.match(str(self.value[key]))
        seconds = float(parts[1]) * _SECONDS[parts[2]] if parts else 0.0
        if seconds <= 0:
            self.wrong((key,), f"`{key}` must be a duration above 0", "write `500ms`, `2s`, `5m`, `1h` or `7d`")
            return None
        return seconds

    def size(self, key: str) -> int | None:
        """Bytes: a whole number, or one with a unit."""
        if key not in self.value:
            return None
        value = self.value[key]
        parts = _SIZE.match(value) if isinstance(value, str) else None
        size = int(float(parts[1]) * _BYTES[parts[2]]) if parts else value
        if not isinstance(size, int) or isinstance(size, bool) or size < _LEAST_BYTES:
            self.wrong(
                (key,),
                f"`{key}` must be at least {_LEAST_BYTES:,} bytes",
                "write `65536`, `64 KiB`, `16 MiB` or `1 GiB`",
            )
            return None
        return size

    def roles(self, key: str) -> frozenset[str]:
        """Roles are always written down: nobody should have to know a default to know who may do what."""
        if not self._required(key, f"list the roles, of {', '.join(ROLES)}; `[]` is nobody but the node"):
            return frozenset()
        value = self.value[key]
        if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
            self.wrong((key,), f"`{key}` must be a list of roles", f"roles are {', '.join(ROLES)}, or `user:{{sub}}`")
            return frozenset()
        for index, role in enumerate(value):
            if role not in ROLES and not _CLAIM.match(role):
                self.wrong((key, index), f"`{role}` is not a role", suggest(role, ROLES))
            elif role in value[:index]:
                self.wrong((key, index), f"`{role}` is there twice", "keep one")
        return frozenset(value)

    def schema(self, key: str, *, required: bool = False) -> Any:
        if required and not self._required(key, "write a schema, or `{$ref: '#/types/Name'}`"):
            return {}
        if key not in self.value:
            return None
        self._problems.extend(faults(self.value[key], self.origin.at(key)))
        return self.value[key]


def read(document: Document, file: str, prefix: str) -> Family:
    """Read one file's declarations and note all that is wrong with them."""
    family = Family(file, prefix, document)
    origin = Origin(document, ())
    top = _Section(document.value, origin, family.problems, FILE_KEYS)
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


def _entries(top: _Section, key: str) -> Iterator[tuple[str, Any, Origin]]:
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
    section = _Section(value, origin, family.problems, ERROR_KEYS)
    facts = {"summary": section.text("summary", required=True), "data": section.schema("data")}
    family.errors.append(Declared(code, facts, origin))


def _topic(family: Family, uri: str, value: Any, origin: Origin) -> None:
    _uri(family, uri, origin)
    section = _Section(value, origin, family.problems, TOPIC_KEYS)
    section.text("description")
    facts = {
        "summary": section.text("summary", required=True),
        "payload": section.schema("payload", required=True),
        "stream": _stream(section, family.problems),
        "latest": _latest(section),
        "presence": _presence(section),
        "publish": section.roles("publish"),
        "subscribe": section.roles("subscribe"),
    }
    family.topics.append(Declared(uri, facts, origin))
    if facts["presence"] is not None:
        family.topics.append(_members(family, uri, facts["subscribe"], origin.at("presence")))


def _members(family: Family, uri: str, roles: frozenset[str], origin: Origin) -> Declared:
    """The topic that tells who reads another one: its newest values are the members."""
    up = "../" * family.file.count("/")
    facts = {
        "summary": f"Who reads {uri}.",
        "payload": {"$ref": f"{up}presence.yaml#/types/TopicMember"},
        "stream": None,
        "latest": ("authid",),
        "presence": None,
        "publish": frozenset(),
        "subscribe": roles,
        "members_of": uri,
    }
    return Declared(f"{uri}.members", facts, origin)


def _stream(section: _Section, problems: list[Problem]) -> Stream | None:
    if "stream" not in section.value:
        return None
    stream = _Section(section.value["stream"], section.origin.at("stream"), problems, STREAM_KEYS)
    if stream.broken:
        return None
    keep, seconds, size = stream.value.get("keep"), stream.duration("for"), stream.size("bytes")
    if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
        path = ("keep",) if "keep" in stream.value else ()
        stream.wrong(path, "`keep` must be a number of events, at least 1", "a stream without a bound fills the disk")
        return None
    return Stream(keep, seconds, size)


def _latest(section: _Section) -> tuple[str, ...] | None:
    """``None``: nothing is kept; ``()``: one event for each URI; else the fields that tell events apart."""
    value = section.value.get("latest", False)
    if value is False or value is True:
        return () if value else None
    fields = [value] if isinstance(value, str) else value
    if not isinstance(fields, list) or not fields or not all(isinstance(name, str) for name in fields):
        section.wrong(("latest",), "`latest` must be a field of the payload, a list of them, or `true`")
        return None
    return tuple(fields)


def _presence(section: _Section) -> tuple[str, ...] | None:
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
    section = _Section(value, origin, family.problems, PROCEDURE_KEYS)
    section.text("description")
    facts = {
        "summary": section.text("summary", required=True),
        "input": section.schema("input"),
        "output": section.schema("output"),
        "errors": _codes(section),
        "idempotent": section.flag("idempotent"),
        "timeout": section.duration("timeout"),
        "register": section.roles("register"),
        "call": section.roles("call"),
    }
    family.procedures.append(Declared(uri, facts, origin))


def _codes(section: _Section) -> tuple[str, ...]:
    value = section.value.get("errors", [])
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        section.wrong(("errors",), "`errors` must be a list of codes", "describe each code under the file's `errors`")
        return ()
    for index, code in enumerate(value):
        if code in value[:index]:
            section.wrong(("errors", index), f"`{code}` is there twice", "keep one")
    return tuple(dict.fromkeys(value))
