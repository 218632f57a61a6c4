"""Contracts as one TypeScript module: interfaces, the maps of topics and procedures that the client is typed by, and
the one thing it needs at run time, the key fields of the topics that keep newest values.

A URI with parameters is a template-literal key: ``watch.{root}.changed`` is ``watch.${string}.changed``. To TypeScript
a ``${string}`` may hold dots too, so a pattern there reaches further than it does in the catalogue; where that would
give one URI two types, the contracts are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import assert_never

from hopsack.contracts.document import Origin
from hopsack.contracts.generate.shapes import (
    Alias,
    Anything,
    ListOf,
    Literals,
    MapOf,
    Named,
    ProcedureShape,
    Record,
    Scalar,
    Shape,
    TupleOf,
    UnionOf,
    Vocabulary,
)
from hopsack.contracts.problems import ContractsInvalid, Problem

_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_RESERVED = frozenset(
    ("Array", "Boolean", "DeclaredErrors", "LATEST", "Number", "Object", "Procedures", "Record", "String", "Topics")
)
_HEADER = (
    "// The contracts as TypeScript types. Written by `hopsack generate` from the schemas: run it again, do not edit.\n"
)


def module(known: Vocabulary) -> str:
    """The text of the module.

    :raise ContractsInvalid: a name or a URI that TypeScript would take for another.
    """
    problems = [*_hidden(known)]
    problems += _overlaps([(one.uri, one.payload, one.origin) for one in known.topics])
    problems += _overlaps([(one.uri, (one.input, one.output, one.errors), one.origin) for one in known.procedures])
    if problems:
        raise ContractsInvalid(problems)
    types = {one.name: _interface(one) for one in known.records} | {one.name: _alias(one) for one in known.aliases}
    parts = [_HEADER, *(types[name] for name in sorted(types))]
    parts.append(_topics(known))
    parts.append(_procedures(known))
    parts.append(_errors(known))
    parts.append(_latest(known))
    return "\n".join(parts)


def _hidden(known: Vocabulary) -> Iterator[Problem]:
    for name, origin in known.names:
        if name in _RESERVED:
            yield origin.problem(f"`{name}` means something else in TypeScript already", "choose another name")


def _overlaps(typed: Sequence[tuple[str, object, Origin]]) -> Iterator[Problem]:
    for index, (uri, kind, origin) in enumerate(typed):
        for other, other_kind, _ in typed[:index]:
            if ("{" in uri or "{" in other) and kind != other_kind and _may_meet(uri, other):
                message = f"to TypeScript `{uri}` and `{other}` can be the same name, with different types"
                yield origin.problem(message, "rename one, so that no parameter reaches over the other's dots")


def _may_meet(one: str, other: str) -> bool:
    """Whether some text fits both, where ``{x}`` stands for any characters."""
    left, right = (re.findall(r"\{[^}]*\}|[^{}]", uri) for uri in (one, other))

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(left) or j == len(right):
            rest = left[i:] + right[j:]
            return all(part.startswith("{") for part in rest)
        if left[i].startswith("{"):
            return meet(i + 1, j) or meet(i, j + 1)
        if right[j].startswith("{"):
            return meet(i, j + 1) or meet(i + 1, j)
        return left[i] == right[j] and meet(i + 1, j + 1)

    return meet(0, 0)


def expression(shape: Shape) -> str:
    """The TypeScript type of a shape."""
    match shape:
        case Anything():
            return "unknown"
        case Scalar(kind=kind):
            return _SCALARS[kind]
        case Literals(values=values):
            return " | ".join(json.dumps(value) for value in values)
        case ListOf(item=item):
            return f"readonly {_grouped(item)}[]"
        case TupleOf(item=item, length=length):
            return f"readonly [{', '.join([expression(item)] * length)}]"
        case MapOf(value=value):
            return f"{{ readonly [key: string]: {expression(value)} }}"
        case Named(name=name):
            return name
        case UnionOf(members=members):
            return " | ".join(expression(member) for member in members)
        case _:
            assert_never(shape)


def _grouped(shape: Shape) -> str:
    text = expression(shape)
    return f"({text})" if isinstance(shape, UnionOf | Literals | ListOf | TupleOf) else text


def _interface(record: Record) -> str:
    lines = [*_doc(record.doc, ""), f"export interface {record.name} {{"]
    for one in record.fields:
        lines.extend(_doc(one.doc, "  "))
        lines.append(f"  readonly {_key(one.name)}{'' if one.required else '?'}: {expression(one.shape)};")
    return "\n".join([*lines, "}"]) + "\n"


def _alias(alias: Alias) -> str:
    return "\n".join([*_doc(alias.doc, ""), f"export type {alias.name} = {expression(alias.shape)};"]) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name) else json.dumps(name)


def _uri_key(uri: str, word: str) -> str:
    return f"[{word}: `{re.sub(r'{[^}]*}', '${string}', uri)}`]" if "{" in uri else json.dumps(uri)


def _topics(known: Vocabulary) -> str:
    lines = ["/** Topic → what it carries. */", "export interface Topics {"]
    for one in known.topics:
        lines.extend(_doc(one.summary, "  "))
        lines.append(f"  readonly {_uri_key(one.uri, 'topic')}: {expression(one.payload)};")
    return "\n".join([*lines, "}"]) + "\n"


def _procedures(known: Vocabulary) -> str:
    lines = [
        "/** Procedure → what it takes, gives and may refuse with. `null` where it takes or gives nothing. */",
        "export interface Procedures {",
    ]
    for one in known.procedures:
        lines.extend(_doc(one.summary, "  "))
        lines.append(f"  readonly {_uri_key(one.uri, 'procedure')}: {_signature(one)};")
    return "\n".join([*lines, "}"]) + "\n"


def _signature(one: ProcedureShape) -> str:
    errors = " | ".join(json.dumps(code) for code in one.errors) or "never"
    parts = [f"{key}: {expression(shape)}" for key, shape in one.shapes]
    return f"{{ {'; '.join([*parts, f'errors: {errors}'])} }}"


def _errors(known: Vocabulary) -> str:
    lines = ["/** Code of a declared error → its `data`. */", "export interface DeclaredErrors {"]
    for one in known.errors:
        lines.extend(_doc(one.summary, "  "))
        data = expression(one.data) if one.data is not None else "{ readonly [key: string]: unknown }"
        lines.append(f"  readonly {json.dumps(one.code)}: {data};")
    return "\n".join([*lines, "}"]) + "\n"


def _latest(known: Vocabulary) -> str:
    rows = ((one.uri, one.latest) for one in known.topics if one.latest is not None)
    return "\n".join(
        [
            "/** Topic that keeps newest values → the fields that tell them apart: `connect({ latest: LATEST })`. */",
            "export const LATEST = {",
            *(f"  {json.dumps(uri)}: {json.dumps(list(fields))}," for uri, fields in rows),
            "} as const;\n",
        ]
    )


def _doc(text: str, indent: str) -> list[str]:
    text = " ".join(text.split()).replace("*/", "*\\/")
    return [f"{indent}/** {text} */"] if text else []
