"""Rates and levels as people write them: ``500/s``, ``10/min burst 20``, ``8 MiB/s burst 64 MiB``, ``250``, ``none``.

Pure functions for ``HOPSACK_LIMITS``, ``hopsack limits`` and the reference of limits.
"""

from __future__ import annotations

import re

__all__ = ["Value", "read", "write"]

Value = tuple[float | None, float | None]
"""A rate, in a second, and a burst; a level has no rate, ``none`` has neither, and a burst may be left open."""

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_UNITS = {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}
_SHAPE = re.compile(
    r"(?P<many>[0-9]{1,12}(\.[0-9]{1,3})?) ?(?P<unit>[KMG]iB)?"
    r"(/(?P<per>s|min|h)( burst (?P<burst>[0-9]{1,12}) ?(?P<burst_unit>[KMG]iB)?)?)?"
)


def read(text: str) -> Value:
    """
    :raises ValueError: it is none of these.
    """
    if text == "none":
        return None, None
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:100]} is neither a rate, such as 500/s or 10/min burst 20, nor a level, such as 250")
    many = float(found["many"]) * (1 << _UNITS[found["unit"]])
    if found["per"] is None:
        return None, many
    burst = None if found["burst"] is None else float(found["burst"]) * (1 << _UNITS[found["burst_unit"]])
    return many / _SECONDS[found["per"]], burst


def write(rate: float | None, burst: float | None, in_bytes: bool = False) -> str:
    """
    :param in_bytes: whether bytes are counted.
    """
    if rate is None:
        return "none" if burst is None else _number(burst, in_bytes)
    per, seconds = next(((per, many) for per, many in _SECONDS.items() if rate * many >= 1 or not rate), ("h", 3600))
    written = f"{_number(rate * seconds, in_bytes)}/{per}"
    return written if burst is None else f"{written} burst {_number(burst, in_bytes)}"


def _number(number: float, in_bytes: bool) -> str:
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)) if in_bytes else ():
        if number >= 1 << bits and number % (1 << bits) == 0:
            return f"{int(number) >> bits} {unit}"
    return f"{round(number, 3):.12g}"
