"""Fan-out, burst and latency: one publisher, many readers, an open load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hopsack_bench import wire
from hopsack_bench.job import Delivered, Job
from hopsack_bench.load import Readers
from hopsack_bench.machine import Spent
from hopsack_bench.samples import Sample
from hopsack_bench.stage import Stage
from hopsack_bench.subjects import SUBJECTS, Subject

PAYLOAD_BYTES = 200
WARM_UP_SECONDS = 0.5
GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """:ivar rate: events a second."""

    readers: int
    rate: float

    @property
    def words(self) -> str:
        return f"{self.readers:,} readers × {self.rate:,.0f}/s"


def measure(stage: Stage, name: str, number: int, loads: Sequence[Load], seconds: float) -> Iterator[Sample]:
    """One turn of one subject. Loads with as many readers as the one before go to the same readers.

    :param number: of the round.
    :raises Broken: the server or the load failed.
    """
    subject = SUBJECTS[name]
    for count in dict.fromkeys(load.readers for load in loads):
        yield from _with_readers(stage, subject, number, [load for load in loads if load.readers == count], seconds)


def _with_readers(
    stage: Stage, subject: Subject, number: int, loads: Sequence[Load], seconds: float
) -> Iterator[Sample]:
    place = stage.server(subject.peer)
    readers = loads[0].readers
    job = Job(
        place.ports[subject.port],
        readers,
        (subject.reader(place),),
        audience=readers,
        websocket=subject.websocket,
        publisher=subject.publisher(place, wire.event(PAYLOAD_BYTES)),
    )
    with stage.readers(job) as open_readers:
        for load in loads:
            meter = stage.meter(place)
            delivered = _go(open_readers, load, min(seconds, WARM_UP_SECONDS))
            # A server that cannot finish the warm-up is overloaded: what it did in it is its figure.
            if is_whole(delivered):
                meter = stage.meter(place)
                delivered = _go(open_readers, load, seconds)
            yield Sample(load.words, subject.name, number, figures(delivered, meter.since()))
            if not is_whole(delivered):
                stage.drop(subject.peer)
                return


def _go(readers: Readers, load: Load, seconds: float) -> Delivered:
    return readers.go(load.rate, max(1, round(load.rate * seconds)), GRACE_SECONDS)


def is_whole(delivered: Delivered) -> bool:
    return delivered.deliveries >= delivered.expected and delivered.closed == 0


def figures(delivered: Delivered, spent: Spent) -> dict[str, float]:
    """The columns of this kind of load."""
    count = max(1, delivered.deliveries)
    return {
        "cpu_us": spent.cpu / count * 1e6,
        "per_second": delivered.deliveries / delivered.seconds,
        "per_core_second": delivered.deliveries / max(spent.cpu, 1e-9),
        "p50_ms": delivered.p50_us / 1e3,
        "p99_ms": delivered.p99_us / 1e3,
        "p999_ms": delivered.p999_us / 1e3,
        "delivered": delivered.deliveries / max(1, delivered.expected),
        "server": spent.share,
        "readers": delivered.cpu / delivered.seconds,
        "others": spent.others,
    }
