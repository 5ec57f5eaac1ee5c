"""Rows into a file, piece by piece: written beside it, moved into place when all are there."""

from __future__ import annotations

import csv
import io

import anyio
import msgspec

from plugins.actions._decode import as_utf8
from plugins.actions._place import Partial, Place, errors
from reactor.kit.formulas import Formulas, csv_cell


class RowFile:
    """JSON lines; CSV (RFC 4180, names first) when the name ends in `.csv`."""

    def __init__(self, place: Place, formulas: Formulas = "escape") -> None:
        self._place = place
        self._csv = place.suffix == ".csv"
        self._formulas = formulas
        self._partial: Partial | None = None
        self.columns: list[str] = []
        self.count = 0
        self.size = 0

    async def __aenter__(self) -> RowFile:
        with errors(self._place):
            self._partial = await anyio.to_thread.run_sync(Partial, self._place)
        return self

    async def add(self, rows: list[dict[str, object]]) -> None:
        text = self._render(rows)
        assert self._partial is not None
        with errors(self._place):
            await anyio.to_thread.run_sync(self._partial.file.write, text)
        self.size += len(text)
        self.count += len(rows)

    def _render(self, rows: list[dict[str, object]]) -> bytes:
        first = not self.columns and bool(rows)
        if first:
            self.columns = list(rows[0])
        if not self._csv:
            return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        out = io.StringIO()
        writer = csv.writer(out)
        if first:
            writer.writerow([self._cell(name) for name in self.columns])
        for row in rows:
            writer.writerow([self._cell(value) for value in row.values()])
        return as_utf8(out.getvalue())

    def _cell(self, value: object) -> object:
        if isinstance(value, str):
            return csv_cell(value, self._formulas)
        return msgspec.json.encode(value).decode() if isinstance(value, (dict, list, bool)) else value

    async def __aexit__(self, kind: object, *rest: object) -> None:
        partial = self._partial
        assert partial is not None
        with anyio.CancelScope(shield=True), errors(self._place):
            await anyio.to_thread.run_sync(partial.put if kind is None else partial.drop)
