"""YAML files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from plugins.actions._items import ENCODINGS, ConvertItems, Items, ReadItems, yaml_documents


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
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Read(ReadItems):
    name = "yaml.read"
    summary = "Gives documents of a file, a page at a time."
    Options = ReadOptions
    example = "call: yaml.read\nwith:\n  path: data/all.yaml\n  limit: 500"

    def items(self, path: Path, options: ReadOptions) -> Items:
        return yaml_documents(path, options.encoding)


class Convert(ConvertItems):
    name = "yaml.convert"
    summary = "Writes the documents of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: yaml.convert\nwith:\n  path: data/all.yaml\n  to: out/orders.json"

    def items(self, path: Path, options: ConvertOptions) -> Items:
        return yaml_documents(path, options.encoding)
