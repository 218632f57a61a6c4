"""The WAMP messages, as frozen values (WAMP specification, basic profile, section "Messages").

Every message is an array whose first element is its number; the classes below name the rest in order. Only the
envelope is decoded. ``args`` and ``kwargs`` stay :class:`msgspec.Raw`, the bytes they came as, until somebody needs
them: a router passes them on untouched, a client decodes each payload once, into the type its reader asked for.

``args`` and ``kwargs`` are always the last two fields, and :data:`ABSENT` where the message ended before them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from msgspec import Raw

__all__ = [
    "ABSENT",
    "Abort",
    "Authenticate",
    "Call",
    "Cancel",
    "Carrier",
    "Challenge",
    "Error",
    "Event",
    "Goodbye",
    "Hello",
    "Interrupt",
    "Invocation",
    "Message",
    "More",
    "Publish",
    "Published",
    "Register",
    "Registered",
    "Result",
    "Subscribe",
    "Subscribed",
    "Unregister",
    "Unregistered",
    "Unsubscribe",
    "Unsubscribed",
    "Welcome",
    "Yield",
]

ABSENT = Raw(b"")
"""No arguments: the message was cut short before them, as the specification allows."""

Details = dict[str, Any]


class _Message(msgspec.Struct, frozen=True, array_like=True):
    carries_payload: ClassVar[bool] = False

    @classmethod
    def number(cls) -> int:
        tag = cls.__struct_config__.tag
        assert isinstance(tag, int)
        return tag


class Hello(_Message, frozen=True, array_like=True, tag=1):
    realm: str
    details: Details


class Welcome(_Message, frozen=True, array_like=True, tag=2):
    session: int
    details: Details


class Abort(_Message, frozen=True, array_like=True, tag=3):
    """A refused session. ``args`` and ``kwargs`` are later additions of the specification."""

    carries_payload: ClassVar[bool] = True

    details: Details
    reason: str
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Challenge(_Message, frozen=True, array_like=True, tag=4):
    method: str
    extra: Details


class Authenticate(_Message, frozen=True, array_like=True, tag=5):
    signature: str
    extra: Details


class Goodbye(_Message, frozen=True, array_like=True, tag=6):
    details: Details
    reason: str


class Error(_Message, frozen=True, array_like=True, tag=8):
    """The answer to a request of the kind ``request_type`` that failed."""

    carries_payload: ClassVar[bool] = True

    request_type: int
    request: int
    details: Details
    error: str
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Publish(_Message, frozen=True, array_like=True, tag=16):
    carries_payload: ClassVar[bool] = True

    request: int
    options: Details
    topic: str
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Published(_Message, frozen=True, array_like=True, tag=17):
    request: int
    publication: int


class Subscribe(_Message, frozen=True, array_like=True, tag=32):
    request: int
    options: Details
    topic: str


class Subscribed(_Message, frozen=True, array_like=True, tag=33):
    request: int
    subscription: int


class Unsubscribe(_Message, frozen=True, array_like=True, tag=34):
    request: int
    subscription: int


class Unsubscribed(_Message, frozen=True, array_like=True, tag=35):
    """``request`` is 0 when the router took the subscription away; then ``details`` names it."""

    request: int
    details: Details = {}


class Event(_Message, frozen=True, array_like=True, tag=36):
    carries_payload: ClassVar[bool] = True

    subscription: int
    publication: int
    details: Details
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Call(_Message, frozen=True, array_like=True, tag=48):
    carries_payload: ClassVar[bool] = True

    request: int
    options: Details
    procedure: str
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Cancel(_Message, frozen=True, array_like=True, tag=49):
    request: int
    options: Details


class Result(_Message, frozen=True, array_like=True, tag=50):
    carries_payload: ClassVar[bool] = True

    request: int
    details: Details
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Register(_Message, frozen=True, array_like=True, tag=64):
    request: int
    options: Details
    procedure: str


class Registered(_Message, frozen=True, array_like=True, tag=65):
    request: int
    registration: int


class Unregister(_Message, frozen=True, array_like=True, tag=66):
    request: int
    registration: int


class Unregistered(_Message, frozen=True, array_like=True, tag=67):
    """``request`` is 0 when the router took the registration away; then ``details`` names it."""

    request: int
    details: Details = {}


class Invocation(_Message, frozen=True, array_like=True, tag=68):
    carries_payload: ClassVar[bool] = True

    request: int
    registration: int
    details: Details
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class Interrupt(_Message, frozen=True, array_like=True, tag=69):
    request: int
    options: Details


class Yield(_Message, frozen=True, array_like=True, tag=70):
    carries_payload: ClassVar[bool] = True

    request: int
    options: Details
    args: Raw = ABSENT
    kwargs: Raw = ABSENT


class More(_Message, frozen=True, array_like=True, tag=513):
    """Ours: the consumer of progressive results, or of progressive inputs, takes ``items`` more.

    WAMP leaves the numbers from 256 to 1023 to implementations. Sent only to peers that announce ``x_hopsack_flow``.

    :ivar kind: of the request that it is about, CALL or INVOCATION.
    """

    kind: int
    request: int
    items: int


Message = (
    Hello
    | Welcome
    | Abort
    | Challenge
    | Authenticate
    | Goodbye
    | Error
    | Publish
    | Published
    | Subscribe
    | Subscribed
    | Unsubscribe
    | Unsubscribed
    | Event
    | Call
    | Cancel
    | Result
    | Register
    | Registered
    | Unregister
    | Unregistered
    | Invocation
    | Interrupt
    | Yield
    | More
)
"""Any message. EVENT_RECEIVED and the extension points of the specification are not among them: nobody sends them."""

Carrier = Abort | Error | Publish | Event | Call | Result | Invocation | Yield
"""Those that may end with ``args`` and ``kwargs``."""
