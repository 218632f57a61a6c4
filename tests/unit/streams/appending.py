"""A program that appends to a journal until it is killed, and tells each event that was acknowledged.

    appending.py FOLDER LIFE WINDOW

It prints ``TOPIC NUMBER POSITION`` when an event is acknowledged, each line with one ``write``. WINDOW are in flight.
Every third event is not durable. Where an event is refused it prints ``refused`` and tries it again.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.internet.task import Clock

from hopsack_router.streams.events import Draft, Retention, Stored
from hopsack_router.streams.files import boot_id
from hopsack_router.streams.journal import Journal
from hopsack_router.streams.lanes import Lane, OnThread
from hopsack_router.streams.sqlite import SqliteStore

TOPICS = ("a.one", "a.two", "a.three")


def main(folder: Path, life: int, window: int) -> None:
    calls: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def lane(name: str) -> Lane:
        return OnThread(name, lambda *call: calls.put(call))

    clock = Clock()
    clock.advance(time.time())
    store = SqliteStore(folder / "journal.sqlite", boot=boot_id(), now=time.time)
    journal = Journal(store, lambda _: Retention(10_000_000), clock=clock, random=os.urandom, lane=lane)
    numbers = iter(range(life * 1_000_000, (life + 1) * 1_000_000))

    def send(number: int) -> None:
        topic = TOPICS[number % len(TOPICS)]
        event = Draft(data=b"%d" % number, publication=number + 1, key=str(number), latest=str(number % 7))
        kept = journal.append(topic, event, durable=bool(number % 3))
        kept.addCallbacks(told, refused, callbackArgs=(topic, number), errbackArgs=(number,))

    def told(event: Stored, topic: str, number: int) -> None:
        os.write(1, f"{topic} {number} {event.position}\n".encode())
        calls.put((send, next(numbers)))

    def refused(_: object, number: int) -> None:
        os.write(1, b"refused\n")
        calls.put((send, number))

    def begin(_: None) -> None:
        for number in islice(numbers, window):
            send(number)

    journal.start().addCallback(begin)
    while True:
        call, *args = calls.get()
        call(*args)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
