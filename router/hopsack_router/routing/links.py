"""Links: what a session writes to, on every door.

A link is a Crossbar ``ITransport`` with a queue. Bounds and their policy, in one place:

- what is queued in one reactor turn leaves in one write, or in one after each 32 messages of a long RawSocket read;
- while the transport says that its own buffer is full (``pauseProducing``), frames wait, at most ``budget`` bytes of
  them: where nothing else is configured, 1 MiB, and 16 MiB for services and operators. Beyond that each kind of event
  has its policy (:mod:`~hopsack_router.routing.backlog`): a stream is read from the journal, of ``latest`` topics the
  newest values stay, of all others the newest events, and the reader is told how many are gone. Nobody else notices;
- half of the budget is for values that wait for their pace, of all subscriptions together: beyond it they come sooner
  than was asked for. When newest values on their way take half of it, the session's next SUBSCRIBE waits, and with it
  what the session sends behind it. So one subscription's newest values may be more than the budget, and no two;
- who does not even read the answers to its own requests within the budget, or takes nothing at all for
  :data:`~hopsack_router.routing.backlog.PATIENCE` seconds, is cut off (:meth:`Link.overflow`);
- an event that is larger than the peer said it takes is not sent. A WAMP peer gets an EVENT without a payload in its
  place (:meth:`~hopsack_router.routing.fanout.Format.notice`); a call's caller gets ``hopsack.too_large``.

A door subclasses :class:`Link` and says how bytes reach its peer (``write``) and how WAMP messages other than EVENT
look in its encoding (``send``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from autobahn.wamp import message, role
from autobahn.wamp.types import SessionDetails, TransportDetails
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from hopsack.errors import LoginRequired, RemoteError, Unavailable
from hopsack_router import metrics
from hopsack_router.routing.asked import Invocation
from hopsack_router.routing.backlog import Channel, Framed, Why
from hopsack_router.routing.drafts import recalled
from hopsack_router.routing.fanout import Delivery, Format, Outlet, frame_of, frames_of
from hopsack_router.routing.farewell import STOPPING, NotNow
from hopsack_router.routing.flows import Room
from hopsack_router.routing.followers import Follower
from hopsack_router.routing.joining import FLOW, TurnedAway
from hopsack_router.routing.lagging import Covering, Lagging
from hopsack_router.streams import Stored

if TYPE_CHECKING:
    from hopsack_router.routing.keeping import Keeping
    from hopsack_router.routing.session import NodeSession
    from hopsack_router.routing.unread import Carried

LOG = Logger()

MIB = 1 << 20
BUDGETS = {"service": 16 * MIB, "operator": 16 * MIB}
"""Bytes that may wait unsent for one connection, by role; everybody else has :data:`DEFAULT_BUDGET`. A node has those
of its settings (``HOPSACK_UNSENT``)."""
DEFAULT_BUDGET = MIB
RETURN_AFTER = 5.0
"""Seconds after which a reader that was cut off may come back."""

AUTHENTICATION = {
    "anonymous": {"type": "static", "role": "guest"},
    "ticket": {"type": "function", "create": "hopsack_router.access.tickets.create", "config": {}},
    "cryptosign": {"type": "function", "create": "hopsack_router.access.cryptosign.create", "config": {}},
}
"""How sessions authenticate, the same on every door; Crossbar's own configuration format."""

CLIENT_ROLES = {
    "publisher": role.RolePublisherFeatures(publisher_identification=True),
    "subscriber": role.RoleSubscriberFeatures(publisher_identification=True, pattern_based_subscription=True),
    "caller": role.RoleCallerFeatures(call_canceling=True, progressive_call_results=True),
    "callee": role.RoleCalleeFeatures(
        call_canceling=True, caller_identification=True, shared_registration=True, progressive_call_results=True
    ),
}
"""What the doors that are not WAMP announce in their sessions' HELLO."""
for _name in ("caller", "callee"):
    for _feature in FLOW:
        setattr(CLIENT_ROLES[_name], _feature, True)


class Link:
    """Base of all links. Subclasses set ``format``, ``peer`` and ``outlet`` before the session is opened.

    Not an ``ABC``: the broker asks for each reader whether it has a link, and an ABC takes seven times as long to say.
    """

    door: ClassVar[str]
    format: Format
    outlet: Outlet
    peer: str | None = None
    agent: str | None = None
    purse: dict[str, Any] | None = None
    """What sessions that follow each other over one connection have spent of its limits."""
    credential: str | None = None
    """The token that came before HELLO, if one did: its bearer joins without a challenge."""
    budget: int = DEFAULT_BUDGET
    oversized: int = 0
    """Events so far that were larger than the peer takes."""
    keeping: Keeping | None = None
    """Where missed events are read; the session that joins says it."""
    room: Room | None = None
    """What its peer may have under way of progressive results and inputs; ``None``: it has had none."""
    relieved: Callable[[], object] | None = None
    """Called when the transport takes bytes again and nothing is held back."""

    _paused: bool = False
    _is_gone: bool = False
    _lagging: Lagging | None = None

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
        kind = Invocation if number == message.Invocation.MESSAGE_TYPE else message.Result
        self.send(kind(*ids, args=args, kwargs=kwargs, **details))

    def write(self, data: bytes) -> None:
        """Hand the bytes of one reactor turn to the transport."""
        raise NotImplementedError

    def overflow(self, why: Why, retry_after: float) -> None:
        """The peer reads too slowly: close the connection with a code that says so.

        :param retry_after: seconds after which it may come back.
        """
        raise NotImplementedError

    def dismiss(self, error: RemoteError) -> None:
        """Close the connection at once, and say why."""
        self.flush()
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def takes(self, size: int) -> None:
        """Take messages of at most so many bytes from now on; a door may have a lower bound."""

    def unwritten(self) -> int | None:
        """Bytes that the peer has not taken out of what was written; ``None``: nobody can know."""
        return None

    # ---- the queue ----------------------------------------------------------------------------------------------

    def queue(self, frame: bytes) -> None:
        """Let a frame that must arrive leave at the end of this turn. Events come by :meth:`take`."""
        if self._paused or self._is_gone:
            if not self._is_gone:
                self._lag().answer(frame)
            return
        outlet = self.outlet
        waiting = outlet.waiting
        if waiting is None:
            outlet.waiting = frame
            outlet.outbox.mark(outlet)
        else:
            outlet.waiting = (waiting, frame)

    def take(self, event: Framed, delivery: Delivery) -> bool:
        """An event, where the connection is not straight; those that are get theirs by ``Outbox.share``.

        :param event: shared with the other readers, whose numbers make this a hot path.
        :returns: whether this frame waits now to be sent: it may come later from the journal, or give way.
        """
        if self._is_gone:
            return False
        if self._lagging is not None:
            return self._lagging.event(event, delivery)
        if self._paused:
            return self._lag().event(event, delivery)
        if len(event.frame) > self.outlet.most:
            self.tell_of_dropped(delivery, len(event.frame))
            return False
        self.queue(event.frame)
        return True

    def read(self, event: Stored, channel: Channel, newest: bool) -> tuple[bytes, Delivery]:
        """The frame of an event that was read from the journal, made once for all who read it there.

        Where a frame names its subscription it is not kept: numbers of subscriptions come and go without a bound.
        """
        contract = None if self.keeping is None else self.keeping.contract(event.topic)
        delivery = recalled(event, channel, newest, contract is not None and contract.encrypted is not None)
        if self.format.per_subscription:
            return frame_of(self.format, delivery), delivery
        key = (self.format, newest)
        frame = event.frames.get(key)
        if frame is None:
            frame = frame_of(self.format, delivery)
            self.outlet.outbox.made.keep(event, key, frame)
        return frame, delivery

    def tell_of_dropped(self, delivery: Delivery, size: int) -> None:
        """The peer does not take messages as large as this event: tell it that there was one."""
        metrics.oversized.labels(self.door).inc()
        self.oversized += 1
        if self.oversized == 1:  # the first one is enough to know
            LOG.warn(
                "events of {topic} with {size} bytes are too large for {peer}, which is told so instead",
                topic=delivery.topic,
                size=size,
                peer=self.peer,
            )
        notice = self.format.notice(delivery, "too_large", size)
        if notice and len(notice) <= self.outlet.most:
            self.queue(notice)

    def flush(self) -> None:
        """Write what is queued, unless the transport's buffer is full; then what waited, and what is to be read."""
        frames = self.withdraw()
        if frames:
            self.put(frames)
        lagging = self._lagging
        if lagging is not None and not self._paused:
            lagging.go_on()
            if lagging.is_idle and not self._paused:
                self._lagging = None

    def put(self, frames: list[bytes]) -> None:
        """Write frames now."""
        self.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self._lagging is not None and self._lagging.bends:
            self.outlet.socket = None

    def withdraw(self) -> list[bytes]:
        """Take what may be written now out of the queue."""
        outlet = self.outlet
        if outlet.waiting is None or self._paused:
            return []
        frames = frames_of(outlet.waiting)
        outlet.waiting = None
        return frames

    def write_now(self) -> None:
        """Write what is queued before the turn ends, so that the transport can say that it is full: a client may ask
        for much with a few bytes, and many times in one turn."""
        frames = self.withdraw()
        if frames and not self._is_gone:
            self.put(frames)

    def wake(self) -> None:
        """Flush at the end of this turn, whether or not anything waits."""
        if self._lagging is not None and self._lagging.bends:
            self.outlet.socket = None
        if not self._paused:
            self.outlet.outbox.mark(self.outlet)

    def bend(self) -> None:
        """Send nothing past the door's ``write``: the transport holds something, or the connection is closing."""
        self.outlet.socket = None

    @property
    def is_gone(self) -> bool:
        """Whether nothing that is queued here reaches the peer any more."""
        return self._is_gone

    # ---- what is behind -------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether the transport's buffer is full."""
        return self._paused

    @property
    def lagging(self) -> Lagging | None:
        """``None``: nothing is behind, and nothing is held back."""
        return self._lagging

    def _lag(self) -> Lagging:
        if self._lagging is None:
            self._lagging = Lagging(self)
        return self._lagging

    def begin(self, channels: Sequence[Channel], follower: Follower) -> None:
        """Give what a subscription begins with, then go live."""
        if not self._is_gone:
            self._lag().begin(channels, follower)

    def set_pace(self, subscription: int, rate: float | None, covering: Covering) -> None:
        """Give the events of a subscription no faster than this."""
        if not self._is_gone and (rate is not None or self._lagging is not None):
            self._lag().set_pace(subscription, rate, covering)
            self.wake()

    @property
    def is_showing_much(self) -> bool:
        """Whether newest values that are on their way take their share of the budget."""
        return self._lagging is not None and self._lagging.is_showing_much

    def put_off(self, step: Callable[[], object], until: Callable[[], bool]) -> None:
        """Take a step of the session's when something is so that has to do with what is behind."""
        if not self._is_gone:
            self._lag().put_off(step, until)

    @property
    def unsent(self) -> int:
        """Bytes that are held here: for the transport's buffer is full, or they wait for their pace or their page."""
        waiting = sum(map(len, frames_of(self.outlet.waiting))) if self.outlet.waiting is not None else 0
        lagging = self._lagging
        return waiting + (lagging.backlog.bytes + lagging.held_elsewhere if lagging is not None else 0)

    def stalled(self, now: float) -> bool:
        """The transport has been full for long: has the peer taken anything? (``Stalls`` asks.)"""
        if self._is_gone or not self._paused or self._lagging is None:
            return False
        return self._lagging.waits_on(self.unwritten(), now)

    def cut_off(self, why: Why) -> None:
        """The reader cannot be helped: it has to come back."""
        LOG.info("closing {peer}: {why}", peer=self.peer, why=why.value)
        metrics.overflows.labels(self.door, why.name.lower()).inc()
        self._is_gone = True
        self._drop()
        self.overflow(why, RETURN_AFTER)

    def _drop(self) -> None:
        self.outlet.waiting = None
        if self._lagging is not None:
            self._lagging.close()
            self._lagging = None

    # ---- IPushProducer: the transport's buffer calls these --------------------------------------------------------

    def pauseProducing(self) -> None:
        self._paused = True
        self.outlet.socket = None
        if not self._is_gone:
            self._lag().pause(self.unwritten())
            self.outlet.outbox.stalls.begin(self)

    def resumeProducing(self) -> None:
        self._paused = False
        self.outlet.outbox.stalls.end(self)
        self.flush()
        if self.relieved is not None and not self._paused and not self._is_gone:
            self.relieved()

    def stopProducing(self) -> None:
        self._paused = self._is_gone = True
        self.outlet.socket = None
        self.outlet.outbox.stalls.end(self)
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

        :param token: a :class:`~hopsack_router.access.logins.Cookie`, if it came as one.
        :returns: fires with the session's details; fails with :exc:`hopsack.errors.LoginRequired` or another refusal,
            with :exc:`hopsack.errors.Unavailable` when the node is stopping.
        """
        self.session, self.credential = session, token
        joining: Deferred[SessionDetails] = Deferred()
        self._joining = joining
        session.onOpen(self)
        hello = message.Hello(realm, CLIENT_ROLES, authmethods=["anonymous"], authextra={"agent": self.agent})
        session.onMessage(hello)
        self.credential = None
        return joining

    def handshake(self, msg: message.Message) -> bool:
        """Consume a message of the joining phase; doors call this first in ``send``."""
        if self._joining is None:
            return False
        match msg:
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
    if isinstance(abort, TurnedAway):
        return abort.error
    return LoginRequired(abort.message or "", advice="get a new token, or send none")


def now() -> float:
    """Seconds since the epoch, for ``since``; a place to turn in tests."""
    return time.time()
