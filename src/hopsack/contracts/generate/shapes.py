"""Schemas as shapes: the few forms that Python and TypeScript can both say, or a problem that names what they cannot.

A shape says which fields and which types; bounds, patterns and formats are left to the validator, which has the last
word anyway. What would change the *type* in a way that one of the languages cannot express (``allOf``, ``if``, two
kinds of object in one union, …) is refused rather than typed as something near it: a type that lies is worse than none.

An object with ``properties`` is a record, and has a name: the type's own, or, written in place, the name of what is
around it and the field's (``HostSample`` + ``cpu`` → ``HostSampleCpu``). There is no other rule for names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from hopsack.contracts.catalogue import Catalogue, ProcedureContract
from hopsack.contracts.document import Origin
from hopsack.contracts.problems import ContractsInvalid, Problem
from hopsack.contracts.schema import WORDS_FOR_PEOPLE, Schema
from hopsack.contracts.uris import is_parameter, split

ScalarKind = Literal["string", "integer", "number", "boolean", "null"]


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class Scalar:
    kind: ScalarKind


@dataclass(frozen=True, slots=True)
class Literals:
    """One of these values. ``null`` is not among them: that is a union with its scalar."""

    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Shape


@dataclass(frozen=True, slots=True)
class TupleOf:
    """An array of a fixed, small length."""

    item: Shape
    length: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are data."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Named:
    """A declared type, or a record that was written in place."""

    name: str


@dataclass(frozen=True, slots=True)
class UnionOf:
    members: tuple[Shape, ...]


Shape = Anything | Scalar | Literals | ListOf | TupleOf | MapOf | Named | UnionOf
NULL = Scalar("null")


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    shape: Shape
    required: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Record:
    """An object with known fields."""

    name: str
    family: str
    fields: tuple[Field, ...]
    doc: str
    origin: Origin = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Alias:
    """A named type that is no record."""

    name: str
    family: str
    shape: Shape
    doc: str
    origin: Origin = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TopicShape:
    """:ivar latest: the fields that tell newest values apart, ``()`` where there is one; ``None``: none are kept."""

    uri: str
    summary: str
    payload: Shape
    latest: tuple[str, ...] | None
    origin: Origin = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ProcedureShape:
    """
    :ivar input: ``NULL`` where it takes none.
    :ivar progress: one progressive result; ``None``: it declares none.
    :ivar inputs: one input that follows the first; ``None``: none does.
    """

    uri: str
    summary: str
    input: Shape
    output: Shape
    progress: Shape | None
    inputs: Shape | None
    errors: tuple[str, ...]
    is_idempotent: bool
    origin: Origin = field(repr=False, compare=False)

    @property
    def shapes(self) -> Iterator[tuple[str, Shape]]:
        """Its key in the contract, and the shape."""
        for key in ("input", "output", "progress", "inputs"):
            shape: Shape | None = getattr(self, key)
            if shape is not None:
                yield key, shape


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """:ivar name: of the exception class. :ivar data: ``None``: nothing is said about it."""

    code: str
    name: str
    summary: str
    data: Shape | None
    origin: Origin = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that the languages' writers write. Records and aliases are in the order of their names."""

    records: tuple[Record, ...]
    aliases: tuple[Alias, ...]
    errors: tuple[ErrorShape, ...]
    topics: tuple[TopicShape, ...]
    procedures: tuple[ProcedureShape, ...]

    @property
    def by_name(self) -> Mapping[str, Record | Alias]:
        records: dict[str, Record | Alias] = {one.name: one for one in self.records}
        return records | {one.name: one for one in self.aliases}

    @property
    def names(self) -> list[tuple[str, Origin]]:
        """All names of types and exceptions, and where they come from."""
        return [
            *((one.name, one.origin) for one in self.records),
            *((one.name, one.origin) for one in self.aliases),
            *((one.name, one.origin) for one in self.errors),
        ]

    @property
    def uris(self) -> list[tuple[str, Origin]]:
        return [
            *((one.uri, one.origin) for one in self.topics),
            *((one.uri, one.origin) for one in self.procedures),
        ]


def pascal(name: str) -> str:
    """``watch.{root}.changed`` → ``WatchRootChanged``."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[0].upper() + word[1:] for word in words)


def constant(uri: str) -> str:
    """``watch.{root}.changed`` → ``WATCH_ROOT_CHANGED``."""
    parts = (part[1:-1] if is_parameter(part) else part for part in split(uri))
    return "_".join(parts).upper()


_REFUSED = {
    "allOf": "write the fields out in one object",
    "not": "say what is allowed instead",
    "if": "make two types and two topics of it",
    "then": "make two types and two topics of it",
    "else": "make two types and two topics of it",
    "contains": "describe all items with `items`",
    "patternProperties": "describe all keys with `additionalProperties`",
}
_LONGEST_TUPLE = 8


def vocabulary(catalogue: Catalogue) -> Vocabulary:
    """Give every contract its types.

    :raise ContractsInvalid: with everything that cannot be typed.
    """
    reading = _Reading()
    for name, declaration in catalogue.types.items():
        reading.declare(name, declaration.family, declaration.schema, declaration.origin)
    topics = tuple(
        TopicShape(
            one.uri,
            one.summary,
            reading.shape(one.payload_schema, one.origin.at("payload"), pascal(one.uri), one.family),
            one.latest if one.keeps_latest else None,
            one.origin,
        )
        for one in catalogue.topics.values()
    )
    procedures = tuple(_procedures(catalogue, reading))
    errors = tuple(
        ErrorShape(
            one.code,
            pascal(one.code),
            one.summary,
            None
            if one.data_schema is None
            else reading.shape(one.data_schema, one.origin.at("data"), f"{pascal(one.code)}Data", ""),
            one.origin,
        )
        for one in catalogue.errors.values()
    )
    records = tuple(sorted(reading.records.values(), key=lambda one: one.name))
    aliases = tuple(sorted(reading.aliases.values(), key=lambda one: one.name))
    known = Vocabulary(records, aliases, errors, topics, procedures)
    problems = [*reading.problems, *_name_clashes(known, reading.clashes)]
    if not problems:
        problems = [*_endless(known), *_mixed_unions(known)]
    if problems:
        raise ContractsInvalid(problems)
    return known


def _procedures(catalogue: Catalogue, reading: _Reading) -> Iterator[ProcedureShape]:
    for one in catalogue.procedures.values():

        def shape(key: str, schema: Schema | None, one: ProcedureContract = one) -> Shape | None:
            if schema is None:
                return None
            return reading.shape(schema, one.origin.at(key), pascal(one.uri) + key.capitalize(), one.family)

        yield ProcedureShape(
            uri=one.uri,
            summary=one.summary,
            input=shape("input", one.input_schema if one.takes_input else None) or NULL,
            output=shape("output", one.output_schema if one.gives_output else None) or NULL,
            progress=shape("progress", one.progress_schema),
            inputs=shape("inputs", one.inputs_schema),
            errors=one.errors,
            is_idempotent=one.idempotent,
            origin=one.origin,
        )


@dataclass(slots=True)
class _Reading:
    """Reads schemas one after the other and collects the records and aliases that they need."""

    records: dict[str, Record] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    clashes: list[tuple[str, Origin]] = field(default_factory=list)

    def declare(self, name: str, family: str, schema: Schema, origin: Origin) -> None:
        doc = schema.get("description", "")
        if schema.get("type") == "object" and ("properties" in schema or schema.get("additionalProperties") is False):
            self.shape(schema, origin, name, family)
        else:
            shape = self.shape(schema, origin, f"{name}Value", family)
            self.aliases[name] = Alias(name, family, shape, doc, origin)

    def shape(self, schema: Any, origin: Origin, name: str, family: str) -> Shape:
        """:param name: for a record that this schema turns out to be."""
        schema = {key: value for key, value in schema.items() if key != "$defs"}
        for keyword in _REFUSED.keys() & schema.keys():
            self._refuse(origin.at(keyword), f"`{keyword}` cannot be typed", _REFUSED[keyword])
        if "$ref" in schema:
            return Named(schema["$ref"].rpartition("/")[2])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._choice(keyword, schema, origin, name, family)
        if "enum" in schema or "const" in schema:
            return self._literals(schema, origin)
        kinds = schema.get("type")
        if kinds is None:
            return self._untyped(schema, origin)
        if isinstance(kinds, list):
            return union(self._typed(kind, schema, origin, name, family) for kind in kinds)
        return self._typed(kinds, schema, origin, name, family)

    def _refuse(self, origin: Origin, message: str, advice: str) -> Anything:
        self.problems.append(origin.problem(message, advice))
        return Anything()

    def _untyped(self, schema: Schema, origin: Origin) -> Shape:
        beside = sorted(schema.keys() - WORDS_FOR_PEOPLE - _REFUSED.keys())
        if beside:
            message = f"has `{beside[0]}` and no `type`, so that values of every other type pass"
            return self._refuse(origin, message, "add `type`")
        return Anything()

    def _choice(self, keyword: str, schema: Schema, origin: Origin, name: str, family: str) -> Shape:
        beside = sorted(schema.keys() - WORDS_FOR_PEOPLE - {keyword} - _REFUSED.keys())
        if beside:
            return self._refuse(origin, f"has `{beside[0]}` beside `{keyword}`", f"put it into each of the `{keyword}`")
        members = enumerate(schema[keyword])
        return union(self.shape(item, origin.at(keyword, index), name, family) for index, item in members)

    def _literals(self, schema: Schema, origin: Origin) -> Shape:
        keyword = "enum" if "enum" in schema else "const"
        values = schema["enum"] if keyword == "enum" else [schema["const"]]
        kinds = schema.get("type")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, str | int | None):
                advice = "use strings or integers; for true and false, `type: boolean`"
                return self._refuse(origin.at(keyword), f"`{keyword}` holds what no literal type can", advice)
            own = "null" if value is None else "string" if isinstance(value, str) else "integer"
            if kinds is not None and own not in (kinds if isinstance(kinds, list) else [kinds]):
                return self._refuse(
                    origin.at(keyword), f"`{keyword}` holds {value!r}, which `type` forbids", "drop one"
                )
        literals = tuple(value for value in values if value is not None)
        return union([*([Literals(literals)] if literals else []), *([NULL] if None in values else [])])

    def _typed(self, kind: str, schema: Schema, origin: Origin, name: str, family: str) -> Shape:
        match kind:
            case "object":
                return self._object(schema, origin, name, family)
            case "array":
                return self._array(schema, origin, name, family)
            case "string" | "integer" | "number" | "boolean" | "null":
                return Scalar(kind)
            case _:
                raise AssertionError(f"the loader let the type {kind!r} pass")

    def _array(self, schema: Schema, origin: Origin, name: str, family: str) -> Shape:
        items = schema.get("items", {})
        item = self.shape(items, origin.at("items"), f"{name}Item", family)
        length = schema.get("minItems", 0)
        if length == schema.get("maxItems") and 0 < length <= _LONGEST_TUPLE:
            return TupleOf(item, length)
        return ListOf(item)

    def _object(self, schema: Schema, origin: Origin, name: str, family: str) -> Shape:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        if not properties and others is not False:
            value: Schema = {} if others is True else others
            return MapOf(self.shape(value, origin.at("additionalProperties"), f"{name}Value", family))
        if isinstance(others, dict):
            advice = "put them into a field of their own"
            return self._refuse(origin.at("additionalProperties"), "fields of a type beside named ones", advice)
        if name in self.records:
            self.clashes.append((name, origin))
        required = schema.get("required", [])
        fields = tuple(
            Field(
                key,
                self.shape(value, origin.at("properties", key), name + pascal(key), family),
                key in required,
                value.get("description", ""),
            )
            for key, value in properties.items()
        )
        self.records[name] = Record(name, family, fields, schema.get("description", ""), origin)
        return Named(name)


def union(shapes: Iterable[Shape]) -> Shape:
    """The simplest shape that takes what any of these takes: flat, without repeats, ``null`` last."""
    members: list[Shape] = []
    literals: list[str | int] = []
    for shape in shapes:
        for member in shape.members if isinstance(shape, UnionOf) else (shape,):
            if isinstance(member, Literals):
                literals.extend(value for value in member.values if value not in literals)
            elif member not in members:
                members.append(member)
    if Anything() in members:
        return Anything()
    if Scalar("number") in members and Scalar("integer") in members:
        members.remove(Scalar("integer"))
    if literals:
        members.insert(0, Literals(tuple(literals)))
    members.sort(key=lambda member: member == NULL)
    return members[0] if len(members) == 1 else UnionOf(tuple(members))


def _name_clashes(known: Vocabulary, clashes: list[tuple[str, Origin]]) -> Iterator[Problem]:
    for name, origin in clashes:
        yield origin.problem(f"there is already a type `{name}`", "make it a named type under `types`")
    owners: dict[str, Origin] = {}
    for name, origin in (*known.names, *((constant(uri), origin) for uri, origin in known.uris)):
        if (other := owners.setdefault(name, origin)) is not origin:
            yield origin.problem(f"its name in code, `{name}`, is taken by {other}", "rename one of them")


def _endless(known: Vocabulary) -> Iterator[Problem]:
    """Aliases that need themselves to be written down. Through a record's fields they may."""
    aliases = {one.name: set(names(one.shape)) for one in known.aliases}
    for one in known.aliases:
        ahead, reached = aliases[one.name] & aliases.keys(), set[str]()
        while ahead:
            reached |= ahead
            ahead = {far for near in ahead for far in aliases[near] & aliases.keys()} - reached
        if one.name in reached:
            advice = "let it pass through an object with `properties`"
            yield one.origin.problem(f"`{one.name}` contains itself without an end", advice)


def _mixed_unions(known: Vocabulary) -> Iterator[Problem]:
    """Unions whose members no reader could tell apart: two kinds of object, or two of array."""
    for shape, origin in _all_shapes(known):
        if isinstance(shape, UnionOf):
            groups = [group for member in shape.members for group in kinds(member, known)]
            twice = next((group for group in groups if groups.count(group) > 1), None)
            if twice:
                advice = "make one type with optional fields, or several topics"
                yield origin.problem(f"two kinds of {twice} in one union cannot be told apart", advice)


def _all_shapes(known: Vocabulary) -> Iterator[tuple[Shape, Origin]]:
    for record in known.records:
        for one in record.fields:
            yield from ((shape, record.origin.at("properties", one.name)) for shape in _within(one.shape))
    for alias in known.aliases:
        yield from ((shape, alias.origin) for shape in _within(alias.shape))
    for topic in known.topics:
        yield from ((shape, topic.origin.at("payload")) for shape in _within(topic.payload))
    for procedure in known.procedures:
        for key, shape in procedure.shapes:
            yield from ((inner, procedure.origin.at(key)) for inner in _within(shape))


def _within(shape: Shape) -> Iterator[Shape]:
    yield shape
    match shape:
        case ListOf(item=inner) | TupleOf(item=inner) | MapOf(value=inner):
            yield from _within(inner)
        case UnionOf(members=members):
            for member in members:
                yield from _within(member)
        case Anything() | Scalar() | Literals() | Named():
            pass
        case _:
            assert_never(shape)


def names(shape: Shape) -> Iterator[str]:
    """The declared names that a shape is written with."""
    return (one.name for one in _within(shape) if isinstance(one, Named))


def kinds(shape: Shape, known: Vocabulary) -> Iterator[str]:
    """The JSON kinds that a shape takes, through all names: what a reader sees first of a value."""
    match shape:
        case Named(name=name):
            target = known.by_name[name]
            if isinstance(target, Record):
                yield "object"
            else:
                yield from kinds(target.shape, known)
        case MapOf():
            yield "object"
        case ListOf() | TupleOf():
            yield "array"
        case Scalar(kind=kind):
            yield kind
        case Literals(values=values):
            yield from {"string" if isinstance(value, str) else "integer" for value in values}
        case UnionOf(members=members):
            for member in members:
                yield from kinds(member, known)
        case Anything():
            yield from ("object", "array", "string", "integer", "number", "boolean", "null")
        case _:
            assert_never(shape)
