"""The one JSON value that a WAMP message carries: in ``args[0]``, as positional arguments, or as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hopsack.errors import Invalid

_ADVICE = "send one JSON value as the first positional argument, or its fields as keyword arguments"


# What payloads are, in nearly every message: abstract classes take a microsecond to ask.
_ARRAYS = frozenset((list, tuple, type(None)))
_OBJECTS = frozenset((dict, type(None)))


def _is_array(args: Any) -> bool:
    return isinstance(args, Sequence) and not isinstance(args, str | bytes)


def payload_of(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, array: bool) -> Any:
    """Read the payload of a WAMP EVENT, CALL, YIELD or their like.

    Nothing at all is ``null``. Keyword arguments are an object. One positional argument is the payload itself.

    :param array: the contract's payload is an array. Then positional arguments are its items, except that a single one
        which is a list is the payload itself, as our own doors send it; and no arguments are no items.
    :raise Invalid: the message could mean several things.
    """
    if not ((type(args) in _ARRAYS or _is_array(args)) and (type(kwargs) in _OBJECTS or isinstance(kwargs, Mapping))):
        raise Invalid("has arguments that are no array, or keywords that are no object", path="", advice=_ADVICE)
    if kwargs:
        if args:
            raise Invalid("has both positional and keyword arguments", path="", advice=_ADVICE)
        return dict(kwargs)
    if array:
        return args[0] if args and len(args) == 1 and isinstance(args[0], list | tuple) else list(args or ())
    if not args:
        return None
    if len(args) > 1:
        raise Invalid(f"has {len(args)} positional arguments, and the payload is one value", path="", advice=_ADVICE)
    return args[0]
