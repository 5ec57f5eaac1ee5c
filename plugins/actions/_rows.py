"""Rows into a file, piece by piece: written beside it, moved into place when all are there."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import anyio
import msgspec

from plugins.actions.file import failed


class RowFile:
    """JSON lines; CSV (RFC 4180, names first) when the name ends in `.csv`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._csv = path.suffix.lower() == ".csv"
        self._file: Any = None
        self._temporary: Path | None = None
        self.columns: list[str] = []
        self.count = 0
        self.size = 0

    async def __aenter__(self) -> RowFile:
        try:
            file = tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".", delete=False)  # noqa: SIM115
        except OSError as error:
            raise failed(error, self._path) from None
        self._file, self._temporary = file, Path(file.name)
        return self

    async def add(self, rows: list[dict[str, Any]]) -> None:
        text = self._render(rows)
        assert self._file is not None
        try:
            await anyio.to_thread.run_sync(self._file.write, text)
        except OSError as error:
            raise failed(error, self._path) from None
        self.size += len(text)
        self.count += len(rows)

    def _render(self, rows: list[dict[str, Any]]) -> bytes:
        first = not self.columns and bool(rows)
        if first:
            self.columns = list(rows[0])
        if not self._csv:
            return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        out = io.StringIO()
        writer = csv.writer(out)
        if first:
            writer.writerow(self.columns)
        for row in rows:
            writer.writerow([
                msgspec.json.encode(value).decode() if isinstance(value, (dict, list, bool)) else value
                for value in row.values()
            ])  # fmt: skip
        return out.getvalue().encode()

    async def __aexit__(self, kind: Any, *rest: Any) -> None:
        file, temporary = self._file, self._temporary
        assert file is not None and temporary is not None

        def finish() -> None:
            with file:
                if kind is None:
                    file.flush()
                    os.fsync(file.fileno())
            if kind is None:
                temporary.replace(self._path)
            else:
                temporary.unlink(missing_ok=True)

        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(finish)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise failed(error, self._path) from None
