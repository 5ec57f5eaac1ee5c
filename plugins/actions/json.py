"""JSON files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from plugins.actions._items import ConvertItems, Items, ReadItems, json_values


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Items to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
    items: str | None = None
    """Where the list stands (`data.rows`, or `.` for the whole); without, the file has one value a line."""


class ConvertOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """The file to write; it appears whole."""
    into: Literal["ndjson", "json", "csv"] | None = None
    """What to write: one JSON value a line, a JSON list, or csv; by the name of `to` unless given, else ndjson."""
    columns: list[str] | None = None
    """The fields to keep, in this order."""
    items: str | None = None
    """Where the list stands (`data.rows`, or `.` for the whole); without, the file has one value a line."""


class Read(ReadItems):
    name = "json.read"
    summary = "Gives values of a file, a page at a time."
    Options = ReadOptions
    example = "call: json.read\nwith:\n  path: data/orders.ndjson\n  limit: 500"

    def items(self, path: Path, options: ReadOptions) -> Items:
        return json_values(path, options.items)


class Convert(ConvertItems):
    name = "json.convert"
    summary = "Writes the values of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: json.convert\nwith:\n  path: data/orders.ndjson\n  to: out/orders.csv"

    def items(self, path: Path, options: ConvertOptions) -> Items:
        return json_values(path, options.items)
