"""Data to messages and back, alike for every message system."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from reactor.contracts.errors import StepFailed
from reactor.contracts.text import is_text
from reactor.contracts.text import shown as escaped


def raw(value: object) -> bytes:
    """A text as it is, anything else as JSON. Raises StepFailed for what cannot be written as UTF-8."""
    try:
        return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError) as error:
        raise StepFailed("expression", f"the data cannot be sent: {error}", retryable=False) from None


def sendable(what: str, text: str, *, ascii: bool = False, line: bool = True) -> str:
    """A name, header, key or subject that a protocol can carry. Raises StepFailed, not retryable, for a text that is
    not UTF-8 or, where the protocol has lines, holds a line end or another control character."""
    if not is_text(text) or (ascii and not text.isascii()):
        kind = "ASCII" if ascii else "UTF-8"
        raise StepFailed("expression", f"{what} {escaped(text)!r} cannot be written as {kind}", retryable=False)
    if line and any((char < " " and char != "\t") or char == "\x7f" for char in text):
        raise StepFailed("expression", f"{what} {text!r} holds a line end or a control character", retryable=False)
    return text


def shown(value: object) -> object:
    """An answer as plain data; bytes that are no text as base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    if isinstance(value, dict):
        return {str(shown(name)): shown(one) for name, one in value.items()}
    return value
