"""JSON values as the parameters that PostgreSQL asks for: it names each parameter's type, and text stands for all."""

from __future__ import annotations

import datetime
import decimal
from base64 import b64decode
from typing import Any

import msgspec

from reactor.contracts.errors import StepFailed

TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char", "citext", "xml"})


def bind(value: Any, kind: Any) -> Any:
    """`kind` is asyncpg's description of the parameter. Raises StepFailed for what cannot be that."""
    if value is None:
        return None
    try:
        return _bind(value, kind)
    except (ValueError, TypeError, ArithmeticError) as error:
        shown = msgspec.json.encode(value, enc_hook=str).decode()[:80]
        raise StepFailed("sql.data", f"{shown} is no {kind.name}: {error}", retryable=False) from None


def _bind(value: Any, kind: Any) -> Any:
    name = kind.name
    if name.endswith("[]") or name.startswith("_"):
        if not isinstance(value, (list, tuple)):
            raise ValueError("an array is a list")
        element = _Element(name[:-2] if name.endswith("[]") else name[1:])
        return [None if one is None else _bind(one, element) for one in value]
    if name in ("json", "jsonb"):
        return value
    if name in TEXTS:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(value, (dict, list)):
        raise ValueError("a plain value is needed")
    if name in ("int2", "int4", "int8", "oid"):
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("not a whole number")
        return int(value)
    if name in ("float4", "float8"):
        return float(value)
    if name in ("numeric", "money"):
        return decimal.Decimal(str(value)) if name == "numeric" else str(value)
    if name == "bool":
        if not isinstance(value, bool):
            raise ValueError("not true or false")
        return value
    if name == "bytea":
        return b64decode(value, validate=True)
    if name == "timestamptz":
        moment = datetime.datetime.fromisoformat(str(value))
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    if name == "timestamp":
        moment = datetime.datetime.fromisoformat(str(value))
        return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
    if name == "date":
        return datetime.date.fromisoformat(str(value)[:10])
    if name in ("time", "timetz"):
        return datetime.time.fromisoformat(str(value))
    return value if isinstance(value, str) else str(value)


class _Element:
    def __init__(self, name: str) -> None:
        self.name = {
            "integer": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "real": "float4",
            "double precision": "float8", "character varying": "varchar",
            "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
        }.get(name, name)  # fmt: skip
