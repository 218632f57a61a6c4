"""Logs of a service process: structlog in front, the standard library behind, one line per event on stderr.

    key=value in colours on a terminal, JSON in a pipe

Everything arrives there: ``Service.log``, :mod:`logging` of any library, and Twisted's logger.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import Processor

from hopsack.masking import masked

__all__ = ["logger", "set_up"]

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logger(name: str) -> BoundLogger:
    """A logger that takes facts as keyword arguments, and needs no set-up: without one they are ``extra`` fields."""
    wrapped: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=BoundLogger,
    )
    return wrapped


class _Masking(structlog.stdlib.ProcessorFormatter):
    """Writes no tokens."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def set_up(level: str, stream: TextIO = sys.stderr, **facts: Any) -> None:
    """Send everything to ``stream``. ``facts`` stand in every line.

    :param level: ``debug``, ``info`` or ``warning``.
    """

    def add_facts(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, **facts}

    render: list[Processor]
    if stream.isatty():
        # structlog would print the locals of every frame, payloads and tokens among them.
        render = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    formatter = _Masking(
        foreign_pre_chain=[*_SHARED, add_facts],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio announces its selector, websockets every frame: nobody asked.
    for noisy in ("asyncio", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
