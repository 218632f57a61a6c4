"""The fabric in memory: the node's own routing classes, a clock that is turned by hand, no sockets, no waiting.

    with Fabric("schemas") as fabric:
        host = fabric.start(Host())
        page = fabric.connect(role="guest")
        samples = fabric.record("host.metrics")

        fabric.advance(3)
        facts = fabric.run(page.call("host.describe", {"name": host.host}))

        assert [event.data["host"] for event in samples] == [host.host] * 3

Contracts, roles and errors are the real ones: what the node refuses is refused here, in the same words. Everything runs
in one thread and in one order, so a test is the same every time:

- :meth:`Fabric.run` runs a coroutine to its end without moving time, and complains if it would have to wait;
- :meth:`Fabric.begin` starts one that is to wait, :meth:`Fabric.advance` moves time from timer to timer;
- plain functions that would run in a thread run at once, in place;
- :meth:`Fabric.cut` breaks a connection as a network does; time then brings it back.

It needs the node's package (``pip install 'hopsack[node]'``), not a running node. ``fabric.clock`` is the node's clock,
a Twisted one; Twisted's global reactor is not turned by it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from hopsack import bridge, pools
from hopsack import session as on
from hopsack.connection import AGENT, REALM, Connection
from hopsack.contracts.refs import Topic
from hopsack.errors import UsageError
from hopsack.link import Carrier
from hopsack.options import Options
from hopsack.requests import partly
from hopsack.service import Engagement, Service
from hopsack.session import Event
from hopsack.testing.loop import HandTurnedLoop, Stuck
from hopsack.wamp.codec import MSGPACK
from hopsack.wamp.rawsocket import LARGEST
from hopsack.wamp.session import WampSession

if TYPE_CHECKING:
    from twisted.internet.task import Clock

    from hopsack.contracts import Catalogue
    from hopsack_router.embed import EmbeddedNode

__all__ = ["Fabric"]

T = TypeVar("T")
S = TypeVar("S", bound=Service)


class Fabric:
    """
    :param schemas: the folder of the contracts, or a catalogue; without one everything is allowed to everybody.
    """

    def __init__(self, schemas: str | Path | Catalogue | None = None) -> None:
        self.loop = HandTurnedLoop()
        bridge.install(self.loop)
        pools.use(self.loop, _InPlace())
        self.clock, self.node = _node(schemas)
        self._options = Options(chance=lambda: 0.5, incident=_incidents(), close_timeout=1.0)
        self._memories: dict[Connection, list[_Memory]] = {}
        self._engagements: dict[Service, Engagement] = {}
        self._guests = 0
        self._numbers = itertools.count(1)
        self.settle()

    # ---- who is there ------------------------------------------------------------------------------------------------

    def start(self, service: S) -> S:
        """Begin a service, with the role ``service`` and its name; return it when it is ready."""
        connection = self._connection("service", service.name, service.name)
        engagement = self._engagements[service] = Engagement(
            service, connection, instance=f"i{next(self._numbers)}", wall=lambda: self.loop.time()
        )
        self.run(engagement.begin())
        return service

    def stop(self, service: Service) -> None:
        """End a service as SIGTERM does."""
        ending = self.begin(self._engagements.pop(service).end(3.5))
        self.settle()
        if not ending.done():
            self.advance(10)
        ending.result()

    def connect(self, role: str = "guest", authid: str | None = None) -> Connection:
        """A connection of somebody with that role.

        :param authid: ``guest-1``, ``user-2`` … if it is not given.
        """
        self._guests += 1
        connection = self._connection(role, authid or f"{role}-{self._guests}", None)
        connection.start()
        self.run(connection.opened())
        return connection

    def _connection(self, role: str, authid: str, service: str | None) -> Connection:
        memories: list[_Memory] = []

        async def dial(obey: Callable[[on.Effect], None], lost: Callable[[str], None]) -> Carrier:
            session = WampSession(MSGPACK, realm=REALM, agent=AGENT, service=service)
            memory = _Memory(self.node, session, obey, lost, role, authid)
            memories.append(memory)
            memory.take(on.Opened(LARGEST))
            return memory

        async def make() -> Connection:
            return Connection(dial, self._options, _InPlace())

        connection = self.loop.run(make())
        self._memories[connection] = memories
        return connection

    def cut(self, who: Connection | Service) -> None:
        """Break a connection; it comes back by itself when time is moved."""
        connection = who.connection if isinstance(who, Service) else who
        self._memories[connection][-1].abort("cut by the test")
        self.settle()

    def record(
        self, topic: str | Topic[Any], *, match: on.Match = "exact", role: str = "operator", **params: str
    ) -> list[Event[Any]]:
        """A list that every event of a topic is put into from now on."""
        events: list[Event[Any]] = []

        async def put(event: Event[Any]) -> None:
            events.append(event)

        watcher = self.connect(role, f"recorder-{self._guests + 1}")
        payload = topic.payload if isinstance(topic, Topic) else None
        self.run(watcher.subscribe(partly(topic, params), put, match=match, type=payload))
        return events

    # ---- time --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds that time has been moved."""
        return self.loop.time()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end without moving time.

        :raises hopsack.testing.Stuck: it waits for something that does not happen by itself.
        """
        task = self.begin(coroutine)
        if not task.done():
            task.cancel()
            self.settle()
            raise Stuck(coroutine)
        return task.result()

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what is to wait; look at the task's result after time has been moved."""
        task = self.loop.create_task(coroutine)
        self.settle()
        return task

    def settle(self) -> float | None:
        """Run what is ready, in the programs and in the node. Returns seconds to what is due next, if anything is."""
        while True:
            wait = self.loop.settle()
            due = [call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls()]
            if not due:
                return wait
            if min(due) > 0:
                return min(due) if wait is None else min(wait, *due)
            self.loop.call_soon(self.clock.advance, 0)

    def advance(self, seconds: float) -> None:
        """Move time, stopping at everything that is due on the way."""
        until = self.now + seconds
        while (wait := self.settle()) is not None and self.now + wait <= until:
            self._turn(wait)
        self._turn(until - self.now)
        self.settle()

    def _turn(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self.loop.call_soon(self.clock.advance, seconds)
        self.loop.settle()

    # ---- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the services, and everything that still runs."""
        for service in list(self._engagements):
            self.stop(service)
        self.loop.close()

    def __enter__(self) -> Fabric:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Memory(Carrier):
    """The carrier of one link: both ends are in this process, and messages cross in the order they are sent."""

    def __init__(
        self,
        node: EmbeddedNode,
        session: on.Session,
        obey: Callable[[on.Effect], None],
        lost: Callable[[str], None],
        role: str,
        authid: str,
    ) -> None:
        super().__init__(session, obey, lost)
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._end = node.open_link(self._receive, role, authid)

    def _send(self, message: bytes) -> None:
        # Not at once: the node would answer into the middle of what is being done here.
        self._loop.call_soon(self._cross, message)

    def _cross(self, message: bytes) -> None:
        if not self._end.isOpen():
            self.abort("the node closed the connection")
        else:
            self._end.receive(message)

    def _receive(self, message: bytes) -> None:
        if not self._is_closed:
            self.take(on.Received(message))

    def check_room(self, what: str) -> None:
        pass

    def close(self, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        # After what has been sent.
        self._loop.call_soon(self._end.lost)
        self.take(on.Lost(reason))
        self._lost(reason)

    def abort(self, reason: str) -> None:
        self.close(reason)

    async def gone(self) -> None:
        pass


class _InPlace:
    """Threads that are none: a blocking function runs where it is called, and the clock does not move meanwhile."""

    is_busy = False

    async def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def close(self) -> None:
        pass


def _incidents() -> Callable[[], str]:
    numbers = iter(range(1, 1 << 32))
    return lambda: f"{next(numbers):08x}"


def _node(schemas: str | Path | Catalogue | None) -> tuple[Clock, EmbeddedNode]:
    from hopsack.contracts import PERMISSIVE, load

    try:
        from hopsack_router.embed import EmbeddedNode
    except ModuleNotFoundError as error:
        raise UsageError(
            f"hopsack.testing needs the node's package, and {error.name} is missing: pip install 'hopsack[node]'"
        ) from error
    from twisted.internet.task import Clock

    clock = Clock()
    catalogue = load(Path(schemas)) if isinstance(schemas, (str, Path)) else schemas or PERMISSIVE
    return clock, EmbeddedNode(catalogue, clock)
