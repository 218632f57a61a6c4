"""The servers of one run: each is started when it is first needed and stays for all rounds, idle between its turns.

A server that a load has left with work to do, or that broke, is dropped: its next turn finds a fresh one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hopsack_bench import machine
from hopsack_bench.job import Job
from hopsack_bench.load import Readers
from hopsack_bench.peers import BENCH, PEERS, build
from hopsack_bench.servers import Broken, Place, running

SETTLE_SECONDS = 20.0
LOOK_SECONDS = 0.1
IDLE_SHARE = 0.05
"""Of a core: what a server may use and still count as having nothing to do. Two looks in a row must find it so, since
a server that waits for its core uses nothing either."""


class Stage:
    """:param folder: for what the servers write. :param say: told what takes long."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.cores = machine.cores()
        self._folder = folder
        self.say = say
        self._places: dict[str, Place] = {}
        self._held: dict[str, ExitStack] = {}
        self._readers: Path | None = None
        self._count = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._held):
            self.drop(name)

    def server(self, name: str) -> Place:
        """The server of this name, started if it does not run, and done with whatever it was asked before.

        :raises Broken: it does not start.
        """
        place = self._places.get(name)
        if place is not None:
            self.settle(place)
        else:
            self.say(f"starting {PEERS[name].title}")
            held = ExitStack()
            place = held.enter_context(self.fresh(name))
            self._places[name], self._held[name] = place, held
        return place

    @contextmanager
    def fresh(self, name: str) -> Iterator[Place]:
        """A server of this name that nobody else has used, for as long as it is entered."""
        folder = self.folder(name)
        secret = secrets.token_hex(20)
        try:
            launch = PEERS[name].launch(folder, secret)
        except OSError as error:
            raise Broken(str(error)) from error
        with running(launch, folder, secret, self.cores.server) as place:
            yield place

    def settle(self, place: Place) -> None:
        """Wait until a server has nothing to do: the sessions of one turn must not leave at the cost of the next."""
        deadline = time.monotonic() + SETTLE_SECONDS
        quiet = 0
        while quiet < 2 and time.monotonic() < deadline:
            before = machine.cpu_seconds(place.pid)
            time.sleep(LOOK_SECONDS)
            idle = machine.cpu_seconds(place.pid) - before < IDLE_SHARE * LOOK_SECONDS
            quiet = quiet + 1 if idle else 0

    def drop(self, name: str) -> None:
        """End the server, if it runs."""
        held = self._held.pop(name, None)
        self._places.pop(name, None)
        if held is not None:
            held.close()

    def readers(self, job: Job) -> Readers:
        """Readers on the load's core; enter them to open them."""
        if self._readers is None:
            self._readers = build(BENCH / "load" / "readers.c", self._folder / "readers-program")
        return Readers(self._readers, job, self.folder("readers"), self.cores.load)

    def meter(self, place: Place) -> machine.Meter:
        return machine.Meter.read(place.pid, self.cores.server)

    def folder(self, name: str) -> Path:
        """A new, empty folder."""
        self._count += 1
        folder = self._folder / f"{name}-{self._count}"
        folder.mkdir(mode=0o755)
        return folder
