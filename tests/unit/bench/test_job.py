"""The job file, and what is read from the answers."""

from __future__ import annotations

import msgspec
import pytest

from hopsack_bench.job import Delivered, Failed, Job, encode
from hopsack_bench.wire import Publisher, Step


def netstrings(data: bytes) -> list[bytes]:
    items = []
    while data:
        size, _, rest = data.partition(b":")
        assert rest[int(size) : int(size) + 1] == b","
        items.append(rest[: int(size)])
        data = rest[int(size) + 1 :]
    return items


def test_a_job_is_a_list_of_netstrings() -> None:
    publisher = Publisher(81, (Step(b"hi", b"ho"),), b"t@ns=0000000000000000000", 5, None)
    job = Job(80, 500, [(Step(b"a,b:", b"c"), Step(b"", b"d"))], audience=500, open_seconds=1.5, publisher=publisher)

    items = netstrings(encode(job))

    assert items[:8] == [b"500", b"127.0.0.1", b"80", b"1", b"64", b"1500", b"500", b"1"]
    assert items[8:13] == [b"2", b"a,b:", b"c", b"", b"d"]
    assert items[13:] == [b"81", b"1", b"hi", b"ho", publisher.template, b"5", b"-1"]


def test_a_job_without_a_publisher_names_port_0() -> None:
    assert netstrings(encode(Job(80, 1, [()])))[-5:] == [b"0", b"0", b"", b"0", b"-1"]


def test_a_failure_is_not_taken_for_a_result() -> None:
    line = b'{"error": "only 3 of 5 readers were open"}'

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=Delivered)
    assert msgspec.json.decode(line, type=Failed).error.startswith("only 3")
