"""A connection that stays: what programs and services hold, over whatever link there is at the moment.

    program -- publish, call, subscribe, register --> Connection -- inputs --> Carrier (link.py) -- bytes --> node
    program <-- results, events, invocations --       Connection <-- effects --

:mod:`~hopsack.keeper` keeps it connected, :mod:`~hopsack.standing` knows what to ask a new link for,
:mod:`~hopsack.serving` runs the handlers; here is what a program calls.

When a link is lost, what was in flight fails with :exc:`~hopsack.errors.OutcomeUnknown`. While there is none, calls and
acknowledged publications wait for one within their own deadline; a publication that is not acknowledged fails at once
with :exc:`~hopsack.errors.Disconnected`, for nobody could be told of its loss later. What has a key is sent again on
the next link instead, for the node takes a second one with the same key for the first; so is a call of a procedure that
is known to be idempotent.

Bounds: ``in_flight`` requests (10,000) may be under way or wait for a link, and ``buffer`` bytes (16 MiB) may wait
unsent; one more is refused with :exc:`~hopsack.errors.Overloaded` and the numbers.
"""

# A timeout is part of what a request promises here, not something a caller puts around it.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, assert_never, overload

from hopsack import backoff
from hopsack import session as on
from hopsack.abreast import Abreast
from hopsack.address import Address
from hopsack.binding import Binding, Pattern
from hopsack.contracts.refs import Procedure, Topic
from hopsack.deadlines import Deadlines
from hopsack.due import bounded
from hopsack.errors import (
    Deadline,
    Disconnected,
    HopsackError,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
    UsageError,
)
from hopsack.history import READ, page_of
from hopsack.iterating import Iteration
from hopsack.iterating import Wanted as Calling
from hopsack.keeper import Closed, Connected, Dial, Keeper, State, Waiting, settle, settle_error
from hopsack.keys import KeyFile, PrivateKey
from hopsack.latest import LatestMap, Sink
from hopsack.link import Carrier, dial
from hopsack.locks import Held, Lock, lead
from hopsack.login import Login, Token
from hopsack.options import Options
from hopsack.position import places_of
from hopsack.privacy import KeyRing
from hopsack.raw import RawSession
from hopsack.refreshing import Refreshing
from hopsack.requests import Make, Requests, concrete, partly
from hopsack.resuming import Page, Read, Recovery
from hopsack.serving import Serving
from hopsack.standing import Feed, Registration, Standing, Wanted
from hopsack.subscription import Subscription
from hopsack.threads import Threads, ThreadsLike
from hopsack.wamp.codec import CODECS
from hopsack.wamp.session import WampSession

__all__ = ["AGENT", "REALM", "Connection", "connect", "dialer"]

log = logging.getLogger("hopsack")

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

REALM = "hopsack"

try:
    AGENT = f"hopsack-python/{version('hopsack')}"
except PackageNotFoundError:  # run from a source tree that was never installed
    AGENT = "hopsack-python/0"


class Connection(Requests):
    """Everything a program does on the fabric. Made by :func:`connect` and by services, not by hand."""

    def __init__(
        self,
        dial: Dial,
        options: Options | None = None,
        threads: ThreadsLike | None = None,
        login: Login | None = None,
    ) -> None:
        self.options = options or Options()
        self.threads = threads or Threads()
        self._loop = asyncio.get_running_loop()
        login = login or Login(None)
        self._keeper = Keeper(dial, self.options, self, login)
        self._refreshing = Refreshing(login, self.call, self.options.chance)
        self._standing = Standing(self.options.chance, self._give_back_now)
        self._abreast = Abreast(self._standing, self.options.check_interval, self.options.chance)
        self._serving = Serving(self.options, self.threads)
        failed = partial(log.exception, "what ends at its deadline did not end")
        self._deadlines = Deadlines(self._loop.time, self._loop.call_later, _ring, failed)
        self._keyring = self.options.keyring
        self._requests = 0
        self._iterations: dict[on.Ticket, Iteration[Any, Any]] = {}
        self._is_closing = False

    # ---- state -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What it is doing now; :meth:`states` follows it."""
        return self._keeper.state

    @property
    def identity(self) -> on.Identity | None:
        """Who this connection is at the moment, if it is connected: by the token that it has now."""
        return self._refreshing.identity if isinstance(self._keeper.state, Connected) else None

    @property
    def is_restored(self) -> bool:
        """Whether it is connected, and the node has granted every subscription and registration on this link."""
        return isinstance(self._keeper.state, Connected) and self._standing.is_granted

    def states(self) -> AsyncIterator[State]:
        """The state now and whenever it changes, to the end. A slow reader misses what lay between."""
        return self._keeper.states()

    async def opened(self) -> on.Identity:
        """Wait until it is connected.

        :raises HopsackError: closed, or refused for good.
        """
        return await self._keeper.opened()

    def start(self) -> None:
        """Begin to connect, and stay connected until :meth:`close`."""
        self._keeper.start()

    @property
    def registrations(self) -> Sequence[Registration]:
        """What it serves."""
        return tuple(self._standing.registrations)

    @property
    def in_hand(self) -> int:
        """Calls that are being served."""
        return self._serving.in_hand

    async def drain(self, seconds: float) -> int:
        """Take nothing new and finish what is in hand: calls that run, and events that have come.

        What the node sent before it knew is in hand, too: calls are served until it has confirmed that no more come.

        :param seconds: what is not done by then is cancelled.
        :returns: how many were cancelled.
        """
        ends = self._loop.time() + seconds
        readers = self._standing.readers
        leaving = [registration.close() for registration in list(self._standing.registrations)]
        leaving += [self._leave(reader) for reader in readers]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                await asyncio.gather(*leaving, return_exceptions=True)
        for reader in readers:
            reader.end()
        reading: set[asyncio.Task[Any]] = {reader.task for reader in readers if reader.task is not None}
        return await _finish(lambda: {task for task in reading | self._serving.tasks if not task.done()}, ends)

    async def close(self) -> None:
        """Finish what is in hand, leave and close; ``close_timeout`` bounds each of the two."""
        if self._is_closing:
            return
        self._is_closing = True
        await self.drain(self.options.close_timeout)
        await self._keeper.stop()
        self._deadlines.close()
        self.threads.close()

    # ---- publish and call: hopsack.requests -------------------------------------------------------------------------

    @property
    def keyring(self) -> KeyRing | None:
        """May be replaced; subscriptions have the one that was there when they began."""
        return self._keyring

    @keyring.setter
    def keyring(self, keyring: KeyRing | None) -> None:
        self._keyring = keyring

    def _tell(self, event: on.PublishRequested) -> None:
        carrier = self._keeper.carrier
        if carrier is None:
            raise self._keeper.trouble(f"{event.topic}: not sent")
        carrier.check_room(event.topic)
        carrier.take(event)

    async def _request(
        self, make: Make, where: str, timeout: float | None, *, repeatable: float = 0.0, is_call: bool = False
    ) -> Any:
        seconds = self.options.timeout if timeout is None else timeout
        if is_call:
            seconds = bounded(seconds, where)
        if repeatable:
            return await self._request_again(make, where, seconds, repeatable)
        return await self._request_once(make, where, seconds)

    async def _request_again(self, make: Make, where: str, seconds: float, repeatable: float) -> Any:
        """Send it on every new link until it is answered, as long as its time lasts and a second one does no harm."""
        begun = self._loop.time()
        ends = begun + seconds
        lasts = min(ends, begun + repeatable)
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                return await self._request_once(make, where, ends - self._loop.time())
            except OutcomeUnknown as error:
                if self._keeper.carrier is not None:
                    raise  # the node itself says so, and has done what it can
                unknown = error
            except Disconnected:
                if unknown is None:
                    raise
                raise unknown from None  # what was sent once may have been done
            except Unavailable as error:
                # A node that stops. It sends us away; until then it says when to come back.
                pause = 0.0 if self._keeper.carrier is None else error.data.get("retry_after", 0.0)
                if self._loop.time() + pause >= lasts:
                    raise unknown or error from None
                await asyncio.sleep(pause)
            if unknown is not None and self._loop.time() >= lasts:
                raise unknown

    async def _request_once(self, make: Make, where: str, seconds: float) -> Any:
        self._check_in_flight(where)
        self._requests += 1
        try:
            carrier, left = self._keeper.carrier, seconds
            if carrier is None:
                ends = self._loop.time() + seconds
                carrier = await self._link_before(ends, where)
                left = ends - self._loop.time()
            carrier.check_room(where)
            return await self._outcome(carrier, make, where, left, seconds)
        finally:
            self._requests -= 1

    def _check_in_flight(self, where: str) -> None:
        if self._requests >= self.options.in_flight:
            raise Overloaded(
                f"{self._requests} requests are under way, and the limit is {self.options.in_flight}",
                where=where,
                advice="wait for answers before asking more",
            )

    async def _outcome(self, carrier: Carrier, make: Make, where: str, left: float, seconds: float) -> Any:
        """Send, and wait; ``left`` of the ``seconds`` that the request was given remain."""
        ticket: asyncio.Future[Any] = self._loop.create_future()
        carrier.take(make(ticket, left))
        alarm = partial(_expire, ticket, carrier, where, seconds)
        lane = self._deadlines.begin(alarm, left)
        try:
            return await ticket
        except asyncio.CancelledError:
            carrier.take(on.CallAbandoned(ticket))
            raise
        finally:
            lane.end(alarm)

    # ---- piece by piece: hopsack.iterating ---------------------------------------------------------------------------

    def _iterate(self, wanted: Calling, timeout: float | None) -> Iteration[Any, Any]:
        return Iteration(self, wanted, timeout)

    async def begin_flow(self, iteration: Iteration[Any, Any], timeout: float | None) -> tuple[Carrier, float]:
        """(called by an iteration)"""
        where = iteration.wanted.uri
        seconds = bounded(self.options.timeout if timeout is None else timeout, where)
        self._check_in_flight(where)
        assert iteration.ticket is not None
        self._iterations[iteration.ticket] = iteration
        self._requests += 1
        try:
            carrier = self._keeper.carrier or await self._link_before(self._loop.time() + seconds, where)
            carrier.check_room(where)
        except BaseException:
            self.end_flow(iteration)
            raise
        return carrier, seconds

    def end_flow(self, iteration: Iteration[Any, Any]) -> None:
        """(called by an iteration)"""
        if iteration.ticket is not None and self._iterations.pop(iteration.ticket, None) is not None:
            self._requests -= 1

    async def _link_before(self, ends: float, where: str) -> Carrier:
        try:
            async with asyncio.timeout_at(ends):
                while self._keeper.carrier is None:
                    await self._keeper.opened()
        except TimeoutError:
            raise self._keeper.trouble(f"{where}: not sent") from None
        return self._keeper.carrier

    # ---- subscribe ---------------------------------------------------------------------------------------------------

    @overload
    async def subscribe(
        self,
        topic: Topic[T],
        handler: Callable[..., Any] | None = None,
        *,
        match: on.Match = "exact",
        after: str | Mapping[str, str] | None = None,
        max_rate: float | None = None,
        on_recovery: Callable[[Recovery], object] | None = None,
        inline: bool = False,
        timeout: float | None = None,
        **params: str,
    ) -> Subscription[T]: ...
    @overload
    async def subscribe(
        self,
        topic: str,
        handler: Callable[..., Any] | None = None,
        *,
        match: on.Match = "exact",
        type: Any = None,
        after: str | Mapping[str, str] | None = None,
        max_rate: float | None = None,
        on_recovery: Callable[[Recovery], object] | None = None,
        inline: bool = False,
        timeout: float | None = None,
        **params: str,
    ) -> Subscription[Any]: ...
    async def subscribe(
        self,
        topic: str | Topic[Any],
        handler: Callable[..., Any] | None = None,
        *,
        match: on.Match = "exact",
        type: Any = None,
        after: str | Mapping[str, str] | None = None,
        max_rate: float | None = None,
        on_recovery: Callable[[Recovery], object] | None = None,
        inline: bool = False,
        timeout: float | None = None,
        **params: str,
    ) -> Subscription[Any]:
        """Receive events: with ``handler``, one after the other, or by ``async for`` over what is returned.

        :param handler: see :mod:`hopsack.binding` for what it may ask for. What it raises is logged.
        :param match: ``prefix`` (``"a."``) or ``wildcard`` (``"a..c"``); components in braces make a wildcard too.
        :param type: of the payload, if the handler's annotation does not say.
        :param after: go on after an event that an earlier program had: its ``position``; for a pattern, the last one of
            each topic.
        :param max_rate: events a second at most; of those that come faster, the newest of each key. Where several
            subscriptions share a topic, the fastest counts.
        :param on_recovery: called in the order of the events, each time that it went on after an interruption.
        :param inline: run a plain function on the loop; it must not block.
        :raises RemoteError: the node refuses it. :raises UsageError: no position, or a rate where the door has none.
        """
        declared = type if type is not None else getattr(topic, "payload", None)
        pattern = Pattern.of(partly(topic, params), match)
        binding = None
        if handler is not None:
            binding = Binding.of(handler, pattern, facts=on.Event, declared=declared, inline=inline)
        reader: Subscription[Any] = Subscription(
            pattern.uri,
            pattern.match,
            declared,
            self._leave,
            places=places_of(pattern.uri, pattern.match, after),
            max_rate=max_rate,
            read_back=self._read_back,
            limited=self._limit,
            on_recovery=on_recovery,
        )
        await self._begin(reader, timeout)
        if binding is not None:
            reader.task = self._loop.create_task(self._read(reader, binding), name=f"subscriber of {pattern.uri}")
        return reader

    async def map(
        self,
        topic: str | Topic[Any],
        *,
        key: str | tuple[str, ...] | None = None,
        type: Any = None,
        max_rate: float | None = None,
        timeout: float | None = None,
        **params: str,
    ) -> LatestMap:
        """The newest value of each key of a ``latest`` topic, kept up to date; returns when all keys are in.

        :param key: the field, or fields, that the contract names; ``()`` where it says ``latest: true``. A
            :class:`~hopsack.contracts.refs.Topic` knows them by itself.
        :param type: of the values; a :class:`~hopsack.contracts.refs.Topic` knows it by itself.
        :param max_rate: events a second at most, the newest of each key.
        :raises RemoteError: the node refuses it. :raises UsageError: it keeps no newest values of this topic.
        """
        uri = concrete(topic, params)
        declared = type if type is not None else getattr(topic, "payload", None)
        found = key if key is not None else getattr(topic, "latest", None)
        if found is None:
            raise UsageError(f"{uri}: nothing says which fields tell its values apart: name them with key=")
        fields = (found,) if isinstance(found, str) else tuple(found)
        latest = LatestMap(uri, fields, declared, self._renew, self._leave, limited=self._limit, max_rate=max_rate)
        await self._begin(latest.sink, timeout)
        try:
            await self._granted(latest.filled, uri, timeout)
        except BaseException:
            await self._leave(latest.sink)
            raise
        return latest

    async def _begin(self, reader: Subscription[Any], timeout: float | None) -> None:
        reader.keyring = self._keyring
        try:
            feed = self._standing.feed(reader)
            await self._granted(feed.granted, reader.topic, timeout)
            await self._limit(reader)
        except BaseException:
            await self._leave(reader)
            raise

    def _renew(self, reader: Sink) -> None:
        feed = self._standing.feed_of(reader)
        if feed is not None:
            self._standing.renew(feed)

    async def _limit(self, reader: Subscription[Any]) -> None:
        feed = self._standing.feed_of(reader)
        if feed is not None:
            await self._pace(feed)

    async def _pace(self, feed: Feed) -> None:
        """Tell the node how fast its events may come, where it was told something else; a later grant does it, too."""
        carrier, number, rate, seconds = self._keeper.carrier, feed.id, feed.pace, self.options.timeout
        if carrier is None or number is None or rate == feed.rate:
            return
        before, feed.rate = feed.rate, rate
        for reader in feed.readers:
            reader.thin(True)
        try:
            make = partial(_limiting, number, rate)
            await self._outcome(carrier, make, feed.topic, seconds, seconds)
        except (Disconnected, OutcomeUnknown):
            return
        except HopsackError:
            feed.rate = before
            raise
        finally:
            for reader in feed.readers:
                reader.thin(feed.rate is not None)

    async def _granted(self, granted: asyncio.Future[None], where: str, timeout: float | None) -> None:
        if isinstance(self.state, Closed):
            raise self._keeper.trouble(where)
        seconds = self.options.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(granted)
        except TimeoutError:
            if self._keeper.carrier is None:
                raise self._keeper.trouble(where) from None
            raise Deadline(f"no answer within {seconds:g} s", where=where) from None

    async def _leave(self, reader: Subscription[Any]) -> None:
        shared = self._standing.feed_of(reader)
        feed = self._standing.leave(reader)
        if feed is not None:
            await self._give_back(feed)
        elif shared is not None and shared.readers:
            await self._pace(shared)

    async def _give_back(self, wanted: Wanted) -> None:
        """Undo a grant; a link that is lost meanwhile has undone it."""
        carrier, number, seconds = self._keeper.carrier, wanted.id, self.options.timeout
        if carrier is None or number is None:
            return
        wanted.id = None
        with contextlib.suppress(Disconnected, OutcomeUnknown):
            where = wanted.topic if isinstance(wanted, Feed) else wanted.procedure
            make = partial(_undoing, wanted, number)
            await self._outcome(carrier, make, where, seconds, seconds)

    def _give_back_now(self, wanted: Wanted) -> None:
        # At once: had a new request for the same topic gone out before, this would undo that one.
        carrier, number = self._keeper.carrier, wanted.id
        assert carrier is not None
        assert number is not None
        wanted.id = None
        carrier.take(_undoing(wanted, number, self._loop.create_future()))

    async def _read(self, reader: Subscription[Any], binding: Binding) -> None:
        try:
            while (item := await reader.take()) is not None:
                publication, payload = item
                if publication.deleted and binding.facts is None:
                    continue  # nothing would tell the handler that it is a deletion
                try:
                    await binding.run(binding.for_event(payload, publication), self.threads)
                except Exception:
                    log.exception("the subscriber of %s failed on an event of %s", reader.topic, publication.topic)
        except HopsackError as error:
            log.error("no longer subscribed to %s: %s", reader.topic, error)

    # ---- reading back ------------------------------------------------------------------------------------------------

    def _read_back(self, reader: Subscription[Any], wanted: Read) -> None:
        if wanted.attempt:
            pause = backoff.delay(wanted.attempt - 1, self.options.chance())
            self._loop.call_later(pause, self._ask_page, reader, wanted)
        else:
            self._ask_page(reader, wanted)

    def _ask_page(self, reader: Subscription[Any], wanted: Read) -> None:
        carrier, seconds = self._keeper.carrier, self.options.timeout
        if carrier is None:
            return  # the next link reads
        ticket: asyncio.Future[Any] = self._loop.create_future()
        query = {"topic": wanted.topic, "after": str(wanted.after), "limit": wanted.limit}
        try:
            carrier.take(on.CallRequested(ticket, READ, query, seconds))
        except UsageError:
            return  # what came right behind the event has ended the session: the next link reads
        alarm = partial(_expire, ticket, carrier, READ, seconds)
        lane = self._deadlines.begin(alarm, seconds)
        ticket.add_done_callback(lambda _: lane.end(alarm))
        ticket.add_done_callback(partial(_paged, reader, wanted))

    # ---- locks -------------------------------------------------------------------------------------------------------

    def lock(self, name: str, *, slots: int = 1, wait: float | None = None) -> Lock:
        """A lock of the whole fabric, for ``async with``: see :mod:`hopsack.locks`.

        :param slots: how many may hold it at once; all its users say the same.
        :param wait: seconds; 0: do not wait; ``None``: as long as it takes.
        """
        return Lock(self, name, slots, wait)

    async def lead(self, name: str, run: Callable[[Held], Awaitable[T]]) -> T:
        """Run as the only one of all who do this by this name, again whenever it is our turn again.

        :param run: is cancelled when leadership is lost.
        :returns: what ``run`` returns, when it returns.
        """
        return await lead(self, name, run)

    # ---- register ----------------------------------------------------------------------------------------------------

    async def register(
        self,
        procedure: str | Procedure[Any, Any],
        handler: Callable[..., Any],
        *,
        match: on.Match = "exact",
        invoke: on.Invoke = "least",
        inline: bool = False,
        timeout: float | None = None,
        **params: str,
    ) -> Registration:
        """Serve a procedure with ``handler`` until the registration is closed.

        :param handler: see :mod:`hopsack.binding` for what it may ask for. A :exc:`RemoteError` that it raises is the
            caller's answer; any other exception becomes an incident, whose traceback stands in this program's log.
            So does an error that a typed procedure does not declare.
        :param match: ``prefix`` or ``wildcard``; components in braces make a wildcard too.
        :param invoke: how several sessions share the procedure.
        :raises RemoteError: the node refuses it.
        """
        declared, further = getattr(procedure, "input", None), getattr(procedure, "inputs", None)
        pattern = Pattern.of(partly(procedure, params), match)
        binding = Binding.of(handler, pattern, facts=on.Caller, declared=declared, further_input=further, inline=inline)
        codes = frozenset(error.CODE for error in procedure.errors) if isinstance(procedure, Procedure) else None
        registration = Registration(binding, invoke, self._loop.create_future(), self._unregister, errors=codes)
        self._standing.add(registration)
        try:
            await self._granted(registration.granted, pattern.uri, timeout)
        except BaseException:
            await self._unregister(registration)
            raise
        return registration

    async def _unregister(self, registration: Registration) -> None:
        granted = self._standing.drop(registration)
        if granted is not None:
            await self._give_back(granted)

    # ---- Kept: what the keeper tells ---------------------------------------------------------------------------------

    def joined(self, carrier: Carrier) -> None:
        """(called by the keeper)"""
        self._standing.ask_all(carrier)
        self._abreast.begin(carrier)

    def known(self, identity: on.Identity) -> None:
        """(called by the keeper)"""
        self._refreshing.joined(identity)

    def lost(self) -> None:
        """(called by the keeper)"""
        self._refreshing.lost()
        self._standing.lost()
        self._abreast.end()
        self._serving.lost()

    def ended(self, error: HopsackError | None) -> None:
        """(called by the keeper)"""
        self._standing.ended(error)

    def obey(self, effect: on.Effect) -> None:
        """(called by the keeper) Do what a session says."""
        match effect:
            case on.Deliver(number, publication, payload):
                self._standing.deliver(number, publication, payload)
            case on.Serve():
                carrier = self._keeper.carrier
                assert carrier is not None
                self._serving.begin(effect, self._standing.registration(effect.registration), carrier)
            case on.Resolve():
                caller: asyncio.Future[Any] = effect.ticket  # type: ignore[assignment]
                if not caller.done():
                    caller.set_result(effect.payload)
            case on.Confirm(ticket, number, told):
                if isinstance(ticket, (Feed, Registration)):
                    self._standing.confirm(ticket, number, told)
                    self._abreast.granted()
                else:
                    settle(ticket, told or number)  # type: ignore[arg-type]
            case on.Reject(ticket, error):
                if isinstance(ticket, (Feed, Registration)):
                    self._standing.reject(ticket, error)
                else:
                    settle_error(ticket, error)  # type: ignore[arg-type]
            case on.Withheld(topic, reason, size, number):
                self._standing.withheld(number, topic)
                bytes_ = "" if size is None else f", {size} bytes"
                log.warning("an event of %s came without its payload: %s%s", topic, reason, bytes_)
            case on.Skipped(number, topic, count):
                self._standing.skipped(number, topic, count)
            case on.Interrupt(invocation):
                self._serving.interrupt(invocation)
            case on.Revoke():
                self._standing.revoke(effect)
            case on.Report(error):
                name = f"incident {error.data['incident']}: " if error.data and "incident" in error.data else ""
                log.error("%san answer broke its contract, and its caller got another one: %s", name, error)
            case on.Advance(ticket, payload):
                if (iteration := self._iterations.get(ticket)) is not None:
                    iteration.came(payload)
            case on.InputsGranted(ticket, items):
                if (iteration := self._iterations.get(ticket)) is not None:
                    iteration.granted(items)
            case on.ProgressGranted(invocation, items):
                if (pieces := self._serving.pieces_of(invocation)) is not None:
                    pieces.granted(items)
            case on.InputCame(invocation, payload):
                if (pieces := self._serving.pieces_of(invocation)) is not None:
                    pieces.came(payload)
            case on.InputsOver(invocation):
                if (pieces := self._serving.pieces_of(invocation)) is not None:
                    pieces.over()
            case on.Join() | on.Refuse() | on.Send() | on.Close():
                raise AssertionError("the keeper and the carrier do these")
            case _:
                assert_never(effect)


def _expire(ticket: asyncio.Future[Any], carrier: Carrier, where: str, seconds: float) -> None:
    settle_error(ticket, Deadline(f"no answer within {seconds:g} s", where=where))
    carrier.take(on.CallAbandoned(ticket))


def _ring(alarm: Callable[[], None], _seconds: float) -> None:
    alarm()


def _paged(reader: Subscription[Any], wanted: Read, ticket: asyncio.Future[Any]) -> None:
    page: Page | HopsackError
    try:
        page = page_of(wanted.topic, ticket.result())
    except HopsackError as error:
        page = error
    reader.paged(wanted, page)


def _limiting(number: int, rate: float | None, ticket: on.Ticket, _seconds: float) -> on.Input:
    return on.RateRequested(ticket, number, rate)


def _undoing(wanted: Wanted, number: int, ticket: on.Ticket, _seconds: float = 0.0) -> on.Input:
    kind = on.UnsubscribeRequested if isinstance(wanted, Feed) else on.UnregisterRequested
    return kind(ticket, number)


async def _finish(tasks: Callable[[], set[asyncio.Task[Any]]], ends: float) -> int:
    """Wait for ``tasks``, and those that they leave their work to; what still runs when time ``ends`` is cancelled.

    :returns: how many were.
    """
    loop, me = asyncio.get_running_loop(), {asyncio.current_task()}
    while running := tasks() - me:
        _, late = await asyncio.wait(running, timeout=max(0.0, ends - loop.time()))
        if late:
            log.warning("%d calls or events were still in hand when their time was over and are cancelled", len(late))
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=1.0)
            return len(late)
    return 0


# ---- connect ---------------------------------------------------------------------------------------------------------


def dialer(
    address: Address,
    *,
    token: Token | Login,
    key: PrivateKey | KeyFile | None = None,
    realm: str = REALM,
    service: str | None = None,
    options: Options,
    tls: ssl.SSLContext | None = None,
) -> Dial:
    """How to reach a node over a socket: a new session and a new link for every attempt.

    :param token: or how to get it, asked at every attempt; the login of a connection that is to refresh it.
    :param key: what to log in with where there is no token.
    """

    login = token if isinstance(token, Login) else Login(token)
    if address.dialect == "raw" and key is not None and token is None:
        raise UsageError("keys log in over WAMP, not at /raw: write tcp://host:8081 or wss://host/ws, or give a token")

    async def dial_once(obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Carrier:
        session: on.Session
        ticket = await login.next()
        signer = key() if callable(key) else key
        if address.dialect == "raw":
            session = RawSession(token=ticket)
        else:
            codec = CODECS[address.codec]
            session = WampSession(codec, realm=realm, agent=AGENT, token=ticket, key=signer, service=service)
        return await dial(address, session, obey, lost, options, tls)

    return dial_once


@asynccontextmanager
async def connect(
    url: str,
    token: Token = None,
    *,
    key: PrivateKey | Path | str | None = None,
    realm: str = REALM,
    patience: float = 0.0,
    options: Options | None = None,
    tls: ssl.SSLContext | None = None,
    keyring: KeyRing | None = None,
) -> AsyncIterator[Connection]:
    """A connection for the time of an ``async with`` block, on the asyncio loop that runs.

    :param url: see :mod:`hopsack.address`.
    :param token: who this is; with neither it nor a key, a guest. A function, or a coroutine function, is asked for one
        before every connection, and for a newer one before it expires, which the connection that stands goes on with.
    :param key: a private key, or the file that it is in, where there is no token; ``tcp``, ``unix`` and ``/ws`` only.
    :param patience: seconds to keep trying the first connection. Once there was one, it is kept until the block ends.
    :param tls: for ``tls`` and ``wss``, if not Python's default context.
    :param keyring: keys of encrypted topics; see :mod:`hopsack.privacy`.
    :raises Disconnected: no connection within ``patience``. :raises RemoteError: the node refuses the token or realm.
    :raises UsageError: not a URL of a node, or one of a door without keys. :raises ConfigError: the key cannot be read.
    """
    options = options or Options()
    if keyring is not None:
        options = replace(options, keyring=keyring)
    signer = PrivateKey.read(Path(key)) if token is None and isinstance(key, str | os.PathLike) else None
    if isinstance(key, PrivateKey):
        signer = key
    login = None if token is None else Login(token)
    dial = dialer(Address.parse(url), token=login, key=signer, realm=realm, options=options, tls=tls)
    connection = Connection(dial, options, login=login)
    connection.start()
    try:
        await _first(connection, url, patience)
        yield connection
    finally:
        await connection.close()


async def _first(connection: Connection, url: str, patience: float) -> None:
    reason = "the node did not answer"
    with contextlib.suppress(TimeoutError):
        # The first attempt has its own limit, open_timeout; patience is for those after it.
        async with asyncio.timeout(connection.options.open_timeout + patience):
            async for state in connection.states():
                match state:
                    case Connected():
                        return
                    case Closed(error):
                        raise error or Disconnected("the connection is closed")
                    case Waiting(_, _, reason) if patience <= 0:
                        break
    raise Disconnected(f"cannot connect to {url}: {reason}")
