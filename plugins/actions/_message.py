"""Data to messages and back, alike for every message system."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec


def raw(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def shown(value: Any) -> Any:
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
