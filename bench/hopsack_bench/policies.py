"""What the node does about calls: what that costs it, and what becomes of calls whose callees are not equally fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from hopsack.tokens import mint
from hopsack_bench import rpc
from hopsack_bench.peers import BENCH
from hopsack_bench.samples import Sample
from hopsack_bench.servers import Broken, Place
from hopsack_bench.stage import Stage

PROGRAM = BENCH / "load" / "policies.py"
MANY = "64 in flight"
PLAIN, OWN, GUARDED, SHARDED = "plain", "own-deadlines", "guarded", "sharded"


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls of one kind.

    :ivar own: whether each has a deadline of its own, as calls have that handlers make.
    """

    title: str
    procedure: str
    own: bool = False


KINDS: Mapping[str, Kind] = {
    PLAIN: Kind("Plain calls, each with a deadline", "bench.plain"),
    OWN: Kind("The same, all with different deadlines", "bench.plain", own=True),
    GUARDED: Kind("With retry, breaker, concurrency and queue", "bench.guarded"),
    SHARDED: Kind("Sharded by a field of the input", "bench.sharded"),
}
SHARES: Mapping[str, Kind] = {
    "least": Kind("least", "bench.by.least"),
    "turns": Kind("by turns (round robin)", "bench.by.turns"),
}


class Shared(msgspec.Struct, frozen=True):
    """What a caller saw of callees that share its calls. ``slow``: the part that the slow one had."""

    calls: int
    p50_us: float
    p99_us: float
    p999_us: float
    slow: float


def measure_cost(stage: Stage, name: str, number: int, seconds: float) -> Iterator[Sample]:
    """CPU of the node for one kind of call.

    :raises Broken: the node or the program failed.
    """
    kind, place = KINDS[name], stage.server("hopsack")
    with rpc.spawned(stage.cores.load, PROGRAM, *_who(place)) as program:
        words = f"cost {kind.procedure} {rpc.IN_FLIGHT} {{}} {int(kind.own)}"
        rpc.ask(program, words.format(min(seconds, rpc.WARM_UP_SECONDS)), rpc.Called)
        meter = stage.meter(place)
        called = rpc.ask(program, words.format(seconds), rpc.Called)
        spent = meter.since()
    if not called.calls:
        raise Broken("no call was answered")
    figures = {
        "cpu_us": spent.cpu / called.calls * 1e6,
        "per_second": called.calls / called.seconds,
        "p50_ms": called.p50_us / 1e3,
        "p99_ms": called.p99_us / 1e3,
        "server": spent.share,
        "others": spent.others,
    }
    yield Sample(MANY, name, number, figures)


def measure_share(stage: Stage, name: str, number: int, rate: float, seconds: float) -> Iterator[Sample]:
    """Four callees, one of them slow, that share calls by one policy.

    :raises Broken: the node or the program failed.
    """
    place = stage.server("hopsack")
    with rpc.spawned(stage.cores.load, PROGRAM, *_who(place)) as program:
        shared = rpc.ask(program, f"share {SHARES[name].procedure} {rate} {seconds}", Shared)
    figures = {
        "p50_ms": shared.p50_us / 1e3,
        "p99_ms": shared.p99_us / 1e3,
        "p999_ms": shared.p999_us / 1e3,
        "slow": shared.slow,
    }
    yield Sample(words_of(rate), name, number, figures)


def words_of(rate: float) -> str:
    return f"{rate:,.0f} calls a second"


def _who(place: Place) -> tuple[str, str]:
    return f"tcp://127.0.0.1:{place.ports['rawsocket']}", mint(place.secret, sub="bench", role="service")
