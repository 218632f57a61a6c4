"""The journal: acknowledged events a second with many publishers, and events read back a second.

Ours is measured in one process, as the node uses it, on the server's core: what publishers do is in its figures.
JetStream's server has that core for itself, with a file store as it comes (it acknowledges before the disk has the
event), and nats-py the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from hopsack_bench import machine, rpc
from hopsack_bench.peers import BENCH
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken
from hopsack_bench.stage import Stage

PROGRAM = BENCH / "load" / "journal.py"
PUBLISHERS = 1000
WRITTEN, READ = f"acknowledged events, {PUBLISHERS:,} publishers", "events read back"


class Done(msgspec.Struct, frozen=True):
    """What the program saw. ``cpu`` is its own, in seconds."""

    events: int
    seconds: float
    cpu: float
    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class Kind:
    """:ivar peer: whose version is told; only a server of its own is started."""

    peer: str
    title: str
    store: Literal["sqlite", "memory", "jetstream"]


KINDS: Mapping[str, Kind] = {
    "journal-sqlite": Kind("hopsack", "Hopsack, SQLite", "sqlite"),
    "journal-memory": Kind("hopsack", "Hopsack, memory", "memory"),
    "jetstream": Kind("jetstream", "JetStream, nats-py", "jetstream"),
}


def measure(stage: Stage, name: str, number: int, seconds: float) -> Iterator[Sample]:
    """One turn: a new journal is written, then read.

    :raises Broken: a server or the program failed.
    """
    kind = KINDS[name]
    if kind.store == "jetstream":
        with stage.fresh(kind.peer) as place:
            url = f"nats://127.0.0.1:{place.ports['tcp']}"
            yield from _turn(name, number, seconds, (kind.store, url, stage.cores.load), place.pid)
    else:
        folder = str(stage.folder("journal"))
        yield from _turn(name, number, seconds, (kind.store, folder, stage.cores.server), None)


def _turn(
    name: str, number: int, seconds: float, program: tuple[str, str, int], server: int | None
) -> Iterator[Sample]:
    store, where, core = program
    with rpc.spawned(core, PROGRAM, store, where, patience=10) as process:
        for load, words in ((WRITTEN, f"publish {PUBLISHERS} {seconds}"), (READ, f"read {seconds}")):
            before = machine.cpu_seconds(server) if server else 0.0
            done = rpc.ask(process, words, Done)
            if not done.events:
                raise Broken(f"{load}: none")
            cpu = machine.cpu_seconds(server) - before if server else done.cpu
            figures = {"cpu_us": cpu / done.events * 1e6, "per_second": done.events / done.seconds}
            if load == WRITTEN:
                figures |= {"p50_ms": done.p50_us / 1e3, "p99_ms": done.p99_us / 1e3}
            yield Sample(load, name, number, figures)
