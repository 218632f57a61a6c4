"""From the one JSON value of a payload to the type its reader asked for.

The schema is the judge of a payload, and has judged it in the node; a type only gives it a shape (design.md). Where the
two disagree about a harmless form, the schema wins: JSON Schema calls ``1.0`` an integer, so it becomes one here.
"""

from __future__ import annotations

import re
from typing import Any, get_origin

import msgspec

from hopsack.errors import BrokenResult, Invalid
from hopsack.session import Payload

__all__ = ["is_array", "read", "typed"]

_PLACE = re.compile(r" - at `(key in )?\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")


def read(
    payload: Payload, type_: Any, *, where: str | None = None, error: type[Invalid] | type[BrokenResult] = Invalid
) -> Any:
    """A payload as ``type_``; ``Any`` and ``None`` give plain JSON values.

    Most payloads are decoded straight into their type. What cannot be is read by way of plain values: arguments in
    another place, harmless forms, and what is wrong, so that the error names the field.

    :param where: the topic or procedure, for the error.
    :raises Invalid: (or ``error``) it has another shape; with the path of the field.
    """
    if type_ is None or type_ is Any:
        return payload.read()
    try:
        return payload.read_as(type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return typed(payload.read(is_array(type_)), type_, where=where, error=error)


def typed(
    value: Any, type_: Any, *, where: str | None = None, error: type[Invalid] | type[BrokenResult] = Invalid
) -> Any:
    """``value`` as ``type_``; ``Any`` and ``None`` leave it alone.

    :param where: the topic or procedure, for the error.
    :raises Invalid: (or ``error``) it has another shape; with the path of the field.
    """
    if type_ is None or type_ is Any:
        return value
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        try:
            return msgspec.convert(_with_integers(value), type_)
        except msgspec.ValidationError as invalid:
            message, path = _told(str(invalid))
            raise error(message, where=where, path=path) from invalid


def is_array(type_: Any) -> bool:
    """Whether a value of this type is an array in JSON, so that positional arguments are its elements."""
    origin = get_origin(type_) or type_
    return isinstance(origin, type) and issubclass(origin, (list, tuple, set, frozenset))


def _told(text: str) -> tuple[str, str]:
    """msgspec's message and the JSON Pointer (RFC 6901) of the place it names."""
    found = _PLACE.search(text)
    if found is None:
        return text, ""
    path = ""
    for step in _STEP.finditer(found["path"]):
        # msgspec does not say which key of a mapping it was.
        name = step["name"] or step["index"].replace("...", "*")
        path += "/" + name.replace("~", "~0").replace("/", "~1")
    return text[: found.start()], path


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    return value
