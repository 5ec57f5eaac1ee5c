"""One datum never stops a source: what goes wrong while an event is made from one message is that message's fault."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from reactor.contracts.errors import words
from reactor.contracts.event import Event
from reactor.contracts.text import is_text, raw, shown
from reactor.contracts.trigger import TriggerContext


def event_of(make: Callable[[], Event], letter: Callable[[], Event], place: str) -> Event:
    """The event that `make` gives. When it raises, whatever it is, the message is kept as a dead letter instead, which
    says where the message stands (`place`), and the source goes on with the next one. `letter` makes the event from
    what is safe: its position and its bytes."""
    try:
        return make()
    except Exception as error:  # the next message has no part in what this one holds
        return msgspec.structs.replace(letter(), invalid=f"{place}: {words(error)}")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def headers_of(pairs: Iterable[tuple[str | bytes, str | bytes | None]]) -> dict[str, Any]:
    """The fields of an event for headers that may come several times: `headers` has the last value of each name,
    `headers_all` each with all its values. Bytes that are not UTF-8 are escaped there; `headers_bytes` has the last
    such value of a name in base64."""
    last: dict[str, str | None] = {}
    every: dict[str, list[str | None]] = {}
    escaped: dict[str, str] = {}
    for given, value in pairs:
        name = shown(given)
        text = None if value is None else shown(value)
        last[name] = text
        every.setdefault(name, []).append(text)
        if not (plain(given) and (value is None or plain(value))):
            escaped[name] = base64_of(b"" if value is None else raw(value))
    found: dict[str, Any] = {"headers": last, "headers_all": every}
    return {**found, "headers_bytes": escaped} if escaped else found


def plain(value: str | bytes) -> bool:
    """Whether it is UTF-8."""
    if isinstance(value, str):
        return is_text(value)
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def texts(data: Mapping[bytes, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Names and values as texts, and what of them is not UTF-8: such a value is base64 and stands in the second too,
    such a name is escaped."""
    found: dict[str, str] = {}
    odd: dict[str, str] = {}
    for given, value in data.items():
        name = shown(given)
        found[name] = value.decode() if plain(value) else base64_of(value)
        if not (plain(given) and plain(value)):
            odd[name] = base64_of(value)
    return found, odd


def gap(ctx: TriggerContext, text: str) -> None:
    """Says that the other side took away what the source reads; messages of that time may be missing."""
    ctx.warn(None)  # one that was said before is another
    ctx.warn(text)
