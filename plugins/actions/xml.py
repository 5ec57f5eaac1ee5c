"""XML files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from typing import Literal

import msgspec

from plugins.actions._decode import ENCODINGS
from plugins.actions._items import ConvertItems, Items, ReadItems, xml_elements
from plugins.actions._place import Place
from reactor.kit.formulas import Formulas


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Items to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
    element: str
    """The name of the elements to take, without a namespace."""
    encoding: ENCODINGS | None = None
    """How the text is encoded; as the file declares unless given."""


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
    element: str
    """The name of the elements to take, without a namespace."""
    encoding: ENCODINGS | None = None
    """How the text is encoded; as the file declares unless given."""


class Read(ReadItems[ReadOptions]):
    name = "xml.read"
    summary = "Gives elements of a file, a page at a time."
    Options = ReadOptions
    example = "call: xml.read\nwith:\n  path: data/orders.xml\n  element: order\n  limit: 500"

    def items(self, place: Place, options: ReadOptions) -> Items:
        return xml_elements(place, options.element, options.encoding)


class Convert(ConvertItems[ConvertOptions]):
    name = "xml.convert"
    summary = "Writes the elements of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: xml.convert\nwith:\n  path: data/orders.xml\n  element: order\n  to: out/orders.json"

    def items(self, place: Place, options: ConvertOptions) -> Items:
        return xml_elements(place, options.element, options.encoding)
