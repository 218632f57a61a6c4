"""Joining and being there: what a session costs when it comes, and what it costs to keep."""

from __future__ import annotations

from collections.abc import Iterator

from hopsack_bench import machine
from hopsack_bench.job import Job
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Place
from hopsack_bench.stage import Stage
from hopsack_bench.subjects import SUBJECTS, Subject

WINDOW = 64
WARM_UP_JOINS = 50


def _job(subject: Subject, place: Place, count: int) -> Job:
    """Each joins as somebody else: what a server remembers of one login must not help with the next."""
    scripts = [subject.join(place, number) for number in range(count)]
    return Job(place.ports[subject.port], count, scripts, websocket=subject.websocket, window=WINDOW, open_seconds=120)


def measure_joins(stage: Stage, name: str, number: int, count: int) -> Iterator[Sample]:
    """``count`` sessions join, 64 at a time, and then all leave at once.

    :raises Broken: they could not.
    """
    subject = SUBJECTS[name]
    place = stage.server(subject.peer)
    with stage.readers(_job(subject, place, min(count, WARM_UP_JOINS))):
        pass
    stage.settle(place)
    readers = stage.readers(_job(subject, place, count))
    meter = stage.meter(place)
    with readers:
        spent = meter.since()
        opened = readers.opened
        figures = {
            "cpu_us": spent.cpu / count * 1e6,
            "per_second": count / opened.seconds,
            "p50_ms": opened.p50_us / 1e3,
            "p99_ms": opened.p99_us / 1e3,
            "server": spent.share,
            "readers": machine.cpu_seconds(readers.pid) / opened.seconds,
            "others": spent.others,
        }
        meter = stage.meter(place)
    stage.settle(place)
    figures["leave_us"] = meter.since().cpu / count * 1e6
    yield Sample(f"{count:,} joins", name, number, figures)


def measure_memory(stage: Stage, name: str, number: int, count: int) -> Iterator[Sample]:
    """``count`` sessions are there and idle, in a server that nobody has used before.

    :raises Broken: they could not join.
    """
    subject = SUBJECTS[name]
    with stage.fresh(subject.peer) as place:
        # What is loaded or allocated by the first of them is not a price for each.
        with stage.readers(_job(subject, place, min(count, WARM_UP_JOINS))):
            before = machine.resident_bytes(place.pid)
            with stage.readers(_job(subject, place, count)):
                after = machine.resident_bytes(place.pid)
        kib = (after - before) / 1024 / count
        yield Sample(f"{count:,} idle", name, number, {"kib": kib, "server_mib": after / 1048576})
