"""What we have promised ourselves, and whether a run kept it. Pure.

A target compares one figure with a number, or with another figure of the same round: as a ratio or as a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from hopsack_bench import journal, policies
from hopsack_bench.costs import CALLS, CROWD, EVENTS
from hopsack_bench.library import ALONE, AMONG, SIDES
from hopsack_bench.samples import Sample
from hopsack_bench.scenarios import FULL
from hopsack_bench.slow import DOORS, KINDS


@dataclass(frozen=True, slots=True)
class At:
    """Where a figure stands."""

    load: str
    subject: str
    figure: str


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: ``this`` (over or less ``that``) is at most, or at least, ``limit``."""

    scenario: str
    words: str
    this: At
    bound: Literal["at most", "at least"]
    limit: float
    that: At | None = None
    by: Literal["ratio", "difference"] = "ratio"


@dataclass(frozen=True, slots=True)
class Verdict:
    """:ivar value: the median over the rounds; ``None`` if the run did not measure it."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.target.limit if self.target.bound == "at most" else self.value >= self.target.limit

    def to_json(self) -> dict[str, Any]:
        value = None if self.value is None else float(f"{self.value:.4g}")
        target = self.target
        return {
            "target": target.words,
            "bound": target.bound,
            "limit": target.limit,
            "value": value,
            "met": self.is_met,
        }


_OURS = ("hopsack-raw", "hopsack-json", "hopsack-msgpack")
_SIXTY_FOUR = "64 in flight"


def _fanout() -> Iterable[Target]:
    for load in (one.words for one in FULL.fanout):
        for name in _OURS:
            this = At(load, name, "cpu_us")
            for other, limit in (("floor", 1.3), ("nchan", 1.0)):
                words = f"{name}, {load}: CPU per delivery over {other}"
                yield Target("fanout", words, this, "at most", limit, At(load, other, "cpu_us"))


def _burst() -> Iterable[Target]:
    load = FULL.burst.words
    for name in _OURS:
        this = At(load, name, "cpu_us")
        yield Target(
            "burst", f"{name}: CPU per delivery over floor", this, "at most", 0.25, At(load, "floor", "cpu_us")
        )
        words = f"{name}: deliveries/s per core"
        yield Target("burst", words, At(load, name, "per_core_second"), "at least", 500_000)


def _latency() -> Iterable[Target]:
    load = FULL.latency.words
    for name in _OURS:
        yield Target("latency", f"{name}: p50 in ms", At(load, name, "p50_ms"), "at most", 1.5)
        yield Target("latency", f"{name}: p99 in ms", At(load, name, "p99_ms"), "at most", 5.0)


def _rpc() -> Iterable[Target]:
    many, one = _SIXTY_FOUR, "one at a time"
    yield Target("rpc", "CPU of the node per call, 64 in flight, in µs", At(many, "hopsack", "cpu_us"), "at most", 20)
    this, that = At(many, "hopsack", "per_second"), At(many, "nats", "per_second")
    yield Target("rpc", "calls/s, 64 in flight, over nats", this, "at least", 1.0, that)
    this, that = At(one, "hopsack", "p50_ms"), At(one, "nats", "p50_ms")
    yield Target("rpc", "p50 of one call at a time over nats", this, "at most", 1.3, that)


def _library() -> Iterable[Target]:
    for side in SIDES:
        this, that = At(side, "hopsack", "cpu_us"), At(side, "hopsack-autobahn", "cpu_us")
        yield Target("sdk", f"{side}: CPU over Autobahn's session", this, "at most", 0.5, that)
    for figure, limit in (("p50_ms", 1.2), ("p99_ms", 1.5)):
        this, that = At(AMONG, "hopsack", figure), At(ALONE, "hopsack", figure)
        words = f"{figure.removesuffix('_ms')} of one call while 1,000 others are in hand, over none"
        yield Target("sdk", words, this, "at most", limit, that)


def _calls() -> Iterable[Target]:
    load = policies.MANY
    for name in (policies.OWN, policies.GUARDED, policies.SHARDED):
        this, that = At(load, name, "cpu_us"), At(load, policies.PLAIN, "cpu_us")
        words = f"{name} adds to a call, in µs"
        yield Target("policies", words, this, "at most", 5, that, "difference")
    load = policies.words_of(FULL.calls_rate)
    this, that = At(load, "least", "p99_ms"), At(load, "turns", "p99_ms")
    yield Target("least", "p99 with one slow callee of four, over round robin", this, "at most", 0.1, that)


def _sessions() -> Iterable[Target]:
    for name in ("hopsack-raw", "hopsack-json"):
        yield Target("connect", f"{name}: joins/s", At(f"{FULL.joins:,} joins", name, "per_second"), "at least", 2000)
    for name, limit in (("hopsack-raw", 12), ("hopsack-json", 16)):
        words = f"{name}: KiB per idle connection"
        yield Target("memory", words, At(f"{FULL.idle:,} idle", name, "kib"), "at most", limit)


def _costs() -> Iterable[Target]:
    for load, words in ((EVENTS, "an event"), (f"{CALLS}, {_SIXTY_FOUR}", "a call")):
        this, that = At(load, "hopsack", "cpu_us"), At(load, "hopsack-open", "cpu_us")
        yield Target("validation", f"validation adds to {words}, in µs", this, "at most", 10, that, "difference")
    base, *variants = CROWD.variants()
    for variant in variants:
        for name in ("hopsack-raw", "hopsack-json"):
            this, that = At(variant.words, name, "cpu_us"), At(base.words, name, "cpu_us")
            yield Target("crowd", f"{name}: {variant.words}, over 100 of each", this, "at most", 1.2, that)


def _journal() -> Iterable[Target]:
    this = At(journal.WRITTEN, "journal-sqlite", "per_second")
    yield Target("journal", "acknowledged events/s, on disk", this, "at least", 20_000)
    this = At(journal.READ, "journal-sqlite", "per_second")
    yield Target("journal", "events read back/s, from disk", this, "at least", 200_000)


_NONE = (("lost", "events lost"), ("doubled", "events given twice"), ("wrong", "otherwise wrong"))


def _none(scenario: str, load: str, subject: str, words: str = "") -> Iterable[Target]:
    for figure, what in _NONE:
        yield Target(scenario, f"{words}{what}", At(load, subject, figure), "at most", 0)


def _chaos() -> Iterable[Target]:
    for figure, words, limit in (
        ("violations", "calls and locks gone wrong", 0),
        ("late_ms", "ms behind a deadline", 50),
    ):
        yield Target("chaos", words, At(FULL.chaos.words, "hopsack", figure), "at most", limit)


def _streams() -> Iterable[Target]:
    yield from _none("recovery", FULL.recovery.words, "hopsack")
    wrong = At(FULL.recovery.words, "hopsack", "maps_wrong")
    yield Target("recovery", "older or deleted values in maps", wrong, "at most", 0)
    for storm in FULL.storms:
        yield from _none("storm", storm.words, "hopsack-raw", f"{storm.words}: ")
        level, busiest = (At(storm.words, "hopsack-raw", figure) for figure in ("level_p99_s", "busiest"))
        limit = 5 if storm.readers <= 2000 else 10
        yield Target("storm", f"{storm.words}: s until 99 % are level", level, "at most", limit)
        if storm.readers <= 2000:  # more, and the one process that plays all clients is late itself
            words = f"{storm.words}: share that comes back in the busiest 100 ms"
            yield Target("storm", words, busiest, "at most", 0.1)
    for name in (f"hopsack-{door}" for door in DOORS):
        yield from _none("stall", FULL.stall.words, name, f"{name}: ")
        words = f"{name}: MiB that the node grows by for each reader"
        yield Target("stall", words, At(FULL.stall.words, name, "each_mib"), "at most", 1.0)
    for kind in KINDS:
        this, that = (At(FULL.slow.words(kind, n), "hopsack-raw", "p99_ms") for n in (FULL.slow.stalled, 0))
        yield Target("slow", f"{kind}: p99 with {FULL.slow.stalled} stalled, over none", this, "at most", 1.2, that)


TARGETS: Sequence[Target] = (
    *_fanout(),
    *_burst(),
    *_latency(),
    *_rpc(),
    *_library(),
    *_calls(),
    *_sessions(),
    *_costs(),
    *_journal(),
    *_streams(),
    *_chaos(),
)


def judge(scenario: str, samples: Sequence[Sample], targets: Iterable[Target] = TARGETS) -> list[Verdict]:
    """What a run of one scenario says of its targets."""
    return [Verdict(target, _value(target, samples)) for target in targets if target.scenario == scenario]


def _value(target: Target, samples: Sequence[Sample]) -> float | None:
    these = _by_round(target.this, samples)
    if target.that is None:
        return median(these.values()) if these else None
    those = _by_round(target.that, samples)
    both = [(these[number], those[number]) for number in these if number in those]
    if target.by == "difference":
        values = [this - that for this, that in both]
    else:
        values = [this / that for this, that in both if that > 0]
    return median(values) if values else None


def _by_round(at: At, samples: Iterable[Sample]) -> dict[int, float]:
    return {
        sample.round: sample.figures[at.figure]
        for sample in samples
        if sample.load == at.load and sample.subject == at.subject and at.figure in sample.figures
    }
