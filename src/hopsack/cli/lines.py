"""A program's log line as a person reads it. In a pipe and in the log files lines stay as they were written."""

from __future__ import annotations

import json
from typing import Any

import click

from hopsack.cli.output import plain

_COLOURS = {"warn": "yellow", "warning": "yellow", "error": "red", "critical": "red"}
_KNOWN_ELSEWHERE = frozenset({"event", "level", "timestamp", "logger", "service", "exception"})
"""Fields that are shown in another way, or that the line's prefix tells already."""


def readable(text: str) -> list[str]:
    """The lines to show for one line: a JSON log line becomes ``event  key=value``, with its traceback below."""
    facts = _facts(text)
    if facts is None:
        return [plain(text)]
    level = str(facts.get("level", "info"))
    details = "  ".join(f"{key}={_value(value)}" for key, value in facts.items() if key not in _KNOWN_ELSEWHERE)
    event, *more = str(facts["event"]).splitlines() or [""]
    if level in _COLOURS:
        event = click.style(f"{level}: {plain(event)}", fg=_COLOURS[level])
    elif level == "debug":
        event = click.style(plain(event), dim=True)
    else:
        event = plain(event)
    head = event + (f"  {click.style(plain(details), dim=True)}" if details else "")
    return [head, *(f"  {plain(line)}" for line in (*more, *str(facts.get("exception") or "").splitlines()))]


def _facts(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and isinstance(facts.get("event"), str) else None


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
