"""The scenarios: what is asked of whom, which figures are shown, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from hopsack_bench import chaos, costs, events, joins, journal, library, policies, recovery, rpc, slow, storm
from hopsack_bench.costs import Crowd
from hopsack_bench.events import Load
from hopsack_bench.samples import Figure, Sample
from hopsack_bench.stage import Stage
from hopsack_bench.subjects import SUBJECTS


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for.

    :ivar seconds: how long one load lasts.
    :ivar idle: connections whose memory is measured.
    :ivar rate: events a second where one event's cost is measured.
    :ivar calls_rate: calls a second that callees share.
    :ivar counts: whether the figures mean anything.
    """

    rounds: int
    seconds: float
    fanout: tuple[Load, ...]
    burst: Load
    latency: Load
    joins: int
    idle: int
    rate: float
    calls_rate: float
    crowd: Crowd
    recovery: recovery.Plan
    chaos: chaos.Plan
    storms: tuple[storm.Storm, ...]
    stall: slow.Stall
    slow: slow.Slow
    counts: bool


FULL = Size(
    rounds=3,
    seconds=4.0,
    fanout=(Load(500, 20), Load(500, 100)),
    burst=Load(100, 6000),
    latency=Load(100, 1000),
    joins=2000,
    idle=10_000,
    rate=2000,
    calls_rate=200,
    crowd=costs.CROWD,
    recovery=recovery.Plan(kills=20, readers=2, rate=60, quiet=2.0),
    chaos=chaos.Plan(kills=30, callees=3, holders=4, callers=2, calm=6.0, wild=12.0),
    storms=(
        *(storm.Storm(2000, 100, how) for how in ("reset", "SIGTERM", "SIGKILL")),
        *(storm.Storm(5000, 100, how) for how in ("reset", "at once")),
    ),
    stall=slow.Stall(50_000, 10),
    slow=slow.Slow(Load(500, 20), stalled=50, flood=6000),
    counts=True,
)
"""What the figures in docs and targets were made with."""

QUICK = Size(
    rounds=1,
    seconds=0.3,
    fanout=(Load(20, 20), Load(20, 100)),
    burst=Load(10, 1000),
    latency=Load(10, 200),
    joins=40,
    idle=100,
    rate=200,
    calls_rate=100,
    crowd=Crowd(10, 10, 10),
    recovery=recovery.Plan(kills=3, readers=1, rate=30, quiet=0.5, gentle=2),
    chaos=chaos.Plan(kills=2, callees=2, holders=2, callers=1, calm=1.0, wild=4.0, gentle=2, grace=2.0),
    storms=(storm.Storm(50, 20, "at once"), storm.Storm(50, 20, "SIGTERM")),
    stall=slow.Stall(5000, 2),
    slow=slow.Slow(Load(20, 20), stalled=5, flood=6000),
    counts=False,
)
"""Shows in a few seconds that everything works."""

Run = Callable[[Stage, str, int], Iterator[Sample]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table.

    :ivar per: what the main figure, CPU of the server, is told for.
    :ivar main: the figure that ratios are made of.
    :ivar versus: the subjects that every other is compared with, with a short name for the column.
    :ivar subjects: all that take part, with the name of each one's server and its title.
    :ivar is_promise: it shows what docs/guarantees.md promises, where its figures stand, and has no chart.
    :ivar is_once: it is no comparison, and has one round.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    versus: Mapping[str, str]
    subjects: Mapping[str, tuple[str, str]]
    run: Callable[[Size], Run]
    main: str = "cpu_us"
    is_promise: bool = False
    is_once: bool = False


_WAITS = (Figure("p50_ms", "p50 ms", "time"), Figure("p99_ms", "p99 ms", "time"), Figure("p999_ms", "p99.9 ms", "time"))
_CORE = (Figure("server", "its core", "part"), Figure("others", "others there", "part"))
_EVENTS = (
    Figure("cpu_us", "CPU µs per delivery", "us"),
    Figure("per_second", "deliveries/s", "count"),
    *_WAITS,
    Figure("delivered", "delivered", "part"),
    *_CORE,
    Figure("readers", "readers' core", "part"),
)
_CALLS = (
    Figure("cpu_us", "CPU µs per call", "us"),
    Figure("per_second", "calls/s", "count"),
    *_WAITS,
    Figure("caller_us", "caller µs", "us"),
    Figure("callee_us", "callee µs", "us"),
    *_CORE,
)
_SIDES = (Figure("cpu_us", "CPU µs", "us"), Figure("per_second", "per second", "count"), *_WAITS[:2])
_JOINS = (
    Figure("cpu_us", "CPU µs per join", "us"),
    Figure("per_second", "joins/s", "count"),
    *_WAITS[:2],
    Figure("leave_us", "CPU µs per leave", "us"),
    *_CORE,
    Figure("readers", "readers' core", "part"),
)
_MEMORY = (Figure("kib", "KiB per connection", "kib"), Figure("server_mib", "server MiB", "plain"))
_COST = (Figure("cpu_us", "CPU µs", "us"),)
_POLICIES = (
    Figure("cpu_us", "CPU µs per call", "us"),
    Figure("per_second", "calls/s", "count"),
    *_WAITS[:2],
    *_CORE,
)
_SHARES = (*_WAITS, Figure("slow", "of the slow one", "part"))
_JOURNAL = (Figure("cpu_us", "CPU µs per event", "us"), Figure("per_second", "events/s", "count"), *_WAITS[:2])
_RECOVERY = (
    Figure("acknowledged", "events acknowledged", "count"),
    Figure("deliveries", "deliveries", "count"),
    Figure("kinds", "kinds of readers", "count"),
    Figure("visits", "connections", "count"),
    Figure("disturbances", "disturbances", "count"),
    Figure("lost", "lost", "count"),
    Figure("doubled", "doubled", "count"),
    Figure("wrong", "otherwise wrong", "count"),
    Figure("values", "newest values acknowledged", "count"),
    Figure("maps", "maps filled", "count"),
    Figure("maps_wrong", "maps wrong", "count"),
    Figure("ready_s", "s to ready", "time"),
    Figure("level_s", "s to level, p50", "time"),
    Figure("level_max_s", "s to level, max", "time"),
)
_CHAOS = (
    Figure("calls", "calls", "count"),
    Figure("executions", "executions", "count"),
    Figure("grants", "locks held", "count"),
    Figure("disturbances", "disturbances", "count"),
    Figure("violations", "violations", "count"),
    Figure("late_ms", "latest end, ms after its deadline", "time"),
    Figure("calm_p99_ms", "p99 ms of who is left alone, calm", "time"),
    Figure("wild_p99_ms", "disturbed", "time"),
    Figure("ratio", "ratio", "time"),
)
_STORM = (
    Figure("ready_s", "s until it is ready", "time"),
    Figure("level_s", "s to level, p50", "time"),
    Figure("level_p99_s", "p99", "time"),
    Figure("level_max_s", "all", "time"),
    Figure("busiest", "busiest 100 ms", "part"),
    Figure("lost", "lost", "count"),
    Figure("wrong", "otherwise wrong", "count"),
    Figure("before_mib", "node MiB, empty", "plain"),
    Figure("there_mib", "with readers", "plain"),
    Figure("peak_mib", "peak of the storm", "plain"),
    Figure("after_mib", "after it", "plain"),
)
_STALL = (
    Figure("each_mib", "MiB for each", "time"),
    Figure("growth_mib", "node grows by MiB", "time"),
    Figure("alone_mib", "without them", "time"),
    Figure("read_s", "s to read all", "time"),
    Figure("visits", "connections", "count"),
    Figure("lost", "lost", "count"),
    Figure("wrong", "otherwise wrong", "count"),
)
_SLOW = (
    Figure("p99_ms", "p99 ms", "time"),
    Figure("p50_ms", "p50 ms", "time"),
    Figure("cpu_us", "CPU µs per delivery", "us"),
    Figure("delivered", "delivered", "part"),
    *_CORE,
)

_DOORS = ("hopsack-raw", "hopsack-json", "hopsack-msgpack", "stock-json", "stock-msgpack", "floor")
_STALLED = {"raw": "raw", "sse": "SSE", "websocket": "WAMP over WebSocket", "rawsocket": "WAMP over RawSocket"}
_PEERS = ("nats-ws", "nats-tcp", "nchan", "ws", "socketio")
_TO_PEERS = {"floor": "floor", "stock-json": "stock", "nchan": "nchan", "nats-ws": "nats"}


def _events(*names: str) -> Mapping[str, tuple[str, str]]:
    return {name: (SUBJECTS[name].peer, SUBJECTS[name].title) for name in names}


def _pairs(*names: str) -> Mapping[str, tuple[str, str]]:
    return {name: (rpc.PAIRS[name].peer, rpc.PAIRS[name].title) for name in names}


_ROWS = (
    Scenario(
        "fanout",
        "Fan-out: one publisher, 500 readers, 200-byte events",
        _EVENTS,
        _TO_PEERS,
        _events(*_DOORS, *_PEERS),
        lambda size: partial(events.measure, loads=size.fanout, seconds=size.seconds),
    ),
    Scenario(
        "burst",
        "Burst: one publisher, 100 readers, as fast as 6,000 events a second",
        _EVENTS,
        _TO_PEERS,
        _events(*_DOORS, "floor-turn", *_PEERS[:-1]),
        lambda size: partial(events.measure, loads=(size.burst,), seconds=size.seconds),
    ),
    Scenario(
        "latency",
        "Latency: one publisher, 100 readers, 1,000 events a second",
        _EVENTS,
        _TO_PEERS,
        _events(*_DOORS, *_PEERS),
        lambda size: partial(events.measure, loads=(size.latency,), seconds=size.seconds),
    ),
    Scenario(
        "rpc",
        "Calls of 200 bytes: the server on one core, caller and callee on the other",
        _CALLS,
        {"stock": "stock", "nats": "nats"},
        _pairs("hopsack", "hopsack-autobahn", "stock-sdk", "stock", "nats"),
        lambda size: partial(rpc.measure, seconds=size.seconds),
    ),
    Scenario(
        "sdk",
        "The library: CPU of a program for a call or event of 200 bytes, at the same node",
        _SIDES,
        {"hopsack-autobahn": "Autobahn"},
        _pairs("hopsack", "hopsack-autobahn"),
        lambda size: partial(library.measure, seconds=size.seconds),
    ),
    Scenario(
        "connect",
        "Joining: sessions open and log in, 64 at a time",
        _JOINS,
        {"stock-json": "stock", "nats-ws": "nats"},
        _events("hopsack-raw", "hopsack-json", "stock-json", "nats-ws", "nchan", "ws", "socketio"),
        lambda size: partial(joins.measure_joins, count=size.joins),
    ),
    Scenario(
        "memory",
        "Memory: resident bytes per idle connection",
        _MEMORY,
        {"stock-json": "stock", "ws": "ws"},
        _events("hopsack-raw", "hopsack-json", "stock-json", "nats-ws", "nchan", "ws", "socketio"),
        lambda size: partial(joins.measure_memory, count=size.idle),
        main="kib",
    ),
    Scenario(
        "validation",
        "Validation: the node with contracts and without, per event and per call",
        _COST,
        {"hopsack-open": "unchecked"},
        {"hopsack": ("hopsack", "Hopsack"), "hopsack-open": ("hopsack-open", "Hopsack, unchecked")},
        lambda size: partial(costs.measure_validation, rate=size.rate, seconds=size.seconds),
    ),
    Scenario(
        "policies",
        "Calls: what deadlines, retry, breakers, limits and shards cost the node, per call of 200 bytes",
        _POLICIES,
        {policies.PLAIN: "plain"},
        {name: ("hopsack", kind.title) for name, kind in policies.KINDS.items()},
        lambda size: partial(policies.measure_cost, seconds=size.seconds),
    ),
    Scenario(
        "least",
        "Calls shared by four callees, three of which take 2 ms and one 500",
        _SHARES,
        {"turns": "turns"},
        {name: ("hopsack", kind.title) for name, kind in policies.SHARES.items()},
        lambda size: partial(policies.measure_share, rate=size.calls_rate, seconds=2 * size.seconds),
        main="p99_ms",
    ),
    Scenario(
        "crowd",
        "Crowd: one event to 10 readers, with ten times as many sessions, topics or patterns around",
        _COST,
        {},
        _events("hopsack-raw", "hopsack-json", "stock-json"),
        lambda size: partial(costs.measure_crowd, crowd=size.crowd, rate=size.rate / 2, seconds=size.seconds),
    ),
    Scenario(
        "journal",
        "The journal: events of 200 bytes in ten streams, written and read back",
        _JOURNAL,
        {"jetstream": "jetstream"},
        {name: (kind.peer, kind.title) for name, kind in journal.KINDS.items()},
        lambda size: partial(journal.measure, seconds=size.seconds),
    ),
    Scenario(
        "recovery",
        "Recovery: writers and readers on every door, disturbed, and the node killed",
        _RECOVERY,
        {},
        {"hopsack": ("hopsack", "Hopsack")},
        lambda size: partial(recovery.measure, plan=size.recovery),
        main="acknowledged",
        is_promise=True,
        is_once=True,
    ),
    Scenario(
        "chaos",
        "Chaos: callers on every door, callees that stall and crash, holders of locks, and the node killed",
        _CHAOS,
        {},
        {"hopsack": ("hopsack", "Hopsack")},
        lambda size: partial(chaos.measure, plan=size.chaos),
        main="calls",
        is_promise=True,
        is_once=True,
    ),
    Scenario(
        "storm",
        "Storm: all readers of the raw door lose their connections, and come back for what they missed",
        _STORM,
        {},
        _events("hopsack-raw"),
        lambda size: partial(storm.measure, storms=size.storms),
        main="level_s",
        is_promise=True,
    ),
    Scenario(
        "stall",
        "Stall: readers stop while a stream goes on, and read all of it in the end",
        _STALL,
        {},
        {f"hopsack-{door}": ("hopsack", f"Hopsack, {words}") for door, words in _STALLED.items()},
        lambda size: partial(slow.measure_stall, stall=size.stall),
        main="each_mib",
        is_promise=True,
    ),
    Scenario(
        "slow",
        "Slow readers: what the others notice of those that have stopped reading",
        _SLOW,
        {},
        _events("hopsack-raw"),
        lambda size: partial(slow.measure_slow, slow=size.slow, seconds=size.seconds),
        main="p99_ms",
        is_promise=True,
    ),
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ROWS}
