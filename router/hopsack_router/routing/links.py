"""Links: what a session writes to, on every door.

A link is a Crossbar ``ITransport`` with a queue. Bounds and their policy, in one place:

- what is queued in one reactor turn leaves in one write;
- while the transport says that its own buffer is full (``pauseProducing``), frames wait here, at most ``budget``
  bytes of them (1 MiB for guests and users, 16 MiB for services and operators);
- a frame that would pass the budget closes the connection (:meth:`Link.overflow`). Nobody else notices;
- an event that is larger than the peer said it takes is not sent. A WAMP peer gets an EVENT without a payload in its
  place (:meth:`~hopsack_router.routing.fanout.Format.notice`); a call's caller gets ``hopsack.too_large``.

A door subclasses :class:`Link` and says how bytes reach its peer (``write``) and how WAMP messages other than EVENT
look in its encoding (``send``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from autobahn.wamp import message, role
from autobahn.wamp.types import SessionDetails, TransportDetails
from twisted.internet.defer import Deferred

from hopsack.errors import LoginRequired, RemoteError, Unavailable
from hopsack_router import metrics
from hopsack_router.routing.fanout import Format, Outlet, frames_of
from hopsack_router.routing.farewell import STOPPING, NotNow

if TYPE_CHECKING:
    from hopsack_router.routing.session import NodeSession
    from hopsack_router.routing.unread import Carried

MIB = 1 << 20
BUDGETS = {"service": 16 * MIB, "operator": 16 * MIB, "trusted": 16 * MIB}
"""Bytes that may wait unsent for one connection, by role; everybody else has :data:`DEFAULT_BUDGET`."""
DEFAULT_BUDGET = MIB

AUTHENTICATION = {
    "anonymous": {"type": "static", "role": "guest"},
    "ticket": {"type": "function", "create": "hopsack_router.access.tickets.create", "config": {}},
}
"""How sessions authenticate, the same on every door; Crossbar's own configuration format."""

CLIENT_ROLES = {
    "publisher": role.RolePublisherFeatures(publisher_identification=True),
    "subscriber": role.RoleSubscriberFeatures(publisher_identification=True, pattern_based_subscription=True),
    "caller": role.RoleCallerFeatures(call_canceling=True, progressive_call_results=True),
    "callee": role.RoleCalleeFeatures(call_canceling=True, caller_identification=True, shared_registration=True),
}
"""What the doors that are not WAMP announce in their sessions' HELLO."""


class Link:
    """Base of all links. Subclasses set ``format``, ``peer`` and ``outlet`` before the session is opened.

    Not an ``ABC``: the broker asks for each reader whether it has a link, and an ABC takes seven times as long to say.
    """

    door: ClassVar[str]
    format: Format
    outlet: Outlet
    peer: str | None = None
    agent: str | None = None
    budget: int = DEFAULT_BUDGET
    oversized: int = 0
    """Events so far that were larger than the peer takes."""

    _held: int = 0
    _paused: bool = False

    # ---- what a door says ---------------------------------------------------------------------------------------

    def send(self, msg: message.Message) -> None:
        """Encode any WAMP message but EVENT and :meth:`queue` it (``ITransport.send``)."""
        raise NotImplementedError

    def carry(self, number: int, head: tuple[Any, ...], carried: Carried) -> None:
        """Send an INVOCATION or a RESULT whose payload nobody may have read; doors that must read it get it read.

        :param number: the message's type.
        :param head: its fields before the payload.
        """
        args, kwargs = carried.values()
        *ids, details = head
        kind = message.Invocation if number == message.Invocation.MESSAGE_TYPE else message.Result
        self.send(kind(*ids, args=args, kwargs=kwargs, **details))

    def write(self, data: bytes) -> None:
        """Hand the bytes of one reactor turn to the transport."""
        raise NotImplementedError

    def overflow(self) -> None:
        """The peer reads too slowly: close the connection with a code that says so."""
        raise NotImplementedError

    # ---- the queue ----------------------------------------------------------------------------------------------

    def queue(self, frame: bytes) -> None:
        """Let a frame leave at the end of this turn. Events to straight connections come by ``Outbox.share``."""
        outlet = self.outlet
        waiting = outlet.waiting
        outlet.waiting = frame if waiting is None else (waiting, frame)
        if self._paused:
            self._held += len(frame)
            if self._held > self.budget and waiting is not None:
                metrics.overflows.labels(self.door).inc()
                self._drop()
                self.overflow()
        elif waiting is None:
            outlet.outbox.mark(outlet)

    def flush(self) -> None:
        """Write what is queued, unless the transport's buffer is full."""
        frames = self.withdraw()
        if frames:
            self.write(self.joined_frames(frames))

    def joined_frames(self, frames: list[bytes]) -> bytes:
        """The bytes of frames that leave now, in this order; doors that say something about each do it here."""
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def withdraw(self) -> list[bytes]:
        """Take what may be written now out of the queue."""
        outlet = self.outlet
        if outlet.waiting is None or self._paused:
            return []
        frames = frames_of(outlet.waiting)
        outlet.waiting = None
        return frames

    def bend(self) -> None:
        """Send nothing past the door's ``write``: the transport holds something, or the connection is closing."""
        self.outlet.socket = None

    @property
    def unsent(self) -> int:
        """Bytes that wait here because the transport's buffer is full."""
        return self._held

    def _drop(self) -> None:
        self.outlet.waiting, self._held = None, 0

    # ---- IPushProducer: the transport's buffer calls these --------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True
        self.outlet.socket = None
        self._held = sum(map(len, frames_of(self.outlet.waiting)))

    def resumeProducing(self) -> None:
        self._paused = False
        self._held = 0
        self.flush()

    def stopProducing(self) -> None:
        self._paused = True
        self.outlet.socket = None
        self._drop()


class DoorLink(Link):
    """A link of a door that does not speak WAMP: it joins a session on behalf of its client.

    ``join`` plays the client's side of the WAMP handshake against the session, so that there is one way in; after it
    the door passes requests with ``session.onMessage(msg)`` and ends with ``session.onClose(clean)``.
    """

    session: NodeSession

    # Crossbar's session looks these up on its transport during HELLO.
    _authid = _authrole = _authmethod = _authprovider = _authrealm = _authextra = None
    _cbtid = None

    _joining: Deferred[SessionDetails] | None = None
    _ticket: str | None = None

    @property
    def transport_details(self) -> TransportDetails:
        return TransportDetails(
            channel_type=TransportDetails.CHANNEL_TYPE_TCP,
            channel_framing=TransportDetails.CHANNEL_FRAMING_NATIVE,
            channel_serializer=TransportDetails.CHANNEL_SERIALIZER_JSON,
            peer=self.peer,
            is_server=True,
        )

    def join(self, session: NodeSession, realm: str, token: str | None = None) -> Deferred[SessionDetails]:
        """Open ``session`` over this link and join ``realm``, with a token or as a guest.

        :returns: fires with the session's details; fails with :exc:`hopsack.errors.LoginRequired`, or
            :exc:`hopsack.errors.Unavailable` when the node is stopping.
        """
        self.session, self._ticket = session, token
        joining: Deferred[SessionDetails] = Deferred()
        self._joining = joining
        session.onOpen(self)
        method = "anonymous" if token is None else "ticket"
        hello = message.Hello(realm, CLIENT_ROLES, authmethods=[method], authextra={"agent": self.agent})
        session.onMessage(hello)
        return joining

    def handshake(self, msg: message.Message) -> bool:
        """Consume a message of the joining phase; doors call this first in ``send``."""
        if self._joining is None:
            return False
        match msg:
            case message.Challenge():
                ticket, self._ticket = self._ticket, None
                self.session.onMessage(message.Authenticate(ticket or "", {}))
            case message.Welcome():
                pass  # the session calls joined() once its details are complete
            case message.Abort():
                joining, self._joining = self._joining, None
                joining.errback(_refusal(msg))
            case _:
                return False
        return True

    def joined(self, details: SessionDetails) -> None:
        """Called by the session when it is in the realm."""
        if self._joining is not None:
            joining, self._joining = self._joining, None
            joining.callback(details)


def _refusal(abort: message.Abort) -> RemoteError:
    if isinstance(abort, NotNow):
        return Unavailable(STOPPING, data={"retry_after": abort.retry_after})
    return LoginRequired(abort.message or "", advice="get a new token, or send none")


def now() -> float:
    """Seconds since the epoch, for ``since``; a place to turn in tests."""
    return time.time()
