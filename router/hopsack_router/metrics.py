"""The node's counters, in a registry of their own. Labels are few and bounded: doors, message types, codes,
procedures as they are declared."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Family = CounterMetricFamily | GaugeMetricFamily

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # CPU seconds, resident memory, open files: what says that a core is full


class Tally:
    """One number on a hot path, counted by adding to ``n``: only the reactor's thread counts, so no lock is needed."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Tallies(Collector):
    """A metric with one label whose values are :class:`Tally`: a counter, or a gauge."""

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        registry: CollectorRegistry,
        family: type[Family] = CounterMetricFamily,
    ) -> None:
        self._head = (name, documentation, label)
        self._family = family
        self._tallies: dict[str, Tally] = {}
        registry.register(self)

    def tally(self, value: str) -> Tally:
        """The tally of one value of the label, the same each time."""
        return self._tallies.setdefault(value, Tally())

    def collect(self) -> Iterator[Family]:
        name, documentation, label = self._head
        family = self._family(name, documentation, labels=[label])
        for value, tally in self._tallies.items():
            family.add_metric([value], tally.n)
        yield family


sessions = Tallies("hopsack_sessions", "Sessions in the realm", "door", REGISTRY, GaugeMetricFamily)
joins = Tallies("hopsack_joins", "Sessions that joined", "door", REGISTRY)
calls = Tallies("hopsack_calls", "Calls, by procedure as declared", "procedure", REGISTRY)
retries = Tallies("hopsack_retries", "Further tries of calls that failed", "procedure", REGISTRY)
breakers = Tallies("hopsack_breakers_opened", "How often a breaker has opened", "procedure", REGISTRY)
waiting = Tallies(
    "hopsack_calls_waiting", "Calls that wait for a callee, or for room", "procedure", REGISTRY, GaugeMetricFamily
)
messages = Tallies("hopsack_messages", "WAMP messages received, by type", "type", REGISTRY)
deliveries = Counter("hopsack_deliveries", "Events queued for a subscriber", registry=REGISTRY)
refusals = Counter("hopsack_refusals", "Messages refused, by error code", ["code"], registry=REGISTRY)
overflows = Counter(
    "hopsack_overflows", "Connections closed because they read too slowly", ["door", "why"], registry=REGISTRY
)
lagging = Tallies(
    "hopsack_lagging", "Connections that read more slowly than is sent", "door", REGISTRY, GaugeMetricFamily
)
dropped = Counter("hopsack_dropped", "Events that slow readers were told are gone", registry=REGISTRY)
refused_connections = Counter(
    "hopsack_refused_connections", "Connections of an address that has too many", registry=REGISTRY
)
limited = Tallies("hopsack_limited", "Requests refused and events dropped because of a limit", "limit", REGISTRY)
floods = Counter(
    "hopsack_floods", "Connections closed because they went on beyond a limit", ["door"], registry=REGISTRY
)
oversized = Counter("hopsack_oversized", "Messages too large for their receiver", ["door"], registry=REGISTRY)
