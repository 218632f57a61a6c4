"""Readers that stop reading: what one of them costs the node in memory, and fifty of them the others in latency."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from hopsack.tokens import mint
from hopsack_bench import events, machine, wire
from hopsack_bench.checker import History
from hopsack_bench.events import GRACE_SECONDS, WARM_UP_SECONDS, Load
from hopsack_bench.job import Job
from hopsack_bench.peers import AUTHID, REALM, TOPIC
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage
from hopsack_bench.storm import Memory, on_core, until
from hopsack_bench.visitors import LineReader, RawReader, RawSocketReader, SseReader, WampReader, Wanted, Where
from hopsack_bench.wire import Login, Publisher
from hopsack_bench.writers import RawWriter

RECEIVE_BYTES = 4096
"""What the kernel keeps for a stalled reader, so that it is stalled for the node too."""

# ---- one reader that stops, and its memory ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stall:
    """:ivar readers: that stop. The memory of one is lost in the noise of the process's, so it is that of all, divided.

    :ivar size: length of an event's note in characters.
    """

    events: int
    readers: int
    size: int = 1000

    @property
    def words(self) -> str:
        return f"{self.events:,} events of 1 KB, {self.readers} readers"


DOORS: dict[str, tuple[type[LineReader], str]] = {
    "raw": (RawReader, "http"),
    "sse": (SseReader, "http"),
    "websocket": (WampReader, "http"),
    "rawsocket": (RawSocketReader, "rawsocket"),
}
"""What reads, and the port where it does."""

LIMIT_SECONDS = 120.0


class Flood(RawWriter):
    """Says a lot at once. Without keys: what the node remembers of them is not what is measured."""

    window = 500

    def key(self, number: int) -> str:
        return ""


def measure_stall(stage: Stage, name: str, number: int, stall: Stall) -> Iterator[Sample]:
    """The same events without a reader, then with some that have stopped, in a node that nobody has used before.

    :param name: of the subject, whose last part is its door.
    :raises Broken: not everything was read in the end.
    """
    with stage.fresh("hopsack") as place, on_core(stage.cores.load):
        figures = asyncio.run(_stall(place, stall, *DOORS[name.rpartition("-")[2]]))
    yield Sample(stall.words, name, number, figures)
    if figures["lost"] or figures["wrong"]:
        raise Broken(f"{figures['lost']:,.0f} events lost, {figures['wrong']:,.0f} otherwise wrong")


async def _stall(place: Place, stall: Stall, door: type[LineReader], port: str) -> dict[str, float]:
    where = Where(place.ports["http"], mint(place.secret, sub="checker", role="service"))
    reads = Where(place.ports[port], mint(place.secret, sub="reader", role="user"))
    history, topic = History(stall.size), "bench.stream.read"
    # What the first events cost for good, the journal's own memory above all, is not a price of the stalled readers.
    await _flood(place, where, history, "bench.stream.warm", stall)
    alone = await _flood(place, where, history, "bench.stream.alone", stall)
    wanted = Wanted(topic, (topic,))
    readers = [door(f"reader {n}", reads, random.Random(n), history, wanted) for n in range(stall.readers)]
    reading = [asyncio.create_task(reader.keep()) for reader in readers]
    try:
        if not await until(time.monotonic() + LIMIT_SECONDS, lambda: all(reader.visits for reader in readers)):
            raise Broken(f"the readers do not begin: {readers[-1].refusal} {readers[-1].confusions}")
        for reader in readers:
            reader.stall()
        stalled = await _flood(place, where, history, topic, stall)
        began = time.monotonic()
        for reader in readers:
            reader.go_on()
        await until(
            began + LIMIT_SECONDS, lambda: all(history.last(one.name, topic) >= stall.events for one in readers)
        )
        read = time.monotonic() - began
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    counts = history.judge().counts
    lost = counts.get("lost", 0)
    return {
        "alone_mib": alone / 1048576,
        "growth_mib": stalled / 1048576,
        "each_mib": (stalled - alone) / 1048576 / stall.readers,
        "read_s": read,
        "visits": sum(reader.visits for reader in readers),
        "lost": lost,
        "wrong": sum(counts.values()) - lost + sum(len(reader.confusions) for reader in readers),
    }


async def _flood(place: Place, where: Where, history: History, topic: str, stall: Stall) -> int:
    """Publish all events. :returns: by how many bytes the node grew meanwhile, at most."""
    writer = Flood(topic, where, random.Random(1), history, topic, 1, size=stall.size)
    memory = Memory(place.pid)
    before = machine.resident_bytes(place.pid)
    tasks = [asyncio.create_task(writer.keep()), asyncio.create_task(memory.watch())]
    writer.say(stall.events)
    writer.end()
    try:
        await asyncio.wait_for(writer.is_over.wait(), LIMIT_SECONDS)
    except TimeoutError:
        raise Broken(f"events are not acknowledged: {writer.refusal} {writer.confusions}") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return memory.peak - before


# ---- fifty that stop, among five hundred -----------------------------------------------------------------------------

KEPT = "bench.kept"
"""A topic as :data:`TOPIC`, and a stream."""


@dataclass(frozen=True, slots=True)
class Slow:
    """:ivar flood: events of 1 KB that fill the stalled readers' budgets before anything is measured."""

    load: Load
    stalled: int
    flood: int

    def words(self, kind: str, stalled: int) -> str:
        return f"{kind}, {self.load.words}, {stalled or 'none'} stalled"


KINDS = {"live only": TOPIC, "stream": KEPT}


def measure_slow(stage: Stage, name: str, number: int, slow: Slow, seconds: float) -> Iterator[Sample]:
    """500 readers of a topic, without and with others that have stopped reading it.

    :raises Broken: the load failed, or the node does not know that they lag.
    """
    for kind, topic in KINDS.items():
        with stage.fresh("hopsack") as place:
            yield Sample(slow.words(kind, 0), name, number, _healthy(stage, place, topic, slow, seconds))
            with _stalled(stage, place, topic, slow):
                yield Sample(slow.words(kind, slow.stalled), name, number, _healthy(stage, place, topic, slow, seconds))


def _healthy(stage: Stage, place: Place, topic: str, slow: Slow, seconds: float) -> dict[str, float]:
    job = Job(
        place.ports["http"],
        slow.load.readers,
        (wire.raw_reader((topic,)),),
        audience=slow.load.readers,
        publisher=_publisher(place, topic, events.PAYLOAD_BYTES),
    )
    with stage.readers(job) as readers:
        readers.go(slow.load.rate, max(1, round(slow.load.rate * min(seconds, WARM_UP_SECONDS))), GRACE_SECONDS)
        meter = stage.meter(place)
        delivered = readers.go(slow.load.rate, max(1, round(slow.load.rate * seconds)), GRACE_SECONDS)
        if not events.is_whole(delivered):
            raise Broken(f"{delivered.deliveries:,} of {delivered.expected:,} deliveries came")
        return events.figures(delivered, meter.since())


@contextmanager
def _stalled(stage: Stage, place: Place, topic: str, slow: Slow) -> Iterator[None]:
    """They have subscribed and do not read; more was published than the node holds for them."""
    script = wire.raw_reader((topic,))
    with ExitStack() as held:
        for _ in range(slow.stalled):
            _open(held.enter_context(closing(socket.socket())), place.ports["http"], script)
        flood = Job(place.ports["http"], 1, (script,), audience=1, publisher=_publisher(place, topic, 1000))
        with stage.readers(flood) as one:
            one.go(2000, slow.flood, 20)
        stage.settle(place)
        lagging = _lagging(place)
        if lagging < slow.stalled:
            raise Broken(f"the node knows {lagging} readers that lag, and {slow.stalled} do")
        yield


def _open(client: socket.socket, port: int, script: wire.Script) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    for step in script:
        client.sendall(step.send)
        answer = b""
        while step.expect not in answer:
            data = client.recv(1024)
            if not data:
                raise Broken("the node closed a reader while it opened")
            answer += data


def _lagging(place: Place) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{place.ports['http']}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return round(sum(float(value) for value in re.findall(r"^hopsack_lagging\{.*\} (\S+)$", text, re.M)))


def _publisher(place: Place, topic: str, size: int) -> Publisher:
    login = Login(AUTHID, mint(place.secret, sub=AUTHID, role="service"))
    return wire.wamp_publisher(place.ports["rawsocket"], REALM, topic, wire.event(size), login=login)
