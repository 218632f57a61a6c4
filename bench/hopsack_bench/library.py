"""What the client library itself costs: CPU of a program per call and per event, on each of the four sides.

Both libraries use the same node in the same run, each with itself on the other side. So a ratio compares one program
with another that did the same work.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hopsack_bench import machine, rpc
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage

CALLER, CALLEE = "a call: the caller", "a call: the callee"
PUBLISHER, SUBSCRIBER = "an event: the publisher", "an event: the subscriber"
SIDES = (CALLER, CALLEE, PUBLISHER, SUBSCRIBER)

HELD = 1000
"""Calls that a service has in hand while it is asked for something else."""
ALONE, AMONG = "one call at a time", f"one call at a time, {HELD:,} others in hand"


class Published(msgspec.Struct, frozen=True):
    """What a publisher did. ``cpu`` is its own, in seconds."""

    events: int
    seconds: float
    cpu: float


class Taken(msgspec.Struct, frozen=True):
    events: int


def measure(stage: Stage, name: str, number: int, seconds: float) -> Iterator[Sample]:
    """One turn: calls, then events.

    :raises Broken: the node or a program failed.
    """
    place, core = stage.server(rpc.PAIRS[name].peer), stage.cores.load
    yield from _calls(place, core, name, number, seconds)
    yield from _events(place, core, name, number, seconds)


def _calls(place: Place, core: int, name: str, number: int, seconds: float) -> Iterator[Sample]:
    pair = rpc.PAIRS[name]
    with rpc.program("serve", pair, place, core) as callee, rpc.program("call", pair, place, core) as caller:
        for in_flight, held in ((rpc.IN_FLIGHT, 0), (1, 0), (1, HELD)):
            rpc.go(caller, in_flight, min(seconds, rpc.WARM_UP_SECONDS))
            before = machine.cpu_seconds(callee.pid)
            called = rpc.go(caller, in_flight, seconds, held)
            callee_us = (machine.cpu_seconds(callee.pid) - before) / max(1, called.calls) * 1e6
            if not called.calls:
                raise Broken("no call was answered")
            per_second = called.calls / called.seconds
            if in_flight > 1:
                caller_us = called.cpu / called.calls * 1e6
                yield Sample(CALLER, name, number, {"cpu_us": caller_us, "per_second": per_second})
                yield Sample(CALLEE, name, number, {"cpu_us": callee_us, "per_second": per_second})
            else:
                waits = {"p50_ms": called.p50_us / 1e3, "p99_ms": called.p99_us / 1e3}
                facts = {"cpu_us": callee_us, "per_second": per_second, **waits}
                yield Sample(AMONG if held else ALONE, name, number, facts)


def _events(place: Place, core: int, name: str, number: int, seconds: float) -> Iterator[Sample]:
    pair = rpc.PAIRS[name]
    with rpc.program("read", pair, place, core) as reader, rpc.program("publish", pair, place, core) as publisher:
        warm = rpc.ask(publisher, f"go {min(seconds, rpc.WARM_UP_SECONDS)}", Published)
        rpc.ask(reader, f"until {warm.events}", Taken)
        before = machine.cpu_seconds(reader.pid)
        published = rpc.ask(publisher, f"go {seconds}", Published)
        rpc.ask(reader, f"until {warm.events + published.events}", Taken)
        reader_cpu = machine.cpu_seconds(reader.pid) - before
    per_second = published.events / published.seconds
    for load, cpu in ((PUBLISHER, published.cpu), (SUBSCRIBER, reader_cpu)):
        yield Sample(load, name, number, {"cpu_us": cpu / published.events * 1e6, "per_second": per_second})
