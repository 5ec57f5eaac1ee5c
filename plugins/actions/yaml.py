"""YAML files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from typing import Literal

import msgspec

from plugins.actions._decode import ENCODINGS
from plugins.actions._items import ConvertItems, Items, ReadItems
from plugins.actions._place import Place
from plugins.actions._yaml import yaml_documents
from reactor.kit.formulas import Formulas


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Items to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
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
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Read(ReadItems[ReadOptions]):
    name = "yaml.read"
    summary = "Gives documents of a file, a page at a time."
    Options = ReadOptions
    example = "call: yaml.read\nwith:\n  path: data/all.yaml\n  limit: 500"

    def items(self, place: Place, options: ReadOptions) -> Items:
        return yaml_documents(place, options.encoding)


class Convert(ConvertItems[ConvertOptions]):
    name = "yaml.convert"
    summary = "Writes the documents of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: yaml.convert\nwith:\n  path: data/all.yaml\n  to: out/orders.json"

    def items(self, place: Place, options: ConvertOptions) -> Items:
        return yaml_documents(place, options.encoding)
