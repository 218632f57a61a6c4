"""The AsyncAPI 3.0 document of a catalogue, https://www.asyncapi.com/docs/reference/specification/v3.0.0.

AsyncAPI describes one application; here it is the node. So the node *receives* what clients publish and call, and
*sends* what they subscribe to. A topic is a channel with up to two operations; a procedure is a channel with a request
operation whose reply comes on a channel of its own, without an address, because each door sends it its own way.

What AsyncAPI has no word for stands in ``x-hopsack-*`` fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from hopsack.contracts.policy import Breaker, Policy
from hopsack.contracts.schema import (
    LISTED_SCHEMAS,
    NAMED_SCHEMAS,
    ONE_SCHEMA,
    Schema,
)
from hopsack.contracts.sealed import schema_of

if TYPE_CHECKING:
    from hopsack.contracts.catalogue import Catalogue, ProcedureContract, TopicContract

Json = dict[str, Any]

ROLES = frozenset(("x-hopsack-roles", "x-hopsack-register-roles"))
"""What an operation has of who may do it."""


def document(catalogue: Catalogue, title: str = "Hopsack", version: str = "1.0.0", roles: bool = True) -> Json:
    """The document, as JSON. The same catalogue gives the same document, key order included.

    :param roles: whether it says who may do what.
    :param version: of the contracts, for their users; AsyncAPI asks for one.
    """
    channels: Json = {}
    operations: Json = {}
    for topic in catalogue.topics.values():
        channels[_key(topic.uri)] = _topic_channel(topic)
        operations |= _topic_operations(topic)
    for procedure in catalogue.procedures.values():
        name = f"{_key(procedure.uri)}.call"
        channels[name] = _call_channel(procedure)
        channels[f"{_key(procedure.uri)}.reply"] = _reply_channel(procedure, catalogue)
        operations[name] = _call_operation(procedure)
    if not roles:
        for operation in operations.values():
            for name in ROLES & operation.keys():
                del operation[name]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "tags": _tags(catalogue)},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": {name: _schema(one.schema) for name, one in catalogue.types.items()}},
    }


def _key(uri: str) -> str:
    """A URI as a key that references can name: braces are not allowed there, and ``-`` is in no URI."""
    return uri.replace("{", "-").replace("}", "-")


def _tags(catalogue: Catalogue) -> list[Json]:
    return [
        {"name": prefix, **({"description": summary} if summary else {})}
        for prefix, summary in catalogue.families.items()
    ]


def _parameters(params: tuple[str, ...]) -> Json:
    return {"parameters": {name: {"description": "One component of the URI."} for name in params}} if params else {}


def _topic_channel(topic: TopicContract) -> Json:
    extra: Json = {}
    if topic.stream is not None:
        stream = topic.stream
        extra["x-hopsack-stream"] = {"keep": stream.keep, "seconds": stream.seconds}
        if stream.max_bytes is not None:
            extra["x-hopsack-stream"]["bytes"] = stream.max_bytes
    if topic.keeps_latest:
        extra["x-hopsack-latest"] = list(topic.latest)
    if topic.presence is not None:
        extra["x-hopsack-presence"] = list(topic.presence)
    return {
        "address": topic.uri,
        "title": topic.uri,
        "summary": topic.summary,
        "messages": {"event": {"name": topic.uri, **_event(topic)}},
        **_parameters(topic.params),
        "tags": [{"name": topic.family}],
        **extra,
    }


def _event(topic: TopicContract) -> Json:
    """What travels; of a sealed payload also what is in it."""
    if topic.encrypted is None:
        return {"payload": _payload(topic.payload_schema)}
    inside = _payload(topic.payload_schema)
    return {
        "payload": _payload(schema_of(topic.encrypted)),
        "x-hopsack-encrypted": topic.encrypted,
        "x-hopsack-inside": inside,
    }


def _topic_operations(topic: TopicContract) -> Json:
    key = _key(topic.uri)
    sides = (("publish", "receive", topic.publish), ("subscribe", "send", topic.subscribe))
    return {
        f"{key}.{verb}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{key}"},
            "summary": topic.summary,
            "messages": [{"$ref": f"#/channels/{key}/messages/event"}],
            "tags": [{"name": topic.family}],
            "x-hopsack-roles": sorted(permission.entries),
        }
        for verb, action, permission in sides
    }


def _call_channel(procedure: ProcedureContract) -> Json:
    return {
        "address": procedure.uri,
        "title": procedure.uri,
        "summary": procedure.summary,
        "messages": _inputs(procedure),
        **_parameters(procedure.params),
        "tags": [{"name": procedure.family}],
    }


def _inputs(procedure: ProcedureContract) -> Json:
    messages: Json = {"input": {"name": f"{procedure.uri} input", "payload": _payload(procedure.input_schema)}}
    if procedure.inputs_schema is not None:
        messages["inputs"] = {
            "name": f"{procedure.uri} inputs",
            "summary": "One of the inputs that follow the first.",
            "payload": _payload(procedure.inputs_schema),
        }
    return messages


def _reply_channel(procedure: ProcedureContract, catalogue: Catalogue) -> Json:
    messages: Json = {"output": {"name": f"{procedure.uri} output", "payload": _payload(procedure.output_schema)}}
    for code in procedure.errors:
        error = catalogue.errors[code]
        data = {"type": "object"} if error.data_schema is None else _payload(error.data_schema)
        messages[code] = {
            "name": code,
            **({"summary": error.summary} if error.summary else {}),
            "payload": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"const": code}, "message": {"type": "string"}, "data": data},
            },
        }
    if procedure.progress_schema is not None:
        messages["progress"] = {
            "name": f"{procedure.uri} progress",
            "summary": "One of the results that come before the last.",
            "payload": _payload(procedure.progress_schema),
        }
    return {"address": None, "title": f"Reply of {procedure.uri}", "messages": messages}


def _call_operation(procedure: ProcedureContract) -> Json:
    key = _key(procedure.uri)
    replies = ("output", *procedure.errors, *(("progress",) if procedure.progress_schema is not None else ()))
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{key}.call"},
        "summary": procedure.summary,
        "messages": [{"$ref": f"#/channels/{key}.call/messages/{name}"} for name in _inputs(procedure)],
        "reply": {
            "channel": {"$ref": f"#/channels/{key}.reply"},
            "messages": [{"$ref": f"#/channels/{key}.reply/messages/{name}"} for name in replies],
        },
        "tags": [{"name": procedure.family}],
        "x-hopsack-roles": sorted(procedure.call.entries),
        "x-hopsack-register-roles": sorted(procedure.register.entries),
        "x-hopsack-idempotent": procedure.idempotent,
        **_policy(procedure.policy),
        **({"x-hopsack-timeout": procedure.timeout} if procedure.timeout is not None else {}),
    }


def _policy(policy: Policy) -> Json:
    """What differs from the usual."""
    return {f"x-hopsack-{name.replace('_', '-')}": _plain(value) for name, value in _said(policy)}


def _said(policy: Policy) -> Iterator[tuple[str, Any]]:
    for one in fields(policy):
        value = getattr(policy, one.name)
        if value != one.default:
            yield one.name, value


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Breaker) else value


def _payload(schema: Schema) -> Json:
    """The types it brings along stand in ``components`` already."""
    own: Json = _schema({key: value for key, value in schema.items() if key != "$defs"})
    return own


def _schema(schema: Any) -> Any:
    """A copy whose references go to ``components/schemas``."""
    if not isinstance(schema, dict):
        return schema
    copy: Json = {}
    for keyword, value in schema.items():
        if keyword == "$ref":
            copy[keyword] = value.replace("#/$defs/", "#/components/schemas/")
        elif keyword in ONE_SCHEMA:
            copy[keyword] = _schema(value)
        elif keyword in LISTED_SCHEMAS:
            copy[keyword] = [_schema(item) for item in value]
        elif keyword in NAMED_SCHEMAS:
            copy[keyword] = {name: _schema(item) for name, item in value.items()}
        else:
            copy[keyword] = value
    return copy
