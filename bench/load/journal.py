"""A journal that is written and read as fast as it goes: ours in this process, or JetStream's through nats-py.

    journal.py sqlite FOLDER
    journal.py memory -
    journal.py jetstream URL

It prints a JSON line when it is ready, then obeys lines on stdin and prints what it saw: ``publish PUBLISHERS SECONDS``
(each has one event in flight and sends the next when that is acknowledged), ``read SECONDS`` (everything from the
oldest event on, again and again). It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hopsack_bench import wire

PAYLOAD = json.dumps(wire.event(200), separators=(",", ":")).encode()
TOPICS = tuple(f"bench.journal.n{number}" for number in range(10))
KEPT = 1_000_000
Say = Callable[[dict[str, Any]], None]


def say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def figures(events: int, began: float, cpu: float, waits: list[float] | None = None) -> dict[str, Any]:
    cuts = quantiles(waits, n=100) if waits and len(waits) > 1 else [0.0] * 99
    spent = time.process_time() - cpu
    return {
        "events": events,
        "seconds": time.perf_counter() - began,
        "cpu": spent,
        "p50_us": cuts[49] * 1e6,
        "p99_us": cuts[98] * 1e6,
    }


# ---- ours -----------------------------------------------------------------------------------------------------------


def ours(kind: str, folder: str) -> None:
    from twisted.internet import reactor as untyped

    from hopsack_router.streams.events import Retention
    from hopsack_router.streams.files import boot_id
    from hopsack_router.streams.journal import Journal
    from hopsack_router.streams.lanes import Lane, OnThread
    from hopsack_router.streams.ledger import Bounds
    from hopsack_router.streams.memory import MemoryStore
    from hopsack_router.streams.sqlite import SqliteStore
    from hopsack_router.streams.store import Store

    reactor: Any = untyped
    store: Store = MemoryStore()
    if kind == "sqlite":
        store = SqliteStore(Path(folder) / "journal.sqlite", boot=boot_id(), now=time.time)

    def lane(name: str) -> Lane:
        return OnThread(name, reactor.callFromThread)

    # Without a tail in memory everything is read from the store.
    bounds = Bounds(tail_topic_bytes=0)
    journal = Journal(store, lambda _: Retention(KEPT), clock=reactor, random=os.urandom, lane=lane, bounds=bounds)

    def obey() -> None:
        for line in sys.stdin:
            match line.split():
                case ["publish", publishers, seconds]:
                    reactor.callFromThread(publish, reactor, journal, int(publishers), float(seconds))
                case ["read", seconds]:
                    reactor.callFromThread(read, journal, float(seconds))
        reactor.callFromThread(lambda: journal.close().addBoth(lambda _: reactor.stop()))

    def ready(_: None) -> None:
        say({"ready": True})
        threading.Thread(target=obey, daemon=True).start()

    journal.start().addCallback(ready)
    reactor.run()


def publish(reactor: Any, journal: Any, publishers: int, seconds: float) -> None:
    from hopsack_router.streams.events import Draft

    began, cpu = time.perf_counter(), time.process_time()
    waits: list[float] = []
    numbers: Iterator[int] = iter(range(1, 1 << 53))
    left, free = publishers, list(range(publishers))  # who was answered sends in the next turn

    def send(publisher: int) -> None:
        draft = Draft(data=PAYLOAD, publication=next(numbers))
        journal.append(TOPICS[publisher % len(TOPICS)], draft).addCallback(told, publisher, time.perf_counter())

    def told(_: Any, publisher: int, since: float) -> None:
        nonlocal left
        now = time.perf_counter()
        waits.append(now - since)
        if now - began < seconds:
            if not free:
                reactor.callLater(0, turn)
            free.append(publisher)
            return
        left -= 1
        if not left:
            say(figures(len(waits), began, cpu, waits))

    def turn() -> None:
        publishing = free[:]
        free.clear()
        for publisher in publishing:
            send(publisher)

    turn()


def read(journal: Any, seconds: float) -> None:
    from twisted.internet.defer import inlineCallbacks

    @inlineCallbacks
    def all_of_it() -> Any:
        began, cpu, events = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            for topic in TOPICS:
                after = None
                while True:
                    page = yield journal.read(topic, after)
                    events, after = events + len(page.events), page.last
                    if page.end:
                        break
        say(figures(events, began, cpu))

    all_of_it().addErrback(lambda failure: say({"error": str(failure.value)}))


# ---- JetStream ------------------------------------------------------------------------------------------------------


async def jetstream(url: str) -> None:
    import nats

    client = await nats.connect(url)
    stream = client.jetstream(timeout=30)
    await stream.add_stream(name="bench", subjects=["bench.journal.>"], max_msgs=KEPT)
    say({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["publish", publishers, seconds]:
                await _publish(stream, int(publishers), float(seconds))
            case ["read", seconds]:
                await _read(stream, float(seconds))
    await client.close()


async def _publish(stream: Any, publishers: int, seconds: float) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    waits: list[float] = []

    async def one(topic: str) -> None:
        while (since := time.perf_counter()) - began < seconds:
            await stream.publish(topic, PAYLOAD)
            waits.append(time.perf_counter() - since)

    await asyncio.gather(*(one(TOPICS[number % len(TOPICS)]) for number in range(publishers)))
    say(figures(len(waits), began, cpu, waits))


async def _read(stream: Any, seconds: float) -> None:
    """Pushed, in order: the fastest way that nats-py has."""
    kept = (await stream.stream_info("bench")).state.messages
    began, cpu, events = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        subscription = await stream.subscribe("bench.journal.>", ordered_consumer=True)
        for _ in range(kept):
            await subscription.next_msg(timeout=10)
            events += 1
        await subscription.unsubscribe()
    say(figures(events, began, cpu))


if __name__ == "__main__":
    if sys.argv[1] == "jetstream":
        asyncio.run(jetstream(sys.argv[2]))
    else:
        ours(sys.argv[1], sys.argv[2])
