"""A MySQL or MariaDB database."""

from __future__ import annotations

import contextlib
import functools
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import msgspec

from plugins.connections._sql import Kept, failed, lost, too_slow
from reactor.contracts.errors import NotConnected, StepFailed
from reactor.contracts.kinds import ConnectionKind
from reactor.kit.sql import Dialect, Large, Params, Result, Statement, parse_statement, plain_json, plain_value

LOST = frozenset({1053, 1077, 1079, 1152, 1184, 1927, 2002, 2003, 2006, 2013, 2055})
"""Error numbers of a server that is gone or going."""
STOPPED = frozenset({1028, 1317, 1969, 3024})
"""A statement that took too long, or was killed."""
AGAIN = frozenset({1205, 1213})
JSON = 245


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """mysql://user:password@host:3306/database; mysqls:// (TLS)."""
    user: str | None = None
    """The user, when it is not in the URL."""
    password: str | None = None
    """The password, when it is not in the URL."""
    ca: str | None = None
    """A file of certificates to trust instead of the system's; an absolute path. It switches TLS on."""
    pool: int = 10
    """The most connections that are open at once."""


class Mysql(ConnectionKind[Settings, "Client"]):
    name = "mysql"
    summary = "A MySQL or MariaDB database."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("mysql", "mysqls", "mariadb")
    example = (
        "kind: mysql\nsettings:\n  url: mysql://db.example/shop\n  user: reactor\n"
        "  password: ${{ secrets.shop_password }}"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        parts = urllib.parse.urlsplit(options.url)
        if parts.scheme not in cls.schemes or not parts.hostname or not parts.path.strip("/"):
            return [("url", "the URL is mysql://host/database")]
        return [] if 1 <= options.pool <= 1000 else [("pool", "pool is from 1 to 1,000")]

    def settings(self) -> dict[str, Any]:
        """What PyMySQL takes."""
        options = self.options
        parts = urllib.parse.urlsplit(options.url)
        found: dict[str, Any] = {
            "host": parts.hostname, "port": parts.port or 3306,
            "user": options.user or urllib.parse.unquote(parts.username or "") or "root",
            "password": options.password or urllib.parse.unquote(parts.password or ""),
            "charset": "utf8mb4", "connect_timeout": 10,
        }  # fmt: skip
        if parts.scheme == "mysqls" or options.ca is not None:
            found["ssl"] = ssl.create_default_context(cafile=options.ca)
        return found

    async def open(self) -> Client:
        import aiomysql

        database = urllib.parse.unquote(urllib.parse.urlsplit(self.options.url).path.strip("/"))
        try:
            settings = self.settings()
        except (OSError, ssl.SSLError) as error:
            raise NotConnected(f"mysql: the certificates cannot be read: {error}") from None
        try:
            pool = await aiomysql.create_pool(
                minsize=0, maxsize=self.options.pool, autocommit=True, db=database, pool_recycle=600,
                init_command="SET time_zone = '+00:00'", **settings,
            )  # fmt: skip
            client = Client(pool, self, database)
            async with client.session(10) as session:
                await session.run("SELECT 1")
        except (OSError, ValueError, StepFailed) as error:
            raise NotConnected(f"mysql: {error or type(error).__name__}") from None
        return client

    async def check(self, client: Client) -> None:
        async with client.session(10) as session:
            await session.run("SELECT 1")

    async def close(self, client: Client) -> None:
        client.pool.terminate()
        with anyio.move_on_after(5):
            await client.pool.wait_closed()


class Client:
    """Fulfils `Database`; `kind.settings()` opens further connections of another sort."""

    dialect: Dialect = "mysql"

    def __init__(self, pool: Any, kind: Mysql, database: str) -> None:
        self.pool = pool
        self.kind = kind
        self.database = database

    @asynccontextmanager
    async def session(self, timeout: float) -> AsyncIterator[Session]:
        with _faults(timeout, opening=True), anyio.fail_after(10):
            connection = await self.pool.acquire()
        session = Session(connection, timeout)
        try:
            yield session
        finally:
            if session.broken:
                connection.close()
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await self.pool.release(connection)


class Session:
    """Fulfils `contracts.sql.Session`. A statement that is cancelled costs the connection."""

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._limited = False
        self._transaction: str | None = None
        self.broken = False

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        whole = False
        try:
            with _faults(self._timeout), anyio.fail_after(self._timeout + 1):
                if not self._limited:
                    await self._prepare()
                yield
            whole = True
        except StepFailed as error:
            whole = error.type not in ("sql.timeout", "connection.down")
            raise
        finally:
            self.broken = self.broken or not whole

    async def _prepare(self) -> None:
        """Whoever had the connection before may have set its zone or encoding otherwise. And the server ends the
        statement itself; MySQL does so only for SELECT, else our own clock does."""
        maria = "mariadb" in self._connection.get_server_info().lower()
        setting = (
            f"max_statement_time = {self._timeout:g}" if maria else f"max_execution_time = {self._timeout * 1000:.0f}"
        )
        async with self._connection.cursor() as cursor:
            await cursor.execute(f"SET NAMES utf8mb4, SESSION {setting}, SESSION time_zone = '+00:00'")
        self._limited = True

    async def run(self, query: str, params: Params = None, limit: int = 10_000, large: Large = "refuse") -> Result:
        text, values = _bound(query, params)
        async with self._at_work():
            cursor = await self._connection.cursor(_cursors()[1])
            try:
                await cursor.execute(text, values)
                columns, kept = _columns(cursor), Kept(limit, self._transaction is None, large)
                while columns and (row := await cursor.fetchone()):
                    if not kept.add(_row(cursor, columns, row)) and self._transaction == "READ ONLY":
                        self.broken = True  # the rest is not read; what writes is read to its end, so that it ends well
                        break
                count = len(kept.rows) if columns else cursor.rowcount
            except (StepFailed, ValueError) as error:
                self.broken = True
                if isinstance(error, StepFailed):
                    raise
                raise StepFailed("sql.data", f"a value cannot be read: {error}", retryable=False) from None
            finally:
                if not self.broken:
                    await cursor.close()
        return kept.result(columns, max(count, 0))

    async def stream(self, query: str, params: Params = None, batch: int = 500) -> AsyncIterator[list[dict[str, Any]]]:
        text, values = _bound(query, params)
        self.broken = True
        async with self._at_work():
            cursor = await self._connection.cursor(_cursors()[1])
            await cursor.execute(text, values)
            columns = _columns(cursor)
        while True:
            async with self._at_work():
                rows = await cursor.fetchmany(batch)
            if not rows:
                break
            yield [_row(cursor, columns, row) for row in rows]
        await cursor.close()
        self.broken = False

    async def many(self, query: str, rows: Sequence[Sequence[object]]) -> int:
        statement = parse_statement(query, "mysql")
        text = "%s".join(part.replace("%", "%%") for part in statement.parts)
        async with self._at_work(), self._connection.cursor(_cursors()[0]) as cursor:
            await cursor.executemany(text, [[_value(one) for one in statement.values(row)] for row in rows])
            return int(cursor.rowcount)

    @asynccontextmanager
    async def transaction(self, read_only: bool = False) -> AsyncIterator[None]:
        await self.run(f"START TRANSACTION{' READ ONLY' if read_only else ''}")
        self._transaction = "READ ONLY" if read_only else "READ WRITE"
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception), anyio.move_on_after(5):
                if not self.broken:
                    await self._connection.rollback()
            raise
        finally:
            self._transaction = None
        if not self.broken:
            await self.run("COMMIT")
        elif not read_only:
            raise StepFailed("limit", "the result was cut off, so nothing was committed", retryable=False)


@functools.cache
def _cursors() -> tuple[type[Any], type[Any]]:
    """A cursor that keeps the rows, and one that hands them over as they come. The server's notes are not told: they
    would go to the log without the statement's step."""
    import aiomysql

    class Whole(aiomysql.Cursor):  # type: ignore[misc]
        async def _show_warnings(self, connection: Any) -> None:
            return None

    class Streaming(aiomysql.SSCursor):  # type: ignore[misc]
        async def _show_warnings(self, connection: Any) -> None:
            return None

    return Whole, Streaming


def _bound(query: str, params: Params) -> tuple[str, list[object] | None]:
    statement = parse_statement(query, "mysql")
    if not statement.names:
        return query, None
    text = "%s".join(part.replace("%", "%%") for part in statement.parts)
    return text, [_value(one) for one in Statement(statement.parts, statement.names).values(params)]


def _value(value: object) -> object:
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value).decode()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _columns(cursor: Any) -> list[str]:
    return [column[0] for column in cursor.description or ()]


def _row(cursor: Any, columns: list[str], row: Any) -> dict[str, object]:
    found = {}
    for column, value in zip(cursor.description, row, strict=True):
        if column[1] == JSON and isinstance(value, str):
            found[column[0]] = plain_json(value)
        else:
            found[column[0]] = plain_value(value)
    return found


@contextlib.contextmanager
def _faults(timeout: float, opening: bool = False) -> Iterator[None]:
    import pymysql

    gone: Callable[[str], Exception] = NotConnected if opening else lost
    try:
        yield
    except TimeoutError:
        raise too_slow(timeout) from None
    except pymysql.MySQLError as error:
        number, message = error.args[:2] if len(error.args) > 1 else (None, str(error))
        if number in LOST or (number is None and isinstance(error, pymysql.InterfaceError)):
            reason = f" ({error.__cause__})" if error.__cause__ is not None else ""
            raise gone(f"mysql: {message or error}{reason}") from None
        if number in STOPPED:
            raise too_slow(timeout) from None
        state = SQLSTATES.get(number) if isinstance(number, int) else None
        hint = "; sql.query only reads: take sql.execute" if number == 1792 else ""
        raise failed(state, f"{message}{hint}", number=number) from None
    except (RuntimeError, OSError) as error:
        raise gone(f"mysql: {error or type(error).__name__}") from None


SQLSTATES = {
    1022: "23000", 1048: "23000", 1052: "23000", 1062: "23000", 1169: "23000", 1216: "23000", 1217: "23000",
    1451: "23000", 1452: "23000", 1557: "23000", 1586: "23000", 1761: "23000", 1762: "23000", 3819: "23000",
    4025: "23000", 1044: "42000", 1045: "28000", 1046: "3D000", 1049: "42000", 1050: "42S01", 1051: "42S02",
    1054: "42S22", 1064: "42000", 1142: "42000", 1143: "42000", 1146: "42S02", 1149: "42000", 1305: "42000",
    1205: "40001", 1213: "40001", 1264: "22003", 1265: "22007", 1292: "22007", 1365: "22012", 1366: "22007",
    1406: "22001", 1364: "23000", 1792: "25006", 1040: "53300", 1203: "53300", 1037: "53200", 1021: "53100",
}  # fmt: skip
"""The SQLSTATE of error numbers (both servers' references): the client library keeps only the number. Lock waits and
deadlocks are 40001, as a retry is the cure of both; limits of the server have the group 53, as PostgreSQL's."""
