"""Does a payload keep its contract, and if not: where, and what would be right.

Yes costs about a microsecond, and nothing is built for it. A no is explained from the first fault alone: a payload of
a million wrong items must not buy a million explanations. What is shown of a payload is short, and of objects and
arrays only their kind: an error travels back over the wire, and into logs.

Payloads come from decoders that bound their nesting. What they may bring that is no JSON value, or that some reader
could not take, is refused here whatever the schema leaves open: bytes, decimals and dates, NaN and infinities, integers
beyond 64 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind

from hopsack.contracts.problems import nearest, pointer
from hopsack.contracts.schema import Schema, judge

_LONGEST_MESSAGE, _LONGEST_VALUE = 120, 40


@dataclass(frozen=True, slots=True)
class Violation:
    """:ivar path: JSON Pointer (RFC 6901) to the value at fault. :ivar message: what would be right, for a person."""

    path: str
    message: str


class Verdict:
    """A compiled schema.

    :param schema: self-contained; every ``$ref`` is ``#/$defs/Name``.
    """

    __slots__ = ("_judge", "_schema", "_valid")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._judge = judge(schema)
        self._valid = self._judge.is_valid

    def of(self, payload: Any) -> Violation | None:
        """``None`` where the payload keeps the contract."""
        try:
            if self._valid(payload):
                return _misfit(payload)
            self._judge.validate(payload)
        except jsonschema_rs.ValidationError as error:
            return self._violation(error)
        except ValueError as error:  # bytes, keys that are no text, lone surrogates: not JSON at all
            return Violation("", _short(f"must be JSON: {error}", _LONGEST_MESSAGE))
        return None

    def _violation(self, error: jsonschema_rs.ValidationError) -> Violation:
        path, message = self._explain(error)
        return Violation(pointer(path), _short(message, _LONGEST_MESSAGE))

    def _explain(self, error: jsonschema_rs.ValidationError) -> tuple[list[str | int], str]:
        path = list(error.instance_path)
        match error.kind:
            case Kind.Required(property=name):
                return [*path, name], "is required, and missing"
            case Kind.AdditionalProperties(unexpected=names):
                return [*path, names[0]], self._unknown_field(names[0], error)
            case Kind.AnyOf(context=branches) | Kind.OneOfNotValid(context=branches):
                return self._explain_choice(error, branches)
            case Kind.PropertyNames(error=inner):
                return [*path, str(inner.instance)], f"has a name that {_words(inner)}"
            case _:
                return path, _words(error)

    def _unknown_field(self, name: str, error: jsonschema_rs.ValidationError) -> str:
        """The schema that forbade the field stands one step above the keyword that did."""
        place: Any = self._schema
        for part in error.schema_path[:-1]:
            place = place[part]
        known = list(place.get("properties", ()))
        found = nearest(name, known)
        if found is not None:
            return f"is not a field here; did you mean {_show(found)}?"
        return f"is not a field here; the fields are {_listed(known)}" if known else "is not a field here"

    def _explain_choice(
        self, error: jsonschema_rs.ValidationError, branches: Sequence[Sequence[jsonschema_rs.ValidationError]]
    ) -> tuple[list[str | int], str]:
        """Of several allowed forms, the one whose type fits is the one that was meant."""
        path = list(error.instance_path)
        types: list[str] = []
        meant: list[jsonschema_rs.ValidationError] = []
        for branch in branches:
            first = branch[0]
            if isinstance(first.kind, Kind.Type) and first.instance_path == error.instance_path:
                types.extend(name for name in first.kind.types if name not in types)
            else:
                meant.append(first)
        if len(meant) == 1:
            return self._explain(meant[0])
        if not meant:
            return path, f"must be {_kinds(types)}, got {_show(error.instance)}"
        return path, f"is none of the {len(branches)} forms that the contract allows"


_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""What an integer may be: the range of msgpack's."""


def _misfit(value: Any) -> Violation | None:
    """What in a payload is no JSON value that every door can carry, if anything."""
    kind = type(value)
    if kind is dict:
        for name, field in value.items():
            if not _is_plain(field):
                found = _misfit(field)
                if found is not None:
                    return Violation(pointer([name]) + found.path, found.message)
        return None
    if kind is list or kind is tuple:
        for index, item in enumerate(value):
            if not _is_plain(item):
                found = _misfit(item)
                if found is not None:
                    return Violation(f"/{index}{found.path}", found.message)
        return None
    if _is_plain(value):
        return None
    if kind is int:
        return Violation("", "must be an integer of at most 64 bits")
    return Violation("", "must be a finite number" if kind is float else f"must be a JSON value, got {kind.__name__}")


def _is_plain(value: Any) -> bool:
    """Whether this is a value without parts that fits; every part of every payload comes by here."""
    kind = type(value)
    if kind is float:
        return bool(value - value == 0.0)  # not so for infinities and NaN
    if kind is int:
        return bool(_LEAST <= value <= _MOST)
    return kind is str or kind is bool or value is None


def _words(error: jsonschema_rs.ValidationError) -> str:
    got = error.instance
    match error.kind:
        case Kind.Type(types=names):
            return f"must be {_kinds(names)}, got {_show(got)}"
        case Kind.Enum(options=options):
            return f"must be one of {_listed(options)}, got {_show(got)}"
        case Kind.Constant(expected_value=value):
            return f"must be {_show(value)}, got {_show(got)}"
        case Kind.Pattern(pattern=pattern):
            return f"must match the pattern {_short(pattern, _LONGEST_VALUE)}, got {_show(got)}"
        case Kind.Format(format=name):
            return f"must be a {name}, got {_show(got)}"
        case Kind.OneOfMultipleValid():
            return "fits several of the forms of which it must be exactly one"
        case Kind.Not():
            return f"is one of the values that the contract rules out, got {_show(got)}"
        case Kind.Contains():
            return "lacks an item of the kind that the contract asks for"
        case Kind.UniqueItems():
            return "must not hold the same item twice"
        case Kind.FalseSchema():
            return "must be left out"
        case kind:
            return _bound(kind, got)


def _bound(kind: Kind, got: Any) -> str:
    match kind:
        case Kind.Minimum(limit=limit):
            return f"must be at least {limit}, got {_show(got)}"
        case Kind.Maximum(limit=limit):
            return f"must be at most {limit}, got {_show(got)}"
        case Kind.ExclusiveMinimum(limit=limit):
            return f"must be more than {limit}, got {_show(got)}"
        case Kind.ExclusiveMaximum(limit=limit):
            return f"must be less than {limit}, got {_show(got)}"
        case Kind.MultipleOf(multiple_of=step):
            return f"must be a multiple of {step}, got {_show(got)}"
        case Kind.MinLength(limit=limit) | Kind.MinItems(limit=limit) | Kind.MinProperties(limit=limit):
            return f"must have at least {_counted(limit, got)}, has {len(got)}"
        case Kind.MaxLength(limit=limit) | Kind.MaxItems(limit=limit) | Kind.MaxProperties(limit=limit):
            return f"must have at most {_counted(limit, got)}, has {len(got)}"
        case _:
            return f"breaks the rule `{kind.name}` of its contract"


_ARTICLES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _kinds(names: Sequence[str]) -> str:
    """In a fixed order, because the validator gives them in none."""
    return " or ".join(_ARTICLES[name] for name in sorted(names, key=lambda name: (name == "null", name)))


def _counted(limit: int, got: Any) -> str:
    noun = "character" if isinstance(got, str) else "item" if isinstance(got, list) else "field"
    return f"{limit} {noun}" if limit == 1 else f"{limit} {noun}s"


def _show(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return json.dumps(_short(value, _LONGEST_VALUE), ensure_ascii=False)
        case _:
            return _short(json.dumps(value, default=str), _LONGEST_VALUE)


def _listed(values: Sequence[Any]) -> str:
    shown = [_show(value) for value in values[:6]]
    return ", ".join(shown) + (f" … ({len(values)} in all)" if len(values) > len(shown) else "")


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
