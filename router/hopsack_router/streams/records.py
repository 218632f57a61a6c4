"""How an event is written in a row: a MessagePack array, and a checksum of it. Pure.

The checksum (CRC-32) begins with the row's number, so that a row that stands where it should not is found out too:
SQLite tells a broken page, but not a wrong byte within a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import msgspec

from hopsack_router.streams.events import Stored
from hopsack_router.streams.store import StoreTorn

_Record = tuple[
    int, float, int, bytes, int | None, str | None, str | None, str | None, str | None, bool
]  # the fields of Stored in their order, but topic and epoch, which are the row's


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Record])


def encode(event: Stored, number: int) -> tuple[bytes, int]:
    """:returns: the record and its checksum."""
    record = _encoder.encode(
        (
            event.offset,
            event.time,
            event.publication,
            event.data,
            event.session,
            event.authid,
            event.role,
            event.key,
            event.latest,
            event.deleted,
        )
    )
    return record, crc32(record, number & 0xFFFFFFFF)


def decode(
    records: bytes, lengths: Iterable[int], checksums: Iterable[int], number: int, topic: str, epoch: str
) -> list[Stored]:
    """Records one behind the other.

    :param number: of the first row; the others follow it one by one.
    :raises StoreTorn: one of them is not what was written.
    """
    at, first, view = 0, number, memoryview(records)
    for length, checksum in zip(lengths, checksums, strict=True):
        if crc32(view[at : at + length], number & 0xFFFFFFFF) != checksum:
            raise StoreTorn(f"row {number} of {topic} is damaged")
        at += length
        number += 1
    try:
        found = _decoder.decode(b"\xdd" + (number - first).to_bytes(4, "big") + records)
    except msgspec.DecodeError as error:
        raise StoreTorn(f"rows of {topic} cannot be read: {error}") from error
    return [Stored(topic, epoch, *record) for record in found]
