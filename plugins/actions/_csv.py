"""CSV (RFC 4180) piece by piece: rows within bounds, errors with row and column, cells that no spreadsheet runs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from plugins.actions._decode import Text, as_json, content, over, text_of, undecodable
from plugins.actions._place import Place
from reactor.contracts.errors import StepFailed
from reactor.kit.formulas import Formulas, csv_cell

MAX_ROW = 4 * 1024 * 1024
"""Characters of a row."""
MAX_COLUMNS = 16_384
"""Cells of a row, as spreadsheets have it."""
MAX_CELL = 131_072
"""Characters of a cell: the csv module's own bound."""


class _Source:
    """The lines of a text, with those of the row that is being read."""

    def __init__(self, text: Text, name: str) -> None:
        self._text, self._name = text, name
        self.row: list[str] = []
        self.number = 0
        """Of the row, from 1."""
        self._size = 0

    def begin(self) -> None:
        self.row.clear()
        self._size = 0
        self.number += 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.line(MAX_ROW + 1)
        if not line:
            raise StopIteration
        self.row.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise over(f"{self._name}, row {self.number}: more than {MAX_ROW:,} characters")
        return line


def csv_rows(place: Place, delimiter: str, header: bool, encoding: str) -> Iterator[object]:
    """Rows as objects by the names of the first row, or as lists. RFC 4180, with `delimiter` for the comma."""
    number = 0
    try:
        with text_of(place, encoding) as text:
            names: list[str] | None = None
            for number, line, row in _rows(text, str(place), delimiter):
                if not header:
                    yield row
                elif names is None:
                    names = _names(row, f"{place}, row {number}")
                elif row:
                    if len(row) > len(names):
                        raise content(
                            f"{place}, row {number}, column {len(names) + 1}, line {line}: "
                            f"{len(row)} cells, but {len(names)} names"
                        )
                    yield dict(zip(names, [*row, *[None] * (len(names) - len(row))], strict=True))
    except StepFailed as error:
        if error.type == "file.content" and (at := _undecodable_at(place, delimiter, encoding)) is not None:
            raise content(str(error).replace(str(place), f"{place}, {at}", 1)) from None
        raise


def _rows(text: Text, name: str, delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    source = _Source(text, name)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.begin()
        try:
            row = next(reader, None)
        except csv.Error as error:
            column = failing_column("".join(source.row), delimiter)
            place = f"{name}, row {source.number}, column {column}, line {reader.line_num}"
            if "field larger" in str(error):
                raise over(f"{place}: a cell has more than {MAX_CELL:,} characters") from None
            raise content(f"{place}: {explained(str(error), delimiter)}") from None
        if row is None:
            return
        if len(row) > MAX_COLUMNS:
            raise over(f"{name}, row {source.number}: more than {MAX_COLUMNS:,} columns")
        yield source.number, reader.line_num, row


def _names(row: list[str], where: str) -> list[str]:
    seen: set[str] = set()
    for column, one in enumerate(row, 1):
        if one in seen:
            raise content(f"{where}, column {column}: the name {one!r} stands twice in the first row")
        seen.add(one)
    return row


def explained(error: str, delimiter: str) -> str:
    if "expected after" in error:
        return f"text stands behind a closing quote; a quote inside a cell is doubled, and {delimiter!r} ends the cell"
    if "unexpected end of data" in error:
        return "the quote that opens this cell is never closed"
    if "NUL" in error:
        return "the cell has a zero byte; is this a text file?"
    return error


def failing_column(row: str, delimiter: str) -> int:
    """The column at which the reader stopped in what it read of the row."""
    column, place, size = 1, 0, len(row)
    while place < size:
        if row[place] == '"':
            end = place + 1
            while True:
                end = row.find('"', end)
                if end < 0:
                    return column
                if row[end + 1 : end + 2] != '"':
                    break
                end += 2
            place = end + 1
            if place < size and row[place] not in (delimiter, "\r", "\n"):
                return column
        stop = row.find(delimiter, place)
        cell = row[place : stop if stop >= 0 else size]
        if stop < 0 or "\0" in cell or len(cell) > MAX_CELL:
            return column
        column, place = column + 1, stop + 1
    return column


def _undecodable_at(place: Place, delimiter: str, encoding: str) -> str | None:
    """`row R, column C` of the first byte that does not fit the encoding; None when all fit."""
    if undecodable(place, encoding) is None:
        return None
    with place.reading() as file:
        text = Text(file, encoding, errors="surrogateescape" if encoding == "utf-8" else "replace")
        try:
            for number, _, row in _rows(text, str(place), delimiter):
                for column, cell in enumerate(row, 1):
                    if any("\udc80" <= one <= "\udcff" or one == "\ufffd" for one in cell):
                        return f"row {number}, column {column}"
        except (StepFailed, UnicodeDecodeError):
            return None
    return None


class CsvWriter:
    """Rows into a text file; the columns are those of the first row unless they are given."""

    def __init__(self, file: TextIO, columns: list[str] | None, delimiter: str, formulas: Formulas) -> None:
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._columns, self._formulas = columns, formulas
        self._known: frozenset[str] = frozenset()
        self._count = 0

    def write(self, item: object) -> None:
        self._count += 1
        if isinstance(item, list):
            self._writer.writerow([cell(value, self._formulas) for value in item])
            return
        if not isinstance(item, dict):
            raise StepFailed("expression", f"row {self._count}: a row of a csv is an object or a list", retryable=False)
        if self._columns is None or self._count == 1:
            self._columns = self._columns if self._columns is not None else list(item)
            self._known = frozenset(self._columns)
            self._writer.writerow([cell(name, self._formulas) for name in self._columns])
        if not self._known.issuperset(item):
            extra = sorted(set(item) - self._known)[0]
            raise content(
                f"row {self._count}, column {extra}: the first row has no such column; name all with `columns`"
            )
        self._writer.writerow([cell(item.get(name), self._formulas) for name in self._columns])


def cell(value: object, formulas: Formulas) -> str:
    if value is None:
        return ""
    return csv_cell(value, formulas) if isinstance(value, str) else as_json(value).decode()
