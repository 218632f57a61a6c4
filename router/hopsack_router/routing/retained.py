"""The events a realm keeps for late subscribers (WAMP advanced profile, "Event Retention").

    PUBLISH retain=true                 -> kept as the topic's newest
    SUBSCRIBE get_retained=true, exact  -> the topic's newest event that may be shown to this session
              prefix, wildcard          -> the same for every matching topic, the longest kept first

An event that was addressed (``eligible``, ``exclude`` and their ``_authid`` and ``_authrole`` forms) is shown to those
alone whom its lists let through; who may not see the newest sees the newest one that it may. An event for everybody
replaces all that its topic had before. The WAMP specification leaves pattern subscriptions open: here they are
treated as what they are, subscriptions to every topic that matches.

A core without I/O. Bounds: per topic :data:`MAX_ADDRESSED` addressed events, the oldest goes; in all :data:`MAX_BYTES`
of memory, as :func:`weight_of` counts it, the topic goes that was the longest without a new event. So a pattern
subscriber never gets more than that.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message

MAX_ADDRESSED = 100
MAX_BYTES = 16 << 20
OVERHEAD = 1024
"""Bytes that an event counts for beside what it brought: the objects around it. So there are never more than 16,384."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One retained event.

    :ivar publish: its topic and its lists; the payload stands in ``content``.
    :ivar size: bytes that it counts for, see :func:`weight_of`.
    :ivar content: what the broker delivers, whatever that is.
    """

    publish: message.Publish
    size: int
    content: Any


def weight_of(publish: message.Publish, payload: int) -> int:
    """Bytes that a retained event counts for: all that its publisher can make large.

    :param payload: bytes of its payload.
    """
    brought = (publish.topic, *(getattr(publish, name) for name in _OPEN_ENDED), *_lists(publish))
    return OVERHEAD + payload + sum(map(bytes_of, brought))


_OPEN_ENDED = ("enc_algo", "enc_key", "enc_serializer", "forward_for", "transaction_hash")


def without_payload(publish: message.Publish) -> message.Publish:
    """What :class:`Kept` keeps of a PUBLISH: decoded, a payload may take sixty times the bytes that it came in."""
    eligible, eligible_authid, eligible_authrole, exclude, exclude_authid, exclude_authrole = _lists(publish)
    return message.Publish(
        publish.request,
        publish.topic,
        eligible=eligible,
        eligible_authid=eligible_authid,
        eligible_authrole=eligible_authrole,
        exclude=exclude,
        exclude_authid=exclude_authid,
        exclude_authrole=exclude_authrole,
    )


def bytes_of(value: Any) -> int:
    """Bytes of memory that a decoded value takes."""
    parts = value if isinstance(value, list) else (*value, *value.values()) if isinstance(value, dict) else ()
    return 0 if value is None else sys.getsizeof(value) + sum(map(bytes_of, parts))


def _lists(publish: message.Publish) -> tuple[list[Any] | None, ...]:
    return (
        *(publish.eligible, publish.eligible_authid, publish.eligible_authrole),
        *(publish.exclude, publish.exclude_authid, publish.exclude_authrole),
    )


class Retained:
    """The retained events of one realm."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._topics: dict[str, list[Kept]] = {}  # the order of the keys is the order of their newest events
        self._max_bytes = max_bytes
        self._bytes = 0

    def keep(self, event: Kept) -> None:
        topic = event.publish.topic
        earlier = self._topics.pop(topic, [])
        stays = earlier[1 - MAX_ADDRESSED :] if is_addressed(event.publish) else []
        self._topics[topic] = [*stays, event]
        self._bytes += event.size + sum(one.size for one in stays) - sum(one.size for one in earlier)
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._topics))
            self._bytes -= sum(one.size for one in self._topics.pop(oldest))

    def shown_to(self, session: Any, uri: str, match: str) -> Iterator[Kept]:
        """What a subscription shows to a session that asks for retained events.

        :param session: is read for ``_session_id``, ``_authid`` and ``_authrole``.
        """
        for topic in self._matching(uri, match):
            newest_first = reversed(self._topics[topic])
            shown = next((event for event in newest_first if may_see(session, event.publish)), None)
            if shown is not None:
                yield shown

    def _matching(self, uri: str, match: str) -> list[str]:
        if match == "exact":
            return [uri] if uri in self._topics else []
        matches = matcher(uri, match)
        # The router's own topics are reached by who names them, as with live events.
        own = uri.startswith("wamp.")
        return [topic for topic in self._topics if matches(topic) and (own or not topic.startswith("wamp."))]


def matcher(uri: str, match: str) -> Callable[[str], object]:
    """Whether a topic matches a pattern (WAMP advanced profile, "Pattern-based Subscription")."""
    if match == "prefix":
        return lambda topic: topic.startswith(uri)
    parts = (re.escape(part) or r"[^.]+" for part in uri.split("."))
    return re.compile(r"\.".join(parts)).fullmatch


def is_addressed(publish: message.Publish) -> bool:
    """Whether an event is for some sessions only. An empty ``eligible`` list is for nobody, not for everybody."""
    return (
        publish.eligible is not None
        or publish.eligible_authid is not None
        or publish.eligible_authrole is not None
        or bool(publish.exclude or publish.exclude_authid or publish.exclude_authrole)
    )


def is_for_nobody(publish: message.Publish) -> bool:
    return [] in (publish.eligible, publish.eligible_authid, publish.eligible_authrole)


def may_see(session: Any, publish: message.Publish) -> bool:
    """Whether the lists of an event let a session through."""
    facts = (
        (session._session_id, publish.eligible, publish.exclude),
        (session._authid, publish.eligible_authid, publish.exclude_authid),
        (session._authrole, publish.eligible_authrole, publish.exclude_authrole),
    )
    return all((eligible is None or who in eligible) and who not in (exclude or ()) for who, eligible, exclude in facts)
