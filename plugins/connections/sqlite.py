"""A SQLite database file."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.lowlevel
import msgspec

from plugins.connections._sql import Kept, failed, too_slow
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ConnectionKind
from reactor.kit.sql import Dialect, Large, Params, Result, parse_statement, plain_value

STATES = {
    "ConstraintError": "23000", "BusyError": "40001", "LockedError": "40001", "SQLError": "42000",
    "RangeError": "22000", "MismatchError": "22018", "TooBigError": "22001", "ReadOnlyError": "25006",
    "FullError": "53100", "NoMemError": "53200", "AuthError": "42501", "PermissionsError": "42501",
}  # fmt: skip
"""SQLSTATEs in the sense of the SQL standard for SQLite's result codes, which has none of its own."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """sqlite:///absolute/path/of/the.db."""
    create: bool = False
    """Whether the file is made when it is not there."""


class Sqlite(ConnectionKind[Settings, "Client"]):
    name = "sqlite"
    summary = "A SQLite database file on this machine."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)
    example = "kind: sqlite\nsettings:\n  url: sqlite:///var/lib/shop/shop.db"

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        parts = urllib.parse.urlsplit(options.url)
        if parts.scheme != "sqlite" or parts.netloc or not parts.path.startswith("/"):
            return [("url", "the URL is sqlite:///path/of/the.db, an absolute path")]
        return []

    async def open(self) -> Client:
        import apsw

        path = Path(urllib.parse.unquote(urllib.parse.urlsplit(self.options.url).path))
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if self.options.create else 0)
        client = Client(str(path), flags)
        if (path.parent / "reactor.db").exists() and path.name == "reactor.db":
            raise NotConnected(f"sqlite: {path} is a store of Reactor; take a file of your own")
        try:
            async with client.session(10) as session:
                await session.run("SELECT count(*) FROM sqlite_schema")
        except Exception as error:
            if isinstance(error, NotConnected):
                raise
            raise NotConnected(f"sqlite: {path}: {error}") from None
        return client

    async def check(self, client: Client) -> None:
        async with client.session(10) as session:
            await session.run("SELECT count(*) FROM sqlite_schema")

    async def close(self, client: Client) -> None:
        return None


class Client:
    """Fulfils `Database`; a session opens the file, which costs a fraction of a millisecond."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: str, flags: int) -> None:
        self._path = path
        self._flags = flags

    @asynccontextmanager
    async def session(self, timeout: float) -> AsyncIterator[Session]:
        import apsw

        def open() -> Any:
            connection = apsw.Connection(self._path, flags=self._flags)
            connection.set_busy_timeout(int(timeout * 1000))
            connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
            connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
            connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
            return connection

        try:
            connection = await anyio.to_thread.run_sync(open)
        except apsw.Error as error:
            raise NotConnected(f"sqlite: {self._path}: {error}") from None
        try:
            yield Session(connection, timeout)
        finally:
            with contextlib.suppress(apsw.Error):
                connection.close()


Worked = TypeVar("Worked")


class Session:
    """Fulfils `contracts.sql.Session`: each call is one piece of work in a thread, interrupted when it is too slow."""

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def _work(self, work: Callable[[], Worked]) -> Worked:
        import apsw

        slow = False

        async def guard() -> None:
            nonlocal slow
            try:
                await anyio.sleep(self._timeout)
                slow = True
            finally:
                if not result and not failure:
                    self._connection.interrupt()

        result: list[Worked] = []
        failure: list[Exception] = []

        def run() -> None:
            try:
                result.append(work())
            except Exception as error:
                failure.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(guard)
            await anyio.to_thread.run_sync(run)
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
        if not failure:
            return result[0]
        error = failure[0]
        if isinstance(error, apsw.InterruptError) and slow:
            raise too_slow(self._timeout)
        if isinstance(error, UnicodeDecodeError):
            reason = f"a text is not UTF-8 (byte {error.object[error.start]:#04x}): select it with CAST(… AS BLOB)"
            raise StepFailed("sql.data", reason, retryable=False)
        if not isinstance(error, apsw.Error):
            raise error
        name = type(error).__name__
        if name in ("CantOpenError", "NotADBError", "IOError", "CorruptError"):
            raise NotConnected(f"sqlite: {error}")
        hint = "; sql.query only reads: take sql.execute" if name == "ReadOnlyError" else ""
        raise failed(STATES.get(name), f"{error}{hint}", code=getattr(error, "extendedresult", None))

    async def run(self, query: str, params: Params = None, limit: int = 10_000, large: Large = "refuse") -> Result:
        text, values = _bound(query, params)

        def work() -> Result:
            before = self._connection.total_changes()
            cursor = self._connection.cursor()
            columns: list[str] = []
            kept = Kept(limit, not self._connection.in_transaction, large)
            for row in cursor.execute(text, values):
                columns = columns or [column[0] for column in cursor.get_description()]
                shown = {name: plain_value(one) for name, one in zip(columns, row, strict=True)}
                if not kept.add(shown) and cursor.is_readonly:
                    break
            cursor.close(True)
            changed = self._connection.total_changes() - before
            return kept.result(columns, changed or len(kept.rows))

        return await self._work(work)

    async def stream(self, query: str, params: Params = None, batch: int = 500) -> AsyncIterator[list[dict[str, Any]]]:
        text, values = _bound(query, params)
        cursor = self._connection.cursor()

        def first() -> object:
            return cursor.execute(text, values)

        def fetch() -> list[dict[str, Any]]:
            found = []
            for row in cursor:
                names = [column[0] for column in cursor.get_description()]
                found.append({name: plain_value(one) for name, one in zip(names, row, strict=True)})
                if len(found) == batch:
                    break
            return found

        await self._work(first)
        while found := await self._work(fetch):
            yield found

    async def many(self, query: str, rows: Sequence[Sequence[object]]) -> int:
        statement = parse_statement(query, "sqlite")
        text = _text(statement.parts)
        bound = [[_value(one) for one in statement.values(row)] for row in rows]

        def work() -> int:
            before = self._connection.total_changes()
            self._connection.cursor().executemany(text, bound)
            return int(self._connection.total_changes() - before)

        return await self._work(work)

    @asynccontextmanager
    async def transaction(self, read_only: bool = False) -> AsyncIterator[None]:
        if read_only:
            await self.run("PRAGMA query_only = 1")
        await self.run("BEGIN" if read_only else "BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await self.run("ROLLBACK")
            raise
        await self.run("COMMIT")


def _text(parts: Sequence[str]) -> str:
    return "?".join(parts)


def _bound(query: str, params: Params) -> tuple[str, list[object]]:
    statement = parse_statement(query, "sqlite")
    return _text(statement.parts), [_value(one) for one in statement.values(params)]


def _value(value: object) -> object:
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value).decode()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
