"""Batches of which one record cannot be read. aiokafka raises for the whole fetch then, and reads the same batch again
for ever; here such a record comes as `Undecodable`, and those behind it follow. Names of headers that are not UTF-8
come with surrogates (`contracts/text.py`)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from reactor.contracts.errors import words

LENGTH_AT = 8
HEAD = 12
"""Bytes of a batch that its length does not count."""


class Undecodable(bytes):
    """The bytes of a record, or of a batch, that cannot be read, in the place of its value."""

    reason = ""

    @classmethod
    def of(cls, data: bytes, reason: str) -> Undecodable:
        made = cls(data)
        made.reason = reason
        return made


@dataclass(frozen=True)
class Record:
    """What the library makes of a record."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class Batch:
    """One of the library's, read on behind what it cannot read."""

    def __init__(self, library: Any, data: bytes) -> None:
        self._library = library
        self._data = data

    @property
    def producer_id(self) -> Any:
        return self._library.producer_id

    @property
    def base_offset(self) -> int:
        return int(self._library.base_offset)

    @property
    def next_offset(self) -> int:
        return int(self._library.next_offset)

    @property
    def is_control_batch(self) -> bool:
        return bool(self._library.is_control_batch)

    @property
    def is_transactional(self) -> bool:
        return bool(self._library.is_transactional)

    def validate_crc(self) -> bool:
        return bool(self._library.validate_crc())

    def __next__(self) -> Any:
        return next(self._library)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._library:
                count += 1
                yield record
        except Exception:  # a codec's own, or what a text raises; which record it was is found out below
            yield from _tolerant(_DefaultRecordBatchPy(self._data), self._data, count)


def _tolerant(batch: Any, data: bytes, done: int) -> Iterator[Record]:
    """The records of a batch from the number `done` on, each by its own length."""
    last = batch.base_offset + batch.last_offset_delta
    try:
        batch._maybe_uncompress()
        buffer, place = batch._buffer, batch._pos
        for number in range(batch._num_records):
            length, start = decode_varint(buffer, place)
            place = start + length
            if not 0 <= length <= len(buffer) - start:
                raise ValueError(f"record {number} of the batch has the length {length}")
            if number >= done:
                yield _record(batch, bytes(buffer[start:place]), number)
    except Exception as error:  # nothing behind it can be found any more
        reason = f"the batch up to offset {last} cannot be read: {words(error)}"
        yield Record(last, batch.max_timestamp, batch.timestamp_type, None, Undecodable.of(data, reason), [])


def _record(batch: Any, data: bytes, number: int) -> Record:
    buffer = bytearray(data)
    offset, moment = batch.base_offset + number, batch.first_timestamp
    try:
        delta, place = decode_varint(buffer, 1)
        moment = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else moment + delta
        delta, place = decode_varint(buffer, place)
        offset = batch.base_offset + delta
        key, place = _bytes(buffer, place)
        value, place = _bytes(buffer, place)
        count, place = decode_varint(buffer, place)
        headers = []
        for _ in range(count):
            name, place = _bytes(buffer, place)
            one, place = _bytes(buffer, place)
            headers.append(((name or b"").decode("utf-8", "surrogateescape"), one))
        return Record(offset, moment, batch.timestamp_type, key, value, headers)
    except Exception as error:  # this record alone
        return Record(offset, moment, batch.timestamp_type, None, Undecodable.of(data, words(error)), [])


def _bytes(buffer: bytearray, place: int) -> tuple[bytes | None, int]:
    size, place = decode_varint(buffer, place)
    if size < 0:
        return None, place
    if place + size > len(buffer):
        raise ValueError(f"a part of {size} bytes is longer than its record")
    return bytes(buffer[place : place + size]), place + size


class Records:
    """What a fetch brought, batch by batch."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._library = MemoryRecords(data)
        self._place = 0

    def size_in_bytes(self) -> int:
        return int(self._library.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._library.has_next())

    def next_batch(self) -> Any:
        start = self._place
        length: int = struct.unpack_from(">i", self._data, start + LENGTH_AT)[0]
        self._place = start + HEAD + length
        batch = self._library.next_batch()
        if batch is None or batch.magic < 2:
            return batch
        return Batch(batch, bytes(memoryview(self._data)[start : self._place]))


@functools.cache
def tolerate() -> None:
    """Once a process, before a consumer is made."""
    fetcher.MemoryRecords = Records
