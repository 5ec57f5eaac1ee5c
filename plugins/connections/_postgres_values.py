"""JSON values as the parameters that PostgreSQL asks for: it names each parameter's type, and takes each as text."""

from __future__ import annotations

import datetime
import decimal
from base64 import b64decode
from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed

TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char", "citext", "xml", "unknown"})


def bind(value: Any, kind: Any) -> str | None:
    """`kind` is asyncpg's description of the parameter. Raises StepFailed for what cannot be that."""
    if value is None:
        return None
    try:
        return _bind(value, kind.name)
    except (ValueError, TypeError, ArithmeticError) as error:
        text = msgspec.json.encode(value, enc_hook=str).decode()
        shown = f"{text} is not a valid {kind.name}: {error}"
        if len(text) > 80:  # no part of it: half a secret could not be masked
            shown = f"a value of {len(text):,} characters is not a valid {kind.name}"
        raise StepFailed("sql.data", shown, retryable=False) from None


def _bind(value: Any, name: str) -> str:
    if name.startswith("_"):
        if not isinstance(value, (list, tuple)):
            raise ValueError("an array is a list")
        return _array(value, name[1:])
    if name in ("json", "jsonb"):
        return msgspec.json.encode(value).decode()
    if name in TEXTS:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if name == "other" and isinstance(value, list):
        return _array(value, name)
    if isinstance(value, (dict, list)):
        raise ValueError("a plain value is needed")
    if name in ("int2", "int4", "int8", "oid"):
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("not a whole number")
        return str(int(value))
    if name in ("float4", "float8"):
        return repr(float(value))
    if name == "numeric":
        return str(decimal.Decimal(str(value)))
    if name == "bool":
        if not isinstance(value, bool):
            raise ValueError("not true or false")
        return "true" if value else "false"
    if name == "bytea":
        return "\\x" + b64decode(value, validate=True).hex()
    if name == "timestamp":
        return _reading(str(value))
    if name == "date" and _moment(str(value)) is not None:
        return str(value)[:10]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _reading(text: str) -> str:
    """A timestamp without a zone is a reading of UTC. What Python cannot read (infinity, BC) the server does."""
    moment = _moment(text)
    if moment is None or moment.tzinfo is None:
        return text
    return moment.astimezone(datetime.UTC).replace(tzinfo=None).isoformat()


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _array(items: Any, element: str) -> str:
    """As the server writes arrays; a box's delimiter is its own."""
    return "{" + (";" if element == "box" else ",").join(_item(one, element) for one in items) + "}"


def _item(value: Any, element: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (list, tuple)) and element not in ("json", "jsonb"):
        return _array(value, element)
    text = _bind(value, element).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
