"""The JSON Schema that contracts may use: the keywords that draft-07 and 2020-12 share, with the same meaning in both.

One schema then means one thing to every reader: the router's validator (2020-12), AsyncAPI 3 (draft-07), editors and
the type generators. What only one draft knows is refused here with the line it stands in, and so is whatever needs a
network. ``$ref`` goes to the ``types`` of the same file (``#/types/Name``) or of another one
(``folder/other.yaml#/types/Name``, relative to this file), and, because draft-07 ignores what stands beside it, only
words for people may stand there.

Types have one name in the whole catalogue, so a resolved reference is just ``#/$defs/Name``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from hopsack.contracts.document import Origin
from hopsack.contracts.problems import Problem, suggest

Schema = dict[str, Any]

TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
FORMATS = ("date", "date-time", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid")

WORDS_FOR_PEOPLE = frozenset({"title", "description", "$comment", "examples", "default", "readOnly", "writeOnly"})
ONE_SCHEMA = frozenset({"items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else"})
LISTED_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf"})
NAMED_SCHEMAS = frozenset({"properties", "patternProperties"})
IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords that apply a schema to the very same value."""

OF_ONE_DRAFT = {
    "$anchor": "give the schema a name under `types`",
    "$defs": "put it under the file's `types`",
    "$dynamicAnchor": "write the type out",
    "$dynamicRef": "write the type out",
    "$id": "types are known by their names; leave it out",
    "$schema": "the dialect is the same for all contracts; leave it out",
    "additionalItems": "write one `items` for all, with `minItems` and `maxItems`",
    "definitions": "put it under the file's `types`",
    "dependencies": "use `if` and `then`",
    "dependentRequired": "use `if` and `then`",
    "dependentSchemas": "use `if` and `then`",
    "maxContains": "use `contains` alone",
    "minContains": "use `contains` alone",
    "nullable": "write `type: [string, 'null']`",
    "prefixItems": "write one `items` for all, with `minItems` and `maxItems`, or use an object",
    "unevaluatedItems": "use `items`",
    "unevaluatedProperties": "use `additionalProperties`",
}
"""Well-known keywords that are not shared → what to write instead."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(name in TYPES for name in names) and len(set(names)) == len(names)


def _is_pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        judge({"pattern": value})
    except jsonschema_rs.ValidationError:
        return False
    return True


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value) and len(set(value)) == len(value)


def _is_choices(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(value.count(item) == 1 for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("title", "description", "$comment", "$ref"), (_is_text, "text")),
    **dict.fromkeys(("readOnly", "writeOnly", "uniqueItems"), (_is_flag, "`true` or `false`")),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), (_is_number, "a number")),
    **dict.fromkeys(
        ("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"),
        (_is_count, "a whole number of at least 0"),
    ),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "type": (_is_type, "one of " + ", ".join(f"`{name}`" for name in TYPES) + " (null in quotes), or a list of them"),
    "enum": (_is_choices, "a list of different values"),
    "required": (_is_names, "a list of different names"),
    "examples": (lambda value: isinstance(value, list), "a list"),
    "const": (lambda value: True, ""),
    "default": (lambda value: True, ""),
    "pattern": (_is_pattern, "a regular expression without look-around and back-references"),
    "format": (lambda value: value in FORMATS, "one of " + ", ".join(f"`{name}`" for name in FORMATS)),
}
"""Keyword that holds no schema → what its value must satisfy, and that in words."""

KEYWORDS = frozenset(_VALUES) | ONE_SCHEMA | LISTED_SCHEMAS | NAMED_SCHEMAS


def judge(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema. It never reaches for a network, and its patterns run in linear time, whatever they meet.

    :raise jsonschema_rs.ValidationError: the schema is not one.
    """
    return jsonschema_rs.Draft202012Validator(
        schema, offline=True, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    )


def children(schema: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The schemas directly inside a schema, with their paths; malformed parts are passed over."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in ONE_SCHEMA:
            yield (keyword,), value
        elif keyword in LISTED_SCHEMAS and isinstance(value, list):
            yield from (((keyword, index), item) for index, item in enumerate(value))
        elif keyword in NAMED_SCHEMAS and isinstance(value, dict):
            yield from (((keyword, name), item) for name, item in value.items())


def faults(schema: Any, origin: Origin) -> Iterator[Problem]:
    """Everything about a schema that this module's rules forbid. References are :func:`resolve`'s business."""
    if isinstance(schema, bool) and origin.path[-1] == "additionalProperties":
        return
    if not isinstance(schema, dict):
        advice = "draft-07's list of `items` is not shared; " if origin.path[-1] == "items" else ""
        yield origin.problem("must be a schema", f"{advice}write an object such as `{{type: string}}`")
        return
    for keyword, value in schema.items():
        yield from _keyword_faults(keyword, value, origin.at(keyword))
    yield from _reference_faults(schema, origin)
    yield from _required_faults(schema, origin)
    for path, child in children(schema):
        yield from faults(child, origin.at(*path))


def _keyword_faults(keyword: str, value: Any, origin: Origin) -> Iterator[Problem]:
    if keyword not in KEYWORDS:
        if keyword in OF_ONE_DRAFT:
            yield origin.problem(f"`{keyword}` is not in both draft-07 and 2020-12", OF_ONE_DRAFT[keyword])
        else:
            yield origin.problem(f"`{keyword}` is not a keyword of contracts", suggest(keyword, KEYWORDS))
    elif keyword in LISTED_SCHEMAS:
        if not isinstance(value, list) or not value:
            yield origin.problem(f"`{keyword}` must be a list of schemas")
    elif keyword in NAMED_SCHEMAS:
        if not isinstance(value, dict):
            yield origin.problem(f"`{keyword}` must be an object of schemas")
        elif keyword == "patternProperties":
            wrong = (name for name in value if not _is_pattern(name))
            yield from (origin.at(name).problem(f"`{name}` must be {_VALUES['pattern'][1]}") for name in wrong)
    elif keyword in _VALUES:
        right, words = _VALUES[keyword]
        if not right(value):
            yield origin.problem(f"`{keyword}` must be {words}")


def _reference_faults(schema: Schema, origin: Origin) -> Iterator[Problem]:
    beside = sorted(set(schema) - {"$ref"} - WORDS_FOR_PEOPLE)
    if "$ref" in schema and beside:
        names = ", ".join(f"`{name}`" for name in beside)
        yield origin.problem(f"has {names} beside `$ref`", "draft-07 ignores what stands there; put it into the type")


def _required_faults(schema: Schema, origin: Origin) -> Iterator[Problem]:
    required, properties = schema.get("required"), schema.get("properties", {})
    if not _is_names(required) or not isinstance(properties, dict):
        return
    for index, name in enumerate(required or ()):
        if name not in properties and ("properties" in schema or schema.get("type") == "object"):
            advice = suggest(name, properties) if properties else "describe it under `properties`"
            yield origin.at("required", index).problem(f"requires `{name}`, which `properties` does not have", advice)


@dataclass(frozen=True, slots=True)
class TypeDeclaration:
    """A named type. Its references are resolved: ``#/$defs/Name``."""

    name: str
    family: str
    schema: Schema
    origin: Origin


_REFERENCE = re.compile(r"(?P<file>[^#]*)#/types/(?P<name>[^/]+)\Z")


def resolve(
    schema: Any, origin: Origin, family_file: str, types: Mapping[str, Mapping[str, Any]], found: list[Problem]
) -> Any:
    """A copy of a schema in which every reference is ``#/$defs/Name``.

    :param family_file: this file below the schemas folder, such as ``acme/orders.yaml``.
    :param types: family file → its type names.
    :param found: where references that lead nowhere are reported.
    """
    if not isinstance(schema, dict):
        return schema
    copy = dict(schema)
    for keyword, value in schema.items():
        here = origin.at(keyword)
        if keyword == "$ref" and isinstance(value, str):
            copy[keyword] = f"#/$defs/{_target(value, here, family_file, types, found)}"
        elif keyword in ONE_SCHEMA:
            copy[keyword] = resolve(value, here, family_file, types, found)
        elif keyword in LISTED_SCHEMAS and isinstance(value, list):
            items = enumerate(value)
            copy[keyword] = [resolve(item, here.at(i), family_file, types, found) for i, item in items]
        elif keyword in NAMED_SCHEMAS and isinstance(value, dict):
            named = value.items()
            copy[keyword] = {name: resolve(item, here.at(name), family_file, types, found) for name, item in named}
    return copy


def _target(
    reference: str, origin: Origin, family_file: str, types: Mapping[str, Mapping[str, Any]], found: list[Problem]
) -> str:
    parts = _REFERENCE.match(reference)
    if parts is None:
        advice = "write `#/types/Name`, or `other.yaml#/types/Name`; nothing is fetched from elsewhere"
        found.append(origin.problem(f"`{reference}` is not a reference to a type", advice))
        return ""
    file = posixpath.normpath(posixpath.join(posixpath.dirname(family_file), parts["file"] or family_file))
    if not parts["file"]:
        file = family_file
    if file not in types:
        found.append(origin.problem(f"there is no file `{parts['file']}` beside this one", suggest(file, types)))
    elif parts["name"] not in types[file]:
        known = types[file]
        advice = suggest(parts["name"], known) if known else "declare it under `types`"
        found.append(origin.problem(f"there is no type `{parts['name']}` in `{file}`", advice))
    return parts["name"]


def references(schema: Any) -> Iterator[str]:
    """The names of the types that a resolved schema refers to directly, in order, repeats included."""
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"].rpartition("/")[2]
    for _, child in children(schema):
        yield from references(child)


def circles(types: Mapping[str, TypeDeclaration]) -> Iterator[TypeDeclaration]:
    """Types whose definition leads back to itself for the same value, so that it says nothing."""

    def same_value(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            if isinstance(schema.get("$ref"), str):
                yield schema["$ref"].rpartition("/")[2]
            for path, child in children(schema):
                if path[0] in IN_PLACE:
                    yield from same_value(child)

    steps = {name: set(same_value(declaration.schema)) for name, declaration in types.items()}
    for name, declaration in types.items():
        reached: set[str] = set()
        ahead = steps[name] & types.keys()
        while ahead:
            reached |= ahead
            ahead = {far for near in ahead for far in steps[near] & types.keys()} - reached
        if name in reached:
            yield declaration


def self_contained(schema: Schema, types: Mapping[str, TypeDeclaration]) -> Schema:
    """A schema together with every type it needs, in ``$defs``: what a validator or a form can use by itself."""
    needed: dict[str, Schema] = {}
    ahead = list(references(schema))
    while ahead:
        name = ahead.pop()
        if name not in needed:
            needed[name] = types[name].schema
            ahead.extend(references(needed[name]))
    return {**schema, "$defs": {name: needed[name] for name in sorted(needed)}} if needed else dict(schema)


def underlying(schema: Schema, types: Mapping[str, TypeDeclaration]) -> Schema:
    """The schema that a chain of plain references ends at."""
    while "$ref" in schema:
        schema = types[schema["$ref"].rpartition("/")[2]].schema
    return schema
