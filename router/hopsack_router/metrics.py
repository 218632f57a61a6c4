"""The node's counters, in a registry of their own. Labels are few and bounded: doors, message types, codes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

sessions = Gauge("hopsack_sessions", "Sessions in the realm", ["door"], registry=REGISTRY)
joins = Counter("hopsack_joins", "Sessions that joined", ["door"], registry=REGISTRY)
messages = Counter("hopsack_messages", "WAMP messages received, by type", ["type"], registry=REGISTRY)
deliveries = Counter("hopsack_deliveries", "Events queued for a subscriber", registry=REGISTRY)
refusals = Counter("hopsack_refusals", "Messages refused, by error code", ["code"], registry=REGISTRY)
overflows = Counter("hopsack_overflows", "Connections closed because they read too slowly", ["door"], registry=REGISTRY)
oversized = Counter("hopsack_oversized", "Messages too large for their receiver", ["door"], registry=REGISTRY)
