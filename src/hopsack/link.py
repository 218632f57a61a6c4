"""The one asyncio shell: a socket on one side, a session without I/O on the other (docs/decisions/0002).

    socket -> data_received -> wire.receive -> session.take -> obey(effect)       what the connection must do
    connection -> take(input) -> session.take -> Send -> wire.frame -> queue -> one write per turn of the loop

Bounds, and their policy:

- what is queued in one turn of the loop leaves in one write;
- while the transport says that its own buffer is full, frames wait here. :meth:`Link.check_room` refuses a new
  request with :exc:`~hopsack.errors.Overloaded` once more than ``buffer`` bytes wait. What is already under way
  (answers, cancellations, goodbyes) is always queued: nothing is dropped, and the bound is passed by what they need;
- a peer that is silent for ``ping_interval`` seconds is asked for a sign of life, and given up ``ping_timeout`` later;
- what is queued when the link is closed has ``close_timeout`` seconds to leave: a peer may read no more.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from hopsack import session as on
from hopsack.address import Address
from hopsack.errors import Disconnected, HopsackError, Overloaded, RemoteError
from hopsack.options import Options
from hopsack.outages import NOT_TLS, TLS_ALERT, in_words, other_scheme
from hopsack.settings import ConfigError
from hopsack.wire import Ended, Wire, Write, wire_for

__all__ = ["Carrier", "Link", "Obey", "dial", "trusting"]

HIGH_WATER = 1 << 20
"""Bytes that the transport holds before frames wait here instead."""

Obey = Callable[[on.Effect], None]


class Carrier(ABC):
    """A session and the way its messages travel: a socket's :class:`Link`, or a node in the same process.

    :param obey: told every effect but Send and Close, until :meth:`obeyed_by` names somebody else.
    :param lost: told once, with the reason, when nothing can be sent any more: it is being closed, from either end. By
        then the session knows, too, and requests in flight have their outcome.
    :ivar retry_after: seconds that the node asked to stay away, if it did.
    :ivar is_going: the node stops, and has answered all that it has begun.
    :ivar refusal: what the transport itself was refused with, if trying again cannot help.
    """

    def __init__(self, session: on.Session, obey: Obey, lost: Callable[[str], None]) -> None:
        self._session = session
        self._obey = obey
        self._lost = lost
        self.retry_after: float | None = None
        self.is_going = False
        self.refusal: RemoteError | None = None

    def take(self, event: on.Input) -> None:
        """Give the session an input and do what it says.

        :raises HopsackError: the session cannot take it, or cannot write it.
        """
        for effect in self._session.take(event):
            if type(effect) is on.Send:
                self._send(effect.data)
            elif type(effect) is on.Close:
                self.retry_after = effect.retry_after
                self.close(effect.reason)
            else:
                self._obey(effect)

    def obeyed_by(self, obey: Obey) -> None:
        """The session has joined: from now on its effects are for the connection, without a hop between."""
        self._obey = obey

    @abstractmethod
    def check_room(self, what: str) -> None:
        """:raises Overloaded: too much waits unsent for another request."""

    @abstractmethod
    def _send(self, message: bytes) -> None: ...

    @abstractmethod
    def close(self, reason: str) -> None:
        """Close from this end, after what is queued. Closing twice is closing once."""

    @abstractmethod
    def abort(self, reason: str) -> None:
        """Close at once; what is queued is lost."""

    @abstractmethod
    async def gone(self) -> None:
        """Wait until what was queued has left, or was given up."""


class Link(Carrier, asyncio.Protocol):
    """A connection over a socket.

    :param hint: what to try, for whoever reads why the peer closed it before the two understood each other.
    """

    def __init__(
        self,
        wire: Wire,
        session: on.Session,
        obey: Obey,
        lost: Callable[[str], None],
        options: Options,
        hint: str = "",
    ) -> None:
        super().__init__(session, obey, lost)
        self._hint = hint
        self._wire = wire
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._waiting = 0
        self._is_paused = False
        self._is_flush_due = False
        self._reason: str | None = None
        self._heard = self._loop.time()
        self._asked: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()

    # ---- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._watch = self._loop.call_later(self._options.ping_interval, self._look)
        self._write(self._wire.open())

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        for signal in self._wire.receive(data):
            if self._reason is not None:
                return
            if type(signal) is on.Received:
                self.take(signal)
            elif type(signal) is on.Opened:
                self._hint = ""
                self.take(signal)
            elif type(signal) is Write:
                self._write(signal.data)
            elif type(signal) is Ended:
                self.refusal, self.retry_after, self.is_going = signal.refusal, signal.retry_after, signal.is_going
                self.close(self._hinted(signal.reason) if data.startswith(TLS_ALERT) else signal.reason)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._transport = None
        self._queue, self._waiting = [], 0
        reason = "the node closed the connection"
        if exc is not None:
            reason = in_words(exc) if isinstance(exc, OSError) else str(exc)
        self._end(self._hinted(reason))
        self._gone.set_result(None)

    def _hinted(self, reason: str) -> str:
        return f"{reason}; {self._hint}" if self._hint else reason

    async def gone(self) -> None:
        await asyncio.wait((self._gone,))

    # ---- out ---------------------------------------------------------------------------------------------------------

    def check_room(self, what: str) -> None:
        if self._waiting > self._options.buffer:
            raise Overloaded(
                f"{self._waiting} bytes wait to be sent to a node that reads too slowly; the limit is"
                f" {self._options.buffer}",
                where=what,
                advice="send less, or wait",
            )

    def _send(self, message: bytes) -> None:
        if self._reason is None:
            self._write(self._wire.frame(message))

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._queue.append(data)
        self._waiting += len(data)
        if not self._is_flush_due and not self._is_paused:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._transport is None or self._is_paused or not self._queue:
            return
        data = self._queue[0] if len(self._queue) == 1 else b"".join(self._queue)
        self._queue, self._waiting = [], 0
        self._transport.write(data)

    def close(self, reason: str) -> None:
        if self._reason is not None:
            return
        if self._transport is not None:
            self._queue.append(self._wire.close(reason))
            self._is_paused = False
            self._flush()
            self._transport.close()
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self._loop.call_later(self._options.close_timeout, self.abort, reason)
        self._end(reason)

    def abort(self, reason: str) -> None:
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self.take(on.Lost(reason, self.retry_after if self.is_going else None))
            self._lost(reason)

    # ---- liveness ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Runs when the peer was last known to be alive ``interval`` ago, and ``timeout`` after it was asked."""
        now = self._loop.time()
        if self._asked is not None and self._heard < self._asked:
            self.abort(f"the node was silent for {now - self._heard:.1f} s and did not answer a ping")
            return
        self._asked = None
        wait = self._heard + self._options.ping_interval - now
        if wait <= 0:
            self._asked, wait = now, self._options.ping_timeout
            self._ask()
        self._watch = self._loop.call_later(wait, self._look)

    def _ask(self) -> None:
        ping = self._wire.ping()
        if ping:
            self._write(ping)
            return
        try:
            self.take(on.Probed())
        except HopsackError:
            # Not joined yet, or leaving: whoever opened or closes the connection has a limit of their own.
            self._asked = None


def trusting(authorities: Path | None = None) -> ssl.SSLContext:
    """What TLS connections are opened with: 1.2 or newer, and the node's certificate must be for its name.

    :param authorities: a PEM file of authorities that are trusted beside the machine's own.
    :raises ConfigError: it cannot be read, or holds none.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except ssl.SSLError as error:
            raise ConfigError(
                f"HOPSACK_TLS_CA: there is no certificate in {authorities}",
                "a PEM file: it begins with -----BEGIN CERTIFICATE-----",
            ) from error
        except OSError as error:
            raise ConfigError(f"HOPSACK_TLS_CA: cannot read {authorities}: {error.strerror or error}") from error
    return context


async def dial(
    address: Address,
    session: on.Session,
    obey: Obey,
    lost: Callable[[str], None],
    options: Options,
    tls: ssl.SSLContext | None = None,
) -> Link:
    """Connect a socket. The session learns by itself when it is open.

    :raises OSError: there is no such place, or nobody listens. :raises Disconnected: the peer closed it at once.
    """
    loop = asyncio.get_running_loop()
    wire, hint = wire_for(address), other_scheme(address)

    def protocol() -> Link:
        return Link(wire, session, obey, lost, options, hint)

    if address.carrier == "unix":
        _, link = await loop.create_unix_connection(protocol, address.path)
        return link
    context = (tls or trusting()) if address.is_tls else None
    try:
        _, link = await loop.create_connection(protocol, address.host, address.port, ssl=context)
    except ConnectionResetError as error:  # in the middle of the handshake
        raise Disconnected(f"{in_words(error)}; {hint}") from error
    except ssl.SSLError as error:
        words = in_words(error)
        raise Disconnected(f"{words}; {hint}" if error.reason in NOT_TLS else words) from error
    return link
