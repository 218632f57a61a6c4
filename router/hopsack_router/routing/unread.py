"""Messages whose payload nobody has looked into yet.

A WAMP router reads envelopes: who calls what. The payload it passes on. The classes here are Autobahn's messages with
one difference: ``args`` and ``kwargs`` stay the bytes they came as (:class:`Carried`) until somebody asks for them. So
Crossbar's bookkeeping takes them as its own, admission decodes a payload once to check it, and between two connections
of the same codec the bytes go out as they came in.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from autobahn.wamp import message
from msgspec import Raw

from hopsack.errors import BadRequest
from hopsack.wamp import messages as lean
from hopsack.wamp.codec import Codec, Malformed
from hopsack.wamp.messages import ABSENT
from hopsack_router.routing import asked, binary
from hopsack_router.routing.joining import read_hello

Values = tuple[list[Any] | None, dict[str, Any] | None]


class Carried:
    """The arguments of one message: in the codec they came in, decoded at most once, encoded at most once per codec.

    :param codec: what ``args`` and ``kwargs`` are encoded in; ``None`` if they are Python values already.
    """

    __slots__ = ("_encoded", "_values", "args", "codec", "kwargs")

    def __init__(self, codec: Codec | None, args: Any, kwargs: Any) -> None:
        self.codec = codec
        self.args = args
        self.kwargs = kwargs
        self._values: Values | None = None if codec else (args, kwargs)
        self._encoded: dict[str, tuple[Raw, Raw]] | None = None

    def afresh(self) -> Carried:
        """The same, with nothing decoded or encoded yet."""
        return Carried(self.codec, self.args, self.kwargs)

    def values(self) -> Values:
        """:raises hopsack.wamp.codec.Malformed: the bytes are no values, or not a list and a dict of them."""
        if self._values is None:
            assert self.codec is not None
            unpack = self.codec.unpack
            values = unpack(self.args), unpack(self.kwargs)
            # Whoever gets it would have to end its connection: it is the sender who is wrong.
            if (len(self.args) and type(values[0]) is not list) or (len(self.kwargs) and not _is_object(values[1])):
                raise Malformed("arguments are an array, and keywords an object")
            if not self.codec.is_binary and self._may_hold_bytes(self.codec):
                values = binary.from_text(values[0]), binary.from_text(values[1])
            self._values = values
        return self._values

    def _may_hold_bytes(self, codec: Codec) -> bool:
        return binary.may_be_in(self.args, codec) or binary.may_be_in(self.kwargs, codec)

    def encoded(self, codec: Codec) -> tuple[Raw, Raw]:
        """``args`` and ``kwargs`` in ``codec``, :data:`~hopsack.wamp.messages.ABSENT` where there are none."""
        if codec is self.codec:
            return self.args, self.kwargs
        known = self._encoded
        if known is None:
            known = self._encoded = {}
        raw = known.get(codec.name)
        if raw is None:
            args, kwargs = self.values()
            # Without bytes in it, the codec's own way is shorter.
            plain = self.codec is not None and not self._may_hold_bytes(self.codec)
            pack = codec.pack if plain else partial(binary.pack, codec=codec)
            raw = known[codec.name] = (ABSENT if args is None else pack(args), ABSENT if not kwargs else pack(kwargs))
        return raw


def _is_object(value: Any) -> bool:
    return type(value) is dict and all(type(name) is str for name in value)


def carried_by(msg: Any) -> Carried:
    """The payload of any message that has one."""
    carried = getattr(msg, "carried", None)
    return carried if carried is not None else Carried(None, msg.args, msg.kwargs)


class _Unread:
    """What the classes below share: no opaque payload, nothing forwarded, arguments on demand."""

    __slots__ = ()
    carried: Carried
    payload = enc_algo = enc_key = enc_serializer = forward_for = transaction_hash = None
    correlation_id = correlation_uri = correlation_is_anchor = correlation_is_last = None

    @property
    def args(self) -> list[Any] | None:
        return self.carried.values()[0]

    @property
    def kwargs(self) -> dict[str, Any] | None:
        return self.carried.values()[1]


class Publish(_Unread, message.Publish):  # type: ignore[misc]
    __slots__ = ("acknowledge", "carried", "exclude_me", "request", "topic")
    retain = delete = False
    key = None
    exclude = exclude_authid = exclude_authrole = eligible = eligible_authid = eligible_authrole = None

    def __init__(self, request: int, topic: str, acknowledge: bool, exclude_me: bool | None, carried: Carried) -> None:
        self.request = request
        self.topic = topic
        self.acknowledge = acknowledge
        self.exclude_me = exclude_me
        self.carried = carried


class KeyedPublish(Publish):
    """With what :class:`hopsack_router.routing.asked.Publish` has beside WAMP's; the broker says if that is no good."""

    __slots__ = ("delete", "key")


class Call(_Unread, message.Call):  # type: ignore[misc]
    __slots__ = ("carried", "procedure", "receive_progress", "request", "timeout")
    caller = caller_authid = caller_authrole = None
    terms: asked.Terms | BadRequest | None = None

    def __init__(
        self, request: int, procedure: str, timeout: int | None, receive_progress: bool | None, carried: Carried
    ) -> None:
        self.request = request
        self.procedure = procedure
        self.timeout = timeout
        self.receive_progress = receive_progress
        self.carried = carried


class TermedCall(Call):
    """With what :class:`hopsack_router.routing.asked.Call` has beside WAMP's."""

    __slots__ = ("terms",)


class Yield(_Unread, message.Yield):  # type: ignore[misc]
    __slots__ = ("carried", "progress", "request")
    callee = callee_authid = callee_authrole = None

    def __init__(self, request: int, progress: bool | None, carried: Carried) -> None:
        self.request = request
        self.progress = progress
        self.carried = carried


KINDS: dict[type, type] = {
    Publish: message.Publish,
    KeyedPublish: message.Publish,
    Call: message.Call,
    TermedCall: message.Call,
    Yield: message.Yield,
}
"""What they are for who wants to know Autobahn's class."""

# ---- reading --------------------------------------------------------------------------------------------------------

_ACKNOWLEDGE = frozenset(("acknowledge", "exclude_me"))
_KEYED = _ACKNOWLEDGE | {"x_hopsack_key", "x_hopsack_delete"}
_CALL_OPTIONS = frozenset(("timeout", "receive_progress"))
_CALL_TERMS = _CALL_OPTIONS | asked.TERMS
_YIELD_OPTIONS = frozenset(("progress",))
_BOOL = (bool, type(None))


def read(codec: Codec, data: bytes) -> message.Message | None:
    """One of the frequent messages in its plain form; ``None`` for anything else, which Autobahn then reads.

    Those that join a realm are among them: when a node comes back, they are all there is.

    :raises hopsack.wamp.codec.Malformed: the bytes are no message at all.
    """
    msg: Any = codec.decode(data)
    kind = type(msg)
    if kind is lean.Call:
        return _read_call(codec, msg)
    if kind is lean.Yield:
        return _read_yield(codec, msg)
    if kind is lean.Publish:
        return _read_publish(codec, msg)
    if kind is lean.More:
        return asked.More.parse([asked.More.MESSAGE_TYPE, msg.kind, msg.request, msg.items])
    if kind is lean.Hello:
        return None if rb"\u0000" in data else read_hello(msg.realm, msg.details)  # which JSON writes bytes with
    if kind is lean.Authenticate:
        return message.Authenticate(msg.signature, msg.extra)
    return None


def _read_call(codec: Codec, msg: Any) -> Call | None:
    options, timeout, progress = msg.options, None, None
    if options:
        if not options.keys() <= _CALL_TERMS:
            return None
        timeout, progress = options.get("timeout"), options.get("receive_progress")
        if type(progress) not in _BOOL or not (timeout is None or (type(timeout) is int and timeout >= 0)):
            return None
        if not options.keys() <= _CALL_OPTIONS:
            call = TermedCall(msg.request, msg.procedure, timeout, progress, Carried(codec, msg.args, msg.kwargs))
            call.terms = asked.terms_of(options)
            return call
    return Call(msg.request, msg.procedure, timeout, progress, Carried(codec, msg.args, msg.kwargs))


def _read_yield(codec: Codec, msg: Any) -> Yield | None:
    options, progress = msg.options, None
    if options:
        if not options.keys() <= _YIELD_OPTIONS:
            return None
        progress = options.get("progress")
        if type(progress) not in _BOOL:
            return None
    return Yield(msg.request, progress, Carried(codec, msg.args, msg.kwargs))


def _read_publish(codec: Codec, msg: Any) -> Publish | None:
    options, acknowledge, exclude_me = msg.options, None, None
    if options:
        if not options.keys() <= _KEYED:
            return None
        acknowledge, exclude_me = options.get("acknowledge"), options.get("exclude_me")
        if type(acknowledge) not in _BOOL or type(exclude_me) not in _BOOL:
            return None
        if not options.keys() <= _ACKNOWLEDGE:
            publish = KeyedPublish(
                msg.request, msg.topic, bool(acknowledge), exclude_me, Carried(codec, msg.args, msg.kwargs)
            )
            publish.key, publish.delete = options.get("x_hopsack_key"), options.get("x_hopsack_delete", False)
            return publish
    return Publish(msg.request, msg.topic, bool(acknowledge), exclude_me, Carried(codec, msg.args, msg.kwargs))


_FREQUENT = (lean.Publish, lean.Call, lean.Yield, lean.Hello, lean.Authenticate, lean.More)
_FREQUENT_NUMBERS = frozenset(kind.number() for kind in _FREQUENT)
_FREQUENT_JSON = frozenset((b'[%d,"' % number)[:4] for number in _FREQUENT_NUMBERS)
_NIL = 0xC0  # a HELLO may leave it open which realm; Autobahn reads those
_MORE = b"\xcd\x02\x01"  # its number, in msgpack


def is_frequent(codec: Codec, data: bytes) -> bool:
    """Whether :func:`read` may know this message: a look at its first bytes, which may err towards no."""
    if codec.is_binary:
        if len(data) < 3 or data[0] & 0xF0 != 0x90:
            return False
        return data[2] != _NIL if data[1] in _FREQUENT_NUMBERS else data[1:4] == _MORE
    return data[:4] in _FREQUENT_JSON
