"""Every host's alerts, and what to do about them. No I/O: inputs in, effects out; the service does what is asked.

    Sampled, Described, Answered  ->  Board  ->  Describe, Raise, Clear, Ask

Time is the samples' time: what is due (to ask again, to describe again) is done at the next sample of that host. So
there is no timer, and no question about a host that is silent.

Bound: ``MOST_HOSTS`` hosts. A further one takes the place of the one that has been silent longest, whose alerts clear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from alerts.hysteresis import Calm, Standing, State, judge
from hopsack_contracts import Alert, AlertList, AlertMetric, AlertsBadHysteresis, AlertThreshold, HostDescription

MOST_HOSTS = 1000
ACKNOWLEDGE = "Acknowledge"
REMIND = "Remind me in 10 minutes"
CHOICES = (ACKNOWLEDGE, REMIND)
REMIND_AFTER = 600.0
"""Seconds until a person who saw the question is asked again."""
RETRY_AFTER = 60.0
"""Seconds until what found nobody (no page, no host service) is tried again."""

DEFAULTS: Mapping[AlertMetric, AlertThreshold] = {
    "cpu": AlertThreshold(metric="cpu", raise_at=90, clear_at=75, for_s=10),
    "memory": AlertThreshold(metric="memory", raise_at=90, clear_at=80, for_s=30),
    "disk": AlertThreshold(metric="disk", raise_at=90, clear_at=85, for_s=60),
}

_WORDS: Mapping[AlertMetric, str] = {"cpu": "CPU busy", "memory": "memory used", "disk": "root file system used"}
_LONGEST_MESSAGE = 1000
_LONGEST_ID = 255


# Effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Describe:
    """Find out what this host is made of. Answer: ``Described``."""

    host: str


@dataclass(frozen=True, slots=True)
class Raise:
    """Publish that this alert stands, or who has acknowledged it."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Clear:
    alert: Alert


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the person on duty. Answer: ``Answered``."""

    alert: Alert


Effect = Describe | Raise | Clear | Ask


# Inputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sampled:
    """:ivar at: seconds since the Unix epoch. :ivar values: percent, of the metrics that there are values of."""

    host: str
    at: float
    values: Mapping[AlertMetric, float]


@dataclass(frozen=True, slots=True)
class Described:
    """:ivar description: ``None`` where nobody could say."""

    host: str
    description: HostDescription | None


@dataclass(frozen=True, slots=True)
class Answered:
    """:ivar id: the alert's. :ivar choice: one of ``CHOICES``; anything else, or ``None``, is no answer.
    :ivar by: who answered; ``None`` where nobody was there to be asked.
    """

    id: str
    choice: str | None
    by: str | None


Input = Sampled | Described | Answered


@dataclass(slots=True)
class _Host:
    last: float
    states: dict[AlertMetric, State] = field(default_factory=dict)
    description: HostDescription | None = None
    describe_at: float = -math.inf


@dataclass(slots=True)
class _Standing:
    alert: Alert
    ask_at: float = -math.inf  # infinity while a question is on its way


class Board:
    """The alerts of all hosts.

    :param saved: what an earlier board's :meth:`listing` said; thresholds that it lacks are the defaults.
    :param asks: whether there is anybody to ask.
    """

    def __init__(self, saved: AlertList | None = None, *, asks: bool = True, most_hosts: int = MOST_HOSTS) -> None:
        self._asks = asks
        self._most_hosts = most_hosts
        self._thresholds = dict(DEFAULTS)
        self._hosts: dict[str, _Host] = {}
        self._standing: dict[tuple[str, AlertMetric], _Standing] = {}
        if saved is not None:
            self._thresholds |= {threshold.metric: threshold for threshold in saved.thresholds}
            for alert in saved.active:
                self._restore(alert)

    def _restore(self, alert: Alert) -> None:
        host = self._hosts.setdefault(alert.host, _Host(alert.at))
        host.states[alert.metric] = Standing()
        self._standing[alert.host, alert.metric] = _Standing(alert)

    def listing(self) -> AlertList:
        """The thresholds and the alerts that stand, oldest first."""
        active = sorted((standing.alert for standing in self._standing.values()), key=lambda alert: alert.at)
        return AlertList(thresholds=tuple(self._thresholds.values()), active=tuple(active))

    def set_threshold(self, threshold: AlertThreshold) -> None:
        """Take a threshold; the samples to come are judged by it.

        :raises AlertsBadHysteresis: it would clear at a value that raises it.
        """
        if threshold.clear_at >= threshold.raise_at:
            raise AlertsBadHysteresis(
                f"clear_at is {threshold.clear_at:g}, and raise_at {threshold.raise_at:g}",
                path="/clear_at",
                advice=f"choose a clear_at below {threshold.raise_at:g}",
            )
        self._thresholds[threshold.metric] = threshold

    def receive(self, seen: Input) -> list[Effect]:
        match seen:
            case Sampled():
                return self._sampled(seen)
            case Described(name, description):
                if (host := self._hosts.get(name)) is not None:
                    host.description = description
                    host.describe_at = math.inf if description else host.last + RETRY_AFTER
                return []
            case Answered():
                return self._answered(seen)
        assert_never(seen)

    def _sampled(self, seen: Sampled) -> list[Effect]:
        effects: list[Effect] = []
        host = self._hosts.get(seen.host)
        if host is None:
            effects += self._make_room()
            host = self._hosts[seen.host] = _Host(seen.at)
        host.last = seen.at
        if host.describe_at <= seen.at:
            host.describe_at = math.inf
            effects.append(Describe(seen.host))
        for metric, value in seen.values.items():
            was = host.states.get(metric, Calm())
            now = host.states[metric] = judge(was, self._thresholds[metric], value, seen.at)
            if isinstance(now, Standing) and not isinstance(was, Standing):
                effects.append(self._raise(seen, metric, value))
            elif isinstance(was, Standing) and not isinstance(now, Standing):
                effects.append(self._clear(seen.host, metric, value, seen.at))
        return effects + list(self._questions(seen.host, seen.at))

    def _raise(self, seen: Sampled, metric: AlertMetric, value: float) -> Effect:
        threshold = self._thresholds[metric]
        duration = f" for {threshold.for_s:g} s" if threshold.for_s else ""
        text = f"{_WORDS[metric]} at or above {threshold.raise_at:g} %{duration}, now {value:.1f} %"
        alert = Alert(
            id=f"{metric}/{seen.at:.3f}/{seen.host}"[:_LONGEST_ID],
            host=seen.host,
            metric=metric,
            value=value,
            threshold=threshold,
            at=seen.at,
            message=self._message(seen.host, text),
            acknowledged_by=None,
            cleared_at=None,
        )
        self._standing[seen.host, metric] = _Standing(alert)
        return Raise(alert)

    def _clear(self, host: str, metric: AlertMetric, value: float, at: float, text: str | None = None) -> Effect:
        alert = self._standing.pop((host, metric)).alert
        threshold = self._thresholds[metric]  # as it is now: that is what the value was judged by
        text = text or f"{_WORDS[metric]} at or below {threshold.clear_at:g} % again, now {value:.1f} %"
        message = self._message(host, text)
        return Clear(replace(alert, value=value, threshold=threshold, message=message, cleared_at=at))

    def _questions(self, host: str, at: float) -> Iterable[Effect]:
        for metric in self._thresholds if self._asks else ():
            standing = self._standing.get((host, metric))
            if standing is not None and standing.alert.acknowledged_by is None and standing.ask_at <= at:
                standing.ask_at = math.inf
                yield Ask(standing.alert)

    def _answered(self, seen: Answered) -> list[Effect]:
        standing = next((one for one in self._standing.values() if one.alert.id == seen.id), None)
        if standing is None:
            return []  # cleared while the question was open
        if seen.choice == ACKNOWLEDGE and seen.by is not None:
            standing.alert = replace(standing.alert, acknowledged_by=seen.by)
            return [Raise(standing.alert)]
        delay = RETRY_AFTER if seen.by is None else REMIND_AFTER
        standing.ask_at = self._hosts[standing.alert.host].last + delay
        return []

    def _make_room(self) -> list[Effect]:
        if len(self._hosts) < self._most_hosts:
            return []
        name = min(self._hosts, key=lambda host: self._hosts[host].last)
        at = self._hosts[name].last
        effects: list[Effect] = [
            self._clear(name, metric, standing.alert.value, at, "has been silent and is no longer watched")
            for (host, metric), standing in list(self._standing.items())
            if host == name
        ]
        del self._hosts[name]
        return effects

    def _message(self, host: str, text: str) -> str:
        made = self._hosts[host].description
        name = f"{host} ({made.system} {made.machine}, {made.cpus} cores)" if made else host
        return f"{name}: {text}"[:_LONGEST_MESSAGE]
