"""A PostgreSQL database."""

from __future__ import annotations

import contextlib
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import msgspec

from plugins.connections._postgres_values import bind
from plugins.connections._sql import Kept, failed, lost, too_slow
from reactor.contracts.errors import NotConnected, NotReady, StepFailed
from reactor.contracts.kinds import ConnectionKind
from reactor.contracts.text import shown
from reactor.kit.pg_texts import QUERIED, SETTINGS, TYPES_QUERY, Convert, Types
from reactor.kit.sql import Dialect, Large, Params, Result, Statement, parse_statement, plain_row

FIRST = 10
"""Rows that a result begins with, more and more after them: a few large ones must not fill the memory."""
LOST = ("08", "57P01", "57P02", "57P03")
"""SQLSTATEs of a server that is gone or going."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    """postgresql://user:password@host:5432/database?sslmode=verify-full."""
    user: str | None = None
    """The user, when it is not in the URL."""
    password: str | None = None
    """The password, when it is not in the URL."""
    ca: str | None = None
    """A file of certificates to trust, with sslmode=verify-full; an absolute path."""
    pool: int = 10
    """The most connections that are open at once."""


class Postgres(ConnectionKind[Settings, "Client"]):
    name = "postgres"
    summary = "A PostgreSQL database, from version 12 (change capture from 14)."
    Options = Settings
    schemes: ClassVar[tuple[str, ...]] = ("postgresql", "postgres")
    example = (
        "kind: postgres\nsettings:\n  url: postgresql://db.example/shop\n  user: reactor\n"
        "  password: ${{ secrets.shop_password }}"
    )

    @classmethod
    def from_url(cls, url: str) -> dict[str, object]:
        return {"url": url}

    @classmethod
    def problems(cls, options: Settings) -> list[tuple[str, str]]:
        parts = urllib.parse.urlsplit(options.url)
        if parts.scheme not in cls.schemes or not parts.path.strip("/"):
            return [("url", "the URL is postgresql://host/database")]
        return [] if 1 <= options.pool <= 1000 else [("pool", "pool is from 1 to 1,000")]

    async def open(self) -> Client:
        import asyncpg

        from plugins.connections._postgres_text import TextConnection, prepare

        given = {name: value for name, value in SETTINGS.items() if name != "client_encoding"}  # asyncpg sets that one
        try:
            pool = await asyncpg.create_pool(
                self.dsn(), min_size=0, max_size=self.options.pool, timeout=10, init=prepare,
                connection_class=TextConnection, server_settings={"application_name": "reactor", **given},
            )  # fmt: skip
            async with pool.acquire():
                pass
        except (OSError, TimeoutError, ssl.SSLError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
            raise NotConnected(f"postgres: {e or type(e).__name__}") from None
        return Client(pool, self)

    def dsn(self) -> str:
        """The URL with user, password and certificates."""
        options = self.options
        parts = urllib.parse.urlsplit(options.url)
        place = parts.netloc
        if options.user is not None or options.password is not None:
            user = urllib.parse.quote(options.user or urllib.parse.unquote(parts.username or ""), safe="")
            secret = options.password or urllib.parse.unquote(parts.password or "")
            place = f"{user}:{urllib.parse.quote(secret, safe='')}@{place.rpartition('@')[2]}"
        query = parts.query
        if options.ca is not None:
            query += f"{'&' if query else ''}sslrootcert={urllib.parse.quote(options.ca)}"
        return urllib.parse.urlunsplit(("postgresql", place, parts.path, query, ""))

    async def check(self, client: Client) -> None:
        async with client.session(10) as session:
            await session.run("SELECT 1")

    async def close(self, client: Client) -> None:
        with anyio.move_on_after(5) as scope:
            await client.pool.close()
        if scope.cancelled_caught:
            client.pool.terminate()


class Client:
    """Fulfils `Database`; `kind.dsn()` opens further connections of another sort."""

    dialect: Dialect = "postgres"

    def __init__(self, pool: Any, kind: Postgres) -> None:
        self.pool = pool
        self.kind = kind
        self.types = Types(QUERIED)

    async def replicate(self, encoding: str) -> Any:
        """A connection of its own that speaks streaming replication, for change capture. Raises NotReady: whether the
        pool can go on is another question."""
        import psycopg2
        from psycopg2.extras import LogicalReplicationConnection

        settings = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "client_encoding": encoding}.items())

        def connect() -> object:
            return psycopg2.connect(
                self.kind.dsn(), connection_factory=LogicalReplicationConnection, connect_timeout=10, options=settings,
                application_name="reactor",
            )  # fmt: skip

        try:
            return await anyio.to_thread.run_sync(connect)
        except psycopg2.Error as error:
            raise NotReady(f"postgres: {str(error).strip()}") from None

    @asynccontextmanager
    async def session(self, timeout: float) -> AsyncIterator[Session]:
        with _faults(timeout, opening=True):
            connection = await self.pool.acquire(timeout=10)
        try:
            yield Session(connection, timeout, self.types)
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await self.pool.release(connection, timeout=5)


class Session:
    """Fulfils `contracts.sql.Session`. All values come and go as text."""

    def __init__(self, connection: Any, timeout: float, types: Types) -> None:
        self._connection = connection
        self._timeout = timeout
        self._types = types

    async def _statement(self, query: str, params: Params) -> tuple[Any, list[object]]:
        parsed = parse_statement(query, "postgres")
        text, names = numbered(parsed)
        values = Statement(("",) * (len(names) + 1), names).values(params)
        statement = await self._connection.prepare(text, timeout=self._timeout)
        return statement, [bind(v, kind) for v, kind in zip(values, statement.get_parameters(), strict=True)]

    async def _columns(self, statement: Any) -> list[tuple[str, Convert | None]]:
        """How each column is read: known before the statement runs, so that nothing can fail behind its effect."""
        attributes = statement.get_attributes()
        asked = self._types.missing({attribute.type.oid for attribute in attributes})
        while asked:
            lookup = await self._connection.prepare(TYPES_QUERY.replace(":oids", "$1"), timeout=self._timeout)
            numbers = ("oid", "element", "base")
            found = [
                {name: int(value) if name in numbers else value for name, value in record.items()}
                for record in await lookup.fetch(f"{{{','.join(map(str, asked))}}}", timeout=self._timeout)
            ]
            asked = self._types.learn(found, asked)
        read = self._connection.readable
        return [(shown(read(one.name)), self._types.convert(one.type.oid)) for one in attributes]

    async def run(self, query: str, params: Params = None, limit: int = 10_000, large: Large = "refuse") -> Result:
        with _faults(self._timeout):
            statement, values = await self._statement(query, params)
            columns = await self._columns(statement)
            inside = self._connection.is_in_transaction()
            kept = Kept(limit, not inside, large)
            count = 0
            if columns and inside:
                cursor = await statement.cursor(*values, timeout=self._timeout)
                at_once = FIRST
                while found := await cursor.fetch(at_once, timeout=self._timeout):
                    count += len(found)
                    fits = all(kept.add(*plain_row(columns, record.values())) for record in found)
                    if not fits or len(found) < at_once:
                        break
                    at_once = min(at_once * 2, 1000)
            else:
                found = await statement.fetch(*values, timeout=self._timeout)
                count = len(found)
                for record in found:
                    if not kept.add(*plain_row(columns, record.values())):
                        break
        changed = (statement.get_statusmsg() or "").rpartition(" ")[2]
        count = int(changed) if changed.isdigit() else min(count, limit)
        return kept.result([name for name, _ in columns], count)

    async def texts(self, query: str, params: Params = None) -> list[dict[str, str | None]]:
        """The rows of a query as the server writes them, as the stream of changes has them too."""
        with _faults(self._timeout):
            statement, values = await self._statement(query, params)
            names = [self._connection.readable(attribute.name) for attribute in statement.get_attributes()]
            found = await statement.fetch(*values, timeout=self._timeout)
        return [dict(zip(names, record.values(), strict=True)) for record in found]

    async def stream(self, query: str, params: Params = None, batch: int = 500) -> AsyncIterator[list[dict[str, Any]]]:
        with _faults(self._timeout):
            statement, values = await self._statement(query, params)
            columns = await self._columns(statement)
            cursor = await statement.cursor(*values, timeout=self._timeout)
            while found := await cursor.fetch(batch, timeout=self._timeout):
                yield [plain_row(columns, record.values())[0] for record in found]

    async def many(self, query: str, rows: Sequence[Sequence[object]]) -> int:
        changed = 0
        with _faults(self._timeout):
            text, _ = numbered(parse_statement(query, "postgres"))
            statement = await self._connection.prepare(text, timeout=self._timeout)
            kinds = statement.get_parameters()
            bound = [[bind(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows]
            if "DO NOTHING" not in text and len(bound) > 1:
                await statement.executemany(bound, timeout=self._timeout)
                return len(bound)
            for values in bound:
                await statement.fetch(*values, timeout=self._timeout)
                changed += int((statement.get_statusmsg() or "0").rpartition(" ")[2])
        return changed

    @asynccontextmanager
    async def transaction(self, read_only: bool = False) -> AsyncIterator[None]:
        transaction = self._connection.transaction(readonly=read_only)
        with _faults(self._timeout):
            await transaction.start()
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
                await transaction.rollback()
            raise
        with _faults(self._timeout):
            await transaction.commit()


def numbered(statement: Statement) -> tuple[str, tuple[str, ...]]:
    """The text with `$1 …`, one number a name, and the names in that order."""
    names = tuple(dict.fromkeys(statement.names))
    numbers = {name: f"${place}" for place, name in enumerate(names, 1)}
    parts = [statement.parts[0]]
    for name, part in zip(statement.names, statement.parts[1:], strict=True):
        parts += [numbers[name], part]
    return "".join(parts), names


@contextlib.contextmanager
def _faults(timeout: float, opening: bool = False) -> Iterator[None]:
    import asyncpg

    gone: Callable[[str], Exception] = NotConnected if opening else lost

    try:
        yield
    except (TimeoutError, asyncpg.QueryCanceledError):
        raise too_slow(timeout) from None
    except asyncpg.PostgresError as error:
        state = error.sqlstate or ""
        if state.startswith(LOST):
            raise gone(f"postgres: {error}") from None
        more = {name: getattr(error, f"{name}_name", None) for name in ("table", "column", "constraint")}
        hint = f"; {error.hint}" if getattr(error, "hint", None) else ""
        shown = {name: value for name, value in more.items() if value}
        if state == "25006":
            hint = "; sql.query only reads: take sql.execute"
        raise failed(state, f"{error}{hint}", **shown) from None
    except asyncpg.InterfaceError as error:
        if "closed" in str(error) or "closing" in str(error):
            raise gone(f"postgres: {error}") from None
        raise StepFailed("sql.data", str(error), retryable=False) from None
    except OSError as error:
        raise gone(f"postgres: {error or type(error).__name__}") from None
