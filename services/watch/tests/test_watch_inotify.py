from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from watch.inotify import IN_CREATE, IN_Q_OVERFLOW, Record, parse


def packed(record: Record) -> bytes:
    """As the kernel writes it: the name ends in NUL and is padded to a multiple of the header's size."""
    name = record.name.encode("utf-8", "surrogateescape")
    padded = name + b"\0" * (16 - len(name) % 16) if name else b""
    return struct.pack("=iIII", record.watch, record.mask, record.cookie, len(padded)) + padded


def test_records_as_the_kernel_writes_them() -> None:
    records = (Record(1, IN_CREATE, 0, "a"), Record(-1, IN_Q_OVERFLOW, 0, ""), Record(2, IN_CREATE, 7, "caf\udce9\n"))

    assert parse(b"".join(packed(record) for record in records)) == records


def test_nothing_is_no_record() -> None:
    assert parse(b"") == ()


_names = st.binary(max_size=255).map(lambda name: name.replace(b"\0", b"-").decode("utf-8", "surrogateescape"))
_records = st.builds(Record, st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), _names)


@given(st.lists(_records))
def test_any_records_come_back(records: list[Record]) -> None:
    assert parse(b"".join(packed(record) for record in records)) == tuple(records)
