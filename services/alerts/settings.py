"""What the service may be told from outside, read once, at start."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hopsack.settings import ConfigError

LONGEST_ASK = 120.0
"""Seconds; the contract's bound of a question's ``timeout_s``."""

_NAME = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class AlertsSettings:
    """:ivar operator: who is on duty; empty: nobody. :ivar ask_s: seconds to wait for an answer.
    :ivar state: the file that outlasts a restart.
    """

    operator: str
    ask_s: float
    state: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], data: Path) -> AlertsSettings:
        """:param data: the folder for state. :raises ConfigError: a value cannot be right."""
        operator = environ.get("ALERTS_OPERATOR", "duty").strip()
        if operator and not _NAME.fullmatch(operator):
            raise ConfigError(f"ALERTS_OPERATOR={operator} is no name", "1 to 64 of a-z, 0-9 and _, or empty")
        state = environ.get("ALERTS_STATE", "").strip()
        return cls(
            operator, _seconds(environ.get("ALERTS_ASK_S", "").strip() or "60"), Path(state or data / "alerts.json")
        )


def _seconds(raw: str) -> float:
    try:
        seconds = float(raw)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_ASK:
        raise ConfigError(f"ALERTS_ASK_S={raw} is no waiting time", f"seconds, more than 0, at most {LONGEST_ASK:g}")
    return seconds
