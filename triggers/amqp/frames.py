"""Frames with texts that are not UTF-8, or with properties that nobody can decode. pamqp raises in the reader of the
connection then, which ends it for everyone who shares it, and the broker sends the same message again at once."""

from __future__ import annotations

import functools

from aiormq.abc import DeliveredMessage
from pamqp import commands, decode, header

from reactor.contracts.errors import words


def _short_text(value: bytes) -> tuple[int, str]:
    """A short string; its bytes that are not UTF-8 come as surrogates (`contracts/text.py`)."""
    if not value:
        raise ValueError("a short string has no length")
    return value[0] + 1, value[1 : value[0] + 1].decode("utf-8", "surrogateescape")


def _unmarshal(self: header.ContentHeader, data: bytes) -> None:
    """As pamqp does it; properties that it cannot decode are left out, and `undecodable` says why."""
    try:
        _ORIGINAL(self, data)
    except Exception as error:  # what it raises depends on what the sender wrote
        if self.class_id is None:
            raise
        self.properties = commands.Basic.Properties()
        self.__dict__["undecodable"] = words(error)


_ORIGINAL = header.ContentHeader.unmarshal


@functools.cache
def tolerate() -> None:
    """Once a process, before messages are consumed: the reader belongs to the connection, which all share."""
    decode.METHODS["shortstr"] = _short_text
    header.ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]


def undecodable(message: DeliveredMessage) -> str | None:
    """Why the properties of a delivered message are missing."""
    reason: str | None = message.header.__dict__.get("undecodable")
    return reason
