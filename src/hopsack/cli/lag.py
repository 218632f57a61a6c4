"""How far a session is behind, in a person's words; the facts are ``LagInfo`` of ``hopsack.sessions.list``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopsack.cli.control import duration

Lag = Mapping[str, Any]

POLICIES = {
    "holding": "events wait",
    "following": "reads streams from the journal",
    "newest": "gets the newest values only",
    "dropping": "loses events",
}


def unsent(lag: Lag | None) -> str:
    """Bytes that wait for it: ``1.0 MiB``. Nothing for a session that is not behind."""
    if lag is None:
        return ""
    size = float(lag["unsent"])
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def behind(lag: Lag | None, now: float) -> str:
    """What is done about it, and for how long: ``reads streams from the journal, 12 s, 800 events behind``.

    :param now: seconds since the Unix epoch.
    """
    if lag is None:
        return ""
    policy = str(lag["policy"])
    words = [POLICIES.get(policy, policy)]
    if lag["since"] is not None:
        words.append(duration(now - lag["since"]))
    if lag["following"]:
        words.append(f"{sum(one['behind'] for one in lag['following'])} events behind")
    if lag["dropped"]:
        words.append(f"{lag['dropped']} lost")
    if lag["stalled_since"] is not None:
        words.append(f"takes nothing for {duration(now - lag['stalled_since'])}")
    return ", ".join(words)
