"""What validation costs, and what ten times as many sessions, topics or patterns cost one event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hopsack_bench import rpc, wire
from hopsack_bench.events import GRACE_SECONDS, PAYLOAD_BYTES, WARM_UP_SECONDS, is_whole
from hopsack_bench.job import Job
from hopsack_bench.peers import REALM
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage
from hopsack_bench.subjects import SUBJECTS, Subject

HOLDERS = 10
"""Sessions among which the subscriptions of a crowd are divided."""
IDLE_SECONDS = 1.0
FEW_READERS = 10

EVENTS = "events to one reader"
CALLS = "calls"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who else is there: sessions that do nothing, topics and patterns that are subscribed to and never published."""

    sessions: int = 100
    topics: int = 100
    patterns: int = 100

    @property
    def words(self) -> str:
        return f"{self.sessions:,} sessions, {self.topics:,} topics, {self.patterns:,} patterns"

    def variants(self) -> tuple[Crowd, ...]:
        """Itself, and itself with ten times as many of each."""
        more = ({name: 10 * getattr(self, name)} for name in ("sessions", "topics", "patterns"))
        return (self, *(replace(self, **one) for one in more))

    def topic_names(self) -> list[tuple[str, str]]:
        return [(f"bench.other.n{number}", "exact") for number in range(self.topics)]

    def pattern_names(self) -> list[tuple[str, str]]:
        """Prefixes and wildcards by turns, none of which matches what is published."""
        return [
            (f"bench..p{number}", "wildcard") if number % 2 else (f"bench.other.p{number}", "prefix")
            for number in range(self.patterns)
        ]


CROWD = Crowd()


def measure_validation(stage: Stage, name: str, number: int, rate: float, seconds: float) -> Iterator[Sample]:
    """Events and calls through one of the two nodes, ``hopsack`` with contracts or ``hopsack-open`` without."""
    subject = SUBJECTS[f"{name}-raw"]
    cost = _cost_per_event(stage, subject, stage.server(subject.peer), readers=1, rate=rate, seconds=seconds)
    yield Sample(EVENTS, name, number, {"cpu_us": cost})
    for sample in rpc.measure(stage, name, number, seconds):
        yield replace(sample, load=f"{CALLS}, {sample.load}")


def measure_crowd(stage: Stage, name: str, number: int, crowd: Crowd, rate: float, seconds: float) -> Iterator[Sample]:
    """One event to ten readers, in a crowd and in each that has ten times as many of one thing."""
    subject = SUBJECTS[name]
    place = stage.server(subject.peer)
    for variant in crowd.variants():
        with _present(stage, place, variant):
            cost = _cost_per_event(stage, subject, place, readers=FEW_READERS, rate=rate, seconds=seconds)
        yield Sample(variant.words, name, number, {"cpu_us": cost})


@contextmanager
def _present(stage: Stage, place: Place, crowd: Crowd) -> Iterator[None]:
    """The crowd is there while this is entered."""
    names = crowd.topic_names() + crowd.pattern_names()
    holding = [wire.wamp_reader("json", REALM, names[holder::HOLDERS]) for holder in range(HOLDERS)]
    idle = Job(place.ports["http"], crowd.sessions, [wire.wamp_reader("json", REALM, ())])
    holders = Job(place.ports["http"], HOLDERS, holding)
    with stage.readers(idle), stage.readers(holders):
        yield


def _cost_per_event(
    stage: Stage, subject: Subject, place: Place, *, readers: int, rate: float, seconds: float
) -> float:
    """CPU of the server per event in µs, less what it does when nothing is published (it pings its sessions)."""
    job = Job(
        place.ports[subject.port],
        readers,
        (subject.reader(place),),
        audience=readers,
        websocket=subject.websocket,
        publisher=subject.publisher(place, wire.event(PAYLOAD_BYTES)),
    )
    with stage.readers(job) as there:
        there.go(rate, round(rate * min(seconds, WARM_UP_SECONDS)), GRACE_SECONDS)
        meter = stage.meter(place)
        time.sleep(IDLE_SECONDS)
        idle = meter.since().share
        meter, began = stage.meter(place), time.monotonic()
        events = round(rate * seconds)
        delivered = there.go(rate, events, GRACE_SECONDS)
        cpu = meter.since().cpu - idle * (time.monotonic() - began)
    if not is_whole(delivered):
        raise Broken(f"{delivered.deliveries:,} of {delivered.expected:,} deliveries came")
    return cpu / events * 1e6
