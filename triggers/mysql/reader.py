"""Reads the binary log in a thread, and hands its events to the loop within a bound."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
import pymysql
import pymysql.connections

from triggers.kit.changes import TableName
from triggers.mysql import wire as wire
from triggers.mysql.position import MysqlPosition
from triggers.mysql.rows import Reading, Rows, read_rows

BUFFER = 5_000
"""Rows that may wait for the loop; large ones count for several."""
HEARTBEAT = 5.0
"""Seconds after which a silent server shows that it is there."""
SILENT = 30.0
"""Seconds without a sign of life after which the connection is given up."""
COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID = 0x12, 0x1E
THROUGH_GTID = 4
Describe = Callable[[TableName, bytes], Coroutine[None, None, list[Reading]]]

Item: TypeAlias = Rows | wire.Begin | wire.Commit | wire.Query | wire.Prepared


class Lost(Exception):
    """The connection to the server has ended. `code` is the server's error number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Place(NamedTuple):
    """Where the server's log is read: file and position."""

    file: str
    position: int


class Reader:
    """`run` it in a task, take from `next`. `wanted` says of a table whether its rows are decoded: nothing of another
    table is looked at, whatever its columns are. `describe` says how a table's columns are read."""

    def __init__(
        self, settings: dict[str, Any], server_id: int, position: str, maria: bool,
        wanted: Callable[[TableName], bool], describe: Describe,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._server_id = server_id
        self._position = position
        self._maria = maria
        self._wanted = wanted
        self._describe = describe
        self._connection: Any = None
        self._tables: dict[int, tuple[TableName, list[Reading]]] = {}
        self._described: dict[tuple[TableName, bytes], list[Reading]] = {}
        self._place: Place | None = None
        self._checksums = False
        self._items: deque[Item] = deque()
        self._count = 0
        self._room = threading.Condition()
        self._news = anyio.Event()
        self._waiting = False
        self._closed = False

    async def next(self) -> list[Item]:
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
        sock = self._connection._sock if self._connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def place(self) -> Place | None:
        return self._place

    def _read(self) -> None:
        connection: Any = None
        try:
            connection = self._connection = pymysql.connections.Connection(**self._settings, read_timeout=SILENT)
            self._ask(connection)
            while not self._closed:
                packet = connection._read_packet()
                if packet.is_eof_packet():
                    raise Lost(0, "the server ended the stream")
                data = packet.get_all_data()[1:]
                said = wire.has_checksums(data)
                self._checksums = self._checksums if said is None else said
                item, position = wire.read_event(data, self._checksums)
                if position and self._place is not None:
                    self._place = self._place._replace(position=position)
                self._handle(item)
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if not self._closed:
                raise Lost(code, str(error.args[-1] if error.args else error)) from None
        except Lost:
            if not self._closed:
                raise
        finally:
            if connection is not None:
                connection._force_close()

    def _ask(self, connection: Any) -> None:
        """Asks for the log behind the position."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@GLOBAL.binlog_checksum")
            self._checksums = cursor.fetchone()[0] != "NONE"
            cursor.execute("SET @master_binlog_checksum = @@GLOBAL.binlog_checksum")
            cursor.execute("SET @source_binlog_checksum = @@GLOBAL.binlog_checksum")
            cursor.execute(f"SET @master_heartbeat_period = {int(HEARTBEAT * 1e9)}")
            if self._maria:
                cursor.execute("SET @mariadb_slave_capability = 4")
                if self._position:
                    cursor.execute("SET @slave_connect_state = %s", (self._position,))
                cursor.execute("SET @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
        if self._maria:
            command = struct.pack("<BIHI", COM_BINLOG_DUMP, 4, 0, self._server_id)
        else:
            state = MysqlPosition(self._position).encoded()
            head = struct.pack("<BHIIQI", COM_BINLOG_DUMP_GTID, THROUGH_GTID, self._server_id, 0, 4, len(state))
            command = head + state
        connection._write_bytes(struct.pack("<I", len(command)) + command)
        connection._next_seq_id = 1

    def _handle(self, item: wire.Item) -> None:
        if isinstance(item, wire.RowsEvent):
            known = self._tables.get(item.table)
            if known is not None:
                rows = read_rows(item, *known)
                self._put(rows, rows.weight)
        elif isinstance(item, wire.TableMap):
            table = TableName(item.schema, item.table)
            self._tables.pop(item.number, None)
            if self._wanted(table):
                self._tables[item.number] = (table, self._columns(table, item.body))
        elif isinstance(item, wire.Rotate):
            self._place = Place(item.file, item.position)
            if not item.fake:  # the server may have been started anew, and count its tables from one
                self._tables.clear()
        elif item is not None:
            self._put(item, 1)

    def _columns(self, table: TableName, body: bytes) -> list[Reading]:
        """Asked of the loop, once for each description of a table."""
        found = self._described.get((table, body))
        if found is None:
            if len(self._described) > 500:
                self._described.clear()
            found = self._described[table, body] = anyio.from_thread.run(self._describe, table, body)
        return found

    def _put(self, item: Item, weight: int) -> None:
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
