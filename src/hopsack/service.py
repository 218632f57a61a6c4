"""What a service author writes: a class with procedures, subscriptions and periodic work.

    class Host(Service):
        @procedure("host.describe")
        async def describe(self, query: HostName, caller: Caller) -> HostDescription: ...

        @subscribe("watch.{root}.changed")
        async def on_change(self, change: Change, root: str, event: Event) -> None: ...

        @every(1.0)
        async def sample(self) -> None:
            await self.publish(HOST_METRICS, HostSample(...))

What a handler may ask for, and where it runs, is told in :mod:`hopsack.binding`. Life of a service:

    connected -> start() -> procedures and subscriptions -> periodic work -> joined() -> ready
    … connected again -> the same procedures and subscriptions -> joined()
    told to end -> periodic work ends -> nothing new is taken -> what is in hand is finished -> stop() -> goodbye
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hopsack import session as on
from hopsack.binding import Binding, Pattern
from hopsack.connection import Connection
from hopsack.contracts.refs import Procedure, Topic
from hopsack.errors import HopsackError, RemoteError, UsageError
from hopsack.iterating import Iteration
from hopsack.iterating import Wanted as Calling
from hopsack.keeper import Closed, Connected
from hopsack.privacy import KeyRing
from hopsack.requests import Make, Requests
from hopsack.vitals import Draining, Vitals, version_of

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["Engagement", "Service", "every", "procedure", "subscribe"]

log = logging.getLogger("hopsack")

F = TypeVar("F", bound=Callable[..., Any])

_MARKS = "__hopsack__"

_FOR_STOP = 0.25
"""What ``stop()`` has at the least, as a part of the time that what is in hand has."""


@dataclass(frozen=True, slots=True)
class _Served:
    """Put on a method by :func:`procedure`."""

    uri: str | Procedure[Any, Any]
    match: on.Match
    invoke: on.Invoke
    inline: bool


@dataclass(frozen=True, slots=True)
class _Received:
    """Put on a method by :func:`subscribe`."""

    topic: str | Topic[Any]
    match: on.Match
    inline: bool


@dataclass(frozen=True, slots=True)
class _Repeated:
    """Put on a method by :func:`every`."""

    seconds: float
    inline: bool


_Mark = _Served | _Received | _Repeated


def procedure(
    uri: str | Procedure[Any, Any],
    *,
    match: on.Match = "exact",
    invoke: on.Invoke = "least",
    inline: bool = False,
) -> Callable[[F], F]:
    """Serve a procedure with this method.

    :param uri: as the contract declares it; ``{name}`` components are parameters of the method by their names.
    :param invoke: how several instances of the service share the calls.
    :param inline: run a plain function on the loop; it must not block.
    """
    return _marking(_Served(uri, match, invoke, inline))


def subscribe(topic: str | Topic[Any], *, match: on.Match = "exact", inline: bool = False) -> Callable[[F], F]:
    """Receive events with this method, one after the other, in the order they came.

    :param topic: as the contract declares it; ``{name}`` components are parameters of the method by their names.
    :param match: ``prefix`` (``"alerts."``) or ``wildcard`` (``"watch..changed"``).
    :param inline: run a plain function on the loop; it must not block.
    """
    return _marking(_Received(topic, match, inline))


def every(seconds: float, *, inline: bool = False) -> Callable[[F], F]:
    """Run this method when the service begins and then every ``seconds``.

    It never runs twice at once and does not drift: a run that takes too long costs the beats it covers, and the next
    one comes on the beat. What it raises is logged, and it goes on.
    """
    if seconds <= 0:
        raise UsageError(f"every({seconds:g}) has no beat: write seconds above zero")
    return _marking(_Repeated(seconds, inline))


def _marking(mark: _Mark) -> Callable[[F], F]:
    def put(function: F) -> F:
        setattr(function, _MARKS, (*getattr(function, _MARKS, ()), mark))
        return function

    return put


class Service(Requests):
    """Base of services.

    :cvar name: of the service, in lists, logs and metrics; the class name in lower case if it is not given.
    :cvar version: of the service; ``__version__`` of its module or package if it is not given.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = ""
    _connection: Connection | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    async def start(self) -> None:
        """Once, when there is a connection and before anything is served."""

    async def joined(self) -> None:
        """After everything is served, and after every reconnect."""

    async def stop(self) -> None:
        """Once, when everything in hand is finished; the connection is still there."""

    @property
    def connection(self) -> Connection:
        """The connection: subscribe and register more, or look at its state.

        :raises UsageError: the service does not run.
        """
        if self._connection is None:
            raise UsageError(f"the service {self.name} does not run yet: use start() in place of __init__")
        return self._connection

    @property
    def keyring(self) -> KeyRing | None:
        """Keys of encrypted topics (:mod:`hopsack.privacy`): set it in :meth:`start`, before anything is subscribed."""
        return self.connection.keyring

    @keyring.setter
    def keyring(self, keyring: KeyRing | None) -> None:
        self.connection.keyring = keyring

    @property
    def log(self) -> BoundLogger:
        """A logger with this service's name: ``self.log.info("sampled", host=name)``."""
        from hopsack.logs import logger

        return logger(self.name)

    def _request(
        self, make: Make, where: str, timeout: float | None, *, repeatable: float = 0.0, is_call: bool = False
    ) -> Coroutine[Any, Any, Any]:
        return self.connection._request(make, where, timeout, repeatable=repeatable, is_call=is_call)

    def _tell(self, event: on.PublishRequested) -> None:
        self.connection._tell(event)

    def _iterate(self, wanted: Calling, timeout: float | None) -> Iteration[Any, Any]:
        return self.connection._iterate(wanted, timeout)


class Engagement:
    """One service on one connection, from start to stop.

    :ivar asked: set when somebody asks it to drain; by then it has begun to end.
    :param finish: seconds for what is in hand, where who asks it to drain does not say.
    :param instance: its name among those of the same service; a random one if it is not given.
    :param wall: tells the time of day, in Unix seconds.
    """

    def __init__(
        self,
        service: Service,
        connection: Connection,
        *,
        finish: float = 10.0,
        instance: str | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.service = service
        self.connection = connection
        self.asked = asyncio.Event()
        self._finish = finish
        self._vitals = Vitals(
            service.name,
            instance or secrets.token_hex(4),
            version_of(type(service)),
            _summary(type(service)),
            wall(),
            lambda: connection.registrations,
            self._begin_to_end,
        )
        self._marks = list(_marks(service))
        self._beats: list[asyncio.Task[None]] = []
        self._follower: asyncio.Task[None] | None = None
        self._is_started = False
        self._ending: asyncio.Task[int] | None = None
        self._repeated = [
            (mark.seconds, _beat(method, mark)) for method, mark in self._marks if isinstance(mark, _Repeated)
        ]
        service._connection = connection

    async def begin(self) -> None:
        """Connect, serve, and return when the service is ready.

        :raises HopsackError: the node refuses the service or something of it.
        """
        self.connection.start()
        identity = await self.connection.opened()
        await self.service.start()
        self._is_started = True
        await asyncio.gather(*self._standing(), *map(self._answer_for, self._vitals.procedures()))
        await self.service.joined()
        self._follower = asyncio.create_task(self._follow(identity), name=f"{self.service.name} rejoins")
        for seconds, binding in self._repeated:
            self._beats.append(asyncio.create_task(self._repeat(seconds, binding)))

    def _standing(self) -> Iterator[Coroutine[Any, Any, Any]]:
        for method, mark in self._marks:
            match mark:
                case _Served(uri, match, invoke, inline):
                    yield self.connection.register(uri, method, match=match, invoke=invoke, inline=inline)
                case _Received(topic, match, inline):
                    yield self.connection.subscribe(topic, method, match=match, inline=inline)

    async def _answer_for(self, vital: tuple[str, Callable[..., Any]]) -> None:
        """Serve what every service does; where the router or the role does not allow it, it goes without."""
        try:
            await self.connection.register(*vital, invoke="single", inline=True)
        except RemoteError as error:
            log.info("%s: not served: %s", self.service.name, error)

    def _begin_to_end(self, seconds: float | None) -> Draining:
        finish = self._finish if seconds is None else seconds
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(finish), name=f"{self.service.name} ends")
            self.asked.set()
        in_hand = self.connection.in_hand - 1  # but for the call that asks
        return Draining(self.service.name, self._vitals.instance, in_hand, finish)

    @property
    def is_ending(self) -> bool:
        return self._ending is not None

    async def end(self, seconds: float) -> int:
        """Take nothing new, finish what is in hand, leave. Asked again, it waits for the end that has begun.

        :param seconds: for what is in hand. ``stop()`` has what is left of it and a quarter more, and leaving has
            ``close_timeout``.
        :returns: how many calls and events were cancelled, because they were not done in time.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(seconds), name=f"{self.service.name} ends")
        return await asyncio.shield(self._ending)

    async def _end(self, seconds: float) -> int:
        ends = asyncio.get_running_loop().time() + seconds * (1 + _FOR_STOP)
        for task in self._beats:
            task.cancel()
        if self._follower is not None:
            self._follower.cancel()
        cancelled = await self.connection.drain(seconds)
        try:
            if self._is_started:
                async with asyncio.timeout_at(ends):
                    await self.service.stop()
        except Exception:
            log.exception("%s: stop() failed", self.service.name)
        await self.connection.close()
        return cancelled

    async def ended(self) -> HopsackError | None:
        """Wait until the connection is closed: the refusal that closed it, if one did."""
        async for state in self.connection.states():
            if isinstance(state, Closed):
                return state.error
        return None

    async def _follow(self, seen: on.Identity) -> None:
        async for state in self.connection.states():
            if isinstance(state, Connected) and state.identity != seen:
                seen = state.identity
                try:
                    await self.service.joined()
                except Exception:
                    log.exception("%s: joined() failed", self.service.name)

    async def _repeat(self, seconds: float, binding: Binding) -> None:
        loop = asyncio.get_running_loop()
        beat = loop.time()
        while True:
            await self._run_once(binding)
            beats = max(1, int((loop.time() - beat) / seconds) + 1)
            if beats > 1:
                log.debug("%s took %d beats of %g s", binding.function, beats, seconds)
            beat += beats * seconds
            await asyncio.sleep(beat - loop.time())

    async def _run_once(self, binding: Binding) -> None:
        name = getattr(binding.function, "__qualname__", self.service.name)
        try:
            await binding.run(binding.function, self.connection.threads)
        except HopsackError as error:
            # The fabric said no or is away; where in this method that happened tells nobody anything.
            log.warning("%s: %s", name, error)
        except Exception:
            log.exception("%s failed; it goes on", name)


def _marks(service: Service) -> Iterator[tuple[Callable[..., Any], _Mark]]:
    """The marked methods, in the order they are written, base classes first."""
    names = dict.fromkeys(name for cls in reversed(type(service).__mro__) for name in vars(cls))
    for name in names:
        marks: tuple[_Mark, ...] = getattr(inspect.getattr_static(service, name, None), _MARKS, ())
        for mark in marks:
            yield getattr(service, name), mark


def _summary(cls: type[Service]) -> str:
    """The first line of what its author wrote about it."""
    return (vars(cls).get("__doc__") or "").strip().partition("\n")[0]


def _beat(method: Callable[..., Any], mark: _Repeated) -> Binding:
    binding = Binding.of(method, Pattern.of("every"), facts=on.Event, inline=mark.inline)
    if binding.input is not None or binding.facts is not None:
        raise UsageError(f"{getattr(method, '__qualname__', method)}: a method that repeats is given nothing")
    return binding
