"""The reference of actions and triggers, made from the same structs that check their options."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from typing import Any

import msgspec

_MODULE = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
"""The module before the name of a struct."""


def field_docs(options: type[msgspec.Struct]) -> dict[str, str]:
    """The string under each field of an Options struct and those it is made from. Empty in a build without sources."""
    found: dict[str, str] = {}
    for one in reversed(options.__mro__):
        if one not in (object, msgspec.Struct) and issubclass(one, msgspec.Struct):
            found |= _own_docs(one)
    return found


def _own_docs(options: type[msgspec.Struct]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(options)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for statement, following in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            found[statement.target.id] = following.value.value
    return found


def option_rows(options: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Name, type, default and meaning of each option."""
    docs = {**field_docs(options), **getattr(options, "DESCRIPTIONS", {})}
    rows = []
    for field in msgspec.structs.fields(options):
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        default: Any = None
        if field.default is not msgspec.NODEFAULT and field.default is not msgspec.UNSET:
            default = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        shown = str(field.type).replace("typing.", "").replace("<class '", "").replace("'>", "")
        rows.append(
            {
                "name": field.encode_name,
                "type": _MODULE.sub("", shown),
                "required": required,
                "default": default,
                "description": " ".join(docs.get(field.encode_name, docs.get(field.name, "")).split()),
            }
        )
    return rows


def _item(cls: Any) -> dict[str, Any]:
    return {
        "name": cls.name,
        "summary": cls.summary,
        "repeat": cls.repeat,
        "needs": cls.needs,
        "result": list(getattr(cls, "result_fields", ()) or ()),
        "example": cls.example,
        "options": option_rows(cls.Options),
    }


def action_items(registry: Any) -> list[dict[str, Any]]:
    return [_item(registry.get(name)) for name in registry.names()]


def action_item(registry: Any, name: str) -> dict[str, Any] | None:
    return _item(registry.get(name)) if name in registry.names() else None


def option_table(options: type[msgspec.Struct]) -> str:
    """The options as a Markdown table, as each kind's page carries it."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for row in option_rows(options):
        default = "required" if row["required"] else f"`{row['default']!r}`"
        kind = row["type"].replace("|", "\\|")
        lines.append(f"| `{row['name']}` | {kind} | {default} | {row['description']} |")
    return "\n".join(lines)
