"""JSON files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from typing import Literal

import msgspec

from plugins.actions._decode import ENCODINGS
from plugins.actions._items import ConvertItems, Items, ReadItems, json_values
from plugins.actions._place import Place
from reactor.kit.formulas import Formulas


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Items to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
    items: str | None = None
    """Where the list stands (`data.rows`, or `.` for the whole); without, the file has one value a line."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class ConvertOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    to: str
    """The file to write; it appears whole."""
    into: Literal["ndjson", "json", "csv"] | None = None
    """What to write: one JSON value a line, a JSON list, or csv; by the name of `to` unless given, else ndjson."""
    columns: list[str] | None = None
    """The fields to keep, in this order."""
    formulas: Formulas = "escape"
    """A csv cell that a spreadsheet would run (it begins with `= + - @`, numbers excepted): escape puts `'` first."""
    items: str | None = None
    """Where the list stands (`data.rows`, or `.` for the whole); without, the file has one value a line."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Read(ReadItems[ReadOptions]):
    name = "json.read"
    summary = "Gives values of a file, a page at a time."
    Options = ReadOptions
    example = "call: json.read\nwith:\n  path: data/orders.ndjson\n  limit: 500"

    def items(self, place: Place, options: ReadOptions) -> Items:
        return json_values(place, options.items, options.encoding)


class Convert(ConvertItems[ConvertOptions]):
    name = "json.convert"
    summary = "Writes the values of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: json.convert\nwith:\n  path: data/orders.ndjson\n  to: out/orders.csv"

    def items(self, place: Place, options: ConvertOptions) -> Items:
        return json_values(place, options.items, options.encoding)
