"""Values to bytes and back, for every store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from reactor.contracts.event import Event, StoredEvent, Verdict
from reactor.contracts.journal import AnyEntry, decode_entries, encode_entries
from reactor.contracts.plan import BOUNDS
from reactor.contracts.run import Start
from reactor.contracts.store import Outcome

_encoder = msgspec.json.Encoder()
_event = msgspec.json.Decoder(Event)
_verdicts = msgspec.json.Decoder(list[Verdict])

encode = _encoder.encode


def decode(data: bytes | str | None) -> Any:
    return None if data is None else msgspec.json.decode(data)


def decode_event(data: bytes) -> Event:
    return _event.decode(data)


def decode_verdicts(data: bytes | None) -> list[Verdict]:
    return [] if not data else _verdicts.decode(data)


def readable_verdicts(data: bytes | None) -> list[Verdict]:
    """The verdicts of an event; none where they cannot be read."""
    try:
        return decode_verdicts(data)
    except (ValueError, TypeError):
        return []


_BOUNDS = "=bounds"
"""No environment variable can have such a name."""
_USUAL = encode({_BOUNDS: str(BOUNDS)})


def pack_environment(start: Start) -> bytes:
    """What a run keeps of its start: its variables and the number of its bounds. Text that is not UTF-8 is written with
    escapes that only Python's own reader takes."""
    if not start.environment and start.bounds == BOUNDS:
        return _USUAL
    kept = {_BOUNDS: str(start.bounds), **start.environment}
    try:
        return encode(kept)
    except UnicodeEncodeError:
        return json.dumps(kept).encode("ascii")


def unpack_environment(data: bytes | None) -> tuple[dict[str, str], int]:
    """The variables and the number of the bounds; the first set where none is kept."""
    if data is None:
        return {}, 1
    if data == _USUAL:
        return {}, BOUNDS
    try:
        kept = decode(data)
    except msgspec.DecodeError:
        kept = json.loads(data)
    return kept, int(kept.pop(_BOUNDS, "1"))


class CorruptRecord(Exception):
    """A journal record whose checksum does not fit, or a payload that is gone or damaged."""


def pack_entries(entries: Sequence[AnyEntry]) -> tuple[bytes, int]:
    """The record of some entries and its CRC-32."""
    data = encode_entries(entries)
    return data, zlib.crc32(data)


def unpack_entries(data: bytes, checksum: int) -> list[AnyEntry]:
    """Raises CorruptRecord."""
    try:
        if zlib.crc32(data) != checksum:
            raise CorruptRecord("the checksum of a journal record does not fit")
        return decode_entries(data)
    except (ValueError, TypeError) as error:
        raise CorruptRecord(f"a journal record cannot be read: {error}") from None


def verdict_of(outcome: Outcome, start: Start) -> Verdict:
    """The verdict that is stored with the event for an outcome of its acceptance."""
    return Verdict(flow=outcome.flow, verdict=outcome.verdict, run=outcome.run, trigger=start.trigger)


__all__ = [
    "CorruptRecord", "Event", "StoredEvent", "decode", "decode_event", "decode_verdicts", "encode",
    "pack_entries", "readable_verdicts", "unpack_entries", "verdict_of",
]  # fmt: skip
