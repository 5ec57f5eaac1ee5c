"""CSV files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from plugins.actions._items import (
    ENCODINGS,
    ConvertItems,
    Items,
    ReadItems,
    csv_rows,
    errors,
    info,
    write_items,
)
from plugins.actions._paths import resolve
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed


class ReadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file."""
    skip: int = 0
    """Items to pass over: `next` of the page before."""
    limit: int = 1000
    """How many to give, up to 10,000."""
    delimiter: str = ","
    """What stands between two cells."""
    header: bool = True
    """Whether the first row names the columns; without, rows are lists."""
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
    delimiter: str = ","
    """What stands between two cells."""
    header: bool = True
    """Whether the first row names the columns; without, rows are lists."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Read(ReadItems):
    name = "csv.read"
    summary = "Gives rows of a file, a page at a time."
    Options = ReadOptions
    example = "call: csv.read\nwith:\n  path: data/orders.csv\n  limit: 500"

    def items(self, path: Path, options: ReadOptions) -> Items:
        one_character(options.delimiter)
        return csv_rows(path, options.delimiter, options.header, options.encoding)


class Convert(ConvertItems):
    name = "csv.convert"
    summary = "Writes the rows of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: csv.convert\nwith:\n  path: data/orders.csv\n  to: out/orders.json"

    def items(self, path: Path, options: ConvertOptions) -> Items:
        one_character(options.delimiter)
        return csv_rows(path, options.delimiter, options.header, options.encoding)


class WriteOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file to write; it appears whole."""
    rows: list[Any]
    """Objects, or lists."""
    columns: list[str] | None = None
    """The columns, in order; those of the first row unless given."""
    delimiter: str = ","
    """What stands between two cells."""


class Write:
    name = "csv.write"
    summary = "Writes rows as a csv file."
    repeat = "safe"
    needs: ClassVar[str | None] = None
    paths: ClassVar[tuple[str, ...]] = ("path",)
    Options = WriteOptions
    result_fields = ("path", "size", "modified", "count")
    example = "call: csv.write\nwith:\n  path: out/orders.csv\n  rows: ${{ vars.orders }}"

    async def run(self, options: WriteOptions, context: ActionContext) -> Any:
        path = resolve(context, "path", options.path)
        one_character(options.delimiter)

        def work(stop: Stop) -> Any:
            with errors(path):
                count = write_items(path, options.rows, "csv", options.columns, stop, options.delimiter)
                return {**info(path), "count": count}

        return await in_thread(work)


def one_character(delimiter: str) -> None:
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise StepFailed("expression", "the delimiter is one character, such as ; or a tab", retryable=False)
