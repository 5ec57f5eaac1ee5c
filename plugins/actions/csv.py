"""CSV files of any size: read in pages and converted, never whole in memory."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from plugins.actions._csv import csv_rows
from plugins.actions._decode import ENCODINGS
from plugins.actions._items import FACTS, ConvertItems, Items, ReadItems, write_items
from plugins.actions._paths import locate
from plugins.actions._place import Place, errors
from plugins.actions._thread import Stop, in_thread
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.kit.formulas import Formulas


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
    formulas: Formulas = "escape"
    """A csv cell that a spreadsheet would run (it begins with `= + - @`, numbers excepted): escape puts `'` first."""
    delimiter: str = ","
    """What stands between two cells."""
    header: bool = True
    """Whether the first row names the columns; without, rows are lists."""
    encoding: ENCODINGS = "utf-8"
    """How the text is encoded."""


class Read(ReadItems[ReadOptions]):
    name = "csv.read"
    summary = "Gives rows of a file, a page at a time."
    Options = ReadOptions
    example = "call: csv.read\nwith:\n  path: data/orders.csv\n  limit: 500"

    def items(self, place: Place, options: ReadOptions) -> Items:
        one_character(options.delimiter)
        return csv_rows(place, options.delimiter, options.header, options.encoding)


class Convert(ConvertItems[ConvertOptions]):
    name = "csv.convert"
    summary = "Writes the rows of a file into another, as ndjson, json or csv."
    Options = ConvertOptions
    example = "call: csv.convert\nwith:\n  path: data/orders.csv\n  to: out/orders.json"

    def items(self, place: Place, options: ConvertOptions) -> Items:
        one_character(options.delimiter)
        return csv_rows(place, options.delimiter, options.header, options.encoding)


class WriteOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    path: str
    """The file to write; it appears whole."""
    rows: list[Any]
    """Objects, or lists."""
    columns: list[str] | None = None
    """The columns, in order; those of the first row unless given."""
    delimiter: str = ","
    """What stands between two cells."""
    formulas: Formulas = "escape"
    """A csv cell that a spreadsheet would run (it begins with `= + - @`, numbers excepted): escape puts `'` first."""


class Write(ActionKind[WriteOptions]):
    name = "csv.write"
    summary = "Writes rows as a csv file."
    repeat = "safe"
    path_options = ("path",)
    Options = WriteOptions
    result_fields = FACTS
    example = "call: csv.write\nwith:\n  path: out/orders.csv\n  rows: ${{ vars.orders }}"

    async def run(self, options: WriteOptions, context: ActionContext) -> object:
        place = locate(context, "path", options.path)
        one_character(options.delimiter)

        def work(stop: Stop) -> object:
            with errors(place):
                return write_items(
                    place, options.rows, "csv", options.columns, stop, options.delimiter, options.formulas
                )

        return await in_thread(work)


def one_character(delimiter: str) -> None:
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise StepFailed("expression", "the delimiter is one character, such as ; or a tab", retryable=False)
