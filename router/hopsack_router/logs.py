"""The node's log: one line an event on stderr, for people on a terminal and as JSON in a pipe, without tokens.

Crossbar and Autobahn speak only from ``warn`` up: their ``info`` prints several lines per session that joins, with
its details. What they would format is then never formatted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import structlog
import txaio
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from hopsack.masking import masked

_LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warning": LogLevel.warn}
_FOREIGN = ("crossbar", "autobahn", "twisted", "txaio", "log_legacy", "-")


def begin(level: str) -> None:
    """Start logging to stderr.

    :param level: ``debug``, ``info`` or ``warning``.
    """
    txaio.set_global_log_level("debug" if level == "debug" else "warn")
    globalLogBeginner.beginLoggingTo(
        [Observer(_LEVELS[level], _renderer(), sys.stderr.write)], redirectStandardIO=False
    )


def _renderer() -> Callable[..., Any]:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(pad_event_to=0)
    return structlog.processors.JSONRenderer(sort_keys=False)


@implementer(ILogObserver)
class Observer:
    """Writes the events that are loud enough.

    :param level: the quietest level of ours that is written.
    :param render: a structlog renderer.
    :param write: takes a line with its line feed.
    """

    def __init__(self, level: Any, render: Callable[..., Any], write: Callable[[str], object]) -> None:
        self._level = level
        self._foreign = max(level, LogLevel.warn)
        self._render = render
        self._write = write
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def __call__(self, event: dict[str, Any]) -> None:
        namespace = event.get("log_namespace") or "-"
        level = event.get("log_level") or LogLevel.info
        if level < (self._foreign if namespace.startswith(_FOREIGN) else self._level):
            return
        line: dict[str, Any] = {"level": level.name, "event": formatEvent(event), "logger": namespace}
        failure = event.get("log_failure")
        if failure is not None:
            line["exception"] = failure.getTraceback()
        self._write(masked(f"{self._render(None, level.name, self._stamp(None, '', line))}\n"))
