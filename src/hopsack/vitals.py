"""What every instance of a service answers without a line from its author: ping, info, stats, and drain.

    hopsack.service.{service}.{instance}.ping   -> who it is
    hopsack.service.{service}.{instance}.info   -> what it serves
    hopsack.service.{service}.{instance}.stats  -> how often, how well and how fast
    hopsack.service.{service}.{instance}.drain  -> it finishes what it has in hand and leaves

The shapes are those of NATS's service API (ADR-32: https://github.com/nats-io/nats-architecture-and-design), so that
who knows that one knows this; times are nanoseconds there. Pure: what it tells is handed in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hopsack.standing import Registration

__all__ = ["PREFIX", "UNKNOWN", "Draining", "Vitals", "version_of"]

PREFIX = "hopsack.service"

UNKNOWN = "0.0.0"
"""The version of a service that names none; ADR-32 wants one in the form of Semantic Versioning."""

_SHAPE = "io.nats.micro.v1.{}_response"
_NO_COMPONENT = re.compile(r"[^\w-]+")


class _Order(msgspec.Struct, frozen=True):
    seconds: float | None = None


class Draining(msgspec.Struct, frozen=True):
    """The answer to ``drain``: so many calls are finished first, in so many seconds at most."""

    name: str
    id: str
    in_hand: int
    seconds: float


class Vitals:
    """
    :ivar prefix: of what it serves.
    :param name: of the service. :param instance: tells it from others of the same name.
    :param started: Unix seconds.
    :param served: tells what it serves.
    :param drain: told to end, with the seconds for what is in hand or ``None``; what it answers.
    """

    def __init__(
        self,
        name: str,
        instance: str,
        version: str,
        description: str,
        started: float,
        served: Callable[[], Sequence[Registration]],
        drain: Callable[[float | None], Draining],
    ) -> None:
        self._who = {"name": name, "id": instance, "version": version, "metadata": {}}
        self._description = description
        self._started = datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "Z")
        self._served = served
        self._drain = drain
        self.instance = instance
        self.prefix = f"{PREFIX}.{_NO_COMPONENT.sub('_', name) or '_'}.{instance}"

    def procedures(self) -> Iterable[tuple[str, Callable[..., Any]]]:
        """URI and handler of each."""
        for handler in (self.ping, self.info, self.stats, self.drain):
            yield f"{self.prefix}.{handler.__name__}", handler

    def ping(self) -> dict[str, Any]:
        return {"type": _SHAPE.format("ping"), **self._who}

    def info(self) -> dict[str, Any]:
        endpoints = [{**self._endpoint(one), "metadata": {}} for one in self._endpoints()]
        shape = {"type": _SHAPE.format("info"), **self._who}
        return {**shape, "description": self._description, "endpoints": endpoints}

    def stats(self) -> dict[str, Any]:
        endpoints = [{**self._endpoint(one), **_counted(one)} for one in self._endpoints()]
        return {"type": _SHAPE.format("stats"), **self._who, "started": self._started, "endpoints": endpoints}

    def drain(self, order: _Order | None) -> Draining:
        return self._drain(order.seconds if order is not None else None)

    def _endpoints(self) -> list[Registration]:
        return [one for one in self._served() if not one.procedure.startswith(self.prefix)]

    def _endpoint(self, registration: Registration) -> dict[str, str]:
        name = getattr(registration.binding.function, "__name__", "handler")
        group = "" if registration.invoke == "single" else str(self._who["name"])
        return {"name": name, "subject": registration.procedure, "queue_group": group}


def _counted(registration: Registration) -> dict[str, Any]:
    tally = registration.tally
    nanoseconds = round(tally.seconds * 1e9)
    return {
        "num_requests": tally.requests,
        "num_errors": tally.errors,
        "last_error": tally.last_error,
        "processing_time": nanoseconds,
        "average_processing_time": nanoseconds // tally.requests if tally.requests else 0,
    }


def version_of(cls: type) -> str:
    """What a class says in ``version``, else ``__version__`` of its module or package, else :data:`UNKNOWN`."""
    given = getattr(cls, "version", "")
    if given:
        return str(given)
    name = cls.__module__
    while name:
        found = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(found, str):
            return found
        name = name.rpartition(".")[0]
    return UNKNOWN
