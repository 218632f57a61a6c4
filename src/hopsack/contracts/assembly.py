"""A folder of contract files → a :class:`Catalogue`, or every problem in them.

:func:`load` reads the folder; :func:`build` does everything else, and touches no disk. The node's own contracts
(``builtin/``) are always part of the catalogue; their prefixes are taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs

from hopsack.contracts import uris
from hopsack.contracts.catalogue import (
    Catalogue,
    ErrorContract,
    ProcedureContract,
    TopicContract,
    in_order,
)
from hopsack.contracts.document import Origin, parse
from hopsack.contracts.family import Declared, Family, read
from hopsack.contracts.permission import Action, Permission
from hopsack.contracts.problems import ContractsInvalid, Problem, suggest
from hopsack.contracts.schema import (
    Schema,
    TypeDeclaration,
    circles,
    resolve,
    self_contained,
    underlying,
)
from hopsack.contracts.sealed import schema_of
from hopsack.contracts.verdict import Verdict

RESERVED = ("hopsack", "presence", "wamp")
"""Prefixes that no file of a user's may have."""

NO_INPUT: Schema = {"type": ["null", "object"], "maxProperties": 0}
NO_OUTPUT: Schema = {"type": "null"}
_AN = {"payload": "a", "input": "an"}
_ANY_DATA: Schema = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file's text.

    :ivar file: below the schemas folder, with ``/``. :ivar shown: how problems name it.
    """

    file: str
    shown: str
    text: str


def load(folder: Path) -> Catalogue:
    """Read all ``*.yaml`` files below a folder.

    :raise ContractsInvalid: with every problem found, not only the first.
    """
    if not folder.is_dir():
        advice = "make it, or name another one with --schemas or HOPSACK_SCHEMAS"
        raise ContractsInvalid([Problem(str(folder), 0, "", "there is no such folder", advice)])
    sources, problems = [], []
    for path in sorted(folder.rglob("*")):
        file = path.relative_to(folder).as_posix()
        if path.suffix not in (".yaml", ".yml") or any(part.startswith(".") for part in file.split("/")):
            continue
        try:
            sources.append(Source(file, str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(path), 0, "", f"cannot be read: {error}"))
    return build(sources, problems)


def build(sources: Iterable[Source], problems: Iterable[Problem] = ()) -> Catalogue:
    """The catalogue of these files and the built-in ones.

    :param problems: what is known to be wrong already.
    :raise ContractsInvalid: with every problem found.
    """
    found = list(problems)
    families = [*_families(_builtin(), found)]
    for source in sources:
        if wrong := _misnamed(source):
            found.append(wrong)
        else:
            families.extend(_families([source], found))
    assembly = _Assembly(families, found)
    assembly.join()
    if not found:
        catalogue = assembly.catalogue()
    if found:
        raise ContractsInvalid(found)
    return catalogue


def _builtin() -> Iterator[Source]:
    folder = resources.files("hopsack.contracts") / "builtin"
    for name in ("hopsack.yaml", "hopsack/service.yaml", "presence.yaml"):
        yield Source(name, f"hopsack/contracts/builtin/{name}", (folder / name).read_text(encoding="utf-8"))


def _families(sources: Iterable[Source], found: list[Problem]) -> Iterator[Family]:
    for source in sources:
        document, problems = parse(source.text, source.shown)
        found.extend(problems)
        if document is not None:
            family = read(document, source.file, _prefix(source.file))
            found.extend(family.problems)
            yield family


def _prefix(file: str) -> str:
    return file.removesuffix(".yaml").replace("/", ".")


def _misnamed(source: Source) -> Problem | None:
    """A file's path is the prefix of all it declares, so it must read as one."""
    if source.file.endswith(".yml"):
        return Problem(source.shown, 0, "", "ends in `.yml`", "contract files end in `.yaml`")
    prefix = _prefix(source.file)
    if prefix.split(".")[0] in RESERVED:
        return Problem(source.shown, 0, "", f"the prefix `{prefix}` belongs to the node", "choose another file name")
    if not all(uris.LITERAL.match(part) for part in source.file.removesuffix(".yaml").split("/")):
        advice = "use lower-case letters, digits and `_`: the path is the prefix of what the file declares"
        return Problem(source.shown, 0, "", f"`{prefix}` is not a prefix", advice)
    return None


@dataclass(slots=True)
class _Assembly:
    """What only all files together can tell: references, duplicates, ambiguities. Then the catalogue."""

    families: list[Family]
    found: list[Problem]
    types: dict[str, TypeDeclaration] = field(default_factory=dict)
    errors: dict[str, Declared] = field(default_factory=dict)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)

    def join(self) -> None:
        """Find everything that is wrong between the files."""
        names = {family.file: family.types for family in self.families}
        for family in self.families:
            for declared in family.types.values():
                self._add_type(family, declared, names)
            for declared in (*family.topics, *family.procedures, *family.errors):
                self._resolve(family, declared, names)
        for family in self.families:
            self._add_errors(family)
        for family in self.families:
            for declared in family.procedures:
                self._check_codes(family, declared)
        for circle in circles(self.types):
            self.found.append(circle.origin.problem(f"`{circle.name}` is defined by itself", "break the circle"))
        self._check_uris([one for family in self.families for one in family.topics])
        self._check_uris([one for family in self.families for one in family.procedures])
        if not self.found:
            for family in self.families:
                for declared in family.topics:
                    self._check_latest(declared)
                for declared in family.procedures:
                    self._check_shard(declared)

    def _add_type(self, family: Family, declared: Declared, names: Mapping[str, Mapping[str, Any]]) -> None:
        if (other := self.types.get(declared.name)) is not None:
            advice = f"it is in {other.origin} already; types have one name everywhere: rename one, or refer to it"
            self.found.append(declared.origin.problem(f"the type `{declared.name}` is declared twice", advice))
            return
        schema = resolve(declared.facts["schema"], declared.origin, family.file, names, self.found)
        self.types[declared.name] = TypeDeclaration(declared.name, family.prefix, schema, declared.origin)

    def _resolve(self, family: Family, declared: Declared, names: Mapping[str, Mapping[str, Any]]) -> None:
        for key in ("payload", "input", "output", "progress", "inputs", "data"):
            if declared.facts.get(key) is not None:
                origin = declared.origin.at(key)
                declared.facts[key] = resolve(declared.facts[key], origin, family.file, names, self.found)

    def _add_errors(self, family: Family) -> None:
        for declared in family.errors:
            if (other := self.errors.get(declared.name)) is not None:
                message = f"the error `{declared.name}` is declared twice"
                self.found.append(declared.origin.problem(message, f"it is in {other.origin} already"))
            else:
                self.errors[declared.name] = declared
        if "errors" in (family.document.value or ()):
            return
        for procedure in family.procedures:  # a family that describes no error may just use names
            for index, code in enumerate(procedure.facts["errors"]):
                if code.startswith(family.prefix + ".") and not uris.fault(code) and not uris.parameters(code):
                    origin = procedure.origin.at("errors", index)
                    self.errors.setdefault(code, Declared(code, {"summary": "", "data": None}, origin))

    def _check_codes(self, family: Family, procedure: Declared) -> None:
        for index, code in enumerate(procedure.facts["errors"]):
            if code in self.errors:
                continue
            origin = procedure.origin.at("errors", index)
            if code.split(".")[0] in ("hopsack", "wamp"):
                advice = "every call may end with the errors of the common table; list only your own"
            elif code.startswith(family.prefix + "."):
                own = [name for name in self.errors if name.startswith(family.prefix + ".")]
                advice = suggest(code, own) if own else "describe it under this file's `errors`"
            else:
                advice = suggest(code, self.errors) if self.errors else f"write `{family.prefix}.…`"
            self.found.append(origin.problem(f"the error `{code}` is not declared", advice))

    def _check_uris(self, declared: list[Declared]) -> None:
        places: dict[str, Declared] = {}
        for one in declared:
            if (other := places.setdefault(one.name, one)) is not one:
                message = f"`{one.name}` is declared twice"
                self.found.append(one.origin.problem(message, f"it is in {other.origin} already"))
        for first, second in uris.ambiguities(uri for uri in places if not uris.fault(uri)):
            both = ".".join(uris.shared(uris.split(first), uris.split(second)) or ())
            message = f"`{second}` and `{first}` (in {places[first].origin}) both match `{both}`"
            advice = f"neither is more literal: rename one, or declare `{both}` as well"
            if both in (first, second) or uris.covers(uris.split(first), uris.split(second)):
                message, advice = f"`{second}` and `{first}` match the same URIs", f"keep one; {places[first].origin}"
            self.found.append(places[second].origin.problem(message, advice))

    def _check_latest(self, declared: Declared) -> None:
        payload = underlying(declared.facts["payload"], self.types)
        for name in declared.facts["latest"] or ():
            self._check_label(name, payload, declared.origin.at("latest"), "payload", "events")

    def _check_shard(self, declared: Declared) -> None:
        name, origin = declared.facts["policy"].shard_by, declared.origin.at("shard_by")
        if name is None:
            return
        if uris.is_parameter(name):
            known = [f"{{{one}}}" for one in uris.parameters(declared.name)]
            if name not in known:
                advice = suggest(name, known) if known else "name a field of the input"
                self.found.append(origin.problem(f"the URI has no parameter `{name}`", advice))
            return
        schema = underlying(declared.facts["input"] or NO_INPUT, self.types)
        self._check_label(name, schema, origin, "input", "calls")

    def _check_label(self, name: str, schema: Schema, origin: Origin, part: str, things: str) -> None:
        """A field that is always there, and of few kinds."""
        properties = schema.get("properties", {})
        if name not in properties:
            advice = suggest(name, properties) if properties else f"the {part} must be an object with `properties`"
            self.found.append(origin.problem(f"the {part} has no field `{name}`", advice))
        elif name not in schema.get("required", ()):
            message = f"the field `{name}` may be missing from {_AN[part]} {part}"
            self.found.append(origin.problem(message, f"list it under the {part}'s `required`"))
        elif not _is_label(underlying(properties[name], self.types)):
            message = f"the field `{name}` cannot tell {things} apart"
            self.found.append(origin.problem(message, "use a field that is a string, an integer or a boolean"))

    def catalogue(self) -> Catalogue:
        """Compile everything. Call it only where :meth:`join` found nothing."""
        errors = in_order((code, self._error(declared)) for code, declared in self.errors.items())
        verdicts = {code: error.verdict for code, error in errors.items()}
        topics: list[tuple[str, TopicContract]] = []
        procedures: list[tuple[str, ProcedureContract]] = []
        for family in self.families:
            topics.extend((one.name, self._topic(family, one)) for one in family.topics)
            procedures.extend((one.name, self._procedure(family, one, verdicts)) for one in family.procedures)
        for declaration in self.types.values():
            self._verdict(self_contained(declaration.schema, self.types), declaration.origin)
        return Catalogue(
            topics=in_order(topics),
            procedures=in_order(procedures),
            types=in_order(self.types.items()),
            errors=errors,
            families=in_order((family.prefix, family.summary) for family in self.families),
            open_prefixes=tuple(sorted(family.prefix + "." for family in self.families if family.open)),
        )

    def _verdict(self, schema: Schema, origin: Origin) -> Verdict:
        known = json.dumps(schema, sort_keys=True)
        if known not in self._verdicts:
            try:
                self._verdicts[known] = Verdict(schema)
            except jsonschema_rs.ValidationError as error:  # the net below `schema.faults`
                self.found.append(origin.problem(f"is not valid JSON Schema: {error.message[:200]}"))
                return Verdict({})
        return self._verdicts[known]

    def _error(self, declared: Declared) -> ErrorContract:
        data = declared.facts["data"]
        schema = None if data is None else self_contained(data, self.types)
        verdict = self._verdict(schema or _ANY_DATA, declared.origin.at("data"))
        return ErrorContract(declared.name, declared.facts["summary"], schema, declared.origin, verdict)

    def _topic(self, family: Family, declared: Declared) -> TopicContract:
        facts = declared.facts
        schema = self_contained(facts["payload"], self.types)
        encrypted = facts["encrypted"]
        judged = schema if encrypted is None else schema_of(encrypted)
        return TopicContract(
            uri=declared.name,
            params=uris.parameters(declared.name),
            family=family.prefix,
            summary=facts["summary"],
            payload_schema=schema,
            publish=_permission(declared, "publish"),
            subscribe=_permission(declared, "subscribe"),
            stream=facts["stream"],
            keeps_latest=facts["latest"] is not None,
            latest=facts["latest"] or (),
            origin=declared.origin,
            verdict=self._verdict(judged, declared.origin.at("payload")),
            key_verdict=self._key_verdict(declared) if facts["latest"] else None,
            presence=facts["presence"],
            members_of=facts.get("members_of"),
            encrypted=encrypted,
        )

    def _key_verdict(self, declared: Declared) -> Verdict:
        names = declared.facts["latest"]
        properties = underlying(declared.facts["payload"], self.types)["properties"]
        schema = {"type": "object", "required": list(names), "properties": {name: properties[name] for name in names}}
        return self._verdict(self_contained(schema, self.types), declared.origin.at("latest"))

    def _procedure(self, family: Family, declared: Declared, verdicts: Mapping[str, Verdict]) -> ProcedureContract:
        facts = declared.facts
        takes, gives = facts["input"], facts["output"]
        input_schema = NO_INPUT if takes is None else self_contained(takes, self.types)
        output_schema = NO_OUTPUT if gives is None else self_contained(gives, self.types)
        return ProcedureContract(
            uri=declared.name,
            params=uris.parameters(declared.name),
            family=family.prefix,
            summary=facts["summary"],
            input_schema=input_schema,
            output_schema=output_schema,
            takes_input=takes is not None,
            gives_output=gives is not None,
            input_is_array=takes is not None and underlying(takes, self.types).get("type") == "array",
            errors=facts["errors"],
            idempotent=facts["idempotent"],
            timeout=facts["timeout"],
            register=_permission(declared, "register"),
            call=_permission(declared, "call"),
            origin=declared.origin,
            input_verdict=self._verdict(input_schema, declared.origin.at("input")),
            output_verdict=self._verdict(output_schema, declared.origin.at("output")),
            error_verdicts={code: verdicts[code] for code in facts["errors"]},
            policy=facts["policy"],
            **self._flowing(declared, "progress"),
            **self._flowing(declared, "inputs"),
        )

    def _flowing(self, declared: Declared, key: str) -> dict[str, Any]:
        """What comes one after the other: its schema and its verdict."""
        if declared.facts[key] is None:
            return {}
        schema = self_contained(declared.facts[key], self.types)
        return {f"{key}_schema": schema, f"{key}_verdict": self._verdict(schema, declared.origin.at(key))}


def _permission(declared: Declared, action: Action) -> Permission:
    return Permission(action, declared.facts[action], declared.name, declared.origin.at(action))


def _is_label(schema: Schema) -> bool:
    kinds = schema.get("type")
    if kinds is None and ("enum" in schema or "const" in schema):
        values = schema.get("enum", [schema.get("const")])
        return all(isinstance(value, str | int) for value in values)
    return kinds in ("string", "integer", "boolean")
