"""Reads the binary log in a thread, and hands its events to the loop within a bound."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from typing import Any, NamedTuple

import anyio
import anyio.from_thread
import anyio.to_thread
import pymysql
import pymysql.connections
from pymysqlreplication import BinLogStreamReader, event, row_event

BUFFER = 5_000
"""Rows that may wait for the loop."""
HEARTBEAT = 5.0
"""Seconds after which a silent server shows that it is there."""
SILENT = 30.0
"""Seconds without a sign of life after which the connection is given up."""
COM_BINLOG_DUMP = 0x12
KINDS = {row_event.WriteRowsEvent: "insert", row_event.UpdateRowsEvent: "update", row_event.DeleteRowsEvent: "delete"}


class Lost(Exception):
    """The connection to the server has ended. `code` is the server's error number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Begin(NamedTuple):
    gtid: str
    at: float
    alone: bool
    """A transaction of one statement without an end of its own."""


class Rows(NamedTuple):
    operation: str
    schema: str
    table: str
    columns: Any
    rows: list[dict[str, Any]]


class Query(NamedTuple):
    schema: str
    text: str


class Commit(NamedTuple):
    pass


class Place(NamedTuple):
    """Where the server's log is read: file and position."""

    file: str
    position: int


class _Connection(pymysql.connections.Connection):
    """A fault ends the stream: the library would begin anew at the first position, and repeat everything. The length
    of its dump command for MariaDB is one too small, which makes the server end the connection."""

    def _read_packet(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super()._read_packet(*arguments, **options)  # type: ignore[no-untyped-call]
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            raise Lost(code, str(error.args[-1] if error.args else error)) from None

    def _write_bytes(self, data: bytes) -> None:
        if len(data) > 5 and data[4] == COM_BINLOG_DUMP:
            data = struct.pack("<i", len(data) - 4) + data[4:]
        super()._write_bytes(data)  # type: ignore[misc]


def _connect(**settings: Any) -> _Connection:
    """With the present names of the options that the library still calls by old ones."""
    for old, new in (("db", "database"), ("passwd", "password")):
        if old in settings:
            settings[new] = settings.pop(old)
    return _Connection(**settings)


class Reader:
    """`open` it, `run` it in a task, take from `next`."""

    def __init__(
        self, settings: dict[str, Any], server_id: int, position: str, maria: bool, schemas: list[str]
    ) -> None:
        self._settings = settings
        self._server_id = server_id
        self._position = position
        self._maria = maria
        self._schemas = schemas
        self._reader: Any = None
        self._items: deque[Any] = deque()
        self._count = 0
        self._room = threading.Condition()
        self._news = anyio.Event()
        self._waiting = False
        self._closed = False

    async def next(self) -> list[Any]:
        """All that is there; waits for something."""
        while not self._items:
            self._news = anyio.Event()
            self._waiting = True
            if self._items:
                break
            await self._news.wait()
        with self._room:
            found = list(self._items)
            self._items.clear()
            self._count = 0
            self._waiting = False
            self._room.notify()
        return found

    async def run(self) -> None:
        """Reads until cancelled. Raises Lost."""
        try:
            await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True)
        finally:
            self.close()

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify()
        connection = getattr(self._reader, "_stream_connection", None)
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        self._reader = reader = BinLogStreamReader(
            connection_settings={**self._settings, "read_timeout": SILENT}, server_id=self._server_id, blocking=True,
            resume_stream=True, auto_position=self._position or None if self._maria else self._position,
            is_mariadb=self._maria, slave_heartbeat=HEARTBEAT, pymysql_wrapper=_connect, only_schemas=self._schemas,
            only_events=[
                *KINDS, event.MariadbGtidEvent, event.GtidEvent, event.XidEvent, event.QueryEvent, event.RotateEvent,
            ],
        )  # fmt: skip
        try:
            while not self._closed:
                one = reader.fetchone()
                if one is None:
                    raise Lost(0, "the server ended the stream")
                item = _item(one)
                if item is not None:
                    self._put(item, len(item.rows) if isinstance(item, Rows) else 1)
        except Lost:
            if not self._closed:
                raise
        finally:
            with contextlib.suppress(Exception):
                reader.close()

    def _put(self, item: Any, weight: int) -> None:
        with self._room:
            while self._count >= BUFFER and not self._closed:
                self._room.wait()
            self._items.append(item)
            self._count += weight
            wake = self._waiting
            self._waiting = False
        if wake and not self._closed:
            with contextlib.suppress(RuntimeError, anyio.NoEventLoopError):
                anyio.from_thread.run_sync(self._news.set)

    def place(self) -> Place | None:
        reader = self._reader
        return None if reader is None or not reader.log_file else Place(str(reader.log_file), int(reader.log_pos or 0))


def _item(one: Any) -> Any:
    operation = KINDS.get(type(one))
    if operation is not None:
        rows = one.rows
        return Rows(operation, one.schema, one.table, one.columns, rows)
    if isinstance(one, event.MariadbGtidEvent):
        return Begin(one.gtid, float(one.timestamp), bool(one.flags & 1))
    if isinstance(one, event.GtidEvent):
        return Begin(one.gtid, float(one.timestamp), False)
    if isinstance(one, event.XidEvent):
        return Commit()
    if isinstance(one, event.QueryEvent):
        schema = one.schema.decode() if isinstance(one.schema, bytes) else str(one.schema)
        return Query(schema, one.query)
    return None
