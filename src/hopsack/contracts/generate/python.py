"""Contracts as one Python module: frozen msgspec structs, exception classes, typed names of topics and procedures.

A field that may be missing is ``None`` when it is, and is left out again when it is sent. Only a field that may be
missing *and* may be null needs three states; there ``msgspec.UNSET`` means missing. Arrays are tuples, because values
are frozen. Fields of newer contracts than the program's are ignored when they come.
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
import textwrap
from collections.abc import Iterator
from typing import assert_never

from hopsack.contracts.generate.shapes import (
    Alias,
    Anything,
    ErrorShape,
    Field,
    ListOf,
    Literals,
    MapOf,
    Named,
    ProcedureShape,
    Record,
    Scalar,
    Shape,
    TopicShape,
    TupleOf,
    UnionOf,
    Vocabulary,
    constant,
    kinds,
    names,
)
from hopsack.contracts.problems import ContractsInvalid, Problem

_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_IMPORTED = (
    "Any",
    "ClassVar",
    "DeclaredError",
    "Literal",
    "Mapping",
    "Procedure",
    "Progressive",
    "Topic",
    "TypeAlias",
    "annotations",
    "msgspec",
)
_HEADER = '''"""The contracts as Python types. Written by `hopsack generate` from the schemas: do not edit, run it."""

# ruff: noqa
from __future__ import annotations
'''


def module(known: Vocabulary) -> str:
    """The text of the module.

    :raise ContractsInvalid: a name would hide one that the module itself needs.
    """
    problems = [*_hidden(known)]
    if problems:
        raise ContractsInvalid(problems)
    taken = frozenset(name for name, _ in known.names)
    body = [
        *(_record(one, taken, known) for one in known.records),
        *(_alias(one) for one in _in_order(known.aliases)),
        *(_error(one) for one in known.errors),
    ]
    constants = [*(_topic(one) for one in known.topics), *(_procedure(one, known) for one in known.procedures)]
    public = sorted({*taken, "ERRORS", *(constant(uri) for uri, _ in known.uris)})
    exports = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in public) + "]\n"
    parts = ["\n\n".join(body), "\n".join(constants), _error_table(known), exports]
    text = "\n\n".join(part for part in parts if part)
    return f"{_HEADER}\n{_imports(text)}\n\n{text}"


def _hidden(known: Vocabulary) -> Iterator[Problem]:
    reserved = {*_IMPORTED, "ERRORS", *(name for name in dir(builtins) if name[0].isupper()), *keyword.kwlist}
    for name, origin in known.names:
        if name in reserved:
            yield origin.problem(f"`{name}` means something else in Python already", "choose another name")


def _imports(text: str) -> str:
    """Only what the code of the text uses."""
    code = re.sub(r'""".*?"""', "", text.replace('\\"', ""), flags=re.DOTALL)

    def used(*candidates: str) -> str:
        return ", ".join(name for name in candidates if re.search(rf"\b{name}\b", code))

    groups = [
        [f"from {home} import {wanted}" for home, wanted in sources if wanted]
        for sources in (
            (("collections.abc", used("Mapping")), ("typing", used("Any", "ClassVar", "Literal", "TypeAlias"))),
            (),
            (
                ("hopsack.contracts.refs", used("Procedure", "Progressive", "Topic")),
                ("hopsack.errors", used("DeclaredError")),
            ),
        )
    ]
    if used("msgspec"):
        groups[1] = ["import msgspec"]
    return "\n\n".join("\n".join(group) for group in groups if group) + "\n"


def expression(shape: Shape) -> str:
    """The Python type of a shape."""
    match shape:
        case Anything():
            return "Any"
        case Scalar(kind=kind):
            return _SCALARS[kind]
        case Literals(values=values):
            return f"Literal[{', '.join(_literal(value) for value in values)}]"
        case ListOf(item=item):
            return f"tuple[{expression(item)}, ...]"
        case TupleOf(item=item, length=length):
            return f"tuple[{', '.join([expression(item)] * length)}]"
        case MapOf(value=value):
            return f"Mapping[str, {expression(value)}]"
        case Named(name=name):
            return name
        case UnionOf(members=members):
            return " | ".join(expression(member) for member in members)
        case _:
            assert_never(shape)


def _literal(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)


def _record(record: Record, taken: frozenset[str], known: Vocabulary) -> str:
    options = "frozen=True, kw_only=True" + (
        "" if all(one.required for one in record.fields) else ", omit_defaults=True"
    )
    lines = [f"class {record.name}(msgspec.Struct, {options}):", *_doc(record.doc)]
    if record.doc and record.fields:
        lines.append("")
    attributes: set[str] = set()
    for one in record.fields:
        attribute = _attribute(one.name, taken)
        while attribute in attributes:
            attribute += "_"
        attributes.add(attribute)
        lines.append(f"    {attribute}: {_annotation(one, attribute, known)}")
        lines.extend(_doc(one.doc))
    if len(lines) == 1:
        lines.append("    pass")
    return "\n".join(lines) + "\n"


def _annotation(one: Field, attribute: str, known: Vocabulary) -> str:
    shape = expression(one.shape)
    nullable = "null" in kinds(one.shape, known)
    default = "" if one.required else "msgspec.UNSET" if nullable else "None"
    if not one.required:
        shape += " | msgspec.UnsetType" if nullable else " | None"
    if attribute == one.name:
        return f"{shape} = {default}" if default else shape
    inner = f"default={default}, " if default else ""
    return f"{shape} = msgspec.field({inner}name={json.dumps(one.name, ensure_ascii=False)})"


_OWN_WORDS = frozenset({"str", "int", "float", "bool", "tuple", *_IMPORTED})
"""What annotations are written with: a field of that name would hide it from its neighbours."""


def _attribute(name: str, taken: frozenset[str]) -> str:
    attribute = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_") or "field"
    if attribute[0].isdigit():
        attribute = f"field_{attribute}"
    if keyword.iskeyword(attribute) or attribute in _OWN_WORDS or attribute in taken:
        attribute += "_"
    return attribute


def _alias(alias: Alias) -> str:
    doc = "\n".join(_doc(alias.doc, indent=""))
    return f"{alias.name}: TypeAlias = {expression(alias.shape)}\n" + (f"{doc}\n" if doc else "")


def _in_order(aliases: tuple[Alias, ...]) -> Iterator[Alias]:
    """Aliases are evaluated where they stand, so what one needs must stand before it."""
    waiting = {one.name: one for one in aliases}

    def write(one: Alias) -> Iterator[Alias]:
        del waiting[one.name]
        for name in names(one.shape):
            if name in waiting:
                yield from write(waiting[name])
        yield one

    for one in aliases:
        if one.name in waiting:
            yield from write(one)


def _error(error: ErrorShape) -> str:
    lines = [f"class {error.name}(DeclaredError):", *_doc(error.summary)]
    if error.summary:
        lines.append("")
    lines.append(f'    CODE: ClassVar[str] = "{error.code}"')
    if error.data is not None:
        kind = expression(error.data)
        lines += ["", f"    def facts(self) -> {kind}:", '        """What the error says beside its message."""']
        lines += [f"        facts: {kind} = msgspec.convert(self.data, {kind})", "        return facts"]
    return "\n".join(lines) + "\n"


def _topic(topic: TopicShape) -> str:
    kind = expression(topic.payload)
    latest = "" if topic.latest is None else f", latest={_strings(topic.latest)}"
    value = f'Topic("{topic.uri}", {kind}{latest})'
    return _assignment(constant(topic.uri), f"Topic[{kind}]", value, topic.summary)


def _strings(names: tuple[str, ...]) -> str:
    written = ", ".join(f'"{name}"' for name in names)
    return f"({written},)" if len(names) == 1 else f"({written})"


def _procedure(procedure: ProcedureShape, known: Vocabulary) -> str:
    takes, gives = expression(procedure.input), expression(procedure.output)
    classes = {one.code: one.name for one in known.errors}
    errors = "".join(f"{classes[code]}, " for code in procedure.errors)
    errors = f", ({errors.rstrip() if len(procedure.errors) == 1 else errors.removesuffix(', ')})" if errors else ""
    more = ", idempotent=True" if procedure.is_idempotent else ""
    kind, types = "Procedure", f"{takes}, {gives}"
    if procedure.progress is not None or procedure.inputs is not None:
        progress = gives if procedure.progress is None else expression(procedure.progress)
        kind, types = "Progressive", f"{takes}, {progress}, {gives}"
        more += f", progress={progress}"
        more += "" if procedure.inputs is None else f", inputs={expression(procedure.inputs)}"
    value = f'{kind}("{procedure.uri}", {takes}, {gives}{errors}{more})'
    return _assignment(constant(procedure.uri), f"{kind}[{types}]", value, procedure.summary)


def _assignment(name: str, kind: str, value: str, doc: str) -> str:
    line = f"{name}: {kind} = {value}"
    if len(line) > 120:
        line = f"{name}: {kind} = (\n    {value}\n)"
    return "\n".join([line, *_doc(doc, indent="")])


def _error_table(known: Vocabulary) -> str:
    rows = "".join(f'    "{one.code}": {one.name},\n' for one in known.errors)
    value = f"{{\n{rows}}}" if rows else "{}"
    doc = '"""Code → exception class, of every error that a contract declares."""'
    return f"ERRORS: Mapping[str, type[DeclaredError]] = {value}\n{doc}\n"


def _doc(text: str, indent: str = "    ") -> list[str]:
    text = " ".join(text.split())
    if not text:
        return []
    text = text.replace("\\", "\\\\")
    if '"""' in text or text.endswith('"'):
        text = text.replace('"', '\\"')
    lines = textwrap.wrap(text, 120 - len(indent) - 6, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *(f"{indent}{line}" for line in lines[1:]), f'{indent}"""']
