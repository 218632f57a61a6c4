"""What ``load/readers.c`` is told and what it answers. Pure.

A job is a list of netstrings (D. J. Bernstein, 1997) in the order in which the program reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from hopsack_bench.wire import Publisher, Script


class Opened(msgspec.Struct, frozen=True):
    """All readers are open. Times are from the start of a connection to the end of its opening."""

    opened: int
    seconds: float
    p50_us: float
    p99_us: float


class Delivered(msgspec.Struct, frozen=True):
    """What came of one load.

    :ivar seconds: from when the first event was due to the last delivery, or to the end of the grace.
    :ivar sent: events that the server's socket took.
    :ivar closed: readers that the server has closed.
    :ivar late_us: by how much the publisher was behind its times, at most. Latencies include it.
    :ivar cpu: seconds of CPU that readers and publisher took.
    """

    deliveries: int
    expected: int
    sent: int
    closed: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    late_us: float
    cpu: float
    bytes: int


class Failed(msgspec.Struct, frozen=True):
    error: str


@dataclass(frozen=True, slots=True)
class Job:
    """Readers and perhaps a publisher.

    :ivar scripts: reader ``n`` plays script ``n`` modulo their number.
    :ivar window: readers that may be opening at the same time.
    :ivar audience: deliveries that one event makes.
    """

    port: int
    readers: int
    scripts: Sequence[Script]
    audience: int = 0
    websocket: bool = True
    window: int = 64
    open_seconds: float = 60.0
    publisher: Publisher | None = None
    host: str = "127.0.0.1"


def encode(job: Job) -> bytes:
    """The job file."""
    return b"".join(b"%d:%s," % (len(item), item) for item in _items(job))


def _items(job: Job) -> Iterator[bytes]:
    yield b"%d" % job.readers
    yield job.host.encode()
    for number in (job.port, job.websocket, job.window, round(job.open_seconds * 1000), job.audience, len(job.scripts)):
        yield b"%d" % number
    for script in job.scripts:
        yield from _script(script)
    publisher = job.publisher or Publisher(0, (), b"", 0, None)
    yield b"%d" % publisher.port
    yield from _script(publisher.script)
    yield publisher.template
    yield b"%d" % publisher.at
    yield b"%d" % (-1 if publisher.sequence is None else publisher.sequence)


def _script(script: Script) -> Iterator[bytes]:
    yield b"%d" % len(script)
    for step in script:
        yield step.send
        yield step.expect
