"""Batches of which one record cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import TopicPartition

from reactor.contracts.text import shown
from triggers.kafka.records import Records, Undecodable

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
WEIGHTS = {"good": b"good", "name": b"NAME", "size": b"SIZE"}


def batch(codec: int, first: int = 0, spoil: bool = False) -> bytes:
    """Three records; the second one's header has a name that is written over below."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, False, -1, -1, -1, 100_000)
    for number in range(3):
        name = "NAME" if number == 1 else "good"
        builder.append(number, 1_700_000_000_000, b"key", b"%d" % number, [(name, b"v")])
    if spoil:
        place = builder._buffer.index(b"NAME")
        builder._buffer[place : place + 4] = b"\xff\xfe\xfd\xfc"
    data = bytearray(builder.build())
    data[:8] = first.to_bytes(8, "big")
    return bytes(data)


def read(data: bytes) -> tuple[list[Any], int]:
    records = PartitionRecords(TopicPartition("t", 0), Records(data), [], 0, None, None, True, READ_COMMITTED)
    return list(records), records.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
def test_a_name_that_is_not_utf8(codec: str) -> None:
    found, following = read(batch(CODECS[codec], 0, spoil=True) + batch(CODECS[codec], 3))
    assert [(one.offset, one.value) for one in found] == [(n, b"%d" % (n % 3)) for n in range(6)] and following == 6
    assert [shown(name) for one in found for name, _ in one.headers] == [
        "good", "\\xff\\xfe\\xfd\\xfc", "good", "good", "NAME", "good",
    ]  # fmt: skip


def test_a_record_whose_parts_do_not_fit() -> None:
    data = bytearray(batch(0))
    place = data.index(b"NAME")
    data[place - 1] = 0x60  # the length of the name: 48 bytes, which the record does not have
    spoiled = _with_sum(data) + batch(0, 3)
    found, following = read(spoiled)
    assert [one.offset for one in found] == list(range(6)) and following == 6
    assert isinstance(found[1].value, Undecodable) and "longer than its record" in found[1].value.reason
    assert [one.value for one in found if one.offset != 1] == [b"0", b"2", b"0", b"1", b"2"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_cannot_be_decompressed(codec: str) -> None:
    data = bytearray(batch(CODECS[codec]))
    data[61:] = b"\x01" * (len(data) - 61)
    found, following = read(_with_sum(data) + batch(CODECS[codec], 3))
    assert [one.offset for one in found] == [2, 3, 4, 5] and following == 6
    assert isinstance(found[0].value, Undecodable) and "up to offset 2" in found[0].value.reason


def _with_sum(data: bytearray) -> bytes:
    from aiokafka.record.util import calc_crc32c

    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)
