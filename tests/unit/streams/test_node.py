"""The journal as a node makes it: what contracts say is kept, real threads, and all of it again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred

from hopsack.contracts import Source, build
from hopsack_router import streams
from hopsack_router.streams import Draft, Page, Retention
from tests.unit.streams.stage import clock, now, texts

CONTRACTS = """
topics:
  demo.{room}.said:
    summary: Somebody said something.
    payload: {type: string}
    stream: {keep: 5, for: 1h, bytes: 64 KiB}
    publish: [service]
    subscribe: [guest]
  demo.count:
    summary: A number.
    payload: {type: string}
    stream: {keep: 7}
    publish: [service]
    subscribe: [guest]
  demo.state:
    summary: The newest alone.
    payload: {type: string}
    latest: true
    publish: [service]
    subscribe: [guest]
"""


class Reactor:
    """Time turned by hand, and calls from threads that are made while somebody waits for something."""

    def __init__(self) -> None:
        turned = clock()
        self.seconds, self.callLater = turned.seconds, turned.callLater
        self._calls: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def callFromThread(self, *call: Any) -> None:
        self._calls.put(call)

    def wait(self, deferred: Deferred[Any]) -> Any:
        while not deferred.called:
            call: Callable[..., object]
            call, *args = self._calls.get(timeout=30)
            call(*args)
        return now(deferred)


def test_contracts_say_what_is_kept() -> None:
    of = streams.retention(build([Source("demo.yaml", "demo.yaml", CONTRACTS)]))

    assert of("demo.hall.said") == Retention(5, 3600.0, 64 << 10, "demo.{room}.said")
    assert of("demo.count") == Retention(7, None, 64 << 20, "demo.count")
    assert of("demo.state") == Retention(1, contract="demo.state")
    assert of("demo.unknown.to.all") == Retention(1)


def test_a_journal_with_threads_goes_on_after_a_restart(tmp_path: Path) -> None:
    catalogue = build([Source("demo.yaml", "demo.yaml", CONTRACTS)])
    reactor = Reactor()
    for life in range(2):
        journal = streams.node_journal(catalogue, tmp_path, reactor)
        reactor.wait(journal.start())
        kept = [journal.append("demo.count", Draft(data=b'"%d"' % number, publication=1)) for number in range(5)]
        assert reactor.wait(kept[-1]).offset == 5 * (life + 1)
        reactor.wait(journal.close())

    journal = streams.node_journal(catalogue, tmp_path, reactor)
    reactor.wait(journal.start())
    page = reactor.wait(journal.read("demo.count", None))
    assert isinstance(page, Page)
    assert texts(page.events) == ["3", "4", "0", "1", "2", "3", "4"]
    reactor.wait(journal.close())


def test_a_journal_in_memory_needs_no_folder() -> None:
    journal = streams.node_journal(build([]), None, Reactor())

    now(journal.start())
    assert now(journal.append("demo.count", Draft(data=b"1", publication=1))).offset == 1
    now(journal.close())
