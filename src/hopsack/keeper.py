"""Staying connected: one task that opens a link, waits for its end, and opens the next.

    Connecting -> Connected -> Waiting -> Connecting -> …        Closed at the end, or when a refusal is final

The next attempt waits with full jitter (:mod:`hopsack.backoff`), longer after each failure, from the start again after
a connection that was stable. A refusal that trying again cannot change, such as a token that is not accepted, ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from hopsack import backoff
from hopsack import session as on
from hopsack.errors import Disconnected, HopsackError, LocalError, RemoteError
from hopsack.link import Carrier
from hopsack.login import Login
from hopsack.options import Options
from hopsack.outages import in_words

__all__ = [
    "Closed",
    "Connected",
    "Connecting",
    "Dial",
    "Keeper",
    "Kept",
    "State",
    "Waiting",
    "settle",
    "settle_error",
]

log = logging.getLogger("hopsack")


@dataclass(frozen=True, slots=True)
class Connecting:
    """An attempt is under way. ``failed``: how many have failed since the last stable connection."""

    failed: int


@dataclass(frozen=True, slots=True)
class Connected:
    identity: on.Identity


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next attempt starts ``delay`` seconds after the last one ended, for ``reason``."""

    delay: float
    failed: int
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over: closed by the program (``error`` is ``None``), or refused for good."""

    error: HopsackError | None


State = Connecting | Connected | Waiting | Closed

Dial = Callable[[Callable[[on.Effect], None], Callable[[str], None]], Awaitable[Carrier]]
"""Opens a way to the node: given who obeys effects and who is told of the end, returns the carrier."""


class Kept(Protocol):
    """Who uses the links."""

    def obey(self, effect: on.Effect) -> None: ...

    def joined(self, carrier: Carrier) -> None:
        """A new link: ask for everything again, before anybody else may send."""

    def known(self, identity: on.Identity) -> None:
        """Who we are on it."""

    def lost(self) -> None: ...

    def ended(self, error: HopsackError | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Life:
    """How one link ended. ``lived``: seconds since it joined. ``final``: a refusal that will not change."""

    reason: str
    retry_after: float | None = None
    lived: float = 0.0
    final: RemoteError | None = None


class Keeper:
    """Keeps one link open.

    :ivar state: what it is doing now; :meth:`states` follows it.
    :ivar carrier: the link, exactly as long as the state is :class:`Connected`. It is nobody's from the moment it is
        being closed, and the next attempt begins after it is gone.
    """

    def __init__(self, dial: Dial, options: Options, kept: Kept, login: Login | None = None) -> None:
        self.state: State = Connecting(0)
        self.carrier: Carrier | None = None
        self._dial = dial
        self._options = options
        self._kept = kept
        self._login = login or Login(None)
        self._loop = asyncio.get_running_loop()
        self._turned: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._life: asyncio.Future[str] | None = None
        self._since = 0.0
        self._failed = 0
        self._is_stopping = False
        self._has_met = False

    # ---- state -------------------------------------------------------------------------------------------------------

    async def states(self) -> AsyncIterator[State]:
        """The state now and whenever it changes, to the end. A slow reader misses what lay between."""
        seen: State | None = None
        while not isinstance(seen, Closed):
            if self.state is seen:
                await asyncio.shield(self._turned)
            else:
                seen = self.state
                yield seen

    async def opened(self) -> on.Identity:
        """Wait until there is a link.

        :raises HopsackError: closed, or refused for good.
        """
        while True:
            match self.state:
                case Connected(identity):
                    return identity
                case Closed():
                    raise self.trouble("not sent")
            await asyncio.shield(self._turned)

    def trouble(self, what: str) -> HopsackError:
        """Why there is no link, as an exception."""
        match self.state:
            case Closed(error):
                return error or Disconnected(f"{what}: the connection is closed")
            case Waiting(_, _, reason):
                return Disconnected(f"{what}: there is no connection: {reason}")
        return Disconnected(f"{what}: there is no connection yet")

    def _turn(self, state: State) -> None:
        self.state = state
        turned, self._turned = self._turned, self._loop.create_future()
        turned.set_result(None)

    # ---- links -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = self._loop.create_task(self._keep(), name="hopsack connection")

    async def stop(self) -> None:
        """Leave politely, within ``close_timeout``, and end."""
        self._is_stopping = True
        if self._task is not None:
            if self.carrier is not None:
                self.carrier.take(on.LeaveRequested())
                await asyncio.wait((self._task,), timeout=self._options.close_timeout)
            self._task.cancel()
            await asyncio.wait((self._task,))
        if not isinstance(self.state, Closed):
            self._end(None)

    def _end(self, error: HopsackError | None) -> None:
        if isinstance(self.state, Closed):
            return
        self._turn(Closed(error))
        self._kept.ended(error)

    async def _keep(self) -> None:
        while True:
            self._turn(Connecting(self._failed))
            life = await self._live()
            if self._is_stopping:
                return
            if life.final is not None:
                self._end(life.final)
                return
            waiting = self.state if isinstance(self.state, Waiting) else self._pause(life)
            await asyncio.sleep(waiting.delay)

    def _pause(self, life: _Life) -> Waiting:
        failed = 0 if life.lived >= backoff.STABLE else self._failed
        delay = backoff.delay(failed, self._options.chance(), life.retry_after)
        self._failed = failed + 1
        # Whoever waits for the first connection tells in its own words that it does not come.
        level = logging.INFO if self._has_met else logging.DEBUG
        log.log(level, "not connected: %s; trying again in %.1f s", life.reason, delay)
        waiting = Waiting(delay, self._failed, life.reason)
        self._turn(waiting)
        return waiting

    async def _live(self) -> _Life:
        """One link, from the attempt to its loss."""
        lost: asyncio.Future[str] = self._loop.create_future()
        verdict: asyncio.Future[on.Join | on.Refuse] = self._loop.create_future()
        carrier: Carrier | None = None
        try:
            async with asyncio.timeout(self._options.open_timeout):
                carrier = await self._dial(partial(self._obey, verdict), partial(self._drop, lost))
                await asyncio.wait((lost, verdict), return_when=asyncio.FIRST_COMPLETED)
            life = await self._judge(carrier, lost, verdict)
            await carrier.gone()
            return life
        except TimeoutError:
            return _Life(f"the node did not let us in within {self._options.open_timeout:g} s")
        except OSError as error:
            return _Life(in_words(error))
        except RemoteError as error:  # there is no other token than the one that was refused
            return _Life(error.message, final=error)
        except LocalError as error:  # such as a key file that is being replaced
            return _Life(str(error))
        except Exception as error:
            # Nothing is known to come here; a service must not stand still for ever if something does.
            log.exception("the connection failed in a way it does not know")
            return _Life(str(error) or type(error).__name__)
        finally:
            if carrier is not None:
                carrier.abort("given up")

    async def _judge(
        self, carrier: Carrier, lost: asyncio.Future[str], verdict: asyncio.Future[on.Join | on.Refuse]
    ) -> _Life:
        if verdict.done() and isinstance(refuse := verdict.result(), on.Refuse):
            carrier.close("refused")
            final = refuse.error if refuse.final and not self._login.tries_another(refuse.error) else None
            return _Life(refuse.error.message, carrier.retry_after, final=final)
        if lost.done():
            self._weigh(carrier)
            return _Life(lost.result(), carrier.retry_after, final=carrier.refusal)
        self.carrier, self._life, self._since = carrier, lost, self._loop.time()
        carrier.obeyed_by(self._kept.obey)
        try:
            self._kept.joined(carrier)
            join = verdict.result()
            assert isinstance(join, on.Join)
            self._has_met = True
            self._kept.known(join.identity)
            self._turn(Connected(join.identity))
            return _Life(await lost, final=carrier.refusal)
        except BaseException as error:
            self._drop(lost, str(error) or type(error).__name__)
            raise

    def _drop(self, lost: asyncio.Future[str], reason: str) -> None:
        """The link is nobody's from this moment on, and not from when the task that waits for its end runs.

        Who is told that a request of theirs failed may ask again before that.
        """
        settle(lost, reason)
        carrier = self.carrier
        if carrier is None or self._life is not lost:
            return
        self.carrier = None
        self._kept.lost()
        self._weigh(carrier)
        if self._is_stopping:
            self._end(None)
        elif carrier.refusal is not None:
            self._end(carrier.refusal)
        else:
            self._pause(_Life(reason, carrier.retry_after, self._loop.time() - self._since))

    def _weigh(self, carrier: Carrier) -> None:
        """A refusal is none for good where another token may be let in."""
        if carrier.refusal is not None and self._login.tries_another(carrier.refusal):
            carrier.refusal = None

    def _obey(self, verdict: asyncio.Future[on.Join | on.Refuse], effect: on.Effect) -> None:
        if type(effect) is on.Join or type(effect) is on.Refuse:
            settle(verdict, effect)
        else:
            self._kept.obey(effect)


def settle(future: asyncio.Future[Any], value: Any) -> None:
    """Set a result, unless somebody has stopped waiting."""
    if not future.done():
        future.set_result(value)


def settle_error(future: asyncio.Future[Any], error: BaseException) -> None:
    """Set an exception, unless somebody has stopped waiting."""
    if not future.done():
        future.set_exception(error)
        # Who has stopped waiting does not read it, and asyncio would log that.
        future.exception()
