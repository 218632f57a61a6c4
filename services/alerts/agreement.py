"""What the topic of standing alerts must be told, so that it says what the board says. Without I/O.

    told by the topic, standing on the board  ->  differences  ->  alerts to publish, ids to delete

The same for one alert that is raised or cleared, and for all that changed while the node, or the service, was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hopsack_contracts import Alert


@dataclass(frozen=True, slots=True)
class Put:
    """Publish this alert: the topic lacks it, or has it as it was."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete this key: its alert stands no more."""

    id: str


def differences(told: Mapping[str, Alert], standing: Iterable[Alert]) -> list[Put | Remove]:
    """What makes the topic agree with the board: first what is over, then what stands, oldest first.

    :param told: what the topic holds, by id.
    """
    wanted = {alert.id: alert for alert in standing}
    over: list[Put | Remove] = [Remove(id) for id in told if id not in wanted]
    return over + [Put(alert) for alert in wanted.values() if told.get(alert.id) != alert]
